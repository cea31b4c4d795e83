//! `shoestring fetch`: one pass of fetch, verify and load.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::{LocalConfig, Pin};
use crate::names::{NetworkName, Revision};
use crate::node::Follower;
use crate::source::verify::Judged;
use crate::status::Refusal;

/// Fetch and verify the repository once, into a state folder
///
/// Prints each commit that was judged and its signer, and what was refused and why. What verifies and has no findings
/// is remembered in the folder as applied, so that the next pass goes only forward from it; nothing else on this
/// machine is touched. Exit status: 0 everything that is offered verified, 1 something was refused, 2 could not run
/// (the repository cannot be reached, the folder cannot be used).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The local configuration of a node, instead of the options that follow
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["repository", "network", "pin", "pin_signer", "state", "branch"],
        required_unless_present = "repository"
    )]
    config: Option<PathBuf>,
    /// A path, or a file://, https://, ssh:// or user@host:path address
    #[arg(long, value_name = "URL", requires_all = ["network", "state"])]
    repository: Option<String>,
    /// The network's name, as its network.yaml gives it
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,
    /// The root commit, or SHA256:…, the fingerprint of an SSH key that signed it (repeatable)
    #[arg(long, value_name = "PIN")]
    pin: Vec<String>,
    /// A key that may have signed the root commit, SHA256:… or an OpenPGP fingerprint (repeatable)
    #[arg(long, value_name = "FINGERPRINT")]
    pin_signer: Vec<String>,
    /// The folder that holds the clone and what is remembered
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The branch to follow
    #[arg(long, value_name = "NAME", default_value = "main")]
    branch: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What one pass did.
#[derive(Serialize)]
struct Report {
    repository: String,
    branch: String,
    /// What the branch points at; `null` when it could not be fetched.
    candidate: Option<Revision>,
    /// The newest revision that verified, in this pass or before.
    verified: Option<Revision>,
    /// The newest revision that verified and has no findings.
    applied: Option<Revision>,
    /// Where it ended before the candidate.
    refused: Option<Refusal>,
    /// The commits that were found good in this pass, oldest first.
    judged: Vec<Judged>,
    /// Why the pass could not be made.
    error: Option<String>,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let json = args.json;
    let config = configuration(args)?;
    let report = pass(&config);
    let status = match &report {
        Report { error: Some(_), .. } => 2,
        Report { refused: Some(_), .. } => 1,
        Report { .. } => 0,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
    } else {
        print!("{}", text(&report));
    }
    if let Some(error) = report.error.filter(|_| !json) {
        return Err(error);
    }
    Ok(status)
}

fn configuration(args: Args) -> Result<LocalConfig, String> {
    if let Some(path) = args.config {
        return LocalConfig::read(&path);
    }
    let (Some(repository), Some(network), Some(state)) = (args.repository, args.network, args.state) else {
        return Err("give --config, or --repository, --network, --pin and --state".to_owned());
    };
    Ok(LocalConfig {
        // No node is made of the state; the name is of no consequence here.
        node: "fetch".parse().map_err(|error| format!("{error}"))?,
        network,
        repository,
        branch: args.branch,
        pin: pin(args.pin, args.pin_signer)?,
        state,
        age_identity: None,
        daemons: None,
        supervision: None,
        poll_seconds: 30,
        mesh_interface: crate::mesh::INTERFACE.to_owned(),
    })
}

fn pin(pins: Vec<String>, mut signers: Vec<String>) -> Result<Pin, String> {
    let mut root = None;
    for pin in pins {
        if pin.starts_with("SHA256:") {
            signers.push(pin);
        } else if root
            .replace(pin.parse::<Revision>().map_err(|error| format!("--pin: {error}, or SHA256:…"))?)
            .is_some()
        {
            return Err("--pin: one root commit is enough".to_owned());
        }
    }
    match (root, signers.is_empty()) {
        (Some(root), true) => Ok(Pin::Root(root)),
        (None, false) => Ok(Pin::Signers(signers)),
        (Some(_), false) => Err("give the root commit or the keys that may have signed it, not both".to_owned()),
        (None, true) => {
            Err("give --pin: without a pin, whoever answers first would be believed (there is no trust on first use)".to_owned())
        }
    }
}

fn pass(config: &LocalConfig) -> Report {
    let mut report = Report {
        repository: config.repository.clone(),
        branch: config.branch.clone(),
        candidate: None,
        verified: None,
        applied: None,
        refused: None,
        judged: Vec::new(),
        error: None,
    };
    let mut follower = match Follower::open(config) {
        Ok(follower) => follower,
        Err(error) => {
            report.error = Some(error.to_string());
            return report;
        }
    };
    match follower.pass() {
        Ok(pass) => {
            report.candidate = pass.candidate;
            report.judged = pass.verification.map(|verification| verification.judged).unwrap_or_default();
            report.refused.clone_from(&follower.followed().refusal);
            // A fetch that refuses what is offered did its work.
            if report.refused.is_none() {
                report.error.clone_from(&follower.followed().fetch_error);
            }
        }
        Err(error) => report.error = Some(error.to_string()),
    }
    report.verified = follower.ledger().verified();
    report.applied = follower.ledger().applied();
    report
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "{key:<11} {value}");
    };
    let revision =
        |revision: Option<Revision>| revision.map_or("none".to_owned(), |revision| revision.to_string());
    line("repository", &format!("{} ({})", report.repository, report.branch));
    line("candidate", &revision(report.candidate));
    for Judged { revision, signer, fingerprint, paths } in &report.judged {
        line("judged", &format!("{revision} good, signed by {signer} ({fingerprint}): {}", paths.join(", ")));
    }
    line("verified", &revision(report.verified));
    line("applied", &revision(report.applied));
    if let Some(Refusal { revision, rule, why }) = &report.refused {
        line("refused", &format!("{revision} by {rule}: {why}"));
    }
    out
}
