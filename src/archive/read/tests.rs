//! Tables that the daemons themselves have written, whole, cut off and mangled.

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
    assert_eq!(summary.records, [("BGP4MP messages".to_owned(), 2)].into());
    assert_eq!(summary.span, Some((0x6000_0000, 0x6000_0009)));
    let heard = Heard { routes: 0, announced: 2, withdrawn: 2 };
    assert_eq!(summary.peers, [(([192, 0, 2, 1].into(), 65536), heard)].into());
    assert_eq!(summary.top_origins(3), [(65536, 2)]);
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
    for whole in FILES.map(file).into_iter().chain([update()]) {
        for at in 0..whole.len() {
            for octet in [0, 1, 0x7f, 0x80, 0xff, whole[at].wrapping_add(1)] {
                let mut mangled = whole.clone();
                mangled[at] = octet;
                let _ = summarise(&mangled[..]);
            }
        }
    }
}
