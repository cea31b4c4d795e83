//! Queries that are not as they should be: cut, with trailing octets, pointers, bad labels, wrong counts, odd OPTs.

use super::questions::{Case, Transport};

const NAME: &[u8] = b"\x03www\x05other\x04test\0";
const A_IN: &[u8] = &[0, 1, 0, 1];
const OPT: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

/// All of them.
pub fn cases() -> Vec<Case> {
    let header = |counts: [u8; 4]| {
        let mut octets = vec![0, 0, 0, 0];
        octets.extend(counts.iter().flat_map(|count| [0, *count]));
        octets
    };
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let mut push = |label: &str, octets: Vec<u8>| all.push((label.to_owned(), octets));
    let whole = [&header([1, 0, 0, 1]), NAME, A_IN, OPT].concat();
    for cut in 0..whole.len() {
        push(&format!("cut to {cut} octets"), whole[..cut].to_vec());
    }
    let plain = [&header([1, 0, 0, 0]), NAME, A_IN].concat();
    for cut in 12..plain.len() {
        push(&format!("without EDNS, cut to {cut} octets"), plain[..cut].to_vec());
    }
    push("trailing octet", [&plain[..], b"x"].concat());
    push("trailing octet after OPT", [&whole[..], b"x"].concat());
    push("trailing OPT that is not counted", [&plain[..], OPT].concat());
    for (label, counts) in [
        ("no question", [0, 0, 0, 0]),
        ("no question but OPT", [0, 0, 0, 1]),
        ("two questions", [2, 0, 0, 0]),
        ("an answer", [1, 1, 0, 0]),
        ("an authority record", [1, 0, 1, 0]),
        ("an additional record", [1, 0, 0, 1]),
        ("all counts too high", [1, 1, 1, 1]),
        ("255 questions", [255, 0, 0, 0]),
    ] {
        let record = [NAME, A_IN, &[0, 0, 0, 9, 0, 4, 192, 0, 2, 1]].concat();
        push(&format!("{label}, announced"), [&header(counts), NAME, A_IN].concat());
        let questions = [NAME, A_IN].concat().repeat(usize::from(counts[0].min(2)));
        let records = record.repeat(usize::from(counts[1] + counts[2]));
        let last = if label.contains("OPT") { OPT.to_vec() } else { record.repeat(usize::from(counts[3])) };
        push(&format!("{label}, there"), [&header(counts)[..], &questions, &records, &last].concat());
    }
    push(
        "two different questions",
        [&header([2, 0, 0, 0]), NAME, A_IN, b"\x04mail\x05other\x04test\0", A_IN].concat(),
    );
    for (label, counts) in [("answer", [1, 1, 0, 0]), ("authority", [1, 0, 1, 0])] {
        push(&format!("OPT in the {label} section"), [&header(counts), NAME, A_IN, OPT].concat());
    }
    push("OPT twice", [&header([1, 0, 0, 2]), NAME, A_IN, OPT, OPT].concat());
    let record = [NAME, A_IN, &[0, 0, 0, 9, 0, 4, 192, 0, 2, 1]].concat();
    push("a record before OPT", [&header([1, 0, 0, 2]), NAME, A_IN, &record, OPT].concat());
    push("a record after OPT", [&header([1, 0, 0, 2]), NAME, A_IN, OPT, &record].concat());
    push("OPT with an owner", [&header([1, 0, 0, 1]), NAME, A_IN, b"\x01x", OPT].concat());
    for (label, rdata) in [
        ("a length beyond the message", &[0, 9][..]),
        ("half an option", &[0, 2, 0, 3]),
        ("an option longer than it", &[0, 4, 0, 3, 0, 1]),
        ("an option and three octets", &[0, 7, 0, 3, 0, 0, 1, 2, 3]),
    ] {
        push(&format!("OPT with {label}"), [&header([1, 0, 0, 1]), NAME, A_IN, &OPT[..9], rdata].concat());
    }
    for (label, name) in [
        ("a pointer to itself", &b"\xc0\x0c"[..]),
        ("a pointer forward", b"\xc0\x20"),
        ("a pointer into the header", b"\xc0\x00"),
        ("a label and a pointer to it", b"\x01x\xc0\x0c"),
        ("a pointer beyond the message", b"\xff\xff"),
        ("half a pointer", b"\xc0"),
        ("a label of type 01", b"\x41x\0"),
        ("a label of type 10", b"\x81x\0"),
        ("a label of 64 octets", &[&[64][..], &[b'x'; 64], &[0]].concat()),
        (
            "256 octets",
            &[&[63][..], &[b'x'; 63], &[63], &[b'x'; 63], &[63], &[b'x'; 63], &[62], &[b'x'; 62], &[0]]
                .concat(),
        ),
        ("1000 octets", &[[1, b'x'].repeat(500), vec![0]].concat()),
    ] {
        push(&format!("a name with {label}"), [&header([1, 0, 0, 0]), name, A_IN].concat());
    }
    push("IXFR without SOA", [&header([1, 0, 0, 0])[..], b"\x05other\x04test\0", &[0, 251, 0, 1]].concat());
    push("zeros", vec![0; 40]);
    push("ones", vec![255; 40]);
    push("a header and zeros", [header([1, 0, 0, 0]), vec![0; 500]].concat());
    let case = |(label, octets): (String, Vec<u8>), transport| Case {
        label: format!("malformed: {label} {transport:?}"),
        transport,
        octets,
        ..Case::new(NAME, 1)
    };
    let tcp: Vec<Case> = all.iter().step_by(4).cloned().map(|one| case(one, Transport::Tcp)).collect();
    all.into_iter().map(|one| case(one, Transport::Udp)).chain(tcp).collect()
}
