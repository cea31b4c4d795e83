//! Listen: one UDP and one TCP socket for each address, made and closed as the configuration asks.
//!
//! IP_FREEBIND lets a socket stand before its address does, and survive the address's absence: a service address
//! may come and go without the name server hearing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::info;

use super::handler::Handler;
use super::places::{AddressPlaces, Places};
use super::rate_limit::RateLimiter;
use super::threads::{self, Threads};
use super::{tcp, udp};
use crate::dns::RateLimit;

/// What the kernel may hold of datagrams that are not read yet, for one address. It grants what it will.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 256;

/// The addresses that are listened on.
#[derive(Default)]
pub(crate) struct Listeners {
    open: Mutex<BTreeMap<SocketAddr, Listener>>,
    places: Arc<Places>,
    limiter: Arc<ArcSwapOption<RateLimiter>>,
}

/// Those who serve one address. Dropping it closes the sockets.
struct Listener {
    udp: Threads,
    tcp: Threads,
}

impl Listener {
    fn open(address: SocketAddr, handler: &Arc<Handler>, all: &Listeners) -> io::Result<Self> {
        let count = threads::count();
        let (udp, tcp) = (udp_sockets(address, count)?, Arc::new(tcp_socket(address)?));
        let places = AddressPlaces::new(&all.places);
        let udp = Threads::start("dns-udp", udp, |socket, stop| {
            let (handler, limiter) = (Arc::clone(handler), Arc::clone(&all.limiter));
            move || udp::serve(&socket, &handler, &limiter, &stop)
        })?;
        let tcp = Threads::start("dns-tcp", vec![tcp; count], |socket, stop| {
            let (handler, places) = (Arc::clone(handler), places.clone());
            move || tcp::serve(&socket, &handler, &places, &stop)
        })?;
        Ok(Self { udp, tcp })
    }

    fn is_alive(&self) -> bool {
        self.udp.are_alive() && self.tcp.are_alive()
    }
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Listener>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is not wanted and opens what is missing or dead; the others are not touched. Returns the
    /// addresses that could not be opened, and why. To be called once at a time.
    pub(crate) fn reconcile(
        &self,
        wanted: &BTreeSet<SocketAddr>,
        handler: &Arc<Handler>,
    ) -> Vec<(SocketAddr, io::Error)> {
        let unwanted =
            |address: &SocketAddr, listener: &mut Listener| !wanted.contains(address) || !listener.is_alive();
        let closing: Vec<_> = self.lock().extract_if(.., unwanted).collect();
        for (address, mut listener) in closing {
            listener.udp.end();
            listener.tcp.end();
            info!(%address, "stopped listening");
        }
        let mut open = self.lock();
        let mut failed = Vec::new();
        for &address in wanted {
            if open.contains_key(&address) {
                continue;
            }
            match Listener::open(address, handler, self) {
                Ok(listener) => {
                    info!(%address, "listening");
                    open.insert(address, listener);
                }
                Err(error) => failed.push((address, error)),
            }
        }
        failed
    }

    /// Limits responses from now on. The accounts stay as they are unless the limit changes.
    pub(crate) fn limit(&self, wanted: Option<&RateLimit>) {
        if self.limiter.load().as_ref().map(|limiter| limiter.limit()) != wanted {
            self.limiter.store(wanted.map(|limit| Arc::new(RateLimiter::new(limit.clone()))));
        }
    }

    /// The addresses whose sockets are both being served.
    pub(crate) fn alive(&self) -> BTreeSet<SocketAddr> {
        self.lock().iter().filter(|(_, listener)| listener.is_alive()).map(|(address, _)| *address).collect()
    }
}

/// So many sockets of one address, among which the kernel spreads what arrives by where it comes from.
fn udp_sockets(address: SocketAddr, count: usize) -> io::Result<Vec<Arc<Socket>>> {
    let open = |reuse| {
        let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
        // The kernel caps it at net.core.rmem_max without an error.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_reuse_port(reuse)?;
        socket.bind(&address.into())?;
        Ok::<_, io::Error>(Arc::new(socket))
    };
    // The first one is bound alone, so that a server that is there already is met with an error, and shares the
    // address with the others only then.
    let first = open(false)?;
    first.set_reuse_port(count > 1)?;
    let others = (1..count).map(|_| open(true));
    [Ok(Arc::clone(&first))].into_iter().chain(others).collect()
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_nonblocking(true)?;
    // Connections of the agent before us may linger.
    socket.set_reuse_address(true)?;
    // Connections inherit it: an answer never waits for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_freebind_v6(true)?;
        // 0.0.0.0 and [::] are two addresses, each with sockets of its own.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{IpAddr, TcpStream, UdpSocket};
    use std::time::Duration;

    use hickory_proto::op::OpCode;
    use hickory_proto::rr::RecordType;

    use super::super::delta::Delta;
    use super::super::exchange::question;
    use super::super::handler::ZonePolicy;
    use super::super::testing;
    use super::super::zone::Zone;
    use super::super::zones::Zones;
    use super::*;
    use crate::dns::NameServerConfig;
    use crate::keyring::{CookieSecret, TsigKey};
    use crate::names::{DomainName, Serial};

    /// Meets a fault at every NOTIFY.
    struct Faulty;

    impl ZonePolicy for Faulty {
        fn config(&self) -> Arc<NameServerConfig> {
            Arc::default()
        }

        fn cookie_secret(&self) -> Option<CookieSecret> {
            None
        }

        fn keys(&self, _: &DomainName) -> Vec<TsigKey> {
            Vec::new()
        }

        fn may_transfer(&self, _: &DomainName, _: IpAddr, _: Option<&TsigKey>) -> bool {
            false
        }

        fn steps(&self, _: &Zone, _: Serial) -> Option<Vec<Arc<Delta>>> {
            None
        }

        fn notified(&self, _: &DomainName, _: IpAddr, _: Option<&TsigKey>, _: Option<Serial>) -> bool {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_fault_costs_one_answer() {
        let zones = Arc::new(Zones::new());
        zones.serve(Arc::new(testing::zone(&"example.org".parse().unwrap(), 1, 1)));
        let handler = Arc::new(Handler::new(zones, Arc::new(Faulty)));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listeners = Listeners::default();
        assert_eq!(listeners.reconcile(&[free].into(), &handler).len(), 0);
        let query = question(&"example.org".parse().unwrap(), RecordType::SOA);
        let mut notify = query.clone();
        notify.metadata.op_code = OpCode::Notify;
        let (query, notify) = (query.to_vec().unwrap(), notify.to_vec().unwrap());

        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(free).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = [0; 512];
        for _ in 0..100 {
            client.send(&notify).unwrap();
            client.send(&query).unwrap();
            let length = client.recv(&mut answer).unwrap();
            assert!(length > query.len() && answer[..2] == query[..2]);
        }
        let ask = |asked: &[u8]| {
            let mut stream = TcpStream::connect(free).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let length = u16::try_from(asked.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, asked].concat()).unwrap();
            stream.read(&mut [0; 512]).unwrap()
        };
        for _ in 0..10 {
            assert_eq!(ask(&notify), 0);
            assert!(ask(&query) > query.len());
        }
        assert_eq!(listeners.alive(), [free].into());
    }
}
