//! The parts that are embedded beside the daemons that they stand in for, in the same run, on this machine.
//!
//! `cargo bench --bench daemons` runs all of it but `-- drivers` and `-- losses`; `-- dns` the name servers' speed alone, `-- density` their many
//! zones, `-- bgp` the speakers, `--quick` fewer rounds. Figures are CPU
//! time, which other load disturbs less than it disturbs wall time; each is the median of interleaved rounds.
//!
//! `-- drivers` is the five name servers as the agent runs them, through its own drivers; further words (`bind`, `agent`)
//! pick what of it. `-- losses` is what the five routing daemons cost the clients when something happens. Both take long,
//! so they are run only by their names.
//!
//! Each server is a process of its own. The embedded ones are this very program, started again with `serve` or
//! `speak` as its first argument; `drive` is a driver.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement prints, and a failure ends it"
)]

mod bgp;
mod density;
mod dns;
mod drivers;
mod embedded;
mod figures;
mod load;
mod losses;
mod server;
mod usage;
mod zones;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(("serve", arguments)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return embedded::serve(arguments);
    }
    if let Some(("speak", arguments)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return bgp::speak(arguments);
    }
    if let Some(("drive", arguments)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return drivers::drive(arguments);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let wanted = |part: &str| {
        let mut parts = arguments.iter().filter(|argument| !argument.starts_with("--")).peekable();
        parts.peek().is_none() || parts.any(|argument| argument == part)
    };
    if wanted("dns") {
        dns::measure(quick);
    }
    if wanted("density") {
        density::measure(quick);
    }
    if wanted("bgp") {
        bgp::measure(quick);
    }
    if arguments.iter().any(|argument| argument == "drivers") {
        drivers::measure(quick, &arguments);
    }
    if arguments.iter().any(|argument| argument == "losses") {
        losses::measure(quick);
    }
}
