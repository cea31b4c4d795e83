//! Finding: one thing that `check` holds against the desired state.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// One fault, where it stands, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Finding {
    /// The file, by its path in the repository.
    pub path: String,
    /// Line and column, both from 1; `None` where the whole file, or its absence, is the fault.
    pub position: Option<Position>,
    /// What is wrong, and what was expected.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without a hint.
    pub fn new(
        path: impl Into<String>,
        position: impl Into<Option<Position>>,
        message: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), position: position.into(), message: message.into(), hint: None }
    }

    /// The same, with what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hostile repository may name a file with a line break or an escape sequence.
        for character in self.path.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}
