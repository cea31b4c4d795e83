use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;

use super::*;
use crate::dns::embedded::rdata::{type_name, type_number};
use crate::dns::embedded::request::Header;
use crate::dns::embedded::testing::wire;
use crate::dns::embedded::zonefile;
use crate::names::DomainName;

mod naive;
mod signed;

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn zones(texts: &[(&str, &str)]) -> Zones {
    let zones = Zones::new();
    for (apex, text) in texts {
        let zone = zonefile::read(apex, text, &name(apex), None).unwrap_or_else(|found| panic!("{found:?}"));
        zones.serve(Arc::new(zone));
    }
    zones
}

/// What is answered, in a message of so many octets.
fn answered(zones: &Zones, question: &Question<'_>, dnssec_ok: bool, room: usize) -> Message {
    let mut octets = Vec::new();
    let mut response = Response::begin(&mut octets, [0, 1], Some(question), room);
    match question.qclass {
        CLASS_CH => answer_chaos(question, "london-a", &mut response),
        _ => answer(zones, question, dnssec_ok, &mut response),
    }
    response.finish(Header { id: [0, 1], flags: 0 }, None);
    assert!(octets.len() <= room.max(16 + question.name.len()));
    Message::from_vec(&octets).unwrap()
}

fn number(qtype: &str) -> u16 {
    match qtype {
        "ANY" => rtype::ANY,
        "AXFR" => rtype::AXFR,
        "MAILA" => 254,
        "OPT" => rtype::OPT,
        other => type_number(other).unwrap(),
    }
}

fn ask(zones: &Zones, qname: &str, qtype: &str, qclass: u16) -> Message {
    let name = name(qname);
    let question = Question { name: name.as_wire(), qtype: number(qtype), qclass };
    answered(zones, &question, false, usize::from(u16::MAX))
}

fn owner(record: &Record) -> DomainName {
    DomainName::from_wire(&wire(&record.name)).unwrap()
}

/// A section: each set as owner, type, number of records.
fn sets(records: &[Record]) -> String {
    let set = |records: &[Record]| {
        let count = if records.len() == 1 { String::new() } else { format!("*{}", records.len()) };
        format!("{} {}{count}", owner(&records[0]), type_name(records[0].record_type().into()))
    };
    let same = |a: &Record, b: &Record| (&a.name, a.record_type()) == (&b.name, b.record_type());
    records.chunk_by(same).map(set).collect::<Vec<_>>().join(", ")
}

/// `RCODE aa | answers | authority | additional`.
fn shown(answer: &Message) -> String {
    let aa = if answer.metadata.authoritative { " aa" } else { "" };
    let (answers, authority) = (sets(&answer.answers), sets(&answer.authorities));
    format!(
        "{:?}{aa} | {answers} | {authority} | {}",
        answer.metadata.response_code,
        sets(&answer.additionals)
    )
}

const EXAMPLE: &str = "
$TTL 3600
@ SOA ns1 hostmaster 1 2h 30m 30d 5m
@ NS ns1
@ NS ns.other.test.
@ MX 10 mail
@ CAA 0 issue \"ca.example\"
ns1 A 192.0.2.1
ns1 A 192.0.2.2
ns1 AAAA 2001:db8::1
mail A 192.0.2.3
both TXT x
both A 192.0.2.3
_sip._tcp SRV 1 2 5060 any.w
*.w A 192.0.2.4
b.w TXT x
x.c.w TXT x
*.alias CNAME mail
c1 CNAME c2
c2 CNAME MAIL
cx CNAME nothing
cd CNAME www.del
co CNAME www.other.test.
cn CNAME nothing.other.test.
cf CNAME www.example.org.
ce CNAME www.expired.test.
loop CNAME pool
pool CNAME loop
del NS ns1.del
del NS ns2.sib
del NS ns.other.test.
del DS 1 8 2 00
ns1.del A 192.0.2.5
deep.under.del A 192.0.2.5
sib NS ns2.sib
ns2.sib AAAA 2001:db8::6
mdel MX 1 deep.under.del
child DS 1 8 2 00
child NS ns1
";

