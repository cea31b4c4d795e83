//! `shoestring init`: a new network's repository.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryInitOptions, Signature};
use ipnet::IpNet;
use ssh_key::{PrivateKey, PublicKey};

use crate::desired::load;
use crate::names::{NameError, NetworkName, NodeName};
use crate::source::sign;
use crate::tree::{File, Tree};

mod template;

use template::Template;

/// Make the repository of a new network: one node that is hub and edge, and no peers yet
///
/// Writes the files, checks them and makes the first commit. Without --prefix the network gets prefixes that are
/// reserved for documentation: enough to try it on one machine, since nothing is announced without peers.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to make; it must be empty or not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The network's name: 1 to 63 of a-z, 0-9 and '-'
    #[arg(long)]
    name: NetworkName,
    /// The AS number that the nodes will speak as
    #[arg(long, value_parser = asn)]
    asn: u32,
    /// A prefix of yours, at most one per family
    #[arg(long, value_name = "PREFIX", default_values = ["192.0.2.0/24", "2001:db8:53::/48"])]
    prefix: Vec<IpNet>,
    /// The SSH public key that may sign changes: the key itself, or its .pub file
    #[arg(long, value_name = "KEY", required_unless_present = "sign_with")]
    key: Option<String>,
    /// Sign the first commit with this SSH private key, and set the repository up to sign the next ones
    #[arg(long, value_name = "FILE")]
    sign_with: Option<PathBuf>,
    /// The first node's name
    #[arg(long, default_value = "first")]
    node: NodeName,
    /// An address of the first node, where a primary's NOTIFY reaches it (repeatable, the first must be IPv4)
    #[arg(long, value_name = "ADDRESS", default_values = ["127.0.0.1"])]
    address: Vec<IpAddr>,
}

fn asn(text: &str) -> Result<u32, String> {
    let number: u32 = text.parse().map_err(|_| "expected a number, such as 64496".to_owned())?;
    crate::names::Asn::try_from(number).map_err(|error: NameError| error.to_string())?;
    Ok(number)
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let signer = args.sign_with.as_deref().map(private_key).transpose()?;
    let key = public_key(args.key.as_deref(), signer.as_ref())?;
    let template = Template {
        name: &args.name,
        asn: args.asn,
        prefixes: &args.prefix,
        key: &key,
        node: &args.node,
        addresses: &args.address,
    };
    let files = template.files()?;
    check(&files)?;
    let commit = write(&args.folder, &files, signer.as_ref(), args.sign_with.as_deref())?;
    print!("{}", next_steps(&args, commit));
    Ok(0)
}

fn private_key(path: &Path) -> Result<PrivateKey, String> {
    let key = PrivateKey::read_openssh_file(path)
        .map_err(|error| format!("{}: no SSH private key: {error}", path.display()))?;
    if key.is_encrypted() {
        return Err(format!(
            "{}: the key has a passphrase; leave --sign-with out and sign with git instead",
            path.display()
        ));
    }
    Ok(key)
}

/// The key that trust.yaml will name, as one line without a comment.
fn public_key(given: Option<&str>, signer: Option<&PrivateKey>) -> Result<String, String> {
    let mut key = match (given, signer) {
        (Some(text), _) => {
            let read = std::fs::read_to_string(text);
            let line = read.as_deref().unwrap_or(text).trim();
            PublicKey::from_openssh(line).map_err(|error| {
                format!("{text:?} is neither an SSH public key nor the file of one: {error}")
            })?
        }
        (None, Some(signer)) => signer.public_key().clone(),
        (None, None) => return Err("give --key or --sign-with".to_owned()),
    };
    key.set_comment("");
    key.to_openssh().map(|line| line.trim().to_owned()).map_err(|error| error.to_string())
}

/// What is written is what `shoestring check` accepts.
fn check(files: &[(String, String)]) -> Result<(), String> {
    let file = |text: &String| File { bytes: text.as_bytes().into(), changed: 1 };
    let tree = Tree { files: files.iter().map(|(path, text)| (path.as_str().into(), file(text))).collect() };
    load::read(&tree).map(drop).map_err(|findings| {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        format!("these make no valid network:\n{}", lines.join("\n"))
    })
}

fn write(
    folder: &Path,
    files: &[(String, String)],
    signer: Option<&PrivateKey>,
    signer_path: Option<&Path>,
) -> Result<Oid, String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    if std::fs::read_dir(folder).map_err(|error| failed(folder, error))?.next().is_some() {
        return Err(format!("{}: the folder is not empty", folder.display()));
    }
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    commit(folder, files, signer, signer_path)
        .map_err(|error| format!("cannot make the repository {}: {error}", folder.display()))
}

