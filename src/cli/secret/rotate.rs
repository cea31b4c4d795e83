use std::collections::BTreeSet;

use super::folder::{self, Folder};
use super::{keys, value};
use crate::keyring::{SecretKind, SecretValue};
use crate::names::SecretName;
use crate::secrets::given::{self, KeyTerms};
use crate::secrets::{Header, Identity, Recipient};

/// Encrypt secrets to those who need them now, with new values or with the ones that they have
///
/// A TSIG key gets a new random secret, under the same name and algorithm; so does the cookie secret, and cookies made
/// with the one before are still taken until the next rotation. A password is asked for, as by `secret set`, since the
/// peer has to know it too. With --keep-value no value changes and no session is reset: for a node that came, or that
/// has a new key. A node that went may have kept what it could read, so rotate without it.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The secrets' names
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<SecretName>,
    /// All secrets that others can read than those who need them
    #[arg(long, requires = "keep_value")]
    all: bool,
    /// Keep the values
    #[arg(long)]
    keep_value: bool,
    /// Make a random password instead of asking for one
    #[arg(long, conflicts_with = "keep_value")]
    generate: bool,
    #[command(flatten)]
    keys: keys::Args,
    #[command(flatten)]
    folder: folder::Args,
}

pub(super) fn run(args: Args) -> Result<u8, String> {
    let Args { names, all, keep_value, generate, keys, folder } = args;
    let folder = Folder::open(&folder)?;
    let names = if all { folder.state.secrets.keys().cloned().collect() } else { names };
    let mut identities: Option<Vec<Identity>> = None;
    for name in names {
        let file = folder.sealed(&name)?;
        if keep_value && is_right(&folder, &name, file) {
            eprintln!("{name} is encrypted to exactly those who need it");
            continue;
        }
        let identities: &[Identity] = match &identities {
            Some(identities) => identities,
            None => identities.insert(keys.read()?),
        };
        let present = keys::open(&name, file, identities)?;
        let value = match (keep_value, given::next(&present)) {
            (true, _) => present,
            (false, Some(next)) => next,
            (false, None) => password(&name, generate)?,
        };
        folder.write(&name, &value)?;
        if !keep_value {
            tell(&name, &value);
        }
    }
    Ok(0)
}

/// Whether its readers are those who need it.
fn is_right(folder: &Folder, name: &SecretName, file: &[u8]) -> bool {
    Header::parse(file).is_ok_and(|header| {
        let readers: BTreeSet<&Recipient> = header.readers.iter().map(|(reader, _)| reader).collect();
        readers == folder.audience(name).recipients()
    })
}

fn password(name: &SecretName, generate: bool) -> Result<SecretValue, String> {
    let terms = KeyTerms { name: None, algorithm: None };
    match generate {
        true => {
            given::generate(SecretKind::Password, name, terms).map_err(|error| format!("{name}: {error}"))
        }
        false => value::ask(SecretKind::Password, name, terms),
    }
}

/// Who else must hear of it.
fn tell(name: &SecretName, value: &SecretValue) {
    match value {
        SecretValue::Tsig(_) => eprintln!(
            "the primaries must have it when this is pushed: `shoestring secret show --format bind {name}`"
        ),
        SecretValue::Password(_) => {
            eprintln!("the peer must have it when this is pushed: its sessions are reset")
        }
        SecretValue::Cookie(_) => eprintln!(
            "cookies made with the one before are taken until the next rotation: wait an hour before that"
        ),
    }
}
