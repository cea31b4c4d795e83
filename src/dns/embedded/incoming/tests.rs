use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::dns::embedded::delta;
use crate::dns::embedded::testing;
use crate::dns::embedded::transfer;
use crate::dns::embedded::zone::Zone;

const LIMITS: TransferLimits = TransferLimits { records: 2000, octets: 1 << 20, ..TransferLimits::DEFAULT };
const ID: u16 = 0x1234;

fn apex() -> DomainName {
    "example.org".parse().unwrap()
}

fn zone(serial: u32, names: usize) -> Zone {
    testing::zone(&apex(), serial, names)
}

/// What we ourselves send of a zone with so many names.
fn messages(names: usize) -> Vec<Vec<u8>> {
    let zone = Arc::new(zone(7, names));
    testing::messages(&mut testing::axfr(zone, ID))
}

/// The zone that these messages lead to, from `have` if it is differences that were asked for.
fn take(messages: &[Vec<u8>], have: Option<&Zone>, limits: TransferLimits) -> Result<Zone, IncomingError> {
    let mut incoming = Incoming::new(ID, &apex(), have.map(Zone::serial), limits);
    for (position, message) in messages.iter().enumerate() {
        assert_eq!(incoming.message(message)?, position + 1 == messages.len());
    }
    match (incoming.finish(), have) {
        (Some(Received::Whole(builder)), _) => {
            builder.finish().map_err(|faults| IncomingError::Record(faults[0].clone()))
        }
        (Some(Received::Steps(steps)), Some(have)) => Ok(delta::apply(have, &steps)?),
        (other, _) => panic!("{other:?}"),
    }
}

/// One message of these records, each a part of a zone: its SOA record, or a name of `testing::zone`.
fn ixfr(records: &[(DomainName, u16, Vec<u8>)]) -> Vec<u8> {
    let mut message =
        [&ID.to_be_bytes()[..], &[0x84, 0, 0, 1], &(records.len() as u16).to_be_bytes()].concat();
    message.extend([0; 4]);
    message.extend([apex().as_wire(), &rtype::IXFR.to_be_bytes(), &[0, 1]].concat());
    for (owner, rtype, rdata) in records {
        let ttl = if *owner == apex() { 3600_u32 } else { 60 };
        message.extend([owner.as_wire(), &rtype.to_be_bytes(), &[0, 1], &ttl.to_be_bytes()].concat());
        message.extend([&(rdata.len() as u16).to_be_bytes(), &rdata[..]].concat());
    }
    message
}

fn soa(serial: u32) -> (DomainName, u16, Vec<u8>) {
    (apex(), rtype::SOA, zone(serial, 0).soa_set().rdatas().next().unwrap().to_vec())
}

/// The TXT record of a name of `testing::zone` at this serial.
fn txt(serial: u32, number: usize) -> (DomainName, u16, Vec<u8>) {
    let text = format!("{serial} {number}");
    let rdata = [&[text.len() as u8], text.as_bytes()].concat();
    (format!("n{number}.example.org").parse().unwrap(), 16, rdata)
}

#[test]
fn what_we_send_is_what_we_take() {
    let sent = messages(900);
    assert!(sent.len() > 1, "more than one message");
    assert_eq!(take(&sent, None, LIMITS).unwrap(), zone(7, 900));
}

#[test]
fn too_much_is_refused() {
    let sent = messages(100);
    let mut incoming = Incoming::new(ID, &apex(), None, LIMITS);
    assert_eq!(incoming.message(&sent[0]), Ok(true));
    let within = |records, octets| take(&sent, None, TransferLimits { records, octets, ..LIMITS });
    // SOA, NS, the names, SOA.
    assert!(within(103, incoming.octets).is_ok());
    assert!(matches!(within(102, incoming.octets), Err(IncomingError::TooLarge(_))));
    assert!(matches!(within(103, incoming.octets - 1), Err(IncomingError::TooLarge(_))));
}

#[test]
fn differences_lead_to_the_new_zone_however_they_are_cut() {
    // From 1 to 3 by 2: what changes is the text of the names.
    let records =
        [soa(3), soa(1), txt(1, 0), soa(2), txt(2, 0), soa(2), txt(2, 0), soa(3), txt(3, 0), soa(3)];
    let have = zone(1, 1);
    assert_eq!(take(&[ixfr(&records)], Some(&have), LIMITS).unwrap(), zone(3, 1));
    for cut in 1..records.len() {
        let cut = [ixfr(&records[..cut]), ixfr(&records[cut..])];
        assert_eq!(take(&cut, Some(&have), LIMITS).unwrap(), zone(3, 1));
    }
    let one_by_one: Vec<_> = records.chunks(1).map(ixfr).collect();
    assert_eq!(take(&one_by_one, Some(&have), LIMITS).unwrap(), zone(3, 1));
    // Condensed, and as a whole zone.
    let condensed = [soa(3), soa(1), txt(1, 0), soa(3), txt(3, 0), soa(3)];
    assert_eq!(take(&[ixfr(&condensed)], Some(&have), LIMITS).unwrap(), zone(3, 1));
    let ns = (apex(), rtype::NS, b"\x02ns\x07example\0".to_vec());
    let whole = [soa(3), ns, txt(3, 0), soa(3)];
    assert_eq!(take(&[ixfr(&whole)], Some(&have), LIMITS).unwrap(), zone(3, 1));
}

