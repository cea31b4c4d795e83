//! Patterns: what NSD is told of zones. Zones that are told the same have one pattern; a zone has nothing of its own but
//! its name and its pattern's.
//!
//! A pattern's name says nothing. Its *group*, the fingerprint of its lines, is the form of its zones. So the zones of a
//! pattern that all change alike are changed by changing the pattern, at once and without a gap.
//!
//! The file holds no secrets. A line that names a TSIG key ends with the name of its secret, since the key may get another
//! name on the wire; one whose key cannot be read stays as a comment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::dns::external::{Place, zone_file_name};
use crate::dns::{TransferClient, ZoneConfig, ZoneRecords};
use crate::fingerprint::Fingerprint;
use crate::names::{DomainName, SecretName};

/// Asked in place of a primary whose key cannot be read: nobody answers, and the zone expires in time.
const NOBODY: &str = "request-xfr: 127.0.0.1@1 NOKEY";
/// Seconds between two tries at primaries that all fail. NSD waits up to a day on its own.
const RETRY: u32 = 600;

/// One line of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// As it is.
    Plain(String),
    /// With a key after it.
    Keyed { start: String, secret: SecretName },
    /// How large a transfer may be.
    Limit,
}

/// What patterns depend on beside their zones: read from nsd.conf, so that it fits whichever that is.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// The keys that can be read, as they are called on the wire.
    keys: BTreeMap<SecretName, String>,
    /// Octets of a transfer.
    limit: u64,
}

impl Ground {
    /// Before a key in nsd.conf.
    pub(super) const SECRET: &'static str = "    # secret: ";
    /// Before the limit in nsd.conf.
    pub(super) const LIMIT: &'static str = "# size-limit-xfr: ";

    pub(super) fn read(conf: &str) -> Self {
        let mut ground = Self::default();
        let mut secret = None;
        for line in conf.lines() {
            if let Some(name) = line.strip_prefix(Self::SECRET) {
                secret = name.parse().ok();
            } else if let Some(limit) = line.strip_prefix(Self::LIMIT) {
                ground.limit = limit.parse().unwrap_or(0);
            } else if let Some(name) = line.trim_start().strip_prefix("name: ")
                && let Some(secret) = secret.take()
            {
                ground.keys.insert(secret, name.trim_matches('"').to_owned());
            }
        }
        ground
    }
}

impl Line {
    fn text(&self, ground: &Ground) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Limit => format!("size-limit-xfr: {}", ground.limit),
            Self::Keyed { start, secret } => match ground.keys.get(secret) {
                Some(key) => format!("{start} \"{key}\" # {secret}"),
                None if start.starts_with("request-xfr:") => {
                    format!("{NOBODY} #{start} # {secret}")
                }
                None => format!("#{start} # {secret}"),
            },
        }
    }

    fn read(line: &str) -> Self {
        if line.starts_with("size-limit-xfr:") {
            return Self::Limit;
        }
        let keyed = line.rsplit_once(" # ").and_then(|(rest, secret)| {
            let rest = rest.rsplit_once('#').map_or(rest, |(_, unreadable)| unreadable);
            let mut words = rest.split_whitespace();
            let start = format!("{} {}", words.next()?, words.next()?);
            Some(Self::Keyed { start, secret: secret.parse().ok()? })
        });
        keyed.unwrap_or_else(|| Self::Plain(line.to_owned()))
    }

    /// The same whatever the key is called and the limit is.
    fn meaning(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Limit => "size-limit-xfr".to_owned(),
            Self::Keyed { start, secret } => format!("{start} # {secret}"),
        }
    }
}

