//! AS_PATH and AS4_PATH (RFC 4271 section 4.3, RFC 6793 section 4.2).

use super::super::wire::Fields;

const AS_SEQUENCE: u8 = 2;

/// The AS numbers of a path. `None` where RFC 7606 section 7.2 says that it is malformed, where AS 0 is in it (RFC 7607
/// section 2), and where it has sets (RFC 9774 section 3) or a confederation's segments (RFC 5065 section 5.3), which
/// no external peer may send.
pub(super) fn read(value: &[u8], four_octets: bool) -> Option<Vec<u32>> {
    let mut fields = Fields(value);
    let mut path = Vec::new();
    while !fields.is_empty() {
        let (kind, count) = (fields.octet()?, fields.octet()?);
        if kind != AS_SEQUENCE || count == 0 {
            return None;
        }
        for _ in 0..count {
            let asn = if four_octets { fields.long()? } else { fields.short()?.into() };
            if asn == 0 {
                return None;
            }
            path.push(asn);
        }
    }
    Some(path)
}

/// RFC 6793 section 4.2.3: the path as it was before a speaker of two octets shortened its numbers.
pub(super) fn merged(path: Vec<u32>, four_octets: Option<Vec<u32>>) -> Vec<u32> {
    match four_octets {
        Some(end) if end.len() <= path.len() => [&path[..path.len() - end.len()], &end].concat(),
        _ => path,
    }
}

/// The value of a path: segments of 255 numbers at most.
pub(super) fn write(path: &[u32], four_octets: bool) -> Vec<u8> {
    let mut value = Vec::new();
    for segment in path.chunks(255) {
        value.extend([AS_SEQUENCE, u8::try_from(segment.len()).expect("255 at most")]);
        for asn in segment {
            if four_octets {
                value.extend(asn.to_be_bytes());
            } else {
                let short = u16::try_from(*asn).unwrap_or(super::super::wire::open::AS_TRANS);
                value.extend(short.to_be_bytes());
            }
        }
    }
    value
}
