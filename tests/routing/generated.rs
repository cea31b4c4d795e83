//! Drawn networks: whatever the files say, what a peer hears is exactly that, from each of the five daemons.
//!
//! ```text
//! seed ─→ network ─→ its files ─check, slice─→ configuration ─→ daemon ─BGP─┐
//!            ├─→ BIRD, in the place of all its peers ←─────────────────────┘ what it received
//!            └─→ what it should have received: from the drawn values, by code that no driver has part in
//! ```
//!
//! One daemon goes through several networks while it runs, each partly that before it. `ROUTING_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use shoestring::desired::load;
use shoestring::desired::slice::slice;
use shoestring::keyring::Keyring;
use shoestring::process::Supervision;
use shoestring::routing::embedded::EmbeddedSpeaker;
use shoestring::routing::{
    Announcement, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind, RoutingDaemons,
    SelectedRouting, SessionName, SessionState,
};
use shoestring::secrets::{Identity, sealed::open};

use super::bird::Bird;
use super::contract::{Software, routes_of_the_kernel};
use super::frr::Frr;
use super::gobgp::Gobgp;
use super::openbgpd::OpenBgpd;
use super::provider::{Provider, Route};
use super::subject::PATIENCE;
use crate::bgp::lab::in_a_namespace;
use crate::differential::draw::Draw;

mod network;
mod strings;
mod upstream;

use network::{DESCRIBED, Network, OURS, PREFIXES, Sealed, THEIRS};
use upstream::is_v6;

/// Networks that one daemon goes through.
const NETWORKS: usize = 6;

/// A node that goes through networks, and the other side.
struct Node {
    kind: RoutingDaemonKind,
    routing: SelectedRouting,
    keyring: Arc<Keyring>,
    upstream: Provider,
    identity: Identity,
    sealed: Sealed,
    daemons: RoutingDaemons,
    network: Network,
    config: RoutingConfig,
    /// How many routes its tables have from peers.
    imported: fn(&Path) -> usize,
    _folder: tempfile::TempDir,
}

