//! The types whose text is more than a row of fields: LOC, APL, HIP, IPSECKEY and AMTRELAY.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::fields::{Cursor, number, wrong};
use super::lexer::Token;
use super::{Fault, text};

/// RFC 1876 section 3: `d1 [m1 [s1]] N|S d2 [m2 [s2]] E|W altitude [size [horizontal [vertical]]]`.
pub(super) fn location(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(cursor, 90, [b'N', b'S'])?;
    let longitude = angle(cursor, 180, [b'E', b'W'])?;
    let altitude = cursor.read("an altitude in metres, as in 12.5m", |raw| {
        let (negative, raw) = raw.strip_prefix('-').map_or((false, raw), |raw| (true, raw));
        let centimetres = i64::try_from(hundredths(raw.strip_suffix('m').unwrap_or(raw), 2)?).ok()?;
        // Counted from 100 km below the ellipsoid.
        u32::try_from(10_000_000 + if negative { -centimetres } else { centimetres }).ok()
    })?;
    // Size, horizontal and vertical precision: 1 m, 10 km and 10 m unless they are given.
    let mut spheres = [0x12, 0x16, 0x13];
    for sphere in &mut spheres {
        if cursor.is_at_end() {
            break;
        }
        *sphere = cursor.read("a size in metres, as in 10m", |raw| {
            power(hundredths(raw.strip_suffix('m').unwrap_or(raw), 2)?)
        })?;
    }
    data.push(0);
    data.extend(spheres);
    for number in [latitude, longitude, altitude] {
        data.extend(number.to_be_bytes());
    }
    Ok(())
}

/// Thousandths of a second of arc, counted so that the equator and the prime meridian are 2^31.
fn angle(cursor: &mut Cursor<'_>, most: u64, hemispheres: [u8; 2]) -> Result<u32, Fault> {
    let expected = ["degrees", "minutes", "seconds"];
    let (mut total, mut at) = (0, cursor.end_at());
    for (position, unit) in [3_600_000, 60_000, 1_000].into_iter().enumerate() {
        let token = cursor.next(expected[position])?;
        at = token.at;
        if position > 0
            && let Some(angle) = hemisphere(token, hemispheres, total, most)
        {
            return angle.ok_or_else(|| Fault::at(at, format!("an angle is at most {most} degrees")));
        }
        let value = match position {
            0 => number::<u64>(token.raw).filter(|degrees| *degrees <= most).map(|degrees| degrees * unit),
            1 => number::<u64>(token.raw).filter(|minutes| *minutes < 60).map(|minutes| minutes * unit),
            _ => hundredths(token.raw, 3).filter(|thousandths| *thousandths < 60_000),
        };
        total += value.ok_or_else(|| wrong(token, expected[position]))?;
    }
    let expected = format!("{} or {}", char::from(hemispheres[0]), char::from(hemispheres[1]));
    let token = cursor.next(&expected)?;
    match hemisphere(token, hemispheres, total, most) {
        Some(angle) => angle.ok_or_else(|| Fault::at(at, format!("an angle is at most {most} degrees"))),
        None => Err(wrong(token, &expected)),
    }
}

/// The angle, if this token is one of the hemispheres; `Some(None)` if it is too large.
fn hemisphere(token: &Token<'_>, hemispheres: [u8; 2], total: u64, most: u64) -> Option<Option<u32>> {
    let [letter] = token.raw.as_bytes() else { return None };
    let at = hemispheres.iter().position(|hemisphere| hemisphere.eq_ignore_ascii_case(letter))?;
    let angle = u32::try_from(total).ok().filter(|_| total <= most * 3_600_000);
    Some(angle.map(|angle| if at == 0 { (1 << 31) + angle } else { (1 << 31) - angle }))
}

/// A decimal number with at most so many digits after its point, in units of the last of them.
fn hundredths(raw: &str, digits: usize) -> Option<u64> {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, ""));
    if fraction.len() > digits || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let padded = format!("{whole}{fraction:0<digits$}");
    number(&padded)
}

