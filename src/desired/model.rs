//! The domain types: what the network should be, parsed and consistent.
//!
//! The shapes of the files are other types (`desired/files.rs`), converted by exhaustive destructuring, so a new
//! field that nobody handles does not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::archive::ArchivePolicy;
use crate::catalog::RemovalPolicy;
pub use crate::dns::NameServerKind;
use crate::dns::{RateLimit, TransferLimits};
use crate::fingerprint::Fingerprint;
use crate::mesh::PublicKey;
use crate::names::{
    AccountName, Asn, Community, DomainName, NetworkName, NodeName, PeerName, SecretName, Serial,
};
use crate::routing::Bfd;
pub use crate::routing::RoutingDaemonKind;
use crate::secrets::Recipient;

/// The whole network, as one revision of the repository describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredState {
    /// `network.yaml`.
    pub network: Network,
    /// `nodes/<node>.yaml`.
    pub nodes: BTreeMap<NodeName, Node>,
    /// `peers/<node>/<peer>.yaml`.
    pub peers: BTreeMap<(NodeName, PeerName), Peer>,
    /// `zones/<account>/<zone>.yaml`.
    pub zones: BTreeMap<DomainName, Zone>,
    /// `secrets/<name>.age`.
    pub secrets: BTreeMap<SecretName, SealedSecret>,
}

/// A secret as it stands in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Its path, for messages.
    pub path: String,
    /// The file, encrypted.
    pub octets: Arc<[u8]>,
    /// Of the file.
    pub sealed: Fingerprint,
}

/// What all nodes share.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The name that every node's local configuration pins.
    pub name: NetworkName,
    /// For people.
    pub description: String,
    /// The AS number that every node speaks as.
    pub asn: Asn,
    /// The anycast prefixes, announced exactly as written.
    pub prefixes: BTreeSet<IpNet>,
    /// The anycast addresses that answer DNS, each inside one of the prefixes.
    pub service_addresses: BTreeSet<IpAddr>,
    /// Where the mesh takes its loopbacks from.
    pub mesh: MeshNetwork,
    /// How a node judges its own name server.
    pub health: HealthPolicy,
    /// How a node goes away on purpose.
    pub drain: DrainPolicy,
    /// How long a change of BGP sessions is on trial.
    pub routing_trial: Duration,
    /// How long a daemon that takes the place of another is on trial.
    pub switch_trial: Duration,
    /// What zone transfers from others may cost a node.
    pub transfers: TransferLimits,
    /// The secret that DNS cookies are made with.
    pub cookie_secret: Option<SecretName>,
    /// How responses over UDP are limited; `None` for not at all.
    pub rate_limit: Option<RateLimit>,
    /// In which order nodes take on another configuration; `None` for all at once.
    pub rollout: Option<RolloutPolicy>,
}

impl Network {
    /// The trial of a daemon in a network that says nothing of it: time for a small machine to take 10,000 zones.
    pub const SWITCH_TRIAL: Duration = Duration::from_secs(300);
}

/// The ranges of the WireGuard management loopbacks.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshNetwork {
    /// Every node has one /32 in it.
    pub loopbacks_v4: Ipv4Net,
    /// Every node has one /128 in it.
    pub loopbacks_v6: Ipv6Net,
    /// The UDP port that WireGuard listens on, unless a node says otherwise.
    pub port: u16,
}

/// How a node judges its own name server (health.rs).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// The primary zone whose SOA the probes ask for.
    pub canary: DomainName,
    /// Between probes while all is well.
    pub interval: Duration,
    /// Between probes after a first failure.
    pub retry_interval: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// Failures in a row that count.
    pub failures: u32,
    /// Successes in a row that count as recovery.
    pub recoveries: u32,
    /// How long a node stays silent after a first withdrawal; longer after each that follows soon.
    pub hold_down: Duration,
}

impl HealthPolicy {
    /// Of a network that says nothing of it.
    pub const HOLD_DOWN: Duration = Duration::from_secs(60);
}

/// How a node goes away on purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct DrainPolicy {
    /// How long the graceful-shutdown community (RFC 8326) stands before the withdrawal, at most.
    pub wait: Duration,
    /// How often the own AS number is prepended meanwhile.
    pub prepend: u8,
}

/// In which order nodes take on another configuration (`crate::rollout`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutPolicy {
    /// The first are the canaries. Nodes that are in none are the last wave.
    pub waves: Vec<BTreeSet<NodeName>>,
    /// How long a node has to be well with it before the next wave begins.
    pub soak: Duration,
    /// How long a node may take until it has been well for that long.
    pub deadline: Duration,
}

