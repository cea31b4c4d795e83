//! The gate in networks in memory.

use std::time::Duration;

use proptest::prelude::*;

use super::class::Class;
use super::cycle::Orders;
use super::others::TOGETHER;
use super::prefix::{FORGIVEN, Stance};
use super::testing::{Condition, Running, World};
use super::{Count, State};
use crate::desired::slice::Intent;

const DEAD: Condition = Condition { answers: [false; 2], canary: true, maintenance: false };
const WRONG: Condition = Condition { answers: [true; 2], canary: false, maintenance: false };
const NO_V6: Condition = Condition { answers: [true, false], canary: true, maintenance: false };
const LEAVING: Condition = Condition { answers: [true; 2], canary: true, maintenance: true };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A network of so many nodes that all announce.
fn settled(of: usize) -> World {
    let mut world = World::new(of);
    world.pass(seconds(10), |_| {});
    assert!(world.announcing().values().all(|count| *count == of), "{:?}", world.announcing());
    world
}

fn state(world: &World, number: usize) -> State {
    world.nodes[number].gate.verdict().state
}

/// Whether somebody always announces each prefix.
fn somebody(world: &World) {
    let counts = world.announcing();
    let said = || world.nodes.iter().map(|node| node.gate.verdict().clone()).collect::<Vec<_>>();
    assert!(counts.values().all(|count| *count > 0), "after {:?}: {counts:?} {:#?}", world.now, said());
}

#[test]
fn one_dead_name_server_is_withdrawn_within_five_seconds() {
    for of in [2, 4, 11] {
        // Wherever in its cycle it is met.
        for later in 0..40 {
            let mut world = settled(of);
            world.pass(Duration::from_millis(50 * later), |_| {});
            world.nodes[0].condition = DEAD;
            world.pass(seconds(5), somebody);
            let verdict = world.nodes[0].gate.verdict();
            assert_eq!(verdict.state, State::Withdrawn, "{of} nodes, {later}: {verdict:?}");
            assert!(world.announcing().values().all(|count| *count == of - 1));
        }
    }
}

#[test]
fn a_class_withdraws_what_it_concerns_and_is_held_where_too_few_are_left() {
    // The first of so many nodes gets into a condition when so many others are drained.
    for (of, drained, condition, wanted) in [
        (4, 0, DEAD, [State::Withdrawn; 2]),
        (1, 0, DEAD, [State::Held; 2]),
        (2, 1, DEAD, [State::Held; 2]),
        (4, 0, WRONG, [State::Withdrawn; 2]),
        (2, 0, WRONG, [State::Withdrawn; 2]),
        (4, 1, WRONG, [State::Held; 2]),
        (6, 1, WRONG, [State::Withdrawn; 2]),
        (6, 2, WRONG, [State::Held; 2]),
        (4, 0, NO_V6, [State::Announce, State::Withdrawn]),
        (4, 1, NO_V6, [State::Announce, State::Held]),
    ] {
        let mut world = settled(of);
        for node in world.nodes.iter_mut().skip(1).take(drained) {
            node.condition = LEAVING;
        }
        world.pass(seconds(30), somebody);
        world.nodes[0].condition = condition;
        world.pass(seconds(40), somebody);
        let states: Vec<State> = world.nodes[0].gate.verdict().states.values().copied().collect();
        assert_eq!(
            states,
            wanted,
            "{of} nodes, {drained} drained, {condition:?}: {:?}",
            world.nodes[0].gate.verdict()
        );
    }
}

#[test]
fn when_everything_breaks_at_once_the_network_goes_on_announcing_and_says_why() {
    for of in [1, 2, 3, 4, 11] {
        for condition in [DEAD, WRONG, NO_V6] {
            let mut world = settled(of);
            world.nodes.iter_mut().for_each(|node| node.condition = condition);
            world.pass(seconds(120), somebody);
            let held = world.nodes.iter().filter(|node| node.gate.verdict().state == State::Held);
            for node in held.clone() {
                let stances = &node.gate.verdict().stances;
                let said =
                    |stance: &Stance| matches!(stance, Stance::Announce(Some(why)) if why.contains("held: "));
                assert!(stances.values().any(said), "{stances:?}");
            }
            // Nobody had seen another that was well since.
            assert_eq!(held.count(), of, "{condition:?}");
            world.nodes.iter_mut().for_each(|node| node.condition = Condition::default());
            world.pass(seconds(60), somebody);
            assert!((0..of).all(|number| state(&world, number) == State::Announce));
        }
    }
}

