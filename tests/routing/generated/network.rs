//! A drawn network: what its files say, as plain values, and those files.

use std::collections::{BTreeMap, BTreeSet};

use shoestring::keyring::{Secret, SecretValue};
use shoestring::routing::RoutingDaemonKind;
use shoestring::secrets::{Identity, sealed::seal};
use shoestring::tree::{File, Tree};

use crate::differential::draw::Draw;

/// Both ends of every session that there may be. The four of IPv4 come first. None of ours is that of two, since one BIRD
/// is all the peers, and has one password for each address.
pub const OURS: [&str; 7] = [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.11",
    "192.0.2.12",
    "2001:db8:0:1::1",
    "2001:db8:0:1::2",
    "2001:db8:0:1::11",
];
pub const THEIRS: [&str; 7] = [
    "192.0.2.254",
    "192.0.2.253",
    "192.0.2.252",
    "192.0.2.251",
    "2001:db8:0:1::fe",
    "2001:db8:0:1::fd",
    "2001:db8:0:1::fc",
];
const FIRST_V6: usize = 4;
/// What a network may have been assigned: prefixes that lie in others, too.
pub const PREFIXES: [&str; 6] = [
    "198.51.100.0/24",
    "198.51.0.0/16",
    "198.18.0.0/15",
    "2001:db8:100::/48",
    "2001:db8:100::/40",
    "2001:db8:2000::/36",
];
const COMMUNITIES: [&str; 20] = [
    "0:0",
    "0:64501",
    "64500:7",
    "64500:65535",
    "65535:6",
    "65535:65281",
    "65535:65284",
    "65535:65535",
    "64500:1:2",
    "65536:1:2",
    "0:0:0",
    "4294967295:0:4294967295",
    "65536:4294967295:1",
    "rt:64500:9",
    "rt:64500:4294967295",
    "rt:4200000000:7",
    "ro:192.0.2.1:3",
    "ro:64500:65536",
    "64501:100",
    "64502:100",
];
/// All that strings of daemons may trip over, but what one of them cannot be told.
const PASSWORDS: [&str; 6] = [
    "plain",
    r"#it's;{a}$pass\word%d!/*~*/",
    "};exit",
    "'!no",
    "$(reboot)`x`",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678",
];
/// What people may write, and no daemon is to see.
pub const DESCRIBED: [&str; 5] = [
    "plain-hearsay",
    "hearsay\"; } protocol static evil { ipv4; route 10.9.0.0/16 blackhole; } #",
    "hearsay' } \\",
    "hearsay ! neighbor 10.0.0.1 remote-as 1",
    "hearsay ${x} $(reboot) `reboot` %s %n é",
];

/// What the files of a network say.
#[derive(Debug, Clone)]
pub struct Network {
    pub asn: u32,
    pub prefixes: BTreeSet<&'static str>,
    pub drain_prepend: u8,
    pub peers: Vec<Peer>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    pub name: String,
    pub description: &'static str,
    pub asn: u32,
    pub relation: &'static str,
    /// Which ends.
    pub ends: Vec<usize>,
    pub communities: BTreeSet<&'static str>,
    pub prepend: u8,
    pub import: &'static str,
    pub multihop: Option<u8>,
    pub strict_role: bool,
    pub password: Option<&'static str>,
}

impl Network {
    pub fn draw(draw: &mut Draw, kind: RoutingDaemonKind) -> Self {
        let mut network = Self { asn: 0, prefixes: BTreeSet::new(), drain_prepend: 0, peers: Vec::new() };
        network.redraw(draw, kind, 100);
        network
    }

