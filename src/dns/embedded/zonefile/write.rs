//! Writing a zone as text that BIND, NSD, Knot and PowerDNS read: one record a line, names in full.
//!
//! Types that all of them know are written in their own syntax, because PowerDNS refuses the generic form (RFC 3597 section
//! 5) for types that it knows; all others in the generic form under their numbers, because the rest of them know fewer
//! mnemonics than we do. That leaves SIG, KEY, MB, MG, MR, RKEY and DLV, which PowerDNS reads in their own syntax alone, and
//! not all of the rest at all.

use std::fmt::Write as _;

use super::spelling::{self, common_name, hex};
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
            let (rtype, data) = data(set.rtype(), rdata);
            let _ = writeln!(text, "{owner}{dot} {} IN {rtype} {data}", set.ttl());
        }
    }
    text
}

/// Type and data of a record as everybody reads them.
fn data(rtype: u16, rdata: &[u8]) -> (String, String) {
    let known = spelling::COMMON.contains(&rtype).then(|| spelling::text_of(rtype, rdata)).flatten();
    (common_name(rtype), known.unwrap_or_else(|| generic(rdata)))
}

/// RFC 3597 section 5.
pub(crate) fn generic(rdata: &[u8]) -> String {
    let digits = hex(rdata);
    format!("\\# {} {digits}", rdata.len()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::names::Serial;

    #[test]
    fn what_is_written_is_read_back() {
        let apex = "example.com".parse().unwrap();
        let text = "$TTL 300\n@ SOA ns H 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n\\042 TXT \"a b\"\nx TYPE65280 \\# 0\n\
                    *.w MX 10 ns\nl WALLET BTC x\n";
        let zone = read("z", text, &apex, Some(Serial(9))).unwrap();
        let written = write(&zone);
        assert!(
            written.starts_with("example.com. 300 IN SOA ns.example.com. H.example.com. 9 2 3 4 5\n"),
            "{written}"
        );
        assert!(written.contains("l.example.com. 300 IN TYPE262 \\# 6 034254430178\n"), "{written}");
        assert_eq!(read("z", &written, &apex, None).unwrap(), zone);
    }
}
