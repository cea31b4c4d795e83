//! `network.yaml`: what all nodes share.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::Deserialize;

use super::field::{Field, take_all, take_option};
use super::values::{Period, Text};
use crate::desired::model::{DrainPolicy, HealthPolicy, MeshNetwork, Network, RolloutPolicy};
use crate::dns::{RateLimit, TransferLimits};
use crate::finding::Finding;
use crate::names::{Asn, DomainName, NetworkName, NodeName, SecretName};
use crate::routing::RoutingConfig;

/// What all nodes share: name, AS number, prefixes, service addresses, mesh ranges and policies.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "network.yaml")]
pub struct NetworkFile {
    /// The name that every node's local configuration pins.
    pub name: Field<NetworkName>,
    /// One line for people.
    pub description: Field<Text>,
    /// The AS number that every node speaks as.
    pub asn: Field<Asn>,
    /// The anycast prefixes, announced exactly as written: an IPv4 /24 or shorter, an IPv6 /48 or shorter.
    pub prefixes: Vec<Field<IpNet>>,
    /// The anycast addresses that answer DNS, each inside one of the prefixes.
    pub service_addresses: Vec<Field<IpAddr>>,
    /// The ranges of the mesh.
    pub mesh: MeshFile,
    /// How a node judges its own name server.
    pub health: HealthFile,
    /// How a node goes away on purpose.
    pub drain: DrainFile,
    /// How long sessions that a change of BGP resets may take to come back, such as 2m, which is the default. When one does
    /// not, the node takes the change back by itself.
    pub routing_trial: Option<Field<Period>>,
    /// How long a name server or a routing daemon that takes the place of another may take to do what that one did, such as
    /// 5m, which is the default. When it does not, the node goes back by itself.
    pub switch_trial: Option<Field<Period>>,
    /// What zone transfers from others may cost a node.
    pub transfers: Option<TransfersFile>,
    /// The secret that DNS cookies (RFC 7873, 9018) are made with, the same on all nodes: the name of a secret.
    pub cookie_secret: Option<Field<SecretName>>,
    /// How many responses over UDP a client may get; without it, as many as it asks for.
    pub rate_limit: Option<RateLimitFile>,
    /// In which order nodes take on a change of routing, daemons or network; without it, all at once.
    pub rollout: Option<RolloutFile>,
}

/// In which order nodes take on a change of routing, daemons or network. Zones, TSIG keys and the mesh change everywhere at
/// once. A wave begins when every live node of those before it is well with the change; where one is not, all go back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutFile {
    /// The waves, each a list of nodes. The first are the canaries; nodes that are in none are the last wave.
    pub waves: Vec<Vec<Field<NodeName>>>,
    /// How long a node has to be well with a change before the next wave begins, such as 60s, which is the default.
    pub soak: Option<Field<Period>>,
    /// How long a node may take until it has been well for that long, such as 5m, which is the default. Then the change
    /// has failed.
    pub deadline: Option<Field<Period>>,
}

/// Response rate limiting, against floods of queries with forged addresses. A client is a prefix of addresses, and is
/// counted for each zone and each kind of response by itself. The mesh and the service addresses are never limited, nor
/// is TCP, nor who sends a DNS cookie of ours (RFC 7873 section 5.2.3).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitFile {
    /// Answers and referrals in a second, such as 200.
    pub responses_per_second: Field<u32>,
    /// Name errors, refusals and other errors in a second; as many as responses if left out.
    pub errors_per_second: Option<Field<u32>>,
    /// For how many seconds' worth of responses a client may be in debt; 15 if left out.
    pub window: Option<Field<u32>>,
    /// Every which response beyond the limit is sent truncated, so that the client comes by TCP, instead of dropped: 1
    /// for all, 0 for none; 2 if left out.
    pub slip: Option<Field<u8>>,
    /// How many bits of an IPv4 address stand for a client; 24 if left out.
    pub ipv4_prefix: Option<Field<u8>>,
    /// How many bits of an IPv6 address stand for a client; 56 if left out.
    pub ipv6_prefix: Option<Field<u8>>,
    /// Prefixes that are not limited.
    #[serde(default)]
    pub exempt: Vec<Field<IpNet>>,
}

