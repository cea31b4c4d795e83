//! `gobgp.json`: pure, from our types to GoBGP's own words, of which JSON is one of three ways to write them.
//!
//! Both default policies reject. The one import policy accepts what is originated here, and what sessions may import, but
//! nothing else that lies in our own prefixes; the one export policy has a statement for each session, which accepts exactly
//! our own prefixes, if they are originated here. Neither is ever renamed: GoBGP keeps the names of the policies that are in
//! force when their texts change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::archive::KEPT_OPEN;
use crate::desired::model::Import;
use crate::names::Community;
use crate::routing::external::Setup;
use crate::routing::{Archive, Family, HOLD_TIME, RoutingConfig, SessionConfig, SessionName};

/// What a peer may offer unless everything is imported.
pub(super) const RECEIVE_LIMIT: usize = 10;
/// Between two attempts; GoBGP knows no shorter time.
const CONNECT_RETRY_S: u64 = 5;
const PREFIX_SETS: &str = "/defined-sets/prefix-sets";
const NEIGHBOR_ADDRESS: &str = "/config/neighbor-address";
/// The name of a prefix set that no policy uses: by it the daemon shows which file it has read last.
const READING: &str = "reading-";

/// A configuration file, rendered or read again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File(Value);

/// LLGR_STALE (RFC 9494): GoBGP withdraws what has it from every peer that does not keep stale routes, and its Adj-RIB-Out
/// shows it all the same.
const STALE: Community = Community::Standard(65535, 6);

/// A community that GoBGP cannot be told of.
pub(super) fn untold(config: &SessionConfig) -> Option<Community> {
    let is_untold = |community: &&Community| match community {
        Community::Extended(_) => extended(**community).is_none(),
        Community::Standard(..) | Community::Large(..) => **community == STALE,
    };
    config.communities.iter().find(is_untold).copied()
}

/// An extended community as GoBGP reads it. The number of an AS that does not fit two octets has to be in two parts: it
/// takes a whole one for 65535.
fn extended(community: Community) -> Option<String> {
    let text = community.to_string();
    let (kind, rest) = text.split_once(':')?;
    let kind = match kind {
        "rt" => "rt",
        "ro" => "soo",
        _ => return None,
    };
    let (administrator, value) = rest.split_once(':')?;
    match administrator.parse::<u32>() {
        Ok(asn) if asn > u16::MAX.into() => Some(format!("{kind}:{}.{}:{value}", asn >> 16, asn & 0xffff)),
        _ => Some(format!("{kind}:{administrator}:{value}")),
    }
}

impl File {
    /// The whole configuration. It announces nothing.
    pub(super) fn render(setup: &Setup<'_>) -> Self {
        let config = setup.config;
        let families: Vec<Family> = config.families().collect();
        let ours = families.iter().map(|family| {
            let exact = config.prefixes_of(*family).map(|prefix| prefix_exactly(*prefix));
            json!({ "prefix-set-name": ours(*family), "prefix-list": exact.collect::<Vec<_>>() })
        });
        let parts = families.iter().map(|family| {
            let parts = config.prefixes_of(*family).map(|prefix| within(*prefix));
            json!({ "prefix-set-name": within_ours(*family), "prefix-list": parts.collect::<Vec<_>>() })
        });
        let defaults = Family::ALL.map(|family| {
            let exact = json!({ "ip-prefix": family.default_route(), "masklength-range": "0..0" });
            json!({ "prefix-set-name": default_route(family), "prefix-list": [exact] })
        });
        let neighbor_sets = config.sessions.iter().map(|(name, session)| {
            json!({ "neighbor-set-name": name.to_string(), "neighbor-info-list": [session.neighbor] })
        });
        let import = std::iter::once(json!({
            "name": "import-local",
            "conditions": { "bgp-conditions": { "route-type": "local" } },
            "actions": { "route-disposition": "accept-route" },
        }))
        .chain(families.iter().map(|family| refused(*family)))
        .chain(config.sessions.iter().filter_map(|(name, session)| imported(name, session)));
        let export = config
            .sessions
            .iter()
            .filter(|(name, _)| families.contains(&name.family))
            .map(|(name, session)| exported(config, name, session));
        let neighbors = config.sessions.iter().map(|(name, session)| neighbor(setup, name, session));
        Self(json!({
            "global": {
                "config": { "as": config.asn.get(), "router-id": config.router_id },
                "apply-policy": { "config": {
                    "default-import-policy": "reject-route",
                    "default-export-policy": "reject-route",
                    "import-policy-list": ["import"],
                    "export-policy-list": ["export"],
                } },
            },
            "defined-sets": {
                "prefix-sets": ours.chain(parts).chain(defaults).collect::<Vec<_>>(),
                "neighbor-sets": neighbor_sets.collect::<Vec<_>>(),
            },
            "policy-definitions": [
                { "name": "import", "statements": import.collect::<Vec<_>>() },
                { "name": "export", "statements": export.collect::<Vec<_>>() },
            ],
            "neighbors": neighbors.collect::<Vec<_>>(),
            "mrt-dump": archive(setup),
        }))
    }

