//! `nodes/<node>.yaml`: one machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::field::{Field, take_all, take_option};
use super::values::{Cents, CountryCode, CurrencyCode, Date, Degrees, Flag, InterfaceName, Period, Text};
use crate::archive::ArchivePolicy;
use crate::desired::model::{
    Cost, CostPeriod, Interface, MeshNetwork, NameServerKind, Node, NodeMesh, NodeState, Place, Role,
    RoutingDaemonKind,
};
use crate::finding::Finding;
use crate::mesh::PublicKey;
use crate::names::{DomainName, NodeName};
use crate::secrets::Recipient;

/// One machine. Its name is the file's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "nodes/<node>.yaml")]
pub struct NodeFile {
    /// Where it stands.
    pub place: PlaceFile,
    /// Its own name in DNS.
    pub fqdn: Field<DomainName>,
    /// One line for people.
    pub description: Field<Text>,
    /// The day it went live, YYYY-MM-DD.
    pub live_since: Option<Field<Date>>,
    /// What it costs.
    pub cost: Option<CostFile>,
    /// The addresses by which the internet reaches the machine itself; never anycast.
    pub management: Vec<Field<IpAddr>>,
    /// Its network interfaces, as its owner configured them. The agent reads them, it does not set them.
    #[serde(default)]
    pub interfaces: Vec<InterfaceFile>,
    /// Its end of the mesh.
    pub mesh: NodeMeshFile,
    /// What it does: an edge announces and answers; a hub also pulls customers' zones for the edges.
    pub roles: Vec<Field<Role>>,
    /// Which name server answers.
    pub dns: Field<NameServerKind>,
    /// Which routing daemon announces.
    pub routing: Field<RoutingDaemonKind>,
    /// Archives of the routes that the routing daemon hears (MRT, RFC 6396); none unless it is given. `{}` takes the defaults.
    pub mrt: Option<MrtFile>,
    /// The BGP identifier: unique, never an anycast address.
    pub router_id: Field<Ipv4Addr>,
    /// The key that its secrets are encrypted to, as `shoestring join` prints it: age1…, or the machine's SSH host key
    /// (ssh-ed25519 …) where its local configuration says so. Needed once it has secrets.
    pub age_recipient: Option<Field<Recipient>>,
    /// Where it is in its life.
    pub state: Field<NodeState>,
}

/// Archives of the routes that the routing daemon hears.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MrtFile {
    /// Between two tables, and what a file of updates covers, 1m to 24h; 15m unless said otherwise.
    pub interval: Option<Field<Period>>,
    /// Whether what peers say is kept as they say it, beside tables of what is accepted of it; false unless said otherwise.
    pub updates: Option<Field<bool>>,
    /// What all files together may take, in millions of octets; 1000 unless said otherwise.
    pub keep_megabytes: Option<Field<u32>>,
    /// How many days a file is kept; 30 unless said otherwise.
    pub keep_days: Option<Field<u16>>,
}

/// Where a node stands.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceFile {
    /// For example London.
    pub city: Field<Text>,
    /// For example United Kingdom.
    pub country: Field<Text>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country_iso: Field<CountryCode>,
    /// The country's flag, as one emoji.
    pub flag: Field<Flag>,
    /// The building, the exchange or the provider.
    pub location: Field<Text>,
    /// On the globe.
    pub geo: GeoFile,
}

/// A place on the globe.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeoFile {
    /// Degrees north, -90 to 90.
    pub latitude: Field<Degrees<90>>,
    /// Degrees east, -180 to 180.
    pub longitude: Field<Degrees<180>>,
}

/// What a node costs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostFile {
    /// With up to two decimals.
    pub amount: Field<Cents>,
    /// ISO 4217.
    pub currency: Field<CurrencyCode>,
    /// How often it falls due.
    pub per: Field<CostPeriod>,
}

/// A network interface.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterfaceFile {
    /// As the kernel calls it.
    pub name: Field<InterfaceName>,
    /// Its addresses, each with the prefix length of its subnet.
    pub addresses: Vec<Field<IpNet>>,
    /// Next hops of the default routes through it, at most one per family.
    #[serde(default)]
    pub gateways: Vec<Field<IpAddr>>,
}

/// A node's end of the mesh.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeMeshFile {
    /// The WireGuard key that `shoestring join` prints; a planned node may not have one yet.
    pub public_key: Option<Field<PublicKey>>,
    /// Where the others send to, address and port. Left out for a node behind NAT, which calls them.
    pub endpoint: Option<Field<SocketAddr>>,
    /// The UDP port it listens on, if not the network's.
    pub port: Option<Field<u16>>,
    /// Its own address in the network's loopbacks_v4.
    pub loopback_v4: Field<Ipv4Addr>,
    /// Its own address in the network's loopbacks_v6.
    pub loopback_v6: Field<Ipv6Addr>,
}