/// Centimetres as a digit and a power of ten, four bits each; what is not exact is rounded down.
fn power(mut centimetres: u64) -> Option<u8> {
    let mut exponent = 0;
    while centimetres >= 10 {
        centimetres /= 10;
        exponent += 1;
    }
    (exponent <= 9).then(|| u8::try_from(centimetres << 4 | exponent).ok())?
}

/// RFC 3123 section 5: `[!]family:address/prefix`, as many as there are.
pub(super) fn prefixes(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    for token in cursor.rest() {
        let item = prefix(token.raw).filter(|_| !token.quoted);
        data.extend(item.ok_or_else(|| wrong(token, "a prefix, as in 1:192.0.2.0/24 or !2:2001:db8::/32"))?);
    }
    Ok(())
}

fn prefix(raw: &str) -> Option<Vec<u8>> {
    let (negated, raw) = raw.strip_prefix('!').map_or((0, raw), |raw| (0x80, raw));
    let (family, rest) = raw.split_once(':')?;
    let (address, length) = rest.split_once('/')?;
    let family: u16 = number(family)?;
    let mut octets = match family {
        1 => address.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
        2 => address.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
        _ => return None,
    };
    let length: u8 = number(length).filter(|length| usize::from(*length) <= octets.len() * 8)?;
    // Zeros at the end are left out (section 4).
    octets.truncate(octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1));
    let [high, low] = family.to_be_bytes();
    Some([&[high, low, length, negated | u8::try_from(octets.len()).ok()?], &octets[..]].concat())
}

/// RFC 8005 section 6: `algorithm identity key [server …]`.
pub(super) fn host_identity(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let algorithm: u8 = cursor.read("an algorithm, up to 255", number)?;
    let identity =
        cursor.read("an identity in hexadecimal", |raw| text::hex(raw).filter(|hit| !hit.is_empty()))?;
    let key = cursor.read("a key in base64", text::base64)?;
    let lengths = u8::try_from(identity.len()).ok().zip(u16::try_from(key.len()).ok());
    let Some((short, long)) = lengths else {
        return Err(Fault::at(
            cursor.end_at(),
            "the identity has more than 255 octets, or its key more than 65535",
        ));
    };
    data.extend([short, algorithm]);
    data.extend(long.to_be_bytes());
    data.extend(identity);
    data.extend(key);
    while !cursor.is_at_end() {
        data.extend(cursor.name()?);
    }
    Ok(())
}

/// RFC 4025 section 3: `precedence type algorithm gateway [key]`.
pub(super) fn gateway(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let precedence: u8 = cursor.read("a precedence, up to 255", number)?;
    let form: u8 = cursor.read("a type of gateway, up to 3", |raw| number(raw).filter(|form| *form <= 3))?;
    let algorithm: u8 = cursor.read("an algorithm, up to 255", number)?;
    data.extend([precedence, form, algorithm]);
    place(form, cursor, data)?;
    if !cursor.is_at_end() {
        data.extend(cursor.joined("a key in base64", text::base64)?);
    }
    Ok(())
}

/// RFC 8777 section 4.3: `precedence discovery type relay`.
pub(super) fn relay(cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    let precedence: u8 = cursor.read("a precedence, up to 255", number)?;
    let discovery: u8 = cursor.read("0 or 1", |raw| number(raw).filter(|bit| *bit <= 1))?;
    let form: u8 = cursor.read("a type of relay, up to 3", |raw| number(raw).filter(|form| *form <= 3))?;
    data.extend([precedence, discovery << 7 | form]);
    place(form, cursor, data)
}

/// Nothing, written as a dot; an address; or a name.
fn place(form: u8, cursor: &mut Cursor<'_>, data: &mut Vec<u8>) -> Result<(), Fault> {
    match form {
        0 => cursor.read("a dot, for none", |raw| (raw == ".").then_some(()))?,
        1 => data.extend(cursor.read("an IPv4 address", |raw| raw.parse::<Ipv4Addr>().ok())?.octets()),
        2 => data.extend(cursor.read("an IPv6 address", |raw| raw.parse::<Ipv6Addr>().ok())?.octets()),
        _ => data.extend(cursor.name()?),
    }
    Ok(())
}
