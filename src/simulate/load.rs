//! Load: queries at a fixed rate from one client, each with a number, and what became of each.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::internet::Client;
use super::question::{self, DATAGRAM};
use super::{Context, SimulationError};
use crate::names::{DomainName, NodeName};

/// Queries a second, where nobody says otherwise.
pub(crate) const RATE: u32 = 200;

/// A query without an answer after this long is lost.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(1);

/// One query of the run.
#[derive(Debug, Clone)]
struct Sent {
    at: Instant,
    answer: Option<(Instant, NodeName)>,
}

/// A load that goes on until it is finished.
#[derive(Debug)]
pub(crate) struct Load {
    record: Arc<Mutex<Vec<Sent>>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What became of a load's queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many were sent.
    pub(crate) sent: u64,
    /// How many had no good answer within the time-out.
    pub(crate) lost: u64,
    /// How many each node answered.
    pub(crate) by_node: BTreeMap<NodeName, u64>,
}

impl Load {
    /// Begins to ask these addresses, in turn, for the zone's NS RRset, so many times a second: what resolvers ask, and name
    /// servers do not.
    pub(crate) fn start(
        client: &Client,
        to: &[IpAddr],
        zone: &DomainName,
        rate: u32,
    ) -> Result<Self, SimulationError> {
        let bind = |address: IpAddr| {
            let socket = client.namespace.within(|| {
                let socket = std::net::UdpSocket::bind(SocketAddr::new(address, 0))?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })?;
            UdpSocket::from_std(socket).context(|| "register a client's socket".into())
        };
        let sockets = (bind(Ipv4Addr::UNSPECIFIED.into())?, bind(Ipv6Addr::UNSPECIFIED.into())?);
        let record = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let to = to.iter().map(|address| SocketAddr::new(*address, 53)).collect();
        let task = tokio::spawn(ask(sockets, to, zone.clone(), rate, Arc::clone(&record), stopped));
        Ok(Self { record, stop, task })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first answer of which this holds of the node came in, to a query sent from this moment on.
    pub(crate) fn first_answer(&self, from: Instant, of: impl Fn(&NodeName) -> bool) -> Option<Instant> {
        let record = self.lock();
        let asked = &record[record.partition_point(|query| query.at < from)..];
        let answers = asked.iter().filter_map(|query| query.answer.as_ref());
        answers.filter(|(_, node)| of(node)).map(|(at, _)| *at).min()
    }

    /// Waits for such an answer, as long as given.
    pub(crate) async fn await_answer(
        &self,
        from: Instant,
        patience: Duration,
        of: impl Fn(&NodeName) -> bool,
    ) -> Option<Instant> {
        let deadline = Instant::now() + patience;
        loop {
            match self.first_answer(from, &of) {
                Some(at) => return Some(at),
                None if Instant::now() >= deadline => return None,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Sends no more, waits for the last answers, and counts.
    pub(crate) async fn finish(self) -> Tally {
        // The task ends by itself only if its sockets fail, and then its record says so by its losses.
        let _ = self.stop.send(());
        let _ = self.task.await;
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        tally(&record)
    }
}

fn tally(record: &[Sent]) -> Tally {
    let mut by_node = BTreeMap::new();
    let mut lost = 0;
    for query in record {
        match &query.answer {
            Some((at, node)) if *at - query.at <= TIMEOUT => *by_node.entry(node.clone()).or_default() += 1,
            Some(_) | None => lost += 1,
        }
    }
    Tally { sent: record.len() as u64, lost, by_node }
}

async fn ask(
    (v4, v6): (UdpSocket, UdpSocket),
    to: Vec<SocketAddr>,
    zone: DomainName,
    rate: u32,
    record: Arc<Mutex<Vec<Sent>>>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut clock = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut open: HashMap<u16, usize> = HashMap::new();
    let mut end: Option<tokio::time::Instant> = None;
    let (mut buffer4, mut buffer6) = ([0; DATAGRAM], [0; DATAGRAM]);
    let record = || record.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let octets = tokio::select! {
            _ = clock.tick(), if end.is_none() => {
                let number = record().len();
                let Some(address) = to.get(number % to.len().max(1)) else { return };
                let id = number as u16;
                let query = question::question(id, &zone, RecordType::NS);
                let socket = if address.is_ipv4() { &v4 } else { &v6 };
                open.insert(id, number);
                record().push(Sent { at: Instant::now(), answer: None });
                // A query that could not even be sent (no route) is lost like any other.
                let _ = socket.send_to(&query, address).await;
                continue;
            }
            _ = &mut stop, if end.is_none() => {
                end = Some(tokio::time::Instant::now() + TIMEOUT);
                continue;
            }
            () = tokio::time::sleep_until(end.unwrap_or_else(tokio::time::Instant::now)), if end.is_some() => return,
            Ok((length, _)) = v4.recv_from(&mut buffer4) => &buffer4[..length],
            Ok((length, _)) = v6.recv_from(&mut buffer6) => &buffer6[..length],
        };
        if let Some(question::Answer { id, node: Some(node), authoritative: true, .. }) =
            question::read(octets)
            && let Some(number) = open.remove(&id)
            && let Some(query) = record().get_mut(number)
        {
            query.answer = Some((Instant::now(), node));
        }
        if end.is_some() && open.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_is_a_lost_query() {
        let at = Instant::now();
        let node: NodeName = "pune".parse().unwrap();
        let answered =
            |after: u64| Sent { at, answer: Some((at + Duration::from_millis(after), node.clone())) };
        let record = [answered(1), answered(999), answered(1_001), Sent { at, answer: None }];
        let expected = Tally { sent: 4, lost: 2, by_node: BTreeMap::from([(node.clone(), 2)]) };
        assert_eq!(tally(&record), expected);
    }
}
