//! The command line: one file per command. The doc comment of a command is its help text.
//!
//! A command returns its exit status, or the text of an error: that it could not do its work at all, status 2.
//! No runtime is started here: a command that needs one starts it, since some must first change namespaces.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command prints is its result")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod check;
mod drain;
mod export;
mod fetch;
mod init;
mod join;
mod mrt;
mod peer;
mod plan;
mod run;
mod schema;
mod secret;
mod simulate;
mod snippet;
mod status;
mod undrain;
mod watchdog;

/// Anycast DNS from a signed git repository.
///
/// One repository says what the network is; every node verifies it and makes its name server, its routing daemon
/// and its mesh match.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Drain(drain::Args),
    Fetch(fetch::Args),
    Init(init::Args),
    Join(join::Args),
    Mrt(mrt::Args),
    Peer(peer::Args),
    Plan(plan::Args),
    Run(run::Args),
    Schema(schema::Args),
    Secret(secret::Args),
    Simulate(simulate::Args),
    Status(status::Args),
    Undrain(undrain::Args),
    Watchdog(watchdog::Args),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Check(args) => check::run(args),
        Command::Drain(args) => drain::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Init(args) => init::run(args),
        Command::Join(args) => join::run(args),
        Command::Mrt(args) => mrt::run(args),
        Command::Peer(args) => peer::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Run(args) => run::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Secret(args) => secret::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Status(args) => status::run(args),
        Command::Undrain(args) => undrain::run(args),
        Command::Watchdog(args) => watchdog::run(args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
