//! The zones that all servers serve, and the queries that they are asked.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Zones of eleven records.
pub const ZONES: usize = 1_000;
/// The name of the signed zone, and how many names with an address it has.
pub const SIGNED: &str = "signed.test";
const SIGNED_NAMES: usize = 300;
/// Queries of each list. Their place in it is their id.
const QUERIES: usize = 8_192;

/// The apexes of all zones.
pub fn apexes() -> impl Iterator<Item = String> {
    (0..ZONES).map(|number| format!("z{number}.test")).chain([SIGNED.to_owned()])
}

/// Writes the zones' files, `<apex>.zone` each.
pub fn write(folder: &Path) {
    for apex in apexes() {
        fs::write(folder.join(format!("{apex}.zone")), ordinary(&apex)).unwrap();
    }
    let mut text = ordinary(SIGNED);
    text.extend((0..SIGNED_NAMES).map(|number| format!("n{number} A 198.51.100.{}\n", number % 250)));
    let unsigned = folder.join("unsigned");
    fs::write(&unsigned, text).unwrap();
    sign(folder);
    fs::remove_file(unsigned).unwrap();
}

fn ordinary(apex: &str) -> String {
    format!(
        "$ORIGIN {apex}.\n$TTL 3600\n@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\n\
         ns2 A 192.0.2.2\nwww A 192.0.2.80\nwww AAAA 2001:db8::80\nmail A 192.0.2.25\n*.wild A 192.0.2.7\n\
         sub NS ns.sub\nns.sub A 192.0.2.9\n"
    )
}

/// BIND's signer, since its output has one record a line.
fn sign(folder: &Path) {
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).current_dir(folder).stderr(Stdio::piped()).output();
        let done = done.unwrap_or_else(|error| panic!("{program}: {error}; apt-get install bind9-utils"));
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let keys = ["-a", "ECDSAP256SHA256", "-f", "KSK", SIGNED];
    let ksk = run("dnssec-keygen", &keys);
    let zsk = run("dnssec-keygen", &[&keys[..2], &keys[4..]].concat());
    let include = |key: &str| fs::read_to_string(folder.join(format!("{key}.key"))).unwrap();
    let unsigned = fs::read_to_string(folder.join("unsigned")).unwrap();
    fs::write(folder.join("unsigned"), format!("{unsigned}{}{}", include(&ksk), include(&zsk))).unwrap();
    let signed = format!("{SIGNED}.zone");
    run(
        "dnssec-signzone",
        &[
            "-P",
            "-O",
            "full",
            "-e",
            "now+31536000",
            "-o",
            SIGNED,
            "-f",
            &signed,
            "-k",
            &ksk,
            "unsigned",
            &zsk,
        ],
    );
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Hit,
    NameError,
    Wildcard,
    NoData,
    Referral,
    SignedHit,
    SignedNameError,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::NameError,
        Self::Wildcard,
        Self::NoData,
        Self::Referral,
        Self::SignedHit,
        Self::SignedNameError,
    ];

    /// For the tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hit => "hits",
            Self::NameError => "name errors",
            Self::Wildcard => "wildcards",
            Self::NoData => "no data",
            Self::Referral => "referrals",
            Self::SignedHit => "hits, DO",
            Self::SignedNameError => "name errors, DO",
        }
    }
}

/// A query, and what an answer to it looks like.
pub struct Query {
    pub octets: Vec<u8>,
    pub kind: Kind,
}

/// Queries of one kind, or the mix: half of it hits.
pub fn queries(only: Option<Kind>) -> Vec<Query> {
    const MIX: [(Kind, u64); 7] = [
        (Kind::Hit, 50),
        (Kind::NameError, 15),
        (Kind::Wildcard, 10),
        (Kind::NoData, 10),
        (Kind::Referral, 5),
        (Kind::SignedHit, 5),
        (Kind::SignedNameError, 5),
    ];
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut pick = || {
        let mut at = random.below(100);
        let chosen = MIX.iter().find(|(_, share)| {
            let here = at < *share;
            at = at.saturating_sub(*share);
            here
        });
        (
            only.unwrap_or(chosen.unwrap().0),
            random.below(ZONES as u64),
            random.below(SIGNED_NAMES as u64),
            random.below(1 << 32),
        )
    };
    let query = |id| {
        let (kind, zone, name, noise) = pick();
        let (name, rtype, signed) = match kind {
            Kind::Hit => (format!("www.z{zone}.test"), 1, false),
            Kind::NameError => (format!("x{noise}.z{zone}.test"), 1, false),
            Kind::Wildcard => (format!("x{noise}.wild.z{zone}.test"), 1, false),
            Kind::NoData => (format!("www.z{zone}.test"), 15, false),
            Kind::Referral => (format!("x{noise}.sub.z{zone}.test"), 1, false),
            Kind::SignedHit => (format!("n{name}.{SIGNED}"), 1, true),
            Kind::SignedNameError => (format!("x{noise}.{SIGNED}"), 1, true),
        };
        Query { octets: message(id, &name, rtype, signed), kind }
    };
    (0..u16::try_from(QUERIES).unwrap()).map(query).collect()
}

/// A query with EDNS, 1232 octets (RFC 6891), DO if wanted.
pub fn message(id: u16, name: &str, rtype: u16, signed: bool) -> Vec<u8> {
    let mut octets = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1]].concat();
    for label in name.split('.') {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    octets.extend(rtype.to_be_bytes());
    octets.extend([0, 1]);
    octets.extend([0, 0, 41, 4, 0xd0, 0, 0, if signed { 0x80 } else { 0 }, 0, 0, 0]);
    octets
}

impl Query {
    /// Whether this is the right answer, as far as its header, its question and its counts tell.
    pub fn is_answered_by(&self, response: &[u8]) -> bool {
        let question = 12..self.octets.len() - 11;
        if response.get(question.clone()) != Some(&self.octets[question]) {
            return false;
        }
        // QR alone of QR, opcode and TC.
        if response[2] & 0b1111_1010 != 0b1000_0000 {
            return false;
        }
        let (authoritative, rcode) = (response[2] & 4 != 0, response[3] & 15);
        let count = |at: usize| u16::from_be_bytes([response[at], response[at + 1]]);
        let (answers, authority) = (count(6), count(8));
        match self.kind {
            Kind::Hit | Kind::Wildcard => authoritative && rcode == 0 && answers == 1,
            Kind::NameError => authoritative && rcode == 3 && answers == 0 && authority == 1,
            Kind::NoData => authoritative && rcode == 0 && answers == 0 && authority == 1,
            Kind::Referral => !authoritative && rcode == 0 && answers == 0 && authority == 1,
            Kind::SignedHit => authoritative && rcode == 0 && answers == 2,
            Kind::SignedNameError => authoritative && rcode == 3 && answers == 0 && authority >= 4,
        }
    }
}

/// The same numbers in every run (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}