#[test]
fn half_of_the_nodes_in_one_class_freeze_withdrawals() {
    // One after the other, so that the first has gone before there is a pattern.
    let mut world = settled(6);
    for number in 0..3 {
        world.nodes[number].condition = WRONG;
        world.pass(seconds(15), somebody);
    }
    world.pass(seconds(10), somebody);
    let held = |world: &World, number: usize| match world.nodes[number].gate.verdict().stances.values().next()
    {
        Some(Stance::Announce(Some(why))) => why.clone(),
        other => panic!("{number}: {other:?}"),
    };
    assert_eq!(state(&world, 0), State::Withdrawn);
    for number in 1..3 {
        let why = held(&world, number);
        assert!(why.contains("3 of 6 nodes became DATA within 60 s"), "{number}: {why}");
    }
    // The same further apart is no pattern.
    let mut world = settled(6);
    for number in 0..3 {
        world.nodes[number].condition = WRONG;
        world.pass(TOGETHER + seconds(10), somebody);
    }
    assert_eq!(
        (0..3).map(|number| state(&world, number)).collect::<Vec<_>>(),
        [State::Withdrawn, State::Withdrawn, State::Held]
    );
    assert!(held(&world, 2).contains("no more than 2 may be"), "{}", held(&world, 2));
}

#[test]
fn isolation_withdraws_nothing_and_is_told() {
    let mut world = settled(4);
    world.cut = (0..4).flat_map(|from| (0..4).map(move |to| (from, to))).collect();
    for node in &mut world.nodes {
        node.fetch_error = Some("no route to host".to_owned());
    }
    world.pass(seconds(600), |world| assert!(world.announcing().values().all(|count| *count == 4)));
    for node in &world.nodes {
        let verdict = node.gate.verdict();
        assert_eq!(verdict.state, State::Announce);
        let (class, why) = verdict.class.clone().unwrap();
        assert_eq!(class, Class::Isolated);
        assert!(why.contains("no git: no route") && why.contains("no other node"), "{why}");
    }
    // A node that then breaks cannot know that it is not the last.
    world.nodes[0].condition = DEAD;
    world.pass(seconds(60), |_| {});
    assert_eq!(state(&world, 0), State::Held);
}

#[test]
fn a_withdrawn_node_comes_back_after_ten_good_cycles_and_its_hold_down() {
    let mut world = settled(4);
    let mut waits = Vec::new();
    for _ in 0..5 {
        world.nodes[0].condition = DEAD;
        world.pass(seconds(6), somebody);
        assert_eq!(state(&world, 0), State::Withdrawn);
        let withdrawn = world.now;
        world.nodes[0].condition = Condition::default();
        while state(&world, 0) != State::Announce {
            world.pass(seconds(1), somebody);
            assert!(world.now < withdrawn + seconds(1_000), "{:?}", world.nodes[0].gate.verdict());
        }
        waits.push((world.now - withdrawn).as_secs());
    }
    // From the withdrawal on, which was up to two seconds before it was seen here.
    let holds = [60, 120, 240, 900, 900];
    assert!(waits.iter().zip(holds).all(|(wait, hold)| (hold - 3..=hold + 3).contains(wait)), "{waits:?}");
    world.pass(FORGIVEN + seconds(10), somebody);
    world.nodes[0].condition = DEAD;
    world.pass(seconds(6), somebody);
    world.nodes[0].condition = Condition::default();
    world.pass(seconds(65), somebody);
    assert_eq!(state(&world, 0), State::Announce, "a clean hour is forgiven");
}

#[test]
fn a_node_that_can_answer_does_not_leave_the_network_without_anybody() {
    let mut world = settled(2);
    world.nodes[0].condition = WRONG;
    world.pass(seconds(60), somebody);
    assert_eq!(state(&world, 0), State::Withdrawn);
    // The machine of the other is gone.
    world.nodes[1].originated.clear();
    world.cut = [(1, 0)].into();
    world.pass(seconds(40), |_| {});
    assert_eq!(state(&world, 0), State::Held, "{:?}", world.nodes[0].gate.verdict());
}

