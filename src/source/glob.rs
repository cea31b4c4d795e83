//! Glob: the patterns of paths in `trust.yaml`.
//!
//! A pattern is a path whose segments may hold `*`, for any text within one segment, even none, or be `**`, for
//! any number of whole segments: at least one at the end of a pattern (`zones/**` is everything below `zones`),
//! none or more elsewhere (`**/a` is `a` at any depth). All else stands for itself. There is nothing more: no `?`,
//! no `[…]`, no `!`, no `{…}`; these are errors, so that nobody believes in them.

use std::fmt;

/// A pattern that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`
    AnyDepth,
    /// The parts between the stars; one part means that there is none.
    Text(Vec<String>),
}

impl Glob {
    /// Reads a pattern; the error says what it may not hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > 512 {
            return Err("a pattern has at most 512 characters".to_owned());
        }
        let segments = text.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), segments })
    }

    /// Whether it stands for this path. Takes at most the product of their lengths in steps.
    pub fn matches(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        // reached[n]: the segments so far can stand for the first n of the path.
        let mut reached = vec![false; path.len() + 1];
        reached[0] = true;
        for (index, segment) in self.segments.iter().enumerate() {
            let mut next = vec![false; path.len() + 1];
            match segment {
                Segment::AnyDepth => {
                    let last = index + 1 == self.segments.len();
                    let mut any = false;
                    for (n, slot) in next.iter_mut().enumerate() {
                        *slot = any || (reached[n] && !last);
                        any |= reached[n];
                    }
                }
                Segment::Text(parts) => {
                    for (n, name) in path.iter().enumerate() {
                        next[n + 1] = reached[n] && text_matches(parts, name);
                    }
                }
            }
            reached = next;
        }
        reached[path.len()]
    }

    /// The segments from the beginning that hold no star.
    pub fn literal_prefix(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map_while(|segment| match segment {
            Segment::Text(parts) if parts.len() == 1 => Some(parts[0].as_str()),
            Segment::Text(_) | Segment::AnyDepth => None,
        })
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    if text == "**" {
        return Ok(Segment::AnyDepth);
    }
    if text.is_empty() {
        return Err("a path neither begins nor ends with '/', nor holds \"//\"".to_owned());
    }
    if text == "." || text == ".." {
        return Err("a path holds no \".\" or \"..\"".to_owned());
    }
    if text.contains("**") {
        return Err("\"**\" stands alone between two '/'".to_owned());
    }
    if let Some(wrong) = text.chars().find(|c| "?[]{}!\\".contains(*c) || c.is_control()) {
        return Err(format!("{wrong:?} has no meaning in a pattern: only * and ** do"));
    }
    Ok(Segment::Text(text.split('*').map(str::to_owned).collect()))
}

/// The first and last part are tied to the ends; those between are found as early as can be.
fn text_matches(parts: &[String], name: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == name);
    };
    let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last.as_str())
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        for (pattern, yes, no) in [
            (
                "network.yaml",
                vec!["network.yaml"],
                vec!["network.yaml/a", "a/network.yaml", "network.yam", ""],
            ),
            (
                "zones/**",
                vec!["zones/a", "zones/a/b.yaml"],
                vec!["zones", "zonesx/a", "peers/a", "a/zones/a"],
            ),
            ("zones/*", vec!["zones/a", "zones/.a"], vec!["zones/a/b", "zones"]),
            ("zones/*/x.zone", vec!["zones/m/x.zone"], vec!["zones/x.zone", "zones/m/n/x.zone"]),
            ("zones/*.yaml", vec!["zones/a.yaml", "zones/.yaml"], vec!["zones/a.yamlx", "zones/a/b.yaml"]),
            ("**/x", vec!["x", "a/x", "a/b/x"], vec!["a/xx", "x/a"]),
            ("a/**/b", vec!["a/b", "a/c/b", "a/c/d/b"], vec!["a", "b", "a/bc"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("a*b*c", vec!["abc", "axbxc", "abbc"], vec!["ab", "ac", "axc", "abcd"]),
            ("ab*ba", vec!["abba", "abxba"], vec!["aba"]),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            for path in yes {
                assert!(glob.matches(path), "{pattern} {path}");
            }
            for path in no {
                assert!(!glob.matches(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_has_no_meaning_is_an_error() {
        for bad in
            ["", "/a", "a/", "a//b", "../a", "a/./b", "a/**b", "a?", "[ab]", "{a,b}", "!a", "a\\b", "a\n"]
        {
            assert!(Glob::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let glob = Glob::parse(&"*a".repeat(100)).unwrap();
        assert!(!glob.matches(&"a".repeat(99)));
        let glob = Glob::parse(&format!("{}b", "**/".repeat(100))).unwrap();
        assert!(!glob.matches(&"a/".repeat(200)));
    }
}
