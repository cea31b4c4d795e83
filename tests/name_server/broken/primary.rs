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
}

/// How one zone's primary answers when its time to be broken has come.
pub type Script = fn(&Ask) -> Vec<Step>;
/// The same for the SOA query.
pub type Announce = fn(&Ask) -> Vec<u8>;

#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    /// What the problem says.
    pub words: &'static str,
    pub announce: Announce,
    pub script: Script,
}

/// The primary of all zones: `f0.test` has the first fault, and so on.
pub struct Primary {
    pub address: SocketAddr,
    /// 1: good. 2: as the faults say. 3: good, with serial 3.
    pub phase: Arc<AtomicUsize>,
    /// The most octets that anybody took on one connection.
    pub most: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
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
        let (phase, most) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
        let announced = Arc::clone(&phase);
        let announce = async move {
            let mut query = [0; 1500];
            while let Ok((length, peer)) = udp.recv_from(&mut query).await {
                let ask = Ask::read(&query[..length]);
                let answer = match announced.load(Ordering::SeqCst) {
                    2 => (faults[ask.number()].announce)(&ask),
                    phase => announce(&ask, phase as u32),
                };
                udp.send_to(&answer, peer).await.unwrap();
            }
        };
        let (transferred, taken) = (Arc::clone(&phase), Arc::clone(&most));
        let transfer = async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let (phase, most) = (transferred.load(Ordering::SeqCst), Arc::clone(&taken));
                tokio::spawn(async move {
                    let Ok(length) = stream.read_u16().await else { return };
                    let mut query = vec![0; length.into()];
                    if stream.read_exact(&mut query).await.is_err() {
                        return;
                    }
                    let ask = Ask::read(&query);
                    let steps = match (phase, ask.qtype) {
                        // Where UDP brought nothing of use, the SOA query comes again.
                        (2, SOA) => vec![Step::Send((faults[ask.number()].announce)(&ask))],
                        (2, _) => (faults[ask.number()].script)(&ask),
                        (phase, _) => vec![Step::Send(ask.whole(phase as u32))],
                    };
                    most.fetch_max(act(&mut stream, steps).await, Ordering::SeqCst);
                });
            }
        };
        Self { address, phase, most, tasks: [tokio::spawn(announce), tokio::spawn(transfer)] }
    }
}

/// The answer to a SOA query.
pub fn announce(ask: &Ask, serial: u32) -> Vec<u8> {
    ask.reply(&[ask.soa(serial)])
}

/// How many octets were taken.
async fn act(stream: &mut TcpStream, steps: Vec<Step>) -> usize {
    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes(), message].concat();
    let mut sent = 0;
    for step in steps {
        match step {
            Step::Send(message) => {
                let octets = framed(&message);
                if stream.write_all(&octets).await.is_err() {
                    return sent;
                }
                sent += octets.len();
            }
            Step::Raw(octets) => {
                if stream.write_all(&octets).await.is_err() {
                    return sent;
                }
                sent += octets.len();
            }
            Step::Drip(octets) => {
                for octet in octets {
                    if stream.write_u8(octet).await.is_err() {
                        return sent;
                    }
                    sent += 1;
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Step::Repeat(message, pause) => {
                let octets = framed(&message);
                while stream.write_all(&octets).await.is_ok() {
                    sent += octets.len();
                    sleep(pause).await;
                }
                return sent;
            }
            Step::Silence => sleep(Duration::from_secs(60)).await,
        }
    }
    let _ = stream.shutdown().await;
    sent
}
