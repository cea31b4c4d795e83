//! Another daemon takes the place of one on a node with real daemons: while the provider has a route, there is an answer.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use shoestring::process::find_program;
use shoestring::status::Snapshot;

use crate::bgp::lab::Daemon;
use crate::namespace::in_a_namespace;
use crate::one_node::{Lab, missing};

const SERVICE: &str = "192.0.2.53:53";
const ANYCAST: &str = "192.0.2.0/24";

/// A node, its provider and somebody who asks it all the time.
struct Node {
    lab: Arc<Lab>,
    stop: Arc<AtomicBool>,
    watch: Option<JoinHandle<Seen>>,
    /// In a namespace of its own: daemons have no sessions with themselves.
    _provider: Daemon,
}

/// What became of the questions, and of the route.
#[derive(Debug, Default)]
struct Seen {
    asked: u32,
    lost: Vec<String>,
    /// How often the route went, and how often it was drained before.
    withdrawn: u32,
    drained: u32,
}

fn route(lab: &Lab) -> Option<bool> {
    let route = lab.bird_route();
    route.contains(ANYCAST).then(|| route.contains("(65535,0)"))
}

fn ask(number: u16) -> Result<(), String> {
    let say = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(say)?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).map_err(say)?;
    socket.connect(SERVICE).map_err(say)?;
    let mut question = Message::query();
    question.metadata.id = number;
    question.add_query(Query::query(Name::from_ascii("www.canary.example.").unwrap(), RecordType::A));
    socket.send(&question.to_vec().unwrap()).map_err(say)?;
    let mut room = [0; 1232];
    let length = socket.recv(&mut room).map_err(say)?;
    let answer = Message::from_vec(&room[..length]).map_err(|error| error.to_string())?;
    let code = answer.metadata.response_code;
    if code == ResponseCode::NoError && !answer.answers.is_empty() { Ok(()) } else { Err(code.to_string()) }
}

fn watch(lab: &Lab, stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut before = route(lab);
    while !stop.load(Ordering::Relaxed) {
        let mut answers = Vec::new();
        for _ in 0..5 {
            seen.asked += 1;
            answers.push(ask(seen.asked as u16));
        }
        let after = route(lab);
        match (before, after) {
            (Some(_), Some(_)) => seen.lost.extend(answers.into_iter().filter_map(Result::err)),
            (Some(is_drained), None) => {
                seen.withdrawn += 1;
                seen.drained += u32::from(is_drained);
            }
            (None, _) => {}
        }
        before = after;
    }
    seen
}

impl Node {
    /// Settled, announced and asked, in a network that gives another daemon this many seconds.
    fn start(trial: u32) -> Self {
        let mut lab = Lab::new();
        let config = fs::read_to_string(lab.path("config.yaml")).unwrap();
        fs::write(lab.path("config.yaml"), format!("{config}supervision: child\n")).unwrap();
        let network = fs::read_to_string(lab.path("work/network.yaml")).unwrap();
        fs::write(lab.path("work/network.yaml"), format!("{network}switch_trial: {trial}s\n")).unwrap();
        lab.commit("Say how long a trial takes");
        lab.git(&["push", "-q", "origin", "main"]);
        lab.start("named");
        let provider = lab.start_bird_apart();
        lab.start("agent");
        let lab = Arc::new(lab);
        let mut node = Self { lab, stop: Arc::default(), watch: None, _provider: provider };
        node.until("it settles", |status| status.settled);
        node.lab.until("BIRD has the route", |lab| route(lab) == Some(false));
        node.look();
        node
    }

    fn look(&mut self) {
        let (lab, stop) = (Arc::clone(&self.lab), Arc::clone(&self.stop));
        stop.store(false, Ordering::Relaxed);
        self.watch = Some(std::thread::spawn(move || watch(&lab, &stop)));
    }

    /// What was seen since `look`.
    fn seen(&mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.watch.take().unwrap().join().unwrap()
    }

    fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) {
        self.lab.until(what, |lab| lab.status().is_some_and(|status| holds(&status)));
    }

    /// Pushes another line of the node's file.
    fn push(&self, from: &str, to: &str) {
        self.lab.push("nodes/alpha.yaml", from, to);
    }

    /// Waits until it runs and announces with these.
    fn until_runs(&self, name_server: &str, routing: &str) {
        self.until(&format!("it runs {name_server} and {routing}"), |status| {
            status.settled
                && status.name_server.running == name_server
                && status.routing_daemon.running == routing
        });
        self.lab.until("BIRD has the route again", |lab| route(lab) == Some(false));
    }

    /// Kills the agent without warning and starts it again.
    fn kill(&mut self) {
        // Nobody looks: an embedded part dies with it.
        let seen = self.seen();
        assert!(seen.lost.is_empty(), "{seen:?}");
        let lab = Arc::get_mut(&mut self.lab).unwrap();
        lab.end("agent", Signal::SIGKILL);
        lab.start("agent");
        self.look();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
        if let Some(lab) = Arc::get_mut(&mut self.lab)
            && let Some(at) = lab.running.iter().position(|(name, _)| *name == "agent")
        {
            // Before its daemons, which it would start again.
            let (_, mut agent) = lab.running.remove(at);
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let daemons = ["knot", "nsd", "bird", "gobgp"].map(|name| format!("state-daemons/{name}/{name}.pid"));
        for file in daemons.into_iter().chain(["state/watchdog/watchdog.pid".to_owned()]) {
            let file = self.lab.path(&file);
            let text = fs::read_to_string(file).unwrap_or_default();
            if let Some(pid) = text.split(' ').next().and_then(|pid| pid.parse().ok()) {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

/// Runs a test in a network namespace, where everything that it needs is there.
fn alone(programs: &[&str], test: fn()) {
    let program = |program: &&&str| find_program(program).is_none();
    let why = missing().or_else(|| programs.iter().find(program).map(|program| format!("needs {program}")));
    in_a_namespace(why, test);
}

#[test]
fn another_name_server_answers_before_it_is_announced() {
    alone(&["knotd", "nsd"], || {
        let mut node = Node::start(5);
        // Somebody else has the address by which NSD would answer the agent: it cannot be started.
        let taken = (UdpSocket::bind("127.53.0.1:53").unwrap(), TcpListener::bind("127.53.0.1:53").unwrap());
        node.push("dns: embedded", "dns: nsd");
        let failed = |status: &Snapshot| {
            status.waits.iter().any(|wait| wait.contains("the switch to nsd failed: "))
                && status.name_server.running == "embedded"
                && !status.announced.is_empty()
        };
        node.until("it goes back to the embedded name server", failed);
        node.lab.until("BIRD has the route", |lab| route(lab) == Some(false));
        // The next agent knows it, and does not try again.
        node.kill();
        node.until("it still knows that", failed);
        drop(taken);
        // Until somebody says so.
        node.push("A shelf", "Another shelf");
        node.until_runs("nsd", "embedded");
        node.push("dns: nsd", "dns: knot");
        // Killed when nothing is announced: one has ended, or the other has begun.
        node.lab.until("it is silent", |lab| route(lab).is_none());
        node.kill();
        node.until_runs("knot", "embedded");
        let seen = node.seen();
        assert!(seen.lost.is_empty() && seen.asked > 10, "{seen:?}");
        // The whole way, with nobody in between.
        node.look();
        node.push("dns: knot", "dns: embedded");
        node.until_runs("embedded", "embedded");
        let seen = node.seen();
        assert!(seen.lost.is_empty() && (seen.withdrawn, seen.drained) == (1, 1), "{seen:?}");
    });
}

#[test]
fn another_routing_daemon_announces_once_its_sessions_are_back() {
    alone(&["gobgpd", "nsd"], || {
        // BIRD waits five seconds before it connects.
        let mut node = Node::start(15);
        node.push("routing: embedded", "routing: bird");
        node.until_runs("embedded", "bird");
        let seen = node.seen();
        assert!(seen.lost.is_empty() && (seen.withdrawn, seen.drained) == (1, 1), "{seen:?}");
        // A folder that cannot be used.
        node.look();
        let folder = node.lab.path("state-daemons/gobgp");
        fs::write(&folder, "no folder").unwrap();
        node.push("routing: bird", "routing: gobgp");
        node.until("it goes back to BIRD", |status| {
            status.waits.iter().any(|wait| wait.contains("the switch to gobgp failed: "))
                && status.routing_daemon.running == "bird"
                && !status.announced.is_empty()
        });
        fs::remove_file(&folder).unwrap();
        // Both at once; and the agent dies while BIRD, which outlives it, is draining.
        node.lab.until("BIRD has the route", |lab| route(lab) == Some(false));
        node.push("dns: embedded\nrouting: gobgp", "dns: nsd\nrouting: gobgp");
        node.lab.until("it drains", |lab| route(lab) == Some(true));
        node.kill();
        node.until_runs("nsd", "gobgp");
    });
}
