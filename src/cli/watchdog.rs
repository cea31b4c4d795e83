//! `shoestring watchdog`: withdraws where nobody else does.

use std::path::PathBuf;

use crate::memory;
use crate::watchdog::watch;

/// Withdraw this node when its agent and its name server are both gone
///
/// The agent starts it by itself beside a routing daemon of its own (BIRD, FRR, GoBGP, OpenBGPD), which outlives the agent
/// and announces on; nobody has to run it by hand. While the agent says that it is on guard, this rests. When it has said
/// nothing for 6 s, it asks each service address for the SOA record of the canary zone by UDP and by TCP every 2 s, as the
/// agent does, and when no answer of this node has come for 30 s, it ends the routing daemon. It starts nothing: the next
/// agent does, and announces once the name server answers. Logs to standard error. Where systemd runs the machine, it is
/// `shoestring-watchdog.service`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Its folder, where the agent leaves word for it
    #[arg(long, value_name = "DIR", default_value = "/var/lib/shoestring/watchdog")]
    folder: PathBuf,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    memory::share();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    watch(&args.folder).map(|()| 0)
}
