//! What the drivers' golden files are rendered from: everything that sessions can have.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub(crate) use crate::dns::external::testing::compare;

use super::Setup;
use crate::desired::model::{Import, Relation};
use crate::fingerprint::Fingerprint;
use crate::keyring::{Secret, SecretRef};
use crate::routing::{Archive, Bfd, Family, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName};

/// What every daemon can be told as a password, however it quotes: all printable characters but the quotation mark and the
/// space.
pub(crate) const PASSWORD: &str = r"#it's;{a}$pass\word%d!/*~*/";

fn session(name: &str, local: &str, neighbor: &str, asn: u32) -> (SessionName, SessionConfig) {
    let config = SessionConfig {
        local: local.parse().unwrap(),
        neighbor: neighbor.parse().unwrap(),
        asn: asn.try_into().unwrap(),
        relation: Relation::Provider,
        strict_role: false,
        communities: [].into(),
        prepend: 0,
        import: Import::Nothing,
        multihop: None,
        bfd: None,
        password: None,
    };
    (SessionName { peer: name.parse().unwrap(), family: Family::of(config.local) }, config)
}

/// Sessions of every relation and import, near and far, with and without password, communities and prepends.
pub(crate) fn config(daemon: RoutingDaemonKind) -> RoutingConfig {
    let (transit_v4, mut v4) = session("transit", "192.0.2.1", "192.0.2.2", 64496);
    v4.communities = ["64496:100", "65536:1:2", "rt:64496:9", "ro:192.0.2.1:3", "rt:4200000000:7"]
        .map(|community| community.parse().unwrap())
        .into();
    v4.communities.insert("generic:0x3000000:0x10".parse().unwrap());
    v4.prepend = 2;
    v4.bfd = Some(Bfd::DEFAULT);
    v4.password = Some(SecretRef { name: "transit".parse().unwrap(), sealed: Fingerprint::of(&[b"1"]) });
    let (transit_v6, v6) = session("transit", "2001:db8::1", "2001:db8::2", 64496);
    let (far, mut distant) = session("far", "192.0.2.1", "203.0.113.9", 4_200_000_001);
    (distant.multihop, distant.import) = (Some(5), Import::Full);
    distant.bfd = Some(Bfd { interval: Duration::from_secs(1), multiplier: 5 });
    let (exchange, mut routes) = session("exchange-rs1", "2001:db8:ffff::1", "2001:db8:ffff::2", 64497);
    (routes.relation, routes.import) = (Relation::RouteServer, Import::Default);
    let (friend, mut peer) = session("friend", "198.51.100.1", "198.51.100.2", 64498);
    (peer.relation, peer.strict_role, peer.import) = (Relation::Peer, true, Import::Default);
    RoutingConfig {
        daemon,
        asn: 65536.try_into().unwrap(),
        router_id: [192, 0, 2, 1].into(),
        prefixes: ["203.0.113.0/24", "2001:db8:53::/48"].map(|prefix| prefix.parse().unwrap()).into(),
        sessions: [(transit_v4, v4), (transit_v6, v6), (far, distant), (exchange, routes), (friend, peer)]
            .into(),
        drain_prepend: 3,
        archive: Some(Archive { interval: Duration::from_secs(900), updates: true }),
        trial: RoutingConfig::TRIAL,
    }
}

/// With the passwords.
pub(crate) fn setup(config: &RoutingConfig) -> Setup<'_> {
    let with = config.sessions.iter().filter(|(_, session)| session.password.is_some());
    let passwords: BTreeMap<SessionName, Secret> =
        with.map(|(name, _)| (name.clone(), Secret::new(PASSWORD.into()))).collect();
    Setup { config, passwords, archive: Path::new("/var/lib/shoestring-daemons/daemon/mrt") }
}