fn example() -> Zones {
    let zones = zones(&[
        ("example", EXAMPLE),
        ("child.example", "$TTL 60\n@ SOA ns1.example. h 1 2 3 4 5\n@ NS ns1.example.\nwww A 192.0.2.7\n"),
        ("other.test", "$TTL 60\n@ SOA ns h 1 2 3 4 500\n@ NS ns\nns A 192.0.2.8\nwww A 192.0.2.9\n"),
    ]);
    zones.set(&name("expired.test"), ZoneEntry::Expired);
    zones.set(&name("empty.test"), ZoneEntry::Empty);
    zones
}

const DENIED: &str = "example SOA |";
const REFERRED: &str = "del.example NS*3 | ns1.del.example A, ns2.sib.example AAAA";

#[test]
fn questions_and_answers() {
    let zones = example();
    for (qname, qtype, wanted) in [
        ("mail.example", "A", "NoError aa | mail.example A |  | "),
        ("ns1.example", "A", "NoError aa | ns1.example A*2 |  | "),
        ("example", "MX", "NoError aa | example MX |  | mail.example A"),
        ("example", "NS", "NoError aa | example NS*2 |  | ns1.example A*2, ns1.example AAAA"),
        ("_sip._tcp.example", "SRV", "NoError aa | _sip._tcp.example SRV |  | any.w.example A"),
        ("mail.example", "AAAA", &format!("NoError aa |  | {DENIED} ")),
        ("no.example", "A", &format!("NXDomain aa |  | {DENIED} ")),
        ("a.mail.example", "A", &format!("NXDomain aa |  | {DENIED} ")),
        // RFC 8020: an empty non-terminal exists.
        ("_tcp.example", "A", &format!("NoError aa |  | {DENIED} ")),
        // RFC 4592: what a wildcard does and does not apply to.
        ("a.w.example", "A", "NoError aa | a.w.example A |  | "),
        ("a.a.w.example", "A", "NoError aa | a.a.w.example A |  | "),
        ("*.w.example", "A", "NoError aa | *.w.example A |  | "),
        ("x.*.w.example", "A", &format!("NXDomain aa |  | {DENIED} ")),
        ("a.w.example", "TXT", &format!("NoError aa |  | {DENIED} ")),
        ("b.w.example", "A", &format!("NoError aa |  | {DENIED} ")),
        ("a.b.w.example", "A", &format!("NXDomain aa |  | {DENIED} ")),
        ("c.w.example", "A", &format!("NoError aa |  | {DENIED} ")),
        ("a.c.w.example", "A", &format!("NXDomain aa |  | {DENIED} ")),
        ("w.example", "A", &format!("NoError aa |  | {DENIED} ")),
        // Chains.
        ("c1.example", "A", "NoError aa | c1.example CNAME, c2.example CNAME, mail.example A |  | "),
        ("c1.example", "CNAME", "NoError aa | c1.example CNAME |  | "),
        ("c1.example", "AAAA", &format!("NoError aa | c1.example CNAME, c2.example CNAME | {DENIED} ")),
        ("x.alias.example", "A", "NoError aa | x.alias.example CNAME, mail.example A |  | "),
        ("cx.example", "A", &format!("NXDomain aa | cx.example CNAME | {DENIED} ")),
        ("cd.example", "A", &format!("NoError aa | cd.example CNAME | {REFERRED}")),
        ("co.example", "A", "NoError aa | co.example CNAME |  | "),
        ("cn.example", "A", "NoError aa | cn.example CNAME |  | "),
        ("cf.example", "A", "NoError aa | cf.example CNAME |  | "),
        ("ce.example", "A", "NoError aa | ce.example CNAME |  | "),
        ("loop.example", "A", "NoError aa | loop.example CNAME, pool.example CNAME |  | "),
        // Referrals, without AA; what is below a cut is glue at most.
        ("del.example", "A", &format!("NoError |  | {REFERRED}")),
        ("del.example", "NS", &format!("NoError |  | {REFERRED}")),
        ("ns1.del.example", "A", &format!("NoError |  | {REFERRED}")),
        ("deep.under.del.example", "A", &format!("NoError |  | {REFERRED}")),
        ("no.such.del.example", "A", &format!("NoError |  | {REFERRED}")),
        ("no.del.example", "DS", &format!("NoError |  | {REFERRED}")),
        ("mdel.example", "MX", "NoError aa | mdel.example MX |  | "),
        // DS is the parent's, at the cut and where it has none.
        ("del.example", "DS", "NoError aa | del.example DS |  | "),
        ("sib.example", "DS", &format!("NoError aa |  | {DENIED} ")),
        ("child.example", "DS", "NoError aa | child.example DS |  | "),
        ("example", "DS", &format!("NoError aa |  | {DENIED} ")),
        ("child.example", "NS", "NoError aa | child.example NS |  | "),
        ("www.child.example", "A", "NoError aa | www.child.example A |  | "),
        // ANY is kept small.
        ("both.example", "ANY", "NoError aa | both.example A |  | "),
        ("c1.example", "ANY", "NoError aa | c1.example CNAME |  | "),
        ("_tcp.example", "ANY", &format!("NoError aa |  | {DENIED} ")),
        ("no.example", "ANY", &format!("NXDomain aa |  | {DENIED} ")),
        // What no zone has.
        ("example", "MAILA", &format!("NoError aa |  | {DENIED} ")),
        ("no.example", "OPT", &format!("NXDomain aa |  | {DENIED} ")),
        // What is not a question for us.
        ("example", "AXFR", "Refused |  |  | "),
        ("example.org", "A", "Refused |  |  | "),
        (".", "NS", "Refused |  |  | "),
        ("www.expired.test", "A", "ServFail |  |  | "),
        ("empty.test", "SOA", "ServFail |  |  | "),
    ] {
        assert_eq!(shown(&ask(&zones, qname, qtype, CLASS_IN)), wanted, "{qname} {qtype}");
    }
}

