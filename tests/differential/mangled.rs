//! Queries that are mangled: drawn, and badly made at any of the places where a message can be, or at several.
//!
//! Whoever finds more than one thing wrong may say any of them, so a response code is right if one of the three gives
//! it; what the responses hold besides is compared where they agree on that.

use super::draw::Draw;
use super::questions::Case;

const OPT: u16 = 41;
const TSIG: u16 = 250;

/// Mangled forms of these queries, so many.
pub fn cases(of: &[Case], count: usize, draw: &mut Draw) -> Vec<Case> {
    (0..count)
        .map(|_| {
            let case = draw.one(of);
            let mut case = Case::new(&case.name, case.qtype);
            case.octets = mangled(&mut case, draw);
            let hex: String = case.octets[2..].iter().map(|octet| format!("{octet:02x}")).collect();
            case.label = format!("mangled: {hex}");
            case
        })
        .collect()
}

/// A record: owner, type, class, TTL, data.
fn record(draw: &mut Draw, rtype: u16) -> Vec<u8> {
    let owner = match (rtype, draw.below(12)) {
        (OPT | TSIG, 0..10) | (_, 0..4) => vec![0],
        (_, 4..8) => vec![0xc0, 12],
        (_, 8) => vec![0xc0, draw.below(64) as u8],
        _ => b"\x03www\x05other\x04test\0".to_vec(),
    };
    let (class, ttl) = match rtype {
        OPT => (
            draw.one(&[1232_u16, 512, 0, 65535]),
            draw.one(&[0_u32, 0x8000, 0x8000, 0x0001_0000, 0x0100_0000, 0xffff]),
        ),
        TSIG => (255, 0),
        _ => (draw.one(&[1_u16, 1, 1, 254, 255]), draw.one(&[0_u32, 300, u32::MAX])),
    };
    let data = match rtype {
        OPT => options(draw),
        TSIG => {
            let mut data = b"\x0bhmac-sha256\0\0\0".to_vec();
            data.extend([0, 0, 0, 0, 1, 44, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0]);
            if draw.percent(30) {
                data.truncate(draw.below(data.len()));
            }
            data
        }
        6 => [b"\x01a\0\x01b\0".to_vec(), vec![0; 20]].concat(),
        _ => vec![192, 0, 2, 1],
    };
    let mut length = data.len() as u16;
    if draw.percent(5) {
        length = length.wrapping_add(draw.one(&[1, u16::MAX, 100]));
    }
    [&owner[..], &rtype.to_be_bytes(), &class.to_be_bytes(), &ttl.to_be_bytes(), &length.to_be_bytes(), &data]
        .concat()
}

/// EDNS options, mostly none.
fn options(draw: &mut Draw) -> Vec<u8> {
    let mut options = Vec::new();
    for _ in 0..draw.one(&[0, 0, 1, 1, 2, 3]) {
        let code = draw.one(&[3_u16, 10, 10, 11, 12, 9, 15, 65_001]);
        let length = draw.one(&[0_usize, 8, 8, 16, 24, 1, 2, 40, 41]);
        options.extend(code.to_be_bytes());
        let said = if draw.percent(6) { length + 1 } else { length };
        options.extend((said as u16).to_be_bytes());
        options.extend(vec![7; length]);
    }
    options
}

/// The octets of a mangled form of this query, whose fields become what it asks.
fn mangled(case: &mut Case, draw: &mut Draw) -> Vec<u8> {
    let mut counts = [1_u16, 0, 0, 0];
    if draw.percent(30) {
        case.flags = draw.one(&[
            0x0100, 0x0010, 0x0200, 0x0400, 0x0080, 0x0040, 0x0003, 0x2000, 0x2800, 0x1000, 0x0800, 0x3000,
            0x7800,
        ]);
    }
    case.qclass = draw.one(&[1, 1, 1, 1, 1, 3, 254, 255, 0]);
    if draw.percent(20) {
        case.qtype = draw.one(&[251, 252, 255, 250, 249, 41, 0, 253, 65535]);
    }
    let mut body = [&case.name[..], &case.qtype.to_be_bytes(), &case.qclass.to_be_bytes()].concat();
    match draw.below(20) {
        0 => {
            body.clear();
            counts[0] = 0;
        }
        1 => {
            body = body.repeat(2);
            counts[0] = 2;
        }
        2 => body[0] = draw.one(&[0xff, 0x40, 0x80, 0x3f]),
        _ => (),
    }
    for (section, chance) in [(1, 6), (2, 10), (3, 0)] {
        while draw.percent(chance) {
            let rtype = draw.one(&[1, 6, 6, OPT, TSIG, 1]);
            body.extend(record(draw, rtype));
            counts[section] += 1;
        }
    }
    for rtype in match draw.below(12) {
        0..3 => vec![],
        3..9 => vec![OPT],
        9 => vec![OPT, TSIG],
        10 => vec![draw.one(&[1, OPT, TSIG]), draw.one(&[1, OPT, TSIG])],
        _ => vec![OPT, draw.one(&[1, TSIG, OPT])],
    } {
        body.extend(record(draw, rtype));
        counts[3] += 1;
    }
    let place = draw.below(4);
    match draw.below(20) {
        0 => counts[place] = counts[place].wrapping_add(1),
        1 => counts[place] = counts[place].saturating_sub(1),
        2 => counts[place] = draw.one(&[2, 255, 65535]),
        _ => (),
    }
    let mut octets = vec![0, 0];
    octets.extend(case.flags.to_be_bytes());
    octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    octets.extend(body);
    match draw.below(20) {
        0 => octets.truncate(12 + draw.below(octets.len() - 11)),
        1 => octets.extend(vec![0; 1 + draw.below(20)]),
        2 => {
            let at = 12 + draw.below(octets.len().max(13) - 12);
            if let Some(octet) = octets.get_mut(at) {
                *octet ^= 1 << draw.below(8);
            }
        }
        _ => (),
    }
    octets
}
