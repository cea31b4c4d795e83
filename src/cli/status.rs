//! `shoestring status`: what the local agent says of itself.

use std::fmt::Write;
use std::path::PathBuf;

use crate::config::LocalConfig;
use crate::health::Counts;
use crate::names::DomainName;
use crate::routing::{MessageCounts, NotificationSeen};
use crate::status::{
    self, BeatStatus, CatalogStatus, ConfigurationStatus, GateStatus, RolloutStatus, SessionStatus, Snapshot,
    WithdrawalStatus,
};

/// How many zones with something wrong are listed.
const ZONES: usize = 50;
/// How many refused members of a catalog are listed.
const REFUSED: usize = 10;

/// Show what the agent on this machine is doing
///
/// Prints the revision that is applied, the last refusal, BGP sessions, zones and mesh links. Exit status: 0 the
/// node is settled, 1 it is not, 2 the agent does not answer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The agent's local configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/shoestring/config.yaml")]
    config: PathBuf,
    /// Print the whole snapshot as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<u8, String> {
    let config = LocalConfig::read(&args.config)?;
    let snapshot = status::read(&config.status_socket())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&snapshot).map_err(|error| error.to_string())?);
    } else {
        print!("{}", text(&snapshot));
    }
    Ok(u8::from(!snapshot.settled))
}

fn text(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    let revision = snapshot.revision.map_or_else(|| "none yet".to_owned(), |revision| revision.to_string());
    let mut line = |label: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{label:<12}{value}");
    };
    line(
        "node",
        format!(
            "{} of {} (agent {}, process {})",
            snapshot.node, snapshot.network, snapshot.version, snapshot.pid
        ),
    );
    let zones = snapshot.zones_of.map(|zones| format!(", with the zones of {}", zones.short()));
    line("revision", revision + &zones.unwrap_or_default());
    line("state", if snapshot.settled { "settled".to_owned() } else { "not settled".to_owned() });
    for action in &snapshot.actions {
        line("  doing", action.clone());
    }
    for wait in &snapshot.waits {
        line("  waits", wait.clone());
    }
    for repair in &snapshot.repaired {
        line("  repaired", repair.clone());
    }
    if let Some(rollout) = &snapshot.rollout {
        rollout_lines(rollout).into_iter().for_each(|(label, value)| line(label, value));
    }
    if let Some(refusal) = &snapshot.refusal {
        line("refused", format!("{} by {}: {}", refusal.revision.short(), refusal.rule, refusal.why));
    }
    if let Some(error) = &snapshot.fetch_error {
        line("repository", error.clone());
    }
    for (label, said) in gate(&snapshot.gate) {
        line(label, said);
    }
    if let Some(fault) = &snapshot.watchdog.fault {
        line("watchdog", format!("there is none: {fault}"));
    }
    if let Some(WithdrawalStatus { age_s, ended, why }) = &snapshot.watchdog.withdrew {
        line("watchdog", format!("it ended {ended} {age_s} s ago: {why}"));
    }
    for (prefix, how) in &snapshot.announced {
        line("announces", format!("{prefix} {how}"));
    }
    for (label, daemon) in [("dns", &snapshot.name_server), ("routing", &snapshot.routing_daemon)] {
        let instead = if daemon.running == daemon.selected {
            String::new()
        } else {
            format!(" instead of {}", daemon.selected)
        };
        line(label, format!("{}{instead}", daemon.running));
    }
    for (name, session) in &snapshot.sessions {
        line("session", headline(name, session));
        for (label, detail) in details(session) {
            line(label, detail);
        }
    }
    let served = snapshot.zones.values().filter(|zone| zone.state == "served").count();
    line("zones", format!("{served} of {} served", snapshot.zones.len()));
    // Those that are not served, and those that are served as they were, since nothing newer could be had.
    let mut troubled = snapshot.zones.iter().filter(|(_, zone)| zone.state != "served" || zone.why.is_some());
    for (name, zone) in troubled.by_ref().take(ZONES) {
        let why = zone.why.as_deref().unwrap_or("no reason known");
        line("  zone", format!("{name} {}: {why}", zone.state));
    }
    match troubled.count() {
        0 => (),
        more => line("  zones", format!("{more} more like these: see them with --json")),
    }
    for (name, catalog) in &snapshot.catalogs {
        catalog_lines(name, catalog).into_iter().for_each(|(label, value)| line(label, value));
    }
    for (node, link) in &snapshot.mesh {
        let age = link
            .handshake_age_s
            .map_or_else(|| "no handshake yet".to_owned(), |age| format!("handshake {age} s ago"));
        let silent = if link.is_silent { "silent, so nothing is sent there, " } else { "" };
        line("mesh", format!("{node} {silent}{age}, {} B in, {} B out", link.received, link.sent));
    }
    out
}

