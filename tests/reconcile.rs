//! The reconciler against a world in memory: it settles, repairs, survives being killed at every action, and keeps
//! the invariants whatever order things go wrong in.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use proptest::prelude::*;
use shoestring::desired::model::{DrainPolicy, HealthPolicy, Import, Relation};
use shoestring::desired::slice::{DesiredNode, Intent};
use shoestring::dns::{NameServerConfig, NameServerKind, TransferLimits, ZoneConfig, ZoneRecords, ZoneTable};
use shoestring::fingerprint::Fingerprint;
use shoestring::health::{Stance, Verdict};
use shoestring::mesh::{LinkConfig, MeshConfig, PublicKey};
use shoestring::names::{DomainName, Serial};
use shoestring::node::{Reconciler, Step};
use shoestring::plan::Wait;
use shoestring::routing::{
    Announcement, Family, RoutingConfig, RoutingDaemonKind, SessionConfig, SessionName,
};

use crate::world::{Handle, State};

const V4: &str = "192.0.2.53";
const V6: &str = "2001:db8:53::53";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn zone(name: &str, serial: u32) -> (DomainName, Arc<ZoneConfig>) {
    let name: DomainName = name.parse().unwrap();
    let source =
        ZoneRecords::File { path: "zones/a/z.zone".into(), text: "text".into(), serial: Serial(serial) };
    (
        name.clone(),
        Arc::new(ZoneConfig {
            name,
            source,
            notify: Arc::default(),
            transfer_to: Arc::default(),
            is_private: false,
        }),
    )
}

/// A desired node; different numbers give different zones, links and sessions.
fn desired(variant: u32, intent: Intent) -> DesiredNode {
    let link = |n: u8| LinkConfig {
        public_key: PublicKey([n; 32]),
        endpoint: Some(format!("198.51.100.{n}:51820").parse().unwrap()),
        loopbacks: [address(&format!("198.18.0.{n}"))].into(),
    };
    let neighbor = if variant.is_multiple_of(2) { "203.0.113.1" } else { "203.0.113.9" };
    let session = SessionConfig {
        local: address("203.0.113.2"),
        neighbor: address(neighbor),
        asn: 64511.try_into().unwrap(),
        relation: Relation::Provider,
        strict_role: false,
        communities: [].into(),
        prepend: 0,
        import: Import::Nothing,
        multihop: None,
        bfd: None,
        password: None,
    };
    let links =
        (2..4 + u8::try_from(variant % 3).unwrap()).map(|n| (format!("node-{n}").parse().unwrap(), link(n)));
    let extra = (variant % 4 > 1).then(|| zone("extra.example", 1));
    DesiredNode {
        archive: None,
        catalogs: Arc::default(),
        name: "node-1".parse().unwrap(),
        file: Fingerprint::of(&[]),
        service_addresses: [address(V4), address(V6)].into(),
        mesh: Some(MeshConfig {
            port: 51820,
            loopbacks: [address("198.18.0.1")].into(),
            links: links.collect(),
        }),
        mesh_key: None,
        name_server: NameServerConfig {
            daemon: NameServerKind::Embedded,
            identity: "node-1".into(),
            listen: [(address(V4), 53).into(), (address(V6), 53).into()].into(),
            mesh_sources: [].into(),
            keys: [].into(),
            transfers: TransferLimits::DEFAULT,
            rate_limit: None,
            cookie_secret: None,
        },
        zones: [zone("canary.example", variant)].into_iter().chain(extra).collect(),
        routing: RoutingConfig {
            daemon: RoutingDaemonKind::Embedded,
            asn: 64500.try_into().unwrap(),
            router_id: [198, 51, 100, 1].into(),
            prefixes: ["192.0.2.0/24".parse().unwrap(), "2001:db8:53::/48".parse().unwrap()].into(),
            sessions: [(SessionName { peer: "transit".parse().unwrap(), family: Family::V4 }, session)]
                .into(),
            drain_prepend: 2,
            archive: None,
            trial: RoutingConfig::TRIAL,
        },
        intent,
        health: HealthPolicy {
            canary: "canary.example".parse().unwrap(),
            interval: Duration::from_secs(2),
            retry_interval: Duration::from_millis(500),
            timeout: Duration::from_millis(500),
            failures: 1,
            recoveries: 1,
            hold_down: Duration::from_secs(60),
        },
        drain: DrainPolicy { wait: Duration::from_secs(10), prepend: 2 },
        others: [].into(),
    }
}

