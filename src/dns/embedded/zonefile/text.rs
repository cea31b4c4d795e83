//! Characters to octets: escapes, names, hexadecimal, base64, base32hex, times.

use std::borrow::Cow;

/// A word for a message: quoted, cut if it is long.
pub(super) fn shown(raw: &str) -> String {
    match raw.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}…", &raw[..end]),
        None => format!("{raw:?}"),
    }
}

/// One octet of a word, and whether a backslash stood before it.
pub(super) type Octet = (u8, bool);

/// The octets of a word, escapes resolved (RFC 1035 section 5.1).
pub(super) fn octets(raw: &str) -> impl Iterator<Item = Result<Octet, &'static str>> {
    let mut rest = raw.bytes();
    std::iter::from_fn(move || {
        Some(match rest.next()? {
            b'\\' => match rest.next() {
                None => Err("nothing follows the backslash"),
                Some(digit) if digit.is_ascii_digit() => {
                    let digits = [digit, rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
                    let number = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
                    number
                        .map(|octet| (octet, true))
                        .ok_or("\\ and digits stand for an octet: three, up to 255")
                }
                Some(octet) => Ok((octet, true)),
            },
            octet => Ok((octet, false)),
        })
    })
}

/// A character string's octets.
pub(super) fn string(raw: &str) -> Result<Vec<u8>, &'static str> {
    octets(raw)
        .map(|octet| match octet? {
            (b'"', false) => Err("a quote stands in the midst of it"),
            (octet, _) => Ok(octet),
        })
        .collect()
}

/// The wire form of a name, in the case that it is written in; a relative one ends in `origin`.
pub(super) fn name(raw: &str, origin: &[u8]) -> Result<Vec<u8>, Cow<'static, str>> {
    match raw {
        "@" => return Ok(origin.to_vec()),
        "." => return Ok(vec![0]),
        "" => return Err("it is empty".into()),
        _ => (),
    }
    let mut wire = vec![0];
    // Where the length of the label being read stands.
    let mut start = 0;
    for octet in octets(raw) {
        match octet? {
            (b'.', false) => {
                if wire.len() == start + 1 {
                    return Err("a label is empty".into());
                }
                start = wire.len();
                wire.push(0);
            }
            (octet, escaped) => {
                if !escaped && !octet.is_ascii_graphic() {
                    return Err(if octet.is_ascii() {
                        "it has a control character".into()
                    } else {
                        "it has a character outside ASCII: write its xn-- form".into()
                    });
                }
                match octet {
                    b'"' if !escaped => return Err("a quote stands in the midst of it".into()),
                    // A mailbox, as in the SOA, has a dot there (RFC 1035 section 8).
                    b'@' if !escaped => {
                        return Err(
                            "an @ stands in the midst of it: write a dot, or \\@ if it is meant".into()
                        );
                    }
                    _ => (),
                }
                wire.push(octet);
                if wire.len() - start > 64 {
                    return Err("a label has more than 63 octets".into());
                }
                wire[start] += 1;
            }
        }
    }
    // After a final dot the last length stays zero: the root.
    if wire[start] != 0 {
        wire.extend(origin);
    }
    if wire.len() > 255 {
        let relative = if wire[start] == 0 { "" } else { " with the origin" };
        return Err(format!("it has more than 255 octets{relative}").into());
    }
    Ok(wire)
}

/// Octets from hexadecimal digits.
pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks();
    let octets = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?));
    rest.is_empty().then(|| octets.collect())?
}

/// Octets from groups of at most so many hexadecimal digits, an even number, with a character between them.
pub(super) fn grouped(raw: &str, between: char, digits: usize) -> Option<Vec<u8>> {
    let whole = |group: &str| {
        hex(&format!("{group:0>digits$}")).filter(|_| !group.is_empty() && group.len() <= digits)
    };
    let groups = raw.split(between).map(whole);
    groups.collect::<Option<Vec<_>>>().map(|groups| groups.concat())
}

/// Octets from digits of `bits` bits each; the bits that are left over must be zero and fewer than a digit has.
fn packed(digits: impl Iterator<Item = Option<u8>>, bits: u32) -> Option<Vec<u8>> {
    let (mut octets, mut held, mut count) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        held = held << bits | u32::from(digit?);
        count += bits;
        if count >= 8 {
            count -= 8;
            octets.push(u8::try_from(held >> count).ok()?);
            held &= (1 << count) - 1;
        }
    }
    (held == 0 && count < bits).then_some(octets)
}

