//! What holds for any files of a repository. `crate::fuzzing` says who calls this.

use super::load;
use super::slice::slice;
use crate::health::Verdict;
use crate::observed::ObservedNode;
use crate::plan::plan;
use crate::tree::{File, Tree};

/// The smallest network.
const FILES: [(&str, &str); 6] = [
    ("network.yaml", include_str!("../../examples/one-node/network.yaml")),
    ("trust.yaml", include_str!("../../examples/one-node/trust.yaml")),
    ("nodes/first.yaml", include_str!("../../examples/one-node/nodes/first.yaml")),
    (
        "zones/operator/canary.one-node.invalid.yaml",
        include_str!("../../examples/one-node/zones/operator/canary.one-node.invalid.yaml"),
    ),
    (
        "zones/operator/canary.one-node.invalid.zone",
        include_str!("../../examples/one-node/zones/operator/canary.one-node.invalid.zone"),
    ),
    (
        "zones/operator/example.com.yaml",
        include_str!("../../examples/one-node/zones/operator/example.com.yaml"),
    ),
];

/// Files in place of the smallest network's, or beside them: each is its path, a line break and its contents, and ends
/// where a NUL stands.
///
/// There is a state or there are findings; a node that is as a state wants it has nothing to do.
pub fn desired(octets: &[u8]) {
    let mut tree = Tree::default();
    let file = |octets: &[u8]| File { bytes: octets.into(), changed: 1 };
    for (path, text) in FILES {
        tree.files.insert(path.into(), file(text.as_bytes()));
    }
    for section in octets.split(|octet| *octet == 0) {
        let end = section.iter().position(|octet| *octet == b'\n').unwrap_or(section.len());
        let (path, contents) = section.split_at(end);
        let path = String::from_utf8_lossy(path).into_owned();
        tree.files.insert(path.into(), file(contents.strip_prefix(b"\n").unwrap_or_default()));
    }
    match load::read(&tree) {
        Ok(state) => {
            for name in state.nodes.keys() {
                let node = slice(&state, name).expect("the state has this node");
                // Its name server was not asked anything, so what is announced stays as it is.
                let plan = plan(&node, &ObservedNode::settled(&node), &Verdict::default());
                assert_eq!(plan.actions, [], "{name} is as it should be");
            }
        }
        Err(findings) => {
            assert!(!findings.is_empty(), "no state, and no finding says why");
            for finding in &findings {
                let shown = finding.to_string();
                assert!(!shown.contains(['\u{1b}', '\u{202e}']), "it would steer a terminal: {shown:?}");
            }
        }
    }
}
