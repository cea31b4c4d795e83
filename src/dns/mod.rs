//! Name servers: one trait, one file per daemon.
//!
//! `render` is pure (our types to the daemon's own files), `observe` reads, `apply` changes. Nothing here decides:
//! what to do is `plan`'s.

mod bind;
pub mod embedded;
pub mod external;
mod knot;
mod nsd;
mod powerdns;
mod queries;
mod selected;
pub(crate) mod serials;
mod table;

pub use queries::Pace;
pub use selected::{Daemons, SelectedNameServer};
pub use serials::Serials;
pub use table::{Row, ZoneTable};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::keyring::SecretRef;
use crate::names::{DomainName, SecretName, Serial};

/// The name servers to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NameServerKind {
    /// In this binary.
    #[default]
    Embedded,
    /// ISC BIND 9.
    Bind,
    /// NLnet Labs NSD.
    Nsd,
    /// CZ.NIC Knot DNS.
    Knot,
    /// PowerDNS Authoritative Server.
    Powerdns,
}

impl fmt::Display for NameServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::Bind => "bind",
            Self::Nsd => "nsd",
            Self::Knot => "knot",
            Self::Powerdns => "powerdns",
        })
    }
}

/// How a name server is set up, its zones aside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NameServerConfig {
    /// Which one.
    pub daemon: NameServerKind,
    /// What NSID (RFC 5001) and CHAOS `id.server` (RFC 4892) say: the node's name.
    pub identity: String,
    /// Where it listens, UDP and TCP. Addresses may come and go.
    pub listen: BTreeSet<SocketAddr>,
    /// Where its transfers and NOTIFYs to the mesh come from, one per family at most.
    pub mesh_sources: BTreeSet<IpAddr>,
    /// The TSIG keys (RFC 8945) that its zones name, each with the fingerprint of its encrypted file.
    pub keys: BTreeMap<SecretName, Fingerprint>,
    /// What zone transfers from others may cost.
    pub transfers: TransferLimits,
    /// What DNS cookies are made with (RFC 9018); `None` where the network has no secret for it, so that no node
    /// could check another's.
    pub cookie_secret: Option<SecretRef>,
    /// How its responses over UDP are limited; `None` for not at all.
    pub rate_limit: Option<RateLimit>,
}

/// Response rate limiting: `rate_limit` of network.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// Responses without an error, answers and referrals, that a client's prefix may get of one zone in a second, each
    /// kind by itself.
    pub responses_per_second: u32,
    /// The same of name errors, refusals and other errors.
    pub errors_per_second: u32,
    /// For how many seconds' worth of responses a client may be in debt.
    pub window: u32,
    /// Every which response beyond the limit is sent truncated instead of dropped: 1 for all, 0 for none.
    pub slip: u8,
    /// How many bits of an IPv4 address stand for its client.
    pub ipv4_prefix: u8,
    /// How many bits of an IPv6 address stand for its client.
    pub ipv6_prefix: u8,
    /// Who is not limited.
    pub exempt: BTreeSet<IpNet>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            responses_per_second: 200,
            errors_per_second: 200,
            window: 15,
            slip: 2,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: BTreeSet::new(),
        }
    }
}

/// What zone transfers from others may cost this node: `transfers` of network.yaml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TransferLimits {
    /// Records of one transfer, and of the zone that it leads to.
    pub records: usize,
    /// Octets that the records of one transfer, and of the zone that it leads to, take without compression.
    pub octets: usize,
    /// How long a primary may take for one message.
    pub message: Duration,
    /// How long one transfer may take.
    pub total: Duration,
    /// How many zones are asked for at a time.
    pub concurrent: usize,
}

impl TransferLimits {
    /// Far above any usual zone, and bearable on a machine of 512 MB.
    pub const DEFAULT: Self = Self {
        records: 1_000_000,
        octets: 64 << 20,
        message: Duration::from_secs(15),
        total: Duration::from_secs(300),
        concurrent: 128,
    };
}

impl Default for TransferLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// One zone as one node serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneConfig {
    /// The apex.
    pub name: DomainName,
    /// Where its records come from.
    pub source: ZoneRecords,
    /// Who is told of a new serial (RFC 1996): on a hub, the edges and whom the zone's file names.
    pub notify: Arc<BTreeSet<NotifyTarget>>,
    /// Who may transfer it (RFC 5936): on a hub, the other nodes' mesh loopbacks and whom the zone's file names.
    pub transfer_to: Arc<BTreeSet<TransferClient>>,
    /// Whether nobody but those who may transfer it gets an answer about it: a catalog (RFC 9432 section 7). This node may
    /// ask its name server all the same.
    pub is_private: bool,
}

/// Where one node takes a zone's records from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneRecords {
    /// From the repository: a zone file, and the serial to serve it with.
    File {
        /// The file's path in the repository, for messages.
        path: Arc<str>,
        /// Its text.
        text: Arc<str>,
        /// Replaces the SOA's serial in the text, unless a signature or a digest (ZONEMD) there covers it.
        serial: Serial,
    },
    /// By transfer from the first of these that answers; NOTIFY is accepted from all of them.
    Transfer(Vec<TransferSource>),
}

/// A server that a zone is transferred from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferSource {
    /// Address and port.
    pub address: SocketAddr,
    /// Our own address to ask from: the mesh loopback when a hub is asked, else the kernel's choice.
    pub from: Option<IpAddr>,
    /// The TSIG key, by name.
    pub tsig_key: Option<SecretName>,
}

