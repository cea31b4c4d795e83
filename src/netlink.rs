//! The kernel's links, addresses and routes, by rtnetlink. Mechanism only: the callers say what should be.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use nix::libc;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, LinkUnspec, LinkWireguard, RouteMessageBuilder};

/// A conversation with the kernel about the network namespace that the thread which opened it was in.
pub(crate) struct Netlink {
    handle: Handle,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its name.
    pub(crate) name: String,
    /// The kernel's number for it.
    pub(crate) index: u32,
    /// Whether it is administratively up.
    pub(crate) up: bool,
    /// Whether it is the loopback interface.
    pub(crate) loopback: bool,
    /// Which driver made it.
    pub(crate) kind: LinkKind,
}

/// Which driver made an interface, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// The kernel's WireGuard.
    Wireguard,
    /// TUN or TAP: a process is behind it.
    Tun,
    /// Another one, by the kernel's name for it.
    Other(String),
}

/// What the kernel said to a request to make a WireGuard interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// It is there.
    Made,
    /// This kernel has no WireGuard.
    Unsupported,
}

impl Netlink {
    /// Opens it. Must be called within a Tokio runtime, which then carries the messages.
    pub(crate) fn open() -> io::Result<Self> {
        // Strict checking makes the kernel honour filters, instead of sending whole routing tables.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// The interface of this name, if there is one.
    pub(crate) async fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let found = self.handle.link().get().match_name(name).execute().try_next().await;
        match found.map_err(io_error) {
            Ok(message) => Ok(message.map(link_of)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All interfaces.
    pub(crate) async fn links(&self) -> io::Result<Vec<Link>> {
        let messages = self.handle.link().get().execute();
        messages.map_ok(link_of).try_collect().await.map_err(io_error)
    }

    /// Makes a WireGuard interface, where the kernel knows how to.
    pub(crate) async fn make_wireguard(&self, name: &str) -> io::Result<Made> {
        match self.handle.link().add(LinkWireguard::new(name).build()).execute().await.map_err(io_error) {
            Ok(()) => Ok(Made::Made),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Made::Unsupported),
            Err(error) => Err(error),
        }
    }

    /// Sets the MTU of an interface and brings it up.
    pub(crate) async fn bring_up(&self, index: u32, mtu: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).up().build();
        self.handle.link().set(message).execute().await.map_err(io_error)
    }

    /// The addresses on an interface, with the lengths of their prefixes.
    pub(crate) async fn addresses(&self, index: u32) -> io::Result<BTreeSet<(IpAddr, u8)>> {
        let messages = self.handle.address().get().set_link_index_filter(index).execute();
        let messages: Vec<AddressMessage> = messages.try_collect().await.map_err(io_error)?;
        Ok(messages
            .iter()
            .filter(|message| message.header.index == index)
            .filter_map(|message| Some((address_of(message)?, message.header.prefix_len)))
            .collect())
    }

    /// Puts a host address on an interface, usable at once; one that stands there already is fine.
    pub(crate) async fn put_address(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let mut request = self.handle.address().add(index, address, host_prefix_length(address)).replace();
        if address.is_ipv6() {
            // No duplicate address detection (RFC 4862 section 5.4): nothing could be bound to it meanwhile.
            request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        }
        request.execute().await.map_err(io_error).map_err(|error| match error.raw_os_error() {
            // What the kernel says where IPv6 is turned off; a lack of privileges is EPERM.
            Some(libc::EACCES) if address.is_ipv6() => io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "cannot put {address} there: IPv6 is turned off; set net.ipv6.conf.<interface>.disable_ipv6 to 0"
                ),
            ),
            _ => error,
        })
    }

    /// Takes an address away; one that is not there is fine.
    pub(crate) async fn remove_address(&self, index: u32, address: IpAddr, length: u8) -> io::Result<()> {
        // Built by the same code as the address was, so that it names the same one.
        let mut request = self.handle.address().add(index, address, length);
        let message = request.message_mut().clone();
        match self.handle.address().del(message).execute().await.map_err(io_error) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            result => result,
        }
    }

    /// The unicast routes of the main table that lead into an interface: destinations with the lengths of their
    /// prefixes. Those that the kernel made itself for an address are left out.
    pub(crate) async fn routes(&self, index: u32) -> io::Result<BTreeSet<(IpAddr, u8)>> {
        let mut routes = BTreeSet::new();
        for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            let messages = self.main_table(any, index).await?;
            routes.extend(messages.iter().filter(|message| leads_into(message, index)).map(|message| {
                (destination_of(message).unwrap_or(any), message.header.destination_prefix_length)
            }));
        }
        Ok(routes)
    }

    /// The next hops of the default routes through an interface.
    pub(crate) async fn gateways(&self, index: u32) -> io::Result<BTreeSet<IpAddr>> {
        let mut gateways = BTreeSet::new();
        for any in [IpAddr::from([0; 4]), IpAddr::from([0; 16])] {
            let messages = self.main_table(any, index).await?;
            let is_default = |message: &&RouteMessage| {
                message.header.destination_prefix_length == 0
                    && message.attributes.contains(&RouteAttribute::Oif(index))
            };
            gateways.extend(messages.iter().filter(is_default).filter_map(gateway_of));
        }
        Ok(gateways)
    }

    /// The routes of one family through an interface.
    async fn main_table(&self, any: IpAddr, index: u32) -> io::Result<Vec<RouteMessage>> {
        let mut filter = RouteMessage::default();
        filter.header.address_family = if any.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        filter.header.table = RouteHeader::RT_TABLE_MAIN;
        filter.attributes.push(RouteAttribute::Oif(index));
        self.handle.route().get(filter).execute().try_collect().await.map_err(io_error)
    }

    /// Routes one address into an interface; a route that is there already is fine.
    pub(crate) async fn put_route(&self, index: u32, destination: IpAddr) -> io::Result<()> {
        let message = route_message(index, destination, host_prefix_length(destination))?;
        self.handle.route().add(message).replace().execute().await.map_err(io_error)
    }

    /// Takes a route into an interface away; one that is not there is fine.
    pub(crate) async fn remove_route(&self, index: u32, destination: IpAddr, length: u8) -> io::Result<()> {
        let mut message = route_message(index, destination, length)?;
        // Whoever made it, and with whatever scope.
        message.header.protocol = RouteProtocol::Unspec;
        message.header.scope = RouteScope::NoWhere;
        match self.handle.route().del(message).execute().await.map_err(io_error) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            result => result,
        }
    }
}

