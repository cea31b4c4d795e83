//! Owners, classes, names, data, and what is no zone.

use super::Step::Send;
use super::{Ask, Fault, Step, begun, fault, full, record, soa_data, with};

const CUT_OFF: &str = "is cut off";
const OUTSIDE: &str = "is not in the zone";
const DATA: &str = "malformed";
const META: &str = "not a type for a zone";

/// A whole zone with a record of this type and data.
fn data(ask: &Ask, rtype: u16, rdata: &[u8]) -> Vec<Step> {
    with(ask, &[record(&ask.below(b"www"), rtype, rdata)])
}

/// A whole zone with a record whose owner is these octets.
fn owner(ask: &Ask, owner: &[u8]) -> Vec<Step> {
    with(ask, &[record(owner, 1, &[192, 0, 2, 2])])
}

pub const RECORDS: &[Fault] = &[
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
    fault("has class NONE", "class 254", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 254, 60, 4, &[192, 0, 2, 2])])
    }),
    fault("has class 0", "class 0", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 0, 60, 4, &[192, 0, 2, 2])])
    }),
    fault("has a class with its highest bit set", "class 32769", |ask| {
        with(ask, &[full(&ask.below(b"www"), 1, 0x8001, 60, 4, &[192, 0, 2, 2])])
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
    fault("points into the header", "into the header", |ask| owner(ask, b"\x01a\xc0\x04")),
    fault("points through more pointers than a name has labels", "more pointers", |ask| {
        // Each points to the one before, and the first to the question.
        let mut message = ask.reply(&[ask.soa(2)]);
        let start = message.len() + 12;
        let to = |n: usize| if n == 0 { 12 } else { start + 2 * n - 2 };
        let pointer = |n: usize| (0xc000 | to(n) as u16).to_be_bytes();
        message.extend(record(&pointer(0), 65_280, &(0..500).flat_map(pointer).collect::<Vec<_>>()));
        message.extend(record(&pointer(500), 1, &[192, 0, 2, 2]));
        message[7] = 3;
        vec![Send(message)]
    }),
    fault("has half a pointer", "malformed message", |ask| {
        let mut reply = ask.reply(&[ask.soa(2), vec![0xc0]]);
        reply[7] = 2;
        vec![Send(reply)]
    }),
    fault("has labels of another type", "no type that there is", |ask| owner(ask, b"\x41a\0")),
    fault("has labels of type 2", "no type that there is", |ask| owner(ask, b"\x81a\0")),
    fault("has a label that is cut off", CUT_OFF, |ask| {
        let mut reply = ask.reply(&[ask.soa(2), b"\x3fabc".to_vec()]);
        reply[7] = 2;
        vec![Send(reply)]
    }),
    fault("has a name of 256 octets in data", "longer than 255", |ask| {
        let label = [&[63][..], &[b'x'; 63]].concat();
        data(ask, 2, &[label.repeat(3), [&[62][..], &[b'y'; 62]].concat(), vec![0]].concat())
    }),
    fault("has a name that a pointer makes too long", "longer than 255", |ask| {
        let long = [[&[63][..], &[b'x'; 63]].concat().repeat(3), ask.apex.clone()].concat();
        let at = 12 + ask.question().len() + ask.soa(2).len() + ask.ns().len();
        let pointer = (0xc000 | at as u16).to_be_bytes();
        let longer = [&[60][..], &[b'y'; 60], &pointer].concat();
        with(ask, &[record(&long, 1, &[192, 0, 2, 2]), record(&longer, 1, &[192, 0, 2, 2])])
    }),
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
    fault("has a CNAME of no octets", DATA, |ask| data(ask, 5, &[])),
    fault("has NS of no octets", DATA, |ask| with(ask, &[record(&ask.apex, 2, &[])])),
    fault("has PTR that points forward", DATA, |ask| data(ask, 12, b"\xff\xf0")),
    fault("has MX that points to itself", DATA, |ask| {
        let owner = ask.below(b"www");
        let at = 12 + ask.question().len() + ask.soa(2).len() + ask.ns().len() + owner.len() + 12;
        with(ask, &[record(&owner, 15, &[&[0, 10][..], &(0xc000 | at as u16).to_be_bytes()].concat())])
    }),
    fault("has a pointer in the signer of RRSIG", DATA, |ask| {
        data(ask, 46, &[&[0; 18][..], b"\xc0\x0c\x01"].concat())
    }),
    fault("has a pointer in NSEC", DATA, |ask| data(ask, 47, b"\xc0\x0c\0\x01\x40")),
    fault("has a pointer in SVCB", DATA, |ask| data(ask, 64, b"\0\x01\xc0\x0c")),
    fault("has NSEC with an empty window", DATA, |ask| data(ask, 47, b"\0\0\0")),
    fault("has NSEC3 without a hash", DATA, |ask| data(ask, 50, &[1, 0, 0, 1, 0])),
    fault("has DNSKEY that is cut", DATA, |ask| data(ask, 48, &[1, 0, 3])),
    fault("has TLSA that is cut", DATA, |ask| data(ask, 52, &[3, 1])),
    fault("has LOC that is cut", DATA, |ask| data(ask, 29, &[0; 15])),
    fault("has APL that is cut", DATA, |ask| data(ask, 42, &[0, 1, 24, 9, 192])),
    fault("has CSYNC that is cut", DATA, |ask| data(ask, 62, &[0, 0, 0])),
    fault("has EUI48 of 5 octets", DATA, |ask| data(ask, 108, &[0; 5])),
    fault("has type IXFR in the zone", META, |ask| data(ask, 251, &[])),
    fault("has type TSIG in the zone", META, |ask| data(ask, 250, &[])),
    fault("has type TKEY in the zone", META, |ask| data(ask, 249, &[])),
    fault("has type MAILA in the zone", META, |ask| data(ask, 254, &[])),
    fault("has type NXNAME in the zone", META, |ask| data(ask, 128, &[])),
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
    fault("has a CNAME beside a DNAME", "CNAME", |ask| {
        let to = b"\x01a\x07example\0";
        with(ask, &[record(&ask.below(b"x"), 5, to), record(&ask.below(b"x"), 39, to)])
    }),
    fault("has two DNAMEs of a name", "DNAME", |ask| {
        let dname = |target: &[u8]| record(&ask.below(b"x"), 39, target);
        with(ask, &[dname(b"\x01a\x07example\0"), dname(b"\x01b\x07example\0")])
    }),
    fault("has its NS records below the apex only", "no NS record", |ask| {
        let ns = record(&ask.below(b"sub"), 2, b"\x02ns\x07example\0");
        vec![Send(ask.reply(&[ask.soa(2), ns, ask.soa(2)]))]
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
];
