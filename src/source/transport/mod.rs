//! Transport: how the objects of one branch come here.
//!
//! Each way is a sibling file; none is trusted with more than bringing bytes (the signatures are, trust.md). A
//! repository on this machine is read as files (`local`); elsewhere `git upload-pack` is spoken to (`upload_pack`),
//! over HTTP (`http`) or through the user's `ssh` (`ssh`).

mod address;
mod budget;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod http;
mod local;
mod ssh;
mod upload_pack;
mod walk;

use git2::{Oid, Repository};

pub(super) use address::Address;
pub(super) use budget::Budget;
pub(super) use walk::{Takeable, unknown_objects};

use super::SourceError;
use super::repository::Environment;

/// What to bring, and to where.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The reference there.
    pub(super) reference: &'a str,
    /// Where it is brought.
    pub(super) here: &'a Repository,
    /// Commits here of which nothing is missing.
    pub(super) whole: &'a [Oid],
}

/// Brings what the reference at `address` needs and is not here; returns how much of it could be taken, or `None` where
/// there is no such reference. Nothing of the commit that it returns is missing here.
pub(super) fn fetch(
    address: &Address,
    environment: &Environment,
    wanted: &Wanted<'_>,
    budget: &mut Budget,
) -> Result<Option<Takeable>, SourceError> {
    match address {
        Address::Local(path) => local::fetch(path, wanted, budget),
        Address::Http(url) => {
            let mut http = http::Http::new(url, environment.certificates.as_deref(), budget)?;
            upload_pack::fetch(&mut http, wanted, budget)
        }
        Address::Ssh(ssh) => {
            let mut ssh = ssh::Connection::open(ssh, environment.ssh_command.as_deref(), budget)?;
            let fetched = upload_pack::fetch(&mut ssh, wanted, budget);
            fetched.map_err(|error| ssh.explain(error, budget))
        }
    }
}
