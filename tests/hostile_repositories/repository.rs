//! A repository under test, with the people who write into it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use git2::{ObjectType, Oid, Repository};
use shoestring::config::Pin;
use shoestring::names::Revision;
use shoestring::source::hygiene::Limits;
use shoestring::source::verify::{self, Terms, Verification};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use tempfile::TempDir;

/// A key that is the same in every run.
pub fn key(seed: u8) -> PrivateKey {
    let pair = Ed25519Keypair::from_seed(&[seed; 32]);
    PrivateKey::new(KeypairData::from(pair), "").unwrap()
}

/// The `authorized_keys` line of a key.
pub fn line(key: &PrivateKey) -> String {
    key.public_key().to_openssh().unwrap()
}

/// The fingerprint of a key.
pub fn fingerprint(key: &PrivateKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Of a tree, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A bare repository whose root commit holds `files()` and is signed by nat.
pub struct Repo {
    pub folder: TempDir,
    pub git: Repository,
    pub nat: PrivateKey,
    pub mike: PrivateKey,
    pub stranger: PrivateKey,
    pub root: Oid,
}

impl Repo {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = Repository::init_bare(folder.path()).unwrap();
        let (nat, mike, stranger) = (key(1), key(2), key(3));
        let mut repo = Self { folder, git, nat, mike, stranger, root: Oid::ZERO_SHA1 };
        let tree = repo.tree(&repo.files());
        repo.root = repo.commit(&[], tree, Some(&repo.nat));
        repo
    }

    /// nat may do everything, mike only the zones of mike; trust and routers need what `trust` says.
    pub fn trust(&self, version: u32, more: &str) -> Vec<u8> {
        format!(
            "version: {version}\n\
             principals:\n  nat: {{ keys: [\"{}\"] }}\n  mike: {{ keys: [\"{}\"] }}\n\
             rules:\n\
             \x20 - {{ paths: [\"**\"], signers: [nat], need: 1 }}\n\
             \x20 - {{ paths: [\"zones/mike/**\"], signers: [mike], need: 1 }}\n{more}",
            line(&self.nat),
            line(&self.mike)
        )
        .into_bytes()
    }

    /// The files of the root commit.
    pub fn files(&self) -> Files {
        let files = [
            ("trust.yaml", self.trust(1, "")),
            ("network.yaml", b"name: example\n".to_vec()),
            ("nodes/london.yaml", b"city: London\n".to_vec()),
            ("peers/london/transit.yaml", b"asn: 64500\n".to_vec()),
            ("zones/mike/example.org.yaml", b"primary: {}\n".to_vec()),
        ];
        files.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect()
    }

    /// The files of the root commit with one more or another.
    pub fn files_with(&self, path: &str, bytes: impl Into<Vec<u8>>) -> Files {
        let mut files = self.files();
        files.insert(path.to_owned(), bytes.into());
        files
    }

    pub fn blob(&self, bytes: &[u8]) -> Oid {
        self.git.odb().unwrap().write(ObjectType::Blob, bytes).unwrap()
    }

    /// Writes a tree of plain files.
    pub fn tree(&self, files: &Files) -> Oid {
        let mut here: Vec<(&str, String, Oid)> = Vec::new();
        let mut folders: BTreeMap<String, Files> = BTreeMap::new();
        for (path, bytes) in files {
            match path.split_once('/') {
                None => here.push(("100644", path.clone(), self.blob(bytes))),
                Some((folder, rest)) => {
                    folders.entry(folder.to_owned()).or_default().insert(rest.to_owned(), bytes.clone());
                }
            }
        }
        for (folder, files) in folders {
            here.push(("40000", folder, self.tree(&files)));
        }
        here.sort_by_key(|(mode, name, _)| if *mode == "40000" { format!("{name}/") } else { name.clone() });
        self.raw_tree(&here.iter().map(|(mode, name, id)| (*mode, name.as_bytes(), *id)).collect::<Vec<_>>())
    }

    /// Writes a tree as it is told to, however wrong.
    pub fn raw_tree(&self, entries: &[(&str, &[u8], Oid)]) -> Oid {
        let mut raw = Vec::new();
        for (mode, name, id) in entries {
            raw.extend_from_slice(mode.as_bytes());
            raw.push(b' ');
            raw.extend_from_slice(name);
            raw.push(0);
            raw.extend_from_slice(id.as_bytes());
        }
        self.git.odb().unwrap().write(ObjectType::Tree, &raw).unwrap()
    }

    /// The root's tree, as raw entries, with one more entry at its right place.
    pub fn root_tree_with(&self, mode: &str, name: &[u8], id: Oid) -> Oid {
        let tree = self.git.find_commit(self.root).unwrap().tree().unwrap();
        let mut entries: Vec<(String, Vec<u8>, Oid)> = tree
            .iter()
            .map(|entry| (format!("{:o}", entry.filemode()), entry.name_bytes().to_vec(), entry.id()))
            .collect();
        entries.push((mode.to_owned(), name.to_vec(), id));
        entries.sort_by_key(|(mode, name, _)| {
            let slash: &[u8] = if mode == "40000" { b"/" } else { b"" };
            [name, slash].concat()
        });
        let entries: Vec<_> =
            entries.iter().map(|(mode, name, id)| (mode.as_str(), name.as_slice(), *id)).collect();
        self.raw_tree(&entries)
    }

    /// The bytes of an unsigned commit. The date is decades ago: it decides nothing.
    pub fn unsigned(&self, parents: &[Oid], tree: Oid) -> String {
        let mut raw = format!("tree {tree}\n");
        for parent in parents {
            raw.push_str(&format!("parent {parent}\n"));
        }
        raw + "author Nat <nat@example.net> 1000000000 +0000\n\
               committer Nat <nat@example.net> 1000000000 +0000\n\n\
               Change it\n"
    }

    /// Writes a commit as it is told to, however wrong.
    pub fn raw_commit(&self, raw: &[u8]) -> Oid {
        self.git.odb().unwrap().write(ObjectType::Commit, raw).unwrap()
    }

    /// Writes a commit, signed if there is a key.
    pub fn commit(&self, parents: &[Oid], tree: Oid, key: Option<&PrivateKey>) -> Oid {
        let raw = self.unsigned(parents, tree);
        match key {
            None => self.raw_commit(raw.as_bytes()),
            Some(key) => {
                self.raw_commit(with_header(&raw, &signature(key, "git", raw.as_bytes())).as_bytes())
            }
        }
    }

    /// A commit on top of `parent` with these files.
    pub fn change(&self, parent: Oid, files: &Files, key: &PrivateKey) -> Oid {
        self.commit(&[parent], self.tree(files), Some(key))
    }

    /// A good change of mike's zone, made by nat.
    pub fn good(&self, parent: Oid, text: &str) -> Oid {
        self.change(parent, &self.files_with("zones/mike/example.org.yaml", text), &self.nat)
    }

    pub fn terms(&self) -> Terms {
        Terms {
            network: "example".parse().unwrap(),
            pin: Pin::Root(revision(self.root)),
            limits: Limits::default(),
            now: SystemTime::now(),
        }
    }

    pub fn verify_from(&self, applied: Option<Oid>, candidate: Oid) -> Verification {
        verify::verify(&self.git, &self.terms(), applied.map(revision), revision(candidate)).unwrap()
    }

    /// Judges from the root and says what was verified and by which rule the rest was refused.
    #[track_caller]
    pub fn expect(&self, candidate: Oid, verified: Oid, rule: &str, word: &str) {
        for applied in [None, Some(self.root)] {
            let verification = self.verify_from(applied, candidate);
            let refused = verification.refused.expect("it is refused");
            assert_eq!((refused.rule.as_str(), refused.why.contains(word)), (rule, true), "{refused:?}");
            assert_eq!(verification.verified.unwrap().revision(), revision(verified));
        }
    }

    /// Runs the git program in the repository; `None` where there is none.
    pub fn run_git(&self, arguments: &[&str]) -> Option<String> {
        run(self.folder.path(), "git", arguments)
    }
}

/// Runs a program with nothing of the user's configuration. `None` where it does not exist.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("GNUPGHOME", folder.join("gnupg"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Nat")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "nat@example.net")))
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => panic!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
            eprintln!("skipped: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// The armoured signature, as a header holds it.
pub fn signature(key: &PrivateKey, namespace: &str, payload: &[u8]) -> String {
    let armored = key.sign(namespace, HashAlg::Sha512, payload).unwrap().to_pem(LineEnding::LF).unwrap();
    armored.trim_end().replace('\n', "\n ")
}

/// Puts a signature in where git does.
pub fn with_header(raw: &str, signature: &str) -> String {
    raw.replacen("\n\n", &format!("\ngpgsig {signature}\n\n"), 1)
}

pub fn revision(id: Oid) -> Revision {
    Revision(id.as_bytes()[..20].try_into().unwrap())
}