impl Node {
    /// `None`, said aloud, where the daemon is not installed.
    async fn start(kind: RoutingDaemonKind, imported: fn(&Path) -> usize, draw: &mut Draw) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let daemons =
            RoutingDaemons { folder: folder.path().join("daemons"), supervision: Supervision::Child };
        let keyring = Arc::new(Keyring::default());
        if kind != RoutingDaemonKind::Embedded && daemons.open(kind, &keyring).await.unwrap().is_none() {
            assert!(std::env::var_os("CI").is_none(), "{kind} is missing, and in CI nothing is skipped");
            eprintln!("skipped: {kind} is not installed");
            return None;
        }
        let speaker = EmbeddedSpeaker::new(Arc::clone(&keyring));
        let routing = SelectedRouting::new(daemons.clone(), speaker, Arc::clone(&keyring));
        let network = Network::draw(draw, kind);
        let upstream = Provider::with(&upstream::config(&network, roles(kind)), &OURS, &THEIRS).await;
        // What stands on a node and is nobody's to announce: parts of ours, and what others were assigned.
        for prefix in PREFIXES {
            let prefix: IpNet = prefix.parse().unwrap();
            let part = IpNet::new(prefix.addr(), if prefix.addr().is_ipv6() { 64 } else { 26 }).unwrap();
            for route in BTreeSet::from([prefix, part]) {
                let route = route.to_string();
                let _ = std::process::Command::new("ip").args(["route", "add", "blackhole", &route]).output();
            }
        }
        let identity = Identity::generate().unwrap();
        let mut sealed = Sealed::new();
        let config = configuration(&network, kind, &identity, &mut sealed, &keyring);
        let node = Self {
            kind,
            routing,
            keyring,
            upstream,
            identity,
            sealed,
            daemons,
            network,
            config,
            imported,
            _folder: folder,
        };
        node.routing.configure(&node.config).await.unwrap();
        Some(node)
    }

    fn folder(&self) -> PathBuf {
        self.daemons.folder.join(self.kind.to_string())
    }

    /// Another network while it runs, in the order in which a plan changes a node.
    async fn become_another(&mut self, draw: &mut Draw, announced: &Origination) {
        let before = self.network.clone();
        let ups = self.ups();
        self.network.redraw(draw, self.kind, 50);
        eprintln!("then {:#?}", self.network);
        self.config =
            configuration(&self.network, self.kind, &self.identity, &mut self.sealed, &self.keyring);
        let mut kept = announced.clone();
        kept.retain(|prefix, _| self.config.prefixes.contains(prefix));
        self.routing.originate(&kept).await.unwrap();
        self.upstream.configure(&upstream::config(&self.network, roles(self.kind)));
        self.routing.configure(&self.config).await.unwrap();
        self.until_established().await;
        // Only a change of the session itself takes another session.
        for peer in &self.network.peers {
            let same =
                before.peers.iter().find(|was| was.name == peer.name && before.asn == self.network.asn);
            let Some(was) = same else { continue };
            let session = |peer: &network::Peer| {
                (peer.asn, peer.relation, peer.multihop, peer.strict_role, peer.password, peer.import)
            };
            if session(was) == session(peer) {
                for end in &peer.ends {
                    let told = format!("{} was begun anew for nothing\n{}", THEIRS[*end], self.log());
                    assert_eq!(self.ups()[end], ups[end], "{told}");
                }
            }
        }
    }

    /// What both sides wrote.
    fn log(&self) -> String {
        let log = self.folder().join(format!("{}.log", self.kind));
        self.upstream.log() + &std::fs::read_to_string(log).unwrap_or_default()
    }

    /// How often each session was established.
    fn ups(&self) -> BTreeMap<usize, Option<usize>> {
        (0..OURS.len()).map(|end| (end, self.upstream.established(&upstream::name(end)))).collect()
    }

    /// Each session: its name here, and its end.
    fn sessions(&self) -> impl Iterator<Item = (SessionName, usize, &network::Peer)> {
        let ends = self.network.peers.iter().flat_map(|peer| peer.ends.iter().map(move |end| (peer, *end)));
        ends.map(|(peer, end)| {
            let family = shoestring::routing::Family::of(THEIRS[end].parse().unwrap());
            (SessionName { peer: peer.name.parse().unwrap(), family }, end, peer)
        })
    }

    /// Waits until nothing is found wrong, looking at the daemon meanwhile as an agent does.
    async fn until(
        &self,
        what: &str,
        wrong: impl Fn(&shoestring::routing::ObservedRouting) -> Option<String>,
    ) {
        let begun = Instant::now();
        loop {
            let seen = self.routing.observe().await;
            let found = match &seen {
                Ok(seen) => wrong(seen),
                Err(error) => Some(error.to_string()),
            };
            let Some(found) = found else { return };
            if begun.elapsed() > 2 * PATIENCE {
                panic!("not in time: {what}: {found}\n{seen:#?}\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn until_established(&self) {
        self.until("all sessions", |seen| {
            if seen.config.as_ref() != Some(&self.config) || seen.running != self.kind {
                return Some(format!("it is not set up: {:?}", seen.fault));
            }
            self.sessions().find_map(|(name, end, _)| {
                let here = seen.sessions.get(&name).is_some_and(|one| one.state == SessionState::Established);
                let there = self.upstream.established(&upstream::name(end)).is_some();
                (!here || !there).then(|| format!("{name} (here {here}, there {there})"))
            })
        })
        .await;
    }

    async fn announce(&self, origination: &Origination) {
        self.routing.originate(origination).await.unwrap();
        self.until_received(origination, &self.sessions().map(|(_, end, _)| end).collect::<Vec<_>>()).await;
    }

    /// Waits until these sessions have exactly what they should.
    async fn until_received(&self, origination: &Origination, ends: &[usize]) {
        self.until("what is announced", |seen| {
            self.sessions().filter(|(_, end, _)| ends.contains(end)).find_map(|(name, end, peer)| {
                let expected = expected(&self.network, self.kind, peer, end, origination);
                let received = self.upstream.routes(&upstream::name(end));
                if received != expected {
                    return Some(format!("{name} has {received:#?}\ninstead of {expected:#?}"));
                }
                let said = &seen.sessions[&name].prefixes_sent;
                let is_said = said.iter().map(ToString::to_string).collect::<BTreeSet<_>>()
                    == expected.into_keys().collect();
                (!is_said).then(|| format!("{name} is said to have been told {said:?}"))
            })
        })
        .await;
    }

    /// How many routes it should have from its peers, at least and at most.
    fn importable(&self, many: bool) -> std::ops::RangeInclusive<usize> {
        let of = |peer: &network::Peer, end: usize| match peer.import {
            "full" => upstream::importable(&self.network, end, many),
            "default" => 1,
            _ => 0,
        };
        // A session that was begun before zebra takes none with a link-local next hop, and not all neighbours send it.
        let began = |name| super::subject::started(&self.folder(), name);
        let knows_links =
            began("frr-zebra").is_some_and(|zebra| began("frr").is_some_and(|bgpd| zebra <= bgpd));
        let is_sure = |peer: &network::Peer, end: usize| {
            self.kind != RoutingDaemonKind::Frr || knows_links || !is_v6(end) || peer.multihop.is_some()
        };
        if self.kind == RoutingDaemonKind::Embedded {
            return 0..=0;
        }
        let most = self.sessions().map(|(_, end, peer)| of(peer, end)).sum();
        let sure = self.sessions().filter(|(_, end, peer)| is_sure(peer, *end));
        sure.map(|(_, end, peer)| of(peer, end)).sum()..=most
    }

    /// Nothing of what was offered goes where it should not; nothing that people wrote for people is in its files.
    async fn holds_what_it_may(&self) {
        let expected = self.importable(false);
        self.until("what is imported", |_| {
            let imported = (self.imported)(&self.folder());
            (!expected.contains(&imported)).then(|| format!("{imported} routes instead of {expected:?}"))
        })
        .await;
        assert_eq!(routes_of_the_kernel(), "", "nothing goes into the kernel");
        for folder in ["etc", "run"] {
            for entry in std::fs::read_dir(self.folder().join(folder)).into_iter().flatten().flatten() {
                let text = std::fs::read(entry.path()).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                assert!(!text.contains("hearsay"), "{} has a description", entry.path().display());
            }
        }
        assert!(DESCRIBED.iter().all(|text| text.contains("hearsay")));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        super::subject::kill_group(&self.folder(), self.kind);
    }
}

fn roles(kind: RoutingDaemonKind) -> bool {
    kind != RoutingDaemonKind::Gobgp
}

/// What a node of such a network makes of its files.
fn configuration(
    network: &Network,
    kind: RoutingDaemonKind,
    identity: &Identity,
    sealed: &mut Sealed,
    keyring: &Keyring,
) -> RoutingConfig {
    let tree = network::files(network, kind, identity, sealed);
    let state = load::check(&tree).unwrap_or_else(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{findings:#?}");
    });
    let opened = state.secrets.iter().map(|(name, secret)| {
        let value = open(name, &secret.octets, std::slice::from_ref(identity)).unwrap();
        (name.clone(), Arc::new(value))
    });
    keyring.replace(opened.collect());
    slice(&state, &"first".parse().unwrap()).unwrap().routing
}

/// Everything that the peer should have on a session.
fn expected(
    network: &Network,
    kind: RoutingDaemonKind,
    peer: &network::Peer,
    end: usize,
    origination: &Origination,
) -> BTreeMap<String, Route> {
    let of_family = network.prefixes.iter().filter(|prefix| prefix.contains(':') == is_v6(end));
    let told = of_family.filter_map(|prefix| {
        let how = origination.get(&prefix.parse::<IpNet>().unwrap())?;
        let mut communities: BTreeSet<String> =
            peer.communities.iter().map(|text| (*text).to_owned()).collect();
        let mut length = 1 + usize::from(peer.prepend);
        if *how != Announcement::Normal {
            communities.insert("65535:0".to_owned());
            length += usize::from(network.drain_prepend);
        }
        let route = Route {
            path: vec![network.asn; length],
            communities,
            next_hop: OURS[end].to_owned(),
            origin: "IGP".to_owned(),
            // It cannot be told to send none.
            med: (kind == RoutingDaemonKind::Frr).then(|| "0".to_owned()),
        };
        Some(((*prefix).to_owned(), route))
    });
    told.collect()
}

/// Each prefix of ours in one of three ways.
fn drawn(network: &Network, draw: &mut Draw) -> Origination {
    let draining = Announcement::Draining { prepend: network.drain_prepend };
    let mut origination = Origination::new();
    for prefix in &network.prefixes {
        if draw.percent(80) {
            let how = if draw.percent(25) { draining } else { Announcement::Normal };
            origination.insert(prefix.parse().unwrap(), how);
        }
    }
    origination
}

async fn networks(kind: RoutingDaemonKind, imported: fn(&Path) -> usize) {
    let seed = std::env::var("ROUTING_SEED").map_or(1, |seed| seed.parse().unwrap());
    eprintln!("ROUTING_SEED={seed}");
    let mut draw = Draw::new(seed);
    let Some(mut node) = Node::start(kind, imported, &mut draw).await else { return };
    eprintln!("first {:#?}", node.network);
    node.until_established().await;
    node.announce(&Origination::new()).await;
    let mut announced = Origination::new();
    for number in 0..NETWORKS {
        if number > 0 {
            node.become_another(&mut draw, &announced).await;
        }
        for _ in 0..2 {
            announced = drawn(&node.network, &mut draw);
            node.announce(&announced).await;
        }
        node.holds_what_it_may().await;
        eprintln!("network {number} of {kind} with {} sessions holds", node.sessions().count());
    }
    // Only those whose tables are taken may offer so much.
    node.upstream.offer_many();
    let full: Vec<usize> =
        node.sessions().filter(|(_, _, peer)| peer.import == "full").map(|(_, end, _)| end).collect();
    for _ in 0..30 {
        let _ = node.routing.observe().await;
        let (imported, most) = ((node.imported)(&node.folder()), *node.importable(true).end());
        assert!(imported <= most, "{imported} routes instead of {most} at most");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    node.until_received(&announced, &full).await;
    assert_eq!(routes_of_the_kernel(), "", "nothing goes into the kernel");
    node.end().await;
}

impl Node {
    /// The daemon ends as it does when another one is selected that has nothing to do.
    async fn end(&self) {
        let mut nothing = self.config.clone();
        nothing.daemon = RoutingDaemonKind::Embedded;
        nothing.sessions.clear();
        nothing.prefixes.clear();
        self.routing.configure(&nothing).await.unwrap();
        self.until("no session", |_| {
            let up = self.ups().into_iter().find(|(_, up)| up.is_some());
            up.map(|(end, _)| format!("{} stands", THEIRS[end]))
        })
        .await;
    }
}

#[test]
fn embedded_announces_what_the_files_say() {
    in_a_namespace(&["/usr/sbin/bird"], || networks(RoutingDaemonKind::Embedded, |_| 0));
}

#[test]
fn bird_announces_what_the_files_say() {
    in_a_namespace(&["/usr/sbin/bird"], || networks(RoutingDaemonKind::Bird, Bird::imported));
}

#[test]
fn frr_announces_what_the_files_say() {
    in_a_namespace(&["/usr/sbin/bird"], || networks(RoutingDaemonKind::Frr, Frr::imported));
}

#[test]
fn gobgp_announces_what_the_files_say() {
    in_a_namespace(&["/usr/sbin/bird"], || networks(RoutingDaemonKind::Gobgp, Gobgp::imported));
}

#[test]
fn openbgpd_announces_what_the_files_say() {
    in_a_namespace(&["/usr/sbin/bird"], || networks(RoutingDaemonKind::Openbgpd, OpenBgpd::imported));
}
