//! `$GENERATE first-last[/step] owner [ttl] [class] type data`: BIND's way to write many records that differ in a number.
//!
//! In the owner and in the data, `$` stands for the number, and `${offset,width,base}` for the number with an offset,
//! padded with zeros, in one of the bases `d`, `o`, `x`, `X`, `n` and `N` (the last two: hexadecimal digits from the
//! lowest on, with dots between them, as ip6.arpa has them). `$$` and `\$` stand for a dollar sign.

use std::fmt::Write as _;

use super::fields::{Cursor, data, number, wrong};
use super::lexer::Lexer;
use super::{Fault, Reader};
use crate::dns::embedded::rdata::rtype;

/// The most text that all the `$GENERATE` of a file may stand for, in octets.
pub(super) const MAX_GENERATED: usize = 64 << 20;

impl Reader<'_> {
    /// Adds the records that the rest of the directive stands for.
    pub(super) fn generate(&mut self, at: usize, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let (first, last, step) = cursor.read("a range, as in 1-127 or 0-126/2", range)?;
        let owner = cursor.next("an owner")?;
        let (ttl, rtype) = Self::ttl_and_type(cursor)?;
        let template = cursor.next("data")?;
        cursor.end()?;
        if rtype == rtype::SOA {
            return Err(Fault::at(at, "$GENERATE makes no SOA records"));
        }
        let too_much = || Fault::at(at, format!("$GENERATE makes more than {MAX_GENERATED} octets of text"));
        let times = (last - first) as usize / step + 1;
        if times.saturating_mul(owner.raw.len() + template.raw.len()) > MAX_GENERATED {
            return Err(too_much());
        }
        let mut line = String::new();
        for number in (first..=last).step_by(step) {
            line.clear();
            for part in [owner, template] {
                substitute(part.raw, i64::from(number), &mut line)
                    .ok_or_else(|| wrong(part, "text with $ or ${offset,width,base} in it"))?;
                line.push(' ');
            }
            self.generated += line.len();
            if self.generated > MAX_GENERATED {
                return Err(too_much());
            }
            // The places of a made line mean nothing to the reader of the file.
            let here = |fault: Fault| Fault {
                at: Some(at),
                message: format!("{} (of {line:?})", fault.message),
                ..fault
            };
            let Some(entry) = Lexer::new(&line).next_entry() else { continue };
            let entry = entry.map_err(here)?;
            let origin = self.origin.clone();
            let mut cursor = Cursor::new(&entry, &origin);
            let owner = cursor.domain_name().map_err(here)?;
            let data = data(rtype, &mut cursor).map_err(here)?;
            self.add(at, &owner, ttl, rtype, &data).map_err(here)?;
        }
        Ok(())
    }
}

/// `first-last[/step]`, the step at least 1.
fn range(raw: &str) -> Option<(u32, u32, usize)> {
    let (first, rest) = raw.split_once('-')?;
    let (last, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let (first, last, step): (u32, u32, u32) = (number(first)?, number(last)?, number(step)?);
    let valid = first <= last && i32::try_from(last).is_ok() && step > 0;
    valid.then_some((first, last, usize::try_from(step).ok()?))
}

/// A template with a number in place of its dollar signs.
fn substitute(template: &str, value: i64, out: &mut String) -> Option<()> {
    let mut rest = template;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        let (sign, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        if sign == b'\\' {
            // An escape is for whoever reads the record.
            let escaped = after.chars().next()?;
            out.extend(['\\', escaped]);
            rest = &after[escaped.len_utf8()..];
        } else if let Some(after) = after.strip_prefix('$') {
            out.push_str("\\$");
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (modifier, after) = after.split_once('}')?;
            modified(modifier, value, out)?;
            rest = after;
        } else {
            write!(out, "{value}").ok()?;
            rest = after;
        }
    }
    out.push_str(rest);
    Some(())
}

/// The number as `offset[,width[,base]]` wants it.
fn modified(modifier: &str, value: i64, out: &mut String) -> Option<()> {
    let mut parts = modifier.split(',');
    let offset: i32 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().map_or(Some(0), number).filter(|width| *width <= 255)?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() {
        return None;
    }
    let value = value + i64::from(offset);
    // Negative numbers are only decimal.
    let positive = || u64::try_from(value).ok();
    match base {
        "d" => write!(out, "{value:0width$}").ok(),
        "o" => write!(out, "{:0width$o}", positive()?).ok(),
        "x" => write!(out, "{:0width$x}", positive()?).ok(),
        "X" => write!(out, "{:0width$X}", positive()?).ok(),
        "n" | "N" => {
            let (mut value, mut length) = (positive()?, 0);
            loop {
                let digit = char::from_digit(u32::try_from(value & 15).ok()?, 16)?;
                out.push(if base == "N" { digit.to_ascii_uppercase() } else { digit });
                (value, length) = (value >> 4, length + 1);
                // The dots count too.
                if value == 0 && length >= width {
                    return Some(());
                }
                out.push('.');
                length += 1;
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(template: &str, value: i64) -> Option<String> {
        let mut out = String::new();
        substitute(template, value, &mut out).map(|()| out)
    }

    #[test]
    fn numbers_take_the_place_of_dollar_signs() {
        for (template, value, wanted) in [
            ("a$b$", 7, "a7b7"),
            ("${1,3}", 7, "008"),
            ("${-9}", 7, "-2"),
            ("${0,4,x}.${0,0,X}.${0,0,o}", 10, "000a.A.12"),
            ("${0,5,N}", 10, "A.0.0"),
            ("${0,0,n}", 0x1f, "f.1"),
            ("a\\$$$\\\\", 1, "a\\$\\$\\\\"),
        ] {
            assert_eq!(made(template, value).as_deref(), Some(wanted), "{template}");
        }
        for bad in ["${", "${}", "${1,2,3}", "${0,0,y}", "${0,256}", "${-9,1,x}", "${1,1,d,1}", "\\"] {
            assert_eq!(made(bad, 1), None, "{bad}");
        }
    }

    #[test]
    fn ranges_rise() {
        assert_eq!(range("1-3"), Some((1, 3, 1)));
        assert_eq!(range("0-10/5"), Some((0, 10, 5)));
        for bad in ["", "1", "3-1", "1-2/0", "-1-2", "1-4294967295", "1-2/x"] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}