#[test]
fn negative_answers_are_kept_for_the_lower_of_ttl_and_minimum() {
    let zones = example();
    assert_eq!(ask(&zones, "no.example", "A", CLASS_IN).authorities[0].ttl, 300);
    assert_eq!(ask(&zones, "no.other.test", "A", CLASS_IN).authorities[0].ttl, 60);
    assert_eq!(ask(&zones, "example", "SOA", CLASS_IN).answers[0].ttl, 3600);
}

#[test]
fn the_owner_is_in_the_case_of_the_question() {
    let question = Question { name: b"\x01A\x01W\x07eXample\0", qtype: 1, qclass: CLASS_IN };
    let answer = answered(&example(), &question, false, 512);
    assert_eq!(wire(&answer.queries[0].name), question.name);
    assert_eq!(wire(&answer.answers[0].name), question.name);
}

#[test]
fn chains_are_bounded() {
    let text = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    let links = (0..100).map(|link| format!("c{link} CNAME c{}\n", link + 1));
    let zones = zones(&[("example", &(text + &links.collect::<String>()))]);
    assert_eq!(ask(&zones, "c0.example", "A", CLASS_IN).answers.len(), MAX_CHAIN + 1);
}

#[test]
fn the_server_says_who_it_is_and_no_more() {
    let zones = example();
    let text = |qname: &str, qtype: &str| {
        let got = ask(&zones, qname, qtype, CLASS_CH);
        let part = got
            .answers
            .first()
            .map(|record| (u16::from(record.dns_class), record.ttl, record.data.to_string()));
        (got.metadata.response_code, part)
    };
    let (good, refused) = (ResponseCode::NoError, ResponseCode::Refused);
    assert_eq!(text("id.server", "TXT"), (good, Some((CLASS_CH, 0, "london-a".to_owned()))));
    assert_eq!(text("HOSTNAME.bind", "ANY"), text("id.server", "TXT"));
    assert_eq!(text("version.bind", "TXT"), text("version.server", "TXT"));
    assert_eq!(text("id.server", "A"), (refused, None));
    assert_eq!(text("authors.bind", "TXT"), (refused, None));
    assert_eq!(text("example", "SOA"), (refused, None));
}
