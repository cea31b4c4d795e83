//! Beat: what a node tells the others every two seconds, in one datagram over the mesh.
//!
//! ```text
//! octet  0        1      2      3      4…11      12…19   20…23      24…27         28…31     32…35     36…39
//!        version  state  class  flags  revision  zones   class age  revision age  clean v4  clean v6  good
//! octet  40…43    44…47  48…51    52…55    56…59     60…67  68…75
//!        queries  zones  failing  expired  lagging   runs   rejects
//! ```
//! Numbers are in network byte order; ages are in milliseconds before the datagram was sent, so that no two clocks
//! need to agree. All bits set is "never" or "not known"; zero is "none" of revisions and configurations.
//!
//! Version 1 ends after octet 59, says nothing of configurations, and is all that its agents read: of anything else they
//! take the sender for silent. So whoever is heard in version 1 is answered in version 1. From version 2 on, a later one is
//! read as the latest that is known: it may only add octets at the end, and flags.
//!
//! Who sent it is not in it: the mesh says so, by the address.

use std::collections::BTreeMap;
use std::time::Duration;

use super::class::Class;
use super::state::State;
use crate::desired::model::HealthPolicy;
use crate::routing::Family;

/// Where nodes listen for beats, on their mesh loopbacks.
pub const PORT: u16 = 51853;
/// How often a node sends one, at least.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// How long one counts.
pub const STALE: Duration = Duration::from_secs(10);
/// The length of a beat.
pub const LENGTH: usize = 76;
/// Beats of later versions may be longer; more than this is not read.
pub const LONGEST: usize = 512;

/// The length of a beat of version 1.
const FIRST_LENGTH: usize = 60;
const VERSION: u8 = 2;
/// Announced in IPv4, in IPv6, and whether the configuration is good.
const FLAGS: [u8; 3] = [1, 2, 4];
const NEVER: u32 = u32::MAX;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Where its gate is.
    pub state: State,
    /// What is wrong with it.
    pub class: Option<Class>,
    /// For how long.
    pub class_age: Duration,
    /// The beginning of the id of the revision that it runs; zero for none.
    pub revision: u64,
    /// For how long.
    pub revision_age: Duration,
    /// The beginning of the fingerprint of the zones that it serves.
    pub digest: u64,
    /// What it does in each family.
    pub reach: BTreeMap<Family, Reach>,
    /// How long ago its last cycle began in which nothing at all was wrong.
    pub good_age: Option<Duration>,
    /// How often it is asked, where its name server counts.
    pub queries_per_second: Option<u32>,
    /// Zones that it should serve.
    pub zones: u32,
    /// Zones of these that gave no good answer when they were last asked for.
    pub failing: u32,
    /// Zones past their SOA expire time.
    pub expired: u32,
    /// Zones that are behind a hub for too long.
    pub lagging: u32,
    /// Its configuration; `None` in version 1.
    pub configuration: Option<ConfigurationBeat>,
}

/// What a node says of its configuration (`crate::rollout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConfigurationBeat {
    /// The beginning of the digest of the one that it runs; zero for none.
    pub runs: u64,
    /// Whether it has been well with that for long enough.
    pub good: bool,
    /// The beginning of the digest of the newest one, where it failed here; zero if not.
    pub rejects: u64,
}

/// What a node does in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Whether it announces all prefixes of the family to a peer, and means to go on.
    pub announces: bool,
    /// How long ago its last cycle began in which all its addresses of the family answered.
    pub clean_age: Option<Duration>,
}

