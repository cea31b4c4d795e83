//! What the tests of health share: a node of a network, and networks in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::beat::{Beat, Heard};
use super::cycle::{Cycle, Orders, ZoneCounts};
use super::gate::Gate;
use super::prefix::Stance;
use super::rate::Count;
use super::sample::{Answer, Sample, Transport};
use crate::desired::model::{DrainPolicy, HealthPolicy};
use crate::desired::slice::{DesiredNode, Intent, OtherNode};
use crate::dns::{NameServerConfig, ZoneTable};
use crate::fingerprint::Fingerprint;
use crate::names::{NodeName, Serial};
use crate::routing::{
    Announcement, Family, ObservedRouting, ObservedSession, Origination, RoutingConfig, RoutingDaemonKind,
    SessionName, SessionState,
};

pub(super) const V4: &str = "192.0.2.53";
pub(super) const V6: &str = "2001:db8:53::53";

pub(crate) fn policy() -> HealthPolicy {
    HealthPolicy {
        canary: "canary.example".parse().unwrap(),
        interval: Duration::from_secs(2),
        retry_interval: Duration::from_millis(500),
        timeout: Duration::from_millis(500),
        failures: 3,
        recoveries: 10,
        hold_down: Duration::from_secs(60),
    }
}

pub(super) fn name(number: usize) -> NodeName {
    format!("node-{number}").parse().unwrap()
}

/// The node with this number, of so many.
pub(super) fn node(number: usize, of: usize) -> DesiredNode {
    let other = |number: usize| OtherNode {
        loopback: IpAddr::from([172, 31, 77, u8::try_from(number).unwrap()]),
        hub: number < 2,
        drained: false,
        announces: Family::ALL.into(),
    };
    let others = (0..of).filter(|other| *other != number);
    DesiredNode {
        archive: None,
        name: name(number),
        file: Fingerprint::of(&[]),
        service_addresses: [V4.parse().unwrap(), V6.parse().unwrap()].into(),
        mesh: None,
        mesh_key: None,
        name_server: NameServerConfig::default(),
        zones: ZoneTable::default(),
        catalogs: Default::default(),
        routing: RoutingConfig {
            daemon: RoutingDaemonKind::Embedded,
            drain_prepend: 2,
            archive: None,
            trial: RoutingConfig::TRIAL,
            asn: 64500.try_into().unwrap(),
            router_id: [198, 51, 100, 1].into(),
            prefixes: ["192.0.2.0/24".parse().unwrap(), "2001:db8:53::/48".parse().unwrap()].into(),
            sessions: [].into(),
        },
        intent: Intent::Announce,
        health: policy(),
        drain: DrainPolicy { wait: Duration::from_secs(20), prepend: 2 },
        others: others.map(|number| (name(number), other(number))).collect(),
    }
}

/// How a node is doing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Whether its name server answers: IPv4, IPv6.
    pub(super) answers: [bool; 2],
    /// Whether the canary is right.
    pub(super) canary: bool,
    /// Whether an operator drains it.
    pub(super) maintenance: bool,
}

impl Default for Condition {
    fn default() -> Self {
        Self { answers: [true; 2], canary: true, maintenance: false }
    }
}

/// A node as it runs.
pub(super) struct Running {
    pub(super) node: DesiredNode,
    pub(super) gate: Gate,
    pub(super) condition: Condition,
    pub(super) originated: Origination,
    pub(super) heard: BTreeMap<NodeName, Heard>,
    pub(super) fetch_error: Option<String>,
    /// Whether its name server says how many queries it had. It never had one.
    pub(super) counts: bool,
    /// The next cycle, and of one that is under way what it began with.
    next: Duration,
    under_way: Option<(Duration, Condition)>,
}

impl Running {
    pub(super) fn new(number: usize, of: usize, first: Duration) -> Self {
        Self {
            node: node(number, of),
            gate: Gate::default(),
            condition: Condition::default(),
            originated: Origination::new(),
            heard: BTreeMap::new(),
            fetch_error: None,
            counts: false,
            next: first,
            under_way: None,
        }
    }

    /// Folds one cycle, and does as the gate says.
    pub(super) fn fold(&mut self, began: Duration, now: Duration, condition: Condition) -> Beat {
        let cycle = self.cycle(began, now, condition);
        self.gate = self.gate.fold(&self.node, &cycle);
        for prefix in &self.node.routing.prefixes {
            match self.gate.verdict().stance(prefix) {
                Stance::Announce(_) => drop(self.originated.insert(*prefix, Announcement::Normal)),
                Stance::Keep(_) => {}
                Stance::Drain { .. } => {
                    let draining = Announcement::Draining { prepend: self.node.drain.prepend };
                    self.originated.entry(*prefix).and_modify(|how| *how = draining);
                }
                Stance::Silent { .. } => drop(self.originated.remove(prefix)),
            }
        }
        // What was changed is seen at the next cycle; a beat never says more than that.
        self.gate.beat(now)
    }

