//! Each way to be broken, and what the problem says of it.

use std::time::Duration;

use super::primary::Step::{Drip, Raw, Repeat, Send, Silence};
use super::primary::{Announce, Ask, Fault, IXFR, Script, Step, announce, full, record, soa_data};

const fn fault(name: &'static str, words: &'static str, script: Script) -> Fault {
    Fault { name, words, announce: |ask| announce(ask, 2), script }
}

/// A primary whose answer to the SOA query is broken.
const fn soa_fault(name: &'static str, words: &'static str, announce: Announce) -> Fault {
    Fault { name, words, announce, script: |ask| vec![Send(ask.whole(2))] }
}

/// A whole zone with these records in its midst.
fn with(ask: &Ask, records: &[Vec<u8>]) -> Vec<Step> {
    let around = [vec![ask.soa(2), ask.ns()], records.to_vec(), vec![ask.soa(2)]].concat();
    vec![Send(ask.reply(&around))]
}

/// A whole zone with a record of this type and data.
fn data(ask: &Ask, rtype: u16, rdata: &[u8]) -> Vec<Step> {
    with(ask, &[record(&ask.below(b"www"), rtype, rdata)])
}

/// A whole zone with a record whose owner is these octets.
fn owner(ask: &Ask, owner: &[u8]) -> Vec<Step> {
    with(ask, &[record(owner, 1, &[192, 0, 2, 2])])
}

/// A good answer with some octets changed.
fn changed(ask: &Ask, change: fn(&mut Vec<u8>)) -> Vec<Step> {
    let mut whole = ask.whole(2);
    change(&mut whole);
    vec![Send(whole)]
}

fn rcode(ask: &Ask, rcode: u8) -> Vec<Step> {
    let mut reply = ask.reply(&[]);
    reply[3] = rcode;
    vec![Send(reply)]
}

/// The first message of a transfer, and what follows.
fn begun(ask: &Ask, more: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![Send(ask.reply(&[ask.soa(2), ask.ns()]))];
    steps.extend(more);
    steps
}

/// Octets of a message of this length, whole but for what is cut off.
fn cut(ask: &Ask, keep: usize) -> Vec<Step> {
    let whole = ask.whole(2);
    let framed = [&(whole.len() as u16).to_be_bytes()[..], &whole].concat();
    vec![Raw(framed[..keep.min(framed.len() - 1)].to_vec())]
}

/// An answer to the SOA query with some octets changed.
fn soa_changed(ask: &Ask, change: fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut answer = announce(ask, 2);
    change(&mut answer);
    answer
}

const CLOSED: &str = "closed the connection";
const CUT_OFF: &str = "is cut off";
const OUTSIDE: &str = "is not in the zone";
const DATA: &str = "malformed";
const META: &str = "not a type for a zone";
const CLOSING: &str = "closing SOA record differs";

