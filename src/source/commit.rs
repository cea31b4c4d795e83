//! Commit: a strict reader of a commit object's raw bytes.
//!
//! ```text
//! tree <id>                      once
//! parent <id>                    none or more, no two alike
//! author <ident>                 once
//! committer <ident>              once
//! <name> <value>                 others: encoding, mergetag, gpgsig, …; lines that begin with a space continue
//!                                the value
//!                                an empty line
//! <message>
//! ```
//!
//! Git itself reads commits leniently, and two readers that differ on what a commit says are how an unsigned part
//! comes to be taken for a signed one. So whatever is out of the ordinary is refused: headers missing, repeated or
//! out of order, NUL bytes, more than one signature. Headers that we do not know are tolerated once each (they are
//! under the signature and mean nothing here), `mergetag` any number of times (an octopus merge of tags has
//! several); neither gives authority.

use crate::names::Revision;

/// A commit, as far as trust is concerned with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The tree, by its object id.
    pub tree: Revision,
    /// The parents; the first is the one that judges.
    pub parents: Vec<Revision>,
    /// Who wrote it: `name <mail> seconds zone`. Only for display: nothing is decided by it, dates least of all.
    pub author: String,
    /// Who committed it, in the same form.
    pub committer: String,
    /// The signature, if there is one.
    pub signature: Option<Signature>,
    /// The message.
    pub message: String,
}

/// A signature and what it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The armoured text, without the header's folding.
    pub armored: String,
    /// The commit's bytes without the signature's header.
    pub payload: Vec<u8>,
}

/// Why bytes are not a commit that we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed commit: {0}")]
pub struct Malformed(pub String);

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

impl Commit {
    /// Reads the raw content of a commit object.
    pub fn parse(raw: &[u8]) -> Result<Self, Malformed> {
        if raw.contains(&0) {
            return malformed("it contains a NUL byte");
        }
        let mut headers = Headers { raw, at: 0 };
        let tree = object_id("tree", headers.expect("tree")?.value)?;
        let mut parents = Vec::new();
        while let Some(parent) = headers.next_if("parent")? {
            let parent = object_id("parent", parent.value)?;
            if parents.contains(&parent) {
                return malformed(format!("the parent {parent} stands twice"));
            }
            parents.push(parent);
        }
        let author = ident("author", headers.expect("author")?.value)?;
        let committer = ident("committer", headers.expect("committer")?.value)?;
        let mut seen = Vec::new();
        let mut signature = None;
        while let Some(header) = headers.next()? {
            if matches!(header.name, "tree" | "parent" | "author" | "committer") {
                return malformed(format!("the header {:?} stands twice or out of order", header.name));
            }
            if header.name != "mergetag" && seen.contains(&header.name) {
                return malformed(format!("the header {:?} stands twice", header.name));
            }
            seen.push(header.name);
            if header.name == "gpgsig" {
                signature = Some((unfold(header.value)?, header.start..headers.at));
            } else if header.name.starts_with("gpgsig") {
                // `gpgsig-sha256` signs the commit's SHA-256 form, and git leaves it out of what `gpgsig` signs:
                // beside another signature or alone, it is a place for unsigned bytes.
                return malformed(format!("the header {:?} is a signature over another form", header.name));
            }
        }
        let signature = signature.map(|(armored, range)| {
            let payload = [&raw[..range.start], &raw[range.end..]].concat();
            Signature { armored, payload }
        });
        let message = String::from_utf8_lossy(&raw[headers.at + 1..]).into_owned();
        Ok(Self { tree, parents, author, committer, signature, message })
    }
}

struct Header<'a> {
    start: usize,
    name: &'a str,
    /// With its folding, without the final newline.
    value: &'a [u8],
}