    /// Another one, of which this much in a hundred is another.
    pub fn redraw(&mut self, draw: &mut Draw, kind: RoutingDaemonKind, share: usize) {
        if draw.percent(share / 4) || self.asn == 0 {
            self.asn = draw.one(&[64500, 65000, 4_200_000_001]);
        }
        if draw.percent(share) {
            self.prefixes = PREFIXES.into_iter().filter(|_| draw.percent(45)).collect();
            self.prefixes.insert(draw.one(&PREFIXES));
        }
        if draw.percent(share) {
            self.drain_prepend = draw.one(&[1, 3, 10]);
        }
        self.peers.retain(|_| !draw.percent(share / 3));
        for peer in &mut self.peers {
            peer.redraw(draw, kind, share);
        }
        for _ in 0..2 {
            let taken: Vec<usize> = self.peers.iter().flat_map(|peer| peer.ends.clone()).collect();
            let free = |ends: std::ops::Range<usize>| -> Vec<usize> {
                ends.filter(|end| !taken.contains(end)).collect()
            };
            let (v4, v6) = (free(0..FIRST_V6), free(FIRST_V6..OURS.len()));
            let mut ends = Vec::new();
            if !v4.is_empty() && draw.percent(75) {
                ends.push(draw.one(&v4));
            }
            if !v6.is_empty() && (ends.is_empty() || draw.percent(60)) {
                ends.push(draw.one(&v6));
            }
            let name = (0..9).map(|number| format!("peer-{number}"));
            let name =
                name.into_iter().find(|name| self.peers.iter().all(|peer| peer.name != *name)).unwrap();
            if !ends.is_empty() {
                self.peers.push(Peer::draw(draw, kind, name, ends));
            }
        }
    }
}

impl Peer {
    fn draw(draw: &mut Draw, kind: RoutingDaemonKind, name: String, ends: Vec<usize>) -> Self {
        let mut peer = Self {
            name,
            description: "",
            asn: 0,
            relation: "",
            ends,
            communities: BTreeSet::new(),
            prepend: 0,
            import: "",
            multihop: None,
            strict_role: false,
            password: None,
        };
        peer.redraw(draw, kind, 100);
        peer
    }

    fn redraw(&mut self, draw: &mut Draw, kind: RoutingDaemonKind, share: usize) {
        if draw.percent(share) {
            self.description = draw.one(&DESCRIBED);
        }
        if draw.percent(share) {
            let likely = draw.one(&[0, 10, 25, 100]);
            self.communities = COMMUNITIES.into_iter().filter(|_| draw.percent(likely)).collect();
            if kind == RoutingDaemonKind::Gobgp {
                // It cannot be told of LLGR_STALE.
                self.communities.remove("65535:6");
            }
            self.prepend = draw.one(&[0, 0, 1, 3, 10]);
        }
        if draw.percent(share / 2) || self.import.is_empty() {
            self.import = draw.one(&["nothing", "nothing", "default", "full"]);
        }
        // What takes a new session.
        if draw.percent(share / 3) || self.asn == 0 {
            self.asn = draw.one(&[64501, 64502, 65536, 4_200_000_000]);
            self.relation = draw.one(&["provider", "peer", "route-server"]);
            self.multihop = draw.one(&[None, None, Some(2), Some(255)]);
            // GoBGP has no roles.
            self.strict_role = kind != RoutingDaemonKind::Gobgp && draw.percent(30);
            self.password = if draw.percent(40) { Some(draw.one(&PASSWORDS)) } else { None };
        }
    }

    /// The file, with the name of the secret that has its password.
    fn file(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let mut text = format!(
            "description: {}\nasn: {}\nrelation: {}\nprepend: {}\nimport: {}\nstrict_role: {}\nsessions:\n",
            quoted(self.description),
            self.asn,
            self.relation,
            self.prepend,
            self.import,
            self.strict_role
        );
        for end in &self.ends {
            text += &format!("  - {{ local: {}, neighbor: {} }}\n", quoted(OURS[*end]), quoted(THEIRS[*end]));
        }
        let communities: Vec<String> = self.communities.iter().map(|text| quoted(text)).collect();
        text += &format!("communities: [{}]\n", communities.join(", "));
        if let Some(hops) = self.multihop {
            text += &format!("multihop: {hops}\n");
        }
        if self.password.is_some() {
            text += &format!("password: of-{}\n", self.name);
        }
        text
    }
}

/// One who may read the secrets, beside the node.
const OPERATOR: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBhhsXILVAXuJDOwNLhnrQxZ4jKxkx2L7gL/agwHHcqR";

