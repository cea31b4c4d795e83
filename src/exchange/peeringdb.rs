//! PeeringDB's objects, as its API answers: `net` (a network), `netixlan` (a port), `ixlan` with its `ixpfx_set`, and
//! `ixpfx` (a prefix of a LAN). An object does not say which it is; its keys do.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;

use super::{Port, address};
use crate::names::Asn;

/// Any object, with the keys that matter here.
#[derive(Deserialize)]
#[serde(expecting = "an object of PeeringDB's")]
pub(super) struct Object {
    id: Option<u64>,
    asn: Option<u32>,
    name: Option<String>,
    // netixlan
    ixlan_id: Option<u64>,
    ipaddr4: Option<String>,
    ipaddr6: Option<String>,
    operational: Option<bool>,
    // net
    irr_as_set: Option<String>,
    info_prefixes4: Option<u32>,
    info_prefixes6: Option<u32>,
    info_type: Option<String>,
    #[serde(default)]
    netixlan_set: Vec<Nested>,
    // ixlan
    #[serde(default)]
    ixpfx_set: Vec<Nested>,
    // ixpfx
    prefix: Option<String>,
}

/// An object inside of another: whole at `depth=2`, else its id alone.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an object of PeeringDB's, or its id")]
enum Nested {
    Object(Box<Object>),
    Id(#[expect(dead_code, reason = "only its shape counts")] u64),
}

impl Nested {
    fn object(self) -> Option<Object> {
        match self {
            Self::Object(object) => Some(*object),
            Self::Id(_) => None,
        }
    }
}

impl Object {
    /// Whether it says anything of an AS, or of a LAN.
    pub(super) fn concerns(&self, asn: Asn) -> bool {
        self.asn == Some(asn.get()) || self.prefix.is_some() || !self.ixpfx_set.is_empty()
    }

    fn is_port(&self) -> bool {
        self.ipaddr4.is_some() || self.ipaddr6.is_some()
    }
}

/// The ports of an AS.
pub(super) fn ports(objects: Vec<Object>, asn: Asn) -> Vec<Port> {
    let mut lans: BTreeMap<u64, Vec<IpNet>> = BTreeMap::new();
    let (mut ports, mut network) = (Vec::new(), None);
    for mut object in objects {
        let prefixes = std::mem::take(&mut object.ixpfx_set).into_iter().filter_map(Nested::object);
        if let Some(id) = object.id {
            let prefixes: Vec<IpNet> =
                prefixes.filter_map(|object| address(object.prefix.as_deref())).collect();
            // Ids are unique within one kind of object only; just the LANs have prefixes.
            if !prefixes.is_empty() {
                lans.entry(id).or_default().extend(prefixes);
            }
        }
        let nested = std::mem::take(&mut object.netixlan_set).into_iter().filter_map(Nested::object);
        ports.extend(nested.filter(Object::is_port));
        if let (Some(id), Some(prefix)) = (object.ixlan_id, address(object.prefix.as_deref())) {
            lans.entry(id).or_default().push(prefix);
        } else if object.is_port() {
            ports.push(object);
        } else if object.asn == Some(asn.get()) {
            network = Some(object);
        }
    }
    let network = network.as_ref();
    let port = |port: Object| Port {
        network: network.and_then(|network| network.name.clone()),
        exchange: port.name,
        lan: port.ixlan_id.and_then(|id| lans.get(&id)).cloned().unwrap_or_default(),
        v4: address(port.ipaddr4.as_deref()),
        v6: address(port.ipaddr6.as_deref()),
        as_set: network.and_then(|network| network.irr_as_set.clone()),
        max_prefixes_v4: network.and_then(|network| network.info_prefixes4),
        max_prefixes_v6: network.and_then(|network| network.info_prefixes6),
        is_route_server: network.is_some_and(|network| network.info_type.as_deref() == Some("Route Server")),
        is_down: port.operational == Some(false),
    };
    ports.into_iter().filter(|port| port.asn.is_none_or(|other| other == asn.get())).map(port).collect()
}
