//! Sockets of a session: source address, hop counts (GTSM, RFC 5082), passwords (TCP MD5, RFC 2385), and nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::libc;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use zeroize::Zeroizing;

use crate::keyring::Secret;
use crate::routing::{Family, HOLD_TIME};

/// Class selector 6 (RFC 2474 section 4.2.2), as an octet of the IP header.
const NETWORK_CONTROL: u32 = 6 << 5;

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

/// Connects from `local` to `remote`; with a password, every segment is signed.
pub(super) async fn connect(
    local: IpAddr,
    remote: SocketAddr,
    distance: Distance,
    password: Option<Secret>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM.nonblocking().cloexec(), None)?;
    set_distance(&socket, Family::of(local), distance)?;
    set_up(&socket, Family::of(local))?;
    if let Some(password) = password {
        sign(&socket, remote.ip(), Some(&password))?;
    }
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
    set_precedence(&socket, Family::of(local.ip()))?;
    // The handshake's answer must pass a peer's GTSM too, before `accepted` knows whose it is.
    set_outgoing_hops(&socket, Family::of(local.ip()), u8::MAX)?;
    socket.bind(&local.into())?;
    socket.listen(512)?;
    TcpListener::from_std(socket.into())
}

/// Makes a listener answer to nobody beyond the link, or to all.
pub(super) fn expect_from_link(listener: &TcpListener, only: bool) -> io::Result<()> {
    let family = Family::of(listener.local_addr()?.ip());
    set_least_incoming_hops(listener, family, if only { u8::MAX } else { 0 })
}

/// Sets up a connection that a listener accepted. With a password, unsigned segments are dropped from here on, even if
/// the listener did not know of it when the connection began.
pub(super) fn accepted(
    stream: &TcpStream,
    neighbor: IpAddr,
    distance: Distance,
    password: Option<&Secret>,
) -> io::Result<()> {
    let socket = SockRef::from(stream);
    if password.is_some() {
        sign(stream, neighbor, password)?;
    }
    set_up(&socket, Family::of(neighbor))?;
    set_distance(&socket, Family::of(neighbor), distance)
}

fn set_up(socket: &Socket, family: Family) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    set_precedence(socket, family)?;
    // A peer may ask for a hold time of zero: then it is TCP that notices its loss.
    let quiet =
        TcpKeepalive::new().with_time(HOLD_TIME).with_interval(Duration::from_secs(5)).with_retries(6);
    socket.set_tcp_keepalive(&quiet)
}

/// RFC 4271 appendix E: keepalives go before what floods the line.
fn set_precedence(socket: &Socket, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => socket.set_tos_v4(NETWORK_CONTROL),
        Family::V6 => socket.set_tclass_v6(NETWORK_CONTROL),
    }
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
fn set_least_incoming_hops(socket: &impl AsFd, family: Family, hops: u8) -> io::Result<()> {
    let (level, option) = match family {
        Family::V4 => (libc::IPPROTO_IP, libc::IP_MINTTL),
        Family::V6 => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    set_option(socket, level, option, &libc::c_int::from(hops).to_ne_bytes())
}

/// RFC 2385 section 4.5: a password has 1 to 80 octets, which is also what Linux takes.
const LONGEST_PASSWORD: usize = 80;

/// Octets of `struct tcp_md5sig` (linux/tcp.h): a `sockaddr_storage` of 128, flags, prefix length, key length, interface
/// and key.
const TCP_MD5SIG: usize = 128 + 8 + LONGEST_PASSWORD;

/// Signs segments to `peer` and drops unsigned ones from it (RFC 2385); `None` ends that.
pub(super) fn sign(socket: &impl AsFd, peer: IpAddr, password: Option<&Secret>) -> io::Result<()> {
    let password = password.map(Secret::expose);
    if let Some(password) = password
        && !(1..=LONGEST_PASSWORD).contains(&password.len())
    {
        let why = format!("a password of {} octets; TCP MD5 takes 1 to {LONGEST_PASSWORD}", password.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let key = password.unwrap_or_default();
    let mut request = Zeroizing::new([0; TCP_MD5SIG]);
    let mut put = |at: usize, octets: &[u8]| request[at..at + octets.len()].copy_from_slice(octets);
    // Any port: the peer connects from one that nobody knows.
    match peer {
        IpAddr::V4(peer) => {
            put(0, &(libc::AF_INET as libc::sa_family_t).to_ne_bytes());
            put(4, &peer.octets());
        }
        IpAddr::V6(peer) => {
            put(0, &(libc::AF_INET6 as libc::sa_family_t).to_ne_bytes());
            put(8, &peer.octets());
        }
    }
    put(130, &u16::try_from(key.len()).expect("80 at most").to_ne_bytes());
    put(136, key);
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &*request)
}

/// Sets an option whose value is `value`, octet by octet.
#[expect(unsafe_code, reason = "no safe crate sets IP_MINTTL, IPV6_MINHOPCOUNT and TCP_MD5SIG")]
fn set_option(socket: &impl AsFd, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).expect("an option is small");
    // SAFETY: the descriptor is open while `socket` is borrowed; the kernel reads `length` octets of `value`, which
    // lives until the call returns, at any alignment, and keeps no reference to it.
    let status =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ends_are_network_control() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen(local.parse().unwrap()).unwrap();
            let to = listener.local_addr().unwrap();
            let (ours, theirs) =
                tokio::join!(connect(to.ip(), to, Distance::Hops(1), None), listener.accept());
            let (ours, (theirs, _)) = (ours.unwrap(), theirs.unwrap());
            accepted(&theirs, to.ip(), Distance::Hops(1), None).unwrap();
            for stream in [&ours, &theirs] {
                let socket = SockRef::from(stream);
                let class = if to.is_ipv4() { socket.tos_v4() } else { socket.tclass_v6() };
                assert_eq!(class.unwrap(), NETWORK_CONTROL, "{local}");
            }
        }
    }

    #[tokio::test]
    async fn passwords_of_1_to_80_octets_are_taken() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let peer = "127.0.0.2".parse().unwrap();
        for (length, taken) in [(0, false), (1, true), (80, true), (81, false)] {
            let password = Secret::new(vec![b'x'; length]);
            assert_eq!(sign(&listener, peer, Some(&password)).is_ok(), taken, "{length} octets");
        }
        sign(&listener, peer, None).unwrap();
        assert!(sign(&listener, peer, None).is_err(), "there is none any more");
    }
}
