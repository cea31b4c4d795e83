//! Secrets that somebody could read who no longer needs them: whose machine it is may have kept them.

use std::collections::BTreeSet;

use crate::desired::model::DesiredState;
use crate::desired::needs::needs;
use crate::secrets::Header;

/// What to do about each.
pub(super) fn changes(base: Option<&DesiredState>, head: &DesiredState) -> Vec<String> {
    let Some(base) = base else { return Vec::new() };
    let needed = needs(head);
    let mut lines = Vec::new();
    for (name, secret) in &base.secrets {
        let (Some(now), Ok(header)) = (head.secrets.get(name), Header::parse(&secret.octets)) else {
            continue;
        };
        let readers: BTreeSet<_> = header.readers.iter().map(|(reader, _)| reader).collect();
        let could = base
            .nodes
            .values()
            .filter(|node| node.age_recipient.as_ref().is_some_and(|key| readers.contains(key)))
            .map(|node| &node.name);
        let needs_it = |node| needed.get(name).is_some_and(|nodes| nodes.contains_key(node));
        let gone: Vec<&str> = could.filter(|node| !needs_it(*node)).map(|node| node.as_str()).collect();
        if gone.is_empty() {
            continue;
        }
        let what = match now.sealed == secret.sealed {
            true => format!("rotate it: `shoestring secret rotate {name}`"),
            false => "it was encrypted anew; see that its value is new, too".to_owned(),
        };
        lines.push(format!("{name}: {} could read it and no longer needs it; {what}", gone.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::desired::load;
    use crate::desired::model::NodeState;
    use crate::fingerprint::Fingerprint;

    #[test]
    fn what_a_node_that_went_could_read_is_to_be_rotated() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
        let base = load::read(&load::read_folder(&folder).unwrap()).unwrap();
        assert_eq!(changes(Some(&base), &base), [""; 0]);
        let mut head = base.clone();
        head.nodes.get_mut(&"london-b".parse().unwrap()).unwrap().state = NodeState::Retired;
        assert_eq!(changes(None, &head), [""; 0]);
        let could = "could read it and no longer needs it";
        assert_eq!(
            changes(Some(&base), &head),
            [
                format!("cookies: london-b {could}; rotate it: `shoestring secret rotate cookies`"),
                format!(
                    "thames-hosting: london-b {could}; rotate it: `shoestring secret rotate thames-hosting`"
                ),
            ]
        );
        let secret = head.secrets.get_mut(&"cookies".parse().unwrap()).unwrap();
        secret.sealed = Fingerprint::of(&[b"another"]);
        let lines = changes(Some(&base), &head);
        assert!(lines[0].ends_with("see that its value is new, too"), "{lines:?}");
    }
}
