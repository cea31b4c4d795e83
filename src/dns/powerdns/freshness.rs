//! Freshness: whether a primary is ahead of a zone, and which of several is the freshest.
//!
//! All primaries of a zone are asked for its serial at once, and it is told to transfer from the one that is ahead. They are
//! asked when it was notified of the zone; and where there are several, of which it would itself ask one, when the zone is
//! new here and from time to time, too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::control;
use super::database::{self, Database, quoted};
use crate::dns::embedded::rdata::rtype;
use crate::dns::embedded::tsig::Request;
use crate::dns::embedded::{exchange, incoming};
use crate::dns::external::{DriverError, Place};
use crate::keyring::{Secret, TsigAlgorithm, TsigKey};
use crate::names::{DomainName, Serial};

/// Between two looks at a zone that is up to date. A NOTIFY, and what PowerDNS asks at the refresh time, come sooner.
const CALM: Duration = Duration::from_secs(600);
/// Between two looks at a zone that is behind, or has no data.
const EAGER: Duration = Duration::from_secs(15);
/// Between two looks because of NOTIFY: as often as it asks by itself.
const NOTIFIED: Duration = Duration::from_secs(1);
/// How long the others are waited for once one is found ahead.
const OTHERS: Duration = Duration::from_millis(250);
/// Zones that are looked at at once.
const AT_ONCE: usize = 50;

/// Zones by transfer: name, primaries, source address, and the key's name, algorithm and secret.
const ZONES: &str =
    "SELECT d.name, d.master, coalesce(s.content, ''), coalesce(k.name, ''), coalesce(k.algorithm, ''), \
  coalesce(k.secret, '') FROM domains d
  LEFT JOIN domainmetadata s ON s.domain_id = d.id AND s.kind = 'AXFR-SOURCE'
  LEFT JOIN domainmetadata m ON m.domain_id = d.id AND m.kind = 'AXFR-MASTER-TSIG'
  LEFT JOIN tsigkeys k ON k.name = m.content
  WHERE d.type = 'SLAVE' AND ";
/// Those of them that have several primaries.
const SEVERAL: &str = "instr(d.master, ',') > 0";

/// A zone by transfer.
#[derive(Clone)]
struct Zone {
    name: DomainName,
    primaries: Vec<SocketAddr>,
    from: Option<IpAddr>,
    key: Option<TsigKey>,
}

impl Zone {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, primaries, from, key, algorithm, secret] = fields[..] else { return None };
        let algorithms = [TsigAlgorithm::HmacSha256, TsigAlgorithm::HmacSha384, TsigAlgorithm::HmacSha512];
        let key = match key {
            "" => None,
            key => Some(TsigKey {
                name: key.parse().ok()?,
                algorithm: algorithms.into_iter().find(|known| known.word() == algorithm)?,
                secret: Secret::new(Base64::decode_vec(secret).ok()?),
            }),
        };
        let primaries = primaries.split(',').filter_map(|primary| primary.parse().ok()).collect();
        Some(Self { name: name.parse().ok()?, primaries, from: from.parse().ok(), key })
    }

    /// The serial that somebody has.
    async fn serial(&self, of: SocketAddr, from: Option<IpAddr>, key: Option<&TsigKey>) -> Option<Serial> {
        let id = exchange::id();
        let Request { octets, mut verifier } = Request::new(id, &self.name, rtype::SOA, None, None, key);
        let answer = exchange::ask_insisting(of, from.filter(|from| from.is_ipv4() == of.is_ipv4()), &octets)
            .await
            .ok()?;
        verifier.message(&answer).ok()?;
        incoming::soa_answer(id, &self.name, &answer).ok()
    }

    /// The primary that is ahead of all others. Those that do not answer do not hold up a serial that we do not have.
    async fn freshest(&self, ours: Option<Serial>) -> Option<(SocketAddr, Serial)> {
        let ask = |primary: &SocketAddr| {
            let primary = *primary;
            async move { Some((primary, self.serial(primary, self.from, self.key.as_ref()).await?)) }
        };
        let mut answers: FuturesUnordered<_> = self.primaries.iter().map(ask).collect();
        let mut best: Option<(SocketAddr, Serial)> = None;
        let mut until = None;
        loop {
            let next = match until {
                None => answers.next().await,
                Some(until) => timeout_at(until, answers.next()).await.unwrap_or_default(),
            };
            match next {
                None => return best,
                Some(None) => {}
                Some(Some(answer)) => {
                    if best.is_none_or(|best| answer.1.is_newer_than(best.1)) {
                        best = Some(answer);
                    }
                    if until.is_none() && ours.is_none_or(|ours| answer.1.is_newer_than(ours)) {
                        until = Some(Instant::now() + OTHERS);
                    }
                }
            }
        }
    }
}

