//! `shoestring simulate`: the whole network on this machine.

use std::ffi::OsString;

use crate::simulate::{self, Options};

/// Start the whole network on this machine and show it doing its job
///
/// Every node of the desired state runs as the real agent in a network namespace of its own, with real BGP, DNS and
/// WireGuard, a signed repository that all of them watch, and a small internet between them whose clients reach the
/// nearest announcing node. Then scenarios happen to it. Runs as root or as any user; nothing is left behind.
/// Exit status: 0 every scenario held, 1 one did not, 2 the simulation could not run.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run a command inside the running simulation
    ///
    /// For example `shoestring simulate exec london-a -- dig @192.0.2.53 example.net`, or any other command that
    /// this machine has.
    Exec {
        /// Which simulation, by the process id of its `shoestring simulate`, where more than one is running
        #[arg(long, value_name = "PID")]
        run: Option<u32>,
        /// A node, `internet`, or a client (`client-london`)
        place: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// The inside of a run
    #[command(hide = true)]
    Inner {
        #[command(flatten)]
        options: Options,
    },
    /// The way into a node's namespaces, from inside the run
    #[command(hide = true)]
    Enter {
        place: String,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    match args.command {
        None => simulate::outer(&args.options),
        Some(Command::Inner { options }) => simulate::inner(&options),
        Some(Command::Enter { place, command }) => simulate::enter(&place, &command),
        Some(Command::Exec { run, place, command }) => simulate::exec(run, &place, &command),
    }
    .map_err(|error| error.to_string())
}
