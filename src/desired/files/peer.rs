//! `peers/<node>/<peer>.yaml`: one BGP peer of one node.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::field::{Field, take_all, take_option};
use super::values::{Period, Text};
use crate::desired::model::{Import, Peer, PeerSession, Relation};
use crate::finding::Finding;
use crate::names::{Asn, Community, NodeName, PeerName, SecretName};
use crate::routing::{Bfd, Family};

/// One BGP peer of one node. The folder names the node, the file the peer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "peers/<node>/<peer>.yaml")]
pub struct PeerFile {
    /// One line for people.
    pub description: Field<Text>,
    /// Its AS number.
    pub asn: Field<Asn>,
    /// What it is to us (RFC 9234).
    pub relation: Field<Relation>,
    /// One session per address family.
    pub sessions: Vec<SessionFile>,
    /// Communities on what we announce to it: standard (64496:100), large (65536:1:2) or
    /// extended (rt:64496:100, ro:64496:100, or any other as generic:0x43000000:0x10).
    #[serde(default)]
    pub communities: Vec<Field<Community>>,
    /// How often our AS number is prepended, at most 10; 0 unless said otherwise.
    pub prepend: Option<Field<u8>>,
    /// What is accepted from it; nothing unless said otherwise.
    pub import: Option<Field<Import>>,
    /// How many hops away it is. Left out for a neighbour on the same link, which GTSM (RFC 5082) guards.
    pub multihop: Option<Field<u8>>,
    /// BFD (RFC 5880): the session ends soon after nothing comes through any more; none unless it is given, here and at the
    /// peer's end. `{}` takes the defaults. The routing daemon bird has it.
    pub bfd: Option<BfdFile>,
    /// Refuse the session unless the peer sends its role (RFC 9234).
    pub strict_role: Option<Field<bool>>,
    /// The TCP MD5 password (RFC 2385): the name of a secret.
    pub password: Option<Field<SecretName>>,
}

/// How soon a session notices that nothing comes through any more.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BfdFile {
    /// Between two packets, 10ms to 2s; 100ms unless said otherwise.
    pub interval: Option<Field<Period>>,
    /// After how many missing ones the peer is gone, 2 to 10; 3 unless said otherwise.
    pub multiplier: Option<Field<u8>>,
}

/// One BGP session: both ends, of one address family.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    /// Our end: an address of the node.
    pub local: Field<IpAddr>,
    /// The peer's end.
    pub neighbor: Field<IpAddr>,
}

impl PeerFile {
    /// The domain type; every wrong value becomes a finding.
    pub(crate) fn convert(
        &self,
        node: &NodeName,
        name: &PeerName,
        path: &str,
        findings: &mut Vec<Finding>,
    ) -> Option<Peer> {
        let Self {
            description,
            asn,
            relation,
            sessions,
            communities,
            prepend,
            import,
            multihop,
            bfd,
            strict_role,
            password,
        } = self;
        let description = description.take(path, findings);
        let asn = asn.take(path, findings);
        let relation = relation.take(path, findings);
        let sessions: Vec<_> = sessions.iter().map(|session| session.convert(path, findings)).collect();
        let communities = take_all(communities, path, findings);
        let prepend = take_option(prepend.as_ref(), path, findings);
        let import = take_option(import.as_ref(), path, findings);
        let multihop = take_option(multihop.as_ref(), path, findings);
        let bfd = match bfd {
            None => Some(None),
            Some(bfd) => bfd.convert(path, findings).map(Some),
        };
        let strict_role = take_option(strict_role.as_ref(), path, findings);
        let password = take_option(password.as_ref(), path, findings);
        let mut sessions: Vec<PeerSession> = sessions.into_iter().collect::<Option<_>>()?;
        sessions.sort_by_key(|session| Family::of(session.neighbor));
        Some(Peer {
            node: node.clone(),
            name: name.clone(),
            description: description?.0,
            asn: asn?,
            relation: relation?,
            sessions,
            communities: communities?,
            prepend: prepend?.unwrap_or(0),
            import: import?.unwrap_or(Import::Nothing),
            multihop: multihop?,
            bfd: bfd?,
            strict_role: strict_role?.unwrap_or(false),
            password: password?,
        })
    }
}

impl BfdFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Bfd> {
        let Self { interval, multiplier } = self;
        let interval = take_option(interval.as_ref(), path, findings);
        let multiplier = take_option(multiplier.as_ref(), path, findings);
        Some(Bfd {
            interval: interval?.map_or(Bfd::DEFAULT.interval, |period| period.0),
            multiplier: multiplier?.unwrap_or(Bfd::DEFAULT.multiplier),
        })
    }
}

impl SessionFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<PeerSession> {
        let Self { local, neighbor } = self;
        let local = local.take(path, findings);
        let neighbor = neighbor.take(path, findings);
        Some(PeerSession { local: local?, neighbor: neighbor? })
    }
}