/// Keeps zones by transfer up to date.
pub(super) struct Freshness {
    place: Place,
    database: Database,
    state: Mutex<State>,
    is_busy: AtomicBool,
    /// For zones that it was notified of.
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    /// The zones with several primaries, as they were at this version of the database.
    zones: Vec<Zone>,
    version: String,
    /// When each of them is due.
    due: BTreeMap<DomainName, Instant>,
    /// The zones that were looked at just now because of NOTIFY, and whether there was one since.
    notified: BTreeMap<DomainName, (Instant, bool)>,
}

impl State {
    /// Those of these zones whose turn it is. The others have it when the time is up.
    fn admit(&mut self, zones: BTreeSet<DomainName>, now: Instant) -> BTreeSet<DomainName> {
        let mut admitted = BTreeSet::new();
        for zone in zones {
            match self.notified.get_mut(&zone) {
                Some((at, is_again)) if now.duration_since(*at) < NOTIFIED => *is_again = true,
                Some(_) | None => {
                    self.notified.insert(zone.clone(), (now, false));
                    admitted.insert(zone);
                }
            }
        }
        admitted
    }

    /// Those whose time is up and of which there was another NOTIFY in it.
    fn again(&mut self, now: Instant) -> BTreeSet<DomainName> {
        let is_over = |(at, _): &(Instant, bool)| now.duration_since(*at) >= NOTIFIED;
        let over = self.notified.extract_if(.., |_, state| is_over(state));
        over.filter(|(_, (_, is_again))| *is_again).map(|(zone, _)| zone).collect()
    }
}