/// What the gate says where the families answer or not, and nothing has to be held.
fn verdict(desired: &DesiredNode, v4: bool, v6: bool) -> Verdict {
    let mut verdict = Verdict::well(desired);
    for (prefix, stance) in &mut verdict.stances {
        let answers = if prefix.addr().is_ipv4() { v4 } else { v6 };
        if desired.intent == Intent::Announce && !answers {
            *stance = Stance::Silent { why: "no answer".to_owned(), waits: true };
        }
    }
    verdict
}

/// What it says of a node that is drained, with so much of the drain left.
fn leaving(prefixes: &BTreeSet<IpNet>, left: u64) -> Verdict {
    let why = "the node is drained".to_owned();
    let stance = match left {
        0 => Stance::Silent { why, waits: false },
        left => Stance::Drain { why, left: Duration::from_secs(left), held: None },
    };
    Verdict {
        stances: prefixes.iter().map(|prefix| (*prefix, stance.clone())).collect(),
        ..Verdict::default()
    }
}

/// An agent in the world.
struct Agent {
    handle: Handle,
    reconciler: Reconciler,
}

impl Agent {
    fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), reconciler: Reconciler::default() }
    }

    fn step(&mut self, desired: &DesiredNode, verdict: &Verdict) -> Step {
        wait(self.reconciler.step(&self.handle.parts(), desired, || verdict.clone()))
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn it_settles_and_then_plans_nothing() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    let good = verdict(&desired, true, true);
    let step = agent.step(&desired, &good);
    assert!(step.plan.is_settled(), "{step:?}");
    let changes = handle.with(|world| world.changes);
    assert!(changes > 0);
    assert!(agent.step(&desired, &good).plan.is_settled());
    assert_eq!(handle.with(|world| world.changes), changes, "a settled node changes nothing");
    assert_eq!(agent.reconciler.repaired().count(), 0);
}

#[test]
fn nothing_is_announced_before_the_name_server_has_answered() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    let step = agent.step(&desired, &Verdict::default());
    assert!(handle.with(|world| world.originations.is_empty()));
    assert!(step.plan.waits.iter().all(|wait| matches!(wait, Wait::Health { .. })), "{:?}", step.plan.waits);
    // One family answers: its prefix alone is announced.
    let step = agent.step(&desired, &verdict(&desired, true, false));
    assert_eq!(
        step.observed.routing.known().unwrap().originated.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.0.2.0/24"]
    );
}

#[test]
fn a_planned_departure_drains_before_it_withdraws() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let live = desired(0, Intent::Announce);
    let good = verdict(&live, true, true);
    assert!(agent.step(&live, &good).plan.is_settled());
    let drained = DesiredNode { intent: Intent::Silent, ..live };
    let step = agent.step(&drained, &leaving(&drained.routing.prefixes, 10));
    assert!(matches!(step.plan.waits[..], [Wait::Draining { .. }]), "{step:?}");
    let draining = |how: &Announcement| matches!(how, Announcement::Draining { prepend: 2 });
    assert!(step.observed.routing.known().unwrap().originated.values().all(draining));
    assert!(!agent.step(&drained, &leaving(&drained.routing.prefixes, 1)).plan.is_settled());
    let step = agent.step(&drained, &leaving(&drained.routing.prefixes, 0));
    assert!(step.plan.is_settled(), "{step:?}");
    assert!(step.observed.routing.known().unwrap().originated.is_empty());
    assert_eq!(handle.with(|world| world.state.addresses.len()), 2, "a drained node still answers");
}

#[test]
fn while_it_switches_it_says_so_and_announces_nothing() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let live = desired(0, Intent::Announce);
    assert!(agent.step(&live, &verdict(&live, true, true)).plan.is_settled());
    let why = "switching from embedded to knot";
    let leaves = DesiredNode { intent: Intent::Switch(why.to_owned()), ..live.clone() };
    let step = agent.step(&leaves, &leaving(&leaves.routing.prefixes, 10));
    assert!(matches!(step.plan.waits[..], [Wait::Draining { .. }]), "{:?}", step.plan);
    // Nothing is announced any more: the other one is set up, and waited for.
    let mut other = leaves;
    other.name_server.daemon = NameServerKind::Knot;
    let step = agent.step(&other, &leaving(&other.routing.prefixes, 0));
    assert_eq!(step.plan.waits, [Wait::Switching { why: why.to_owned() }]);
    assert!(step.plan.actions.is_empty() && step.failures.is_empty(), "{step:?}");
    let state = handle.with(|world| world.state.clone());
    assert_eq!(state.name_server.config.map(|config| config.daemon), Some(NameServerKind::Knot));
    assert!(state.routing.originated.is_empty());
    assert_eq!(state.addresses.len(), 2);
}

