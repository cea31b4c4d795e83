//! The watchdog as a process of its own: whom it ends, whom it leaves alone, and that there is one of it.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::rdata::opt::{EdnsOption, NSIDPayload};
use hickory_proto::rr::{RData, Record};
use nix::unistd::geteuid;
use serde_json::{Value, json};

use crate::namespace::in_a_namespace;

const PROGRAM: &str = env!("CARGO_BIN_EXE_shoestring");
/// For so long nothing answers before anything is ended.
const UNANSWERED: Duration = Duration::from_secs(30);
/// How long it may take, several times over.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node with a watchdog, and with what it takes for BIRD.
struct Node {
    folder: tempfile::TempDir,
    watchdog: Child,
    bird: Child,
    signed: Instant,
    mandate: Vec<u8>,
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in [&mut self.watchdog, &mut self.bird] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Node {
    /// Its name server, if it has one, is at this address.
    fn new(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("watchdog")).unwrap();
        let bird = sleep();
        leave(&folder.path().join("daemons"), "bird", &bird, started(&bird));
        let seconds = |secs: u64| json!({ "secs": secs, "nanos": 0 });
        let mandate = json!({
            "service_addresses": [address],
            "identity": "london-a",
            "health": {
                "canary": "canary.example", "interval": seconds(2), "retry_interval": seconds(1),
                "timeout": seconds(1), "failures": 3, "recoveries": 10, "hold_down": seconds(60),
            },
            "daemons": { "folder": folder.path().join("daemons"), "supervision": "child" },
        });
        let mandate = serde_json::to_vec(&mandate).unwrap();
        let mut node = Self { watchdog: start(folder.path()), folder, bird, signed: Instant::now(), mandate };
        node.sign();
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("watchdog").join(name)
    }

    /// A sign of life; the first one waits until somebody listens.
    fn sign(&mut self) {
        let socket = UnixDatagram::unbound().unwrap();
        while let Err(error) = socket.send_to(&self.mandate, self.path("watchdog.sock")) {
            assert!(self.signed.elapsed() < PATIENCE, "nobody listens: {error}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.signed = Instant::now();
    }

    fn announces(&mut self) -> bool {
        self.bird.try_wait().unwrap().is_none()
    }
}

fn start(folder: &Path) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(["watchdog", "--folder"]).arg(folder.join("watchdog"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn sleep() -> Child {
    Command::new("sleep").arg("600").spawn().unwrap()
}

/// When a process started, in ticks since boot.
fn started(process: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}

/// Leaves word of a daemon, as the agent does.
fn leave(daemons: &Path, name: &str, process: &Child, started: u64) {
    fs::create_dir_all(daemons.join(name)).unwrap();
    let file = daemons.join(name).join(format!("{name}.pid"));
    fs::write(file, format!("{} {started}\n", process.id())).unwrap();
}

/// Answers as `london-a` at this address, by UDP alone: some answer is enough.
fn answer_at(address: &str) {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1232];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
            answer.metadata.authoritative = true;
            let name = query.queries[0].name().clone();
            answer.add_query(query.queries[0].clone());
            let soa = RData::SOA(SOA::new(name.clone(), name.clone(), 1, 2, 3, 4, 5));
            answer.add_answer(Record::from_rdata(name, 300, soa));
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::NSID(NSIDPayload::new("london-a").unwrap()));
            answer.set_edns(edns);
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
}

#[test]
fn it_ends_the_routing_daemon_when_neither_agent_nor_name_server_is_there() {
    let reason = (!geteuid().is_root()).then(|| "port 53 of a network namespace needs root".to_owned());
    in_a_namespace(reason, scenario);
}

fn scenario() {
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    answer_at("127.0.0.1");

    let mut answers = Node::new("127.0.0.1");
    let mut guarded = Node::new("127.0.0.2");
    let mut gone = Node::new("127.0.0.3");
    // A process id that is somebody else's now: nobody ends that one.
    let mut stranger = sleep();
    leave(&gone.folder.path().join("daemons"), "gobgp", &stranger, started(&stranger) + 1);
    // No second one watches.
    let second = start(gone.folder.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(2) && said.contains("another watchdog has it"), "{said}");
    // One that is started again while there is no agent knows what to do.
    gone.watchdog.kill().unwrap();
    gone.watchdog.wait().unwrap();
    gone.watchdog = start(gone.folder.path());

    let begun = Instant::now();
    while gone.announces() {
        assert!(begun.elapsed() < PATIENCE, "it does not withdraw");
        guarded.sign();
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(gone.signed.elapsed() >= UNANSWERED, "it withdraws after {:?}", gone.signed.elapsed());
    assert!(answers.announces(), "its name server answers");
    assert!(guarded.announces(), "its agent is on guard");
    assert!(stranger.try_wait().unwrap().is_none(), "it is none of its daemons");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let withdrawal = loop {
        match fs::read(gone.path("withdrawal.json")) {
            Ok(octets) => break serde_json::from_slice::<Value>(&octets).unwrap(),
            Err(error) => assert!(begun.elapsed() < PATIENCE, "it leaves no word: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(withdrawal["ended"], json!(["bird"]));
    assert!(withdrawal["why"].as_str().unwrap().contains("127.0.0.3"), "{withdrawal}");
    assert!(gone.watchdog.try_wait().unwrap().is_none(), "it is there for the next agent");
    assert!(!guarded.path("withdrawal.json").exists() && !answers.path("withdrawal.json").exists());
}