/// `cat.example, serial 7: 3 members`, and what is wrong.
fn catalog_lines(name: &DomainName, catalog: &CatalogStatus) -> Vec<(&'static str, String)> {
    let CatalogStatus { is_offered, serial, members, refused, refusals, problem } = catalog;
    let offered = if *is_offered { " offered" } else { "" };
    let serial = serial.map_or_else(|| "not read yet".to_owned(), |serial| format!("serial {serial}"));
    let other = if *refusals > 0 { format!(", {refusals} refused") } else { String::new() };
    let mut lines = vec![("catalog", format!("{name}{offered}, {serial}: {members} members{other}"))];
    lines.extend(problem.iter().map(|problem| ("  problem", problem.clone())));
    lines.extend(refused.iter().take(REFUSED).map(|(member, why)| ("  refused", format!("{member}: {why}"))));
    lines
}

/// `that of 0123456789, good for 12 s; wave 1 of 3`, and what was rejected. What waits is among the waits.
fn rollout_lines(rollout: &RolloutStatus) -> Vec<(&'static str, String)> {
    let RolloutStatus { runs, state, since_s, lacks, wave, before, rejected, why, waits: _ } = rollout;
    let wave = wave.map(|(own, count)| format!("; wave {own} of {count}")).unwrap_or_default();
    let said = |of: &ConfigurationStatus| format!("{} ({})", of.revision.short(), of.digest);
    let mut lines = vec![("config", format!("that of {}, {state}, for {since_s} s{wave}", said(runs)))];
    if state != "good" {
        lines.extend(lacks.iter().map(|lacks| ("  lacks", lacks.clone())));
        lines.extend(before.iter().map(|before| ("  before", format!("that of {}", said(before)))));
    }
    if let (Some(rejected), Some(why)) = (rejected, why) {
        lines.push(("  rejected", format!("that of {}: {why}", said(rejected))));
    }
    lines
}

/// The gate, and the other nodes as they say they are.
fn gate(gate: &GateStatus) -> Vec<(&'static str, String)> {
    let mut lines = vec![("gate", format!("{} for {} s", gate.state, gate.since_ms / 1_000))];
    if let Some(class) = &gate.class {
        let why = gate.why.as_deref().unwrap_or_default();
        lines.push(("  class", format!("{class} for {} s: {why}", gate.class_since_ms / 1_000)));
    }
    lines.extend(gate.queries_per_second.map(|rate| ("  queries", format!("{rate} a second"))));
    lines.extend(gate.prefixes.iter().map(|(prefix, state)| ("  prefix", format!("{prefix} {state}"))));
    lines.extend(gate.held.iter().map(|(prefix, why)| ("  held", format!("{prefix}: {why}"))));
    lines.extend(gate.counts.iter().map(|(family, counts)| {
        let Counts { meant, announcing, withdrawn } = counts;
        let said = format!(
            "{family}: N {meant} meant to, H {announcing} others do, W {withdrawn} withdrawn or drained"
        );
        ("  announce", said)
    }));
    lines.extend(gate.beats.iter().map(|(node, beat)| {
        let BeatStatus {
            state,
            class,
            announces,
            revision,
            age_ms,
            fresh,
            queries_per_second,
            zones_digest: _,
            configuration,
            rejects,
        } = beat;
        let class = class.as_ref().map(|class| format!(" {class}")).unwrap_or_default();
        let what = if announces.is_empty() { "nothing".to_owned() } else { announces.join(" and ") };
        let rate = queries_per_second.map(|rate| format!(", {rate} queries/s")).unwrap_or_default();
        let stale = if *fresh { "" } else { ", too old to count" };
        let runs = configuration.as_ref().map(|(digest, how)| format!(", configuration {digest} {how}"));
        let runs = runs.unwrap_or_default();
        let rejects = rejects.as_ref().map(|digest| format!(", rejects {digest}")).unwrap_or_default();
        let said = format!(
            "{node} {state}{class}, announces {what}, at {revision}{runs}{rejects}{rate}; {age_ms} ms ago{stale}"
        );
        ("  beat", said)
    }));
    lines
}

/// `thames-v4 with AS 64496 at 192.0.2.2 established for 12 s, sent [198.51.100.0/24]`, and what went wrong last.
fn headline(name: &str, session: &SessionStatus) -> String {
    let SessionStatus { asn, neighbor, state, since_s, .. } = session;
    let retry = session.retry_in_s.map(|seconds| format!(", next try in {seconds} s")).unwrap_or_default();
    let sent = session.prefixes_sent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let error = session.last_error.as_ref().map(|error| format!("; last: {error}")).unwrap_or_default();
    format!("{name} with AS {asn} at {neighbor} {state} for {since_s} s{retry}, sent [{sent}]{error}")
}