/// A repository with one commit, signed where there is a key to sign with.
fn commit(
    folder: &Path,
    files: &[(String, String)],
    signer: Option<&PrivateKey>,
    signer_path: Option<&Path>,
) -> Result<Oid, Box<dyn std::error::Error>> {
    const MESSAGE: &str = "Begin the network\n";
    let mut options = RepositoryInitOptions::new();
    let repository = Repository::init_opts(folder, options.initial_head("main").no_reinit(true))?;
    let mut index = repository.index()?;
    files.iter().try_for_each(|(path, _)| index.add_path(Path::new(path)))?;
    index.write()?;
    let tree = index.write_tree()?;
    let author = match repository.signature() {
        Ok(author) => author,
        // Whoever set up no name for git.
        Err(_) => Signature::now("operator", "operator@localhost")?,
    };
    match signer {
        Some(key) => {
            let commit = sign::commit_signed(&repository, &[], tree, MESSAGE, &author, key)?;
            sign::set_branch(&repository, "main", commit)?;
            let mut config = repository.config()?;
            config.set_str("gpg.format", "ssh")?;
            config.set_bool("commit.gpgsign", true)?;
            if let Some(path) = signer_path.and_then(|path| std::path::absolute(path).ok()) {
                config.set_str("user.signingkey", &path.to_string_lossy())?;
            }
            Ok(commit)
        }
        None => {
            let tree = repository.find_tree(tree)?;
            Ok(repository.commit(Some("HEAD"), &author, &author, MESSAGE, &tree, &[])?)
        }
    }
}

fn next_steps(args: &Args, commit: Oid) -> String {
    let folder = std::path::absolute(&args.folder).unwrap_or_else(|_| args.folder.clone());
    let folder = folder.display();
    let Args { name, node, .. } = args;
    let signing = match args.sign_with {
        Some(_) => String::new(),
        None => format!(
            "Sign the next commits; a node refuses others:\n  \
             git -C {folder} config gpg.format ssh\n  \
             git -C {folder} config user.signingkey ~/.ssh/id_ed25519.pub\n  \
             git -C {folder} config commit.gpgsign true\n\n"
        ),
    };
    format!(
        "The network {name} is in {folder}.\n\
         Its root commit, which every node pins, is\n  {commit}\n\n\
         {signing}\
         Make this machine its first node, and run it:\n  \
         shoestring join --node {node} --network {name} --repository {folder} --pin {commit} \\\n    \
         --state ./{node}.state --config ./{node}.yaml > /dev/null\n  \
         shoestring run --config ./{node}.yaml\n\n\
         Then add a zone under zones/, `shoestring check {folder}`, commit, and see it served.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(folder: &Path, key: Option<&str>, sign_with: Option<PathBuf>) -> Args {
        Args {
            folder: folder.to_owned(),
            name: "tiny".parse().unwrap(),
            asn: 64496,
            prefix: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:53::/48".parse().unwrap()],
            key: key.map(str::to_owned),
            sign_with,
            node: "first".parse().unwrap(),
            address: vec!["127.0.0.1".parse().unwrap()],
        }
    }

    #[test]
    fn a_new_network_is_valid_and_signed() {
        let folder = tempfile::tempdir().unwrap();
        let key = sign::new_key("somebody").unwrap();
        let key_path = folder.path().join("key");
        std::fs::write(&key_path, key.to_openssh(ssh_key::LineEnding::LF).unwrap().as_bytes()).unwrap();
        let network = folder.path().join("network");
        assert_eq!(run(args(&network, None, Some(key_path.clone()))), Ok(0));

        let state = load::read(&load::read_folder(&network).unwrap()).unwrap();
        assert_eq!((state.nodes.len(), state.zones.len(), state.peers.len()), (1, 1, 0));
        let repository = Repository::open(&network).unwrap();
        let head = repository.head().unwrap();
        assert_eq!(head.name(), Ok("refs/heads/main"));
        let (signature, _) = repository.extract_signature(&head.target().unwrap(), Some("gpgsig")).unwrap();
        assert!(std::str::from_utf8(&signature).unwrap().starts_with("-----BEGIN SSH SIGNATURE-----"));
        assert_eq!(repository.statuses(None).unwrap().len(), 0);

        // Never over something that is there.
        assert!(run(args(&network, None, Some(key_path))).unwrap_err().contains("not empty"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(args(&folder.path().join("n"), Some("ssh-ed25519 AAAA"), None)).unwrap_err();
        assert!(error.contains("neither an SSH public key nor the file of one"), "{error}");
        assert!(!folder.path().join("n").exists());
    }
}
