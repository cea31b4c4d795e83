//! The algorithm of RFC 1034 and RFC 4592 over an unsorted list of records, as slow and plain as can be: what the
//! sorted store must agree with.

use proptest::prelude::*;

use super::*;
use crate::dns::embedded::zone::ZoneBuilder;

const TYPES: [u16; 5] = [rtype::A, rtype::NS, rtype::CNAME, rtype::TXT, rtype::DS];

/// Owner, type and, for NS and CNAME, the target.
type Record = (DomainName, u16, DomainName);

fn at<'r>(records: &'r [Record], owner: &DomainName, rtype: u16) -> Option<&'r Record> {
    records.iter().find(|record| record.0 == *owner && record.1 == rtype)
}

fn exists(records: &[Record], name: &DomainName) -> bool {
    records.iter().any(|record| record.0.is_within(name))
}

/// The name and all above it down from `apex`, longest first.
fn upwards(name: &DomainName, apex: &DomainName) -> Vec<DomainName> {
    let up = std::iter::successors(Some(name.clone()), DomainName::parent);
    up.take_while(|name| name.is_within(apex)).collect()
}

fn naive(records: &[Record], apex: &DomainName, qname: &DomainName, qtype: u16) -> String {
    let mut answers: Vec<String> = Vec::new();
    let mut seen = vec![qname.clone()];
    let say = |rcode: &str, aa: bool, answers: &[String], authority: String| {
        format!("{rcode}{} | {} | {authority}", if aa { " aa" } else { "" }, answers.join(", "))
    };
    loop {
        let name = seen[seen.len() - 1].clone();
        if !name.is_within(apex) {
            return say(
                if seen.len() > 1 { "NoError" } else { "Refused" },
                seen.len() > 1,
                &answers,
                String::new(),
            );
        }
        let cut = upwards(&name, apex).into_iter().rev().find(|above| {
            above != apex
                && at(records, above, rtype::NS).is_some()
                && !(qtype == rtype::DS && *above == name)
        });
        if let Some(cut) = cut {
            return say("NoError", seen.len() > 1, &answers, format!("{cut} NS"));
        }
        let source = if exists(records, &name) {
            Some(name.clone())
        } else {
            let encloser = upwards(&name, apex).into_iter().find(|above| exists(records, above)).unwrap();
            let wildcard: DomainName = format!("*.{encloser}").parse().unwrap();
            exists(records, &wildcard).then_some(wildcard)
        };
        let Some(source) = source else { return say("NXDomain", true, &answers, format!("{apex} SOA")) };
        if at(records, &source, qtype).is_some() {
            answers.push(format!("{name} {}", type_name(qtype)));
            return say("NoError", true, &answers, String::new());
        }
        let Some((_, _, target)) = at(records, &source, rtype::CNAME) else {
            return say("NoError", true, &answers, format!("{apex} SOA"));
        };
        answers.push(format!("{name} CNAME"));
        if seen.contains(target) || seen.len() > MAX_CHAIN {
            return say("NoError", true, &answers, String::new());
        }
        seen.push(target.clone());
    }
}

fn some_name() -> impl Strategy<Value = DomainName> {
    let label = prop::sample::select(vec!["a", "b", "*", r"\000", "ab"]);
    prop::collection::vec(label, 0..5).prop_map(|labels| {
        let text: String = labels.iter().map(|label| format!("{label}.")).collect();
        format!("{text}example").parse().unwrap()
    })
}

fn some_records() -> impl Strategy<Value = Vec<Record>> {
    let record = (some_name(), prop::sample::select(TYPES.to_vec()), some_name());
    prop::collection::vec(record, 0..12).prop_map(|records| {
        let apex = name("example");
        let mut kept: Vec<Record> = vec![(apex.clone(), rtype::NS, name("ns.example.org"))];
        for record in records {
            let alone =
                |other: &Record| other.0 != record.0 || (other.1 != rtype::CNAME && record.1 != rtype::CNAME);
            // The apex has a SOA, so no CNAME.
            if (record.0 != apex || record.1 != rtype::CNAME) && kept.iter().all(alone) {
                kept.push(record);
            }
        }
        kept
    })
}

fn build(records: &[Record]) -> Zone {
    let apex = name("example");
    let mut builder = ZoneBuilder::new(apex.clone());
    for (owner, rtype, target) in records {
        let rdata = match *rtype {
            rtype::A => &[192, 0, 2, 1][..],
            rtype::TXT => b"\x01x",
            rtype::DS => b"\0\x01\x08\x02\0",
            _ => target.as_wire(),
        };
        builder.push(owner, *rtype, 60, rdata).unwrap();
    }
    let soa = [apex.as_wire(), apex.as_wire(), &[0; 20]].concat();
    builder.push(&apex, rtype::SOA, 60, &soa).unwrap();
    builder.finish().unwrap()
}

/// RCODE, AA, and owners and types of the answer and the authority section, as `naive` says them.
fn plain(answer: &Message) -> String {
    let section = |records: &[hickory_proto::rr::Record]| {
        let part = |record: &hickory_proto::rr::Record| {
            format!("{} {}", owner(record), type_name(record.record_type().into()))
        };
        let mut parts: Vec<String> = records.iter().map(part).collect();
        parts.dedup();
        parts.join(", ")
    };
    let aa = if answer.metadata.authoritative { " aa" } else { "" };
    let (answers, authority) = (section(&answer.answers), section(&answer.authorities));
    format!("{:?}{aa} | {answers} | {authority}", answer.metadata.response_code)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_the_list_does(records in some_records(), qnames in prop::collection::vec(some_name(), 8)) {
        let zones = Zones::new();
        zones.serve(Arc::new(build(&records)));
        for qname in qnames {
            for qtype in TYPES {
                let question = Question { name: qname.as_wire(), qtype, qclass: CLASS_IN };
                let got = plain(&answered(&zones, &question, false, 65_535));
                prop_assert_eq!(got, naive(&records, &name("example"), &qname, qtype), "{} {}", qname, qtype);
            }
        }
    }
}
