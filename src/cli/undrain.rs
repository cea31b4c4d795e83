//! `shoestring undrain`: puts this machine's node back into service.

use std::path::PathBuf;

use super::drain::is_here;
use crate::config::LocalConfig;
use crate::names::NodeName;
use crate::status::control::{Order, order};

/// Put the node on this machine back into service
///
/// Takes back `shoestring drain`. The node announces again once its name server answers; one whose file says
/// `state: drained` stays as the repository has it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The node that this machine should be: nothing is done if it is another
    node: Option<NodeName>,
    /// Take the fence down instead: something was announced that is not ours, and you have found out why
    #[arg(long)]
    fence: bool,
    /// The agent's local configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let config = LocalConfig::read(&args.config)?;
    is_here(args.node.as_ref(), &config)?;
    let what = if args.fence { Order::Unfence } else { Order::Undrain };
    println!("{}: {}", config.node, order(&config.control_socket(), what)?);
    Ok(0)
}
