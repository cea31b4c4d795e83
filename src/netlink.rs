//! The kernel's links, addresses and routes, by rtnetlink (rtnetlink(7)). Mechanism only: the callers say what should be.
//!
//! The kernel carries out a request, and has its answer ready, before it lets go of the call that sends it. So nothing here
//! waits, and nothing is asynchronous: looks at the network come every second or two for ever, and waking other threads would
//! cost more than they do.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::libc;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_MULTIPART, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rtnetlink::{AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, LinkWireguard, RouteMessageBuilder};

/// Who made an unreachable route of ours, as `ip route` shows it: a number that nobody else has
/// (/etc/iproute2/rt_protos).
const OURS: RouteProtocol = RouteProtocol::Other(83);
/// The kernel sends no more at once to whoever has this much room.
const ROOM: usize = 32 << 10;

/// A conversation with the kernel about the network namespace that the thread which opened it was in.
pub(crate) struct Netlink {
    socket: Socket,
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
    /// Opens it.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(NETLINK_ROUTE)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // An answer that is not there yet would be a mistake in what is said above, and nothing to hang for.
        socket.set_non_blocking(true)?;
        // The kernel honours filters, instead of sending whole routing tables.
        socket.set_netlink_get_strict_chk(true)?;
        Ok(Self { socket })
    }

    /// Sends a request, and takes in what the kernel says to it.
    fn exchange(&self, request: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(request));
        request.header.flags = NLM_F_REQUEST | flags;
        request.finalize();
        let mut octets = vec![0; request.buffer_len()];
        request.serialize(&mut octets);
        self.socket.send(&octets, 0)?;
        let mut said = Vec::new();
        let mut room = Vec::with_capacity(ROOM);
        loop {
            room.clear();
            self.socket.recv(&mut room, 0)?;
            let mut rest = &room[..];
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
                // Each begins at a multiple of four octets.
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                let is_part = message.header.flags & NLM_F_MULTIPART != 0;
                #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum that may grow")]
                match message.payload {
                    NetlinkPayload::InnerMessage(message) => said.push(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(said),
                    _ => continue,
                }
                if !is_part && flags & NLM_F_ACK == 0 {
                    return Ok(said);
                }
            }
        }
    }

    /// Has the kernel do something.
    fn act(&self, request: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(request, NLM_F_ACK | flags).map(drop)
    }

    /// The interface of this name, if there is one.
    pub(crate) fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let wanted = LinkMessageBuilder::<LinkUnspec>::new().name(name.to_owned()).build();
        match self.exchange(RouteNetlinkMessage::GetLink(wanted), 0) {
            Ok(said) => Ok(said.into_iter().find_map(link_of)),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All interfaces.
    pub(crate) fn links(&self) -> io::Result<Vec<Link>> {
        let said = self.exchange(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)?;
        Ok(said.into_iter().filter_map(link_of).collect())
    }

    /// Makes a WireGuard interface, where the kernel knows how to.
    pub(crate) fn make_wireguard(&self, name: &str) -> io::Result<Made> {
        let link = RouteNetlinkMessage::NewLink(LinkWireguard::new(name).build());
        match self.act(link, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(()) => Ok(Made::Made),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Made::Unsupported),
            Err(error) => Err(error),
        }
    }

    /// Sets the MTU of an interface and brings it up.
    pub(crate) fn bring_up(&self, index: u32, mtu: u32) -> io::Result<()> {
        let message = LinkUnspec::new_with_index(index).mtu(mtu).up().build();
        self.act(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// The addresses on an interface, with the lengths of their prefixes.
    pub(crate) fn addresses(&self, index: u32) -> io::Result<BTreeSet<(IpAddr, u8)>> {
        let mut filter = AddressMessage::default();
        filter.header.index = index;
        let said = self.exchange(RouteNetlinkMessage::GetAddress(filter), NLM_F_DUMP)?;
        let address = |message: RouteNetlinkMessage| {
            let RouteNetlinkMessage::NewAddress(message) = message else { return None };
            let is_there = message.header.index == index;
            is_there.then_some((address_of(&message)?, message.header.prefix_len))
        };
        Ok(said.into_iter().filter_map(address).collect())
    }

    /// Puts a host address on an interface, usable at once; one that stands there already is fine.
    pub(crate) fn put_address(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let mut message = address_message(index, address, host_prefix_length(address));
        if address.is_ipv6() {
            // No duplicate address detection (RFC 4862 section 5.4): nothing could be bound to it meanwhile.
            message.header.flags |= AddressHeaderFlags::Nodad;
        }
        let put = self.act(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE);
        put.map_err(|error| match error.raw_os_error() {
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
    pub(crate) fn remove_address(&self, index: u32, address: IpAddr, length: u8) -> io::Result<()> {
        // Built by the same code as the address was, so that it names the same one.
        let message = address_message(index, address, length);
        match self.act(RouteNetlinkMessage::DelAddress(message), 0) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Ok(()),
            result => result,
        }
    }

    /// The unicast routes of the main table that lead into an interface: destinations with the lengths of their
    /// prefixes. Those that the kernel made itself for an address are left out.
    pub(crate) fn routes(&self, index: u32) -> io::Result<BTreeSet<(IpAddr, u8)>> {
        let messages = self.routes_through(index)?;
        let into = messages.iter().filter(|message| leads_into(message, index));
        Ok(into.map(|message| (destination_of(message), message.header.destination_prefix_length)).collect())
    }

    /// The next hops of the default routes through an interface.
    pub(crate) fn gateways(&self, index: u32) -> io::Result<BTreeSet<IpAddr>> {
        let messages = self.routes_through(index)?;
        let is_default = |message: &&RouteMessage| {
            message.header.destination_prefix_length == 0
                && message.attributes.contains(&RouteAttribute::Oif(index))
        };
        Ok(messages.iter().filter(is_default).filter_map(gateway_of).collect())
    }

    /// The routes through an interface.
    fn routes_through(&self, index: u32) -> io::Result<Vec<RouteMessage>> {
        let mut filter = RouteMessage::default();
        filter.attributes.push(RouteAttribute::Oif(index));
        self.main_table(filter)
    }

    /// The routes of the main table, of both families, that a filter lets through.
    fn main_table(&self, mut filter: RouteMessage) -> io::Result<Vec<RouteMessage>> {
        filter.header.table = RouteHeader::RT_TABLE_MAIN;
        let route = |message| {
            let RouteNetlinkMessage::NewRoute(message) = message else { return None };
            Some(message)
        };
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            filter.header.address_family = family;
            let said = self.exchange(RouteNetlinkMessage::GetRoute(filter.clone()), NLM_F_DUMP)?;
            routes.extend(said.into_iter().filter_map(route));
        }
        Ok(routes)
    }

    /// Routes one address into an interface; a route that is there already is fine.
    pub(crate) fn put_route(&self, index: u32, destination: IpAddr) -> io::Result<()> {
        let message = route_message(index, destination, host_prefix_length(destination))?;
        self.act(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// The addresses that are unreachable by a route of ours.
    pub(crate) fn unreachable(&self) -> io::Result<BTreeSet<IpAddr>> {
        let mut filter = RouteMessage::default();
        (filter.header.kind, filter.header.protocol) = (RouteType::Unreachable, OURS);
        Ok(self.main_table(filter)?.iter().map(destination_of).collect())
    }

    /// Makes one address unreachable, in place of a route to it: what is sent there fails at once.
    pub(crate) fn put_unreachable(&self, destination: IpAddr) -> io::Result<()> {
        let message = unreachable_message(destination)?;
        self.act(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Takes an unreachable route of ours away; one that is not there is fine.
    pub(crate) fn remove_unreachable(&self, destination: IpAddr) -> io::Result<()> {
        match self.act(RouteNetlinkMessage::DelRoute(unreachable_message(destination)?), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            result => result,
        }
    }

    /// Takes a route into an interface away; one that is not there is fine.
    pub(crate) fn remove_route(&self, index: u32, destination: IpAddr, length: u8) -> io::Result<()> {
        let mut message = route_message(index, destination, length)?;
        // Whoever made it, and with whatever scope.
        message.header.protocol = RouteProtocol::Unspec;
        message.header.scope = RouteScope::NoWhere;
        match self.act(RouteNetlinkMessage::DelRoute(message), 0) {
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

#[expect(clippy::wildcard_enum_match_arm, reason = "foreign enums of netlink attributes")]
fn link_of(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else { return None };
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
    Some(link)
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
fn destination_of(message: &RouteMessage) -> IpAddr {
    let named = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    });
    // A default route names none.
    named.unwrap_or(match message.header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
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

fn address_message(index: u32, address: IpAddr, length: u8) -> AddressMessage {
    match address {
        IpAddr::V4(address) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, length).build()
        }
        IpAddr::V6(address) => {
            AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(address, length).build()
        }
    }
}

fn route_message(index: u32, destination: IpAddr, length: u8) -> io::Result<RouteMessage> {
    let builder = RouteMessageBuilder::<IpAddr>::new().output_interface(index).scope(RouteScope::Link);
    let builder = builder.destination_prefix(destination, length).map_err(invalid)?;
    Ok(builder.build())
}

fn unreachable_message(destination: IpAddr) -> io::Result<RouteMessage> {
    let builder = RouteMessageBuilder::<IpAddr>::new().kind(RouteType::Unreachable).protocol(OURS);
    let length = host_prefix_length(destination);
    Ok(builder.destination_prefix(destination, length).map_err(invalid)?.build())
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}