#[test]
fn a_retired_node_answers_until_it_is_withdrawn() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let live = desired(0, Intent::Announce);
    let good = verdict(&live, true, true);
    assert!(agent.step(&live, &good).plan.is_settled());
    let mut retired = DesiredNode { intent: Intent::Silent, mesh: None, ..live };
    let prefixes = retired.routing.prefixes.clone();
    retired.service_addresses.clear();
    retired.zones = ZoneTable::default();
    retired.routing.sessions.clear();
    agent.step(&retired, &leaving(&prefixes, 10));
    let state = handle.with(|world| world.state.clone());
    assert_eq!(state.addresses.len(), 2);
    assert_eq!(state.name_server.zones.len(), 1);
    assert_eq!(state.routing.config.unwrap().sessions.len(), 1, "there is somebody to tell");
    let step = agent.step(&retired, &leaving(&prefixes, 0));
    assert!(step.plan.is_settled(), "{step:?}");
    let state = handle.with(|world| world.state.clone());
    assert!(state.addresses.is_empty() && state.name_server.zones.is_empty() && state.mesh.links.is_empty());
}

#[test]
fn what_is_changed_by_hand_is_put_right_and_reported() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    let good = verdict(&desired, true, true);
    assert!(agent.step(&desired, &good).plan.is_settled());
    let settled = handle.with(|world| world.state.clone());
    let edits: [fn(&mut State); 5] = [
        |state| state.addresses.clear(),
        |state| state.name_server.zones = ZoneTable::default(),
        |state| state.mesh.links.clear(),
        |state| state.mesh.routes.clear(),
        |state| state.routing.config = None,
    ];
    for (index, edit) in edits.iter().enumerate() {
        handle.with(|world| edit(&mut world.state));
        assert!(agent.step(&desired, &good).plan.is_settled());
        assert_eq!(handle.with(|world| world.state.clone()), settled, "edit {index}");
        assert!(agent.reconciler.repaired().count() > index, "edit {index}");
    }
}

#[test]
fn only_who_takes_the_name_server_along_withdraws_at_the_end() {
    for kind in [NameServerKind::Embedded, NameServerKind::Knot] {
        let handle = Handle::default();
        let mut agent = Agent::new(&handle);
        let desired = desired(0, Intent::Announce);
        assert!(agent.step(&desired, &verdict(&desired, true, true)).plan.is_settled());
        handle.with(|world| world.state.name_server.running = kind);
        let before = handle.with(|world| world.state.clone());
        assert!(!before.routing.originated.is_empty());
        wait(handle.parts().part());
        let after = handle.with(|world| world.state.clone());
        assert_eq!(after.routing.originated.is_empty(), kind == NameServerKind::Embedded, "{kind}");
        assert_eq!((after.name_server, after.addresses), (before.name_server, before.addresses));
    }
}

#[test]
fn nothing_is_sent_to_a_silent_node_and_nobody_is_blamed_for_it() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    let good = verdict(&desired, true, true);
    assert!(agent.step(&desired, &good).plan.is_settled());
    let link = desired.mesh.as_ref().unwrap().links.values().next().unwrap();
    for is_silent in [true, false] {
        handle.with(|world| {
            world.state.mesh.links.entry(link.public_key).and_modify(|seen| seen.is_silent = is_silent);
        });
        assert!(agent.step(&desired, &good).plan.is_settled());
        let mesh = handle.with(|world| world.state.mesh.clone());
        assert_eq!(mesh.unreachable, if is_silent { link.loopbacks.clone() } else { BTreeSet::new() });
        assert_eq!(link.loopbacks.is_subset(&mesh.routes), !is_silent);
    }
    assert_eq!(agent.reconciler.repaired().count(), 0);
}

