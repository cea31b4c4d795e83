//! Beats: tells the other nodes over the mesh how this one is, and hears of them.
//!
//! The socket belongs to the mesh interface alone and to this node's own loopback there, so nothing comes in but what a
//! link has authenticated; and of that only what comes from the loopback of a node that the repository knows.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};
use tracing::{debug, info};

use crate::desired::slice::{DesiredNode, OtherNode};
use crate::health::Gate;
use crate::health::beat::{Beat, ConfigurationBeat, Heard, INTERVAL, LONGEST, PORT, STALE};
use crate::names::NodeName;
use crate::pulse;

/// Between two tries to open the socket: the mesh may not be there yet.
const PAUSE: Duration = Duration::from_millis(500);

/// What was heard of the others last.
#[derive(Clone, Default)]
pub(super) struct Ear(Arc<Mutex<BTreeMap<NodeName, Heard>>>);

impl Ear {
    /// Everything that was heard, stale or not.
    pub(super) fn heard(&self) -> BTreeMap<NodeName, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a node was last heard in version 1, and so reads no other.
    fn is_of_the_first(&self, node: &NodeName) -> bool {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(node).is_some_and(|heard| heard.beat.configuration.is_none())
    }

    /// Takes a datagram in. The error says why it is left aside.
    fn take(
        &self,
        others: &BTreeMap<NodeName, OtherNode>,
        from: SocketAddr,
        octets: &[u8],
        at: Duration,
    ) -> Result<(), String> {
        let sender = others.iter().find(|(_, other)| SocketAddr::new(other.loopback, PORT) == from);
        let (name, _) = sender.ok_or_else(|| format!("{from} is no other node of the mesh"))?;
        let beat = Beat::decode(octets).map_err(|error| format!("{name} sent {error}"))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Heard { beat, at });
        Ok(())
    }
}

/// Sends and hears for as long as there is a mesh.
pub(super) async fn run(
    interface: String,
    started: Instant,
    mut desired: watch::Receiver<Option<Arc<DesiredNode>>>,
    mut gate: watch::Receiver<Gate>,
    mut configuration: watch::Receiver<ConfigurationBeat>,
    ear: Ear,
) {
    loop {
        let node = desired.borrow_and_update().clone();
        let own = node
            .as_ref()
            .and_then(|node| node.mesh.as_ref())
            .and_then(|mesh| mesh.loopbacks.iter().find(|loopback| loopback.is_ipv4()).copied());
        let (Some(node), Some(own)) = (node, own) else {
            if desired.changed().await.is_err() {
                return;
            }
            continue;
        };
        let ended = match open(own, &interface) {
            Ok(socket) => {
                info!(address = %own, "listening for the beats of the other nodes");
                let told = (&mut gate, &mut configuration);
                exchange(&socket, started, &node, &mut desired, told, &ear).await
            }
            Err(error) => {
                debug!(%error, address = %own, "cannot listen for the beats of the other nodes yet");
                Ok(())
            }
        };
        if ended.is_err() {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// Until the node's part in the mesh changes, or nobody is heard; an error when there is nobody left to do it for.
async fn exchange(
    socket: &UdpSocket,
    started: Instant,
    node: &DesiredNode,
    desired: &mut watch::Receiver<Option<Arc<DesiredNode>>>,
    (gate, configuration): (&mut watch::Receiver<Gate>, &mut watch::Receiver<ConfigurationBeat>),
    ear: &Ear,
) -> Result<(), watch::error::RecvError> {
    let mut octets = [0; LONGEST];
    let mut next = tokio::time::Instant::now();
    // An interface that was made anew takes no notice of a socket of the old one.
    let mut silent = tokio::time::Instant::now() + STALE;
    loop {
        tokio::select! {
            () = sleep_until(next) => {}
            changed = gate.changed() => changed?,
            changed = configuration.changed() => changed?,
            received = socket.recv_from(&mut octets) => {
                let Ok((length, from)) = received else { return Ok(()) };
                match ear.take(&node.others, from, &octets[..length], started.elapsed()) {
                    Ok(()) => silent = tokio::time::Instant::now() + STALE,
                    Err(why) => debug!(why, "left a datagram aside"),
                }
                continue;
            }
            changed = desired.changed() => {
                changed?;
                let is_same = |now: &DesiredNode| now.mesh == node.mesh && now.others == node.others;
                if !desired.borrow().as_deref().is_some_and(is_same) {
                    return Ok(());
                }
                continue;
            }
            () = sleep_until(silent) => return Ok(()),
        }
        let beat = gate.borrow_and_update().beat(started.elapsed());
        let first = beat.encode();
        let beat = Beat { configuration: Some(*configuration.borrow_and_update()), ..beat }.encode();
        for (name, other) in &node.others {
            let beat = if ear.is_of_the_first(name) { &first } else { &beat };
            // One that cannot be sent is a lost one.
            let _ = socket.try_send_to(beat, SocketAddr::new(other.loopback, PORT));
        }
        next = pulse::within(INTERVAL);
    }
}

fn open(own: IpAddr, interface: &str) -> std::io::Result<UdpSocket> {
    let socket =
        Socket::new(Domain::for_address(SocketAddr::new(own, PORT)), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(own, PORT).into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_beat_of_a_known_node_is_heard() {
        let other = OtherNode {
            loopback: "172.31.77.2".parse().unwrap(),
            hub: false,
            drained: false,
            announces: [].into(),
        };
        let others = BTreeMap::from([("bremen".parse().unwrap(), other)]);
        let ear = Ear::default();
        let beat = Gate::default().beat(Duration::ZERO).encode();
        let take =
            |from: &str, octets: &[u8]| ear.take(&others, from.parse().unwrap(), octets, Duration::ZERO);
        assert!(take("172.31.77.3:51853", &beat).unwrap_err().contains("no other node"));
        assert!(take("172.31.77.2:51854", &beat).unwrap_err().contains("no other node"));
        assert!(take("172.31.77.2:51853", &beat[1..]).unwrap_err().contains("bremen sent"));
        assert!(ear.heard().is_empty());
        take("172.31.77.2:51853", &beat).unwrap();
        assert!(ear.is_of_the_first(&"bremen".parse().unwrap()), "it reads no other version");
        assert_eq!(ear.heard().keys().map(NodeName::as_str).collect::<Vec<_>>(), ["bremen"]);
    }
}