#[test]
fn a_planned_departure_drains_and_the_last_node_stays() {
    let mut world = settled(2);
    world.nodes[0].condition = LEAVING;
    world.pass(seconds(19), somebody);
    assert_eq!(state(&world, 0), State::Draining);
    world.pass(seconds(6), somebody);
    assert_eq!(state(&world, 0), State::Maintenance);
    world.nodes[1].condition = LEAVING;
    world.pass(seconds(120), somebody);
    let verdict = world.nodes[1].gate.verdict();
    assert_eq!(verdict.state, State::Draining);
    let held = |stance: &Stance| matches!(stance, Stance::Drain { held: Some(_), .. });
    assert!(verdict.stances.values().all(held), "{:?}", verdict.stances);
    // No hold-down follows what was planned.
    world.nodes[0].condition = Condition::default();
    world.pass(seconds(3), somebody);
    assert_eq!(state(&world, 0), State::Announce);
    world.pass(seconds(5), somebody);
    assert_eq!(state(&world, 1), State::Maintenance);
}

/// Makes a node switch its daemons, or have switched.
fn switch(world: &mut World, number: usize, switching: bool) {
    let why = "switching from bind to knot".to_owned();
    world.nodes[number].node.intent = if switching { Intent::Switch(why) } else { Intent::Announce };
}

#[test]
fn a_switch_drains_and_comes_back_without_a_hold_down() {
    let mut world = settled(4);
    switch(&mut world, 0, true);
    world.pass(seconds(19), somebody);
    assert_eq!(state(&world, 0), State::Draining);
    world.pass(seconds(5), somebody);
    assert_eq!(state(&world, 0), State::Withdrawn);
    // Between two daemons nobody answers, and that is no failure.
    world.nodes[0].condition = DEAD;
    world.pass(seconds(120), somebody);
    let answers = |world: &World, after| {
        let Running { gate, node, .. } = &world.nodes[0];
        gate.answers_since(node, after)
    };
    assert!(answers(&world, Duration::ZERO).is_err());
    assert_eq!(world.nodes[0].gate.verdict().class, None);
    // It answers, and waits to be told that this is all that it has to do.
    let set_up = world.now;
    world.nodes[0].condition = WRONG;
    world.pass(seconds(3), somebody);
    assert!(answers(&world, set_up).unwrap_err().starts_with("canary: "), "{:?}", answers(&world, set_up));
    world.nodes[0].condition = Condition::default();
    world.pass(seconds(3), somebody);
    assert_eq!(answers(&world, set_up), Ok(()));
    assert!(answers(&world, world.now).is_err());
    assert_eq!((state(&world, 0), world.announcing().into_values().max()), (State::Withdrawn, Some(3)));
    switch(&mut world, 0, false);
    world.pass(seconds(3), somebody);
    assert_eq!(state(&world, 0), State::Announce);
}

#[test]
fn a_switch_waits_for_the_others_and_says_why() {
    // Of so many nodes so many are drained, and the first one switches.
    for (of, drained, wanted) in [
        (1, 0, State::Withdrawn),
        (2, 0, State::Withdrawn),
        (2, 1, State::Held),
        (3, 1, State::Held),
        (4, 1, State::Held),
        (6, 1, State::Withdrawn),
        (6, 2, State::Held),
    ] {
        let mut world = settled(of);
        for node in world.nodes.iter_mut().skip(1).take(drained) {
            node.condition = LEAVING;
        }
        world.pass(seconds(30), |_| {});
        switch(&mut world, 0, true);
        world.pass(seconds(40), |_| {});
        assert_eq!(
            state(&world, 0),
            wanted,
            "{of} nodes, {drained} drained: {:?}",
            world.nodes[0].gate.verdict()
        );
        if wanted != State::Held {
            continue;
        }
        let said = world.nodes[0].gate.verdict().stances.values().next().unwrap().to_string();
        assert!(said.contains("switching from bind to knot; held: of "), "{said}");
        // And it goes on as soon as it may.
        world.nodes.iter_mut().for_each(|node| node.condition = Condition::default());
        world.pass(seconds(30), |_| {});
        assert_eq!(state(&world, 0), State::Withdrawn);
    }
}

#[test]
fn all_nodes_that_are_to_switch_do_so_in_turn() {
    for of in 2..8 {
        // Cycles at different times, and at the same time; drains shorter than beats are apart, and longer.
        for (together, drain) in [(false, 2), (false, 20), (true, 2), (true, 20)] {
            let mut world = settled(of);
            world.nodes.iter_mut().for_each(|node| node.node.drain.wait = seconds(drain));
            if together {
                world.begin_together();
            }
            let most = (of / 3).max(1);
            (0..of).for_each(|number| switch(&mut world, number, true));
            let mut left = of;
            for _ in 0..of * 20 {
                world.pass(seconds(3), |world| {
                    let least = world.announcing().into_values().min().unwrap();
                    assert!(least >= of - most, "{least} of {of} announce after {:?}", world.now);
                });
                let is_done =
                    |node: &Running| node.node.intent != Intent::Announce && node.originated.is_empty();
                let done: Vec<usize> = (0..of).filter(|number| is_done(&world.nodes[*number])).collect();
                left -= done.len();
                done.into_iter().for_each(|number| switch(&mut world, number, false));
            }
            assert_eq!(left, 0, "{of} nodes, together: {together}, drain: {drain}");
            assert!((0..of).all(|number| state(&world, number) == State::Announce));
        }
    }
}

