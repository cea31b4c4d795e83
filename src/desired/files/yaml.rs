//! From the bytes of one file to its shape, distrusting the bytes (trust.md, R8).

use serde::de::DeserializeOwned;
use serde_yaml::budget::BudgetBreach;
use serde_yaml::options::MergeKeyPolicy;
use serde_yaml::{Error, Options};

use super::field::position;
use super::values::is_deceptive;
use crate::finding::{Finding, Position};

/// More than any file of a network needs; a larger one is a mistake or an attack.
const MAX_BYTES: usize = 256 * 1024;
/// Deeper than any of our shapes.
const MAX_DEPTH: usize = 12;

/// One document without anchors, aliases, merge keys, tags or duplicate keys.
fn options() -> Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_merge_keys: 0,
        },
        strict_booleans: true,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// Reads one file. The first structural fault ends it; wrong values are kept in the shape's fields.
pub(crate) fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, Finding> {
    if bytes.len() > MAX_BYTES {
        return Err(Finding::new(
            path,
            None,
            format!("the file has {} bytes; {MAX_BYTES} is the most", bytes.len()),
        ));
    }
    let text = text(path, bytes)?;
    serde_yaml::from_str_with_options(text, options()).map_err(|error| {
        let at = error.location().map(|location| position(&location));
        let (message, hint) = explain(error.without_snippet());
        Finding { path: path.to_owned(), position: at, message, hint: hint.map(str::to_owned) }
    })
}

/// The bytes as text: UTF-8, with nothing in it that a reviewer would not see.
pub(crate) fn text<'a>(path: &str, bytes: &'a [u8]) -> Result<&'a str, Finding> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Finding::new(path, end_of(&before), "the file is not UTF-8 from here on")
    })?;
    match text.char_indices().find(|(_, c)| is_deceptive(*c) && !matches!(c, '\n' | '\r' | '\t')) {
        None => Ok(text),
        Some((offset, bad)) => Err(Finding::new(
            path,
            end_of(&text[..offset]),
            format!("the character U+{:04X} is not allowed", u32::from(bad)),
        )
        .with_hint("control and bidirectional characters can hide what a file says; remove it")),
    }
}

/// The position right after a text.
fn end_of(text: &str) -> Position {
    let line = text.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: number(line), column: number(column) }
}

/// The parser's error in our words, and what to do.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's errors are non-exhaustive; its own words will do"
)]
fn explain(error: &Error) -> (String, Option<&'static str>) {
    match error {
        Error::Budget { breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }, .. } => (
            "anchors and aliases are not allowed".to_owned(),
            Some("write the value out where it is used; quote a text that begins with & or *"),
        ),
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => (
            "there is more than one YAML document in the file".to_owned(),
            Some("remove the --- line and what follows it"),
        ),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            (format!("the file nests deeper than {MAX_DEPTH} levels"), None)
        }
        Error::Budget { .. } => ("the file is too large or too complex".to_owned(), None),
        Error::MergeKeyNotAllowed { .. } => {
            ("merge keys (<<) are not allowed".to_owned(), Some("write the keys out where they are used"))
        }
        Error::NullIntoString { .. } => {
            ("a value is missing here".to_owned(), Some("write a value, or remove the key"))
        }
        Error::Eof { .. } => ("the file ends where a value was expected".to_owned(), None),
        Error::Unexpected { expected, .. } => {
            let expected = match *expected {
                "string scalar" => "a single value",
                "sequence start" => "a list",
                "mapping start" => "keys with values",
                other => other,
            };
            (format!("expected {expected} here"), None)
        }
        other => {
            let message = other.render_with_formatter(&serde_yaml::UserMessageFormatter);
            // The position is kept beside the message, not in it.
            let end = message.rfind(" at line ").unwrap_or(message.len());
            let message: String = message[..end].chars().filter(|c| !is_deceptive(*c)).collect();
            let hint = message
                .contains("mapping values are not allowed")
                .then_some("put a text that has a colon and a space in it between quotes");
            (message, hint)
        }
    }
}
