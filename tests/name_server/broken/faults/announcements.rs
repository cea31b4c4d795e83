//! Answers to the SOA query, by UDP and by TCP.

use std::time::Duration;

use super::Step::{Drip, Raw, Repeat, Reset, Send, Silence};
use super::{Announce, Ask, Fault, Script, announce, full, record, soa_data};

const DATA: &str = "malformed";
const NONE: &str = "no SOA record";
const BACKWARDS: &str = "does not lead backwards";

/// A primary whose answer to the SOA query is broken.
const fn by_udp(name: &'static str, words: &'static str, announce: Announce) -> Fault {
    Fault { name, words, announce, by_tcp: None, script: |ask| vec![Send(ask.whole(2))] }
}

/// One that says nothing by UDP, and this by TCP.
const fn by_tcp(name: &'static str, words: &'static str, script: Script) -> Fault {
    let announce: Announce = |_| Vec::new();
    Fault { name, words, announce, by_tcp: Some(script), script: |ask| vec![Send(ask.whole(2))] }
}

/// An answer to the SOA query with some octets changed.
fn changed(ask: &Ask, change: fn(&mut Vec<u8>)) -> Vec<Vec<u8>> {
    let mut answers = announce(ask, 2);
    change(&mut answers[0]);
    answers
}

/// An authoritative answer with these records.
fn reply(ask: &Ask, records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![ask.reply(records)]
}

fn truncated(ask: &Ask) -> Vec<u8> {
    let mut answer = ask.reply(&[]);
    answer[2] |= 2;
    answer
}