#[test]
fn one_that_dies_while_it_waits_for_its_switch_is_withdrawn() {
    let mut world = settled(4);
    world.nodes[3].condition = LEAVING;
    world.pass(seconds(30), somebody);
    switch(&mut world, 0, true);
    world.pass(seconds(30), somebody);
    assert_eq!(state(&world, 0), State::Held);
    world.nodes[0].condition = DEAD;
    world.pass(seconds(6), somebody);
    assert!(world.nodes[0].originated.is_empty(), "{:?}", world.nodes[0].gate.verdict());
}

#[test]
fn an_agent_that_starts_in_the_middle_of_a_switch_announces_nothing() {
    let mut world = settled(2);
    switch(&mut world, 0, true);
    world.pass(seconds(30), somebody);
    assert!(world.nodes[0].originated.is_empty());
    world.nodes[0].gate = super::Gate::default();
    world.pass(seconds(60), |world| assert!(world.nodes[0].originated.is_empty()));
    switch(&mut world, 0, false);
    world.pass(seconds(5), somebody);
    assert_eq!(state(&world, 0), State::Announce);
    // One whose routing daemon announced on leaves as if nothing had happened.
    switch(&mut world, 0, true);
    world.nodes[0].gate = super::Gate::default();
    world.pass(seconds(5), somebody);
    assert_eq!(state(&world, 0), State::Draining);
    world.pass(seconds(25), somebody);
    assert!(world.nodes[0].originated.is_empty());
}

/// A node that drains from second 100 on, with so many queries in each second: after how many it was withdrawn, and what was
/// said then. It is asked for its count once a minute, and in each cycle while it drains; `u64::MAX` stands for a name server
/// that says nothing. Another node is well all the time.
fn drain(seconds: impl Fn(u64) -> u64, restart: Option<u64>) -> (u64, String) {
    let world = settled(2);
    let mut node = Running::new(0, 2, Duration::ZERO);
    (node.gate, node.originated) = (world.nodes[0].gate.clone(), world.nodes[0].originated.clone());
    let mut queries = 7;
    for second in 0..200 {
        queries += if seconds(second) == u64::MAX { 0 } else { seconds(second) };
        if restart == Some(second) {
            queries = 0;
        }
        let at = world.now + Duration::from_secs(second);
        let is_due = second % 60 == 30 || second % 2 == 0 && node.gate.verdict().state == State::Draining;
        let beat = world.nodes[1].gate.beat(world.now);
        node.heard.insert(super::testing::name(1), super::beat::Heard { beat, at });
        if second == 100 {
            node.node.intent = Intent::Silent;
        }
        let mut cycle = node.cycle(at, at, Condition::default());
        cycle.queries = match is_due {
            false => Count::NotAsked,
            true if seconds(second) == u64::MAX => Count::Unknown,
            true => Count::Known { at, queries },
        };
        node.gate = node.gate.fold(&node.node, &cycle);
        if node.gate.verdict().state == State::Withdrawn {
            let stance = node.gate.verdict().stances.values().next().unwrap().to_string();
            return (second - 100, stance);
        }
    }
    panic!("it is not withdrawn: {:?}", node.gate.verdict());
}

#[test]
fn a_drain_ends_when_the_queries_have_ceased() {
    // Queries a second before, and from this second on, and when the drain is over: 20 s are the most.
    for (before, falls, after, over) in [
        (200, 101, 0, 12),
        (200, 101, 20, 12),
        (200, 106, 20, 16),
        (200, 101, 30, 20),
        (200, 101, 200, 20),
        // So few that it is all the same.
        (0, 101, 0, 10),
        (1, 101, 1, 10),
        (5, 101, 1, 12),
        (5, 101, 2, 20),
        // Suddenly they come.
        (0, 101, 50, 20),
    ] {
        let (ended, said) = drain(|second| if second < falls { before } else { after }, None);
        assert_eq!(ended, over, "{before} until {falls}, then {after}: {said}");
        let left = format!("drained for {over} s, {after} of {before} queries a second are left");
        assert!(said.contains(&left), "{said}");
    }
}

