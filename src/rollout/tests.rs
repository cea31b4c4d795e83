//! Folds that talk to each other, and each rule by itself.

use proptest::prelude::*;

use super::*;
use crate::health::Gate;
use crate::health::beat::Beat;

const SOAK: u64 = 6;
const DEADLINE: u64 = 30;

fn of(name: &str) -> ConfigurationId {
    let digest = Fingerprint::of(&[name.as_bytes()]);
    ConfigurationId { revision: Revision([name.as_bytes()[0]; 20]), digest }
}

fn name(number: usize) -> NodeName {
    format!("node-{number}").parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Of a node that runs `old`, and has for long.
fn settled() -> Rollout {
    let runs = Runs { of: of("old"), proven: true, expected: Expected::default() };
    Rollout::new(Memory { runs: Some(runs), ..Memory::default() })
}

/// A node with two sessions, and nothing wrong.
fn well() -> Own {
    let prefix: IpNet = "192.0.2.0/24".parse().unwrap();
    Own {
        configured: 2,
        established: 2,
        meant: [prefix].into(),
        announced: [prefix].into(),
        ..Own::default()
    }
}

fn cut_off() -> Own {
    Own { established: 0, announced: [].into(), ..well() }
}

fn heard(at: Duration, runs: &str, good: bool, rejects: Option<&str>) -> Heard {
    let digest = |name: &str| of(name).digest.start();
    let configuration = ConfigurationBeat { runs: digest(runs), good, rejects: rejects.map_or(0, digest) };
    Heard { beat: beat(configuration), at }
}

fn beat(configuration: ConfigurationBeat) -> Beat {
    Beat { configuration: Some(configuration), ..Gate::default().beat(Duration::ZERO) }
}

/// One node, its clock, and what it hears.
struct Node {
    rollout: Rollout,
    waves: Option<Waves>,
    now: u64,
    candidate: &'static str,
    own: Own,
    heard: BTreeMap<NodeName, Heard>,
}

impl Node {
    /// In the second of three waves of two nodes.
    fn new() -> Self {
        let waves = Waves {
            soak: seconds(SOAK),
            deadline: seconds(DEADLINE),
            own: 2,
            count: 3,
            before: [name(0), name(1)].into(),
            after: [name(4), name(5)].into(),
        };
        Self {
            rollout: settled(),
            waves: Some(waves),
            now: 1_000,
            candidate: "old",
            own: well(),
            heard: BTreeMap::new(),
        }
    }

    fn canary() -> Self {
        let mut node = Self::new();
        let waves = node.waves.as_mut().unwrap();
        waves.own = 1;
        waves.after.append(&mut waves.before);
        node
    }

    fn hear(&mut self, number: usize, runs: &str, good: bool, rejects: Option<&str>) {
        self.heard.insert(name(number), heard(seconds(self.now), runs, good, rejects));
    }

    /// Second after second, for so many.
    fn pass(&mut self, time: u64) -> &mut Self {
        for _ in 0..time {
            self.now += 1;
            self.rollout = self.rollout.fold(&Look {
                now: seconds(self.now),
                candidate: of(self.candidate),
                waves: self.waves.as_ref(),
                heard: &self.heard,
                own: &self.own,
            });
        }
        self
    }

    fn runs(&self, name: &str) -> bool {
        self.rollout.runs() == Some(of(name))
    }

    fn wait(&self) -> &str {
        self.rollout.wait().unwrap_or("")
    }

    fn is_good(&self) -> bool {
        self.rollout.beat().good
    }

    fn rejects(&self, name: &str) -> bool {
        self.rollout.beat().rejects == of(name).digest.start()
    }
}

#[test]
fn a_node_that_never_ran_any_takes_it_on_at_once() {
    let mut node = Node { rollout: Rollout::new(Memory::default()), ..Node::new() };
    node.own = cut_off();
    assert!(node.pass(1).runs("old") && !node.is_good());
    // It is expected to do no more than it did: nothing.
    assert!(node.pass(SOAK + 1).is_good());
}

#[test]
fn a_wave_waits_for_those_before_it() {
    let mut node = Node::new();
    node.candidate = "new";
    assert!(node.pass(1).runs("old"));
    assert_eq!(
        node.wait(),
        "the configuration of 6e6e6e6e6e waits: wave 2 of 3 comes later: node-0 is not heard, node-1 is not \
         heard; the configuration of 6f6f6f6f6f runs"
    );
    node.hear(0, "old", true, None);
    node.hear(1, "new", false, None);
    node.pass(1);
    assert!(node.wait().contains("node-0 does not run it, node-1 is trying it"), "{}", node.wait());
    node.hear(0, "new", true, None);
    node.hear(1, "new", true, None);
    assert!(node.pass(1).runs("new") && node.wait().is_empty() && !node.is_good());
    assert!(node.pass(SOAK + 1).is_good());
    // One of version 1 holds it up, as one that is silent does.
    let mut node = Node { candidate: "new", ..Node::new() };
    node.hear(0, "new", true, None);
    node.hear(1, "new", true, None);
    node.heard.get_mut(&name(1)).unwrap().beat.configuration = None;
    assert!(node.pass(1).wait().contains("node-1 says nothing of it"), "{}", node.wait());
    node.heard.get_mut(&name(1)).unwrap().beat.configuration = None;
    node.hear(1, "new", true, None);
    node.now += 11;
    assert!(node.pass(1).wait().contains("node-0 is not heard"), "what is stale does not count");
}

#[test]
fn the_newest_revision_says_what_the_waves_are() {
    let mut node = Node { candidate: "new", ..Node::new() };
    node.hear(1, "new", true, None);
    assert!(node.pass(1).runs("old"));
    node.waves.as_mut().unwrap().before.remove(&name(0));
    assert!(node.pass(1).runs("new"));
}

#[test]
fn a_canary_that_fails_goes_back_and_says_so() {
    type Failure = (fn(&Node) -> Own, u64, &'static str);
    let failures: [Failure; 5] = [
        (|_| cut_off(), DEADLINE, "of 2 sessions 0 are established, and were 2"),
        (|_| Own { announced: [].into(), ..well() }, DEADLINE, "192.0.2.0/24 not announced, as before"),
        (|_| Own { undone: Some("still to do: it".into()), ..well() }, DEADLINE, "still to do: it"),
        (|node| Own { class: Some(("HARD: no answer".into(), seconds(node.now))), ..well() }, 0, "HARD"),
        (|_| Own { failed: Some("it was taken back".into()), ..well() }, 0, "it was taken back"),
    ];
    for (own, after, why) in failures {
        let mut node = Node { candidate: "new", ..Node::canary() };
        assert!(node.pass(1).runs("new"));
        node.own = own(&node);
        if after > 0 {
            assert!(node.pass(after - 1).runs("new"), "{why}");
        }
        assert!(node.pass(1).runs("old") && node.rejects("new"), "{why}");
        assert!(node.pass(1).wait().contains(why), "{}", node.wait());
        // Not again, nor after a restart, nor when zones change and the configuration does not.
        node.own = well();
        assert!(node.pass(300).runs("old") && node.rejects("new") && node.is_good());
        node.rollout = Rollout::new(node.rollout.memory().clone());
        assert!(node.pass(300).runs("old") && node.rejects("new"));
        // Until there is another.
        node.candidate = "third";
        assert!(node.pass(1).runs("third") && !node.rejects("new"));
    }
}

#[test]
fn what_was_wrong_before_is_not_the_fault_of_the_new_one() {
    let mut node = Node::canary();
    node.own = Own { class: Some(("HARD: no answer".into(), seconds(node.now))), ..cut_off() };
    node.pass(1).candidate = "new";
    assert!(node.pass(DEADLINE * 3).runs("new") && !node.rejects("new") && !node.is_good());
    // Once that is over it is as good as any, and what comes then is new.
    node.own = well();
    assert!(node.pass(SOAK + 1).is_good());
    let mut node = Node::canary();
    node.own = Own { class: Some(("HARD: no answer".into(), seconds(node.now))), ..well() };
    node.pass(1).candidate = "new";
    node.pass(1);
    node.own = Own { class: Some(("DATA: too few".into(), seconds(node.now + 1))), ..well() };
    assert!(node.pass(2).runs("old"));
}

#[test]
fn what_stood_in_the_way_before_is_not_in_the_way_of_the_new_one() {
    let obstacle = |what: &str| Own { undone: Some(what.into()), failed: Some("a switch".into()), ..well() };
    let mut node = Node { own: obstacle("bird is not installed"), ..Node::canary() };
    node.pass(1).candidate = "new";
    assert!(node.pass(SOAK + 2).is_good());
    let mut node = Node { own: obstacle("bird is not installed"), ..Node::canary() };
    node.pass(1).candidate = "new";
    node.pass(1).own = obstacle("knot is not installed");
    assert!(node.pass(DEADLINE + 1).runs("old"));
}

#[test]
fn a_switch_of_daemons_takes_its_time() {
    let mut node = Node { candidate: "new", ..Node::canary() };
    node.pass(1).own = Own { switching: Some("switching from bind to knot".into()), ..well() };
    assert!(node.pass(DEADLINE * 5).runs("new") && !node.is_good());
    node.own = well();
    assert!(node.pass(SOAK + 1).is_good());
    let mut node = Node { candidate: "new", ..Node::canary() };
    node.pass(1).own = Own { switching: Some("switching from bind to knot".into()), ..well() };
    node.pass(DEADLINE * 5).own = Own { failed: Some("the switch to knot failed".into()), ..well() };
    assert!(node.pass(1).runs("old"));
}

#[test]
fn a_drain_by_an_operator_is_no_failure() {
    let mut node = Node::canary();
    node.candidate = "new";
    node.pass(1).own = Own { announced: [].into(), meant: [].into(), ..well() };
    assert!(node.pass(SOAK + 1).is_good());
}

#[test]
fn a_fix_on_top_of_what_fails_goes_back_to_what_was_good() {
    let mut node = Node { candidate: "new", ..Node::canary() };
    node.pass(1).own = cut_off();
    node.pass(10).candidate = "third";
    assert!(node.pass(1).runs("third"));
    // What it did with the one that failed is nothing to expect.
    assert!(node.pass(DEADLINE - 1).runs("third"));
    assert!(node.pass(1).runs("old") && node.rejects("third"));
    // A revert is what was good before.
    let mut node = Node { candidate: "new", ..Node::canary() };
    node.pass(1).candidate = "old";
    assert!(node.pass(1).runs("old"));
    assert_eq!(node.rollout.memory().before, None);
}

#[test]
fn those_that_hear_of_it_go_back_the_last_wave_first() {
    // On trial: at once.
    let mut node = Node { candidate: "new", ..Node::new() };
    node.hear(0, "new", true, None);
    node.hear(1, "new", true, None);
    assert!(node.pass(1).runs("new"));
    node.hear(3, "old", true, Some("new"));
    assert!(node.pass(1).runs("old") && !node.rejects("new"), "only who met it says so");
    assert!(node.pass(1).wait().contains("node-3 rejects it"), "{}", node.wait());
    node.heard.clear();
    node.hear(0, "new", true, None);
    node.hear(1, "new", true, None);
    assert!(node.pass(5).runs("old"), "and it does not forget");

    // Good here, and failed later on: once those are back and well.
    let mut node = Node { candidate: "new", ..Node::canary() };
    assert!(node.pass(SOAK + 2).is_good());
    node.hear(4, "old", false, Some("new"));
    node.hear(5, "new", false, None);
    assert!(node.pass(5).runs("new") && !node.is_good());
    assert_eq!(
        node.wait(),
        "the configuration of 6e6e6e6e6e is given up, node-4, node-5 first: node-4 rejects it"
    );
    node.hear(5, "old", true, None);
    assert!(node.pass(1).runs("new"));
    node.hear(4, "old", true, Some("new"));
    assert!(node.pass(1).runs("old"));
}

#[test]
fn who_is_late_and_fails_alone_goes_back_alone() {
    let mut node = Node { candidate: "new", ..Node::canary() };
    // Two waves more may be at it for so long.
    assert!(node.pass(SOAK + 2 + 3 * DEADLINE).is_good());
    node.hear(5, "new", false, None);
    node.pass(5).hear(5, "old", true, Some("new"));
    assert!(node.pass(5).runs("new") && node.is_good() && node.wait().is_empty());
    // Unless it is one of a wave that has been at it ever since.
    let mut busy = Node { candidate: "new", ..Node::canary() };
    for _ in 0..3 * DEADLINE {
        busy.pass(2).hear(5, "new", false, None);
    }
    busy.hear(5, "old", true, Some("new"));
    assert!(busy.pass(5).runs("old"));
    let mut node = Node { rollout: Rollout::new(node.rollout.memory().clone()), ..node };
    node.hear(5, "old", true, Some("new"));
    assert!(node.pass(5).runs("new"));
}

#[test]
fn a_restart_goes_on_with_the_trial() {
    let mut node = Node { candidate: "new", ..Node::canary() };
    node.pass(1).own = cut_off();
    node.rollout = Rollout::new(node.pass(5).rollout.memory().clone());
    node.now = 0;
    assert!(node.pass(DEADLINE - 1).runs("new"));
    assert!(node.pass(1).runs("old") && node.rejects("new"));
}

#[test]
fn with_nothing_to_go_back_to_it_is_on_trial_until_it_is_well() {
    let first = || {
        let mut node = Node { rollout: Rollout::new(Memory::default()), candidate: "new", ..Node::canary() };
        node.pass(1);
        node
    };
    let failures: [fn(&Node) -> Own; 3] = [
        |node| Own { class: Some(("HARD: no answer".into(), seconds(node.now))), ..well() },
        |_| Own { failed: Some("it was taken back".into()), ..well() },
        |_| Own { undone: Some("still to do: it".into()), ..well() },
    ];
    for own in failures {
        let mut node = first();
        node.own = own(&node);
        assert!(node.pass(DEADLINE * 3).runs("new") && !node.is_good());
        assert!(!node.rejects("new"), "what it has to run it does not call rejected");
        assert!(node.wait().contains("there is none to go back to"), "{}", node.wait());
        node.own = well();
        assert!(node.pass(SOAK + 1).is_good() && node.wait().is_empty());
    }
    // What others reject is good nowhere, well as it may be here.
    let mut node = first();
    node.hear(4, "old", true, Some("new"));
    assert!(node.pass(SOAK + 1).runs("new") && !node.is_good());
    assert!(node.wait().contains("node-4 rejects it"), "{}", node.wait());
}

#[test]
fn a_network_that_begins_with_a_fault_gets_going() {
    // Every node runs its first, and no name server answers.
    let mut world = World::new(&[0, 0, 1, 1, 2], 20, 7);
    world.ill = Own { class: Some(("HARD: no answer".into(), seconds(9))), ..cut_off() };
    for node in &mut world.nodes {
        node.rollout = Rollout::new(Memory::default());
    }
    world.fetches.fill(0);
    for now in 1..DEADLINE * 2 {
        world.step(now, &|_| true);
    }
    assert!(world.nodes.iter().all(|node| node.runs("new") && !node.is_good()));
    for now in DEADLINE * 2..DEADLINE * 3 {
        world.step(now, &|_| false);
    }
    assert!(world.nodes.iter().all(Node::is_good));
}

#[test]
fn without_waves_all_goes_at_once_and_a_frozen_gate_goes_back() {
    let mut node = Node { waves: None, candidate: "new", ..Node::new() };
    assert!(node.pass(1).runs("new"));
    node.own = cut_off();
    assert!(node.pass(1_000).runs("new"), "as long as nobody says why");

    let mut node = Node { waves: None, candidate: "new", ..Node::new() };
    node.pass(200).own.frozen = Some("3 of 5 nodes became HARD".to_owned());
    assert!(node.pass(1).runs("old") && node.rejects("new"));
    assert!(node.pass(1).wait().contains("3 of 5 nodes"), "{}", node.wait());
    // The others hear of it.
    let mut other = Node { waves: None, candidate: "new", ..Node::new() };
    other.pass(200).hear(1, "old", false, Some("new"));
    assert!(other.pass(2).runs("old"));
    // What was frozen before may be what the new one mends.
    let mut node = Node { waves: None, candidate: "old", ..Node::new() };
    node.own.frozen = Some("3 of 5 nodes became HARD".to_owned());
    node.pass(100).candidate = "new";
    assert!(node.pass(100).runs("new"));
    // Later it is something else.
    let mut node = Node { waves: None, candidate: "new", ..Node::new() };
    node.pass(301 + 1).own.frozen = Some("3 of 5 nodes became HARD".to_owned());
    assert!(node.pass(5).runs("new"));
    // The first one stays, and is as good as before once that is over.
    let mut node = Node { rollout: Rollout::new(Memory::default()), waves: None, ..Node::new() };
    node.pass(10).own.frozen = Some("3 of 5 nodes became HARD".to_owned());
    assert!(node.pass(5).runs("old") && !node.rejects("old"), "{}", node.wait());
    node.own = well();
    assert!(node.pass(5).is_good());
}

#[test]
fn what_cannot_be_had_any_more_is_not_waited_for() {
    let mut node = Node { candidate: "new", ..Node::new() };
    let old = of("old");
    let again = ConfigurationId { digest: of("older").digest, ..old };
    node.rollout.resolve(old.revision, Some(again));
    assert_eq!(node.rollout.runs(), Some(again));
    node.rollout.resolve(old.revision, None);
    assert!(node.pass(1).runs("new"));
}

/// A network in which beats are late and get lost.
struct World {
    nodes: Vec<Node>,
    wave_of: Vec<usize>,
    /// When each node fetches the new revision.
    fetches: Vec<u64>,
    on_their_way: Vec<(u64, usize, usize, ConfigurationBeat)>,
    /// A node for which the new configuration is bad.
    ill: Own,
    loss: u64,
    random: u64,
}

impl World {
    fn new(wave_of: &[usize], loss: u64, seed: u64) -> Self {
        let count = wave_of.iter().max().unwrap() + 1;
        let waves = |own: usize| {
            let those = |is: &dyn Fn(usize) -> bool| {
                (0..wave_of.len()).filter(|node| is(wave_of[*node])).map(name).collect()
            };
            let number = |wave: usize| u32::try_from(wave).unwrap();
            let (soak, deadline) = (seconds(SOAK), seconds(DEADLINE));
            let (before, after) = (those(&|wave| wave < own), those(&|wave| wave > own));
            Waves { soak, deadline, own: number(own + 1), count: number(count), before, after }
        };
        let node = |wave: &usize| Node { waves: Some(waves(*wave)), now: 0, ..Node::new() };
        let mut world = Self {
            nodes: wave_of.iter().map(node).collect(),
            wave_of: wave_of.to_vec(),
            fetches: Vec::new(),
            on_their_way: Vec::new(),
            ill: cut_off(),
            loss,
            random: seed | 1,
        };
        world.fetches = wave_of.iter().map(|_| world.draw() % 20).collect();
        world
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }

    /// A second passes; `bad` are the nodes that the new configuration is bad for.
    fn step(&mut self, now: u64, bad: &dyn Fn(usize) -> bool) {
        let arrived: Vec<_> = self.on_their_way.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, from, to, configuration) in arrived {
            self.nodes[to].heard.insert(name(from), Heard { beat: beat(configuration), at: seconds(now) });
        }
        for number in 0..self.nodes.len() {
            let fetched = now >= self.fetches[number];
            let node = &mut self.nodes[number];
            if fetched {
                node.candidate = "new";
            }
            node.own = if node.runs("new") && bad(number) { self.ill.clone() } else { well() };
            node.now = now - 1;
            let before = node.rollout.beat();
            let beat = node.pass(1).rollout.beat();
            if beat == before && now % 2 != number as u64 % 2 {
                continue;
            }
            for to in 0..self.nodes.len() {
                let (lost, late) = (self.draw() % 100 < self.loss, self.draw() % 4);
                if to != number && !lost {
                    self.on_their_way.push((now + late, number, to, beat));
                }
            }
        }
    }

    fn running(&self, what: &str) -> Vec<usize> {
        (0..self.nodes.len()).filter(|number| self.nodes[*number].runs(what)).collect()
    }
}

/// Networks of two to four waves, their loss of beats in a hundred, and a seed.
fn worlds() -> impl Strategy<Value = (Vec<usize>, u64, u64)> {
    let waves = prop::collection::vec(1usize..4, 2..5);
    let waves = waves.prop_map(|sizes| {
        let of = |(wave, size): (usize, usize)| std::iter::repeat_n(wave, size);
        sizes.into_iter().enumerate().flat_map(of).collect()
    });
    (waves, 0u64..50, any::<u64>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_fails_everywhere_never_leaves_the_canaries((waves, loss, seed) in worlds()) {
        let mut world = World::new(&waves, loss, seed);
        let mut tried = false;
        for now in 1..300 {
            world.step(now, &|_| true);
            let running = world.running("new");
            tried |= !running.is_empty();
            prop_assert!(running.iter().all(|number| waves[*number] == 0), "{running:?} at {now}");
        }
        prop_assert!(tried && world.running("new").is_empty());
        prop_assert!(world.nodes.iter().all(|node| node.wait().contains("is rejected")));
    }

    #[test]
    fn what_is_good_reaches_everybody_wave_by_wave((waves, loss, seed) in worlds()) {
        let mut world = World::new(&waves, loss, seed);
        let mut good = vec![false; waves.len()];
        for now in 1..600 {
            let before = world.running("new");
            world.step(now, &|_| false);
            for number in world.running("new").into_iter().filter(|number| !before.contains(number)) {
                let earlier = (0..waves.len()).filter(|other| waves[*other] < waves[number]);
                prop_assert!(earlier.clone().all(|other| good[other]), "{number} at {now}");
            }
            for number in world.running("new") {
                good[number] |= world.nodes[number].is_good();
            }
        }
        prop_assert!(good.iter().all(|good| *good), "{good:?}");
    }

    #[test]
    fn where_one_node_fails_all_are_back_in_the_end((waves, loss, seed) in worlds(), which in any::<prop::sample::Index>()) {
        let mut world = World::new(&waves, loss, seed);
        let fails = which.index(waves.len());
        let mut tried = false;
        for now in 1..700 {
            world.step(now, &|number| number == fails);
            tried |= world.nodes[fails].runs("new");
            let later = world.running("new").into_iter().find(|number| waves[*number] > waves[fails]);
            prop_assert_eq!(later, None, "a wave after the one that fails never begins");
        }
        prop_assert!(tried);
        prop_assert_eq!(world.running("new"), Vec::<usize>::new());
    }
}

#[test]
fn no_two_waves_change_at_once_on_the_way_back() {
    let mut world = World::new(&[0, 0, 1, 1, 1, 2, 2, 2], 0, 7);
    let mut back = Vec::new();
    for now in 1..600 {
        let before = world.running("new");
        world.step(now, &|number| number == 6);
        let gone: Vec<usize> =
            before.into_iter().filter(|number| !world.nodes[*number].runs("new")).collect();
        back.extend(gone.iter().map(|number| (world.wave_of[*number], now)));
    }
    let waves: Vec<usize> = back.iter().map(|(wave, _)| *wave).collect();
    assert_eq!(waves, [2, 2, 2, 1, 1, 1, 0, 0]);
    let soaked = |later: usize, earlier: usize| {
        let at = |wave: usize| back.iter().filter(move |(of, _)| *of == wave).map(|(_, at)| *at);
        at(earlier).min().unwrap() >= at(later).max().unwrap() + SOAK
    };
    assert!(soaked(2, 1) && soaked(1, 0), "{back:?}");
}