/// What a zone is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// Of a zone.
    pub(super) fn of(place: &Place, zone: &ZoneConfig) -> Self {
        let file = zone_file_name(&zone.name);
        let is_usual = file == format!("{}.zone", zone.name);
        let folder = match zone.source {
            ZoneRecords::File { .. } => place.zones(),
            ZoneRecords::Transfer(_) => place.data(),
        };
        let file = if is_usual { "%s.zone" } else { &file };
        let mut lines = vec![Line::Plain(format!("zonefile: \"{}/{file}\"", folder.display()))];
        let mut keyed = |start: String, secret: &Option<SecretName>| {
            let line = match secret {
                Some(secret) => Line::Keyed { start, secret: secret.clone() },
                None => Line::Plain(format!("{start} NOKEY")),
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        };
        let mut speaks: Vec<(IpAddr, Option<IpAddr>)> = Vec::new();
        if let ZoneRecords::Transfer(sources) = &zone.source {
            for source in sources {
                keyed(format!("request-xfr: {}", address(&source.address)), &source.tsig_key);
                speaks.push((source.address.ip(), source.from));
            }
            for source in sources {
                keyed(format!("allow-notify: {}", source.address.ip()), &source.tsig_key);
            }
        }
        for target in zone.notify.iter() {
            keyed(format!("notify: {}", address(&target.address)), &target.tsig_key);
            speaks.push((target.address.ip(), target.from));
        }
        let rights = if zone.is_private { &["provide-xfr", "allow-query"][..] } else { &["provide-xfr"] };
        for right in rights {
            for TransferClient { network, tsig_key } in zone.transfer_to.iter() {
                match network {
                    Some(network) if network.prefix_len() == network.max_prefix_len() => {
                        keyed(format!("{right}: {}", network.addr()), tsig_key);
                    }
                    Some(network) => keyed(format!("{right}: {network}"), tsig_key),
                    None => ["0.0.0.0/0", "::0/0"]
                        .into_iter()
                        .for_each(|network| keyed(format!("{right}: {network}"), tsig_key)),
                }
            }
            keyed(format!("{right}: {}", place.local.ip()), &None);
        }
        lines.extend(interfaces(&speaks).map(|from| Line::Plain(format!("outgoing-interface: {from}"))));
        if let ZoneRecords::Transfer(_) = zone.source {
            lines.push(Line::Plain("multi-master-check: yes".to_owned()));
            lines.push(Line::Plain(format!("max-retry-time: {RETRY}")));
            lines.push(Line::Limit);
        }
        Self(lines)
    }

    /// The fingerprint of what they say.
    pub(super) fn group(&self) -> Fingerprint {
        let lines: Vec<String> = self.0.iter().map(Line::meaning).collect();
        Fingerprint::of(&lines.iter().map(String::as_bytes).collect::<Vec<_>>())
    }

    /// Whether zones can go over to other lines without being loaded again.
    fn can_become(&self, other: &Self) -> bool {
        self.0.first() == other.0.first()
    }

    /// The first key that cannot be read.
    pub(super) fn missing(&self, ground: &Ground) -> Option<&SecretName> {
        self.0.iter().find_map(|line| match line {
            Line::Keyed { secret, .. } => (!ground.keys.contains_key(secret)).then_some(secret),
            Line::Plain(_) | Line::Limit => None,
        })
    }
}

/// The addresses that a zone's messages come from. NSD has one for each family, whoever is spoken to: where some are to
/// be spoken to from elsewhere, the kernel chooses for all.
fn interfaces(speaks: &[(IpAddr, Option<IpAddr>)]) -> impl Iterator<Item = IpAddr> {
    [true, false].into_iter().filter_map(|is_v4| {
        let mut family = speaks.iter().filter(|(to, _)| to.is_ipv4() == is_v4).map(|(_, from)| *from);
        let first = family.next()??;
        family.all(|from| from == Some(first)).then_some(first)
    })
}

fn address(address: &SocketAddr) -> String {
    format!("{}@{}", address.ip(), address.port())
}

/// Before each pattern of a file.
const START: &str = "pattern:\n";

