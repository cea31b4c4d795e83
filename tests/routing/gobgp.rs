//! GoBGP 3.

use std::path::Path;
use std::process::Command;

use shoestring::routing::RoutingDaemonKind;

use super::contract::{Software, contract};

pub struct Gobgp;

impl Software for Gobgp {
    const KIND: RoutingDaemonKind = RoutingDaemonKind::Gobgp;
    const FILE: &'static str = "gobgp.json";

    fn imported(folder: &Path) -> usize {
        let paths = |family: &str| {
            let table = gobgp(folder, &["-j", "global", "rib", "-a", family]);
            let table: serde_json::Value = serde_json::from_str(&table).unwrap();
            let paths: Vec<serde_json::Value> =
                serde_json::from_value::<std::collections::BTreeMap<String, Vec<serde_json::Value>>>(table)
                    .unwrap()
                    .into_values()
                    .flatten()
                    .collect();
            paths.iter().filter(|path| path.get("neighbor-ip").is_some()).count()
        };
        paths("ipv4") + paths("ipv6")
    }

    /// A route of somebody else's, a more specific one of ours, a neighbor, and a policy that takes everything.
    fn tamper(folder: &Path) {
        for words in [
            "global rib add 203.0.113.0/24 origin igp",
            "global rib add 198.51.100.128/25",
            "neighbor add 192.0.2.99 as 65551",
            "global policy import set import default accept",
        ] {
            gobgp(folder, &words.split(' ').collect::<Vec<_>>());
        }
    }
}

fn gobgp(folder: &Path, words: &[&str]) -> String {
    let target = format!("unix://{}", folder.join("run/api").display());
    let said = Command::new("gobgp").args(["--target", &target]).args(words).output().unwrap();
    assert!(said.status.success(), "{words:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap()
}

contract!(Gobgp, &["/usr/bin/gobgpd", "/usr/bin/gobgp"]);
