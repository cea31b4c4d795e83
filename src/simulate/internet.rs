//! Internet: what stands between the nodes and their clients. It is the inner process's own network namespace,
//! with one link per interface of a node and one per client, and it forwards.
//!
//! It holds the addresses of everything that is not ours: gateways, BGP neighbours, customers' primaries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::SimulationError;
use super::link::{self, Link, MAIN};
use super::namespace::{self, Namespace};
use super::region::{Region, distance_km};
use crate::desired::model::{Interface, Node, Peer};
use crate::names::NodeName;

/// The namespace in the middle.
#[derive(Debug)]
pub(crate) struct Internet {
    netlink: rtnetlink::Handle,
    loopback: u32,
    /// By an address of a node: the internet's end of the link that leads to it.
    hops: BTreeMap<IpAddr, u32>,
}

/// The interfaces at the two ends of a node's link.
#[derive(Debug, Clone)]
pub(crate) struct LinkEnds {
    /// In the internet.
    pub(crate) outside: String,
    /// In the node.
    pub(crate) inside: String,
}

/// Those of all links of the node with this number.
pub(crate) fn link_ends(number: usize, node: &Node) -> Vec<LinkEnds> {
    let ends = |(position, interface): (usize, &Interface)| LinkEnds {
        outside: format!("n{number}.{position}"),
        inside: interface.name.clone(),
    };
    node.interfaces.iter().enumerate().map(ends).collect()
}

/// Where packets come from: one namespace with nothing but an uplink.
#[derive(Debug)]
pub(crate) struct Client {
    /// Where it lives.
    pub(crate) region: Region,
    /// Its network.
    pub(crate) namespace: Namespace,
    /// The routing table that leads its packets to the anycast prefixes.
    pub(crate) table: u32,
    /// How far it is to each node, in kilometres.
    pub(crate) distances: BTreeMap<NodeName, f64>,
}

impl Internet {
    /// Makes the calling thread's namespace, which must be all of this process's, the internet.
    pub(crate) async fn create() -> Result<Self, SimulationError> {
        namespace::quiet()?;
        namespace::forward()?;
        let netlink = namespace::open_netlink()?;
        link::set_up(&netlink, "lo").await?;
        let loopback = link::index(&netlink, "lo").await?;
        Ok(Self { netlink, loopback, hops: BTreeMap::new() })
    }

    /// The netlink socket of the internet.
    pub(crate) fn netlink(&self) -> &rtnetlink::Handle {
        &self.netlink
    }

    /// The internet's end of the link that leads to an address of a node.
    pub(crate) fn hop(&self, address: IpAddr) -> Option<u32> {
        self.hops.get(&address).copied()
    }

    /// Gives the internet an address of its own: a customer's primary.
    pub(crate) async fn host(&self, address: IpAddr) -> Result<(), SimulationError> {
        link::add_address(&self.netlink, self.loopback, IpNet::from(address)).await
    }

    /// Makes a node's namespace and links: its interfaces as its file describes them, with gateways and BGP
    /// neighbours at their other ends.
    pub(crate) async fn attach_node(
        &mut self,
        number: usize,
        node: &Node,
        peers: &[&Peer],
    ) -> Result<Namespace, SimulationError> {
        let namespace = Namespace::create(node.name.as_str())?;
        let inside = namespace.netlink();
        link::set_up(inside, "lo").await?;
        let neighbors = || peers.iter().flat_map(|peer| &peer.sessions).map(|session| session.neighbor);
        let mut first = None;
        for (interface, ends) in node.interfaces.iter().zip(link_ends(number, node)) {
            let link = Link::create(&self.netlink, &ends.outside, &namespace, &ends.inside).await?;
            first.get_or_insert(link);
            let on_link = |address: &IpAddr| interface.addresses.iter().any(|net| net.contains(address));
            let far: BTreeSet<IpAddr> =
                interface.gateways.iter().copied().chain(neighbors().filter(on_link)).collect();
            for address in far {
                link::add_address(&self.netlink, link.outside, IpNet::from(address)).await?;
            }
            for address in &interface.addresses {
                link::add_address(inside, link.inside, *address).await?;
                self.lead(address.addr(), link).await?;
            }
            for gateway in &interface.gateways {
                link::set_route(inside, MAIN, default_route(gateway), Some(*gateway), link.inside).await?;
            }
        }
        if let Some(link) = first {
            // Addresses that the provider routes to the machine, on no subnet of an interface.
            for address in &node.management {
                if self.hop(*address).is_none() {
                    let loopback = link::index(inside, "lo").await?;
                    link::add_address(inside, loopback, IpNet::from(*address)).await?;
                    self.lead(*address, link).await?;
                }
            }
        }
        // Neighbours over more than one hop (multihop) are somewhere in the internet.
        let on_a_link = |address: &IpAddr| {
            node.interfaces.iter().flat_map(|interface| &interface.addresses).any(|net| net.contains(address))
        };
        for neighbor in neighbors().filter(|neighbor| !on_a_link(neighbor)) {
            self.host(neighbor).await?;
        }
        Ok(namespace)
    }

    async fn lead(&mut self, address: IpAddr, link: Link) -> Result<(), SimulationError> {
        link::set_route(&self.netlink, MAIN, IpNet::from(address), None, link.outside).await?;
        self.hops.insert(address, link.outside);
        Ok(())
    }

    /// Makes a client's namespace and uplink, and the table by which its packets are routed.
    pub(crate) async fn attach_client(
        &self,
        number: u8,
        region: Region,
        nodes: &[&Node],
    ) -> Result<Client, SimulationError> {
        let namespace = Namespace::create(&format!("client-{}", region.name))?;
        let inside = namespace.netlink();
        link::set_up(inside, "lo").await?;
        let outside = format!("c{number}");
        let link = Link::create(&self.netlink, &outside, &namespace, "eth0").await?;
        for (gateway, own, length) in uplink(number) {
            let net = |address| IpNet::new(address, length).expect("the length is that of a subnet");
            link::add_address(&self.netlink, link.outside, net(gateway)).await?;
            link::add_address(inside, link.inside, net(own)).await?;
            link::set_route(inside, MAIN, default_route(&gateway), Some(gateway), link.inside).await?;
        }
        // RT_TABLE_COMPAT is 252 and the kernel's own follow it: these are well beyond.
        let table = 1_000 + u32::from(number);
        link::add_rule(&self.netlink, &outside, table).await?;
        let distances =
            nodes.iter().map(|node| (node.name.clone(), distance_km(&region, &node.place))).collect();
        Ok(Client { region, namespace, table, distances })
    }
}

/// Gateway, own address and prefix length of a client's uplink, for each family. The ranges are for benchmarks
/// (RFC 2544) and for documentation (RFC 3849).
fn uplink(number: u8) -> [(IpAddr, IpAddr, u8); 2] {
    let v4 = |host| IpAddr::V4(Ipv4Addr::new(198, 19, number, host));
    let v6 = |host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xc000, u16::from(number), 0, 0, 0, host));
    [(v4(1), v4(2), 24), (v6(1), v6(2), 64)]
}

fn default_route(gateway: &IpAddr) -> IpNet {
    match gateway {
        IpAddr::V4(_) => IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => IpNet::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
    .expect("no length is too long")
}
