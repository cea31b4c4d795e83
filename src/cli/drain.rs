//! `shoestring drain`: takes this machine's node out of service, until `undrain`.

use std::path::PathBuf;

use crate::config::LocalConfig;
use crate::names::NodeName;
use crate::status::control::{Order, order};

/// Take the node on this machine out of service
///
/// Neighbours are asked to prefer other nodes first; what is announced is withdrawn once the queries have ceased or the
/// time of network.yaml has passed. It stays so over restarts, until `shoestring undrain`. The last node that announces
/// stays announced, and says so. To drain a node from elsewhere, write `state: drained` into its file.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The node that this machine should be: nothing is done if it is another
    node: Option<NodeName>,
    /// The agent's local configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let config = LocalConfig::read(&args.config)?;
    is_here(args.node.as_ref(), &config)?;
    println!("{}: {}", config.node, order(&config.control_socket(), Order::Drain)?);
    Ok(0)
}

/// Whether this machine is the node that was meant.
pub(super) fn is_here(node: Option<&NodeName>, config: &LocalConfig) -> Result<(), String> {
    match node {
        Some(node) if *node != config.node => Err(format!(
            "this machine is {}, not {node}: run this there, or change `state` in nodes/{node}.yaml",
            config.node
        )),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_node_is_not_drained_by_mistake() {
        let text = "{ node: boston, network: n, repository: r, state: /s, pin: { signers: [x] } }";
        let config: LocalConfig = serde_yaml::from_str(text).unwrap();
        assert_eq!(is_here(None, &config), Ok(()));
        assert_eq!(is_here(Some(&"boston".parse().unwrap()), &config), Ok(()));
        let error = is_here(Some(&"bremen".parse().unwrap()), &config).unwrap_err();
        assert!(error.contains("this machine is boston") && error.contains("nodes/bremen.yaml"), "{error}");
    }
}
