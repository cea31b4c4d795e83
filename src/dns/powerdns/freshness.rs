//! The freshest of several primaries.
//!
//! All primaries of a zone are asked for its serial at once, and it is told to transfer from the one that is ahead. They are
//! asked when the zone is new here, from time to time, and when it logs that it was notified: of several primaries at one
//! address it would ask the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use futures_util::stream::{self, StreamExt};

use super::control;
use super::database::{self, Database};
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
/// Between two looks because of NOTIFY.
const NOTIFIED: Duration = Duration::from_secs(2);
/// Zones that are looked at at once.
const AT_ONCE: usize = 50;
/// How much of its log is read at a look.
const LOG: u64 = 1 << 20;
/// Its words before the name of a zone.
const SAID: &str = "Received NOTIFY for ";

/// Name, primaries, source address, and the key's name, algorithm and secret.
const SEVERAL: &str =
    "SELECT d.name, d.master, coalesce(s.content, ''), coalesce(k.name, ''), coalesce(k.algorithm, ''), \
  coalesce(k.secret, '') FROM domains d
  LEFT JOIN domainmetadata s ON s.domain_id = d.id AND s.kind = 'AXFR-SOURCE'
  LEFT JOIN domainmetadata m ON m.domain_id = d.id AND m.kind = 'AXFR-MASTER-TSIG'
  LEFT JOIN tsigkeys k ON k.name = m.content
  WHERE d.type = 'SLAVE' AND instr(d.master, ',') > 0;
";

/// A zone with several primaries.
#[derive(Clone)]
struct Several {
    name: DomainName,
    primaries: Vec<SocketAddr>,
    from: Option<IpAddr>,
    key: Option<TsigKey>,
}

impl Several {
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

    /// The primary that is ahead of all others.
    async fn freshest(&self) -> Option<(SocketAddr, Serial)> {
        let ask = |primary: &SocketAddr| {
            let primary = *primary;
            async move { Some((primary, self.serial(primary, self.from, self.key.as_ref()).await?)) }
        };
        let answers = futures_util::future::join_all(self.primaries.iter().map(ask)).await;
        answers
            .into_iter()
            .flatten()
            .reduce(|best, other| if other.1.is_newer_than(best.1) { other } else { best })
    }
}

/// Keeps zones with several primaries up to date.
pub(super) struct Freshness {
    place: Place,
    database: Database,
    state: Mutex<State>,
    is_busy: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The zones with several primaries, as they were at this version of the database.
    zones: Vec<Several>,
    version: String,
    /// When each was looked at, and when it is due.
    looked: BTreeMap<DomainName, (Instant, Instant)>,
    /// Up to where its log was read.
    log: Option<u64>,
}

impl Freshness {
    pub(super) fn new(place: &Place, database: Database) -> Self {
        Self { place: place.clone(), database, state: Mutex::default(), is_busy: AtomicBool::new(false) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to look at the zones that are due, unless such a look is under way.
    pub(super) async fn look(freshness: &Arc<Self>) -> Result<(), DriverError> {
        let version = freshness.database.version().await?;
        if freshness.state().version != version {
            let text = freshness.database.run(SEVERAL).await?;
            let zones: Vec<Several> = text.lines().filter_map(Several::read).collect();
            let mut state = freshness.state();
            let names: BTreeSet<&DomainName> = zones.iter().map(|zone| &zone.name).collect();
            state.looked.retain(|name, _| names.contains(name));
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

    /// The zones whose turn it is.
    fn due(&self, now: Instant) -> Vec<Several> {
        let mut state = self.state();
        if state.zones.is_empty() {
            state.log = None;
            return Vec::new();
        }
        let at = state.log;
        let (notified, end) = self.notified(at).unwrap_or_default();
        state.log = Some(end);
        let is_due = |zone: &&Several| match state.looked.get(&zone.name) {
            None => true,
            Some((_, due)) if now >= *due => true,
            Some((looked, _)) => notified.contains(&zone.name) && now.duration_since(*looked) >= NOTIFIED,
        };
        let due: Vec<Several> = state.zones.iter().filter(is_due).cloned().collect();
        // Those whose turn has not come yet have it when the time is up.
        for name in notified {
            if let Some((looked, due)) = state.looked.get_mut(&name) {
                *due = (*due).min(*looked + NOTIFIED);
            }
        }
        due
    }

    /// The zones that its log names as notified since it was read up to `at`, and its length.
    fn notified(&self, at: Option<u64>) -> io::Result<(BTreeSet<DomainName>, u64)> {
        let mut file = File::open(self.place.folder.join("powerdns.log"))?;
        let length = file.metadata()?.len();
        // One that is shorter than it was is a new one.
        let start = at.unwrap_or(length).min(length).max(length.saturating_sub(LOG));
        file.seek(SeekFrom::Start(start))?;
        let mut octets = Vec::new();
        file.take(LOG).read_to_end(&mut octets)?;
        // A line that is being written is read the next time.
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&octets[..whole]);
        let name = |line: &str| line.split_once(SAID)?.1.split(' ').next()?.parse().ok();
        Ok((text.lines().filter_map(name).collect(), start + whole as u64))
    }

    async fn refresh(&self, zone: Several) {
        let (ours, freshest) = tokio::join!(zone.serial(self.place.local, None, None), zone.freshest());
        let pause = match (ours, freshest) {
            (Some(ours), Some((_, serial))) if !serial.is_newer_than(ours) => CALM,
            (_, Some((primary, _))) => {
                let command = format!("RETRIEVE {} {primary}", database::name(&zone.name));
                // What is not taken now is tried again.
                let _ = control::commands(&self.place, std::iter::once(command)).await;
                EAGER
            }
            (_, None) => EAGER,
        };
        let now = Instant::now();
        self.state().looked.insert(zone.name, (now, now + pause));
    }
}
