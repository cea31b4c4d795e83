//! The node file that a new node prints: what the machine knows of itself, and a mark where a person must fill in.
//!
//! Every mark is an empty text. It parses and is a finding of `check`, at its place, until it is filled in.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;

use crate::mesh::PublicKey;
use crate::names::NodeName;
use crate::secrets::Recipient;

/// What is known of a machine that is to become a node.
pub(super) struct Machine<'a> {
    pub(super) node: &'a NodeName,
    pub(super) public_key: PublicKey,
    pub(super) age_recipient: &'a Recipient,
    pub(super) mesh_port: u16,
    pub(super) interfaces: Vec<DetectedInterface>,
}

/// A network interface that leads out of it.
pub(super) struct DetectedInterface {
    pub(super) name: String,
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) gateways: BTreeSet<IpAddr>,
}

impl Machine<'_> {
    /// `nodes/<node>.yaml`.
    pub(super) fn node_file(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("writing to a String cannot fail");
        out
    }

    /// The addresses by which the internet reaches it, the ones of IPv4 first.
    fn management(&self) -> BTreeSet<IpAddr> {
        let addresses = self.interfaces.iter().flat_map(|interface| &interface.addresses);
        addresses.map(|(address, _)| *address).filter(|address| is_reachable(*address)).collect()
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let management = self.management();
        let router_id = management.iter().find(|address| address.is_ipv4());
        writeln!(out, "# yaml-language-server: $schema=../../schemas/node.schema.json")?;
        writeln!(out, "# nodes/{}.yaml, from the machine itself. Fill in every \"\".", self.node)?;
        out.push_str(PLACE);
        writeln!(out, "# The addresses by which the internet reaches this machine; never anycast.")?;
        if management.is_empty() {
            writeln!(
                out,
                "# None was found: it seems to be behind NAT. Give the address of the other side of it."
            )?;
            writeln!(out, "management: [\"\"]")?;
        } else {
            writeln!(out, "management:")?;
            management.iter().try_for_each(|address| writeln!(out, "  - {address}"))?;
        }
        if self.interfaces.is_empty() {
            writeln!(out, "interfaces: []")?;
        } else {
            writeln!(out, "interfaces:")?;
            self.interfaces.iter().try_for_each(|interface| interface.write(out))?;
        }
        writeln!(out, "mesh:")?;
        writeln!(out, "  public_key: {}", self.public_key)?;
        match management.first() {
            Some(address) => {
                let endpoint = std::net::SocketAddr::new(*address, self.mesh_port);
                writeln!(
                    out,
                    "  # Where the other nodes send to. Leave it out behind NAT: this one then calls them."
                )?;
                // In quotes: an IPv6 address begins with a bracket.
                writeln!(out, "  endpoint: \"{endpoint}\"")?;
            }
            None => writeln!(out, "  # No endpoint: this node calls the others.")?,
        }
        writeln!(out, "  # Each inside the range of network.yaml, and no other node's.")?;
        writeln!(out, "  loopback_v4: \"\"")?;
        writeln!(out, "  loopback_v6: \"\"")?;
        out.push_str(CHOICES);
        match router_id {
            Some(address) => writeln!(out, "router_id: {address}")?,
            None => writeln!(
                out,
                "# The BGP identifier: an IPv4 address that no other node has, never anycast.\nrouter_id: \"\""
            )?,
        }
        writeln!(out, "# What this node's secrets are encrypted to.")?;
        writeln!(out, "age_recipient: {}", self.age_recipient)?;
        writeln!(out, "# Everything runs and nothing is announced; write live once it has settled.")?;
        writeln!(out, "state: drained")
    }
}

const PLACE: &str = r#"place:
  city: ""          # London
  country: ""       # United Kingdom
  country_iso: ""   # GB
  flag: ""          # one emoji
  location: ""      # the building, the exchange or the provider
  geo: { latitude: "", longitude: "" }
# Its own name in DNS.
fqdn: ""
description: ""
# live_since: 2026-01-31
# cost: { amount: 3.50, currency: USD, per: month }
"#;

const CHOICES: &str = r"# An edge announces and answers; a hub also fetches the customers' zones for the edges.
roles: [edge]
dns: embedded
routing: embedded
";

