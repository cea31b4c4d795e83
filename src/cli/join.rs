//! `shoestring join`: what a machine needs to become a node.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::config::{LocalConfig, Pin};
use crate::mesh::{INTERFACE, key};
use crate::names::{NetworkName, NodeName, Revision};
use crate::netlink::{LinkKind, Netlink, is_automatic};
use crate::secrets::identity;

mod node_file;

use node_file::{DetectedInterface, Machine};

/// Make this machine's keys and configuration, and print its node file
///
/// The node file goes to standard output, with this machine's public keys and addresses; fill in the rest and commit
/// it to the network's repository. The private keys stay here, in the state folder. Running it again changes nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The node's name: its file in the repository will be nodes/NAME.yaml
    #[arg(long, value_name = "NAME")]
    node: NodeName,
    /// The network's name, as its network.yaml gives it
    #[arg(long, value_name = "NAME")]
    network: NetworkName,
    /// The network's repository: a path, or a file://, https://, ssh:// or scp-style address
    #[arg(long, value_name = "URL")]
    repository: String,
    /// The branch to follow
    #[arg(long, value_name = "NAME", default_value = "main")]
    branch: String,
    /// The commit that the history must hold, from somebody you trust: its root, or any later one
    #[arg(
        long,
        value_name = "COMMIT",
        required_unless_present = "pin_signer",
        conflicts_with = "pin_signer"
    )]
    pin: Option<Revision>,
    /// Instead of --pin: a key that may have signed the root commit, SHA256:… or an OpenPGP fingerprint (repeatable)
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    pin_signer: Vec<String>,
    /// The folder for keys, clone and zones
    #[arg(long, value_name = "DIR", default_value = "/var/lib/shoestring")]
    state: PathBuf,
    /// The local configuration to write
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
    /// The UDP port of the mesh, as the network's network.yaml gives it
    #[arg(long, value_name = "PORT", default_value_t = 51820, value_parser = clap::value_parser!(u16).range(1..))]
    mesh_port: u16,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let config = LocalConfig {
        node: args.node,
        network: args.network,
        repository: args.repository,
        branch: args.branch,
        pin: args.pin.map_or(Pin::Signers(args.pin_signer), Pin::Root),
        state: std::path::absolute(&args.state)
            .map_err(|error| format!("{}: {error}", args.state.display()))?,
        age_identity: None,
        daemons: None,
        supervision: None,
        poll_seconds: 30,
        mesh_interface: INTERFACE.to_owned(),
    };
    let (_, public_key) = key::load_or_make(&config.state).map_err(|error| error.to_string())?;
    let identity = identity::load_or_make(&config.state).map_err(|error| error.to_string())?;
    keep(&args.config, &config)?;
    let interfaces = detect().unwrap_or_else(|error| {
        eprintln!("warning: the addresses of this machine could not be read: {error}");
        Vec::new()
    });
    let age_recipient = identity.recipient();
    let machine =
        Machine { node: &config.node, public_key, age_recipient, mesh_port: args.mesh_port, interfaces };
    print!("{}", machine.node_file());
    eprintln!(
        "\nThis machine's configuration is {file}, its keys are in {state}. What is left to do:\n\
         1. Put the text above into the repository as nodes/{node}.yaml and fill in every \"\".\n\
         2. shoestring check, commit, sign, push, as for any other change.\n\
         3. shoestring run --config {file}, or examples/shoestring.service as a unit of systemd",
        file = args.config.display(),
        state = config.state.display(),
        node = config.node,
    );
    Ok(0)
}

/// SSH's, or the hexadecimal digits of an OpenPGP key of version 4 or 6.
fn fingerprint(text: &str) -> Result<String, String> {
    let is_ssh = text.strip_prefix("SHA256:").is_some_and(|base64| base64.len() == 43);
    let is_openpgp = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_ssh || is_openpgp {
        Ok(text.to_owned())
    } else {
        Err("expected SHA256: and 43 characters, or 40 or 64 hexadecimal digits".to_owned())
    }
}

/// Writes the local configuration, whole or not at all. One that is there and says something else is kept.
fn keep(path: &Path, config: &LocalConfig) -> Result<(), String> {
    let failed = |error: io::Error| format!("write {}: {error}", path.display());
    if path.exists() {
        return match LocalConfig::read(path)? == *config {
            true => Ok(()),
            false => Err(format!(
                "{} is there already and says something else: edit it, remove it, or give another --config",
                path.display()
            )),
        };
    }
    let text = serde_yaml::to_string(config).map_err(|error| failed(io::Error::other(error)))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&draft);
        failed(error)
    })
}

/// The interfaces that lead out of this machine, with their addresses.
fn detect() -> io::Result<Vec<DetectedInterface>> {
    let netlink = Netlink::open()?;
    let mut interfaces = Vec::new();
    for link in netlink.links()? {
        // A tunnel or a bridge of containers is not how the world reaches a node.
        let is_inner = match &link.kind {
            LinkKind::Wireguard | LinkKind::Tun => true,
            LinkKind::Other(kind) => kind == "bridge",
        };
        if link.loopback || !link.up || is_inner {
            continue;
        }
        let is_manual = |(address, _): &(IpAddr, u8)| !is_automatic(*address);
        let addresses: Vec<_> = netlink.addresses(link.index)?.into_iter().filter(is_manual).collect();
        let gateways = netlink.gateways(link.index)?;
        if !addresses.is_empty() {
            interfaces.push(DetectedInterface { name: link.name, addresses, gateways });
        }
    }
    interfaces.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> LocalConfig {
        LocalConfig {
            node: "london-a".parse().unwrap(),
            network: "example".parse().unwrap(),
            repository: "ssh://git@git.example.net/network.git".to_owned(),
            branch: "main".to_owned(),
            pin: Pin::Signers(vec!["SHA256:x".to_owned()]),
            state: folder.join("state"),
            age_identity: None,
            daemons: None,
            supervision: None,
            poll_seconds: 30,
            mesh_interface: INTERFACE.to_owned(),
        }
    }

    #[test]
    fn the_configuration_is_read_back_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/config.yaml");
        let by_signer = config(folder.path());
        keep(&path, &by_signer).unwrap();
        assert_eq!(LocalConfig::read(&path).unwrap(), by_signer);
        keep(&path, &by_signer).unwrap();

        let root = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        let by_root = LocalConfig { pin: Pin::Root(root), ..by_signer.clone() };
        assert!(keep(&path, &by_root).unwrap_err().contains("says something else"));
        assert_eq!(LocalConfig::read(&path).unwrap(), by_signer);
        let other = folder.path().join("other.yaml");
        keep(&other, &by_root).unwrap();
        assert_eq!(LocalConfig::read(&other).unwrap(), by_root);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn fingerprints_are_told_from_other_texts() {
        assert!(fingerprint(&format!("SHA256:{}", "a".repeat(43))).is_ok());
        assert!(fingerprint(&"0f".repeat(20)).is_ok());
        for bad in ["", "SHA256:", "SHA256:short", "xyz", &"g".repeat(40), &"0".repeat(39)] {
            assert!(fingerprint(bad).is_err(), "{bad:?}");
        }
    }
}
