//! `shoestring peer`: with whom a network could peer.

use clap::Subcommand;

mod matching;

/// Find BGP peers for the nodes
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Match(matching::Args),
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    match args.command {
        Command::Match(args) => matching::run(&args),
    }
}
