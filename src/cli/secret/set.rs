use super::Kind;
use super::folder::{self, Folder};
use super::value;
use crate::keyring::SecretKind;
use crate::names::{DomainName, SecretName};
use crate::secrets::given::{self, KeyTerms};
use crate::secrets::text;

/// Set a secret: read its value from standard input, or ask for it at the terminal, and encrypt it
///
/// A TSIG key is given in base64, as `dig -y` takes it (hmac-sha256:name:base64), or as `tsig-keygen` prints it; a
/// cookie secret as 32 hexadecimal digits; a password as it is, one line. What a secret is for is seen from the files
/// that name it; before any does, say it with --kind, and run `secret rotate --keep-value` once one does.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The secret's name: its file will be secrets/NAME.age
    name: SecretName,
    /// What it is for
    #[arg(long)]
    kind: Option<Kind>,
    /// Make a random value instead of asking for one
    #[arg(long)]
    generate: bool,
    /// Of a TSIG key: hmac-sha256, hmac-sha384 or hmac-sha512, where the value does not say [default: hmac-sha256]
    #[arg(long, value_name = "NAME", value_parser = text::algorithm)]
    algorithm: Option<crate::keyring::TsigAlgorithm>,
    /// Of a TSIG key: the name that both sides know it by, where the value does not say [default: the secret's name]
    #[arg(long, value_name = "NAME")]
    key_name: Option<DomainName>,
    #[command(flatten)]
    folder: folder::Args,
}

pub(super) fn run(args: Args) -> Result<u8, String> {
    let Args { name, kind, generate, algorithm, key_name, folder } = args;
    let folder = Folder::open(&folder)?;
    let kind = match (kind.map(SecretKind::from), folder.references(&name).first()) {
        (Some(given), Some((path, wanted))) if given != *wanted => {
            return Err(format!("{path} wants {name} to be {wanted}, not {given}"));
        }
        (Some(given), _) => given,
        (None, Some((_, wanted))) => *wanted,
        (None, None) => {
            return Err(format!(
                "no file names {name} yet, so it cannot be told what it is for: give --kind"
            ));
        }
    };
    if kind != SecretKind::Tsig && (algorithm.is_some() || key_name.is_some()) {
        return Err(format!("--algorithm and --key-name are for a TSIG key, and {name} is {kind}"));
    }
    let terms = KeyTerms { name: key_name, algorithm };
    let value = match generate {
        true => given::generate(kind, &name, terms).map_err(|error| format!("{name}: {error}"))?,
        false => value::ask(kind, &name, terms)?,
    };
    folder.write(&name, &value)?;
    if folder.references(&name).is_empty() {
        eprintln!(
            "no file names {name} yet, so no node can read it: name it, then `shoestring secret rotate --keep-value {name}`"
        );
    }
    Ok(0)
}
