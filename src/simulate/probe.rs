//! Probe: asks every node, inside its own namespace and at every service address, until it answers as it should.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hickory_proto::rr::RecordType;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::namespace::Namespace;
use super::question::{self, Answer, DATAGRAM};
use super::{Context, SimulationError};
use crate::names::{DomainName, NodeName};

/// Asks inside one node.
#[derive(Debug)]
pub(crate) struct Probe {
    v4: UdpSocket,
    v6: UdpSocket,
}

/// When each node first answered as it should, counted from one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Spread {
    /// Sorted.
    answered: Vec<Duration>,
    /// Nodes that did not, in time.
    pub(crate) missing: Vec<NodeName>,
}

impl Spread {
    /// The median, in milliseconds.
    pub(crate) fn p50_ms(&self) -> u64 {
        self.answered.get(self.answered.len().saturating_sub(1) / 2).map_or(0, |time| milliseconds(*time))
    }

    /// The slowest, in milliseconds.
    pub(crate) fn max_ms(&self) -> u64 {
        self.answered.last().map_or(0, |time| milliseconds(*time))
    }
}

/// Whole milliseconds, rounded up: a figure is never better than what was measured.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl Probe {
    /// Opens sockets in a node's namespace.
    pub(crate) fn open(namespace: &Namespace) -> Result<Self, SimulationError> {
        let bind = |address: IpAddr| {
            let socket = namespace.within(|| {
                let socket = std::net::UdpSocket::bind(SocketAddr::new(address, 0))?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })?;
            UdpSocket::from_std(socket).context(|| "register a probe's socket".into())
        };
        Ok(Self { v4: bind(Ipv4Addr::UNSPECIFIED.into())?, v6: bind(Ipv6Addr::UNSPECIFIED.into())? })
    }

    /// Asks once; `None` if no answer comes within the time.
    pub(crate) async fn ask(
        &self,
        address: IpAddr,
        id: u16,
        name: &DomainName,
        rtype: RecordType,
        patience: Duration,
    ) -> Option<Answer> {
        let socket = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        socket.send_to(&question::question(id, name, rtype), SocketAddr::new(address, 53)).await.ok()?;
        let mut buffer = [0; DATAGRAM];
        let answer = async {
            loop {
                // An error is the echo of a query that met no name server: wait on, the time-out ends it.
                let Ok((length, _)) = socket.recv_from(&mut buffer).await else { continue };
                match question::read(&buffer[..length]) {
                    Some(answer) if answer.id == id => return answer,
                    Some(_) | None => {}
                }
            }
        };
        timeout(patience, answer).await.ok()
    }
}

/// Asks every node for a name until `good` holds of its answer at every address; counts from `since`.
pub(crate) async fn everywhere(
    probes: &BTreeMap<&NodeName, &Probe>,
    addresses: &[IpAddr],
    (name, rtype): (&DomainName, RecordType),
    since: Instant,
    patience: Duration,
    good: impl Fn(&Answer) -> bool,
) -> Spread {
    // Often enough for a fine figure, and seldom enough that asking does not slow down what is measured.
    let pause = Duration::from_millis((probes.len() as u64 / 2).max(5));
    let good = &good;
    let tries = probes.iter().map(|(node, probe)| async move {
        let mut id = 0;
        for address in addresses {
            loop {
                id += 1;
                let asked = Instant::now();
                match probe.ask(*address, id, name, rtype, Duration::from_millis(500)).await {
                    Some(answer) if good(&answer) && answer.node.as_ref() == Some(*node) => break,
                    Some(_) | None if since.elapsed() > patience => return Err(NodeName::clone(node)),
                    Some(_) | None => tokio::time::sleep_until((asked + pause).into()).await,
                }
            }
        }
        Ok(since.elapsed())
    });
    let mut spread = Spread::default();
    for result in join_all(tries).await {
        match result {
            Ok(time) => spread.answered.push(time),
            Err(node) => spread.missing.push(node),
        }
    }
    spread.answered.sort();
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_the_median_and_the_slowest_rounded_up() {
        let times = |list: &[u64]| Spread {
            answered: list.iter().map(|micros| Duration::from_micros(*micros)).collect(),
            missing: Vec::new(),
        };
        let spread = times(&[1_000, 2_001, 30_000]);
        assert_eq!((spread.p50_ms(), spread.max_ms()), (3, 30));
        assert_eq!(times(&[1, 5_000]).p50_ms(), 1);
        assert_eq!(times(&[]).max_ms(), 0);
    }
}
