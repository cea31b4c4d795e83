//! Exchange: one question to another name server, by UDP or TCP, and its answer.
//!
//! Used for the SOA query of a secondary (RFC 1035 section 4.3.5) and for NOTIFY (RFC 1996); a zone transfer
//! opens its connection here as well.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::names::DomainName;

/// How long the first datagram's answer is waited for; the second gets twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(800);
/// How long a connection, and each message over it, may take.
const TCP_WAIT: Duration = Duration::from_secs(5);
/// The largest datagram that is read. Longer answers come truncated, and then by TCP.
const DATAGRAM: usize = 1500;

/// A question about a zone's apex, with an id that cannot be guessed.
pub(crate) fn question(apex: &DomainName, rtype: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(hickory_name(apex), rtype));
    message
}

/// An id that cannot be guessed.
pub(crate) fn id() -> u16 {
    Message::query().metadata.id
}

/// The name as the codec wants it.
pub(crate) fn hickory_name(name: &DomainName) -> Name {
    // Every DomainName fits: both types stand for names of at most 255 octets.
    Name::from_labels(name.labels()).unwrap_or_else(|_| Name::root())
}

/// Asks by UDP, and by TCP when the answer was truncated or none came. Returns the answer's octets, whose id
/// and QR bit have been checked.
pub(crate) async fn ask(to: SocketAddr, from: Option<IpAddr>, request: &[u8]) -> io::Result<Vec<u8>> {
    match ask_udp(to, from, request, &[FIRST_WAIT, FIRST_WAIT.saturating_mul(2)]).await {
        Ok(answer) if !is_truncated(&answer) => Ok(answer),
        _ => ask_by_tcp(to, from, request).await,
    }
}

/// The same for a question that some refuse by UDP and answer by TCP: Knot a catalog's SOA record.
pub(crate) async fn ask_insisting(
    to: SocketAddr,
    from: Option<IpAddr>,
    request: &[u8],
) -> io::Result<Vec<u8>> {
    let answer = ask(to, from, request).await?;
    match is_refused(&answer) {
        true => Ok(ask_by_tcp(to, from, request).await.unwrap_or(answer)),
        false => Ok(answer),
    }
}

async fn ask_by_tcp(to: SocketAddr, from: Option<IpAddr>, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(to, from).await?;
    within(TCP_WAIT, "no answer by TCP", async {
        write_message(&mut stream, request).await?;
        let answer = read_message(&mut stream).await?;
        match is_answer(request, &answer) {
            true => Ok(answer),
            false => Err(io::Error::other("the answer is not to our question")),
        }
    })
    .await
}

/// Sends one datagram and waits once for its answer.
pub(crate) async fn ask_once(to: SocketAddr, from: Option<IpAddr>, request: &[u8]) -> io::Result<Vec<u8>> {
    ask_udp(to, from, request, &[FIRST_WAIT]).await
}

async fn ask_udp(
    to: SocketAddr,
    from: Option<IpAddr>,
    request: &[u8],
    waits: &[Duration],
) -> io::Result<Vec<u8>> {
    let socket = socket(to, from).await?;
    let mut buffer = [0; DATAGRAM];
    for wait in waits {
        socket.send(request).await?;
        let answer = within(*wait, "no answer by UDP", async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if is_answer(request, &buffer[..length]) {
                    return Ok(buffer[..length].to_vec());
                }
            }
        });
        match answer.await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => (),
            other => return other,
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "no answer by UDP"))
}

/// A socket for datagrams to and from one server alone, from `from` when it is given.
pub(crate) async fn socket(to: SocketAddr, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(source(to, from)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Opens a connection, from `from` when it is given.
pub(crate) async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if from.is_some() {
        socket.bind(source(to, from))?;
    }
    let stream = within(TCP_WAIT, "no connection by TCP", socket.connect(to)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// RFC 1035 section 4.2.2: a length in two octets, then the message.
pub(crate) async fn write_message(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).await
}

/// Reads one message of any length that fits its two octets.
pub(crate) async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let read = async {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        Ok(message)
    };
    read.await.map_err(|error: io::Error| {
        let closed = error.kind() == io::ErrorKind::UnexpectedEof;
        if closed { io::Error::new(error.kind(), "it closed the connection too soon") } else { error }
    })
}

/// Runs `work` for at most `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    otherwise: &'static str,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, otherwise);
    timeout(limit, work).await.unwrap_or_else(|_| Err(late()))
}

/// Where to ask from: the address that was chosen, if it is of the right family, else the kernel's choice.
fn source(to: SocketAddr, from: Option<IpAddr>) -> SocketAddr {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(from.filter(|from| from.is_ipv4() == to.is_ipv4()).unwrap_or(any), 0)
}

/// Whether these octets are a response with the request's id and opcode.
fn is_answer(request: &[u8], answer: &[u8]) -> bool {
    match (request, answer) {
        ([r0, r1, r2, ..], [a0, a1, a2, ..]) => {
            (r0, r1) == (a0, a1) && a2 & 0x80 != 0 && (a2 ^ r2) & 0x78 == 0 && answer.len() >= 12
        }
        _ => false,
    }
}

fn is_refused(answer: &[u8]) -> bool {
    answer.get(3).is_some_and(|flags| flags & 0x0f == 5)
}

fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 0x02 != 0)
}