pub const FAULTS: &[Fault] = &[
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
    fault("sends two SOA records alone", "no NS record", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.soa(2)]))]
    }),
    // Owners and classes.
    fault("has a name outside", OUTSIDE, |ask| owner(ask, b"\x03www\x05other\x04test\0")),
    fault("has the parent's name", OUTSIDE, |ask| owner(ask, b"\x04test\0")),
    fault("has the root's name", OUTSIDE, |ask| owner(ask, b"\0")),
    fault("has a name that only ends alike", OUTSIDE, |ask| {
        let mut name = ask.apex.clone();
        name[0] += 1;
        name.insert(1, b'x');
        owner(ask, &name)
    }),
    fault("has class CH", "class 3", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 3, 60, 4, &[192, 0, 2, 2])])
    }),
    fault("has class ANY", "class 255", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 255, 60, 4, &[192, 0, 2, 2])])
    }),
    fault("has a SOA record of class HS", "class 4", |ask| {
        let soa = soa_data(2);
        let soa = full(&ask.apex, 6, 4, 60, soa.len(), &soa);
        vec![Send(ask.reply(&[soa.clone(), ask.ns(), soa]))]
    }),
    // Names.
    fault("points forward", "backwards", |ask| owner(ask, b"\xff\xff")),
    fault("points to itself", "backwards", |ask| {
        let at = (12 + ask.question().len() + ask.soa(2).len() + ask.ns().len()) as u16;
        owner(ask, &(0xc000 | at).to_be_bytes())
    }),
    fault("points in a loop", "backwards", |ask| {
        let at = (12 + ask.question().len() + ask.soa(2).len() + ask.ns().len()) as u16;
        owner(ask, &[b"\x01a", &(0xc000 | at).to_be_bytes()[..]].concat())
    }),
    fault("points back and forth", "backwards", |ask| {
        let at = (12 + ask.question().len() + ask.soa(2).len() + ask.ns().len()) as u16;
        let pointers = [(0xc000 | (at + 2)).to_be_bytes(), (0xc000 | at).to_be_bytes()].concat();
        owner(ask, &pointers)
    }),
    fault("has half a pointer", "malformed message", |ask| {
        let mut reply = ask.reply(&[ask.soa(2), vec![0xc0]]);
        reply[7] = 2;
        vec![Send(reply)]
    }),
    fault("has labels of another type", "no type that there is", |ask| owner(ask, b"\x41a\0")),
    fault("has a name of 256 octets", "longer than 255", |ask| {
        let label = [&[63][..], &[b'x'; 63]].concat();
        owner(ask, &[label.repeat(3), [&[62][..], &[b'y'; 62]].concat(), vec![0]].concat())
    }),
    fault("has a name without an end", "longer than 255", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), [1, b'a'].repeat(5000)]))]
    }),
    // The data of records.
    fault("has more data than there is", CUT_OFF, |ask| {
        vec![Send(ask.reply(&[ask.soa(2), full(&ask.below(b"www"), 1, 1, 60, 500, &[192, 0, 2, 2])]))]
    }),
    fault("has an address of 3 octets", DATA, |ask| data(ask, 1, &[192, 0, 2])),
    fault("has an address of 5 octets", DATA, |ask| data(ask, 1, &[192, 0, 2, 2, 0])),
    fault("has an address of none", DATA, |ask| data(ask, 1, &[])),
    fault("has an IPv6 address of 4 octets", DATA, |ask| data(ask, 28, &[192, 0, 2, 2])),
    fault("has octets after a name", DATA, |ask| data(ask, 2, b"\x02ns\x07example\0\0")),
    fault("cuts a name", DATA, |ask| data(ask, 2, b"\x02ns\x07exa")),
    fault("has a SOA record without timers", DATA, |ask| {
        let soa = record(&ask.apex, 6, b"\x02ns\x07example\0\x04mail\x07example\0\0\0\0\x02");
        vec![Send(ask.reply(&[soa.clone(), ask.ns(), soa]))]
    }),
    fault("has a SOA record with more", DATA, |ask| {
        let soa = record(&ask.apex, 6, &[&soa_data(2)[..], &[0]].concat());
        vec![Send(ask.reply(&[soa.clone(), ask.ns(), soa]))]
    }),
    fault("has MX without a name", DATA, |ask| data(ask, 15, &[0, 10])),
    fault("has TXT without a string", DATA, |ask| data(ask, 16, &[])),
    fault("has TXT that is cut", DATA, |ask| data(ask, 16, b"\x05abc")),
    fault("has SRV without a name", DATA, |ask| data(ask, 33, &[0, 1, 0, 2, 0, 3])),
    fault("has NAPTR that is cut", DATA, |ask| data(ask, 35, b"\0\x01\0\x02\x01u\x09")),
    fault("has a pointer in a DNAME", DATA, |ask| data(ask, 39, b"\xc0\xff")),
    fault("has DS without a digest type", DATA, |ask| data(ask, 43, &[0, 1, 8])),
    fault("has RRSIG without a signer", DATA, |ask| data(ask, 46, &[0; 17])),
    fault("has NSEC with windows that fall", DATA, |ask| data(ask, 47, b"\0\x01\x01\x40\0\x01\x40")),
    fault("has NSEC3 with too long a salt", DATA, |ask| data(ask, 50, &[1, 0, 0, 1, 200, 1])),
    fault("has SVCB with keys that fall", DATA, |ask| data(ask, 64, b"\0\x01\0\0\x03\0\0\0\x01\0\0")),
    fault("has CAA with too long a tag", DATA, |ask| data(ask, 257, &[0, 9, b'a'])),
    fault("has OPT in the zone", META, |ask| data(ask, 41, &[])),
    fault("has type ANY in the zone", META, |ask| data(ask, 255, &[])),
    fault("has type AXFR in the zone", META, |ask| data(ask, 252, &[])),
    fault("has type 0 in the zone", META, |ask| data(ask, 0, &[])),
    // What is no zone.
    fault("has no NS records", "no NS record", |ask| {
        vec![Send(ask.reply(&[ask.soa(2), ask.a(b"www", 2), ask.soa(2)]))]
    }),
    fault("has a CNAME beside an address", "CNAME", |ask| {
        let cname = record(&ask.below(b"www"), 5, b"\x01a\x07example\0");
        with(ask, &[ask.a(b"www", 2), cname])
    }),
    fault("has two CNAMEs of a name", "CNAME", |ask| {
        let cname = |target: &[u8]| record(&ask.below(b"x"), 5, target);
        with(ask, &[cname(b"\x01a\x07example\0"), cname(b"\x01b\x07example\0")])
    }),
    fault("has a CNAME at the apex", "CNAME", |ask| {
        with(ask, &[record(&ask.apex, 5, b"\x01a\x07example\0")])
    }),
    fault("has an RRset that no message carries", "more than a message carries", |ask| {
        let text =
            |n: usize| record(&ask.below(b"t"), 16, &[&[255][..], &[n as u8; 255]].concat().repeat(120));
        begun(
            ask,
            vec![
                Send(ask.reply(&[text(1)])),
                Send(ask.reply(&[text(2)])),
                Send(ask.reply(&[text(3), ask.soa(2)])),
            ],
        )
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
    // The SOA query.
    soa_fault("is not authoritative", "not authoritative", |ask| soa_changed(ask, |octets| octets[2] &= !4)),
    soa_fault("says SERVFAIL to the SOA query", "SERVFAIL", |ask| soa_changed(ask, |octets| octets[3] |= 2)),
    soa_fault("says REFUSED to the SOA query", "REFUSED", |ask| soa_changed(ask, |octets| octets[3] |= 5)),
    soa_fault("answers a SOA query with an address", "no SOA record", |ask| ask.reply(&[ask.a(b"www", 2)])),
    soa_fault("answers a SOA query with another zone's", "no SOA record", |ask| {
        ask.reply(&[record(b"\x05other\x04test\0", 6, &soa_data(2))])
    }),
    soa_fault("answers a SOA query with nothing", "no SOA record", |ask| ask.reply(&[])),
    soa_fault("has a malformed SOA record", DATA, |ask| ask.reply(&[record(&ask.apex, 6, &[0; 21])])),
    soa_fault("answers another question", "the question differs", |ask| {
        soa_changed(ask, |octets| octets[13] = b'x')
    }),
    soa_fault("has gone back", "serial 0 is not newer than ours, 1", |ask| announce(ask, 0)),
    soa_fault("is half the circle away", "not newer than ours", |ask| announce(ask, 0x8000_0001)),
];

/// What looks odd and is taken all the same, as BIND, NSD and Knot take it.
pub const ODDITIES: &[Fault] = &[
    fault("has no AA", "", |ask| changed(ask, |octets| octets[2] &= !4)),
    fault("sets RD, RA, AD and CD", "", |ask| {
        changed(ask, |octets| {
            octets[2] |= 1;
            octets[3] |= 0xb0;
        })
    }),
    fault("sends one record a message", "", |ask| {
        let records = [ask.soa(2), ask.ns(), ask.a(b"www", 2), ask.soa(2)];
        records.into_iter().map(|record| Send(ask.reply(&[record]))).collect()
    }),
    fault("repeats the question in the first message only", "", |ask| {
        let mut next = ask.reply(&[ask.a(b"www", 2), ask.soa(2)]);
        next[5] = 0;
        next.drain(12..12 + ask.question().len());
        begun(ask, vec![Send(next)])
    }),
    fault("repeats records", "", |ask| with(ask, &[ask.a(b"www", 2), ask.a(b"www", 2), ask.ns()])),
    fault("has a TTL with the highest bit", "", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 1, u32::MAX, 4, &[192, 0, 2, 2])])
    }),
    fault("writes names in capitals", "", |ask| {
        let mut www = ask.a(b"WWW", 2);
        www[4..4 + ask.apex.len()].make_ascii_uppercase();
        with(ask, &[www])
    }),
    fault("closes in capitals", "", |ask| {
        let mut closing = ask.soa(2);
        let mname = ask.apex.len() + 10;
        closing[mname..mname + 11].make_ascii_uppercase();
        vec![Send(ask.reply(&[ask.soa(2), ask.ns(), ask.a(b"www", 2), closing]))]
    }),
    fault("has types that nobody knows", "", |ask| {
        with(
            ask,
            &[
                ask.a(b"www", 2),
                record(&ask.below(b"x"), 65_280, b"\xc0\x0c"),
                record(&ask.below(b"y"), 300, &[]),
            ],
        )
    }),
    fault("compresses", "", |ask| {
        let www = [&b"\x03www\xc0\x0c"[..], &record(b"", 1, &[192, 0, 2, 2])].concat();
        let ns = [&b"\xc0\x0c"[..], &record(b"", 2, b"\x02ns\xc0\x0c")].concat();
        with(ask, &[www, ns])
    }),
    fault("goes on in further messages after the end", "", |ask| {
        vec![Send(ask.whole(2)), Send(ask.reply(&[ask.a(b"www", 9)]))]
    }),
    fault("has OPT in the additional section", "", |ask| {
        changed(ask, |octets| {
            octets[11] = 1;
            octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        })
    }),
];

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
    fault("sends one newer SOA record", "", |ask| ixfr(ask, &[ask.soa(2)])),
    fault("says that we are current", "", |ask| ixfr(ask, &[ask.soa(1)])),
    fault("says that we are ahead", "", |ask| ixfr(ask, &[ask.soa(0)])),
    fault("has no difference", "", |ask| ixfr(ask, &[])),
    fault("does not know IXFR: FORMERR", "", |ask| only_axfr(ask, 1)),
    fault("does not know IXFR: NOTIMP", "", |ask| only_axfr(ask, 4)),
    fault("does not know IXFR: REFUSED", "", |ask| only_axfr(ask, 5)),
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