fn block(name: &str, Lines(lines): &Lines, ground: &Ground) -> String {
    let start = format!("    name: \"{name}\"\n");
    lines.iter().fold(start, |text, line| text + "    " + &line.text(ground) + "\n")
}

/// The patterns of a file, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Patterns(BTreeMap<String, Lines>);

impl Patterns {
    pub(super) fn read(text: &str) -> Self {
        let mut patterns = Self::default();
        let mut lines: Option<&mut Lines> = None;
        for line in text.lines().map(str::trim) {
            match line.strip_prefix("name: ") {
                Some(name) => {
                    let name = name.trim_matches('"').to_owned();
                    lines = Some(patterns.0.entry(name).or_insert(Lines(Vec::new())));
                }
                None if matches!(line, "pattern:" | "") => {}
                None => lines.iter_mut().for_each(|lines| lines.0.push(Line::read(line))),
            }
        }
        patterns
    }

    pub(super) fn text(&self, ground: &Ground) -> String {
        let mut text = String::new();
        for (name, lines) in &self.0 {
            text.push_str(START);
            text.push_str(&block(name, lines, ground));
        }
        text
    }

    /// Those that are in a text as they would be written.
    pub(super) fn as_written(&self, text: &str, ground: &Ground) -> BTreeSet<&str> {
        let blocks: BTreeSet<&str> = text.split(START).collect();
        let is_written =
            |(name, lines): &(&String, &Lines)| blocks.contains(block(name, lines, ground).as_str());
        self.0.iter().filter(is_written).map(|(name, _)| name.as_str()).collect()
    }

    /// The group of a pattern.
    pub(super) fn group(&self, name: &str) -> Option<Fingerprint> {
        self.0.get(name).map(Lines::group)
    }

    /// The pattern that says this, made where there is none.
    pub(super) fn saying(&mut self, lines: &Lines) -> String {
        if let Some((name, _)) = self.0.iter().find(|(_, said)| *said == lines) {
            return name.clone();
        }
        let stem = format!("p{}", &lines.group().to_string()[..16]);
        let mut names = std::iter::once(stem.clone()).chain((2..).map(|number| format!("{stem}-{number}")));
        let name = names.find(|name| !self.0.contains_key(name)).unwrap_or(stem);
        self.0.insert(name.clone(), lines.clone());
        name
    }

    /// Forgets those that nobody uses.
    pub(super) fn keep(&mut self, used: &BTreeSet<&str>) {
        self.0.retain(|name, _| used.contains(name.as_str()));
    }

