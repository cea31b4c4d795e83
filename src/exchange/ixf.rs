//! The IX-F member export, versions 0.6 to 1.0: what an exchange says of its members.

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::{Port, address};
use crate::names::Asn;

/// An exchange, with its LANs.
#[derive(Deserialize)]
pub(super) struct Exchange {
    ixp_id: Option<u64>,
    shortname: Option<String>,
    name: Option<String>,
    #[serde(default)]
    vlan: Vec<Vlan>,
}

#[derive(Deserialize)]
struct Vlan {
    id: Option<u64>,
    ipv4: Option<Lan>,
    ipv6: Option<Lan>,
}

#[derive(Deserialize)]
struct Lan {
    prefix: Option<String>,
    /// A number, that some write as a text.
    mask_length: Option<Value>,
}

impl Lan {
    fn prefix(&self) -> Option<IpNet> {
        let length = self.mask_length.as_ref()?;
        let length = match length.as_str() {
            Some(text) => text.parse().ok()?,
            None => u8::try_from(length.as_u64()?).ok()?,
        };
        IpNet::new(address(self.prefix.as_deref())?, length).ok()
    }
}

/// A member.
#[derive(Deserialize)]
#[serde(expecting = "a member")]
pub(super) struct Member {
    asnum: u32,
    name: Option<String>,
    member_type: Option<String>,
    #[serde(default)]
    connection_list: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    ixp_id: Option<u64>,
    state: Option<String>,
    #[serde(default)]
    vlan_list: Vec<Attachment>,
}

/// A member's router in one VLAN.
#[derive(Deserialize)]
struct Attachment {
    vlan_id: Option<u64>,
    ipv4: Option<End>,
    ipv6: Option<End>,
}

#[derive(Deserialize)]
struct End {
    address: Option<String>,
    as_macro: Option<String>,
    max_prefix: Option<u32>,
    #[serde(default)]
    services: Vec<Service>,
}

/// What the member does for the others (version 1.0).
#[derive(Deserialize)]
struct Service {
    r#type: Option<String>,
}

/// The ports of an AS.
pub(super) fn ports(members: Vec<Member>, exchanges: &[Exchange], asn: Asn) -> Vec<Port> {
    let mut ports = Vec::new();
    for member in members.into_iter().filter(|member| member.asnum == asn.get()) {
        for Connection { ixp_id, state, vlan_list } in &member.connection_list {
            let exchange = exchanges.iter().find(|exchange| exchange.ixp_id == *ixp_id);
            ports.extend(vlan_list.iter().map(|attachment| Port {
                is_down: state.as_deref() == Some("inactive"),
                ..port(&member, attachment, exchange)
            }));
        }
    }
    ports
}

fn port(
    member: &Member,
    Attachment { vlan_id, ipv4, ipv6 }: &Attachment,
    exchange: Option<&Exchange>,
) -> Port {
    let ends = || ipv4.iter().chain(ipv6);
    let vlans = exchange.into_iter().flat_map(|exchange| &exchange.vlan);
    let lans = vlans.filter(|vlan| vlan.id == *vlan_id).flat_map(|vlan| vlan.ipv4.iter().chain(&vlan.ipv6));
    let is_server = |service: &Service| service.r#type.as_deref() == Some("ixrouteserver");
    Port {
        network: member.name.clone(),
        exchange: exchange.and_then(|exchange| exchange.shortname.clone().or_else(|| exchange.name.clone())),
        lan: lans.filter_map(Lan::prefix).collect(),
        v4: address(ipv4.as_ref().and_then(|end| end.address.as_deref())),
        v6: address(ipv6.as_ref().and_then(|end| end.address.as_deref())),
        as_set: ends().find_map(|end| end.as_macro.clone()),
        max_prefixes_v4: ipv4.as_ref().and_then(|end| end.max_prefix),
        max_prefixes_v6: ipv6.as_ref().and_then(|end| end.max_prefix),
        is_route_server: member.member_type.as_deref() == Some("routeserver")
            || ends().flat_map(|end| &end.services).any(is_server),
        is_down: false,
    }
}
