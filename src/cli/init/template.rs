//! The files of a new network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::names::{NetworkName, NodeName};

/// What differs between two new networks.
pub(super) struct Template<'a> {
    pub(super) name: &'a NetworkName,
    pub(super) asn: u32,
    pub(super) prefixes: &'a [IpNet],
    /// An SSH public key, as one line.
    pub(super) key: &'a str,
    pub(super) node: &'a NodeName,
    pub(super) addresses: &'a [IpAddr],
}

impl Template<'_> {
    /// Paths and texts.
    pub(super) fn files(&self) -> Result<Vec<(String, String)>, String> {
        let Self { name, node, .. } = self;
        let canary = format!("zones/operator/canary.{name}.invalid");
        Ok(vec![
            ("README.md".to_owned(), self.readme()),
            ("network.yaml".to_owned(), self.network()),
            (format!("nodes/{node}.yaml"), self.node()?),
            ("trust.yaml".to_owned(), self.trust()),
            (format!("{canary}.yaml"), "kind: primary\n".to_owned()),
            (format!("{canary}.zone"), self.canary()),
        ])
    }

    fn readme(&self) -> String {
        format!(
            "# The network {}\n\nWhat each node makes itself match. A change is a signed commit; `shoestring check` \
             says whether it holds together,\n`shoestring plan` what it would do.\n",
            self.name
        )
    }

    fn network(&self) -> String {
        let list = |items: Vec<String>| items.iter().map(|item| format!("  - {item}\n")).collect::<String>();
        let prefixes = list(self.prefixes.iter().map(ToString::to_string).collect());
        let service = list(self.prefixes.iter().map(|prefix| service(prefix).to_string()).collect());
        format!(
            "name: {name}\n\
             description: Anycast DNS\n\
             # The AS number that the nodes speak as, and the prefixes that they announce.\n\
             asn: {asn}\n\
             prefixes:\n{prefixes}\
             # The addresses that answer DNS, each inside a prefix.\n\
             service_addresses:\n{service}\
             # Private ranges for the WireGuard mesh between the nodes.\n\
             mesh:\n  loopbacks_v4: 172.31.53.0/24\n  loopbacks_v6: fd53:5353:5353::/64\n  port: 51820\n\
             # How a node judges its own name server.\n\
             health:\n  canary: canary.{name}.invalid\n  interval: 2s\n  retry_interval: 500ms\n  \
             timeout: 500ms\n  failures: 3\n  recoveries: 10\n\
             # How a node goes away on purpose.\n\
             drain:\n  wait: 60s\n  prepend: 3\n",
            name = self.name,
            asn = self.asn,
        )
    }

    fn node(&self) -> Result<String, String> {
        let router_id = self.addresses.iter().find(|address| address.is_ipv4());
        let router_id = router_id.ok_or("give one IPv4 --address: BGP needs it as the router id")?;
        let addresses: String = self.addresses.iter().map(|address| format!("  - {address}\n")).collect();
        Ok(format!(
            "# Hub and edge at once: it takes zones from their primaries and answers for them.\n\
             place:\n  city: Nowhere yet\n  country: United Kingdom\n  country_iso: GB\n  flag: 🇬🇧\n  \
             location: This machine\n  geo: {{ latitude: 51.5, longitude: 0 }}\n\
             fqdn: {node}.{name}.invalid\n\
             description: The first node\n\
             # The addresses of the machine itself. A hub listens on them for NOTIFY from the zones' primaries.\n\
             management:\n{addresses}\
             # A second node needs a mesh: `shoestring join` prints public_key and endpoint.\n\
             mesh:\n  loopback_v4: 172.31.53.1\n  loopback_v6: fd53:5353:5353::1\n\
             roles: [edge, hub]\n\
             dns: embedded\n\
             routing: embedded\n\
             router_id: {router_id}\n\
             state: live\n",
            name = self.name,
            node = self.node,
        ))
    }

    fn trust(&self) -> String {
        format!(
            "# Who may sign what. `version` goes up by one with each change of this file.\n\
             version: 1\n\
             principals:\n  operator:\n    keys:\n      - {key}\n\
             rules:\n\
             \x20 # One operator may change everything. With a second one, write narrower paths and `need: 2`.\n\
             \x20 - {{ paths: [\"**\"], signers: [operator], need: 1 }}\n\
             revoked: []\n",
            key = self.key
        )
    }

    fn canary(&self) -> String {
        let Self { name, node, .. } = self;
        format!(
            "$TTL 60\n\
             ; Asked for by every node's health probes. The serial is set by the network.\n\
             @  SOA  {node}.{name}.invalid. hostmaster.{name}.invalid. ( 0 7200 900 1209600 60 )\n\
             @  NS   {node}.{name}.invalid.\n\
             @  TXT  \"a name server that serves this is alive\"\n"
        )
    }
}

/// The address with 53 at the end of a prefix.
fn service(prefix: &IpNet) -> IpAddr {
    match prefix {
        IpNet::V4(prefix) => Ipv4Addr::from_bits(prefix.network().to_bits() | 53).into(),
        IpNet::V6(prefix) => Ipv6Addr::from_bits(prefix.network().to_bits() | 0x53).into(),
    }
}
