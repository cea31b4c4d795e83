use std::io::Write;

use super::folder::{self, Folder};
use super::keys;
use crate::keyring::{Secret, SecretKind, SecretValue};
use crate::names::SecretName;
use crate::secrets::{given, text};

/// Decrypt a secret and write it to standard output
#[derive(clap::Args)]
pub(super) struct Args {
    /// The secret's name
    name: SecretName,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    #[command(flatten)]
    keys: keys::Args,
    #[command(flatten)]
    folder: folder::Args,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// As it stands inside its encrypted file
    Yaml,
    /// A TSIG key as BIND's configuration takes it, to give to the other side
    Bind,
    /// A password alone, on one line
    Plain,
}

pub(super) fn run(args: Args) -> Result<u8, String> {
    let Args { name, format, keys, folder } = args;
    let folder = Folder::open(&folder)?;
    let value = keys::open(&name, folder.sealed(&name)?, &keys.read()?)?;
    let text = match (format, &value) {
        (Format::Yaml, value) => text::write(value),
        (Format::Bind, SecretValue::Tsig(key)) => given::clause(key),
        (Format::Plain, SecretValue::Password(password)) => Secret::new([password.expose(), b"\n"].concat()),
        (Format::Bind, other) => return Err(wrong(&name, other.kind(), "bind", SecretKind::Tsig)),
        (Format::Plain, other) => return Err(wrong(&name, other.kind(), "plain", SecretKind::Password)),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.expose())
        .and_then(|()| out.flush())
        .map_err(|error| format!("write {name}: {error}"))?;
    Ok(0)
}

fn wrong(name: &SecretName, is: SecretKind, format: &str, of: SecretKind) -> String {
    format!("{name} is {is}, and --format {format} is for {of}")
}