impl DetectedInterface {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        // A name may be almost anything, a number too: as JSON it is a text in YAML.
        writeln!(out, "  - name: {}", serde_json::Value::from(self.name.as_str()))?;
        writeln!(out, "    addresses:")?;
        self.addresses
            .iter()
            .try_for_each(|(address, length)| writeln!(out, "      - {address}/{length}"))?;
        if !self.gateways.is_empty() {
            writeln!(out, "    gateways:")?;
        }
        self.gateways.iter().try_for_each(|gateway| writeln!(out, "      - {gateway}"))
    }
}

/// Whether the internet may reach an address: not one of the private ranges (RFC 1918, 6598, 4193).
fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            !(address.is_private() || first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.segments()[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::desired::files::{NodeFile, yaml};

    fn recipient() -> &'static Recipient {
        static RECIPIENT: LazyLock<Recipient> =
            LazyLock::new(|| crate::secrets::Identity::generate().unwrap().recipient().clone());
        &RECIPIENT
    }

    fn machine<'a>(node: &'a NodeName, addresses: &[(&str, u8)], gateways: &[&str]) -> Machine<'a> {
        let interface = DetectedInterface {
            name: "1e3".to_owned(),
            addresses: addresses
                .iter()
                .map(|(address, length)| (address.parse().unwrap(), *length))
                .collect(),
            gateways: gateways.iter().map(|gateway| gateway.parse().unwrap()).collect(),
        };
        let interfaces = if addresses.is_empty() { vec![] } else { vec![interface] };
        let (public_key, age_recipient) = (PublicKey([7; 32]), recipient());
        Machine { node, public_key, age_recipient, mesh_port: 51820, interfaces }
    }

    /// What `check` holds against a node file, by line.
    fn findings(text: &str, node: &NodeName) -> Vec<usize> {
        let file: NodeFile = yaml::parse("node.yaml", text.as_bytes()).unwrap();
        let mut findings = Vec::new();
        let network = crate::desired::model::MeshNetwork {
            loopbacks_v4: "198.51.100.0/24".parse().unwrap(),
            loopbacks_v6: "2001:db8::/64".parse().unwrap(),
            port: 51820,
        };
        let node = file.convert(node, Some(&network), "node.yaml", &mut findings);
        assert_eq!(node.is_none(), !findings.is_empty());
        findings.iter().map(|finding| finding.position.unwrap().line.try_into().unwrap()).collect()
    }

    #[test]
    fn every_mark_is_a_finding_and_nothing_else_is() {
        let node = "london-a".parse().unwrap();
        for machine in [
            machine(&node, &[("192.0.2.10", 24), ("2001:db8::10", 64)], &["192.0.2.1", "2001:db8::1"]),
            machine(&node, &[("2001:db8::10", 64)], &[]),
            machine(&node, &[("10.1.2.3", 24), ("fd00::3", 64)], &["10.1.2.1"]),
            machine(&node, &[], &[]),
        ] {
            let text = machine.node_file();
            let marks = text.lines().zip(1..).flat_map(|(line, number)| {
                let count = if line.starts_with('#') { 0 } else { line.matches("\"\"").count() };
                std::iter::repeat_n(number, count)
            });
            let mut found = findings(&text, &node);
            found.sort_unstable();
            assert_eq!(found, marks.collect::<Vec<usize>>(), "{text}");
        }
    }

    #[test]
    fn filled_in_it_is_a_node_file() {
        let node = "london-a".parse().unwrap();
        let mut text =
            machine(&node, &[("192.0.2.10", 24), ("2001:db8::10", 64)], &["192.0.2.1"]).node_file();
        for (mark, value) in [
            ("city: \"\"", "city: London"),
            ("country: \"\"", "country: United Kingdom"),
            ("country_iso: \"\"", "country_iso: GB"),
            ("flag: \"\"", "flag: \u{1f1ec}\u{1f1e7}"),
            ("location: \"\"", "location: Docklands"),
            ("latitude: \"\", longitude: \"\"", "latitude: 51.5, longitude: 0"),
            ("fqdn: \"\"", "fqdn: london-a.example.net"),
            ("description: \"\"", "description: A node"),
            ("loopback_v4: \"\"", "loopback_v4: 198.51.100.1"),
            ("loopback_v6: \"\"", "loopback_v6: 2001:db8::1"),
        ] {
            assert!(text.contains(mark), "{mark}");
            text = text.replace(mark, value);
        }
        assert_eq!(findings(&text, &node), Vec::<usize>::new(), "{text}");
        assert!(text.contains("endpoint: \"192.0.2.10:51820\"") && text.contains("router_id: 192.0.2.10"));
        assert!(text.contains(&PublicKey([7; 32]).to_string()) && text.contains(&recipient().to_string()));
    }
}
