use super::folder::{self, Folder, or_none};
use crate::keyring::SecretKind;
use crate::names::SecretName;
use crate::secrets::{Header, Recipient};

/// List who can read each secret, and who needs it and why
///
/// Without any private key: by what each file says of its readers, which whoever can decrypt it verifies by doing so.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The secrets' names; all if none is given
    #[arg(value_name = "NAME")]
    names: Vec<SecretName>,
    #[command(flatten)]
    folder: folder::Args,
}

pub(super) fn run(args: &Args) -> Result<u8, String> {
    let folder = Folder::open(&args.folder)?;
    let names = match args.names.is_empty() {
        true => folder.state.secrets.keys().collect(),
        false => args.names.iter().collect::<Vec<_>>(),
    };
    if names.is_empty() {
        eprintln!("the network has no secrets");
    }
    for name in names {
        print!("{}", of(&folder, name)?);
    }
    Ok(0)
}

/// How many uses of one secret by one node are listed.
const USES: usize = 3;

fn of(folder: &Folder, name: &SecretName) -> Result<String, String> {
    let header = Header::parse(folder.sealed(name)?);
    let header = header.map_err(|error| format!("{}: {error}", folder.file(name).display()))?;
    let audience = folder.audience(name);
    let can = |recipient: &Recipient| header.readers.iter().any(|(reader, _)| reader == recipient);
    let mark = |recipient: Option<&Recipient>| match recipient {
        Some(recipient) if can(recipient) => "can read it",
        Some(_) => "CANNOT read it",
        None => "CANNOT read it: it has no age_recipient",
    };
    let mut text = format!("{name}: {}\n", kind(header.kind));
    for (node, uses) in &audience.nodes {
        let more = uses.len().saturating_sub(USES);
        let mut why: Vec<String> = uses.iter().take(USES).map(ToString::to_string).collect();
        if more > 0 {
            why.push(format!("{more} more"));
        }
        text += &format!("  {}, for {}: {}\n", node.name, why.join(", "), mark(node.age_recipient.as_ref()));
    }
    for (operator, keys) in &audience.operators {
        match keys.iter().find(|key| can(key)).or_else(|| keys.first()) {
            None => text += &format!("  {operator}, who may change it: has no key that decrypts\n"),
            key => text += &format!("  {operator}, who may change it: {}\n", mark(key)),
        }
    }
    let wanted = audience.recipients();
    for (reader, _) in header.readers.iter().filter(|(reader, _)| !wanted.contains(reader)) {
        let node = folder.state.nodes.values().find(|node| node.age_recipient.as_ref() == Some(reader));
        let person = folder.trust().recipients.iter().find(|(_, keys)| keys.contains(reader));
        let whose = match (node, person) {
            (Some(node), _) => node.name.to_string(),
            (None, Some((person, _))) => person.to_string(),
            (None, None) => reader.to_string(),
        };
        text += &format!("  {whose}: can read it and does NOT need it\n");
    }
    let references: Vec<String> = folder.references(name).into_iter().map(|(path, _)| path).collect();
    let more = references.len().saturating_sub(USES);
    let mut named = references.into_iter().take(USES).collect::<Vec<_>>().join(", ");
    if more > 0 {
        named += &format!(" and {more} more");
    }
    text += &format!("  named by: {}\n", or_none(&named));
    Ok(text)
}

fn kind(kind: SecretKind) -> String {
    kind.to_string().trim_start_matches("a ").to_owned()
}
