//! The proofs of RFC 4035 appendix B and RFC 5155 appendix B, from the zones of their appendices A: which records they
//! are. Whether they convince is for the signatures, which stand in for real ones here.

use super::*;

/// What both zones have in common (RFC 4035 appendix A, RFC 5155 appendix A), with so many of the records as there are
/// proofs about.
const COMMON: &str = "
$TTL 3600
@ SOA ns1 bugs.x.w 1 3600 300 3600000 3600
@ NS ns1
@ NS ns2
@ MX 1 xx
ns1 A 192.0.2.1
ns2 A 192.0.2.2
*.w MX 1 ai
x.w MX 1 xx
x.y.w MX 1 xx
ai A 192.0.2.9
xx A 192.0.2.10
a NS ns1.a
a DS 57855 5 1 B6DCD485719ADCA18E5F3D48A2331627FDD3636B
ns1.a A 192.0.2.5
";

const NSEC: &str = "
b NS ns1.b
ns1.b A 192.0.2.7
@ NSEC a NS SOA MX RRSIG NSEC DNSKEY
a NSEC ai NS DS RRSIG NSEC
ai NSEC b A HINFO AAAA RRSIG NSEC
b NSEC ns1 NS RRSIG NSEC
ns1 NSEC ns2 A RRSIG NSEC
ns2 NSEC *.w A RRSIG NSEC
*.w NSEC x.w MX RRSIG NSEC
x.w NSEC x.y.w MX RRSIG NSEC
x.y.w NSEC xx MX RRSIG NSEC
xx NSEC @ A HINFO AAAA RRSIG NSEC
";

/// The chain opts out, and has no record of the cut `c`.
const NSEC3: &str = "
c NS ns1.c
ns1.c A 192.0.2.7
2t7b4g4vsa5smi47k61mv5bv1a22bojr A 192.0.2.127
@ NSEC3PARAM 1 0 12 AABBCCDD
0p9mhaveqvm6t7vbl5lop2u3t2rp3tom NSEC3 1 1 12 AABBCCDD 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG
2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 1 12 AABBCCDD 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG
2vptu5timamqttgl4luu9kg21e0aor3s NSEC3 1 1 12 AABBCCDD 35mthgpgcu1qg68fab165klnsnk3dpvl MX RRSIG
35mthgpgcu1qg68fab165klnsnk3dpvl NSEC3 1 1 12 AABBCCDD b4um86eghhds6nea196smvmlo4ors995 NS DS RRSIG
b4um86eghhds6nea196smvmlo4ors995 NSEC3 1 1 12 AABBCCDD gjeqe526plbf1g8mklp59enfd789njgi MX RRSIG
gjeqe526plbf1g8mklp59enfd789njgi NSEC3 1 1 12 AABBCCDD ji6neoaepv8b5o6k4ev33abha8ht9fgc HINFO A AAAA RRSIG
ji6neoaepv8b5o6k4ev33abha8ht9fgc NSEC3 1 1 12 AABBCCDD k8udemvp1j2f7eg6jebps17vp3n8i58h
k8udemvp1j2f7eg6jebps17vp3n8i58h NSEC3 1 1 12 AABBCCDD q04jkcevqvmu85r014c7dkba38o0ji5r
q04jkcevqvmu85r014c7dkba38o0ji5r NSEC3 1 1 12 AABBCCDD r53bq7cc2uvmubfu5ocmm6pers9tk9en A RRSIG
r53bq7cc2uvmubfu5ocmm6pers9tk9en NSEC3 1 1 12 AABBCCDD t644ebqk9bibcna874givr6joj62mlhv MX RRSIG
t644ebqk9bibcna874givr6joj62mlhv NSEC3 1 1 12 AABBCCDD 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom HINFO A AAAA RRSIG
";

/// The zone with a signature for each of its sets but those of the NS records of cuts, and glue.
fn signed(lines: &str) -> Zones {
    let apex = name("example");
    let text = format!("{COMMON}{lines}");
    let read =
        |text: &str| zonefile::read("example", text, &apex, None).unwrap_or_else(|found| panic!("{found:?}"));
    let mut signatures = String::new();
    for set in read(&text).rrsets() {
        let owner = set.owner();
        let below = ["a", "b", "c"].map(|cut| name(&format!("{cut}.example")));
        let cut = below.iter().any(|cut| owner.is_within(cut));
        if !cut || matches!(set.rtype(), rtype::DS | rtype::NSEC) {
            let (rtype, ttl) = (type_name(set.rtype()), set.ttl());
            signatures +=
                &format!("{owner}. RRSIG {rtype} 5 1 {ttl} 20380101000000 20200101000000 1 example. AAAA\n");
        }
    }
    zones(&[("example", &format!("{text}{signatures}"))])
}

/// The answer and the authority section, with signatures as the types that they cover: `owner TYPE+` for a signed set.
fn proof(zones: &Zones, qname: &str, qtype: &str) -> String {
    let name = name(qname);
    let question = Question { name: name.as_wire(), qtype: number(qtype), qclass: CLASS_IN };
    let message = answered(zones, &question, true, usize::from(u16::MAX));
    let section = |records: &[Record]| {
        let mut shown: Vec<String> = Vec::new();
        for record in records {
            let rtype = record.record_type().into();
            match shown.last_mut() {
                Some(last) if rtype == rtype::RRSIG => last.push('+'),
                _ => {
                    let owner = owner(record).to_string();
                    let label = owner.split('.').next().unwrap();
                    let owner = if label.len() == 32 { label[..4].to_owned() } else { owner };
                    shown.push(format!("{owner} {}", type_name(rtype)));
                }
            }
        }
        shown.dedup();
        shown.join(", ")
    };
    let rcode = message.metadata.response_code;
    format!("{rcode:?} | {} | {}", section(&message.answers), section(&message.authorities))
}

