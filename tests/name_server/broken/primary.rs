//! A primary that does as it is told, octet by octet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::name_server::network::free_address;

/// What is asked.
pub struct Ask {
    pub id: [u8; 2],
    /// The apex in wire form.
    pub apex: Vec<u8>,
    pub qtype: u16,
    /// The whole message.
    pub octets: Vec<u8>,
}

pub const SOA: u16 = 6;
pub const IXFR: u16 = 251;

impl Ask {
    pub fn read(octets: &[u8]) -> Self {
        let mut end = 12;
        while octets[end] != 0 {
            end += 1 + usize::from(octets[end]);
        }
        let qtype = u16::from_be_bytes([octets[end + 1], octets[end + 2]]);
        Self { id: [octets[0], octets[1]], apex: octets[12..=end].to_vec(), qtype, octets: octets.to_vec() }
    }

    /// The number in the first label: `f12`.
    fn number(&self) -> usize {
        let label = &self.apex[2..1 + usize::from(self.apex[0])];
        std::str::from_utf8(label).unwrap().parse().unwrap()
    }

    pub fn question(&self) -> Vec<u8> {
        [&self.apex[..], &self.qtype.to_be_bytes(), &[0, 1]].concat()
    }

    /// A name below the apex.
    pub fn below(&self, label: &[u8]) -> Vec<u8> {
        [&[label.len() as u8], label, &self.apex[..]].concat()
    }

    pub fn soa(&self, serial: u32) -> Vec<u8> {
        record(&self.apex, SOA, &soa_data(serial))
    }

    pub fn ns(&self) -> Vec<u8> {
        record(&self.apex, 2, b"\x02ns\x07example\0")
    }

    pub fn a(&self, label: &[u8], last: u8) -> Vec<u8> {
        record(&self.below(label), 1, &[192, 0, 2, last])
    }

    /// An authoritative answer with these records.
    pub fn reply(&self, answers: &[Vec<u8>]) -> Vec<u8> {
        let count = (answers.len() as u16).to_be_bytes();
        let head = [&self.id[..], &[0x84, 0, 0, 1], &count, &[0, 0, 0, 0]].concat();
        [head, self.question(), answers.concat()].concat()
    }

    /// The zone at this serial, whole; the address of `www` is the serial's.
    pub fn whole(&self, serial: u32) -> Vec<u8> {
        self.reply(&[self.soa(serial), self.ns(), self.a(b"www", serial as u8), self.soa(serial)])
    }
}

/// Refresh and retry after a second.
pub fn soa_data(serial: u32) -> Vec<u8> {
    let numbers = [serial, 1, 1, 86_400, 60].map(u32::to_be_bytes).concat();
    [b"\x02ns\x07example\0\x04mail\x07example\0", &numbers[..]].concat()
}

/// A record of class IN.
pub fn record(owner: &[u8], rtype: u16, rdata: &[u8]) -> Vec<u8> {
    full(owner, rtype, 1, 60, rdata.len(), rdata)
}

/// A record with all its fields, its length as it is told.
pub fn full(owner: &[u8], rtype: u16, class: u16, ttl: u32, length: usize, rdata: &[u8]) -> Vec<u8> {
    let fixed = [&rtype.to_be_bytes()[..], &class.to_be_bytes(), &ttl.to_be_bytes()].concat();
    [owner, &fixed, &(length as u16).to_be_bytes(), rdata].concat()
}

/// What a primary does on a connection, one after another; then it closes it.
pub enum Step {
    /// A message with its length before it.
    Send(Vec<u8>),
    /// Octets.
    Raw(Vec<u8>),
    /// Octets, one every 100 ms.
    Drip(Vec<u8>),
    /// A message again and again, so long after each other.
    Repeat(Vec<u8>, Duration),
    /// Nothing, for longer than anybody waits.
    Silence,
    /// Ends the connection with RST.
    Reset,
}

/// How one zone's primary answers when its time to be broken has come.
pub type Script = fn(&Ask) -> Vec<Step>;
/// The same for the SOA query by UDP: any number of datagrams.
pub type Announce = fn(&Ask) -> Vec<Vec<u8>>;

#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// What the problem says.
    pub words: &'static str,
    pub announce: Announce,
    /// The SOA query by TCP, for which UDP has to bring nothing of use; `None` for what comes by UDP.
    pub by_tcp: Option<Script>,
    pub script: Script,
}