#[test]
fn a_drain_takes_its_time_where_nobody_counts() {
    let (ended, said) = drain(|_| u64::MAX, None);
    assert_eq!(ended, 20);
    assert!(said.contains("how many queries are left is not known"), "{said}");
    // One that was counted before, and is not any more, is not silent.
    let (ended, _) = drain(|second| if second < 95 { 200 } else { u64::MAX }, None);
    assert_eq!(ended, 20);
    // While one that started again is not known, it is not silent; what came before it did is known.
    for (restart, after, over) in [(105, 0, 16), (105, 20, 16), (105, 21, 20), (98, 20, 12)] {
        let (ended, said) = drain(|second| if second < 101 { 200 } else { after }, Some(restart));
        assert_eq!(ended, over, "restart in second {restart}: {said}");
    }
}

#[test]
fn nothing_is_announced_before_an_answer_nor_without_zones() {
    let mut node = Running::new(0, 2, Duration::ZERO);
    for second in 0..60 {
        node.fold(seconds(second), seconds(second), DEAD);
        assert!(node.originated.is_empty() && node.gate.verdict().state == State::Boot);
    }
    let mut cycle = node.cycle(seconds(60), seconds(60), Condition::default());
    cycle.zones.as_mut().unwrap().served = 98;
    node.gate = node.gate.fold(&node.node, &cycle);
    assert_eq!(node.gate.verdict().state, State::Standby);
    let stance = node.gate.verdict().stances.values().next().unwrap().to_string();
    assert!(stance.contains("98 of 100 zones have data"), "{stance}");
    cycle.zones.as_mut().unwrap().served = 99;
    assert_eq!(node.gate.fold(&node.node, &cycle).verdict().state, State::Announce);
    // One dead primary keeps no node silent for ever.
    cycle.zones.as_mut().unwrap().served = 98;
    cycle.now = seconds(121);
    assert_eq!(node.gate.fold(&node.node, &cycle).verdict().state, State::Announce);
}

#[test]
fn an_agent_that_starts_again_leaves_a_daemon_as_it_is_until_it_knows() {
    let mut node = Running::new(0, 1, Duration::ZERO);
    node.originated = settled(1).nodes[0].originated.clone();
    node.fold(seconds(0), seconds(0), DEAD);
    assert_eq!((node.originated.len(), node.gate.verdict().state), (2, State::Boot));
    node.fold(seconds(1), seconds(1), Condition::default());
    assert_eq!((node.originated.len(), node.gate.verdict().state), (2, State::Announce));
    // One whose name server never answers is dead, and is so even to an agent that never saw it alive.
    let mut world = settled(2);
    world.nodes[0].gate = super::Gate::default();
    world.nodes[0].condition = DEAD;
    world.pass(seconds(25), somebody);
    assert!(!world.nodes[0].originated.is_empty());
    world.pass(seconds(15), somebody);
    assert!(world.nodes[0].originated.is_empty(), "{:?}", world.nodes[0].gate.verdict());
}

#[test]
fn the_fence_shuts_everything_until_a_person_takes_it_down() {
    let mut node = Running::new(0, 1, Duration::ZERO);
    let mut fold = |second: u64, leak: bool, fenced: Option<&str>| {
        let mut cycle = node.cycle(seconds(second), seconds(second), Condition::default());
        cycle.orders = Orders { maintenance: false, fenced: fenced.map(str::to_owned) };
        if leak {
            let routing = cycle.routing.as_mut().unwrap();
            let session = routing.sessions.values_mut().next().unwrap();
            session.prefixes_sent.insert("198.51.100.0/24".parse().unwrap());
        }
        node.gate = node.gate.fold(&node.node, &cycle);
        let verdict = node.gate.verdict().clone();
        // From then on the order says so.
        if second > 21 {
            node.gate.forget_breach();
        }
        verdict
    };
    assert_eq!(fold(0, false, None).state, State::Announce);
    assert_eq!(fold(10, true, None).state, State::Announce);
    let verdict = fold(20, true, None);
    assert_eq!(verdict.state, State::Fenced);
    assert!(verdict.fenced.as_ref().unwrap().contains("198.51.100.0/24"));
    assert!(verdict.stances.values().all(|stance| matches!(stance, Stance::Silent { .. })));
    // It stays up although the leak is gone, while it is not kept yet, and while it is.
    assert_eq!(fold(21, false, None).state, State::Fenced);
    assert_eq!(fold(22, false, None).state, State::Fenced);
    // Whoever takes it down at once has it down.
    assert_eq!(fold(23, false, None).state, State::Announce);
    assert_eq!(fold(30, false, verdict.fenced.as_deref()).state, State::Fenced);
    assert_eq!(fold(40, false, None).state, State::Announce);
}

