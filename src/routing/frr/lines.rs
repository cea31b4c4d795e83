//! A configuration as lines, and what turns one into another: pure.
//!
//! FRR shows what it has in the words that it is told, so a file and a running daemon are compared line by line, each
//! under the headers that lead to it. Order does not count. A session is begun anew only when a line of its own has
//! changed; its policy is changed beside.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::beside::Needs;
use super::conf;
use super::control::without_secret;
use crate::routing::{Announcement, Family, Origination};

/// What the daemon says of itself and no file does.
const OF_ITSELF: [&str; 7] = [
    "Building configuration",
    "Current configuration",
    "frr version ",
    "hostname ",
    "domainname ",
    "service ",
    "bgp no-rib",
];
const ROUTER: &str = "router bgp ";
/// The end of a line that is told and never shown: see `conf::NEAR`.
const NEAR: &str = " ebgp-multihop";

/// A line and the headers that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    under: Vec<String>,
    text: String,
}

impl Line {
    fn is_of_router(&self) -> bool {
        self.under.first().is_some_and(|header| header.starts_with(ROUTER))
    }

    /// The neighbour that it is about.
    fn neighbor(&self) -> Option<&str> {
        let text = self.text.strip_prefix("no ").unwrap_or(&self.text);
        let neighbor = text.strip_prefix("neighbor ")?.split(' ').next()?;
        self.is_of_router().then_some(neighbor)
    }

    /// Whether a session has to begin anew when it changes: all that is not policy, nor a mere text, nor what BFD does.
    fn is_of_session(&self) -> bool {
        let is_beside = matches!(self.words().nth(2), Some("description" | "bfd"));
        self.under.len() == 1 && self.neighbor().is_some() && !is_beside
    }

    fn is_of_bfd(&self) -> bool {
        self.neighbor().is_some() && self.words().nth(2) == Some("bfd")
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ')
    }

    /// What it is that it sets: another line with the same takes its place.
    fn subject(&self) -> (&[String], Vec<&str>) {
        let words: Vec<&str> = self.words().collect();
        let subject = match words.as_slice() {
            ["neighbor", neighbor, "route-map", _, way] => vec!["neighbor", neighbor, "route-map", way],
            ["neighbor", neighbor, what, ..] => vec!["neighbor", neighbor, what],
            ["network" | "bgp" | "log", ..] => words.iter().take(2).copied().collect(),
            ["dump", ..] => words.iter().take(3).copied().collect(),
            _ => words,
        };
        (&self.under, subject)
    }