impl NodeFile {
    /// The domain type; every wrong value becomes a finding. Without a network (its file has findings of its own)
    /// the values are still looked at.
    pub(crate) fn convert(
        &self,
        name: &NodeName,
        mesh_network: Option<&MeshNetwork>,
        path: &str,
        findings: &mut Vec<Finding>,
    ) -> Option<Node> {
        let Self {
            place,
            fqdn,
            description,
            live_since,
            cost,
            management,
            interfaces,
            mesh,
            roles,
            dns,
            routing,
            mrt,
            router_id,
            age_recipient,
            state,
        } = self;
        let place = place.convert(path, findings);
        let fqdn = fqdn.take(path, findings);
        let description = description.take(path, findings);
        let live_since = take_option(live_since.as_ref(), path, findings);
        let cost = match cost {
            None => Some(None),
            Some(cost) => cost.convert(path, findings).map(Some),
        };
        let management = take_all(management, path, findings);
        let interfaces: Vec<_> =
            interfaces.iter().map(|interface| interface.convert(path, findings)).collect();
        let mesh = mesh.convert(mesh_network, path, findings);
        let roles = take_all(roles, path, findings);
        let dns = dns.take(path, findings);
        let routing = routing.take(path, findings);
        let mrt = match mrt {
            None => Some(None),
            Some(mrt) => mrt.convert(path, findings).map(Some),
        };
        let router_id = router_id.take(path, findings);
        let age_recipient = take_option(age_recipient.as_ref(), path, findings);
        let state = state.take(path, findings);
        Some(Node {
            name: name.clone(),
            place: place?,
            fqdn: fqdn?,
            description: description?.0,
            live_since: live_since?.map(|date| date.0),
            cost: cost?,
            management: management?,
            interfaces: interfaces.into_iter().collect::<Option<_>>()?,
            mesh: mesh?,
            roles: roles?,
            dns: dns?,
            routing: routing?,
            mrt: mrt?,
            router_id: router_id?,
            age_recipient: age_recipient?,
            state: state?,
        })
    }
}

impl MrtFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<ArchivePolicy> {
        let Self { interval, updates, keep_megabytes, keep_days } = self;
        let interval = take_option(interval.as_ref(), path, findings);
        let updates = take_option(updates.as_ref(), path, findings);
        let keep_megabytes = take_option(keep_megabytes.as_ref(), path, findings);
        let keep_days = take_option(keep_days.as_ref(), path, findings);
        let usual = ArchivePolicy::DEFAULT;
        let day = |days: u16| Duration::from_secs(u64::from(days) * 24 * 3600);
        Some(ArchivePolicy {
            interval: interval?.map_or(usual.interval, |period| period.0),
            updates: updates?.unwrap_or(usual.updates),
            keep_size: keep_megabytes?.map_or(usual.keep_size, |size| u64::from(size) * 1_000_000),
            keep_age: keep_days?.map_or(usual.keep_age, day),
        })
    }
}

impl PlaceFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Place> {
        let Self { city, country, country_iso, flag, location, geo: GeoFile { latitude, longitude } } = self;
        let city = city.take(path, findings);
        let country = country.take(path, findings);
        let country_iso = country_iso.take(path, findings);
        let flag = flag.take(path, findings);
        let location = location.take(path, findings);
        let latitude = latitude.take(path, findings);
        let longitude = longitude.take(path, findings);
        Some(Place {
            city: city?.0,
            country: country?.0,
            country_iso: country_iso?.0,
            flag: flag?.0,
            location: location?.0,
            latitude: latitude?.0,
            longitude: longitude?.0,
        })
    }
}

impl CostFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Cost> {
        let Self { amount, currency, per } = self;
        let amount = amount.take(path, findings);
        let currency = currency.take(path, findings);
        let per = per.take(path, findings);
        Some(Cost { cents: amount?.0, currency: currency?.0, per: per? })
    }
}

impl InterfaceFile {
    fn convert(&self, path: &str, findings: &mut Vec<Finding>) -> Option<Interface> {
        let Self { name, addresses, gateways } = self;
        let name = name.take(path, findings);
        let addresses = take_all(addresses, path, findings);
        let gateways = take_all(gateways, path, findings);
        Some(Interface { name: name?.0, addresses: addresses?, gateways: gateways? })
    }
}

impl NodeMeshFile {
    fn convert(
        &self,
        network: Option<&MeshNetwork>,
        path: &str,
        findings: &mut Vec<Finding>,
    ) -> Option<NodeMesh> {
        let Self { public_key, endpoint, port, loopback_v4, loopback_v6 } = self;
        let public_key = take_option(public_key.as_ref(), path, findings);
        let endpoint = take_option(endpoint.as_ref(), path, findings);
        let port = take_option(port.as_ref(), path, findings);
        let loopback_v4 = loopback_v4.take(path, findings);
        let loopback_v6 = loopback_v6.take(path, findings);
        Some(NodeMesh {
            public_key: public_key?,
            endpoint: endpoint?,
            port: port?.or(network.map(|network| network.port))?,
            loopback_v4: loopback_v4?,
            loopback_v6: loopback_v6?,
        })
    }
}