/// The ranges of the WireGuard management loopbacks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeshFile {
    /// Every node has one address in it.
    pub loopbacks_v4: Field<Ipv4Net>,
    /// Every node has one address in it.
    pub loopbacks_v6: Field<Ipv6Net>,
    /// The UDP port that WireGuard listens on, unless a node says otherwise.
    pub port: Field<u16>,
}

/// How a node judges its own name server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthFile {
    /// The primary zone whose SOA the probes ask for.
    pub canary: Field<DomainName>,
    /// Between probes while all is well, such as 2s.
    pub interval: Field<Period>,
    /// Between probes after a first failure, such as 500ms.
    pub retry_interval: Field<Period>,
    /// For one answer, such as 500ms.
    pub timeout: Field<Period>,
    /// Failures in a row that count.
    pub failures: Field<u32>,
    /// Successes in a row that count as recovery.
    pub recoveries: Field<u32>,
    /// How long a node stays silent after a withdrawal, such as 60s, which is the default. After a second, third and
    /// fourth one it is 2, 4 and 15 times as long, until a clean hour has passed.
    pub hold_down: Option<Field<Period>>,
}

/// How a node goes away on purpose.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainFile {
    /// How long the graceful-shutdown community (RFC 8326) stands before the withdrawal, at most, such as 300s.
    pub wait: Field<Period>,
    /// How often the own AS number is prepended meanwhile.
    pub prepend: Field<u8>,
}

/// What zone transfers from others may cost a node. What is left out is as large as a machine of 512 MB bears.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransfersFile {
    /// Records of one transfer, and of the zone that it leads to; 1000000 if left out.
    pub max_records: Option<Field<u32>>,
    /// Octets that the records of one transfer, and of the zone that it leads to, take without compression; 67108864
    /// if left out.
    pub max_octets: Option<Field<u32>>,
    /// How long a primary may take for one message, such as 15s, which is the default.
    pub message_timeout: Option<Field<Period>>,
    /// How long one transfer may take, such as 5m, which is the default.
    pub total_timeout: Option<Field<Period>>,
    /// How many zones are asked for at a time; 128 if left out. A sixteenth of them may have the same first primary.
    pub concurrent: Option<Field<u32>>,
}

impl NetworkFile {
    /// The domain type; every wrong value becomes a finding.
    pub(crate) fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Network> {
        let Self {
            name,
            description,
            asn,
            prefixes,
            service_addresses,
            mesh,
            health,
            drain,
            routing_trial,
            switch_trial,
            transfers,
            cookie_secret,
            rate_limit,
            rollout,
        } = self;
        let name = name.take(path, findings);
        let description = description.take(path, findings);
        let asn = asn.take(path, findings);
        let prefixes = take_all(prefixes, path, findings);
        let service_addresses = take_all(service_addresses, path, findings);
        let mesh = mesh.convert(path, findings);
        let health = health.convert(path, findings);
        let drain = drain.convert(path, findings);
        let routing_trial = take_option(routing_trial.as_ref(), path, findings);
        let switch_trial = take_option(switch_trial.as_ref(), path, findings);
        let transfers = match transfers {
            Some(transfers) => transfers.convert(path, findings),
            None => Some(TransferLimits::DEFAULT),
        };
        let cookie_secret = take_option(cookie_secret.as_ref(), path, findings);
        let rate_limit = match rate_limit {
            Some(limit) => limit.convert(path, findings).map(Some),
            None => Some(None),
        };
        let rollout = match rollout {
            Some(rollout) => rollout.convert(path, findings).map(Some),
            None => Some(None),
        };
        Some(Network {
            name: name?,
            description: description?.0,
            asn: asn?,
            prefixes: prefixes?,
            service_addresses: service_addresses?,
            mesh: mesh?,
            health: health?,
            drain: drain?,
            routing_trial: routing_trial?.map_or(RoutingConfig::TRIAL, |period| period.0),
            switch_trial: switch_trial?.map_or(Network::SWITCH_TRIAL, |period| period.0),
            transfers: transfers?,
            cookie_secret: cookie_secret?,
            rate_limit: rate_limit?,
            rollout: rollout?,
        })
    }
}