    pub(super) fn cycle(&self, began: Duration, now: Duration, condition: Condition) -> Cycle {
        let mut answers = BTreeMap::new();
        for address in &self.node.service_addresses {
            for transport in Transport::ALL {
                let answer = match condition.answers[usize::from(address.is_ipv6())] {
                    false => Answer::Silent("no answer in time".to_owned()),
                    true if condition.canary => Answer::Canary(Serial(1)),
                    true => Answer::Wrong("the answer is SERVFAIL".to_owned()),
                };
                answers.insert((*address, transport), answer);
            }
        }
        Cycle {
            began,
            now,
            sample: Sample { answers, ..Sample::default() },
            present: Some(self.node.service_addresses.clone()),
            zones: Some(ZoneCounts { wanted: 100, served: 100, expired: 0, digest: 1 }),
            routing: Some(routing(&self.originated)),
            queries: if self.counts { Count::Known { at: now, queries: 0 } } else { Count::Unknown },
            heard: self.heard.clone(),
            fetch_error: self.fetch_error.clone(),
            orders: Orders { maintenance: condition.maintenance, fenced: None },
            ..Cycle::default()
        }
    }

    pub(super) fn announces(&self, prefix: &IpNet) -> bool {
        self.originated.contains_key(prefix)
    }
}

fn routing(originated: &Origination) -> ObservedRouting {
    let session = |family| {
        let sent: BTreeSet<IpNet> =
            originated.keys().filter(|prefix| Family::of(prefix.addr()) == family).copied().collect();
        let name = SessionName { peer: "transit".parse().unwrap(), family };
        (
            name,
            ObservedSession {
                local: V4.parse().unwrap(),
                neighbor: V4.parse().unwrap(),
                asn: 64511,
                state: SessionState::Established,
                since_s: 1,
                retry_in_s: None,
                prefixes_sent: sent,
                routes_discarded: 0,
                updates_malformed: 0,
                losses: 0,
                messages_received: Default::default(),
                messages_sent: Default::default(),
                negotiated: None,
                bfd: None,
                notification_sent: None,
                notification_received: None,
                last_error: None,
            },
        )
    };
    ObservedRouting {
        originated: originated.clone(),
        sessions: Family::ALL.map(session).into(),
        ..ObservedRouting::default()
    }
}

/// A network, its clock, and the beats on their way.
pub(super) struct World {
    pub(super) nodes: Vec<Running>,
    pub(super) now: Duration,
    /// Who is not heard by whom.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// How long beats take, by sender.
    pub(super) delays: Vec<Duration>,
    on_their_way: Vec<(Duration, usize, usize, Beat)>,
}

impl World {
    /// Its nodes are all well, and their cycles begin at different times.
    pub(super) fn new(of: usize) -> Self {
        let phase = |number: usize| Duration::from_millis(2_000 * number as u64 / of as u64 / 50 * 50);
        Self {
            nodes: (0..of).map(|number| Running::new(number, of, phase(number))).collect(),
            now: Duration::ZERO,
            cut: BTreeSet::new(),
            delays: vec![Duration::from_millis(50); of],
            on_their_way: Vec::new(),
        }
    }

    /// Makes all begin their next cycle at the same time.
    pub(super) fn begin_together(&mut self) {
        let next = self.now + Duration::from_secs(2);
        self.nodes.iter_mut().for_each(|node| node.next = next);
    }

    /// Lets time pass, in steps of 50 ms, and looks at the network after each.
    pub(super) fn pass(&mut self, time: Duration, mut look: impl FnMut(&Self)) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(50);
            self.step();
            look(self);
        }
    }

    fn step(&mut self) {
        let now = self.now;
        let arrived = self.on_their_way.extract_if(.., |(at, ..)| *at <= now).collect::<Vec<_>>();
        for (_, from, to, beat) in arrived {
            self.nodes[to].heard.insert(name(from), Heard { beat, at: now });
        }
        for number in 0..self.nodes.len() {
            let running = &mut self.nodes[number];
            if running.under_way.is_none() && running.next <= now {
                running.under_way = Some((now, running.condition));
            }
            let Some((began, condition)) = running.under_way else { continue };
            // Silence takes as long as the time-out, and is silence only if it lasts.
            let is_slow = condition.answers.contains(&false);
            if is_slow && now < began + running.node.health.timeout {
                continue;
            }
            running.under_way = None;
            let beat = running.fold(began, now, condition);
            running.next = now + running.gate.interval(&running.node.health);
            for to in (0..self.nodes.len()).filter(|to| *to != number) {
                if !self.cut.contains(&(number, to)) {
                    self.on_their_way.push((now + self.delays[number], number, to, beat.clone()));
                }
            }
        }
    }

    /// How many announce each prefix.
    pub(super) fn announcing(&self) -> BTreeMap<IpNet, usize> {
        let prefixes = self.nodes[0].node.routing.prefixes.iter();
        let count = |prefix: &&IpNet| self.nodes.iter().filter(|node| node.announces(prefix)).count();
        prefixes.map(|prefix| (*prefix, count(&prefix))).collect()
    }
}