#[test]
fn nsec_proves_what_rfc_4035_shows() {
    let zones = signed(NSEC);
    for (qname, qtype, wanted) in [
        ("x.w.example", "MX", "NoError | x.w.example MX+ | "),
        ("ml.example", "A", "NXDomain |  | example SOA+, b.example NSEC+, example NSEC+"),
        ("ns1.example", "MX", "NoError |  | example SOA+, ns1.example NSEC+"),
        ("mc.a.example", "MX", "NoError |  | a.example NS, a.example DS+"),
        ("mc.b.example", "MX", "NoError |  | b.example NS, b.example NSEC+"),
        ("a.z.w.example", "MX", "NoError | a.z.w.example MX+ | x.y.w.example NSEC+"),
        ("a.z.w.example", "AAAA", "NoError |  | example SOA+, x.y.w.example NSEC+, *.w.example NSEC+"),
        ("example", "DS", "NoError |  | example SOA+, example NSEC+"),
        // Beyond the appendix: an empty non-terminal, DS at cuts, and what proofs themselves are asked for.
        ("y.w.example", "A", "NoError |  | example SOA+, x.w.example NSEC+"),
        ("w.example", "A", "NoError |  | example SOA+, ns2.example NSEC+"),
        ("a.example", "DS", "NoError | a.example DS+ | "),
        ("b.example", "DS", "NoError |  | example SOA+, b.example NSEC+"),
        ("ai.example", "NSEC", "NoError | ai.example NSEC+ | "),
        ("zz.example", "A", "NXDomain |  | example SOA+, xx.example NSEC+, example NSEC+"),
    ] {
        assert_eq!(proof(&zones, qname, qtype), wanted, "{qname} {qtype}");
    }
}

#[test]
fn nsec3_proves_what_rfc_5155_shows() {
    let zones = signed(NSEC3);
    for (qname, qtype, wanted) in [
        ("a.c.x.w.example", "A", "NXDomain |  | example SOA+, b4um NSEC3+, 0p9m NSEC3+, 35mt NSEC3+"),
        ("ns1.example", "MX", "NoError |  | example SOA+, 2t7b NSEC3+"),
        ("y.w.example", "A", "NoError |  | example SOA+, ji6n NSEC3+"),
        ("mc.c.example", "MX", "NoError |  | c.example NS, 0p9m NSEC3+, 35mt NSEC3+"),
        ("mc.a.example", "MX", "NoError |  | a.example NS, a.example DS+"),
        ("a.z.w.example", "MX", "NoError | a.z.w.example MX+ | q04j NSEC3+"),
        ("a.z.w.example", "AAAA", "NoError |  | example SOA+, k8ud NSEC3+, q04j NSEC3+, r53b NSEC3+"),
        ("example", "DS", "NoError |  | example SOA+, 0p9m NSEC3+"),
        // Beyond the appendix: DS at a cut that the chain has no record of.
        ("c.example", "DS", "NoError |  | example SOA+, 0p9m NSEC3+, 35mt NSEC3+"),
        // RFC 5155 section 7.2.8: a hash is no name, unless something else stands there as well.
        (
            "35mthgpgcu1qg68fab165klnsnk3dpvl.example",
            "NSEC3",
            "NXDomain |  | example SOA+, 0p9m NSEC3+, gjeq NSEC3+",
        ),
        ("2t7b4g4vsa5smi47k61mv5bv1a22bojr.example", "A", "NoError | 2t7b A+ | "),
    ] {
        assert_eq!(proof(&zones, qname, qtype), wanted, "{qname} {qtype}");
    }
}

#[test]
fn a_chain_with_a_gap_proves_what_it_can() {
    let without = |hash: &str| signed(&NSEC3.replace(&format!("{hash} NSEC3"), "; NSEC3"));
    let gap = without("ji6neoaepv8b5o6k4ev33abha8ht9fgc");
    assert_eq!(proof(&gap, "ai.example", "TXT"), "NoError |  | example SOA+, gjeq NSEC3+");
    assert_eq!(proof(&gap, "example", "DS"), "NoError |  | example SOA+, 0p9m NSEC3+");
    // There is no closest encloser without the apex.
    let headless = without("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
    assert_eq!(proof(&headless, "no.example", "A"), "NXDomain |  | example SOA+");
    assert_eq!(proof(&headless, "example", "DS"), "NoError |  | example SOA+");
    assert_eq!(proof(&headless, "c.example", "DS"), "NoError |  | example SOA+");
}

#[test]
fn nothing_is_proved_to_those_who_did_not_ask() {
    let zones = signed(NSEC3);
    for (qname, qtype, wanted) in [
        ("ns1.example", "A", "NoError aa | ns1.example A |  | "),
        ("no.example", "A", "NXDomain aa |  | example SOA | "),
        ("mc.c.example", "A", "NoError | | c.example NS | ns1.c.example A"),
    ] {
        assert_eq!(
            shown(&ask(&zones, qname, qtype, CLASS_IN)).replace("|  |", "| |"),
            wanted.replace("|  |", "| |")
        );
    }
}
