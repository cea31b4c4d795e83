//! Serials: which one a name server serves of each of many zones, asked as a resolver would: by the SOA record.
//!
//! A server on this machine is asked by TCP, with many questions on one connection: no rate limit and no lost datagram comes
//! between, and many answers come with one call of the kernel. One that is far away is asked by UDP, since a connection
//! would take a round trip more.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::base::iana::Rcode;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::embedded::exchange::{connect, read_message, socket};
use super::embedded::incoming::{IncomingError, soa_answer};
use crate::names::{DomainName, Serial};

/// Questions on their way at once.
const WINDOW: usize = 100;
/// What is read in one call of the kernel: a window of usual answers.
const BUFFER: usize = 16 << 10;
/// The largest datagram that is read.
const DATAGRAM: usize = 1232;
/// What is said of a zone where the server answered for others.
const LATE: &str = "it gives no answer in time";

/// The serial of each authoritative answer, or what came instead. Zones are missing of which nothing is known.
pub type Serials = BTreeMap<DomainName, Result<Serial, &'static str>>;

/// Asks a server on this machine, each window of questions within this time. What it said until it fell silent counts; the
/// error says why it said nothing at all.
pub(crate) async fn by_tcp(
    server: SocketAddr,
    zones: &[DomainName],
    patience: Duration,
) -> io::Result<Serials> {
    let mut serials = Serials::new();
    if zones.is_empty() {
        return Ok(serials);
    }
    match ask_by_tcp(server, zones, patience, &mut serials).await {
        Err(error) if serials.is_empty() => Err(error),
        _ => Ok(serials),
    }
}

async fn ask_by_tcp(
    server: SocketAddr,
    zones: &[DomainName],
    patience: Duration,
    serials: &mut Serials,
) -> io::Result<()> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "it gives no answer");
    // From the server's own address, which may ask about every zone; the kernel would choose another one.
    let connecting = connect(server, Some(server.ip()));
    let mut stream = timeout_at(Instant::now() + patience, connecting).await.map_err(silent)??;
    for zones in zones.chunks(WINDOW) {
        let before = serials.len();
        let mut window = Window::new(zones);
        match timeout_at(Instant::now() + patience, window.exchange(&mut stream, serials)).await {
            Ok(exchanged) => exchanged?,
            Err(late) if serials.len() == before => return Err(silent(late)),
            Err(_) => serials.extend(window.open().map(|zone| (zone.clone(), Err(LATE)))),
        }
    }
    Ok(())
}

/// Asks a server far away for a few zones, all at once and only once. Nothing is said of those that it does not answer for.
pub(crate) async fn by_udp(
    server: SocketAddr,
    from: Option<IpAddr>,
    zones: &[DomainName],
    patience: Duration,
) -> Serials {
    let mut serials = Serials::new();
    let exchange = async {
        let socket = socket(server, from).await?;
        let mut window = Window::new(zones);
        for (id, zone) in (0..).zip(zones) {
            socket.send(&question(id, zone)).await?;
        }
        let mut answer = [0; DATAGRAM];
        while window.open > 0 {
            let length = socket.recv(&mut answer).await?;
            window.take(&answer[..length], &mut serials);
        }
        io::Result::Ok(())
    };
    // What came until then counts.
    let _ = timeout_at(Instant::now() + patience, exchange).await;
    serials
}

/// Questions on their way.
struct Window<'a> {
    /// The zones that are asked for, by the id of the question, until they are answered for.
    zones: Vec<Option<&'a DomainName>>,
    /// How many are not answered for.
    open: usize,
}

impl<'a> Window<'a> {
    fn new(zones: &'a [DomainName]) -> Self {
        Self { zones: zones.iter().map(Some).collect(), open: zones.len() }
    }

    /// The zones that are not answered for.
    fn open(&self) -> impl Iterator<Item = &'a DomainName> {
        self.zones.iter().copied().flatten()
    }

    async fn exchange(&mut self, stream: &mut TcpStream, serials: &mut Serials) -> io::Result<()> {
        let mut octets = Vec::new();
        for (id, zone) in (0..).zip(self.open()) {
            let question = question(id, zone);
            octets.extend((question.len() as u16).to_be_bytes());
            octets.extend(question);
        }
        stream.write_all(&octets).await?;
        let mut stream = BufReader::with_capacity(BUFFER, stream);
        while self.open > 0 {
            self.take(&read_message(&mut stream).await?, serials);
        }
        Ok(())
    }

    /// Takes an answer in; one to no question of ours is left aside.
    fn take(&mut self, answer: &[u8], serials: &mut Serials) {
        let Some(id) = answer.first_chunk().map(|id| u16::from_be_bytes(*id)) else { return };
        let Some(zone) = self.zones.get_mut(usize::from(id)).and_then(Option::take) else { return };
        self.open -= 1;
        serials.insert(zone.clone(), soa_answer(id, zone, answer).map_err(|error| said(&error)));
    }
}

