//! The records of a drawn zone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use shoestring::names::DomainName;

use super::{Part, Sketch, relative};
use crate::differential::draw::Draw;
use crate::differential::sign;

/// The zone file of one of the zones; the others are what its aliases may lead to.
pub fn text(sketches: &[Sketch], at: usize, draw: &mut Draw) -> String {
    let zone = &sketches[at];
    let mut writing = Writing { sketches, zone, draw, text: String::new(), ttls: BTreeMap::new() };
    writing.apex();
    for (owner, part) in &zone.owners {
        writing.owner(&zone.whole(owner), *part);
    }
    writing.text
}

struct Writing<'a> {
    sketches: &'a [Sketch],
    zone: &'a Sketch,
    draw: &'a mut Draw,
    text: String,
    /// One TTL for each RRset: where they differ, each server takes another.
    ttls: BTreeMap<(DomainName, String), u32>,
}

impl Writing<'_> {
    fn record(&mut self, owner: &str, ttl: u32, data: &str) {
        let rtype = data.split(' ').next().unwrap_or_default();
        let set = (owner.parse().unwrap(), rtype.to_owned());
        let ttl = self.ttls.entry(set).or_insert(ttl);
        writeln!(self.text, "{owner} {ttl} IN {data}").expect("a string takes it");
    }

    fn ttl(&mut self) -> u32 {
        self.draw.one(&[0, 1, 60, 300, 300, 3600, 86400])
    }

    fn apex(&mut self) {
        let apex = self.zone.whole("");
        let (ttl, minimum) = (self.ttl(), self.draw.one(&[0, 5, 300, 900, 100_000]));
        let host = self.target();
        self.record(&apex, ttl, &format!("SOA {host} {host} 1 3600 600 86400 {minimum}"));
        let ttl = self.ttl();
        // Those of its own need addresses, or BIND does not load it.
        let own = self.zone.whole("ns-apex");
        let mut hosts = BTreeSet::from([own.clone()]);
        for _ in 0..self.draw.below(3) {
            hosts.insert(self.target());
        }
        hosts.retain(|host| *host == own || !self.zone.has(host));
        let elsewhere = self.draw.percent(15) && apex != ".";
        if self.zone.part(&apex) == Some(Part::Dname) || elsewhere {
            hosts = BTreeSet::from(["ns.example.invalid.".to_owned()]);
        }
        for host in hosts {
            self.record(&apex, ttl, &format!("NS {host}"));
        }
        let host = self.zone.whole("ns-apex");
        if self.zone.part(&apex) == Some(Part::Dname) {
            return;
        }
        self.record(&host, 300, "A 192.0.2.53");
        if self.draw.percent(50) {
            self.record(&host, 300, "AAAA 2001:db8::53");
        }
        if self.draw.percent(50) {
            self.sets(&apex);
        }
    }

    fn owner(&mut self, owner: &str, part: Part) {
        match part {
            Part::Data => self.sets(owner),
            Part::Alias => {
                let (ttl, target) = (self.ttl(), self.target());
                self.record(owner, ttl, &format!("CNAME {target}"));
            }
            Part::Dname => {
                let (ttl, target) = (self.ttl(), self.target());
                self.record(owner, ttl, &format!("DNAME {target}"));
                if self.draw.percent(30) {
                    self.sets(owner);
                }
            }
            Part::Cut => self.cut(owner),
        }
    }

    /// Where an alias leads, or what a record points to.
    fn target(&mut self) -> String {
        let other = &self.sketches[self.draw.below(self.sketches.len())];
        let zone = if self.draw.percent(65) { self.zone } else { other };
        let owned = super::nth(&zone.owners, self.draw).unwrap_or_default();
        let owner = match self.draw.below(100) {
            0..50 => owned,
            50..70 => relative(self.draw),
            70..90 => format!("{}.{owned}", relative(self.draw)).trim_end_matches('.').to_owned(),
            90..96 => String::new(),
            _ => return self.draw.one(&["www.example.invalid.", ".", "a.invalid.", "test."]).to_owned(),
        };
        if sign::fits(&owner, &zone.apex) { zone.whole(&owner) } else { zone.whole("") }
    }

    fn cut(&mut self, owner: &str) {
        let ttl = self.ttl();
        let mut hosts = BTreeSet::new();
        for _ in 0..1 + self.draw.below(3) {
            let below = |label: &str| {
                let host = format!("{label}.{owner}");
                if sign::fits(&host, ".") { host } else { owner.to_owned() }
            };
            let host = match self.draw.below(10) {
                0..3 => below("ns"),
                3..5 => below("ns2.deep"),
                5 => owner.to_owned(),
                6 => self.zone.whole("ns-apex"),
                7 => "ns.example.invalid.".to_owned(),
                _ => self.target(),
            };
            hosts.insert(host.to_ascii_lowercase());
        }
        for host in &hosts {
            self.record(owner, ttl, &format!("NS {host}"));
            let redirected = self.sketches.iter().any(|sketch| sketch.is_redirected(host));
            let may = self.zone.has(host) && !redirected;
            if may && self.zone.part(host) != Some(Part::Alias) && self.draw.percent(80) {
                let ttl = self.ttl();
                self.addresses(host, ttl);
            }
        }
        if self.draw.percent(40) {
            let ttl = self.ttl();
            for tag in 0..1 + self.draw.below(2) {
                let digest = "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF";
                self.record(owner, ttl, &format!("DS {} 13 2 {digest}", 1000 + tag));
            }
        }
        if self.draw.percent(15) {
            self.sets(owner);
        }
    }

    fn addresses(&mut self, owner: &str, ttl: u32) {
        if self.draw.percent(80) {
            self.record(owner, ttl, "A 192.0.2.1");
        }
        if self.draw.percent(40) {
            self.record(owner, ttl, "AAAA 2001:db8::1");
        }
    }

    /// Some sets of any types.
    fn sets(&mut self, owner: &str) {
        for _ in 0..1 + self.draw.below(3) {
            let ttl = self.ttl();
            let target = self.target();
            let number = self.draw.below(200);
            let data = match self.draw.below(28) {
                0..4 => format!("A 192.0.2.{number}"),
                4..6 => format!("AAAA 2001:db8::{number}"),
                6..9 => format!("TXT \"text {number}\""),
                9..11 => format!("MX {number} {target}"),
                11 => format!("SRV 1 2 {number} {target}"),
                12 => format!("PTR {target}"),
                13 => format!("CAA 0 issue \"ca{number}.example\""),
                14 => "HINFO \"CPU\" \"OS\"".to_owned(),
                15 => format!("NAPTR 1 {number} \"A\" \"x\" \"\" {target}"),
                16 => format!("SVCB {} {target}", number % 3),
                17 => format!("HTTPS {} {target}", number % 3),
                18 => "TLSA 3 1 1 00112233".to_owned(),
                19 => format!("TYPE65280 \\# 2 {number:04x}"),
                20 => format!("RP {target} {target}"),
                21 => format!("AFSDB 1 {target}"),
                22 => format!("KX 1 {target}"),
                23 => format!("MINFO {target} {target}"),
                24 => format!("RT 1 {target}"),
                25 => {
                    for host in 0..draw_many(self.draw) {
                        self.record(owner, ttl, &format!("A 198.51.100.{host}"));
                    }
                    continue;
                }
                26 => format!("TXT {}", "\"0123456789012345678901234567890123456789\" ".repeat(1 + number)),
                _ => format!("TYPE{} \\# 0", 1000 + number),
            };
            self.record(owner, ttl, &data);
        }
    }
}

fn draw_many(draw: &mut Draw) -> usize {
    draw.one(&[10, 28, 40, 75, 120])
}
