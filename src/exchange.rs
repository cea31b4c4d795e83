//! Exchange: whom a node could peer with, from data that the operator has saved.
//!
//! ```text
//! PeeringDB (peeringdb.rs) ┐
//!                          ├→ Ports of one AS ─match with the nodes' interfaces→ Proposals: peer files to review
//! IX-F export (ixf.rs)     ┘
//! ```
//!
//! A *port* is one router of a network on the peering LAN of an exchange. Nothing is trusted: anybody may write what they
//! like into these databases, so a text of theirs reaches a peer file only as a quoted scalar or, in a comment, as a few
//! harmless characters; everything else in the file is parsed numbers and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::Deserialize;

use crate::names::Asn;

mod ixf;
mod peeringdb;
mod propose;

pub(crate) use propose::{Proposal, propose};

/// One router of a network on a peering LAN. All texts are as somebody wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Port {
    /// Of the network.
    network: Option<String>,
    /// Of the exchange.
    exchange: Option<String>,
    /// The prefixes of the LAN; none where the data does not say.
    lan: Vec<IpNet>,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    /// What it announces, in the registries' words.
    as_set: Option<String>,
    /// How many prefixes it says that it announces at most.
    max_prefixes_v4: Option<u32>,
    max_prefixes_v6: Option<u32>,
    is_route_server: bool,
    /// Whether the data says that it does not work at present.
    is_down: bool,
}

impl Port {
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// One file: an answer of PeeringDB's API, or an IX-F export.
#[derive(Deserialize)]
#[serde(expecting = "an object, as PeeringDB's API answers or as an IX-F export")]
struct Document {
    data: Option<Vec<peeringdb::Object>>,
    member_list: Option<Vec<ixf::Member>>,
    ixp_list: Option<Vec<ixf::Exchange>>,
}

/// What several files say; objects that belong together may stand in different ones.
#[derive(Default)]
pub(crate) struct Directory {
    peeringdb: Vec<peeringdb::Object>,
    ports: Vec<Port>,
}

impl Directory {
    /// Adds what a file says of one AS.
    ///
    /// # Errors
    /// The text is neither an answer of PeeringDB's API nor an IX-F export.
    pub(crate) fn read(&mut self, export: impl std::io::Read, asn: Asn) -> Result<(), serde_json::Error> {
        use serde::de::Error;
        let Document { data, member_list, ixp_list } = serde_json::from_reader(export)?;
        match (data, member_list) {
            (Some(objects), _) => {
                self.peeringdb.extend(objects.into_iter().filter(|object| object.concerns(asn)));
            }
            (None, Some(members)) => {
                self.ports.extend(ixf::ports(members, &ixp_list.unwrap_or_default(), asn))
            }
            (None, None) => {
                return Err(serde_json::Error::custom(
                    "neither the key `data`, as in an answer of PeeringDB's API, nor `member_list`, as in an IX-F export",
                ));
            }
        }
        Ok(())
    }

    /// Every port of the AS, PeeringDB's first.
    pub(crate) fn ports(self, asn: Asn) -> Vec<Port> {
        let mut ports = peeringdb::ports(self.peeringdb, asn);
        ports.extend(self.ports);
        ports
    }
}

/// An address, if the text is one: what is left out is often written as an empty text.
fn address<T: std::str::FromStr>(text: Option<&str>) -> Option<T> {
    text?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
