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
    for (label, flags) in [("TC", [2, 0]), ("AA", [4, 0]), ("an RCODE", [0, 5])] {
        let mut octets = plain.clone();
        octets[2..4].copy_from_slice(&flags);
        push(&format!("{label} in the query"), octets);
    }
    let with = |owner: &[u8], rtype: u8, class: u8, data: &[u8]| {
        [owner, &[0, rtype, 0, class, 0, 0, 0, 9, 0, data.len() as u8], data].concat()
    };
    let (a, soa) = (&[192, 0, 2, 1][..], [b"\x01a\0\x01b\0".to_vec(), vec![0; 20]].concat());
    for (label, record) in [
        ("A with a pointer to the question", with(b"\xc0\x0c", 1, 1, a)),
        ("A of class 255", with(b"\xc0\x0c", 1, 255, a)),
        ("A of class 3", with(b"\xc0\x0c", 1, 3, a)),
        ("A with three octets", with(b"\xc0\x0c", 1, 1, &a[..3])),
        ("A with a pointer into a label", with(b"\xc0\x0d", 1, 1, a)),
        ("A with a pointer to itself", with(b"\xc0\x21", 1, 1, a)),
        ("A with a pointer forward", with(b"\xc0\x30", 1, 1, a)),
        ("A with a pointer beyond", with(b"\xcf\xff", 1, 1, a)),
        ("A with a pointer into the header", with(b"\xc0\x04", 1, 1, a)),
        ("SOA", with(b"\xc0\x0c", 6, 1, &soa)),
        ("SOA of four octets", with(b"\xc0\x0c", 6, 1, &soa[..4])),
        ("type 65", with(b"\xc0\x0c", 65, 1, &[1])),
        ("type 0", with(b"\xc0\x0c", 0, 1, &[])),
        ("ANY", with(b"\xc0\x0c", 255, 1, &[])),
        ("AXFR", with(b"\xc0\x0c", 252, 1, &[])),
        ("TKEY", with(b"\xc0\x0c", 249, 255, &[])),
    ] {
        push(
            &format!("{label}, in the answer section"),
            [&header([1, 1, 0, 0]), NAME, A_IN, &record].concat(),
        );
        push(
            &format!("{label}, in the authority section"),
            [&header([1, 0, 1, 0]), NAME, A_IN, &record].concat(),
        );
        push(
            &format!("{label}, in the additional section"),
            [&header([1, 0, 0, 1]), NAME, A_IN, &record].concat(),
        );
        push(&format!("{label}, before OPT"), [&header([1, 0, 0, 2]), NAME, A_IN, &record, OPT].concat());
        push(&format!("{label}, after OPT"), [&header([1, 0, 0, 2]), NAME, A_IN, OPT, &record].concat());
    }
    push("OPT with an owner", [&header([1, 0, 0, 1]), NAME, A_IN, b"\x01x", OPT].concat());
    let tsig =
        [&b"\x0bhmac-sha256\0"[..], &[0, 0, 0, 0, 0, 0, 1, 44, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0]].concat();
    let signed = |tsig: &[u8]| [&b"\0\0\xfa\0\xff\0\0\0\0\0"[..], &[tsig.len() as u8], tsig].concat();
    let later = [&OPT[..6], &[1], &OPT[7..]].concat();
    for cut in [4, 13, 19, 25, tsig.len() - 1] {
        push(
            &format!("TSIG of {cut} octets"),
            [&header([1, 0, 0, 2]), NAME, A_IN, OPT, &signed(&tsig[..cut])].concat(),
        );
    }
    push("TSIG and EDNS 1", [&header([1, 0, 0, 2]), NAME, A_IN, &later, &signed(&tsig)].concat());
    push(
        "half of TSIG and EDNS 1",
        [&header([1, 0, 0, 2]), NAME, A_IN, &later, &signed(&tsig[..13])].concat(),
    );
    let other = |opcode: u8| [&[0, 0, opcode << 3, 0][..], &header([1, 0, 0, 2])[4..]].concat();
    for opcode in [3, 5, 6] {
        let octets = [&other(opcode), NAME, A_IN, OPT, &signed(&tsig)].concat();
        push(&format!("TSIG and opcode {opcode}"), octets);
    }
    push("TSIG and no question", [&header([0, 0, 0, 2])[..], OPT, &signed(&tsig)].concat());
    push("TSIG before OPT", [&header([1, 0, 0, 2]), NAME, A_IN, &signed(&tsig), OPT].concat());
    push(
        "EDNS 1 and half an option",
        [&header([1, 0, 0, 1]), NAME, A_IN, &later[..9], &[0, 2, 0, 3]].concat(),
    );
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