impl RolloutPolicy {
    /// The soak of a network that says nothing of it.
    pub const SOAK: Duration = Duration::from_secs(60);
    /// And the deadline.
    pub const DEADLINE: Duration = Duration::from_secs(300);

    /// The number of a node's wave, from 0.
    pub fn wave_of(&self, node: &NodeName) -> usize {
        self.waves.iter().position(|wave| wave.contains(node)).unwrap_or(self.waves.len())
    }
}

/// One machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From the file's name.
    pub name: NodeName,
    /// Where it stands.
    pub place: Place,
    /// Its own name in DNS.
    pub fqdn: DomainName,
    /// For people.
    pub description: String,
    /// The day it went live, `YYYY-MM-DD`.
    pub live_since: Option<String>,
    /// What it costs.
    pub cost: Option<Cost>,
    /// The addresses by which the internet reaches the machine itself; never anycast.
    pub management: Vec<IpAddr>,
    /// Its network interfaces, as its owner configured them. The agent reads them, it does not set them.
    pub interfaces: Vec<Interface>,
    /// Its end of the mesh.
    pub mesh: NodeMesh,
    /// What it does.
    pub roles: BTreeSet<Role>,
    /// Which name server answers.
    pub dns: NameServerKind,
    /// Which routing daemon announces.
    pub routing: RoutingDaemonKind,
    /// What it keeps of the routes that it hears.
    pub mrt: Option<ArchivePolicy>,
    /// The BGP identifier; unique, never an anycast address.
    pub router_id: Ipv4Addr,
    /// The key that its secrets are encrypted to.
    pub age_recipient: Option<Recipient>,
    /// Where it is in its life.
    pub state: NodeState,
}

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Place {
    /// For example `London`.
    pub city: String,
    /// For example `United Kingdom`.
    pub country: String,
    /// ISO 3166-1 alpha-2, upper case.
    pub country_iso: String,
    /// The country's flag, as one emoji.
    pub flag: String,
    /// The building or exchange.
    pub location: String,
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

/// What a node costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// In hundredths of the currency.
    pub cents: u64,
    /// ISO 4217.
    pub currency: String,
    /// How often it falls due.
    pub per: CostPeriod,
}

/// How often a cost falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CostPeriod {
    /// Twelve times a year.
    Month,
    /// Once a year.
    Year,
}

/// A network interface of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Interface {
    /// As the kernel calls it.
    pub name: String,
    /// Its addresses with their subnets.
    pub addresses: Vec<IpNet>,
    /// Next hops of the default routes through it, at most one per family.
    pub gateways: Vec<IpAddr>,
}

/// One node's end of the mesh.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeMesh {
    /// Its WireGuard key; a planned node may not have one yet.
    pub public_key: Option<PublicKey>,
    /// Where the others send to; `None` for a node behind NAT, which calls them.
    pub endpoint: Option<SocketAddr>,
    /// The UDP port it listens on.
    pub port: u16,
    /// Its loopback in `MeshNetwork::loopbacks_v4`.
    pub loopback_v4: Ipv4Addr,
    /// Its loopback in `MeshNetwork::loopbacks_v6`.
    pub loopback_v6: Ipv6Addr,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Announces and answers.
    Edge,
    /// Takes customers' zones from their primaries and serves them to the edges.
    Hub,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Not there yet: no mesh links to it, nothing runs.
    Planned,
    /// In service.
    Live,
    /// Everything runs, nothing is announced.
    Drained,
    /// Gone for good: its key and sessions are removed everywhere.
    Retired,
}

/// One BGP peer of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// The node whose peer it is.
    pub node: NodeName,
    /// From the file's name.
    pub name: PeerName,
    /// For people.
    pub description: String,
    /// Its AS number.
    pub asn: Asn,
    /// What it is to us.
    pub relation: Relation,
    /// One session per address family, v4 first.
    pub sessions: Vec<PeerSession>,
    /// Communities on what we announce to it.
    pub communities: BTreeSet<Community>,
    /// How often our AS number is prepended.
    pub prepend: u8,
    /// What is accepted from it.
    pub import: Import,
    /// The session goes over this many hops; `None` for a neighbour on the same link, guarded by GTSM.
    pub multihop: Option<u8>,
    /// Its sessions notice soon that nothing comes through any more.
    pub bfd: Option<Bfd>,
    /// RFC 9234: refuse the session unless the peer sends its role.
    pub strict_role: bool,
    /// TCP MD5 (RFC 2385).
    pub password: Option<SecretName>,
}