/// A server that is told of a zone's new serial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotifyTarget {
    /// Address and port.
    pub address: SocketAddr,
    /// Our own address to tell it from: the mesh loopback for a node of ours, else the kernel's choice.
    pub from: Option<IpAddr>,
    /// The TSIG key, by name.
    pub tsig_key: Option<SecretName>,
}

/// Who may transfer a zone: whoever fulfils all that is given, which is something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransferClient {
    /// The addresses that it asks from.
    pub network: Option<IpNet>,
    /// The TSIG key that signs its request, by name.
    pub tsig_key: Option<SecretName>,
}

impl TransferClient {
    /// Whoever asks from this address.
    pub fn at(address: IpAddr) -> Self {
        Self { network: Some(address.into()), tsig_key: None }
    }
}

impl fmt::Display for NotifyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.tsig_key.as_ref().map_or(Ok(()), |key| write!(f, " with the key {key}"))
    }
}

impl fmt::Display for TransferClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Some(network) if network.prefix_len() == network.max_prefix_len() => {
                write!(f, "{}", network.addr())?
            }
            Some(network) => write!(f, "{network}")?,
            None => write!(f, "anybody")?,
        }
        self.tsig_key.as_ref().map_or(Ok(()), |key| write!(f, " with the key {key}"))
    }
}

impl ZoneConfig {
    /// The TSIG keys that it names.
    pub fn keys(&self) -> impl Iterator<Item = &SecretName> {
        let sources = match &self.source {
            ZoneRecords::File { .. } => &[][..],
            ZoneRecords::Transfer(sources) => sources,
        };
        let sources = sources.iter().map(|source| source.tsig_key.as_ref());
        let targets = self.notify.iter().map(|target| target.tsig_key.as_ref());
        let clients = self.transfer_to.iter().map(|client| client.tsig_key.as_ref());
        sources.chain(targets).chain(clients).flatten()
    }

    /// Equal for equal configurations; what `observe` reports and `plan` compares.
    pub fn fingerprint(&self) -> Fingerprint {
        let Self { name, source, notify, transfer_to, is_private } = self;
        let source = match source {
            ZoneRecords::File { path: _, text, serial } => format!("file {serial}\n{text}"),
            ZoneRecords::Transfer(sources) => format!("transfer {sources:?}"),
        };
        Fingerprint::of(&[
            name.as_wire(),
            source.as_bytes(),
            format!("{notify:?} {transfer_to:?}{}", if *is_private { " private" } else { "" }).as_bytes(),
        ])
    }
}

/// A batch of changes, applied as one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneChanges {
    /// Zones to add, or to change in place without a gap.
    pub set: Vec<Arc<ZoneConfig>>,
    /// Zones to stop serving.
    pub remove: Vec<DomainName>,
}

/// What a name server says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObservedNameServer {
    /// How it is set up now; `None` when it has not been configured since it started.
    pub config: Option<NameServerConfig>,
    /// Which one it is: the embedded one where the selected one is not installed.
    pub running: NameServerKind,
    /// What is wrong with it, where it has to be started or set up anew for that.
    pub fault: Option<String>,
    /// The zones that it has.
    pub zones: ZoneTable<ObservedZone>,
}

/// One zone as the name server has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservedZone {
    /// Of the configuration it was last given.
    pub fingerprint: Fingerprint,
    /// Of the data that it serves.
    pub serial: Option<Serial>,
    /// Whether it serves it.
    pub state: ZoneState,
    /// What the last try to refresh or reload it met, when that failed. A zone may be served all the same.
    pub problem: Option<String>,
}

/// Whether a zone is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneState {
    /// It answers.
    Served,
    /// It never had any data; the text says what the last try met.
    Empty(String),
    /// Its SOA expire time has passed without a refresh (RFC 1035 section 3.3.13): SERVFAIL.
    Expired(String),
}

/// Why a name server could not be observed or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {why}")]
pub struct NameServerError {
    /// What was being done, and to what.
    pub operation: String,
    /// What was met.
    pub why: String,
}

/// A name server, embedded or external.
#[async_trait]
pub trait NameServer: Send + Sync {
    /// Reads how it is set up and what it serves.
    async fn observe(&self) -> Result<ObservedNameServer, NameServerError>;

    /// Sets it up; zones keep being served throughout.
    async fn configure(&self, config: &NameServerConfig) -> Result<(), NameServerError>;

    /// Adds, changes and removes zones without a restart. A zone that only changes never stops answering.
    async fn apply(&self, changes: &ZoneChanges) -> Result<(), NameServerError>;

    /// Asks it for the serials of these zones, by DNS, as a resolver would; each window of questions takes no longer than
    /// this. Goes on while somebody waits for a change or an observation.
    async fn serials(&self, zones: &[DomainName], patience: Duration) -> Result<Serials, NameServerError>;

    /// How many queries it has been asked since it started, by UDP and by TCP, but for those of the types that name servers
    /// and agents ask (`queries`). Less than before once it has started again. Goes on while somebody waits for a change or
    /// an observation.
    async fn queries(&self) -> Result<u64, NameServerError>;

    /// How often it may be asked for that.
    fn pace(&self) -> Pace;

    /// A zone as it is served now; `None` while it is served with the serial `have`.
    async fn zone(
        &self,
        apex: &DomainName,
        have: Option<Serial>,
    ) -> Result<Option<Arc<embedded::zone::Zone>>, NameServerError>;
}