/// Secrets that have been sealed: a file that is sealed again is another one.
pub type Sealed = BTreeMap<(String, &'static str), Vec<u8>>;

/// Everything in the repository of such a network.
pub fn files(network: &Network, kind: RoutingDaemonKind, node: &Identity, sealed: &mut Sealed) -> Tree {
    let mut tree = Tree::default();
    let mut put = |path: String, bytes: &[u8]| {
        tree.files.insert(path.into(), File { bytes: bytes.into(), changed: 1 });
    };
    let list =
        |texts: Vec<&str>| texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ");
    let service: Vec<String> =
        network.prefixes.iter().map(|prefix| prefix.split('/').next().unwrap().to_owned()).collect();
    // The second address of each.
    let service: Vec<String> = service
        .iter()
        .map(|first| if first.contains(':') { format!("{first}2") } else { first.replacen(".0", ".2", 9) })
        .collect();
    let service: BTreeSet<&str> = service.iter().map(String::as_str).collect();
    put(
        "network.yaml".to_owned(),
        format!(
            "name: drawn\ndescription: A drawn network\nasn: {}\nprefixes: [{}]\nservice_addresses: [{}]\n\
             mesh: {{ loopbacks_v4: 172.31.53.0/24, loopbacks_v6: \"fd53:5353:5353::/64\", port: 51820 }}\n\
             health: {{ canary: canary.drawn.invalid, interval: 2s, retry_interval: 500ms, timeout: 500ms, failures: 3, recoveries: 10 }}\n\
             drain: {{ wait: 60s, prepend: {} }}\nrouting_trial: 2m\n",
            network.asn,
            list(network.prefixes.iter().copied().collect()),
            list(service.into_iter().collect()),
            network.drain_prepend
        )
        .as_bytes(),
    );
    put(
        "trust.yaml".to_owned(),
        format!(
            "version: 1\nprincipals:\n  operator:\n    keys:\n      - {OPERATOR}\nrules:\n  \
             - {{ paths: [\"**\"], signers: [operator], need: 1 }}\nrevoked: []\n"
        )
        .as_bytes(),
    );
    let addresses: BTreeSet<String> = OURS
        .iter()
        .map(|address| format!("{address}/{}", if address.contains(':') { 64 } else { 16 }))
        .collect();
    let reads = if network.peers.iter().any(|peer| peer.password.is_some()) {
        format!("age_recipient: {}\n", node.recipient())
    } else {
        String::new()
    };
    put(
        "nodes/first.yaml".to_owned(),
        format!(
            "place: {{ city: Nowhere, country: United Kingdom, country_iso: GB, flag: 🇬🇧, location: Here, geo: {{ latitude: 51.5, longitude: 0 }} }}\n\
             fqdn: first.drawn.invalid\ndescription: {}\nmanagement: [192.0.2.1]\n\
             interfaces:\n  - {{ name: bgp0, addresses: [{}] }}\n\
             mesh: {{ loopback_v4: 172.31.53.1, loopback_v6: \"fd53:5353:5353::1\" }}\n\
             roles: [edge, hub]\ndns: embedded\nrouting: {kind}\nrouter_id: 192.0.2.1\n{reads}state: live\n",
            serde_json::to_string(DESCRIBED[1]).unwrap(),
            list(addresses.iter().map(String::as_str).collect())
        )
        .as_bytes(),
    );
    put("zones/operator/canary.drawn.invalid.yaml".to_owned(), b"kind: primary\n");
    let zone = "$TTL 60\n@ SOA first.drawn.invalid. hostmaster.drawn.invalid. ( 0 7200 900 1209600 60 )\n@ NS first.drawn.invalid.\n";
    put("zones/operator/canary.drawn.invalid.zone".to_owned(), zone.as_bytes());
    for peer in &network.peers {
        put(format!("peers/first/{}.yaml", peer.name), peer.file().as_bytes());
        if let Some(password) = peer.password {
            let file = sealed.entry((peer.name.clone(), password)).or_insert_with(|| {
                let value = SecretValue::Password(Secret::new(password.into()));
                seal(&value, &[OPERATOR.parse().unwrap(), node.recipient().clone()].into()).unwrap()
            });
            put(format!("secrets/of-{}.age", peer.name), file);
        }
    }
    tree
}