#[test]
fn a_zone_does_not_grow_beyond_the_limits_by_differences() {
    let have = zone(1, 50);
    // A whole transfer counts the closing SOA record, too.
    let mut whole = Incoming::new(ID, &apex(), None, LIMITS);
    testing::messages(&mut testing::axfr(Arc::new(zone(1, 50)), ID))
        .iter()
        .for_each(|message| drop(whole.message(message)));
    let (_, _, data) = soa(1);
    assert_eq!(have.record_octets(), whole.octets - apex().as_wire().len() - 10 - data.len());

    let grow = |limits| {
        let mut incoming = Incoming::new(ID, &apex(), Some(Serial(1)), limits);
        assert_eq!(incoming.message(&ixfr(&[soa(3), soa(1), soa(3), txt(3, 50), soa(3)])), Ok(true));
        transfer::finish(incoming, Some(&have), limits).map(|transferred| transferred.zone)
    };
    let grown = grow(LIMITS).unwrap();
    let limits = TransferLimits { records: grown.record_count(), octets: grown.record_octets(), ..LIMITS };
    assert!(grow(limits).is_ok());
    for (limits, words) in [
        (TransferLimits { records: limits.records - 1, ..limits }, "53 records now"),
        (TransferLimits { octets: limits.octets - 1, ..limits }, "octets of records now"),
    ] {
        let why = grow(limits).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn serials_wrap_around_and_half_the_circle_is_no_order() {
    for (have, serial, newer) in [
        (u32::MAX, 0, true),
        (u32::MAX, 0x7fff_fffe, true),
        (u32::MAX, 0x7fff_ffff, false),
        (0xffff_fff0, 5, true),
        (5, 0xffff_fff0, false),
        (0, 0x7fff_ffff, true),
        (0, 0x8000_0000, false),
        (0x8000_0000, 0, false),
    ] {
        let have = zone(have, 1);
        let whole = [soa(serial), (apex(), rtype::NS, b"\x02ns\x07example\0".to_vec()), soa(serial)];
        let old = have.serial().0;
        let steps = [soa(serial), soa(old), txt(old, 0), soa(serial), txt(serial, 0), soa(serial)];
        for records in [&whole[..], &steps[..]] {
            let mut incoming = Incoming::new(ID, &apex(), Some(have.serial()), LIMITS);
            // Where it is not newer, one record says so.
            let records = if newer { records } else { &records[..1] };
            assert_eq!(incoming.message(&ixfr(records)), Ok(true), "{old} to {serial}");
            let taken = transfer::finish(incoming, Some(&have), LIMITS);
            assert_eq!(taken.is_ok(), newer, "{old} to {serial}");
            assert!(taken.is_err() || taken.unwrap().zone.serial() == Serial(serial));
        }
    }
}

#[test]
fn one_soa_record_that_is_not_newer_says_that_we_are_current() {
    for (serial, current) in [(1, true), (0, true), (0x8000_0001, true), (2, false)] {
        let mut incoming = Incoming::new(ID, &apex(), Some(Serial(1)), LIMITS);
        assert_eq!(incoming.message(&ixfr(&[soa(serial)])), Ok(current), "{serial}");
        assert_eq!(incoming.finish().is_some(), current);
    }
}

#[test]
fn differences_that_lead_nowhere_are_refused() {
    let refused = |records: &[_]| take(&[ixfr(records)], Some(&zone(1, 1)), LIMITS).unwrap_err().to_string();
    for (records, words) in [
        (vec![soa(3), soa(1), txt(1, 0), soa(2), txt(2, 0), soa(3)], "followed by one from 3"),
        (vec![soa(3), soa(1), soa(1), soa(3)], "from serial 1 to 1"),
        (vec![soa(4), soa(1), soa(3), soa(3), soa(2), soa(2), soa(4), soa(4)], "from serial 3 to 2"),
        (vec![soa(3), soa(1), soa(4), soa(4), soa(3), soa(3)], "to serial 4, beyond 3"),
        (vec![soa(3), soa(2), soa(3), soa(3)], "closing SOA"),
        (
            vec![soa(3), soa(1), txt(9, 0), soa(3), soa(3)],
            "removes a TXT record of n0.example.org that is not",
        ),
        (
            vec![soa(3), soa(1), soa(3), txt(1, 0), soa(3)],
            "adds a TXT record of n0.example.org that is there",
        ),
        (vec![soa(3), soa(1), soa(3), soa(3), txt(3, 0)], "after the closing"),
        (vec![soa(1), txt(1, 0)], "after the closing"),
        (vec![txt(1, 0), soa(3)], "did not begin"),
    ] {
        let why = refused(&records);
        assert!(why.contains(words), "{why}");
    }
    let other = ("www.example.net".parse().unwrap(), 1, vec![192, 0, 2, 1]);
    assert!(refused(&[soa(3), soa(1), soa(3), other, soa(3)]).contains("not in the zone"));
}

#[test]
fn the_serial_is_read_from_an_authoritative_answer_only() {
    let mut answer = ixfr(&[soa(7)]);
    let qtype = 12 + apex().as_wire().len();
    answer[qtype + 1] = 6;
    assert_eq!(soa_answer(ID, &apex(), &answer), Ok(Serial(7)));
    let with = |at: usize, octet: u8| {
        let mut answer = answer.clone();
        answer[at] = octet;
        soa_answer(ID, &apex(), &answer).unwrap_err()
    };
    assert_eq!(with(2, 0x80), IncomingError::NotOurs("it is not authoritative for the zone"));
    assert_eq!(with(2, 0x86), IncomingError::Malformed("it is truncated".to_owned()));
    assert_eq!(with(3, 5), IncomingError::Rcode(Rcode::REFUSED));
    assert_eq!(with(5, 0), IncomingError::NotOurs("it does not have one question"));
    assert_eq!(with(7, 0), IncomingError::NotOurs("there is no SOA record in it"));
    assert_eq!(with(13, b'x'), IncomingError::NotOurs("the question differs"));
}

/// Whether this stream ends, as a stream that was closed properly does, with the SOA record that it began with.
fn feed(messages: &[Vec<u8>], since: Option<Serial>) -> Option<Received> {
    let mut incoming = Incoming::new(ID, &apex(), since, LIMITS);
    for message in messages {
        if incoming.message(message).ok()? {
            return incoming.finish();
        }
    }
    assert!(incoming.finish().is_none(), "nothing comes of a stream that has not ended");
    None
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_octets_make_an_error_or_a_closed_zone(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        since in prop::option::of(Just(Serial(1))),
    ) {
        let differences =
            [soa(3), soa(1), txt(1, 0), soa(2), txt(2, 0), soa(2), txt(2, 0), soa(3), txt(3, 0), soa(3)];
        let mut sent = match since {
            Some(_) => differences.chunks(3).map(ixfr).collect::<Vec<_>>(),
            None => messages(300),
        };
        let count = sent.len();
        for (at, octet) in changes {
            // Past the header, or nothing but the id and the flags would be tried.
            let message = &mut sent[at.index(count)];
            let at = 12 + at.index(message.len() - 12);
            message[at] = octet;
        }
        let short = feed(&sent[..cut.index(count)], since);
        prop_assert!(!matches!(short, Some(Received::Whole(_))), "a whole zone before the last message");
        match feed(&sent, since) {
            Some(Received::Whole(builder)) => drop(builder.finish()),
            Some(Received::Steps(steps)) => drop(delta::apply(&zone(1, 1), &steps)),
            Some(Received::Current(_)) | None => (),
        }
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_no_zone(cut in any::<prop::sample::Index>()) {
        let mut sent = messages(300);
        let at = cut.index(sent.iter().map(Vec::len).sum());
        let mut left = at;
        sent.retain_mut(|message| {
            let keep = left.min(message.len());
            message.truncate(keep);
            left -= keep;
            keep > 0
        });
        prop_assert!(feed(&sent, None).is_none(), "cut at {at}");
    }

    #[test]
    fn any_octets_are_taken_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let header = [0x12, 0x34, 0x84, 0, 0, 0, 0, 9, 0, 0, 0, 0];
        for since in [None, Some(Serial(1))] {
            for message in [octets.clone(), [&header, &octets[..]].concat()] {
                prop_assert!(feed(std::slice::from_ref(&message), since).is_none());
                let question = ixfr(&[])[12..].to_vec();
                let _ = feed(&[[&message[..12.min(message.len())], &question, &octets].concat()], since);
            }
        }
        let _ = soa_answer(ID, &apex(), &octets);
        let _ = soa_answer(ID, &apex(), &[&header, &octets[..]].concat());
    }
}