    /// What takes it away.
    fn negated(&self) -> String {
        match (self.text.strip_prefix("no "), self.text.strip_prefix("network ")) {
            (Some(text), _) => text.to_owned(),
            (None, Some(_)) => self.words().take(2).fold("no".to_owned(), |text, word| text + " " + word),
            (None, None) => format!("no {}", self.text),
        }
    }
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    /// Of a file, or of what the daemon shows.
    pub(super) fn parse(text: &str) -> Self {
        let (mut lines, mut under) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let text = line.trim();
            let ends = text == "exit" || text.starts_with("exit-") || text == "end";
            let is_near = text.starts_with("no neighbor ") && text.ends_with(NEAR);
            let says_nothing = text.is_empty() || text.starts_with(['!', '#']) || is_near;
            if ends || says_nothing || OF_ITSELF.iter().any(|start| text.starts_with(start)) {
                continue;
            }
            under.truncate(line.len() - line.trim_start().len());
            // One without anything in it is none.
            if !text.starts_with("address-family ") {
                lines.push(Line { under: under.clone(), text: text.to_owned() });
            }
            under.push(text.to_owned());
        }
        Self(lines)
    }

    /// Where BGP is set up.
    pub(super) fn router(&self) -> Option<&str> {
        let headers = self.0.iter().filter(|line| line.under.is_empty());
        headers.map(|line| line.text.as_str()).find(|text| text.starts_with(ROUTER))
    }

    /// What runs beside bgpd for it.
    pub(super) fn needs(&self) -> Needs {
        let bfdd = self.0.iter().any(Line::is_of_bfd);
        let takes_all = |line: &Line| match line.words().collect::<Vec<&str>>().as_slice() {
            // Only over IPv6 are there next hops that it has to know the link of.
            ["neighbor", _, "route-map", map, "in"] => {
                map.starts_with(&format!("{}{}", conf::OTHERS, Family::V6))
            }
            _ => false,
        };
        Needs { zebra: bfdd || self.0.iter().any(takes_all), bfdd }
    }

    /// The neighbours whose sessions ask for BFD.
    pub(super) fn by_bfd(&self) -> BTreeSet<IpAddr> {
        let lines = self.0.iter().filter(|line| line.is_of_bfd());
        lines.filter_map(|line| line.neighbor()?.parse().ok()).collect()
    }

    /// What has bgpd ask for BFD once more for these neighbours, whose sessions stay.
    pub(super) fn ask_again(&self, neighbors: &BTreeSet<IpAddr>) -> Vec<String> {
        let mut script = Script::default();
        for neighbor in neighbors {
            let of = |line: &&Line| {
                line.is_of_bfd() && line.neighbor().is_some_and(|one| one.parse() == Ok(*neighbor))
            };
            for (at, line) in self.0.iter().filter(of).enumerate() {
                if at == 0 {
                    script.push(&line.under, &format!("no neighbor {neighbor} bfd"));
                }
                script.push(&line.under, &line.text);
            }
        }
        script.commands
    }

    fn networks(&self) -> impl Iterator<Item = (IpNet, Announcement)> {
        self.0.iter().filter(|line| line.is_of_router()).filter_map(|line| {
            match line.words().collect::<Vec<&str>>().as_slice() {
                ["network", prefix, "route-map", map] => {
                    Some((prefix.parse().ok()?, conf::announcement(map)?))
                }
                _ => None,
            }
        })
    }

    /// What it announces, in our way.
    pub(super) fn announced(&self) -> Origination {
        self.networks().collect()
    }

    /// How a prefix can be announced.
    fn ways(&self) -> impl Iterator<Item = Announcement> {
        let maps = self.0.iter().filter(|line| line.under.is_empty());
        maps.filter_map(|line| match line.words().collect::<Vec<&str>>().as_slice() {
            ["route-map", map, ..] => conf::announcement(map),
            _ => None,
        })
    }

    /// Our prefixes.
    fn prefixes(&self) -> BTreeSet<IpNet> {
        let of = |line: &Line| match line.words().collect::<Vec<&str>>().as_slice() {
            [_, "prefix-list", name, .., prefix] if name.starts_with(conf::OURS) => prefix.parse().ok(),
            _ => None,
        };
        self.0.iter().filter_map(of).collect()
    }

    /// The same, announcing what is announced now, as far as it is ours. A drain is one, however many prepends it had
    /// before.
    pub(super) fn awake(mut self, announced: &Origination) -> Self {
        let ours = self.prefixes();
        let Some(router) = self.router().map(str::to_owned) else { return self };
        for (prefix, present) in announced.iter().filter(|(prefix, _)| ours.contains(*prefix)) {
            let is_drain = |how: &Announcement| *how != Announcement::Normal;
            let Some(how) = self.ways().find(|how| is_drain(how) == is_drain(present)) else { continue };
            self.0.push(network(&router, *prefix, how));
        }
        self
    }

    /// What the daemon has to be told so that it announces what is wanted, and nothing else in our way.
    pub(super) fn announce(&self, wanted: &Origination) -> Result<Vec<String>, String> {
        let present = self.announced();
        let Some(router) = self.router() else { return Err("it has no configuration of BGP".to_owned()) };
        let mut script = Script::default();
        for (prefix, how) in wanted.iter().filter(|(prefix, how)| present.get(*prefix) != Some(*how)) {
            if !self.ways().any(|way| way == *how) {
                return Err(format!("it was not set up with a route-map {}", conf::way(*how)));
            }
            // It takes the place of the other way without a gap.
            let line = network(router, *prefix, *how);
            script.push(&line.under, &line.text);
        }
        for (prefix, how) in present.iter().filter(|(prefix, _)| !wanted.contains_key(*prefix)) {
            let line = network(router, *prefix, *how);
            script.push(&line.under, &line.negated());
        }
        Ok(script.commands)
    }

    /// What makes the wanted one of this one; `None` if it takes a restart.
    pub(super) fn change(&self, wanted: &Self) -> Option<Vec<String>> {
        let router = wanted.router()?;
        if self.router() != Some(router) {
            return None;
        }
        let under_router = [router.to_owned()];
        let (gone, new) = (self.without(wanted), wanted.without(self));
        let changed = gone.iter().chain(&new).filter(|line| line.is_of_session());
        let anew: BTreeSet<&str> = changed.filter_map(|line| line.neighbor()).collect();
        let is_anew = |line: &Line| line.neighbor().is_some_and(|neighbor| anew.contains(neighbor));
        let mut script = Script::default();

        // First what others refer to.
        for line in new.iter().filter(|line| !line.is_of_router()) {
            script.push(&line.under, &line.text);
        }
        let present: BTreeSet<&str> = self.0.iter().filter_map(Line::neighbor).collect();
        for neighbor in anew.iter().filter(|neighbor| present.contains(*neighbor)) {
            script.push(&under_router, &format!("no neighbor {neighbor}"));
        }
        // Shut until it is known whole: begun before it has a family, it would be refused by the peer.
        let begun: BTreeSet<&str> = wanted.0.iter().filter_map(Line::neighbor).collect();
        let begun = begun.into_iter().filter(|neighbor| anew.contains(neighbor));
        let mut shut = BTreeSet::new();
        for line in wanted.0.iter().filter(|line| line.is_of_router()) {
            if is_anew(line) || new.contains(&line) {
                script.push(&line.under, &line.text);
                if let Some(neighbor) = line.neighbor().filter(|_| line.text.ends_with(conf::GTSM)) {
                    script.push(&line.under, &format!("no neighbor {neighbor}{NEAR}"));
                }
                if let Some(neighbor) = line.neighbor().filter(|one| anew.contains(one) && shut.insert(*one))
                {
                    script.push(&line.under, &format!("neighbor {neighbor} shutdown"));
                }
            }
        }
        for neighbor in begun {
            script.push(&under_router, &format!("no neighbor {neighbor} shutdown"));
        }
        let subjects: BTreeSet<_> = new.iter().map(|line| line.subject()).collect();
        let mut without_bfd = BTreeSet::new();
        for line in gone.iter().filter(|line| line.is_of_router()) {
            // All of it goes with the first line.
            let goes_anyway = line.is_of_bfd() && !without_bfd.insert(line.neighbor());
            if !is_anew(line) && !subjects.contains(&line.subject()) && !goes_anyway {
                script.push(&line.under, &line.negated());
            }
        }
        // What nobody refers to any more; all of a header goes with it.
        let headers: BTreeSet<&String> = gone.iter().map(|line| &line.text).collect();
        for line in gone.iter().filter(|line| !line.is_of_router()) {
            let goes_anyway = line.under.iter().any(|header| headers.contains(header));
            if !goes_anyway && !subjects.contains(&line.subject()) {
                script.push(&line.under, &line.negated());
            }
        }
        Some(script.commands)
    }

    fn without<'a>(&'a self, other: &Self) -> Vec<&'a Line> {
        let others: BTreeSet<&Line> = other.0.iter().collect();
        self.0.iter().filter(|line| !others.contains(line)).collect()
    }

    /// A line too many or too few, in words.
    pub(super) fn difference(&self, wanted: &Self) -> Option<String> {
        let shown = |line: &&Line| without_secret(&line.text);
        let (gone, new) = (self.without(wanted), wanted.without(self));
        let foreign =
            gone.first().map(|line| format!("it has a line \"{}\", which is not ours", shown(line)));
        foreign.or_else(|| new.first().map(|line| format!("its line \"{}\" is gone", shown(line))))
    }
}

fn network(router: &str, prefix: IpNet, how: Announcement) -> Line {
    let family = format!("address-family {} unicast", Family::of(prefix.addr()).word());
    Line {
        under: vec![router.to_owned(), family],
        text: format!("network {prefix} route-map {}", conf::way(how)),
    }
}

/// Commands, each where it belongs.
#[derive(Default)]
struct Script {
    at: Vec<String>,
    commands: Vec<String>,
}

impl Script {
    fn push(&mut self, under: &[String], text: &str) {
        // From the top each time: what a word means depends on where one is.
        if !self.commands.is_empty() && self.at != under {
            self.commands.push("end".to_owned());
        }
        if self.commands.is_empty() || self.at != under {
            self.commands.push("configure terminal".to_owned());
            self.commands.extend_from_slice(under);
        }
        self.commands.push(text.to_owned());
        self.at = under.to_vec();
        // A header leads elsewhere.
        if under.is_empty() && opens(text) {
            self.at.push(text.to_owned());
        }
    }
}

/// Whether a line at the top leads to others.
fn opens(text: &str) -> bool {
    ["router ", "route-map "].iter().any(|start| text.starts_with(start))
}