/// What a session looks like from within, line by line.
fn details(session: &SessionStatus) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(agreed) = &session.negotiated {
        let capabilities = agreed.capabilities.join(", ");
        let times = format!("hold {} s, keepalive {} s", agreed.hold_time_s, agreed.keepalive_s);
        lines.push(("  agreed", format!("with {}: {times}; it says {capabilities}", agreed.identifier)));
    }
    lines.extend(session.bfd.as_deref().map(|state| ("  bfd", bfd(state))));
    let (received, sent) = (counts(session.messages_received), counts(session.messages_sent));
    lines.push(("  received", format!("{received}; {} routes discarded", session.routes_discarded)));
    lines.push(("  sent", sent));
    let trouble =
        [(session.losses, "lost", "times"), (session.updates_malformed, "met", "malformed updates")];
    for (count, verb, what) in trouble.into_iter().filter(|(count, ..)| *count > 0) {
        lines.push(("  trouble", format!("{verb} {count} {what}")));
    }
    for NotificationSeen { text, age_s } in
        [&session.notification_sent, &session.notification_received].into_iter().flatten()
    {
        lines.push(("  last", format!("{text}, {age_s} s ago")));
    }
    lines
}

/// How BFD stands, and what that means.
fn bfd(state: &str) -> String {
    match state {
        "down" => "down: the peer does not answer by it, so a silent link is found by the hold time only",
        "absent" => "absent: this node does not speak it, so a silent link is found by the hold time only",
        known => known,
    }
    .to_owned()
}

fn counts(messages: MessageCounts) -> String {
    let MessageCounts { opens, updates, notifications, keepalives, route_refreshes } = messages;
    format!(
        "{opens} OPEN, {updates} UPDATE, {notifications} NOTIFICATION, {keepalives} KEEPALIVE, \
         {route_refreshes} ROUTE-REFRESH"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Negotiated;

    #[test]
    fn a_session_is_shown_from_outside_and_from_within() {
        let mut session = SessionStatus {
            local: "192.0.2.1".parse().unwrap(),
            neighbor: "192.0.2.2".parse().unwrap(),
            asn: 64496,
            state: "established".to_owned(),
            since_s: 12,
            retry_in_s: None,
            prefixes_sent: vec!["198.51.100.0/24".parse().unwrap()],
            routes_discarded: 3,
            updates_malformed: 1,
            losses: 0,
            messages_received: MessageCounts { opens: 1, keepalives: 2, ..MessageCounts::default() },
            messages_sent: MessageCounts::default(),
            negotiated: Some(Negotiated {
                identifier: "192.0.2.9".parse().unwrap(),
                hold_time_s: 30,
                keepalive_s: 10,
                capabilities: vec!["ipv4-unicast".to_owned()],
            }),
            bfd: Some("down".to_owned()),
            notification_sent: None,
            notification_received: Some(NotificationSeen {
                text: "received NOTIFICATION 6/2 (Administrative Shutdown): \"bye\"".to_owned(),
                age_s: 60,
            }),
            last_error: None,
        };
        assert_eq!(
            headline("thames-v4", &session),
            "thames-v4 with AS 64496 at 192.0.2.2 established for 12 s, sent [198.51.100.0/24]"
        );
        let lines: Vec<String> = details(&session).into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "with 192.0.2.9: hold 30 s, keepalive 10 s; it says ipv4-unicast",
                "down: the peer does not answer by it, so a silent link is found by the hold time only",
                "1 OPEN, 0 UPDATE, 0 NOTIFICATION, 2 KEEPALIVE, 0 ROUTE-REFRESH; 3 routes discarded",
                "0 OPEN, 0 UPDATE, 0 NOTIFICATION, 0 KEEPALIVE, 0 ROUTE-REFRESH",
                "met 1 malformed updates",
                "received NOTIFICATION 6/2 (Administrative Shutdown): \"bye\", 60 s ago",
            ]
        );
        session.state = "active".to_owned();
        session.prefixes_sent.clear();
        (session.retry_in_s, session.last_error) =
            (Some(4), Some("the peer closed the connection".to_owned()));
        assert_eq!(
            headline("thames-v4", &session),
            "thames-v4 with AS 64496 at 192.0.2.2 active for 12 s, next try in 4 s, sent []; \
             last: the peer closed the connection"
        );
    }
}
