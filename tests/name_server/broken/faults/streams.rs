//! Connections, headers, counts, the order of SOA records, and too much of everything.

use std::time::Duration;

use super::Step::{Drip, Raw, Repeat, Reset, Send, Silence};
use super::{Fault, IXFR, begun, changed, cut, fault, rcode, record, soa_data, with};

const CLOSED: &str = "closed the connection";
const CLOSING: &str = "closing SOA record differs";

pub const STREAMS: &[Fault] = &[
    // The connection.
    fault("closes at once", CLOSED, |_| vec![]),
    fault("closes within a length", CLOSED, |ask| cut(ask, 1)),
    fault("closes after a length", CLOSED, |ask| cut(ask, 2)),
    fault("closes within a header", CLOSED, |ask| cut(ask, 9)),
    fault("closes within a question", CLOSED, |ask| cut(ask, 20)),
    fault("closes within a record", CLOSED, |ask| cut(ask, 60)),
    fault("closes before the last octet", CLOSED, |ask| cut(ask, usize::MAX)),
    fault("closes before the closing SOA", CLOSED, |ask| begun(ask, vec![])),
    fault("is silent", "no whole message", |_| vec![Silence]),
    fault("falls silent", "no whole message", |ask| begun(ask, vec![Silence])),
    fault("drips", "too slow", |ask| vec![Drip(ask.whole(2))]),
    fault("resets at once", "reset", |_| vec![Reset]),
    fault("resets within a length", "reset", |_| vec![Raw(vec![0]), Reset]),
    fault("resets within a message", "reset", |ask| {
        let whole = ask.whole(2);
        let framed = [&(whole.len() as u16).to_be_bytes()[..], &whole].concat();
        vec![Raw(framed[..50].to_vec()), Reset]
    }),
    fault("resets before the closing SOA", "reset", |ask| begun(ask, vec![Reset])),
    fault("announces more octets than it sends", "no whole message", |ask| {
        let whole = ask.whole(2);
        vec![Raw([&[0xff, 0xff][..], &whole].concat()), Silence]
    }),
    fault("announces fewer octets than it sends", "malformed message", |ask| {
        let whole = ask.whole(2);
        vec![Raw([&(whole.len() as u16 - 9).to_be_bytes()[..], &whole].concat()), Silence]
    }),
    fault("announces fewer octets than it sends later", "malformed message", |ask| {
        let next = ask.reply(&[ask.a(b"www", 2), ask.soa(2)]);
        begun(ask, vec![Raw([&(next.len() as u16 - 1).to_be_bytes()[..], &next].concat()), Silence])
    }),
    fault("sends messages of no octets for ever", "shorter than a header", |ask| {
        begun(ask, vec![Repeat(Vec::new(), Duration::ZERO)])
    }),
    fault("drips after the first message", "too slow", |ask| {
        let next = ask.reply(&[ask.a(b"www", 2), ask.soa(2)]);
        begun(ask, vec![Drip([&(next.len() as u16).to_be_bytes()[..], &next].concat())])
    }),
    fault("drips a length", "too slow", |ask| begun(ask, vec![Drip(vec![0xff]), Silence])),
    fault("speaks TLS", CLOSED, |_| vec![Raw(b"\x15\x03\x03\x00\x02\x02\x46".to_vec())]),
    fault("speaks TLS and waits", "no whole message", |_| {
        vec![Raw([&b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76"[..], &[7; 118]].concat()), Silence]
    }),
    fault("speaks HTTP", CLOSED, |_| vec![Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())]),
    // Headers.
    fault("sends a message of no octets", "shorter than a header", |_| vec![Send(vec![])]),
    fault("sends half a header", "shorter than a header", |ask| vec![Send(ask.whole(2)[..11].to_vec())]),
    fault("sends garbage", "the id differs", |_| vec![Send(vec![0xff; 65_535])]),
    fault("has another id", "the id differs", |ask| changed(ask, |octets| octets[1] ^= 1)),
    fault("has another id later", "the id differs", |ask| {
        let mut next = ask.reply(&[ask.soa(2)]);
        next[0] ^= 1;
        begun(ask, vec![Send(next)])
    }),
    fault("sends a query", "not a response", |ask| changed(ask, |octets| octets[2] &= 0x7f)),
    fault("echoes", "not a response", |ask| vec![Send(ask.octets.clone())]),
    fault("has another opcode", "not a response", |ask| changed(ask, |octets| octets[2] |= 0x20)),
    fault("truncates over TCP", "truncated", |ask| changed(ask, |octets| octets[2] |= 0x02)),
    fault("says FORMERR", "FORMERR", |ask| rcode(ask, 1)),
    fault("says SERVFAIL", "SERVFAIL", |ask| rcode(ask, 2)),
    fault("says NXDOMAIN", "NXDOMAIN", |ask| rcode(ask, 3)),
    fault("says NOTIMP", "NOTIMP", |ask| rcode(ask, 4)),
    fault("says REFUSED", "REFUSED", |ask| rcode(ask, 5)),
    fault("says NOTAUTH", "NOTAUTH", |ask| rcode(ask, 9)),
    fault("says REFUSED with a zone", "REFUSED", |ask| changed(ask, |octets| octets[3] |= 5)),
    fault("says SERVFAIL midway", "SERVFAIL", |ask| begun(ask, rcode(ask, 2))),
    fault("has no question", "one question", |ask| {
        let mut reply = ask.whole(2);
        reply[5] = 0;
        reply.drain(12..12 + ask.question().len());
        vec![Send(reply)]
    }),
    fault("has two questions", "one question", |ask| {
        let mut reply = ask.whole(2);
        reply[5] = 2;
        reply.splice(12..12, ask.question());
        vec![Send(reply)]
    }),
    fault("answers for another name", "the question differs", |ask| changed(ask, |octets| octets[13] = b'x')),
    fault("answers for another type", "the question differs", |ask| {
        let mut reply = ask.whole(2);
        reply[12 + ask.apex.len() + 1] = 1;
        vec![Send(reply)]
    }),
    fault("answers for another class", "the question differs", |ask| {
        let mut reply = ask.whole(2);
        reply[12 + ask.apex.len() + 3] = 3;
        vec![Send(reply)]
    }),
    fault("answers for another name later", "the question differs", |ask| {
        let mut next = ask.reply(&[ask.soa(2)]);
        next[13] = b'x';
        begun(ask, vec![Send(next)])
    }),
    // Counts.
    fault("sends no records", "without records", |ask| vec![Send(ask.reply(&[]))]),
    fault("sends no records later", "without records", |ask| begun(ask, vec![Send(ask.reply(&[]))])),
    fault("sends no records for ever", "without records", |ask| {
        begun(ask, vec![Repeat(ask.reply(&[]), Duration::ZERO)])
    }),
    fault("counts too many", "cannot be read", |ask| changed(ask, |octets| octets[7] += 1)),
    fault("counts 65535", "cannot be read", |ask| {
        let mut reply = ask.reply(&[ask.soa(2), ask.ns()]);
        reply[6..8].fill(0xff);
        vec![Send(reply)]
    }),
    fault("counts too few", "octets after its last record", |ask| {
        let mut reply = ask.reply(&[ask.soa(2), ask.ns(), ask.a(b"www", 2)]);
        reply[7] -= 1;
        vec![Send(reply), Send(ask.reply(&[ask.soa(2)]))]
    }),
    fault("sends octets after the last record", "octets after", |ask| changed(ask, |octets| octets.push(0))),
    fault("has a malformed additional section", "malformed message", |ask| {
        changed(ask, |octets| {
            octets[11] = 1;
            octets.extend([0, 0, 41]);
        })
    }),
    // SOA records and the order of things.
    fault("begins with something else", "did not begin", |ask| {
        vec![Send(ask.reply(&[ask.ns(), ask.soa(2), ask.soa(2)]))]
    }),
    fault("serves another zone", "not the apex", |ask| {
        let other = record(b"\x05other\x04test\0", 6, &soa_data(2));
        vec![Send(ask.reply(&[other.clone(), ask.ns(), other]))]
    }),
    fault("closes with a newer serial", CLOSING, |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.soa(3)]))]
    }),
    fault("closes with an older serial", CLOSING, |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.soa(1)]))]
    }),
    fault("closes with other timers", CLOSING, |ask| {
        let mut closing = ask.soa(2);
        *closing.last_mut().unwrap() ^= 1;
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), closing]))]
    }),
    fault("has a SOA record midway", CLOSING, |ask| with(ask, &[ask.soa(7)])),
    fault("goes on after the end", "after the closing", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.soa(2), ask.a(b"www", 2)]))]
    }),
    fault("ends twice", "after the closing", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.soa(2), ask.soa(2)]))]
    }),
    fault("has a SOA record below the apex", "not the apex", |ask| {
        with(ask, &[record(&ask.below(b"www"), 6, &soa_data(2))])
    }),
    fault("sends the version that we have", "newer serial than it sent, 1", |ask| vec![Send(ask.whole(1))]),
    fault("sends an older version", "newer serial than it sent, 0", |ask| vec![Send(ask.whole(0))]),
    fault("sends a version half the circle away", "newer serial than it sent", |ask| {
        vec![Send(ask.whole(0x8000_0001))]
    }),
    fault("sends its SOA record alone", CLOSED, |ask| vec![Send(ask.reply(&[ask.soa(2)]))]),
    fault("sends its SOA record alone and waits", "no whole message", |ask| {
        vec![Send(ask.reply(&[ask.soa(2)])), Silence]
    }),
    fault("sends its opening SOA record twice", "after the closing", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.soa(2), ask.ns(), ask.a(b"www", 2), ask.soa(2)]))]
    }),
    fault("has two SOA records at the apex", CLOSING, |ask| {
        let other = record(&ask.apex, 6, &[b"\x05other\0", &soa_data(2)[12..]].concat());
        vec![Send(ask.reply(&[ask.soa(2), other, ask.ns(), ask.soa(2)]))]
    }),
    fault("closes with another name", CLOSING, |ask| {
        let closing = record(&ask.apex, 6, &[b"\x05other\0", &soa_data(2)[12..]].concat());
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), closing]))]
    }),
    fault("closes with another zone's SOA record", "not the apex", |ask| {
        let closing = record(b"\x05other\x04test\0", 6, &soa_data(2));
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), closing]))]
    }),
    fault("closes in the authority section", CLOSED, |ask| {
        let mut reply = ask.reply(&[ask.soa(2), ask.ns(), ask.a(b"www", 2), ask.soa(2)]);
        (reply[7], reply[9]) = (3, 1);
        vec![Send(reply)]
    }),
    fault("answers AXFR with differences", CLOSING, |ask| match ask.qtype {
        IXFR => rcode(ask, 4),
        _ => vec![Send(ask.reply(&[ask.soa(2), ask.soa(1), ask.soa(2), ask.a(b"x", 2), ask.soa(2)]))],
    }),
    fault("sends two SOA records alone", "no NS record", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.soa(2)]))]
    }),
    // Too much.
    fault("sends records for ever", "longer than 5 s", |ask| {
        begun(ask, vec![Repeat(ask.reply(&[ask.a(b"www", 2)]), Duration::from_millis(20))])
    }),
    fault("sends small records without end", "4000 records", |ask| {
        begun(ask, vec![Repeat(ask.reply(&vec![ask.a(b"www", 2); 100]), Duration::ZERO)])
    }),
    fault("sends large records without end", "1048576 octets", |ask| {
        let large = record(&ask.below(b"t"), 16, &[&[255][..], &[b'x'; 255]].concat().repeat(200));
        begun(ask, vec![Repeat(ask.reply(&[large]), Duration::ZERO)])
    }),
    fault("sends more than it seems", "1048576 octets", |ask| {
        // Fourteen octets that stand for some five hundred.
        let name = [[&[60][..], &[b'x'; 60]].concat().repeat(3), ask.apex.clone()].concat();
        let mut message = ask.reply(&[record(&name, 1, &[192, 0, 2, 2])]);
        let pointer = (0xc000 | (12 + ask.question().len()) as u16).to_be_bytes();
        let small = record(&pointer, 2, &pointer);
        message.extend(small.repeat(1900));
        message[6..8].copy_from_slice(&1901_u16.to_be_bytes());
        begun(ask, vec![Repeat(message, Duration::ZERO)])
    }),
];
