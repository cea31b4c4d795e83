//! Writing a zone as text that every name server reads: one record a line, names in full, data as in RFC 3597 section 5.

use std::fmt::Write as _;

use crate::dns::embedded::rdata::type_name;
use crate::dns::embedded::zone::Zone;

/// The zone as a zone file, its SOA record first. Read again, it is the same zone.
pub fn write(zone: &Zone) -> String {
    let mut text = String::new();
    let soa = zone.soa_set();
    let others = zone.rrsets().filter(|set| set.rtype() != soa.rtype());
    for set in std::iter::once(soa).chain(others) {
        let owner = set.owner().to_string();
        let dot = if owner == "." { "" } else { "." };
        for rdata in set.rdatas() {
            let (ttl, rtype) = (set.ttl(), type_name(set.rtype()));
            let _ = write!(text, "{owner}{dot} {ttl} IN {rtype} \\# {}", rdata.len());
            if !rdata.is_empty() {
                text.push(' ');
            }
            for octet in rdata {
                let _ = write!(text, "{octet:02x}");
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::names::Serial;

    #[test]
    fn what_is_written_is_read_back() {
        let apex = "example.com".parse().unwrap();
        let text = "$TTL 300\n@ SOA ns h 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n\\042 TXT \"a b\"\nx TYPE65280 \\# 0\n\
                    *.w MX 10 ns\n";
        let zone = read("z", text, &apex, Some(Serial(9))).unwrap();
        let written = write(&zone);
        assert!(written.starts_with("example.com. 300 IN SOA \\# "), "{written}");
        assert_eq!(read("z", &written, &apex, None).unwrap(), zone);
    }
}
