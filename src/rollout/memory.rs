//! Memory: what a node knows of its rollout over restarts, in `rollout.json` in the state folder.
//!
//! Written before it is acted on, and whole. One that cannot be read is no reason to take on what was rejected, so an agent
//! does not start with it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ConfigurationId, Expected};
use crate::whole_file;

/// The name of the file.
const FILE: &str = "rollout.json";

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// What the node runs; `None` before it ran any.
    pub runs: Option<Runs>,
    /// What it goes back to: the one that was good before.
    pub before: Option<ConfigurationId>,
    /// The candidate, where it is rejected.
    pub rejected: Option<Rejected>,
}

/// A configuration that is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// Which.
    pub of: ConfigurationId,
    /// Whether it has been good here.
    pub proven: bool,
    /// What the node did before it.
    pub expected: Expected,
}

/// A configuration that is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// Which.
    pub of: ConfigurationId,
    /// Whether this node found out itself. Only then does it tell the others, so nobody rejects what everybody has heard
    /// of long ago and nobody has met.
    pub own: bool,
    /// What was met.
    pub why: String,
}

impl Memory {
    /// Reads it; one that is not there is empty.
    ///
    /// # Errors
    /// When it cannot be read. The text says what to do.
    pub fn load(state: &Path) -> Result<Self, String> {
        let advice = "it says which configuration this node runs, and which it rejected: put it right, or remove it to take \
                      on the newest";
        whole_file::recall(&state.join(FILE), advice)
    }

    /// Writes it.
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

    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::names::Revision;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Memory::load(folder.path()), Ok(Memory::default()));
        let of = ConfigurationId { revision: Revision([7; 20]), digest: Fingerprint::of(&[b"x"]) };
        let (announced, obstacles) = (["192.0.2.0/24".parse().unwrap()].into(), ["it".to_owned()].into());
        let expected = Expected { sessions: 2, announced, ill: true, obstacles };
        let memory = Memory {
            runs: Some(Runs { of, proven: true, expected }),
            before: Some(of),
            rejected: Some(Rejected { of, own: true, why: "HARD".to_owned() }),
        };
        memory.save(folder.path()).unwrap();
        assert_eq!(Memory::load(folder.path()), Ok(memory));
        fs::write(folder.path().join(FILE), "{\"runs\": 1}").unwrap();
        assert!(Memory::load(folder.path()).unwrap_err().contains("remove it"));
    }
}