#[test]
fn what_all_have_lost_is_nobodys_reason_to_leave() {
    for (others_expired, wanted) in [(0, Some(Class::Data)), (1, None)] {
        let mut world = settled(4);
        for second in 0..20 {
            let now = world.now + seconds(second);
            for (number, heard) in (1..).zip(world.nodes[0].heard.clone().into_values()) {
                let beat = super::beat::Beat { expired: others_expired, ..heard.beat };
                let heard = super::beat::Heard { beat, at: now };
                world.nodes[0].heard.insert(super::testing::name(number), heard);
            }
            let mut cycle = world.nodes[0].cycle(now, now, Condition::default());
            cycle.zones.as_mut().unwrap().expired = 1;
            world.nodes[0].gate = world.nodes[0].gate.fold(&world.nodes[0].node, &cycle);
        }
        let class = world.nodes[0].gate.verdict().class.clone();
        assert_eq!(class.map(|class| class.0), wanted, "{others_expired}");
    }
}

/// Something that happens to a network.
#[derive(Debug, Clone)]
enum Event {
    Condition(usize, Condition),
    Cut(usize, usize, bool),
    Delay(usize, u64),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let condition = any::<([bool; 2], bool, bool)>();
    let condition =
        condition.prop_map(|(answers, canary, leaves)| Condition { answers, canary, maintenance: leaves });
    prop_oneof![
        2 => (0..5usize, condition).prop_map(|(node, condition)| Event::Condition(node, condition)),
        1 => (0..5usize).prop_map(|node| Event::Condition(node, Condition::default())),
        1 => (0..5usize, 0..5usize, any::<bool>()).prop_map(|(from, to, cut)| Event::Cut(from, to, cut)),
        // Longer than a beat may take is what the guard cannot stand; it is far beyond any network's way.
        1 => (0..5usize, 0..450u64).prop_map(|(node, delay)| Event::Delay(node, delay)),
        3 => (50..20_000u64).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_somebody_announces(
        of in 2..6usize,
        counts in any::<bool>(),
        events in proptest::collection::vec(event(), 1..40),
    ) {
        let mut world = settled(of);
        // Drains end as soon as they may, or take their time.
        world.nodes.iter_mut().for_each(|node| node.counts = counts);
        for event in events {
            match event {
                Event::Condition(node, condition) if node < of => world.nodes[node].condition = condition,
                Event::Cut(from, to, true) => drop(world.cut.insert((from, to))),
                Event::Cut(from, to, false) => drop(world.cut.remove(&(from, to))),
                Event::Delay(node, delay) if node < of => world.delays[node] = Duration::from_millis(delay),
                Event::Condition(..) | Event::Delay(..) => {}
                Event::Pass(time) => world.pass(Duration::from_millis(time), somebody),
            }
        }
        // Once all is well again, everybody announces, the hold-downs over.
        world.cut.clear();
        world.nodes.iter_mut().for_each(|node| node.condition = Condition::default());
        world.pass(seconds(960), somebody);
        prop_assert!(world.announcing().values().all(|count| *count == of), "{:?}", world.announcing());
    }

    #[test]
    fn a_hold_down_holds_while_others_announce(events in proptest::collection::vec((any::<bool>(), 50..20_000u64), 1..30)) {
        let mut world = settled(3);
        let mut withdrawn: Option<Duration> = None;
        for (dead, time) in events {
            world.nodes[0].condition = if dead { DEAD } else { Condition::default() };
            world.pass(Duration::from_millis(time), |world| {
                let announces = world.nodes[0].announces(world.nodes[0].node.routing.prefixes.first().unwrap());
                match withdrawn {
                    None if !announces => withdrawn = Some(world.now),
                    Some(at) if announces => {
                        assert!(world.now - at >= policy_hold_down(), "it came back after {:?}", world.now - at);
                        withdrawn = None;
                    }
                    Some(_) | None => {}
                }
            });
        }
    }
}

fn policy_hold_down() -> Duration {
    super::testing::policy().hold_down
}