/// The header lines not yet read; at the end `at` is at the empty line.
struct Headers<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Headers<'a> {
    fn next(&mut self) -> Result<Option<Header<'a>>, Malformed> {
        let start = self.at;
        let rest = &self.raw[start..];
        match rest.first() {
            Some(b'\n') => return Ok(None),
            None => return malformed("no empty line ends the headers"),
            Some(b' ') => return malformed("a continuation line without a header"),
            Some(_) => {}
        }
        let mut length = 0;
        loop {
            let Some(newline) = rest[length..].iter().position(|&byte| byte == b'\n') else {
                return malformed("the headers end within a line");
            };
            length += newline + 1;
            if rest.get(length) != Some(&b' ') {
                break;
            }
        }
        self.at = start + length;
        let line = &rest[..length - 1];
        let space = line.iter().position(|&byte| byte == b' ' || byte == b'\n');
        let Some(space) = space.filter(|&space| line[space] == b' ') else {
            return malformed("a header without a value");
        };
        let name = std::str::from_utf8(&line[..space]).ok().filter(|name| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        });
        let Some(name) = name else {
            return malformed("a header whose name is not plain text");
        };
        Ok(Some(Header { start, name, value: &line[space + 1..] }))
    }

    fn next_if(&mut self, name: &str) -> Result<Option<Header<'a>>, Malformed> {
        let before = self.at;
        let header = self.next()?;
        if header.as_ref().is_some_and(|header| header.name == name) {
            return Ok(header);
        }
        self.at = before;
        Ok(None)
    }

    fn expect(&mut self, name: &str) -> Result<Header<'a>, Malformed> {
        match self.next_if(name)? {
            Some(header) => Ok(header),
            None => malformed(format!("the header {name:?} is missing or out of order")),
        }
    }
}

fn object_id(header: &str, value: &[u8]) -> Result<Revision, Malformed> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.bytes().any(|b| b.is_ascii_uppercase()));
    match text.and_then(|text| text.parse().ok()) {
        Some(id) => Ok(id),
        None => malformed(format!("{header:?} is not followed by an object id of 40 lower-case digits")),
    }
}

/// `name <mail> seconds zone`, as fsck wants it.
fn ident(header: &str, value: &[u8]) -> Result<String, Malformed> {
    let text = String::from_utf8_lossy(value).into_owned();
    let well_formed = || {
        let (who, when) = text.split_once('>')?;
        let (name, mail) = who.split_once('<')?;
        let (seconds, zone) = when.strip_prefix(' ')?.split_once(' ')?;
        let plain = |part: &str| !part.contains(['<', '>', '\n', '\r']);
        let number =
            !seconds.is_empty() && seconds.len() <= 15 && seconds.bytes().all(|b| b.is_ascii_digit());
        let zone =
            zone.len() == 5 && zone.starts_with(['+', '-']) && zone[1..].bytes().all(|b| b.is_ascii_digit());
        (plain(name) && plain(mail) && number && zone && (name.is_empty() || name.ends_with(' ')))
            .then_some(())
    };
    if well_formed().is_none() {
        return malformed(format!("{header:?} is not of the form `name <mail> seconds zone`"));
    }
    Ok(text)
}

