//! Its database: a file of sqlite, made of the schema that its package brings, read and written with the tool `sqlite3`.
//!
//! Added to the schema are a table that counts the changes of zones, and triggers that count and that break the seals of zones
//! that somebody changes. What it writes itself as it serves (serials that were checked, records that came by transfer, what
//! it finds out about their signatures) breaks none. We seal a zone last, in the transaction that gives it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::PATIENCE;
use crate::dns::external::{DriverError, Place};
use crate::names::DomainName;
use crate::process::{DaemonUser, find_program, tool};

/// Where packages put the schema.
const SCHEMAS: [&str; 3] = [
    "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql",
    "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql",
    "/usr/share/doc/pdns-backend-sqlite/schema.sqlite3.sql",
];
/// What is added to it.
const ADDED: &str = include_str!("added.sql");

/// Where it is.
pub(super) fn path(place: &Place) -> PathBuf {
    place.data().join("zones.sqlite3")
}

/// Its database.
#[derive(Clone)]
pub(super) struct Database {
    tool: PathBuf,
    schema: PathBuf,
    path: PathBuf,
    user: Option<DaemonUser>,
    /// What `version` last said.
    last: Arc<Mutex<Option<Last>>>,
}

/// A version, and what the files looked like before it was asked for.
#[derive(Clone)]
struct Last {
    stamp: Vec<u8>,
    version: String,
}

impl Database {
    /// `None` where the tool or the schema is missing.
    pub(super) fn find(place: &Place) -> Option<Self> {
        let tool = find_program("sqlite3")?;
        let schema = SCHEMAS.iter().map(PathBuf::from).find(|path| path.is_file())?;
        Some(Self { tool, schema, path: path(place), user: place.user.clone(), last: Arc::default() })
    }

    /// Makes it where it is not there: whole, or not at all.
    pub(super) async fn make(&self) -> Result<(), DriverError> {
        if self.path.is_file() {
            return Ok(());
        }
        let failed =
            |path: &Path, error: io::Error| DriverError::Said(format!("{}: {error}", path.display()));
        let schema = fs::read_to_string(&self.schema).map_err(|error| failed(&self.schema, error))?;
        let beside = self.path.with_extension("next");
        let _ = fs::remove_file(&beside);
        self.tool(&beside, &format!("{schema}\n{ADDED}\nPRAGMA journal_mode = WAL;\n")).await?;
        if let Some(user) = &self.user {
            user.own(&beside).map_err(|error| failed(&beside, error))?;
        }
        fs::rename(&beside, &self.path).map_err(|error| failed(&self.path, error))
    }

    async fn tool(&self, path: &Path, statements: &str) -> Result<String, DriverError> {
        let settings = ".timeout 20000\n.mode list\n.separator \"\\t\"\nPRAGMA foreign_keys = ON;\n";
        let arguments = ["-batch", "-bail", "-init", "/dev/null"].map(AsRef::as_ref);
        let arguments = arguments.into_iter().chain([path.as_os_str()]);
        let said =
            tool::run(&self.tool, arguments, (settings.to_owned() + statements).as_bytes(), PATIENCE).await?;
        Ok(said.text())
    }

    /// What these statements say: lines, their fields with tabs between.
    pub(super) async fn run(&self, statements: &str) -> Result<String, DriverError> {
        if !self.path.is_file() {
            // The tool would make one, without tables.
            return Err(DriverError::Said(format!("{} is not there", self.path.display())));
        }
        self.tool(&self.path, statements).await
    }

    /// All of these statements, or none.
    pub(super) async fn transaction(&self, statements: &str) -> Result<(), DriverError> {
        if statements.is_empty() {
            return Ok(());
        }
        self.run(&format!("BEGIN IMMEDIATE;\n{statements}COMMIT;\n")).await.map(drop)
    }

    /// A number that moves with every change of its zones. It is only asked for when something was written at all.
    pub(super) async fn version(&self) -> Result<String, DriverError> {
        let stamp =
            self.stamp().map_err(|error| DriverError::Said(format!("{}: {error}", self.path.display())))?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Last { version, .. }) = last.filter(|last| last.stamp == stamp) {
            return Ok(version);
        }
        let version = self.run("SELECT changes FROM shoestring;\n").await?.trim().to_owned();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Last { stamp, version: version.clone() });
        Ok(version)
    }

    /// Another one after each write: length and time of the file, and the start of the index of its log, which counts the
    /// writes that are not in the file yet and is gone when nobody has it open.
    fn stamp(&self) -> io::Result<Vec<u8>> {
        let file = fs::metadata(&self.path)?;
        let numbers = [file.len().cast_signed(), file.mtime(), file.mtime_nsec()];
        let mut stamp: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        let mut index = self.path.clone().into_os_string();
        index.push("-shm");
        match File::open(index) {
            Ok(file) => file.take(48).read_to_end(&mut stamp).map(drop)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(stamp)
    }
}

/// A text as a literal of SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as its database has it: as text without the last dot, escapes where they cannot be done without.
pub(super) fn name(name: &DomainName) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for label in name.labels() {
        if !text.is_empty() {
            text.push('.');
        }
        for &octet in label {
            match octet {
                b'.' | b'\\' => {
                    text.push('\\');
                    text.push(char::from(octet));
                }
                b'!'..=b'~' => text.push(char::from(octet)),
                _ => {
                    let _ = write!(text, "\\{octet:03}");
                }
            }
        }
    }
    if text.is_empty() { ".".to_owned() } else { text }
}
