use super::*;

const NAME: &[u8] = b"\x03wWw\x07example\0";

/// A query for NAME, with so many records announced in each section, and these octets of them.
fn query(counts: [u8; 3], records: &[u8]) -> Vec<u8> {
    let head = [0xab, 0xcd, 1, 0, 0, 1, 0, counts[0], 0, counts[1], 0, counts[2]];
    [&head[..], NAME, &[0, 1, 0, 1], records].concat()
}

/// OPT with these flags, version and data.
fn opt(version: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    [&[0, 0, 41, 4, 208, 0, version, 0x80, 0, 0, length], data].concat()
}

/// Whether it is malformed, with its question if so.
fn malformed(octets: &[u8]) -> Option<bool> {
    match Request::read(octets) {
        Ok(_) => None,
        Err(Unreadable::Malformed(_, question)) => Some(question.is_some()),
        Err(Unreadable::NoRequest) => panic!("it is a request"),
    }
}

#[test]
fn a_query_is_read() {
    let octets = query([0, 0, 1], &opt(0, b"\0\x03\0\0\0\x0a\0\x08clientco\xff\xff\0\x01x"));
    let request = Request::read(&octets).unwrap();
    let question = request.question.unwrap();
    assert_eq!((question.name, question.qtype, question.qclass), (NAME, 1, 1));
    assert_eq!((request.header.id, request.header.opcode()), ([0xab, 0xcd], opcode::QUERY));
    assert!(request.header.recursion_desired());
    let edns = request.edns.unwrap();
    assert_eq!((edns.size, edns.version, edns.dnssec_ok, edns.nsid), (1232, 0, true, true));
    assert_eq!(edns.cookie, Some(&b"clientco"[..]));
}

#[test]
fn no_request_gets_an_answer() {
    let response = [0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for octets in [&b""[..], &[0; 11], &response] {
        assert!(matches!(Request::read(octets), Err(Unreadable::NoRequest)));
    }
}

#[test]
fn every_cut_is_malformed() {
    let whole = query([0, 0, 1], &opt(0, b"\0\x03\0\x01x"));
    let question = HEADER + NAME.len() + 4;
    for cut in HEADER..whole.len() {
        assert_eq!(malformed(&whole[..cut]), Some(cut >= question), "{cut}");
    }
    assert_eq!(malformed(&[&whole[..], b"more"].concat()), None);
}

#[test]
fn what_misleads_is_malformed() {
    let root = |rtype: u8| [0, 0, rtype, 0, 255, 0, 0, 0, 0, 0, 0];
    let tsig = root(250);
    for (octets, whole) in [
        // Two questions; a pointer in the question.
        ([&[0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0], NAME, &[0, 1, 0, 1]].concat(), false),
        (b"\0\x01\0\0\0\x01\0\0\0\0\0\0\xc0\x04\0\x01\0\x01".to_vec(), false),
        // OPT twice, with an owner, in another section; cut options; cookies of no length that they may have.
        (query([0, 0, 2], &[opt(0, b""), opt(0, b"")].concat()), true),
        (query([0, 0, 1], &[b"\x01x", &opt(0, b"")[..]].concat()), true),
        (query([0, 1, 0], &opt(0, b"")), true),
        (query([0, 0, 1], &opt(0, b"\0\x03\0\x02x")), true),
        (query([0, 0, 1], &opt(0, b"\0\x03\0")), true),
        (query([0, 0, 1], &opt(0, b"\0\x0a\0\x07clientc")), true),
        (query([0, 0, 1], &opt(0, b"\0\x0a\0\x09clientcoo")), true),
        // TSIG that is not the last, or not in the additional section.
        (query([0, 0, 2], &[&tsig[..], &opt(0, b"")].concat()), true),
        (query([1, 0, 0], &tsig), true),
    ] {
        assert_eq!(malformed(&octets), Some(whole), "{octets:?}");
    }
    // What options of a version that is not ours mean is not looked at; TSIG as the last is where it should be.
    assert_eq!(malformed(&query([0, 0, 1], &opt(1, b"\0\x0a\0\x01x"))), None);
    assert_eq!(malformed(&query([0, 0, 1], &opt(1, b"\0\x03\0"))), Some(true));
    let signed = query([0, 0, 2], &[&opt(0, b"")[..], &tsig].concat());
    assert_eq!(Request::read(&signed).unwrap().tsig, Some(signed.len() - tsig.len()));
}

/// A record of class IN with this owner.
fn record(owner: &[u8], rtype: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    [owner, &[0, rtype, 0, 1, 0, 0, 0, 0, 0, length], data].concat()
}

#[test]
fn records_that_a_query_has_no_use_for_are_well_formed() {
    let a = &[192, 0, 2, 1];
    let of_class = |class: u8, mut record: Vec<u8>| {
        record[5] = class;
        record
    };
    let good =
        [record(b"\xc0\x0c", 1, a), record(b"\xc0\x0c", 2, b"\xc0\x0c"), record(b"\x01a\xc0\x0c", 200, b"")];
    let bad = [
        // No data of the type, no type of a zone, another class than the question's.
        record(b"\xc0\x0c", 1, &a[..3]),
        record(b"\xc0\x0c", 0, b""),
        record(b"\xc0\x0c", 249, b""),
        of_class(3, record(b"\xc0\x0c", 1, a)),
        of_class(255, record(b"\xc0\x0c", 1, a)),
        // Pointers to itself, forward, beyond, into a label, from the data forward.
        record(b"\xc0\x1d", 1, a),
        record(b"\x01a\xc0\x1d", 1, a),
        record(b"\xc0\x30", 1, a),
        record(b"\xff\xff", 1, a),
        record(b"\xc0\x0d", 1, a),
        record(b"\xc0\x0c", 2, b"\xc0\x30"),
    ];
    for section in 0..3 {
        let mut counts = [0; 3];
        counts[section] = 1;
        for record in &good {
            assert_eq!(malformed(&query(counts, record)), None, "{record:?} in section {section}");
        }
        for record in &bad {
            let mut octets = query(counts, record);
            assert_eq!(malformed(&octets), Some(true), "{record:?} in section {section}");
            // There they may stand for what is not there.
            octets[2] = opcode::UPDATE << 3;
            assert_eq!(malformed(&octets), None, "{record:?} in section {section}");
        }
    }
    // Of a status nobody asks, so none has a class to be of.
    let mut status = query([1, 0, 0], &of_class(255, record(b"\xc0\x0c", 1, a)));
    status[2] = 2 << 3;
    assert_eq!(malformed(&status), None);
    let sig = of_class(255, record(b"\0", 24, &[&[0; 18][..], b"\0sig"].concat()));
    assert_eq!(malformed(&query([0, 0, 1], &sig)), None);
}

#[test]
fn serials_are_found() {
    let soa = record(b"\xc0\x0c", 6, &[b"\xc0\x0c\0", &[0, 0, 0, 7][..], &[0; 16]].concat());
    let serials = |octets: &[u8]| Request::read(octets).map(|request| (request.told, request.held)).unwrap();
    assert_eq!(serials(&query([0, 1, 0], &soa)), (None, Some(Serial(7))));
    assert_eq!(serials(&query([1, 0, 0], &soa)), (Some(Serial(7)), None));
    assert_eq!(serials(&query([0, 0, 1], &soa)), (None, None));
}
