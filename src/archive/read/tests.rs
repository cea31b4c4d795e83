//! Tables and updates that the daemons themselves have written, whole, cut off and mangled.

use super::*;

fn file(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/external/mrt");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

const FILES: [&str; 4] = ["bird-v4.mrt", "bird-v6.mrt", "frr.mrt", "openbgpd.mrt"];

/// A BGP4MP_MESSAGE_AS4 (RFC 6396 section 4.4.3) of AS 65536, that announces 198.51.100.0/24 and withdraws 10.0.0.0/8.
fn update() -> Vec<u8> {
    let mut bgp = vec![0xff; 16];
    let body = [
        &[0, 2, 8, 10][..],
        &[0, 20],
        &[0x40, 1, 1, 0],
        &[0x40, 2, 6, 2, 1, 0, 1, 0, 0],
        &[0x40, 3, 4, 192, 0, 2, 1],
        &[24, 198, 51, 100],
    ]
    .concat();
    bgp.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    bgp.push(2);
    bgp.extend(body);
    let mut message =
        [&[0, 1, 0, 0][..], &[0, 0, 0xfb, 0xf4], &[0, 0, 0, 1], &[192, 0, 2, 1, 192, 0, 2, 2]].concat();
    message.extend(bgp);
    let mut record = vec![0x60, 0, 0, 0, 0, 16, 0, 4];
    record.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

#[test]
fn tables_of_each_daemon_are_summed_up() {
    for name in FILES {
        let summary = summarise(&file(name)[..]).unwrap();
        assert!(summary.prefixes.iter().sum::<u64>() >= 1, "{name}: {summary:?}");
        assert_eq!(summary.records["TABLE_DUMP_V2 peers"], 1, "{name}");
        assert!(summary.span.is_some_and(|(first, last)| last - first <= 1), "{name}");
    }
    let two = [file(FILES[0]), file(FILES[1])].concat();
    assert_eq!(summarise(&two[..]).unwrap().prefixes, [1, 1]);
}

#[test]
fn updates_are_summed_up_by_peer_and_origin() {
    let mut later = update();
    later[3] = 9;
    let summary = summarise(&[update(), later].concat()[..]).unwrap();
    assert_eq!(summary.records, [("BGP4MP UPDATE".to_owned(), 2)].into());
    assert_eq!(summary.span, Some((0x6000_0000, 0x6000_0009)));
    let heard = Heard { updates: 2, announced: [2, 0], withdrawn: [2, 0], ..Heard::default() };
    assert_eq!(summary.peers, [(([192, 0, 2, 1].into(), 65536), heard)].into());
    assert_eq!(summary.top_origins(3), [(65536, 2)]);
}

/// Of each daemon: two sessions begin, over which two prefixes of IPv4 and one of IPv6 are announced.
#[test]
fn updates_of_each_daemon_are_summed_up() {
    let v4 = Heard {
        updates: 2,
        announced: [2, 0],
        states: States { established: 1, lost: 0 },
        ..Heard::default()
    };
    let v6 = Heard { announced: [0, 1], ..v4 };
    for name in ["bird-updates.mrt", "frr-updates.mrt", "openbgpd-updates.mrt"] {
        let summary = summarise(&file(name)[..]).unwrap();
        let mut heard = summary.peers.clone();
        if let Some(more) =
            heard.get_mut(&([192, 0, 2, 254].into(), 65536)).filter(|_| name.starts_with("bird"))
        {
            // It was offered 200 more.
            (more.announced[0], more.updates) = (more.announced[0] - 200, more.updates - 1);
        }
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let expected = [((address("192.0.2.254"), 65536), v4), ((address("2001:db8:0:1::fe"), 65536), v6)];
        assert_eq!(heard, expected.into(), "{name}");
        assert_eq!((summary.records["BGP4MP OPEN"], summary.broken), (2, 0), "{name}");
        assert!(summary.records["BGP4MP state changes"] >= 6, "{name}");
    }
}

/// The last record of FRR is about no peer at all.
#[test]
fn what_is_wrong_inside_hides_nothing_else() {
    let whole = file("frr-ended.mrt");
    let summary = summarise(&whole[..]).unwrap();
    let first = summary.first_broken.clone().unwrap();
    assert_eq!((summary.broken, first.record, first.octet), (1, 9, 404));
    let lost: u64 = summary.peers.values().map(|heard| heard.states.lost).sum();
    assert_eq!((summary.peers.len(), lost), (2, 2));
    // One comes after it.
    let longer = summarise(&[whole, update()].concat()[..]).unwrap();
    assert_eq!((longer.broken, longer.records["BGP4MP UPDATE"]), (1, 1));
}

#[test]
fn what_is_cut_off_says_where() {
    for whole in FILES.map(file).into_iter().chain([update()]) {
        let first = 12 + u32::from_be_bytes(whole[8..12].try_into().unwrap()) as usize;
        for length in 0..first {
            let error = summarise(&whole[..length]).unwrap_err();
            assert_eq!((error.record, error.octet), (1, 0));
            assert!(error.why.contains(if length == 0 { "empty" } else { "cut off" }), "{error}");
        }
    }
    let error = summarise(&b"<html><body>not found</body></html>"[..]).unwrap_err();
    assert!(error.why.contains("no MRT"), "{error}");
}

/// Whatever an octet is changed to, there is an answer or an error, and nothing is taken for granted.
#[test]
fn what_is_mangled_fails_nobody() {
    for whole in FILES.map(file).into_iter().chain([update(), file("frr-ended.mrt")]) {
        for at in 0..whole.len() {
            for octet in [0, 1, 0x7f, 0x80, 0xff, whole[at].wrapping_add(1)] {
                let mut mangled = whole.clone();
                mangled[at] = octet;
                let _ = summarise(&mangled[..]);
            }
        }
    }
}