impl Beat {
    /// As octets: in version 1 where it says nothing of a configuration.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = vec![0; if self.configuration.is_some() { LENGTH } else { FIRST_LENGTH }];
        let reach = Family::ALL.map(|family| self.reach.get(&family).copied().unwrap_or_default());
        octets[0] = 1;
        octets[1] = number(State::ALL, self.state);
        octets[2] = self.class.map_or(0, |class| number(Class::ALL, class) + 1);
        let good = self.configuration.is_some_and(|configuration| configuration.good);
        let flags = FLAGS.into_iter().zip([reach[0].announces, reach[1].announces, good]);
        octets[3] = flags.filter(|(_, is_set)| *is_set).fold(0, |all, (flag, _)| all | flag);
        octets[4..12].copy_from_slice(&self.revision.to_be_bytes());
        octets[12..20].copy_from_slice(&self.digest.to_be_bytes());
        let ages = [
            Some(self.class_age),
            Some(self.revision_age),
            reach[0].clean_age,
            reach[1].clean_age,
            self.good_age,
        ];
        let counts = [self.zones, self.failing, self.expired, self.lagging];
        let words = ages.map(age).into_iter().chain([self.queries_per_second.unwrap_or(NEVER)]).chain(counts);
        for (room, word) in octets[20..FIRST_LENGTH].chunks_exact_mut(4).zip(words) {
            room.copy_from_slice(&word.to_be_bytes());
        }
        if let Some(ConfigurationBeat { runs, good: _, rejects }) = self.configuration {
            octets[0] = VERSION;
            octets[60..68].copy_from_slice(&runs.to_be_bytes());
            octets[68..76].copy_from_slice(&rejects.to_be_bytes());
        }
        octets
    }

    /// From octets; the error says what is wrong with them.
    pub fn decode(octets: &[u8]) -> Result<Self, String> {
        let length = octets.len();
        let (first, rest) = octets.split_first_chunk::<FIRST_LENGTH>().ok_or_else(|| {
            format!("a beat of {length} octets, where {FIRST_LENGTH} or more were expected")
        })?;
        let octets = first;
        let configuration = match (octets[0], rest.first_chunk::<16>()) {
            (0, _) => return Err("a beat of version 0".to_owned()),
            (1, _) if !rest.is_empty() => {
                return Err(format!(
                    "a beat of version 1 of {length} octets, where {FIRST_LENGTH} were expected"
                ));
            }
            (1, _) => None,
            (version, None) => {
                return Err(format!(
                    "a beat of version {version} of {length} octets, where {LENGTH} or more were expected"
                ));
            }
            (_, Some(words)) => Some(ConfigurationBeat {
                runs: long(&words[..8]),
                good: octets[3] & FLAGS[2] != 0,
                rejects: long(&words[8..]),
            }),
        };
        let state = at(State::ALL, octets[1]).ok_or_else(|| format!("a beat of a state {}", octets[1]))?;
        let class = match octets[2].checked_sub(1) {
            None => None,
            Some(index) => {
                Some(at(Class::ALL, index).ok_or_else(|| format!("a beat of a class {}", octets[2]))?)
            }
        };
        let known = match octets[0] {
            1 => FLAGS[0] | FLAGS[1],
            2 => FLAGS[0] | FLAGS[1] | FLAGS[2],
            _ => u8::MAX,
        };
        if octets[3] & !known != 0 {
            return Err(format!("a beat with unknown flags {:#x}", octets[3]));
        }
        let mut words = octets[20..]
            .chunks_exact(4)
            .map(|word| word.iter().fold(0, |all, octet| all << 8 | u32::from(*octet)));
        let mut word = || words.next().unwrap_or(NEVER);
        let (class_age, revision_age) = (word(), word());
        let clean = [word(), word()];
        let (good, queries) = (word(), word());
        let reach = (0..).zip(Family::ALL.into_iter().zip(clean)).map(|(bit, (family, clean))| {
            let announces = octets[3] & 1 << bit != 0;
            (family, Reach { announces, clean_age: ago(clean) })
        });
        Ok(Self {
            state,
            class,
            class_age: ago(class_age).unwrap_or(Duration::MAX),
            revision: long(&octets[4..12]),
            revision_age: ago(revision_age).unwrap_or(Duration::MAX),
            digest: long(&octets[12..20]),
            reach: reach.collect(),
            good_age: ago(good),
            queries_per_second: (queries != NEVER).then_some(queries),
            zones: word(),
            failing: word(),
            expired: word(),
            lagging: word(),
            configuration,
        })
    }

    /// What it does in one family.
    pub fn reach(&self, family: Family) -> Reach {
        self.reach.get(&family).copied().unwrap_or_default()
    }
}