#[test]
fn a_key_that_the_others_do_not_know_is_said() {
    let handle = Handle::default();
    handle.with(|world| world.state.mesh.public_key = Some(PublicKey([1; 32])));
    let mut desired = desired(0, Intent::Announce);
    desired.mesh_key = Some(PublicKey([1; 32]));
    let good = verdict(&desired, true, true);
    assert!(Agent::new(&handle).step(&desired, &good).plan.is_settled());
    desired.mesh_key = Some(PublicKey([9; 32]));
    let step = Agent::new(&handle).step(&desired, &good);
    assert!(matches!(step.plan.waits[..], [Wait::MeshKey { .. }]), "{:?}", step.plan);
}

#[test]
fn a_failed_withdrawal_keeps_anything_new_from_being_announced() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    assert!(agent.step(&desired, &verdict(&desired, true, false)).failures.is_empty());
    handle.with(|world| world.changes_left = Some(0));
    // v4 must go and v6 may come.
    let step = agent.step(&desired, &verdict(&desired, false, true));
    assert_eq!(step.failures.len(), 2, "{:?}", step.failures);
    assert!(step.failures[1].why.contains("left undone"), "{:?}", step.failures);
}

#[test]
fn what_is_held_stays_announced_and_says_why() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    let good = verdict(&desired, true, true);
    assert!(agent.step(&desired, &good).plan.is_settled());
    let mut held = good;
    for stance in held.stances.values_mut() {
        *stance = Stance::Announce(Some("HARD: no answer; held: nobody else".to_owned()));
    }
    let step = agent.step(&desired, &held);
    assert!(step.plan.actions.is_empty(), "{step:?}");
    assert!(matches!(step.plan.waits[..], [Wait::Held { .. }, Wait::Held { .. }]), "{step:?}");
    assert!(step.plan.waits[0].to_string().contains("held: nobody else"));
    assert_eq!(handle.with(|world| world.originations.len()), 1);
}

#[test]
fn behind_the_fence_every_session_is_shut() {
    let handle = Handle::default();
    let mut agent = Agent::new(&handle);
    let desired = desired(0, Intent::Announce);
    assert!(agent.step(&desired, &verdict(&desired, true, true)).plan.is_settled());
    let mut fenced = leaving(&desired.routing.prefixes, 0);
    fenced.fenced = Some("198.51.100.0/24 is announced and is not ours".to_owned());
    let step = agent.step(&desired, &fenced);
    let state = handle.with(|world| world.state.clone());
    assert!(state.routing.originated.is_empty() && state.routing.config.unwrap().sessions.is_empty());
    assert!(matches!(step.plan.waits[..], [Wait::Fenced { .. }]), "{step:?}");
    // A person takes it down.
    assert!(agent.step(&desired, &verdict(&desired, true, true)).plan.is_settled());
    let config = handle.with(|world| world.state.routing.config.clone());
    assert_eq!(config, Some(desired.routing));
}

#[test]
fn what_the_gate_takes_back_meanwhile_is_not_announced() {
    let handle = Handle::default();
    let desired = desired(0, Intent::Announce);
    let (good, bad) = (verdict(&desired, true, true), verdict(&desired, false, false));
    let asked = Cell::new(0);
    // It says so once, to the plan; when it is asked again, the name server is dead.
    let says = || {
        asked.set(asked.get() + 1);
        if asked.get() == 1 { good.clone() } else { bad.clone() }
    };
    let step = wait(Reconciler::default().step(&handle.parts(), &desired, says));
    assert!(
        step.failures.iter().any(|failure| failure.why.contains("changed its mind")),
        "{:?}",
        step.failures
    );
    assert!(handle.with(|world| world.originations.is_empty()));
}

