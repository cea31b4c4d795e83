//! Memory: what a node knows of catalogs beside its files, kept in its state folder.
//!
//! Without it, an agent that starts while a catalog cannot be read would take its members for zones that nobody wants. One
//! that is gone with the state folder takes as much with it as the kept zones do: what can be read again is read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::members::Members;
use crate::names::DomainName;
use crate::whole_file;

/// The name of the file.
const FILE: &str = "catalogs.json";

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// What catalogs said when they could last be read.
    pub consumed: BTreeMap<DomainName, Known>,
    /// The members that were taken. Who has a zone keeps it: another catalog that lists it does not get it.
    pub holdings: BTreeMap<DomainName, Holding>,
    /// Members that became other zones of the same name, until the name server has let go of the ones before.
    pub leaving: BTreeSet<DomainName>,
    /// The catalogs that were offered.
    pub offered: BTreeMap<DomainName, Edition>,
}

/// What a catalog said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// With this serial.
    pub serial: u32,
    /// Its members.
    pub members: Members,
}

/// Of which catalog, and as what, a zone was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The catalog.
    pub catalog: DomainName,
    /// The id there.
    pub id: DomainName,
}

/// A version of a catalog that was offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// Of what it lists.
    pub fingerprint: String,
    /// Its serial.
    pub serial: u32,
}

impl Memory {
    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read. The text says what to do.
    pub fn load(state: &Path) -> Result<Self, String> {
        whole_file::recall(&state.join(FILE), "remove it, and the catalogs are read anew")
    }

    /// Writes it; whoever reads meanwhile, or after a crash, finds the one before or this one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, state: &Path) -> Result<(), String> {
        whole_file::keep(&state.join(FILE), self)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::members::Member;
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Memory::load(folder.path()), Ok(Memory::default()));
        let name = |text: &str| -> DomainName { text.parse().unwrap() };
        let member = Member { id: name(r"\000x"), goes_to: Some(name("other.example")) };
        let memory = Memory {
            consumed: [(
                name("c.example"),
                Known { serial: 7, members: [(name("a.example"), member.clone())].into() },
            )]
            .into(),
            holdings: [(name("a.example"), Holding { catalog: name("c.example"), id: member.id })].into(),
            leaving: [name("b.example")].into(),
            offered: [(name("o.example"), Edition { fingerprint: "f".into(), serial: 9 })].into(),
        };
        memory.save(folder.path()).unwrap();
        assert_eq!(Memory::load(folder.path()), Ok(memory));
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Memory::load(folder.path()).unwrap_err().contains("remove it"));
    }
}
