//! Herald: has PowerDNS ask when it is notified, and others told when it will notify them (RFC 1996), both at once.
//!
//! ```text
//! its log grows ─→ it was notified of a zone ─→ freshness: is a primary ahead? then its control socket: retrieve
//!               └→ it will tell others of one ─→ NOTIFY to them
//! ```
//!
//! By itself it does each up to a second later, for its main loop sleeps so long between two looks at what it has to do. It
//! logs at once what that is, so its log is watched (inotify), and read at each look for what was missed. Only an event:
//! PowerDNS asks and tells all the same, and tells again those who have not answered it. So what is sent here is sent once,
//! and as it would send it: unsigned, without a record, from the address that the kernel chooses.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::channel;
use tracing::{debug, warn};

use super::freshness::Freshness;
use super::log::{Log, Said};
use crate::dns::embedded::exchange;
use crate::dns::embedded::tsig::Request;
use crate::dns::external::{DriverError, Place};
use crate::names::DomainName;

/// How long more lines are waited for: many zones change at once.
const GATHER: Duration = Duration::from_millis(5);
/// Answers to what was sent before that are thrown away at a time.
const ANSWERS: usize = 4_096;

/// Watches until it is dropped.
pub(super) struct Herald {
    freshness: Arc<Freshness>,
    log: Mutex<Log>,
    watcher: Mutex<Option<RecommendedWatcher>>,
    /// NOTIFY goes out of these, by IPv4 and by IPv6, as far as there are sockets of that family.
    sockets: [Option<UdpSocket>; 2],
}

impl Herald {
    pub(super) fn new(place: &Place, freshness: Arc<Freshness>) -> Self {
        let log = Mutex::new(Log::new(place.folder.join("powerdns.log")));
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        Self { freshness, log, watcher: Mutex::default(), sockets: any.map(|any| socket(any).ok()) }
    }

    /// Does what its log has said since the last time, and watches it from then on.
    pub(super) async fn look(herald: &Arc<Self>) -> Result<(), DriverError> {
        // One that is not there says nothing.
        let (said, is_other) = lock(&herald.log).read().unwrap_or_default();
        if is_other {
            Self::watch(herald);
        }
        let Said { notified, telling } = said;
        herald.tell(&telling);
        Freshness::notified(&herald.freshness, notified).await
    }

    /// Watches the file that the log is now, instead of the one before.
    fn watch(herald: &Arc<Self>) {
        let path = lock(&herald.log).path().to_owned();
        // A look reads all that there is.
        let (sender, mut receiver) = channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Ok(Event { kind: EventKind::Modify(ModifyKind::Data(_)), .. }) = event {
                let _ = sender.try_send(());
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(&path, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watching.inspect_err(|error| {
            let (log, error) = (path.display(), error.to_string());
            warn!(%log, error, "cannot watch it: PowerDNS asks for new serials, and tells of them, a second late");
        });
        *lock(&herald.watcher) = watcher.ok();
        // Ends with the watcher.
        let herald = Arc::downgrade(herald);
        tokio::spawn(async move {
            while receiver.recv().await.is_some() {
                tokio::time::sleep(GATHER).await;
                let Some(herald) = herald.upgrade() else { return };
                if let Err(error) = Self::look(&herald).await {
                    debug!(%error, "PowerDNS asks for new serials by itself, a second late");
                }
            }
        });
    }

    /// Sends NOTIFY to who will be told. Answers are not waited for: PowerDNS does that, when it sends its own.
    fn tell(&self, telling: &BTreeSet<(DomainName, SocketAddr)>) {
        if telling.is_empty() {
            return;
        }
        let [ipv4, ipv6] = &self.sockets;
        for socket in [ipv4, ipv6].into_iter().flatten() {
            (0..ANSWERS).take_while(|_| socket.recv(&mut [0]).is_ok()).count();
        }
        for (zone, to) in telling {
            let Some(socket) = (if to.is_ipv4() { ipv4 } else { ipv6 }) else { continue };
            let Request { octets, verifier: _ } = Request::notify(exchange::id(), zone, None, None);
            if let Err(error) = socket.send_to(&octets, to) {
                debug!(%zone, target = %to, %error, "PowerDNS tells of a new serial by itself, a second late");
            }
        }
    }
}

fn socket(any: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