fn unfold(value: &[u8]) -> Result<String, Malformed> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii());
    let Some(text) = text else { return malformed("the signature is not plain text") };
    let text = text.replace("\n ", "\n");
    if text.trim().is_empty() {
        return malformed("the signature is empty");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
    const PARENT: &str = "parent 1111111111111111111111111111111111111111\n";
    const AUTHOR: &str = "author Nat <nat@example.net> 1700000000 +0000\n";
    const COMMITTER: &str = "committer Nat <nat@example.net> 1700000000 +0000\n";

    fn parse(parts: &[&str]) -> Result<Commit, Malformed> {
        Commit::parse(parts.concat().as_bytes())
    }

    #[test]
    fn a_signature_is_cut_out_of_what_it_signs() {
        let commit =
            parse(&[TREE, PARENT, AUTHOR, COMMITTER, "gpgsig A\n B\n \n C\nchange-id x\n", "\nHi\n"])
                .unwrap();
        let signature = commit.signature.unwrap();
        assert_eq!(signature.armored, "A\nB\n\nC");
        assert_eq!(
            signature.payload,
            [TREE, PARENT, AUTHOR, COMMITTER, "change-id x\n", "\nHi\n"].concat().into_bytes()
        );
        assert_eq!(commit.message, "Hi\n");
        assert_eq!(commit.parents.len(), 1);
    }

    #[test]
    fn a_header_inside_the_message_is_not_a_header() {
        let commit = parse(&[TREE, AUTHOR, COMMITTER, "\ngpgsig A\n"]).unwrap();
        assert_eq!(commit.signature, None);
    }

    #[test]
    fn mergetags_may_repeat() {
        let tag = "mergetag object 1\n type commit\n";
        assert!(parse(&[TREE, AUTHOR, COMMITTER, tag, tag, "\n"]).is_ok());
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_refused() {
        let end = "\nmessage\n";
        let other = "parent 2222222222222222222222222222222222222222\n";
        for (what, parts) in [
            ("no tree", vec![AUTHOR, COMMITTER, end]),
            ("no author", vec![TREE, COMMITTER, end]),
            ("no committer", vec![TREE, AUTHOR, end]),
            ("two trees", vec![TREE, TREE, AUTHOR, COMMITTER, end]),
            ("two authors", vec![TREE, AUTHOR, AUTHOR, COMMITTER, end]),
            ("two committers", vec![TREE, AUTHOR, COMMITTER, COMMITTER, end]),
            ("late author", vec![TREE, AUTHOR, COMMITTER, AUTHOR, end]),
            ("late parent", vec![TREE, AUTHOR, other, COMMITTER, end]),
            ("parent after the committer", vec![TREE, AUTHOR, COMMITTER, other, end]),
            ("parent before the tree", vec![other, TREE, AUTHOR, COMMITTER, end]),
            ("one parent twice", vec![TREE, PARENT, PARENT, AUTHOR, COMMITTER, end]),
            ("two signatures", vec![TREE, AUTHOR, COMMITTER, "gpgsig A\ngpgsig B\n", end]),
            ("signature of another form", vec![TREE, AUTHOR, COMMITTER, "gpgsig-sha256 A\n", end]),
            ("both forms", vec![TREE, AUTHOR, COMMITTER, "gpgsig A\ngpgsig-sha256 B\n", end]),
            ("empty signature", vec![TREE, AUTHOR, COMMITTER, "gpgsig  \n", end]),
            ("two encodings", vec![TREE, AUTHOR, COMMITTER, "encoding a\nencoding b\n", end]),
            ("no value", vec![TREE, AUTHOR, COMMITTER, "encoding\n", end]),
            ("no end", vec![TREE, AUTHOR, COMMITTER]),
            ("no last newline", vec![TREE, AUTHOR, "committer Nat <nat@example.net> 1700000000 +0000"]),
            ("first line continues", vec![" ", TREE, AUTHOR, COMMITTER, end]),
            ("folded tree", vec![TREE, " more\n", AUTHOR, COMMITTER, end]),
            ("folded author", vec![TREE, AUTHOR, " more\n", COMMITTER, end]),
            ("short id", vec!["tree 4b825dc6\n", AUTHOR, COMMITTER, end]),
            (
                "upper-case id",
                vec!["tree 4B825DC642CB6EB9A060E54BF8D69288FBEE4904\n", AUTHOR, COMMITTER, end],
            ),
            ("NUL in the message", vec![TREE, AUTHOR, COMMITTER, "\na\0b\n"]),
            ("no date", vec![TREE, "author Nat <nat@example.net>\n", COMMITTER, end]),
            ("no mail", vec![TREE, "author Nat 1700000000 +0000\n", COMMITTER, end]),
            ("empty", vec![]),
        ] {
            assert!(parse(&parts).is_err(), "{what}");
        }
        assert!(parse(&[TREE, PARENT, other, AUTHOR, COMMITTER, "encoding a\n", end]).is_ok());
    }
}