/// 32 or 128.
pub(crate) fn host_prefix_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether the kernel or the link itself brings such an address, so that it is nobody's to manage.
pub(crate) fn is_automatic(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// The error in words, with what to do where that is known.
pub(crate) fn advise(error: &io::Error) -> String {
    if error.raw_os_error() == Some(libc::EPERM) {
        format!("{error}; run the agent as root or with CAP_NET_ADMIN")
    } else {
        error.to_string()
    }
}

/// Keeps the kernel's error number where there is one.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum, of which one variant carries an error number"
)]
fn io_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "foreign enums of netlink attributes")]
fn link_of(message: LinkMessage) -> Link {
    let mut link = Link {
        name: String::new(),
        index: message.header.index,
        up: message.header.flags.contains(LinkFlags::Up),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        kind: LinkKind::Other("hardware".to_owned()),
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(InfoKind::Wireguard) => link.kind = LinkKind::Wireguard,
                        LinkInfo::Kind(InfoKind::Tun) => link.kind = LinkKind::Tun,
                        LinkInfo::Kind(other) => link.kind = LinkKind::Other(other.to_string()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link
}

/// The interface's own address: `Local` where the kernel gives both (`Address` may be the far end's).
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum of netlink attributes")]
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => return Some(*address),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

fn leads_into(message: &RouteMessage, index: u32) -> bool {
    message.header.kind == RouteType::Unicast
        && message.header.table == RouteHeader::RT_TABLE_MAIN
        && message.header.protocol != RouteProtocol::Kernel
        && message.attributes.contains(&RouteAttribute::Oif(index))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "foreign enums of netlink attributes")]
fn destination_of(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "foreign enums of netlink attributes")]
fn gateway_of(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn route_message(index: u32, destination: IpAddr, length: u8) -> io::Result<RouteMessage> {
    let builder = RouteMessageBuilder::<IpAddr>::new().output_interface(index).scope(RouteScope::Link);
    let builder = builder
        .destination_prefix(destination, length)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
    Ok(builder.build())
}
