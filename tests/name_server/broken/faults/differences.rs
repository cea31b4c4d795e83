//! Answers to IXFR.

use std::time::Duration;

use super::Step::{Repeat, Reset, Send, Silence};
use super::{Ask, Fault, IXFR, Step, fault, full, rcode, record, soa_data};

/// Answers to IXFR that are broken, of primaries that have the whole zone for whoever asks for it.
pub const DIFFERENCES: &[Fault] = &[
    fault("sends a good difference", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("removes what is not there", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 7), ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("adds what is there", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), ask.a(b"www", 1), ask.soa(2)])
    }),
    fault("removes the NS records", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.ns(), ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("adds a name outside", "", |ask| {
        let outside = record(b"\x03www\x05other\x04test\0", 1, &[192, 0, 2, 2]);
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), outside, ask.soa(2)])
    }),
    fault("leads on from another serial", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(0), ask.a(b"www", 1), ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("leaves a step out", "", |ask| {
        ixfr(ask, &[ask.soa(4), ask.soa(1), ask.soa(2), ask.soa(3), ask.soa(4), ask.soa(4)])
    }),
    fault("leads back", "", |ask| {
        ixfr(
            ask,
            &[ask.soa(4), ask.soa(1), ask.soa(3), ask.soa(3), ask.soa(2), ask.soa(2), ask.soa(4), ask.soa(4)],
        )
    }),
    fault("leads in a circle", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(1), ask.soa(1), ask.soa(2), ask.soa(2)])
    }),
    fault("ends with another SOA record", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(2), ask.a(b"www", 2), ask.soa(5)])
    }),
    fault("does not end", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(2), ask.a(b"www", 2)])
    }),
    fault("removes another SOA record", "", |ask| {
        let other = record(&ask.apex, 6, &[b"\x05other\0", &soa_data(1)[12..]].concat());
        ixfr(ask, &[ask.soa(2), other, ask.a(b"www", 1), ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("adds another SOA record", "", |ask| {
        let other = record(&ask.apex, 6, &[b"\x05other\0", &soa_data(2)[12..]].concat());
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), other, ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("removes a record twice", "", |ask| {
        let www = ask.a(b"www", 1);
        ixfr(ask, &[ask.soa(2), ask.soa(1), www.clone(), www, ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("adds a record twice", "", |ask| {
        let www = ask.a(b"www", 2);
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(2), www.clone(), www, ask.soa(2)])
    }),
    fault("adds a CNAME beside an address", "", |ask| {
        let cname = record(&ask.below(b"www"), 5, b"\x01a\x07example\0");
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), cname, ask.soa(2)])
    }),
    fault("adds a record of class CH", "", |ask| {
        let www = full(&ask.below(b"x"), 1, 3, 60, 4, &[192, 0, 2, 2]);
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), www, ask.soa(2)])
    }),
    fault("adds malformed data", "", |ask| {
        let www = record(&ask.below(b"x"), 1, &[192, 0, 2]);
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), www, ask.soa(2)])
    }),
    fault("adds OPT", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), record(b"\0", 41, &[]), ask.soa(2)])
    }),
    fault("adds a SOA record below the apex", "", |ask| {
        let soa = record(&ask.below(b"x"), 6, &soa_data(2));
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), soa, ask.soa(2)])
    }),
    fault("leads beyond the opening serial", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.soa(3), ask.soa(3), ask.soa(4), ask.soa(2)])
    }),
    fault("leads on for ever", "", |ask| match ask.qtype {
        IXFR => {
            let steps: Vec<_> = (1..100).flat_map(|n| [ask.soa(2 * n), ask.soa(2 * n + 1)]).collect();
            vec![
                Send(ask.reply(&[ask.soa(0x7000_0000), ask.soa(1)])),
                Repeat(ask.reply(&steps), Duration::ZERO),
            ]
        }
        _ => vec![Send(ask.whole(2))],
    }),
    fault("removes records for ever", "", |ask| match ask.qtype {
        IXFR => {
            let more = ask.reply(&vec![ask.a(b"www", 1); 50]);
            vec![Send(ask.reply(&[ask.soa(2), ask.soa(1)])), Repeat(more, Duration::ZERO)]
        }
        _ => vec![Send(ask.whole(2))],
    }),
    fault("goes on after the end of a difference", "", |ask| {
        ixfr(
            ask,
            &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(2), ask.a(b"www", 2), ask.soa(2), ask.ns()],
        )
    }),
    fault("sends a whole zone that is broken", "", |ask| {
        ixfr(ask, &[ask.soa(2), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("sends a whole zone that is cut", "", |ask| ixfr(ask, &[ask.soa(2), ask.ns(), ask.a(b"www", 2)])),
    fault("resets within a difference", "", |ask| match ask.qtype {
        IXFR => vec![Send(ask.reply(&[ask.soa(2), ask.soa(1), ask.a(b"www", 1)])), Reset],
        _ => vec![Send(ask.whole(2))],
    }),
    fault("answers with the question of AXFR", "", |ask| match ask.qtype {
        IXFR => {
            let mut reply = ask.whole(2);
            reply[12 + ask.apex.len() + 1] = 252;
            vec![Send(reply)]
        }
        _ => vec![Send(ask.whole(2))],
    }),
    fault("sends one newer SOA record", "", |ask| ixfr(ask, &[ask.soa(2)])),
    fault("says that we are current", "", |ask| ixfr(ask, &[ask.soa(1)])),
    fault("says that we are ahead", "", |ask| ixfr(ask, &[ask.soa(0)])),
    fault("has no difference", "", |ask| ixfr(ask, &[])),
    fault("does not know IXFR: FORMERR", "", |ask| only_axfr(ask, 1)),
    fault("does not know IXFR: NOTIMP", "", |ask| only_axfr(ask, 4)),
    fault("does not know IXFR: SERVFAIL", "", |ask| only_axfr(ask, 2)),
    fault("does not know IXFR: REFUSED", "", |ask| only_axfr(ask, 5)),
    fault("condenses its differences", "", |ask| {
        let with = |ttl: u32| full(&ask.below(b"www"), 1, 1, ttl, 4, &[192, 0, 2, 2]);
        ixfr(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(2), with(7), ask.soa(2)])
    }),
    fault("removes and adds the same record", "", |ask| {
        let www = [ask.a(b"www", 1), ask.ns()];
        ixfr(
            ask,
            &[
                ask.soa(2),
                ask.soa(1),
                www[0].clone(),
                www[1].clone(),
                ask.soa(2),
                www[1].clone(),
                ask.a(b"www", 2),
                ask.soa(2),
            ],
        )
    }),
    fault("has no IXFR: closes the connection", "", |ask| match ask.qtype {
        IXFR => vec![],
        _ => vec![Send(ask.whole(2))],
    }),
    fault("is silent to IXFR", "", |ask| match ask.qtype {
        IXFR => vec![Silence],
        _ => vec![Send(ask.whole(2))],
    }),
];

/// These records for IXFR, the whole zone for AXFR.
fn ixfr(ask: &Ask, records: &[Vec<u8>]) -> Vec<Step> {
    vec![Send(if ask.qtype == IXFR { ask.reply(records) } else { ask.whole(2) })]
}

fn only_axfr(ask: &Ask, refusal: u8) -> Vec<Step> {
    if ask.qtype == IXFR { rcode(ask, refusal) } else { vec![Send(ask.whole(2))] }
}

/// Answers to IXFR that are broken, of primaries that have nothing better for whoever asks for the whole zone; the
/// problem says both.
pub const DIFFERENCES_AND_ZONES: &[Fault] = &[
    fault("removes what is not there, and refuses AXFR", "that is not there)", |ask| {
        broken(ask, &[ask.soa(2), ask.soa(1), ask.a(b"x", 7), ask.soa(2), ask.soa(2)])
    }),
    fault("adds what is there, and refuses AXFR", "that is there already)", |ask| {
        broken(ask, &[ask.soa(2), ask.soa(1), ask.soa(2), ask.a(b"www", 1), ask.soa(2)])
    }),
    fault("leads to no zone, and refuses AXFR", "no NS record at its apex)", |ask| {
        broken(ask, &[ask.soa(2), ask.soa(1), ask.ns(), ask.soa(2), ask.soa(2)])
    }),
    fault("leads back, and refuses AXFR", "which is not newer)", |ask| {
        broken(ask, &[ask.soa(4), ask.soa(1), ask.soa(1), ask.soa(4), ask.soa(4)])
    }),
    fault("leaves a step out, and refuses AXFR", "followed by one from 3)", |ask| {
        broken(ask, &[ask.soa(4), ask.soa(1), ask.soa(2), ask.soa(3), ask.soa(4), ask.soa(4)])
    }),
    fault("leads from elsewhere, and refuses AXFR", "closing SOA record differs", |ask| {
        broken(ask, &[ask.soa(4), ask.soa(2), ask.soa(4), ask.soa(4)])
    }),
    fault("says that we are current, and refuses AXFR", "than it sent, 1)", |ask| broken(ask, &[ask.soa(1)])),
    fault("has the same serial with other data, and refuses AXFR", "from serial 1 to 1", |ask| {
        broken(ask, &[ask.soa(2), ask.soa(1), ask.a(b"www", 1), ask.soa(1), ask.a(b"www", 2), ask.soa(2)])
    }),
    fault("grows without end, and refuses AXFR", "4000 records", |ask| match ask.qtype {
        IXFR => {
            let more = |n: u32| record(&ask.below(format!("x{n}").as_bytes()), 1, &n.to_be_bytes());
            let more = ask.reply(&(0..100).map(more).collect::<Vec<_>>());
            vec![Send(ask.reply(&[ask.soa(2), ask.soa(1), ask.soa(2)])), Repeat(more, Duration::ZERO)]
        }
        _ => rcode(ask, 5),
    }),
    fault("knows neither IXFR nor AXFR", "NOTIMP (and before", |ask| rcode(ask, 4)),
];

/// These records for IXFR, and REFUSED for AXFR.
fn broken(ask: &Ask, records: &[Vec<u8>]) -> Vec<Step> {
    if ask.qtype == IXFR { vec![Send(ask.reply(records))] } else { rcode(ask, 5) }
}