#[test]
fn killed_at_any_action_it_ends_in_the_same_state() {
    let before = desired(0, Intent::Announce);
    let after = desired(3, Intent::Announce);
    let good = verdict(&before, true, true);
    let run = |killed_after: Option<usize>| {
        let handle = Handle::default();
        let mut agent = Agent::new(&handle);
        assert!(agent.step(&before, &good).plan.is_settled());
        handle.with(|world| world.changes_left = killed_after);
        let settled = agent.step(&after, &good).plan.is_settled();
        if killed_after.is_some() {
            handle.kill();
            let mut agent = Agent::new(&handle);
            let step = agent.step(&after, &good);
            assert!(step.plan.is_settled(), "{step:?}");
        }
        (settled, handle.with(|world| world.state.clone()))
    };
    let (_, expected) = run(None);
    let mut died = 0;
    for killed_after in 0..12 {
        let (settled, state) = run(Some(killed_after));
        assert_eq!(state, expected, "killed after {killed_after} changes");
        died += usize::from(!settled);
    }
    assert!((2..12).contains(&died), "{died}: every action was reached, and so was the end");
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    Desire(u32, bool),
    Health(bool, bool),
    Blind([bool; 4]),
    Edit(u8),
    KillAfter(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..12u32, any::<bool>()).prop_map(|(variant, live)| Event::Desire(variant, live)),
        any::<(bool, bool)>().prop_map(|(v4, v6)| Event::Health(v4, v6)),
        any::<[bool; 4]>().prop_map(Event::Blind),
        (0..6u8).prop_map(Event::Edit),
        (0..8usize).prop_map(Event::KillAfter),
        (0..20u64).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_invariants_hold_whatever_happens(events in proptest::collection::vec(event(), 1..25)) {
        let handle = Handle::default();
        let mut agent = Agent::new(&handle);
        let mut node = desired(0, Intent::Announce);
        let (mut v4, mut v6) = (true, true);
        let mut left = 10u64;
        let says = |node: &DesiredNode, v4, v6, left| match node.intent {
            Intent::Announce => verdict(node, v4, v6),
            Intent::Silent | Intent::Switch(_) => leaving(&node.routing.prefixes, left),
        };
        for event in events {
            match event {
                Event::Desire(variant, live) => {
                    node = desired(variant, if live { Intent::Announce } else { Intent::Silent });
                    left = 10;
                }
                Event::Health(is_v4, is_v6) => (v4, v6) = (is_v4, is_v6),
                Event::Blind(blind) => handle.with(|world| world.blind = blind),
                Event::Edit(0) => handle.with(|world| world.state.addresses.clear()),
                Event::Edit(1) => handle.with(|world| world.state.name_server.zones = ZoneTable::default()),
                Event::Edit(2) => handle.with(|world| world.state.mesh.links.clear()),
                Event::Edit(3) => handle.with(|world| world.state.mesh.port = None),
                Event::Edit(4) => handle.with(|world| {
                    world.state.mesh.links.values_mut().for_each(|link| link.is_silent = !link.is_silent);
                }),
                Event::Edit(_) => handle.with(|world| world.state.routing.config = None),
                Event::KillAfter(changes) => handle.with(|world| world.changes_left = Some(changes)),
                Event::Pass(seconds) => left = left.saturating_sub(seconds),
            }
            let before = handle.with(|world| (world.state.clone(), world.blind, world.originations.len()));
            agent.step(&node, &says(&node, v4, v6, left));
            handle.with(|world| {
                let (state, blind, originations) = &before;
                // Nothing is changed on the strength of an observation that failed.
                if blind[0] { prop_assert_eq!(&world.state.addresses, &state.addresses); }
                if blind[1] { prop_assert_eq!(&world.state.mesh, &state.mesh); }
                if blind[2] { prop_assert_eq!(&world.state.name_server, &state.name_server); }
                if blind[3] { prop_assert_eq!(&world.state.routing, &state.routing); }
                for origination in &world.originations[*originations..] {
                    for (prefix, how) in origination {
                        prop_assert!(node.routing.prefixes.contains(prefix), "only our own prefixes, exactly");
                        let answers = if prefix.addr().is_ipv4() { v4 } else { v6 };
                        if *how == Announcement::Normal && node.intent == Intent::Announce {
                            prop_assert!(answers, "{prefix} announced while it does not answer");
                        }
                        prop_assert!(node.intent == Intent::Announce || *how != Announcement::Normal);
                    }
                }
                Ok(())
            })?;
            if handle.with(|world| world.changes_left == Some(0)) {
                handle.kill();
                agent = Agent::new(&handle);
            }
        }
        // Once the faults stop, it settles within a bounded number of steps.
        handle.with(|world| (world.blind, world.changes_left) = ([false; 4], None));
        let good = says(&node, true, true, 0);
        for _ in 0..3 {
            agent.step(&node, &good);
        }
        let step = agent.step(&node, &good);
        prop_assert!(step.plan.is_settled(), "{:?}", step.plan);
        let announced = step.observed.routing.known().unwrap().originated.len();
        prop_assert_eq!(announced, if node.intent == Intent::Announce { 2 } else { 0 });
    }
}