impl Freshness {
    pub(super) fn new(place: &Place, database: Database) -> Self {
        Self {
            place: place.clone(),
            database,
            state: Mutex::default(),
            is_busy: AtomicBool::new(false),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at zones that it was notified of. It asks for them by itself as well, only later.
    pub(super) async fn notified(
        freshness: &Arc<Self>,
        zones: BTreeSet<DomainName>,
    ) -> Result<(), DriverError> {
        let zones = freshness.state().admit(zones, Instant::now());
        if zones.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = zones.iter().map(|zone| quoted(&database::name(zone))).collect();
        for zone in freshness.read(&format!("d.name IN ({})", names.join(", "))).await? {
            let Ok(place) = Arc::clone(&freshness.places).try_acquire_owned() else {
                freshness.state().admit([zone.name].into(), Instant::now());
                continue;
            };
            let freshness = Arc::clone(freshness);
            tokio::spawn(async move {
                freshness.refresh(zone).await;
                drop(place);
            });
        }
        Ok(())
    }

    /// Begins to look at the zones that are due, unless such a look is under way.
    pub(super) async fn look(freshness: &Arc<Self>) -> Result<(), DriverError> {
        let again = freshness.state().again(Instant::now());
        Self::notified(freshness, again).await?;
        let version = freshness.database.version().await?;
        if freshness.state().version != version {
            let zones = freshness.read(SEVERAL).await?;
            let mut state = freshness.state();
            let names: BTreeSet<&DomainName> = zones.iter().map(|zone| &zone.name).collect();
            state.due.retain(|name, _| names.contains(name));
            (state.zones, state.version) = (zones, version);
        }
        if freshness.is_busy.load(Ordering::Acquire) {
            return Ok(());
        }
        let due = freshness.due(Instant::now());
        if !due.is_empty() {
            freshness.is_busy.store(true, Ordering::Release);
            let freshness = Arc::clone(freshness);
            tokio::spawn(async move {
                stream::iter(due).for_each_concurrent(AT_ONCE, |zone| freshness.refresh(zone)).await;
                freshness.is_busy.store(false, Ordering::Release);
            });
        }
        Ok(())
    }

    /// The zones by transfer of which this holds.
    async fn read(&self, condition: &str) -> Result<Vec<Zone>, DriverError> {
        let text = self.database.run(&format!("{ZONES}{condition};\n")).await?;
        Ok(text.lines().filter_map(Zone::read).collect())
    }

    /// The zones with several primaries whose turn it is.
    fn due(&self, now: Instant) -> Vec<Zone> {
        let state = self.state();
        let is_due = |zone: &&Zone| state.due.get(&zone.name).is_none_or(|due| now >= *due);
        state.zones.iter().filter(is_due).cloned().collect()
    }

    async fn refresh(&self, zone: Zone) {
        let ours = zone.serial(self.place.local, None, None).await;
        let pause = match (ours, zone.freshest(ours).await) {
            (Some(ours), Some((_, serial))) if !serial.is_newer_than(ours) => CALM,
            (_, Some((primary, _))) => {
                let command = format!("RETRIEVE {} {primary}", database::name(&zone.name));
                // What is not taken now is tried again.
                let _ = control::commands(&self.place, std::iter::once(command)).await;
                EAGER
            }
            (_, None) => EAGER,
        };
        if zone.primaries.len() > 1 {
            self.state().due.insert(zone.name, Instant::now() + pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    #[test]
    fn a_flood_of_notifies_has_a_zone_looked_at_now_and_once_the_time_is_up() {
        let (mut state, start) = (State::default(), Instant::now());
        let zones = |names: &[&str]| -> BTreeSet<DomainName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        assert_eq!(state.admit(zones(&["a.example"]), start), zones(&["a.example"]));
        for _ in 0..100 {
            assert_eq!(state.admit(zones(&["a.example"]), start), zones(&[]));
        }
        assert_eq!(state.admit(zones(&["a.example", "b.example"]), start), zones(&["b.example"]));
        assert_eq!(state.again(start + NOTIFIED / 2), zones(&[]));
        assert_eq!(state.again(start + NOTIFIED), zones(&["a.example"]));
        assert!(state.notified.is_empty());
        // Nobody has to have looked meanwhile.
        assert_eq!(state.admit(zones(&["b.example"]), start), zones(&["b.example"]));
        assert_eq!(state.admit(zones(&["b.example"]), start + NOTIFIED), zones(&["b.example"]));
        assert_eq!(state.again(start + NOTIFIED * 2), zones(&[]));
    }

    /// Answers with this serial.
    async fn answer(socket: UdpSocket, serial: u32) {
        let mut query = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut query).await {
            let numbers = [serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat();
            let head = [&query[..2], &[0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0]].concat();
            let soa = [&[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 60, 0, 22, 0, 0][..], &numbers].concat();
            socket.send_to(&[&head, &query[12..length], &soa].concat(), peer).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_freshest_is_found_and_who_is_silent_does_not_hold_it_up() {
        let mut primaries = Vec::new();
        for serial in [7, 9, 8] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            primaries.push(socket.local_addr().unwrap());
            tokio::spawn(answer(socket, serial));
        }
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        primaries.push(silent.local_addr().unwrap());
        let zone = Zone { name: "a.example".parse().unwrap(), primaries, from: None, key: None };
        let asked = || (0..).take_while(|_| silent.try_recv(&mut [0; 512]).is_ok()).count();
        let freshest = Some((zone.primaries[1], Serial(9)));
        assert_eq!(zone.freshest(Some(Serial(7))).await, freshest);
        assert_eq!(asked(), 1, "it was waited for until it was asked a second time");
        // With nothing ahead there is no hurry.
        assert_eq!(zone.freshest(Some(Serial(9))).await, freshest);
        assert_eq!(asked(), 2);
    }
}
