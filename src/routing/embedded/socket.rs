//! Sockets of a session: source address, hop counts (GTSM, RFC 5082), and nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::routing::Family;

/// How far away the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distance {
    /// On the link: packets leave with 255 hops, and arrive with 255 or are dropped by the kernel (GTSM).
    Link,
    /// This many hops away: packets leave with exactly so many, and die beyond the peer.
    Hops(u8),
}

impl Distance {
    /// From a session's `multihop`.
    pub(super) fn of(multihop: Option<u8>) -> Self {
        multihop.map_or(Self::Link, Self::Hops)
    }
}

/// Connects from `local` to `remote`.
pub(super) async fn connect(local: IpAddr, remote: SocketAddr, distance: Distance) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM.nonblocking().cloexec(), None)?;
    set_distance(&socket, Family::of(local), distance)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::new(local, 0).into())?;
    TcpSocket::from_std_stream(socket.into()).connect(remote).await
}

/// Listens at `local`, in the network namespace of the calling thread.
pub(super) fn listen(local: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM.nonblocking().cloexec(), None)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    // The handshake's answer must pass a peer's GTSM too, before `accepted` knows whose it is.
    set_outgoing_hops(&socket, Family::of(local.ip()), u8::MAX)?;
    socket.bind(&local.into())?;
    socket.listen(64)?;
    TcpListener::from_std(socket.into())
}

/// Sets up a connection that a listener accepted.
pub(super) fn accepted(stream: &TcpStream, family: Family, distance: Distance) -> io::Result<()> {
    stream.set_nodelay(true)?;
    set_distance(&SockRef::from(stream), family, distance)
}

fn set_distance(socket: &Socket, family: Family, distance: Distance) -> io::Result<()> {
    match distance {
        Distance::Link => {
            set_outgoing_hops(socket, family, u8::MAX)?;
            set_least_incoming_hops(socket, family, u8::MAX)
        }
        Distance::Hops(hops) => set_outgoing_hops(socket, family, hops),
    }
}

fn set_outgoing_hops(socket: &Socket, family: Family, hops: u8) -> io::Result<()> {
    match family {
        Family::V4 => socket.set_ttl_v4(hops.into()),
        Family::V6 => socket.set_unicast_hops_v6(hops.into()),
    }
}

/// RFC 5082 section 3: the kernel drops what arrives with fewer hops left.
#[expect(unsafe_code, reason = "no safe crate sets IP_MINTTL and IPV6_MINHOPCOUNT")]
fn set_least_incoming_hops(socket: &impl AsFd, family: Family, hops: u8) -> io::Result<()> {
    let (level, option) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_MINTTL),
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    let value = libc::c_int::from(hops);
    let length = libc::socklen_t::try_from(size_of_val(&value)).expect("the size of an int fits");
    // SAFETY: the descriptor is open while `socket` is borrowed; the kernel reads `length` bytes of `value`,
    // which lives until the call returns, and keeps no reference to it.
    let status = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, std::ptr::from_ref(&value).cast(), length)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
