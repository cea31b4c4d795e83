//! The folder of a network's files: what it says of its secrets, and the files of theirs that are written.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::desired::audience::{self, Audience};
use crate::desired::load;
use crate::desired::model::DesiredState;
use crate::desired::needs::{Needs, needs};
use crate::keyring::{SecretKind, SecretValue};
use crate::names::SecretName;
use crate::secrets::sealed;
use crate::source::trust::{PATH, Trust};

#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The folder of the network's files [default: desired-state if there is one, else the current folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) struct Folder {
    path: PathBuf,
    pub(super) state: DesiredState,
    trust: Trust,
}

impl Folder {
    /// Reads it. What is wrong with its secrets is no hindrance: these commands put it right.
    pub(super) fn open(args: &Args) -> Result<Self, String> {
        let path = match &args.dir {
            Some(dir) => dir.clone(),
            None if Path::new("desired-state").is_dir() => PathBuf::from("desired-state"),
            None => PathBuf::from("."),
        };
        if !path.join("network.yaml").is_file() {
            return Err(format!(
                "{} is no network's folder, since there is no network.yaml in it: go to the network's, or give --dir",
                path.display()
            ));
        }
        let (tree, _) = load::scan_folder(&path)?;
        let say = |findings: &[crate::finding::Finding]| match findings {
            [] => String::new(),
            [first, ..] => format!("{first}; `shoestring check` shows everything"),
        };
        let state = load::values(&tree).map_err(|findings| say(&findings))?;
        let file = |path: &str| tree.files.get(path).map(|file| file.bytes.to_vec());
        let trust = file(PATH).ok_or_else(|| format!("there is no {PATH}"))?;
        let trust = Trust::parse(&trust, &file).map_err(|findings| say(&findings))?;
        Ok(Self { path, state, trust })
    }

    pub(super) fn needs(&self) -> Needs<'_> {
        needs(&self.state)
    }

    pub(super) fn audience(&self, name: &SecretName) -> Audience<'_> {
        Audience::of(name, &self.state, &self.needs(), &self.trust)
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The file of a secret that must be there.
    pub(super) fn sealed(&self, name: &SecretName) -> Result<&[u8], String> {
        match self.state.secrets.get(name) {
            Some(secret) => Ok(&secret.octets),
            None => Err(format!("there is no secret {name}: {} is not there", self.file(name).display())),
        }
    }

    /// Where files name a secret, and what they want there.
    pub(super) fn references(&self, name: &SecretName) -> Vec<(String, SecretKind)> {
        let named = |other: &Option<SecretName>| other.as_ref() == Some(name);
        let mut references = Vec::new();
        if named(&self.state.network.cookie_secret) {
            references.push(("network.yaml".to_owned(), SecretKind::Cookie));
        }
        for peer in self.state.peers.values().filter(|peer| named(&peer.password)) {
            references.push((format!("peers/{}/{}.yaml", peer.node, peer.name), SecretKind::Password));
        }
        for zone in self.state.zones.values().filter(|zone| zone.keys().any(|key| key == name)) {
            references.push((format!("zones/{}/{}.yaml", zone.account, zone.name), SecretKind::Tsig));
        }
        references
    }

    pub(super) fn file(&self, name: &SecretName) -> PathBuf {
        self.path.join(audience::path(name))
    }

    /// Encrypts a secret to everybody who must be able to read it, and writes its file, whole or not at all.
    pub(super) fn write(&self, name: &SecretName, value: &SecretValue) -> Result<(), String> {
        let audience = self.audience(name);
        for (node, _) in audience.nodes.iter().filter(|(node, _)| node.age_recipient.is_none()) {
            eprintln!(
                "warning: {0} needs {name}, and nodes/{0}.yaml has no `age_recipient`: it will not be able to read it",
                node.name
            );
        }
        for (operator, _) in audience.operators.iter().filter(|(_, keys)| keys.is_empty()) {
            eprintln!(
                "warning: {operator} may change {name}, and trust.yaml gives {operator} neither an ssh-ed25519 key nor \
                 `age_recipients`"
            );
        }
        let recipients = audience.recipients().into_iter().cloned().collect();
        let octets =
            sealed::seal(value, &recipients).map_err(|why| format!("cannot encrypt {name}: {why}"))?;
        let path = self.file(name);
        replace(&path, &octets).map_err(|error| format!("write {}: {error}", path.display()))?;
        let nodes: Vec<&str> = audience.nodes.iter().map(|(node, _)| node.name.as_str()).collect();
        let operators: Vec<&str> = audience.operators.iter().map(|(operator, _)| operator.as_str()).collect();
        eprintln!(
            "wrote {}, for nodes: {}; operators: {}",
            path.display(),
            or_none(&nodes.join(", ")),
            or_none(&operators.join(", "))
        );
        Ok(())
    }
}

pub(super) fn or_none(list: &str) -> &str {
    if list.is_empty() { "none" } else { list }
}

fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // A dot file is none of the network's, should it be left behind.
    let draft = folder.join(format!(".{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&draft)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&draft)))
}
