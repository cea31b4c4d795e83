//! Survey: which serial the daemon serves of each zone, asked of itself.
//!
//! By TCP, many questions on one connection: no rate limit and no lost datagram comes between. Zones that do not answer
//! are asked at every look, though not all at once; the others in turn, all within five minutes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use tokio::io::AsyncWriteExt;
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

/// The last answer of each zone.
pub(super) struct Survey {
    local: SocketAddr,
    answers: BTreeMap<DomainName, Answer>,
    /// Where the sweep goes on.
    at: Option<DomainName>,
    /// When the last part of the sweep was made.
    swept: Option<Instant>,
}

impl Survey {
    pub(super) fn new(local: SocketAddr) -> Self {
        Self { local, answers: BTreeMap::new(), at: None, swept: None }
    }

    pub(super) fn answer(&self, zone: &DomainName) -> Option<Answer> {
        self.answers.get(zone).copied()
    }

    /// Keeps what is known of these zones alone.
    pub(super) fn keep(&mut self, is_there: impl Fn(&DomainName) -> bool) {
        self.answers.retain(|name, _| is_there(name));
    }

    /// Its data may be other data now.
    pub(super) fn forget(&mut self, zone: &DomainName) {
        self.answers.remove(zone);
    }

    /// Whatever is served may be served in another way now: the sweep begins anew.
    pub(super) fn reconsider(&mut self) {
        (self.at, self.swept) = (None, None);
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

    /// Asks those zones of all whose turn it is. Whether anything has changed; or why it does not answer.
    pub(super) async fn next(&mut self, zones: &[DomainName]) -> Result<bool, String> {
        let is_served = |name: &&DomainName| matches!(self.answers.get(*name), Some(Answer::Serial(_)));
        let mut asked: Vec<DomainName> =
            zones.iter().filter(|name| !is_served(name)).take(PRESSING).cloned().collect();
        let now = Instant::now();
        let since = self.swept.map_or(SWEEP, |at| now.duration_since(at));
        let share = (zones.len() as f64 * since.as_secs_f64() / SWEEP.as_secs_f64()).ceil().min(MOST as f64);
        let start = self.at.as_ref().map_or(0, |at| zones.partition_point(|name| name <= at));
        let turn = zones[start..].iter().take(share as usize);
        let turn: Vec<DomainName> = turn.filter(|name| is_served(name)).cloned().collect();
        let end = (start + share as usize).min(zones.len());
        self.at = (end < zones.len()).then(|| zones.get(end.saturating_sub(1)).cloned()).flatten();
        self.swept = Some(now);
        asked.extend(turn);
        if asked.is_empty() {
            return self.reaches().await.map(|()| false);
        }
        self.ask(asked).await
    }

    /// Asks these zones. Whether any answers otherwise than before; or why the daemon does not answer.
    pub(super) async fn ask(&mut self, zones: Vec<DomainName>) -> Result<bool, String> {
        let mut changed = false;
        let mut stream = self.within(TcpStream::connect(self.local)).await?;
        for window in zones.chunks(WINDOW) {
            let answers = self.within(exchange(&mut stream, window)).await?;
            for (name, answer) in window.iter().zip(answers) {
                let Some(answer) = answer else { continue };
                let before = self.answers.get(name).copied();
                let served = matches!(before, Some(Answer::Serial(_) | Answer::Failed { served: true, .. }));
                let answer = match answer {
                    Ok(serial) => Answer::Serial(serial),
                    Err(code) => Answer::Failed { code, served },
                };
                changed |= before != Some(answer);
                self.answers.insert(name.clone(), answer);
            }
        }
        Ok(changed)
    }
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
    for _ in zones {
        let message = read_message(stream).await?;
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
