//! `shoestring run`: the agent.

use std::io::IsTerminal;
use std::path::PathBuf;

use tracing::warn;
use tracing_subscriber::EnvFilter;

use crate::config::LocalConfig;
use crate::{memory, node};

/// Run the agent of one node
///
/// Watches the repository, verifies every commit, and makes this machine's name server, routing daemon and mesh
/// match. Logs to standard error; `RUST_LOG` filters (for example `shoestring=debug`). Ends on SIGTERM or SIGINT,
/// closing its BGP sessions with a message.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The local configuration: node, network, repository, pin and state folder
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
    /// Log as JSON, one object per line
    #[arg(long)]
    log_json: bool,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let config = LocalConfig::read(&args.config)?;
    log(args.log_json);
    never_dump();
    memory::share();
    // Two threads: a query is answered while the other one verifies a commit.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    // By the threads of the runtime, which would have to wake this one each time.
    match runtime.block_on(async { tokio::spawn(node::run(config)).await }) {
        Ok(ended) => ended?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
    // What still blocks, a fetch that hangs, say, is not waited for.
    runtime.shutdown_background();
    Ok(0)
}

/// Keeps secrets out of core dumps, and other processes of the same user out of this one's memory.
pub(super) fn never_dump() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        warn!(%error, "core dumps cannot be turned off: one would hold this node's secrets");
    }
}

/// What is logged unless RUST_LOG says otherwise. The codec has warnings that anybody can cause with a datagram.
const FILTER: &str = "info,hickory_proto=error";

fn log(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.with_ansi(std::io::stderr().is_terminal()).init();
    }
}