impl MeshFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<MeshNetwork> {
        let Self { loopbacks_v4, loopbacks_v6, port } = self;
        let loopbacks_v4 = loopbacks_v4.take(path, findings);
        let loopbacks_v6 = loopbacks_v6.take(path, findings);
        let port = port.take(path, findings);
        Some(MeshNetwork { loopbacks_v4: loopbacks_v4?, loopbacks_v6: loopbacks_v6?, port: port? })
    }
}

impl HealthFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<HealthPolicy> {
        let Self { canary, interval, retry_interval, timeout, failures, recoveries, hold_down } = self;
        let canary = canary.take(path, findings);
        let interval = interval.take(path, findings);
        let retry_interval = retry_interval.take(path, findings);
        let timeout = timeout.take(path, findings);
        let failures = failures.take(path, findings);
        let recoveries = recoveries.take(path, findings);
        let hold_down = take_option(hold_down.as_ref(), path, findings);
        Some(HealthPolicy {
            canary: canary?,
            interval: interval?.0,
            retry_interval: retry_interval?.0,
            timeout: timeout?.0,
            failures: failures?,
            recoveries: recoveries?,
            hold_down: hold_down?.map_or(HealthPolicy::HOLD_DOWN, |period| period.0),
        })
    }
}

impl DrainFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<DrainPolicy> {
        let Self { wait, prepend } = self;
        let wait = wait.take(path, findings);
        let prepend = prepend.take(path, findings);
        Some(DrainPolicy { wait: wait?.0, prepend: prepend? })
    }
}

impl RolloutFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<RolloutPolicy> {
        let Self { waves, soak, deadline } = self;
        let waves: Vec<_> = waves.iter().map(|wave| take_all(wave, path, findings)).collect();
        let soak = take_option(soak.as_ref(), path, findings);
        let deadline = take_option(deadline.as_ref(), path, findings);
        Some(RolloutPolicy {
            waves: waves.into_iter().collect::<Option<_>>()?,
            soak: soak?.map_or(RolloutPolicy::SOAK, |period| period.0),
            deadline: deadline?.map_or(RolloutPolicy::DEADLINE, |period| period.0),
        })
    }
}

impl RateLimitFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<RateLimit> {
        let Self { responses_per_second, errors_per_second, window, slip, ipv4_prefix, ipv6_prefix, exempt } =
            self;
        let responses = responses_per_second.take(path, findings);
        let errors = take_option(errors_per_second.as_ref(), path, findings);
        let window = take_option(window.as_ref(), path, findings);
        let slip = take_option(slip.as_ref(), path, findings);
        let ipv4_prefix = take_option(ipv4_prefix.as_ref(), path, findings);
        let ipv6_prefix = take_option(ipv6_prefix.as_ref(), path, findings);
        let exempt = take_all(exempt, path, findings);
        let standard = RateLimit::default();
        Some(RateLimit {
            responses_per_second: responses?,
            errors_per_second: errors?.or(responses)?,
            window: window?.unwrap_or(standard.window),
            slip: slip?.unwrap_or(standard.slip),
            ipv4_prefix: ipv4_prefix?.unwrap_or(standard.ipv4_prefix),
            ipv6_prefix: ipv6_prefix?.unwrap_or(standard.ipv6_prefix),
            exempt: exempt?,
        })
    }
}

impl TransfersFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<TransferLimits> {
        let Self { max_records, max_octets, message_timeout, total_timeout, concurrent } = self;
        let records = take_option(max_records.as_ref(), path, findings);
        let octets = take_option(max_octets.as_ref(), path, findings);
        let message = take_option(message_timeout.as_ref(), path, findings);
        let total = take_option(total_timeout.as_ref(), path, findings);
        let concurrent = take_option(concurrent.as_ref(), path, findings);
        let standard = TransferLimits::DEFAULT;
        let count = |wanted: Option<u32>, standard| wanted.map_or(standard, |wanted| wanted as usize);
        Some(TransferLimits {
            records: count(records?, standard.records),
            octets: count(octets?, standard.octets),
            message: message?.map_or(standard.message, |period| period.0),
            total: total?.map_or(standard.total, |period| period.0),
            concurrent: count(concurrent?, standard.concurrent),
        })
    }
}
