//! The waves of a rollout: nodes that are there, each once, and times that a node can keep.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Site, Unique, push};
use crate::desired::files::{Field, NetworkFile, Period, RolloutFile};
use crate::desired::load::{Files, Located};
use crate::desired::model::RolloutPolicy;
use crate::finding::Finding;

pub(super) fn check(files: &Files, findings: &mut Vec<Finding>) {
    let Some(network) = &files.network else { return };
    let Some(rollout) = &network.file.rollout else { return };
    waves(files, network, rollout, findings);
    times(network, rollout, findings);
}

fn waves(files: &Files, network: &Located<NetworkFile>, rollout: &RolloutFile, findings: &mut Vec<Finding>) {
    if rollout.waves.is_empty() {
        let hint = "write `waves: [[node]]`, or remove `rollout` for changes everywhere at once";
        push(findings, network, None, "`rollout` has no wave", hint);
    }
    // A node file that could not be read has a finding of its own.
    let unread: BTreeSet<String> = findings.iter().map(|finding| finding.path.clone()).collect();
    let mut seen = Unique::new();
    for (wave, number) in rollout.waves.iter().zip(1..) {
        if wave.is_empty() {
            push(findings, network, None, format!("wave {number} of `rollout` is empty"), "remove it");
        }
        for (name, at) in wave.iter().filter_map(|field| field.located()) {
            let path = format!("nodes/{name}.yaml");
            if !files.nodes.contains_key(name) && !unread.contains(&path) {
                let message = format!("{name} is no node: there is no {path}");
                push(findings, network, at, message, "write a node's name, or take this one out of the wave");
            }
            seen.note("the node", name, Site { path: &network.path, at }, findings);
        }
    }
}

fn times(network: &Located<NetworkFile>, rollout: &RolloutFile, findings: &mut Vec<Finding>) {
    let RolloutFile { waves: _, soak, deadline } = rollout;
    let (soak, deadline) = (soak.as_ref(), deadline.as_ref());
    for (field, name, usual) in [(soak, "soak", "60s"), (deadline, "deadline", "5m")] {
        let Some((period, at)) = field.and_then(|field| field.located()) else { continue };
        if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&period.0) {
            let message = format!("{name} is not from 1 s to 24 h");
            push(findings, network, at, message, &format!("{usual} is the default"));
        }
    }
    let given = |field: &Field<Period>| field.get().map(|period| period.0);
    let soak = soak.map_or(Some(RolloutPolicy::SOAK), given);
    let longest = deadline.map_or(Some(RolloutPolicy::DEADLINE), given);
    if let (Some(soak), Some(longest)) = (soak, longest)
        && longest <= soak
    {
        let message = format!(
            "a deadline of {} s is over before a node was well for {} s",
            longest.as_secs(),
            soak.as_secs()
        );
        let at = deadline.map(|field| field.at());
        push(findings, network, at, message, "make `deadline` longer, or `soak` shorter");
    }
}