/// A beat, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// What it says.
    pub beat: Beat,
    /// When it came.
    pub at: Duration,
}

impl Heard {
    /// Whether it still counts.
    pub fn is_fresh(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < STALE
    }

    /// Since when it is in its class.
    pub(super) fn class_since(&self) -> Duration {
        self.at.saturating_sub(self.beat.class_age)
    }

    /// Since when it runs its revision.
    pub(super) fn revision_since(&self) -> Duration {
        self.at.saturating_sub(self.beat.revision_age)
    }

    /// Whether it was well at a time after this one, beyond the doubt that the datagram's own journey leaves: it may
    /// have taken as long as an answer may.
    pub(super) fn was_well(&self, age: Option<Duration>, after: Duration, policy: &HealthPolicy) -> bool {
        age.and_then(|age| self.at.checked_sub(age)).is_some_and(|well| well > after + policy.timeout)
    }
}

fn number<T: PartialEq, const N: usize>(all: [T; N], one: T) -> u8 {
    all.iter().zip(0..).find(|(other, _)| **other == one).map_or(u8::MAX, |(_, number)| number)
}

fn at<T: Copy, const N: usize>(all: [T; N], index: u8) -> Option<T> {
    all.get(usize::from(index)).copied()
}

fn age(duration: Option<Duration>) -> u32 {
    duration.and_then(|duration| u32::try_from(duration.as_millis()).ok()).unwrap_or(NEVER)
}

fn ago(word: u32) -> Option<Duration> {
    (word != NEVER).then(|| Duration::from_millis(word.into()))
}

fn long(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |all, octet| all << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat() -> Beat {
        Beat {
            state: State::Held,
            class: Some(Class::Isolated),
            class_age: Duration::from_millis(1500),
            revision: 0x0102_0304_0506_0708,
            revision_age: Duration::from_secs(60),
            digest: 9,
            reach: [
                (Family::V4, Reach { announces: true, clean_age: Some(Duration::ZERO) }),
                (Family::V6, Reach { announces: false, clean_age: None }),
            ]
            .into(),
            good_age: Some(Duration::from_millis(7)),
            queries_per_second: None,
            zones: 1,
            failing: 2,
            expired: 3,
            lagging: 4,
            configuration: Some(ConfigurationBeat { runs: 5, good: true, rejects: 6 }),
        }
    }

    #[test]
    fn a_beat_survives_the_way() {
        assert_eq!(Beat::decode(&beat().encode()), Ok(beat()));
        for state in State::ALL {
            for class in Class::ALL.map(Some).into_iter().chain([None]) {
                let beat = Beat { state, class, queries_per_second: Some(5), ..beat() };
                assert_eq!(Beat::decode(&beat.encode()), Ok(beat));
            }
        }
    }

    #[test]
    fn versions_that_differ_understand_each_other() {
        let first = Beat { configuration: None, ..beat() };
        assert_eq!((first.encode()[0], first.encode().len()), (1, FIRST_LENGTH));
        assert_eq!(Beat::decode(&first.encode()), Ok(first));
        // A later one has more at the end, and flags of which nothing is known here.
        let mut later = beat().encode();
        later[0] = 3;
        later[3] |= 0x80;
        later.extend([9; 20]);
        assert_eq!(Beat::decode(&later), Ok(beat()));
    }

    #[test]
    fn what_is_no_beat_is_refused() {
        let spoilt = |at: usize, with: u8| {
            let mut octets = beat().encode();
            octets[at] = with;
            Beat::decode(&octets).unwrap_err()
        };
        assert!(spoilt(0, 0).contains("version 0"));
        assert!(spoilt(0, 1).contains("76 octets"));
        assert!(spoilt(1, 8).contains("state 8"));
        assert!(spoilt(2, 6).contains("class 6"));
        assert!(spoilt(3, 8).contains("flags 0x8"));
        assert!(Beat::decode(&[]).unwrap_err().contains("0 octets"));
        assert!(Beat::decode(&[2; 75]).unwrap_err().contains("75 octets"));
    }
}
