//! Link: pairs of virtual interfaces between the internet and what hangs on it, their addresses and routes.
//!
//! The internet's side has host addresses only (/32 and /128) and one host route per address of the other side, so
//! two links may lie in the same subnet, as two machines in one rack do.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::packet_route::route::{RouteProtocol, RouteScope};
use rtnetlink::packet_route::rule::RuleAction;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::namespace::Namespace;
use super::{Context, SimulationError};

/// The kernel's main routing table.
pub(crate) const MAIN: u32 = 254;

/// The two ends of a link, by interface index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// The end in the internet.
    pub(crate) outside: u32,
    /// The end in the namespace.
    pub(crate) inside: u32,
}

impl Link {
    /// Makes a link between the internet and a namespace; both ends are up.
    pub(crate) async fn create(
        internet: &Handle,
        outside: &str,
        namespace: &Namespace,
        inside: &str,
    ) -> Result<Self, SimulationError> {
        let operation = || format!("make the link of {} at {inside}", namespace.name);
        // The kernel makes this end first, and would refuse to bring it up without the other.
        let peer = LinkMessageBuilder::<LinkUnspec>::new().name(inside).setns_by_fd(namespace.fd()).build();
        let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(outside)
            .up()
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        internet.link().add(pair).execute().await.context(operation)?;
        set_up(namespace.netlink(), inside).await?;
        Ok(Self {
            outside: index(internet, outside).await?,
            inside: index(namespace.netlink(), inside).await?,
        })
    }
}

/// The index of an interface.
pub(crate) async fn index(netlink: &Handle, name: &str) -> Result<u32, SimulationError> {
    let operation = || format!("look at the interface {name}");
    let found = netlink.link().get().match_name(name.to_owned()).execute().try_next().await;
    let found = found.context(operation)?;
    found
        .map(|link| link.header.index)
        .ok_or_else(|| SimulationError { operation: operation(), why: "there is no such interface".into() })
}

/// Brings an interface up.
pub(crate) async fn set_up(netlink: &Handle, name: &str) -> Result<(), SimulationError> {
    let up = LinkMessageBuilder::<LinkUnspec>::new().name(name).up().build();
    netlink.link().set(up).execute().await.context(|| format!("bring the interface {name} up"))
}

/// Puts an address on an interface, usable at once.
pub(crate) async fn add_address(netlink: &Handle, index: u32, address: IpNet) -> Result<(), SimulationError> {
    let mut request = netlink.address().add(index, address.addr(), address.prefix_len()).replace();
    if address.addr().is_ipv6() {
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    request.execute().await.context(|| format!("add the address {address}"))
}

/// Sets a route, replacing the one there was in one step: not a packet falls between.
pub(crate) async fn set_route(
    netlink: &Handle,
    table: u32,
    prefix: IpNet,
    via: Option<IpAddr>,
    interface: u32,
) -> Result<(), SimulationError> {
    let operation = || format!("set the route to {prefix} in table {table}");
    let request = netlink.route().add(route(table, prefix, via, interface).context(operation)?);
    request.replace().execute().await.context(operation)
}

/// Removes a route.
pub(crate) async fn remove_route(
    netlink: &Handle,
    table: u32,
    prefix: IpNet,
    via: Option<IpAddr>,
    interface: u32,
) -> Result<(), SimulationError> {
    let operation = || format!("remove the route to {prefix} from table {table}");
    let message = route(table, prefix, via, interface).context(operation)?;
    netlink.route().del(message).execute().await.context(operation)
}

fn route(
    table: u32,
    prefix: IpNet,
    via: Option<IpAddr>,
    interface: u32,
) -> Result<rtnetlink::packet_route::route::RouteMessage, String> {
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(prefix.network(), prefix.prefix_len())
        .map_err(|error| format!("{error:?}"))?
        .table_id(table)
        .protocol(RouteProtocol::Static)
        .output_interface(interface);
    let builder = match via {
        Some(via) => builder.gateway(via).map_err(|error| format!("{error:?}"))?.onlink(),
        None if prefix.addr().is_ipv4() => builder.scope(RouteScope::Link),
        None => builder,
    };
    Ok(builder.build())
}

/// Looks up what comes in at an interface in a table before the main one.
pub(crate) async fn add_rule(netlink: &Handle, interface: &str, table: u32) -> Result<(), SimulationError> {
    let operation = || format!("route what comes from {interface} by table {table}");
    let rule = || {
        netlink
            .rule()
            .add()
            .input_interface(interface)
            .table_id(table)
            .priority(table)
            .action(RuleAction::ToTable)
    };
    rule().v4().execute().await.context(operation)?;
    rule().v6().execute().await.context(operation)
}
