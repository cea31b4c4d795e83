//! Survey: which serial the daemon serves of each zone, asked of itself.
//!
//! By TCP, many questions on one connection: no rate limit and no lost datagram comes between. Zones that do not answer
//! are asked at every look, though not all at once; the others in turn, all within five minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dns::embedded::exchange::{question, read_message};
use crate::names::{DomainName, Serial};

/// Questions on their way at once.
const WINDOW: usize = 100;
/// For one window of answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// Zones that are asked at one look because they did not answer.
const PRESSING: usize = 2_000;
/// All zones are asked within this.
const SWEEP: Duration = Duration::from_secs(240);
/// Zones that are asked in turn at one look, at most.
const MOST: usize = 2_000;

/// What a zone answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is served with this serial.
    Serial(Serial),
    /// It is not served.
    Failed {
        /// What the daemon said instead.
        code: &'static str,
        /// Whether it was served before.
        served: bool,
    },
}

/// The zones that are asked about, each with its last answer.
pub(super) struct Survey {
    local: SocketAddr,
    zones: BTreeSet<DomainName>,
    answers: BTreeMap<DomainName, Answer>,
    /// Those of them that are not known to be served.
    open: BTreeSet<DomainName>,
    /// Those that began to fail, until somebody has asked for them.
    failing: BTreeSet<DomainName>,
    /// Where the next look goes on: among all, and among the open ones.
    at: [Option<DomainName>; 2],
    /// When the last part of the sweep was made.
    swept: Option<Instant>,
}

impl Survey {
    pub(super) fn new(local: SocketAddr) -> Self {
        let (zones, open, failing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { local, zones, answers: BTreeMap::new(), open, failing, at: [None, None], swept: None }
    }

    pub(super) fn answer(&self, zone: &DomainName) -> Option<Answer> {
        self.answers.get(zone).copied()
    }

    /// Asks about these zones from now on.
    pub(super) fn cover<'a>(&mut self, zones: impl Iterator<Item = &'a DomainName>) {
        self.zones = zones.cloned().collect();
        self.answers.retain(|zone, _| self.zones.contains(zone));
        let is_open = |zone: &&DomainName| !matches!(self.answers.get(*zone), Some(Answer::Serial(_)));
        self.open = self.zones.iter().filter(is_open).cloned().collect();
    }

    /// Its data may be other data now.
    pub(super) fn forget(&mut self, zone: &DomainName) {
        if self.answers.remove(zone).is_some() {
            self.open.insert(zone.clone());
        }
    }

    /// Whether it is another answer than before.
    fn note(&mut self, zone: &DomainName, answer: Answer) -> bool {
        if !self.zones.contains(zone) {
            return false;
        }
        match answer {
            Answer::Serial(_) => self.open.remove(zone),
            Answer::Failed { .. } => self.open.insert(zone.clone()),
        };
        let before = self.answers.insert(zone.clone(), answer);
        if matches!(answer, Answer::Failed { .. }) && !matches!(before, Some(Answer::Failed { .. })) {
            self.failing.insert(zone.clone());
        }
        before != Some(answer)
    }

    /// The zones that began to fail since this was asked last, or were given back.
    pub(super) fn take_failing(&mut self) -> BTreeSet<DomainName> {
        std::mem::take(&mut self.failing)
    }

    /// Nothing could be done about these now.
    pub(super) fn give_back(&mut self, failing: BTreeSet<DomainName>) {
        self.failing.extend(failing);
        self.failing.retain(|zone| self.open.contains(zone));
    }

    /// Whatever is served may be served in another way now: the sweep begins anew.
    pub(super) fn reconsider(&mut self) {
        (self.at, self.swept) = ([None, None], None);
    }

    /// Whether the daemon answers at all.
    pub(super) async fn reaches(&self) -> Result<(), String> {
        let root = DomainName::root();
        let ask = async {
            let mut stream = TcpStream::connect(self.local).await?;
            exchange(&mut stream, std::slice::from_ref(&root)).await
        };
        self.within(ask).await.map(drop)
    }

    async fn within<T>(&self, ask: impl Future<Output = std::io::Result<T>>) -> Result<T, String> {
        match timeout(PATIENCE, ask).await {
            Ok(answered) => answered.map_err(|error| format!("{}: {error}", self.local)),
            Err(_) => Err(format!("{} gave no answer within {} s", self.local, PATIENCE.as_secs())),
        }
    }

    /// Asks those zones whose turn it is, and nothing of the others: a look costs the same whatever their number. Whether
    /// anything has changed; or why the daemon does not answer.
    pub(super) async fn next(&mut self) -> Result<bool, String> {
        let now = Instant::now();
        let since = self.swept.map_or(SWEEP, |at| now.duration_since(at));
        let share = (self.zones.len() as f64 * since.as_secs_f64() / SWEEP.as_secs_f64()).ceil();
        self.swept = Some(now);
        let [at, open_at] = &mut self.at;
        let mut asked = turn(&self.open, open_at, PRESSING);
        asked.extend(turn(&self.zones, at, (share as usize).min(MOST)));
        asked.sort();
        asked.dedup();
        if asked.is_empty() {
            return self.reaches().await.map(|()| false);
        }
        self.ask(asked).await
    }