pub const ANNOUNCEMENTS: &[Fault] = &[
    by_udp("is not authoritative", "not authoritative", |ask| changed(ask, |octets| octets[2] &= !4)),
    by_udp("says SERVFAIL to the SOA query", "SERVFAIL", |ask| changed(ask, |octets| octets[3] |= 2)),
    by_udp("says NXDOMAIN to the SOA query", "NXDOMAIN", |ask| changed(ask, |octets| octets[3] |= 3)),
    by_udp("says REFUSED to the SOA query", "REFUSED", |ask| changed(ask, |octets| octets[3] |= 5)),
    by_udp("says NOTAUTH to the SOA query", "NOTAUTH", |ask| changed(ask, |octets| octets[3] |= 9)),
    by_udp("answers a SOA query with an address", NONE, |ask| reply(ask, &[ask.a(b"www", 2)])),
    by_udp("answers a SOA query with another zone's", NONE, |ask| {
        reply(ask, &[record(b"\x05other\x04test\0", 6, &soa_data(2))])
    }),
    by_udp("answers a SOA query with its parent's", NONE, |ask| {
        reply(ask, &[record(b"\x04test\0", 6, &soa_data(2))])
    }),
    by_udp("answers a SOA query with nothing", NONE, |ask| reply(ask, &[])),
    by_udp("answers a SOA query with class CH", NONE, |ask| {
        let soa = soa_data(2);
        reply(ask, &[full(&ask.apex, 6, 3, 60, soa.len(), &soa)])
    }),
    by_udp("has its SOA record in the authority section", NONE, |ask| {
        changed(ask, |octets| octets.swap(7, 9))
    }),
    by_udp("has two SOA records", "more than one SOA record", |ask| reply(ask, &[ask.soa(2), ask.soa(3)])),
    by_udp("has a CNAME beside its SOA record", "a CNAME record", |ask| {
        reply(ask, &[record(&ask.apex, 5, b"\x01a\x07example\0"), ask.soa(2)])
    }),
    by_udp("has a malformed SOA record", DATA, |ask| reply(ask, &[record(&ask.apex, 6, &[0; 21])])),
    by_udp("has a SOA record of no octets", DATA, |ask| reply(ask, &[record(&ask.apex, 6, &[])])),
    by_udp("has a SOA record with more", DATA, |ask| {
        reply(ask, &[record(&ask.apex, 6, &[&soa_data(2)[..], &[0]].concat())])
    }),
    by_udp("answers another question", "the question differs", |ask| {
        changed(ask, |octets| octets[13] = b'x')
    }),
    by_udp("answers no question", "one question", |ask| {
        changed(ask, |octets| {
            octets[5] = 0;
            let end = octets.iter().skip(12).position(|octet| *octet == 0).unwrap() + 12 + 5;
            octets.drain(12..end);
        })
    }),
    by_udp("cuts its answer", "is cut off", |ask| changed(ask, |octets| octets.truncate(40))),
    by_udp("counts 65535 answers", "cannot be read", |ask| changed(ask, |octets| octets[6..8].fill(0xff))),
    by_udp("points forward", BACKWARDS, |ask| reply(ask, &[record(b"\xff\xff", 6, &soa_data(2))])),
    by_udp("points to itself", BACKWARDS, |ask| {
        let at = (12 + ask.question().len()) as u16;
        reply(ask, &[record(&(0xc000 | at).to_be_bytes(), 6, &soa_data(2))])
    }),
    by_udp("points back and forth in its SOA record", BACKWARDS, |ask| {
        let data = 12 + ask.question().len() + ask.apex.len() + 10;
        let pointers = [data + 2, data].map(|at| (0xc000 | at as u16).to_be_bytes()).concat();
        reply(ask, &[record(&ask.apex, 6, &[&pointers[..], &[0; 20]].concat())])
    }),
    by_udp("has gone back", "serial 0 is not newer than ours, 1", |ask| announce(ask, 0)),
    by_udp("is half the circle away", "not newer than ours", |ask| announce(ask, 0x8000_0001)),
    by_udp("is a little more than half the circle away", "not newer than ours", |ask| {
        announce(ask, 0x8000_0002)
    }),
    by_udp("is signed and was not asked to be", "give the zone its key", |ask| {
        // The MAC is of no matter.
        let rdata = [b"\x0bhmac-sha256\0", &[0; 6][..], &[1, 44, 0, 32], &[0; 32], &[0; 6]].concat();
        let tsig = full(b"\x03key\0", 250, 255, 0, rdata.len(), &rdata);
        let mut answer = ask.reply(&[ask.soa(2)]);
        answer[11] = 1;
        vec![[answer, tsig].concat()]
    }),
    // What comes by UDP is none of its answers, or says to ask by TCP.
    Fault {
        announce: |ask| {
            let with = |change: fn(&mut Vec<u8>)| changed(ask, change).remove(0);
            vec![
                Vec::new(),
                vec![0],
                with(|octets| octets[0] ^= 1),
                with(|octets| octets[2] &= 0x7f),
                with(|octets| octets[2] |= 0x28),
                with(|octets| octets.truncate(11)),
                vec![0xff; 1400],
            ]
        },
        ..by_tcp("sends datagrams that are no answers", "closed the connection", |_| vec![])
    },
    by_tcp("is silent by UDP and TCP", "no answer by TCP", |_| vec![Silence]),
    by_tcp("is silent by UDP and drips by TCP", "no answer by TCP", |ask| {
        vec![Drip(ask.reply(&[ask.soa(2)]))]
    }),
    by_tcp("is silent by UDP and closes by TCP", "closed the connection", |_| vec![]),
    by_tcp("is silent by UDP and resets by TCP", "reset", |_| vec![Reset]),
    by_tcp("is silent by UDP and truncates by TCP", "truncated", |ask| vec![Send(truncated(ask))]),
    by_tcp("is silent by UDP and speaks TLS by TCP", "closed the connection", |_| {
        vec![Raw(b"\x15\x03\x03\x00\x02\x02\x46".to_vec())]
    }),
    by_tcp("is silent by UDP and repeats no answer by TCP", "not to our question", |ask| {
        let mut other = ask.reply(&[ask.soa(2)]);
        other[1] ^= 1;
        vec![Repeat(other, Duration::ZERO)]
    }),
    by_tcp("is silent by UDP and has two SOA records by TCP", "more than one SOA record", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.soa(2), ask.soa(3)]))]
    }),
    Fault {
        by_tcp: Some(|ask| vec![Send(truncated(ask))]),
        ..by_udp("truncates by UDP and by TCP", "truncated", |ask| vec![truncated(ask)])
    },
];