    /// A file that we wrote.
    pub(super) fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text).map(Self)
    }

    /// As it is written.
    pub(super) fn text(&self) -> String {
        format!("{:#}\n", self.0)
    }

    /// What GoBGP reads only when it starts.
    pub(super) fn global(&self) -> [Option<&Value>; 2] {
        ["/global", "/mrt-dump"].map(|part| self.0.pointer(part))
    }

    /// Our AS number.
    pub(super) fn asn(&self) -> Option<u64> {
        self.0.pointer("/global/config/as")?.as_u64()
    }

    /// Our own prefixes.
    pub(super) fn prefixes(&self) -> BTreeSet<IpNet> {
        let ours = Family::ALL.map(ours);
        self.prefix_sets()
            .iter()
            .filter(|set| ours.iter().any(|name| set["prefix-set-name"] == *name))
            .filter_map(|set| set["prefix-list"].as_array())
            .flatten()
            .filter_map(|prefix| prefix["ip-prefix"].as_str()?.parse().ok())
            .collect()
    }

    /// Whether a session takes everything, so that the table is too long to be listed.
    pub(super) fn imports_everything(&self) -> bool {
        let statements = self.0.pointer("/policy-definitions/0/statements").and_then(Value::as_array);
        statements.into_iter().flatten().any(|statement| {
            statement.pointer("/conditions/match-neighbor-set").is_some()
                && statement.pointer("/conditions/match-prefix-set").is_none()
        })
    }

    /// The neighbors by their addresses.
    pub(super) fn neighbors(&self) -> BTreeMap<IpAddr, &Value> {
        let neighbors = self.0["neighbors"].as_array().into_iter().flatten();
        neighbors.filter_map(|neighbor| Some((address(neighbor)?, neighbor))).collect()
    }

    /// Without some neighbors, whatever the policies still say of them.
    pub(super) fn without(&self, addresses: &BTreeSet<IpAddr>) -> Self {
        let mut file = self.clone();
        if let Some(neighbors) = file.0["neighbors"].as_array_mut() {
            neighbors.retain(|neighbor| !address(neighbor).is_some_and(|one| addresses.contains(&one)));
        }
        file
    }

    /// Which reading of a file it is for; 0 as it was rendered.
    pub(super) fn reading(&self) -> u64 {
        let mut names = self.prefix_sets().iter().filter_map(|set| set["prefix-set-name"].as_str());
        names.find_map(|name| name.strip_prefix(READING)?.parse().ok()).unwrap_or(0)
    }

    /// The same for this reading, so that the daemon takes all policies anew and shows that it has.
    pub(super) fn for_reading(&self, number: u64) -> Self {
        let mut file = self.clone();
        if let Some(sets) = file.0.pointer_mut(PREFIX_SETS).and_then(Value::as_array_mut) {
            let is_reading =
                |set: &Value| set["prefix-set-name"].as_str().is_some_and(|name| name.starts_with(READING));
            sets.retain(|set| !is_reading(set));
            if number > 0 {
                sets.push(json!({ "prefix-set-name": reading(number), "prefix-list": [] }));
            }
        }
        file
    }

    fn prefix_sets(&self) -> &[Value] {
        self.0.pointer(PREFIX_SETS).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// The prefix set of a reading.
pub(super) fn reading(number: u64) -> String {
    format!("{READING}{number}")
}

fn address(neighbor: &Value) -> Option<IpAddr> {
    neighbor.pointer(NEIGHBOR_ADDRESS)?.as_str()?.parse().ok()
}

fn ours(family: Family) -> String {
    format!("ours-{family}")
}

fn within_ours(family: Family) -> String {
    format!("within-ours-{family}")
}

fn default_route(family: Family) -> String {
    format!("default-{family}")
}

fn prefix_exactly(prefix: IpNet) -> Value {
    let length = prefix.prefix_len();
    json!({ "ip-prefix": prefix, "masklength-range": format!("{length}..{length}") })
}

/// It knows no more than one file for all tables, and keeps that open. It takes `updates` for a type, too, and writes none.
fn archive(setup: &Setup<'_>) -> Vec<Value> {
    let of = |Archive { interval, updates: _ }: Archive| {
        json!({ "config": {
            "dump-type": "table",
            "file-name": setup.archive.join(KEPT_OPEN),
            "dump-interval": interval.as_secs(),
        } })
    };
    setup.config.archive.into_iter().map(of).collect()
}

/// A prefix and all that lie in it.
fn within(prefix: IpNet) -> Value {
    let range = format!("{}..{}", prefix.prefix_len(), prefix.max_prefix_len());
    json!({ "ip-prefix": prefix, "masklength-range": range })
}

/// What nobody else can tell us of.
fn refused(family: Family) -> Value {
    json!({
        "name": format!("import-none-of-{}", within_ours(family)),
        "conditions": { "match-prefix-set": { "prefix-set": within_ours(family) } },
        "actions": { "route-disposition": "reject-route" },
    })
}

/// What a session may import; `None` where that is nothing.
fn imported(name: &SessionName, session: &SessionConfig) -> Option<Value> {
    let neighbor = json!({ "neighbor-set": name.to_string() });
    let conditions = match session.import {
        Import::Nothing => return None,
        Import::Default => json!({
            "match-neighbor-set": neighbor,
            "match-prefix-set": { "prefix-set": default_route(name.family) },
        }),
        Import::Full => json!({ "match-neighbor-set": neighbor }),
    };
    Some(json!({
        "name": format!("import-{name}"),
        "conditions": conditions,
        "actions": { "route-disposition": "accept-route" },
    }))
}

/// What a session is told, and how.
fn exported(config: &RoutingConfig, name: &SessionName, session: &SessionConfig) -> Value {
    let mut how = json!({});
    if session.prepend > 0 {
        how["set-as-path-prepend"] = json!({ "as": config.asn.to_string(), "repeat-n": session.prepend });
    }
    let texts = |of: fn(Community) -> Option<String>| -> Vec<String> {
        session.communities.iter().filter_map(|community| of(*community)).collect()
    };
    let standard = texts(|one| matches!(one, Community::Standard(..)).then(|| one.to_string()));
    let large = texts(|one| matches!(one, Community::Large(..)).then(|| one.to_string()));
    for (kind, list) in
        [("community", standard), ("ext-community", texts(extended)), ("large-community", large)]
    {
        if !list.is_empty() {
            let method = format!("set-{kind}-method");
            how[format!("set-{kind}")] = json!({ "options": "ADD", method: { "communities-list": list } });
        }
    }
    json!({
        "name": format!("export-{name}"),
        "conditions": {
            "match-neighbor-set": { "neighbor-set": name.to_string() },
            "match-prefix-set": { "prefix-set": ours(name.family) },
            "bgp-conditions": { "route-type": "local" },
        },
        "actions": { "route-disposition": "accept-route", "bgp-actions": how },
    })
}

fn neighbor(setup: &Setup<'_>, name: &SessionName, session: &SessionConfig) -> Value {
    let hold = HOLD_TIME.as_secs();
    let mut limits = json!({});
    if session.import != Import::Full {
        limits["config"] = json!({ "max-prefixes": RECEIVE_LIMIT });
    }
    let family = match name.family {
        Family::V4 => "ipv4-unicast",
        Family::V6 => "ipv6-unicast",
    };
    let mut neighbor = json!({
        "config": {
            "neighbor-address": session.neighbor,
            "peer-as": session.asn.get(),
            "description": name.to_string(),
        },
        "timers": { "config": {
            "hold-time": hold,
            "keepalive-interval": hold / 3,
            "connect-retry": CONNECT_RETRY_S,
        } },
        "transport": { "config": { "local-address": session.local } },
        "graceful-restart": { "config": { "enabled": false } },
        "afi-safis": [{ "config": { "afi-safi-name": family }, "prefix-limit": limits }],
    });
    // The keyring's passwords are text here: another one is refused before.
    if let Some(password) = setup.passwords.get(name) {
        neighbor["config"]["auth-password"] = json!(String::from_utf8_lossy(password.expose()));
    }
    match session.multihop {
        None => neighbor["ttl-security"] = json!({ "config": { "enabled": true, "ttl-min": 255 } }),
        Some(hops) => {
            neighbor["ebgp-multihop"] = json!({ "config": { "enabled": true, "multihop-ttl": hops } });
        }
    }
    neighbor
}