    /// Those of these zones that it serves; nothing is noted.
    pub(super) async fn served(&self, zones: &[DomainName]) -> Result<Vec<DomainName>, String> {
        let mut served = Vec::new();
        let mut stream = self.within(TcpStream::connect(self.local)).await?;
        for window in zones.chunks(WINDOW) {
            let answers = self.within(exchange(&mut stream, window)).await?;
            let answered = window.iter().zip(answers).filter(|(_, answer)| matches!(answer, Some(Ok(_))));
            served.extend(answered.map(|(name, _)| name.clone()));
        }
        Ok(served)
    }

    /// Asks these zones. Whether any answers otherwise than before; or why the daemon does not answer.
    pub(super) async fn ask(&mut self, zones: Vec<DomainName>) -> Result<bool, String> {
        let mut changed = false;
        let mut stream = self.within(TcpStream::connect(self.local)).await?;
        for window in zones.chunks(WINDOW) {
            let answers = self.within(exchange(&mut stream, window)).await?;
            for (name, answer) in window.iter().zip(answers) {
                let Some(answer) = answer else { continue };
                let before = self.answer(name);
                let served = matches!(before, Some(Answer::Serial(_) | Answer::Failed { served: true, .. }));
                changed |= self.note(
                    name,
                    match answer {
                        Ok(serial) => Answer::Serial(serial),
                        Err(code) => Answer::Failed { code, served },
                    },
                );
            }
        }
        Ok(changed)
    }
}

/// The next few of these, after where the last turn ended; from the start again once it came to the end.
fn turn(all: &BTreeSet<DomainName>, at: &mut Option<DomainName>, count: usize) -> Vec<DomainName> {
    let after = at.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let next: Vec<DomainName> =
        all.range::<DomainName, _>((after, Bound::Unbounded)).take(count).cloned().collect();
    *at = if next.len() < count { None } else { next.last().cloned() };
    next
}

type Answered = Option<Result<Serial, &'static str>>;

/// Asks for the SOA records of some zones; the answers in the order of the zones.
async fn exchange(stream: &mut TcpStream, zones: &[DomainName]) -> std::io::Result<Vec<Answered>> {
    let mut octets = Vec::new();
    for (id, zone) in (0u16..).zip(zones) {
        octets.extend(framed(zone, id));
    }
    stream.write_all(&octets).await?;
    let mut answers: Vec<Answered> = vec![None; zones.len()];
    // Many answers in one call of the kernel: this is most of what a look costs.
    let mut stream = BufReader::new(stream);
    for _ in zones {
        let message = read_message(&mut stream).await?;
        let Ok(message) = Message::from_vec(&message) else { continue };
        if let Some(answer) = answers.get_mut(usize::from(message.metadata.id)) {
            *answer = Some(judge(&message));
        }
    }
    Ok(answers)
}

fn framed(zone: &DomainName, id: u16) -> Vec<u8> {
    let mut message = question(zone, RecordType::SOA);
    message.metadata.id = id;
    // A question about a name always has a form.
    let octets = message.to_vec().unwrap_or_default();
    let length = u16::try_from(octets.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], &octets].concat()
}

fn judge(message: &Message) -> Result<Serial, &'static str> {
    let serial = message.answers.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(Serial(soa.serial))
    });
    match (message.metadata.response_code, message.metadata.authoritative, serial) {
        (ResponseCode::NoError, true, Some(serial)) => Ok(serial),
        (ResponseCode::NoError, ..) => Err("its answer has no authoritative SOA"),
        (ResponseCode::ServFail, ..) => Err("it answers SERVFAIL: it has no data, or data that has expired"),
        (ResponseCode::Refused, ..) => Err("it answers REFUSED: it does not know the zone"),
        (ResponseCode::NotAuth, ..) => Err("it answers NOTAUTH: it does not know the zone"),
        (ResponseCode::NXDomain, ..) => Err("it answers NXDOMAIN: it does not know the zone"),
        _ => Err("it answers with an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> DomainName {
        format!("z{number:03}.example").parse().unwrap()
    }

    #[test]
    fn every_zone_has_its_turn() {
        let all: BTreeSet<DomainName> = (0..10).map(name).collect();
        let mut at = None;
        let mut turns = Vec::new();
        for _ in 0..4 {
            turns.push(turn(&all, &mut at, 4).len());
        }
        assert_eq!(turns, [4, 4, 2, 4]);
        assert_eq!(at, Some(name(3)));
        assert_eq!(turn(&BTreeSet::new(), &mut at, 4), []);
    }

    #[test]
    fn what_is_not_served_stays_open() {
        let mut survey = Survey::new(([127, 0, 0, 1], 1).into());
        survey.cover([name(1), name(2)].iter());
        let (served, failed) =
            (Answer::Serial(Serial(1)), Answer::Failed { code: "SERVFAIL", served: false });
        assert!(survey.note(&name(1), served));
        assert!(!survey.note(&name(1), served), "nothing new");
        assert!(survey.note(&name(2), failed));
        assert!(!survey.note(&name(3), served), "nobody asked about it");
        assert_eq!(survey.open, [name(2)].into());
        assert_eq!(survey.take_failing(), [name(2)].into());
        survey.note(&name(2), failed);
        assert_eq!(survey.take_failing(), BTreeSet::new(), "it fails still");
        survey.give_back([name(1), name(2)].into());
        assert_eq!(survey.take_failing(), [name(2)].into(), "the other one is served");
        survey.forget(&name(1));
        assert_eq!(survey.open, [name(1), name(2)].into());
        survey.note(&name(1), served);
        survey.cover([name(1), name(4)].iter());
        assert_eq!((survey.open.clone(), survey.answer(&name(2))), ([name(4)].into(), None));
    }
}