/// One BGP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSession {
    /// Our end; an address of the node's interfaces or management addresses.
    pub local: IpAddr,
    /// The peer's end, of the same family.
    pub neighbor: IpAddr,
}

/// What a BGP peer is to us (the relations of RFC 9234).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// It carries our routes to the whole internet.
    Provider,
    /// It carries them to its customers.
    Peer,
    /// An exchange's route server.
    RouteServer,
}

/// What is accepted from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Import {
    /// No route at all.
    Nothing,
    /// Only 0.0.0.0/0 and ::/0.
    Default,
    /// Everything, kept for archives, outside the kernel.
    Full,
}

/// One zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its apex, from the file's name.
    pub name: DomainName,
    /// Whose it is, from the folder's name.
    pub account: AccountName,
    /// Where its records come from.
    pub source: ZoneSource,
    /// Who may transfer it from the hubs besides our own nodes.
    pub transfer_to: Vec<Client>,
    /// Who is told of a new serial by the hubs besides our own nodes.
    pub notify: Vec<Server>,
}

impl Zone {
    /// The TSIG keys that its transfers and NOTIFYs are signed with.
    pub fn keys(&self) -> impl Iterator<Item = &SecretName> {
        let Self { name: _, account: _, source, transfer_to, notify } = self;
        let (primaries, members) = match source {
            ZoneSource::Primary(_) | ZoneSource::OfferedCatalog => (&[][..], None),
            ZoneSource::Secondary(primaries) => (&primaries[..], None),
            ZoneSource::Catalog(primaries, members) => (&primaries[..], Some(members)),
        };
        let of_members =
            members.into_iter().flat_map(|members| members.primaries.iter().chain(&members.notify));
        let servers = primaries.iter().chain(notify).chain(of_members).map(|server| server.tsig_key.as_ref());
        let clients = transfer_to.iter().chain(members.into_iter().flat_map(|members| &members.transfer_to));
        servers.chain(clients.map(|client| client.tsig_key.as_ref())).flatten()
    }
}

/// Where a zone's records come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ZoneSource {
    /// We are the primary: the records stand in the repository.
    Primary(PrimaryZone),
    /// We are secondary to these primaries.
    Secondary(Vec<Server>),
    /// The same; and what the zones are that it lists (RFC 9432).
    Catalog(Vec<Server>, Box<MemberPolicy>),
    /// The hubs list the account's zones in it, for others.
    OfferedCatalog,
}

/// What the members of a catalog are to us.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberPolicy {
    /// What they are transferred from; empty for the catalog's own primaries.
    pub primaries: Vec<Server>,
    /// How many are taken at most.
    pub limit: usize,
    /// Names that they have to be or to lie below; empty for any.
    pub within: BTreeSet<DomainName>,
    /// How many a new version of the catalog may take away at once.
    pub removal: RemovalPolicy,
    /// Who may transfer them from the hubs besides our own nodes.
    pub transfer_to: Vec<Client>,
    /// Who is told of their new serials by the hubs besides our own nodes.
    pub notify: Vec<Server>,
}

impl Default for MemberPolicy {
    fn default() -> Self {
        Self {
            primaries: Vec::new(),
            limit: 1_000,
            within: BTreeSet::new(),
            removal: RemovalPolicy::default(),
            transfer_to: Vec::new(),
            notify: Vec::new(),
        }
    }
}

/// A zone whose records stand in the repository.
#[derive(Debug, Clone, PartialEq)]
pub struct PrimaryZone {
    /// The zone file's path in the repository, for messages.
    pub path: Arc<str>,
    /// The zone file (RFC 1035 section 5).
    pub text: Arc<str>,
    /// The serial that every node serves it with, in place of the one in the file: how many first-parent commits
    /// there were when the zone last changed, plus the offset that its file may give. A sealed zone, signed or with a
    /// ZONEMD record, keeps its own.
    pub serial: Serial,
}

/// Somebody else's name server: a primary that a zone is transferred from, or a secondary that is notified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Address and port, 53 unless said otherwise.
    pub address: SocketAddr,
    /// The TSIG key (RFC 8945) that signs what we and it say to each other.
    pub tsig_key: Option<SecretName>,
}

/// Who may transfer a zone. At least one of the two is given, and what is given has to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Where it asks from.
    pub network: Option<IpNet>,
    /// The TSIG key that its request is signed with.
    pub tsig_key: Option<SecretName>,
}