/// The question for a zone's SOA record (RFC 1035 section 4.1).
fn question(id: u16, zone: &DomainName) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    [&[high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], zone.as_wire(), &[0, 6, 0, 1]].concat()
}

/// An answer that is none, in words.
fn said(error: &IncomingError) -> &'static str {
    let IncomingError::Rcode(rcode) = error else { return "its answer has no authoritative SOA" };
    match *rcode {
        Rcode::SERVFAIL => "it answers SERVFAIL: it has no data, or data that has expired",
        Rcode::REFUSED => "it answers REFUSED: it does not know the zone",
        Rcode::NOTAUTH => "it answers NOTAUTH: it does not know the zone",
        Rcode::NXDOMAIN => "it answers NXDOMAIN: it does not know the zone",
        _ => "it answers with an error",
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::dns::embedded::exchange::write_message;

    fn zones() -> Vec<DomainName> {
        (0..150).map(|number| format!("z{number}.example").parse().unwrap()).collect()
    }

    /// Each zone's serial is its number, but z7 is silent and z9 fails.
    fn answer(question: &[u8]) -> Option<Vec<u8>> {
        let name = &question[12..question.len() - 4];
        let number = std::str::from_utf8(&name[2..=usize::from(name[0])]).unwrap();
        let mut answer = question.to_vec();
        (answer[2], answer[7]) = (0x84, 1);
        answer.extend(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x18\xc0\x0c\xc0\x0c");
        answer.extend(number.parse::<u32>().unwrap().to_be_bytes());
        answer.extend([0; 16]);
        match number {
            "7" => None,
            "9" => {
                answer.truncate(question.len());
                (answer[3], answer[7]) = (2, 0);
                Some(answer)
            }
            _ => Some(answer),
        }
    }

    /// A server on both transports, which ends each connection after so many answers.
    async fn server(answers: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let datagrams = UdpSocket::bind(at).await.unwrap();
        tokio::spawn(async move {
            let mut octets = [0; DATAGRAM];
            while let Ok((length, client)) = datagrams.recv_from(&mut octets).await {
                if let Some(answer) = answer(&octets[..length]) {
                    datagrams.send_to(&answer, client).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut left = answers;
                while left > 0 {
                    let Ok(question) = read_message(&mut stream).await else { break };
                    if let Some(answer) = answer(&question) {
                        write_message(&mut stream, &answer).await.unwrap();
                        left -= 1;
                    }
                }
            }
        });
        at
    }

    const PATIENCE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn many_zones_are_asked_for_at_once() {
        let (zones, server) = (zones(), server(usize::MAX).await);
        for serials in [
            by_tcp(server, &zones, PATIENCE).await.unwrap(),
            by_udp(server, None, &zones[..20], PATIENCE).await,
        ] {
            assert_eq!(serials[&zones[8]], Ok(Serial(8)));
            assert!(serials[&zones[9]].unwrap_err().contains("SERVFAIL"));
            let failing = serials.values().filter(|serial| serial.is_err()).count();
            // What is lost of a datagram says nothing of a zone.
            let silent = serials.get(&zones[7]).copied();
            match serials.len() {
                150 => assert_eq!((failing, silent), (2, Some(Err(LATE)))),
                count => assert_eq!((count, failing, silent), (19, 1, None)),
            }
        }
    }

    #[tokio::test]
    async fn what_was_answered_before_the_end_counts_and_nothing_is_said_of_the_rest() {
        let serials = by_tcp(server(5).await, &zones(), PATIENCE).await.unwrap();
        assert_eq!(serials.len(), 5);
        assert!(serials.values().all(Result::is_ok));
        assert!(by_tcp(server(0).await, &zones(), PATIENCE).await.is_err());
        let nobody = by_tcp(([127, 53, 53, 53], 1).into(), &zones(), PATIENCE).await;
        assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // One that hangs takes connections all the same.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = by_tcp(listener.local_addr().unwrap(), &zones(), PATIENCE).await;
        assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