    /// Gives the zones of a batch what they are to be told. `has` are all zones with their patterns. Returns those that go
    /// over to another pattern; the others' pattern has been changed.
    pub(super) fn change<'z>(
        &mut self,
        zones: &[(&'z DomainName, Lines)],
        has: &BTreeMap<DomainName, String>,
    ) -> Vec<(&'z DomainName, String)> {
        let mut by_pattern: BTreeMap<&str, Vec<&(&'z DomainName, Lines)>> = BTreeMap::new();
        for zone in zones {
            by_pattern.entry(has.get(zone.0).map_or("", String::as_str)).or_default().push(zone);
        }
        let mut moving = Vec::new();
        for (pattern, members) in by_pattern {
            let users = has.values().filter(|name| *name == pattern).count();
            let alike = members.windows(2).all(|pair| matches!(pair, [one, other] if one.1 == other.1));
            let lines = members.first().map(|(_, lines)| lines).filter(|_| alike && users == members.len());
            match (lines, self.0.get_mut(pattern)) {
                (Some(wanted), Some(lines)) if lines.can_become(wanted) => *lines = wanted.clone(),
                _ => moving.extend(members.into_iter().map(|(name, lines)| (*name, self.saying(lines)))),
            }
        }
        moving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { folder: "/n".into(), local: "127.53.0.1:53".parse().unwrap(), user: None }
    }

    fn zone(name: &str, primary: &str) -> ZoneConfig {
        let source = crate::dns::TransferSource {
            address: primary.parse().unwrap(),
            from: None,
            tsig_key: Some("customer".parse().unwrap()),
        };
        ZoneConfig {
            name: name.parse().unwrap(),
            source: ZoneRecords::Transfer(vec![source]),
            notify: Default::default(),
            transfer_to: Default::default(),
            is_private: false,
        }
    }

    #[test]
    fn a_pattern_is_read_back_whatever_becomes_of_its_key() {
        let conf = "key:\n    # secret: customer\n    name: \"k.example\"\n# size-limit-xfr: 7\n";
        let mut patterns = Patterns::default();
        patterns.saying(&Lines::of(&place(), &zone("a.example", "192.0.2.1:53")));
        for ground in [Ground::read(conf), Ground::default()] {
            assert_eq!(Patterns::read(&patterns.text(&ground)), patterns);
        }
        let text = patterns.text(&Ground::read(conf));
        assert!(text.contains("request-xfr: 192.0.2.1@53 \"k.example\" # customer\n"), "{text}");
        assert!(text.contains("size-limit-xfr: 7\n"), "{text}");
        // Nobody is let in by a key that nobody can read.
        let text = patterns.text(&Ground::default());
        assert!(text.contains("#allow-notify: 192.0.2.1 # customer\n"), "{text}");
        let by_hand = text.replace("192.0.2.1", "192.0.2.2");
        assert_ne!(Patterns::read(&by_hand), patterns);
        // Another key is another hand, too; a pattern beside is not.
        let (ground, name) = (Ground::read(conf), patterns.0.keys().next().unwrap().clone());
        let text = patterns.text(&ground);
        let more = "pattern:\n    name: \"hand\"\n    zonefile: x\n".to_owned() + &text;
        assert!(Patterns::read(&more).as_written(&more, &ground).contains(name.as_str()));
        let other = text.replace("k.example", "l.example");
        assert!(!Patterns::read(&other).as_written(&other, &ground).contains(name.as_str()));
    }

    #[test]
    fn zones_that_all_change_alike_keep_their_pattern() {
        let names: Vec<DomainName> = ["a.example", "b.example"].map(|name| name.parse().unwrap()).into();
        let lines = |primary: &str| Lines::of(&place(), &zone("a.example", primary));
        let mut patterns = Patterns::default();
        let pattern = patterns.saying(&lines("192.0.2.1:53"));
        let has: BTreeMap<DomainName, String> =
            names.iter().map(|name| (name.clone(), pattern.clone())).collect();
        // One of two goes its own way.
        let mut apart = patterns.clone();
        let moving = apart.change(&[(&names[0], lines("192.0.2.2:53"))], &has);
        assert_eq!(moving.len(), 1);
        assert_ne!(moving[0].1, pattern);
        assert_eq!(apart.group(&pattern), Some(lines("192.0.2.1:53").group()));
        // Both go.
        let both: Vec<_> = names.iter().map(|name| (name, lines("192.0.2.2:53"))).collect();
        assert_eq!(patterns.change(&both, &has), []);
        assert_eq!(patterns.group(&pattern), Some(lines("192.0.2.2:53").group()));
        // The name that says the old thing is taken.
        assert_ne!(patterns.saying(&lines("192.0.2.1:53")), pattern);
    }

    #[test]
    fn an_interface_is_set_where_all_messages_of_a_family_leave_from_it() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |speaks: &[(&str, Option<&str>)]| {
            let speaks: Vec<_> = speaks.iter().map(|(to, from)| (ip(to), from.map(ip))).collect();
            interfaces(&speaks).map(|from| from.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&[("10.0.0.1", Some("10.0.0.9")), ("fd00::1", None)]), ["10.0.0.9"]);
        assert_eq!(of(&[("10.0.0.1", Some("10.0.0.9")), ("192.0.2.1", None)]), [""; 0]);
    }
}