/// Octets from base64 with padding (RFC 4648 section 4).
pub(super) fn base64(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let padding = digits.bytes().rev().take_while(|digit| *digit == b'=').count();
    let whole = digits.len().is_multiple_of(4) && padding <= 2;
    whole.then(|| packed(digits[..digits.len() - padding].bytes().map(value), 6))?
}

/// Octets from base32 with the extended hexadecimal alphabet, without padding (RFC 4648 section 7).
pub(super) fn base32hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit.to_ascii_uppercase() {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'A'..=b'V' => Some(digit - b'A' + 10),
        _ => None,
    };
    packed(digits.bytes().map(value), 5)
}

/// Seconds, as a number or with units: `1h30m`.
pub(super) fn duration(raw: &str) -> Option<u32> {
    let (mut total, mut number) = (0_u32, None);
    for octet in raw.bytes() {
        if octet.is_ascii_digit() {
            let digit = u32::from(octet - b'0');
            number = Some(number.unwrap_or(0_u32).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match octet.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    match number {
        Some(number) => total.checked_add(number),
        None => (!raw.is_empty()).then_some(total),
    }
}

/// A time of RRSIG: seconds since 1970 modulo 2^32, or YYYYMMDDHHmmSS (RFC 4034 section 3.2).
pub(super) fn time(raw: &str) -> Option<u32> {
    if !raw.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    if raw.len() != 14 {
        return raw.parse().ok();
    }
    let part = |from: usize, to: usize| raw[from..to].parse::<u64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.get(..usize::try_from(month).ok()?.checked_sub(1)?)?;
    let valid = (1..=*lengths.get(before.len())?).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if year < 1970 || !valid {
        return None;
    }
    let years = year - 1;
    let days_to = |years: u64| years * 365 + years / 4 - years / 100 + years / 400;
    let days = days_to(years) - days_to(1969) + before.iter().sum::<u64>() + day - 1;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    u32::try_from(seconds & u64::from(u32::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_octets() {
        assert_eq!(hex("00fF"), Some(vec![0, 255]));
        assert_eq!(base64("AAH/"), Some(vec![0, 1, 255]));
        assert_eq!(base64("/w=="), Some(vec![255]));
        assert_eq!(base32hex("VS"), Some(vec![255]));
        for bad in ["f", "0g", "é"] {
            assert_eq!(hex(bad), None, "{bad}");
        }
        for bad in ["/w=", "/w", "/x==", "====", "A===", "é==="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
        for bad in ["V", "W0", "VP"] {
            assert_eq!(base32hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_become_seconds() {
        assert_eq!(duration("1w2d3h4m5s"), Some(788_645));
        assert_eq!(duration("3600"), Some(3600));
        for bad in ["", "h", "1x", "4294967296", "9999999w", "1h-"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(time("19700101000000"), Some(0));
        assert_eq!(time("20000229120000"), Some(951_825_600));
        assert_eq!(time("20300101000000"), Some(1_893_456_000));
        assert_eq!(time("1893456000"), Some(1_893_456_000));
        for bad in
            ["20010229000000", "20001301000000", "20000100000000", "19691231235959", "-1", "99999999999"]
        {
            assert_eq!(time(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_relative_without_a_final_dot() {
        let origin = b"\x07example\0";
        assert_eq!(name("A.b", origin).unwrap(), b"\x01A\x01b\x07example\0");
        assert_eq!(name("a.b.", origin).unwrap(), b"\x01a\x01b\0");
        assert_eq!(name(r"a\.b\032c.", origin).unwrap(), b"\x05a.b c\0");
        assert_eq!(name("@", origin).unwrap(), origin);
        assert_eq!(name(r"\@", origin).unwrap(), b"\x01@\x07example\0");
        let (long, many) = ("x".repeat(64), "a.".repeat(124) + "a");
        for bad in ["", "..", ".a", "a..b", r"\25", "é", "a\"b\"", "a@b", &long, &many] {
            let limit = name(bad, origin);
            assert!(limit.is_err(), "{bad} {limit:?}");
        }
        assert_eq!(name(&"a.".repeat(127), origin).unwrap().len(), 255);
    }
}