/// The primary of all zones: `f0.test` has the first fault, and so on.
pub struct Primary {
    pub address: SocketAddr,
    /// 1: good. 2: as the faults say. 3: good, with serial 3.
    pub phase: Arc<AtomicUsize>,
    pub taken: Arc<Taken>,
    tasks: [JoinHandle<()>; 2],
}

/// What was asked, and taken of the answers.
#[derive(Default)]
pub struct Taken {
    /// The most octets that anybody took on one connection.
    pub most: AtomicUsize,
    /// The octets that were taken on all of them.
    pub octets: AtomicUsize,
    /// SOA queries by UDP.
    pub queries: AtomicUsize,
    /// Queries by TCP.
    pub connections: AtomicUsize,
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Primary {
    pub async fn start(faults: &'static [Fault]) -> Self {
        let address = free_address("127.0.0.1");
        let (udp, tcp) = (UdpSocket::bind(address).await.unwrap(), TcpListener::bind(address).await.unwrap());
        let (phase, taken) = (Arc::new(AtomicUsize::new(1)), Arc::<Taken>::default());
        let (announced, asked) = (Arc::clone(&phase), Arc::clone(&taken));
        let announce = async move {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = udp.recv_from(&mut query).await {
                asked.queries.fetch_add(1, Ordering::SeqCst);
                let ask = Ask::read(&query[..length]);
                let answers = match announced.load(Ordering::SeqCst) {
                    2 => (faults[ask.number()].announce)(&ask),
                    phase => announce(&ask, phase as u32),
                };
                for answer in answers {
                    udp.send_to(&answer, peer).await.unwrap();
                }
            }
        };
        let (transferred, counts) = (Arc::clone(&phase), Arc::clone(&taken));
        let transfer = async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let (phase, counts) = (transferred.load(Ordering::SeqCst), Arc::clone(&counts));
                counts.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(length) = stream.read_u16().await else { return };
                    let mut query = vec![0; length.into()];
                    if stream.read_exact(&mut query).await.is_err() {
                        return;
                    }
                    let ask = Ask::read(&query);
                    let steps = match (phase, ask.qtype) {
                        (2, SOA) => by_tcp(&faults[ask.number()], &ask),
                        (2, _) => (faults[ask.number()].script)(&ask),
                        (phase, _) => vec![Step::Send(ask.whole(phase as u32))],
                    };
                    act(&mut stream, steps, &counts).await;
                });
            }
        };
        Self { address, phase, taken, tasks: [tokio::spawn(announce), tokio::spawn(transfer)] }
    }
}

fn by_tcp(fault: &Fault, ask: &Ask) -> Vec<Step> {
    match fault.by_tcp {
        Some(script) => script(ask),
        None => (fault.announce)(ask).into_iter().map(Step::Send).collect(),
    }
}

/// The answer to a SOA query.
pub fn announce(ask: &Ask, serial: u32) -> Vec<Vec<u8>> {
    vec![ask.reply(&[ask.soa(serial)])]
}

/// Writes, and counts what was taken; false when nothing more is.
async fn write(stream: &mut TcpStream, octets: &[u8], sent: &mut usize, counts: &Taken) -> bool {
    let taken = stream.write_all(octets).await.is_ok();
    if taken {
        *sent += octets.len();
        counts.octets.fetch_add(octets.len(), Ordering::SeqCst);
        counts.most.fetch_max(*sent, Ordering::SeqCst);
    }
    taken
}

async fn act(stream: &mut TcpStream, steps: Vec<Step>, counts: &Taken) {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
    let mut sent = 0;
    for step in steps {
        let goes_on = match step {
            Step::Send(message) => write(stream, &framed(&message), &mut sent, counts).await,
            Step::Raw(octets) => write(stream, &octets, &mut sent, counts).await,
            Step::Drip(octets) => {
                let mut goes_on = true;
                for octet in octets {
                    goes_on = goes_on && write(stream, &[octet], &mut sent, counts).await;
                    sleep(Duration::from_millis(100)).await;
                }
                goes_on
            }
            Step::Repeat(message, pause) => {
                while write(stream, &framed(&message), &mut sent, counts).await {
                    sleep(pause).await;
                }
                false
            }
            Step::Silence => {
                sleep(Duration::from_secs(60)).await;
                true
            }
            Step::Reset => return stream.set_zero_linger().unwrap(),
        };
        if !goes_on {
            return;
        }
    }
    let _ = stream.shutdown().await;
}
