//! A leaf of a file: one scalar, where it stands, and what it was parsed to.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_yaml::{Location, Spanned};

use crate::finding::{Finding, Position};

/// What a scalar can be parsed to.
pub trait Value: Sized {
    /// From the scalar's text, quotes removed. The error says what the text is not and what was expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// For editors.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A scalar that was parsed where it stands. A text that does not parse is kept as a fault, so that the rest of
/// the file is still read.
#[derive(Debug, Clone)]
pub struct Field<T> {
    value: Result<T, String>,
    at: Position,
}

impl<T> Field<T> {
    /// The value, unless the text was wrong.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref().ok()
    }

    /// The value and where it stands, unless the text was wrong.
    pub(crate) fn located(&self) -> Option<(&T, Position)> {
        self.get().map(|value| (value, self.at))
    }

    /// Where it stands.
    pub fn at(&self) -> Position {
        self.at
    }
}

impl<T: Clone> Field<T> {
    /// The value; a wrong text becomes a finding.
    pub(super) fn take(&self, path: &str, findings: &mut Vec<Finding>) -> Option<T> {
        match &self.value {
            Ok(value) => Some(value.clone()),
            Err(fault) => {
                findings.push(Finding::new(path, self.at, fault));
                None
            }
        }
    }
}

/// Every value of a list; `None` if one is wrong, after all were looked at.
pub(super) fn take_all<T: Clone, C: FromIterator<T>>(
    fields: &[Field<T>],
    path: &str,
    findings: &mut Vec<Finding>,
) -> Option<C> {
    let values: Vec<Option<T>> = fields.iter().map(|field| field.take(path, findings)).collect();
    values.into_iter().collect()
}

/// A value that may be missing: `Some(None)` when it is, `None` when it is there and wrong.
pub(super) fn take_option<T: Clone>(
    field: Option<&Field<T>>,
    path: &str,
    findings: &mut Vec<Finding>,
) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(field) => field.take(path, findings).map(Some),
    }
}

/// A location of the parser, as a position of ours.
pub(super) fn position(location: &Location) -> Position {
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
    Position { line: number(location.line()), column: number(location.column()) }
}

impl<'de, T: Value> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { value: T::parse(&scalar.value), at: position(&scalar.referenced) })
    }
}

impl<T: Value> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}
