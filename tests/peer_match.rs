//! `shoestring peer match`, as a person runs it, on a copy of the example: San Francisco is at an exchange.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use shoestring::desired::load;
use shoestring::desired::model::{DesiredState, Relation};

/// The example and a file of somebody else's data.
struct Network(tempfile::TempDir);

impl Network {
    fn new() -> Self {
        let network = Self(tempfile::tempdir().unwrap());
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/desired-state");
        assert!(Command::new("cp").arg("-r").arg(from).arg(network.folder()).status().unwrap().success());
        network
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("network")
    }

    fn state(&self) -> DesiredState {
        load::read(&load::read_folder(&self.folder()).unwrap()).unwrap()
    }

    fn export(&self, data: &Value) -> PathBuf {
        let path = self.0.path().join("data.json");
        std::fs::write(&path, data.to_string()).unwrap();
        path
    }

    /// Exit status, standard output and standard error.
    fn propose(&self, asn: u32, data: &Value, arguments: &[&str]) -> (i32, String, String) {
        self.run(asn, &self.export(data), arguments)
    }

    fn run(&self, asn: u32, from: &Path, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_shoestring"))
            .args(["peer", "match", &asn.to_string(), "--dir"])
            .arg(self.folder())
            .arg("--from")
            .arg(from)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

/// A network with one port, as PeeringDB nests them.
fn net(name: &str, as_set: &str, v4: Option<&str>, v6: Option<&str>) -> Value {
    json!({ "data": [{ "id": 7, "asn": 64511, "name": name, "irr_as_set": as_set, "info_prefixes4": 150,
        "info_prefixes6": null, "info_type": "Content", "netixlan_set": [{ "id": 99, "ixlan_id": 3, "asn": 64511,
        "name": "Bay Exchange", "ipaddr4": v4, "ipaddr6": v6, "operational": true }] }], "meta": {} })
}

const FILE: &str = "peers/san-francisco/example-networks-ltd.yaml";

#[test]
fn a_peer_file_is_proposed_and_written_once() {
    let network = Network::new();
    let data =
        net("Example Networks, Ltd.", "RADB::AS-EXAMPLE", Some("203.0.113.20"), Some("2001:db8:1f0::20"));
    let expected = "\
# yaml-language-server: $schema=../../../schemas/peer.schema.json
# Proposed from an exchange's data. The session has to be agreed on with them.
# They say that they announce at most 150 IPv4 prefixes.
# What they announce: RADB::AS-EXAMPLE
description: \"Example Networks, Ltd. at Bay Exchange\"
asn: 64511
relation: peer
sessions:
  - { local: \"203.0.113.10\", neighbor: \"203.0.113.20\" }
  - { local: \"2001:db8:1f0::10\", neighbor: \"2001:db8:1f0::20\" }
";
    let (status, out, err) = network.propose(64511, &data, &[]);
    assert_eq!((status, out, err.as_str()), (0, format!("# {FILE}\n{expected}\n"), ""));
    assert!(!network.folder().join(FILE).exists());

    let (status, _, err) = network.propose(64511, &data, &["--write"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(std::fs::read_to_string(network.folder().join(FILE)).unwrap(), expected);
    let state = network.state();
    let key = ("san-francisco".parse().unwrap(), "example-networks-ltd".parse().unwrap());
    assert_eq!(state.peers[&key].sessions.len(), 2);
    assert_eq!(state.peers[&key].relation, Relation::Peer);

    // The second time there is nothing left to do, and nothing is touched.
    let (status, out, err) = network.propose(64511, &data, &["--write"]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains(&format!("{FILE} is there already")), "{err}");
}

#[test]
fn an_ixf_export_and_a_route_server_do_as_well() {
    let network = Network::new();
    let data = json!({ "version": "1.0",
        "ixp_list": [{ "ixp_id": 1, "shortname": "BAY", "vlan": [{ "id": 5,
            "ipv4": { "prefix": "203.0.113.0", "mask_length": 27 } }] }],
        "member_list": [{ "asnum": 64511, "name": "Route server 2", "connection_list": [{ "ixp_id": 1,
            "vlan_list": [{ "vlan_id": 5, "ipv4": { "address": "203.0.113.28",
                "services": [{ "type": "ixrouteserver" }] } }] }] }] });
    let (status, out, err) = network.propose(64511, &data, &["--write"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.starts_with("# peers/san-francisco/route-server-2.yaml\n"), "{out}");
    assert!(out.contains("\nrelation: route-server\n") && out.contains("\"Route server 2 at BAY\""), "{out}");
    network.state();
}

/// What is written there by others ends as text, or not at all.
#[test]
fn nothing_can_be_injected() {
    for hostile in [
        "x\"\nasn: 1\nrelation: provider\n\"",
        "x\\\" }\r\n- evil: 1 # \u{2028}&a *a !t {{",
        "\u{202e}\u{0}\u{1b}[31m",
        "../../../../etc/passwd",
        "'; DROP TABLE peers; --",
        "- ",
        "null",
        "日本ネットワーク",
        &"a\"".repeat(5000),
        "",
    ] {
        let network = Network::new();
        let mut data = net(hostile, hostile, Some("203.0.113.20"), None);
        data["data"][0]["netixlan_set"][0]["name"] = hostile.into();
        let before = network.state();
        let (status, out, err) = network.propose(64511, &data, &["--write"]);
        assert_eq!(status, 0, "{hostile:?}: {err}");
        assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{hostile:?}: {out:?}");
        assert!(!out.contains(['\u{202e}', '\u{2028}']), "{hostile:?}: {out:?}");
        // The comments and the description are all that their texts reach.
        let keys: Vec<&str> = out
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(keys, ["description", "asn", "relation", "sessions", "  - { local"], "{hostile:?}: {out}");
        let mut after = network.state();
        let new = after.peers.keys().find(|key| !before.peers.contains_key(*key)).unwrap().clone();
        let peer = after.peers.remove(&new).unwrap();
        assert_eq!(after, before);
        assert_eq!((peer.asn.get(), peer.relation, peer.sessions.len()), (64511, Relation::Peer, 1));
        assert!(peer.communities.is_empty() && peer.password.is_none());
        let name = new.1.as_str();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
    }
}

/// Each is said, none is written.
#[test]
fn what_cannot_be_a_peer_is_not_proposed() {
    let network = Network::new();
    let port = |v4: &str| net("Example", "", Some(v4), None);
    let mut down = port("203.0.113.20");
    down["data"][0]["netixlan_set"][0]["operational"] = false.into();
    let mut elsewhere = port("203.0.113.20");
    elsewhere["data"].as_array_mut().unwrap().push(json!({ "ixlan_id": 3, "prefix": "203.0.113.16/28" }));
    let mut wide = port("203.0.113.40");
    wide["data"].as_array_mut().unwrap().push(json!({ "ixlan_id": 3, "prefix": "203.0.113.0/24" }));
    for (data, expected) in [
        (&port("198.18.0.1"), "none of our edges has an address on a LAN that it is on"),
        (&port("banana"), "none of our edges has an address"),
        (&json!({ "data": [] }), "the data has no port of it"),
        (&port("203.0.113.10"), "none of our edges"),
        (&port("203.0.113.14"), "peers/san-francisco/registry-mirror.yaml is there already"),
        (&down, "the port is not in use"),
        (&elsewhere, "none of our edges"),
        (&wide, "it is on the LAN of 203.0.113.10, but not in 203.0.113.0/27"),
    ] {
        let (status, out, err) = network.propose(64511, data, &["--write"]);
        assert_eq!((status, out.as_str()), (1, ""), "{expected}: {err}");
        assert!(err.contains(expected), "{expected}: {err}");
    }
    let (status, _, err) = network.propose(64500, &port("203.0.113.20"), &[]);
    assert_eq!(status, 2);
    assert!(err.contains("AS64500 is the network's own AS number"), "{err}");
    let path = network.0.path().join("bad.json");
    std::fs::write(&path, "{\n  \"data\": [7]\n}").unwrap();
    let (status, _, err) = network.run(64511, &path, &[]);
    assert_eq!(status, 2);
    assert!(err.contains("bad.json:2:"), "{err}");
}
