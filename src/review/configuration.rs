//! What each node would be given, as lines of text, and the BGP sessions among it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, ConfigurationReview, SessionReview, announces, names};
use crate::desired::model::DesiredState;
use crate::desired::slice::{DesiredNode, slice};
use crate::dns::ZoneRecords;
use crate::routing::{Bfd, Family, SessionConfig, SessionName};

pub(super) fn changes(
    base: Option<&DesiredState>,
    head: &DesiredState,
) -> (Vec<ConfigurationReview>, Vec<SessionReview>) {
    let mut alike: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let mut bgp = Vec::new();
    for name in names(base, head) {
        let before = base.and_then(|base| slice(base, name));
        let after = slice(head, name);
        let (before_parts, after_parts) = (parts(before.as_ref()), parts(after.as_ref()));
        for ((part, old), (_, new)) in before_parts.into_iter().zip(after_parts) {
            let without = |lines: &[String], others: &[String]| {
                let others: BTreeSet<&String> = others.iter().collect();
                lines.iter().filter(|line| !others.contains(line)).cloned().collect::<Vec<_>>()
            };
            let (removed, added) = (without(&old, &new), without(&new, &old));
            if !removed.is_empty() || !added.is_empty() {
                alike.entry((part, removed, added)).or_default().push(name.to_string());
            }
        }
        bgp.extend(sessions(name.as_str(), before.as_ref(), after.as_ref()));
    }
    let review = |((part, removed, added), nodes): ((&str, _, _), _)| ConfigurationReview {
        nodes,
        part: part.to_owned(),
        removed,
        added,
    };
    (alike.into_iter().map(review).collect(), bgp)
}

/// Every part of a node's configuration; none has a line where there is no node.
fn parts(node: Option<&DesiredNode>) -> [(&'static str, Vec<String>); 3] {
    let lines = |of: fn(&DesiredNode) -> Vec<String>| node.map(of).unwrap_or_default();
    [("name server", lines(name_server)), ("routing", lines(routing)), ("mesh", lines(mesh))]
}

fn name_server(node: &DesiredNode) -> Vec<String> {
    let config = &node.name_server;
    let mut lines = vec![format!("identity {}", config.identity)];
    lines.extend(config.listen.iter().map(|address| format!("listen {address}")));
    for (name, zone) in node.zones.iter() {
        lines.push(match &zone.source {
            ZoneRecords::File { path, text: _, serial } => format!("zone {name} file {path} serial {serial}"),
            ZoneRecords::Transfer(sources) => {
                format!("zone {name} transfer from {}", list(sources.iter().map(|source| source.address)))
            }
        });
        if !zone.notify.is_empty() {
            lines.push(format!("zone {name} notify {}", list(zone.notify.iter())));
        }
        if !zone.transfer_to.is_empty() {
            lines.push(format!("zone {name} transfer to {}", list(zone.transfer_to.iter())));
        }
    }
    lines
}

fn routing(node: &DesiredNode) -> Vec<String> {
    let config = &node.routing;
    let mut lines = vec![format!("as {} router id {}", config.asn, config.router_id)];
    lines.extend(config.prefixes.iter().map(|prefix| format!("originate {prefix}")));
    lines.extend(
        config
            .sessions
            .iter()
            .map(|(name, session)| format!("session {name} {}", terms(node, name, session))),
    );
    lines
}

fn mesh(node: &DesiredNode) -> Vec<String> {
    let Some(mesh) = &node.mesh else { return Vec::new() };
    let mut lines = vec![format!("listen port {}", mesh.port)];
    lines.extend(mesh.loopbacks.iter().map(|loopback| format!("loopback {loopback}")));
    for (name, link) in &mesh.links {
        let endpoint =
            link.endpoint.map_or_else(|| "calls us".to_owned(), |endpoint| format!("at {endpoint}"));
        lines.push(format!(
            "link {name} key {} {endpoint} carries {}",
            link.public_key,
            list(&link.loopbacks)
        ));
    }
    lines
}

fn sessions(node: &str, before: Option<&DesiredNode>, after: Option<&DesiredNode>) -> Vec<SessionReview> {
    let lines = |node: Option<&DesiredNode>| -> BTreeMap<SessionName, String> {
        let of = |node: &DesiredNode| {
            let sessions = node.routing.sessions.iter();
            sessions.map(|(name, session)| (name.clone(), terms(node, name, session))).collect()
        };
        node.map(of).unwrap_or_default()
    };
    let (old, new) = (lines(before), lines(after));
    let all: BTreeSet<&SessionName> = old.keys().chain(new.keys()).collect();
    let review = |name: &SessionName| {
        let (change, terms) = match (old.get(name), new.get(name)) {
            (None, Some(terms)) => (Change::Added, terms),
            (Some(terms), None) => (Change::Removed, terms),
            (Some(old), Some(new)) if old != new => (Change::Changed, new),
            (Some(_), Some(_)) | (None, None) => return None,
        };
        Some(SessionReview { node: node.to_owned(), session: name.to_string(), change, terms: terms.clone() })
    };
    all.into_iter().filter_map(review).collect()
}

/// One line: who the neighbour is, and what it is sent.
fn terms(node: &DesiredNode, name: &SessionName, session: &SessionConfig) -> String {
    let SessionConfig {
        local,
        neighbor,
        asn,
        relation,
        strict_role,
        communities,
        prepend,
        import,
        multihop,
        bfd,
        password,
    } = session;
    let of_family = |prefix: &&ipnet::IpNet| Family::of(prefix.addr()) == name.family;
    let sent = match announces(node) {
        true => list(node.routing.prefixes.iter().filter(of_family)),
        false => "nothing".to_owned(),
    };
    let mut terms = format!("{local} to AS {asn} at {neighbor} ({relation:?}), announces {sent}");
    if !communities.is_empty() {
        terms.push_str(&format!(" with {}", list(communities)));
    }
    if *prepend > 0 {
        terms.push_str(&format!(", prepended {prepend} times"));
    }
    if *strict_role {
        terms.push_str(", role required");
    }
    let guard = multihop.map_or_else(|| "GTSM".to_owned(), |hops| format!("{hops} hops"));
    terms.push_str(&format!(", imports {import:?}, {guard}"));
    if let Some(Bfd { interval, multiplier }) = bfd {
        terms.push_str(&format!(", BFD {interval:?} × {multiplier}"));
    }
    if let Some(password) = password {
        terms.push_str(&format!(", MD5 with the secret {}", password.name));
    }
    terms
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
