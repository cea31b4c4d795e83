//! A node whose machine is run by systemd, a real one: the agent as the unit in `examples/`, the daemons and the
//! watchdog as units that the agent makes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use shoestring::process::{Launch, Process, ProcessState, Unit, find_program};
use shoestring::status::Snapshot;

use crate::bgp::lab::Daemon;
use crate::namespace::in_a_namespace;
use crate::one_node::{Lab, missing};

mod machine;

use machine::Machine;

const ANYCAST: &str = "192.0.2.0/24";
const AGENT: &str = "shoestring.service";
const PATIENCE: Duration = Duration::from_secs(20);
/// For so long nothing answers before the watchdog withdraws.
const UNANSWERED: Duration = Duration::from_secs(30);

struct Node {
    machine: Machine,
    lab: Lab,
    provider: Daemon,
}

impl Node {
    /// Settled and announced with these daemons.
    fn start(name_server: &str, routing: &str) -> Self {
        let mut lab = Lab::new();
        select(&lab, ["embedded"; 2], [name_server, routing]);
        lab.start("named");
        let provider = lab.start_bird_apart();
        install(lab.dir.path());
        let machine = Machine::boot(lab.dir.path());
        assert_eq!(machine.run(&["systemctl", "start", AGENT]), "");
        let node = Self { machine, lab, provider };
        node.until_runs(name_server, routing);
        node
    }

    fn until(&self, what: &str, holds: impl Fn(&Snapshot) -> bool) {
        self.lab.until(what, |lab| lab.status().is_some_and(|status| holds(&status)));
    }

    fn until_active(&self, unit: &str) {
        self.lab.until(unit, |_| self.machine.property(unit, "ActiveState") == "active");
    }

    /// Waits until it serves and announces with these.
    fn until_runs(&self, name_server: &str, routing: &str) {
        self.until(&format!("it runs {name_server} and {routing}"), |status| {
            status.settled
                && status.name_server.running == name_server
                && status.routing_daemon.running == routing
        });
        self.lab.until("BIRD has the route", |lab| lab.bird_route().contains(ANYCAST));
        self.lab.until("it answers", |lab| lab.dig(&["www.customer.example", "A"]) == "203.0.113.80");
    }

    /// How often a session was begun, as the provider sees it.
    fn sessions(&self) -> usize {
        let log = fs::read_to_string(self.provider.dir.path().join("bird.log")).unwrap();
        log.matches("BGP session established").count()
    }
}

/// Pushes other daemons for the node: its name server and its routing daemon.
fn select(lab: &Lab, from: [&str; 2], to: [&str; 2]) {
    let words = |[name_server, routing]: [&str; 2]| format!("dns: {name_server}\nrouting: {routing}");
    lab.push("nodes/alpha.yaml", &words(from), &words(to));
}

/// Puts the unit of the agent where the machine finds it.
fn install(folder: &Path) {
    let unit = include_str!("../examples/shoestring.service");
    let put = |unit: String, from: &str, to: &str| {
        assert!(unit.contains(from), "{unit}");
        unit.replace(from, to)
    };
    let unit = put(unit.to_owned(), "/usr/local/bin/shoestring", env!("CARGO_BIN_EXE_shoestring"));
    let config = folder.join("config.yaml");
    let unit = put(unit, "/etc/shoestring/config.yaml", &config.display().to_string());
    let unit = put(unit, "WatchdogSec=60", "WatchdogSec=12");
    let log = format!("[Service]\nStandardError=append:{}/agent.err\n", folder.display());
    let units = folder.join("units");
    fs::create_dir_all(units.join("shoestring.service.d")).unwrap();
    fs::write(units.join(AGENT), unit).unwrap();
    fs::write(units.join("shoestring.service.d/log.conf"), log).unwrap();
}

fn alone(programs: &[&str], test: impl FnOnce() + Send) {
    let program = |program: &&&str| find_program(program).is_none();
    let why = missing()
        .or_else(Machine::missing)
        .or_else(|| programs.iter().find(program).map(|program| format!("needs {program}")));
    in_a_namespace(why, test);
}

/// What a node on a machine with systemd does, with any daemons.
fn scenario(name_server: &str, routing: &str) {
    let node = Node::start(name_server, routing);
    let [name_server_unit, routing_unit, watchdog] = [name_server, routing, "watchdog"].map(unit);
    node.until_active(&watchdog);
    let daemons = [&name_server_unit, &routing_unit];
    let pids = || daemons.map(|unit| node.machine.pid(unit));

    // The agent is started again, killed and as it should be, and finds all as it was.
    let before = pids();
    assert!(!before.contains(&0), "{before:?}");
    let agent = node.machine.pid(AGENT);
    node.machine.kill(AGENT);
    node.lab.until("the agent is back", |_| ![0, agent].contains(&node.machine.pid(AGENT)));
    node.until_runs(name_server, routing);
    assert_eq!(node.machine.run(&["systemctl", "restart", AGENT]), "");
    node.until_runs(name_server, routing);
    assert_eq!(pids(), before);
    assert_eq!(node.sessions(), 1);

    // A daemon that dies is back, with what it had, whoever starts it.
    for unit in daemons {
        let pid = node.machine.pid(unit);
        node.machine.kill(unit);
        node.lab.until("it is back", |_| ![0, pid].contains(&node.machine.pid(unit)));
        node.until_runs(name_server, routing);
    }
    // Also while there is no agent.
    assert_eq!(node.machine.run(&["systemctl", "stop", AGENT]), "");
    for unit in daemons {
        let pid = node.machine.pid(unit);
        node.machine.kill(unit);
        node.lab.until("systemd starts it again", |_| ![0, pid].contains(&node.machine.pid(unit)));
    }
    node.lab.until("it answers", |lab| lab.dig(&["www.customer.example", "A"]) == "203.0.113.80");
    assert_eq!(node.machine.run(&["systemctl", "start", AGENT]), "");
    node.until_runs(name_server, routing);

    // Somebody stops one by hand.
    for unit in daemons {
        assert_eq!(node.machine.run(&["systemctl", "stop", unit]), "");
        node.until_active(unit);
        node.until_runs(name_server, routing);
    }

    // Others take their place: nothing of them is left.
    select(&node.lab, [name_server, routing], ["embedded"; 2]);
    node.until_runs("embedded", "embedded");
    node.lab.until("no unit is left", |_| node.machine.units("shoestring-*").is_empty());
}

fn unit(name: &str) -> String {
    format!("shoestring-{name}.service")
}

#[test]
fn the_watchdog_withdraws_when_agent_and_name_server_are_gone() {
    alone(&["knotd", "bird"], || {
        let node = Node::start("knot", "bird");
        node.until_active(&unit("watchdog"));
        // It has heard the agent.
        node.lab.until("it has its mandate", |lab| lab.path("state/watchdog/mandate.json").exists());
        for unit in [AGENT, &unit("knot")] {
            assert_eq!(node.machine.run(&["systemctl", "stop", unit]), "");
        }
        let begun = Instant::now();
        while node.lab.bird_route().contains(ANYCAST) {
            assert!(begun.elapsed() < PATIENCE * 3, "it announces on");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(begun.elapsed() > UNANSWERED, "after {:?}", begun.elapsed());
        assert_eq!(node.machine.units(&unit("bird")), Vec::<String>::new());
        assert_eq!(node.machine.run(&["systemctl", "start", AGENT]), "");
        node.until_runs("knot", "bird");
        node.until("it says so", |status| {
            let withdrew = status.watchdog.withdrew.as_ref();
            withdrew.is_some_and(|it| it.ended == "bird" && it.why.contains("no agent was on guard"))
        });
    });
}

#[test]
fn an_agent_that_hangs_is_started_anew() {
    alone(&["nsd"], || {
        let node = Node::start("nsd", "embedded");
        let said = node.machine.property(AGENT, "StatusText");
        let revision = &node.lab.git(&["rev-parse", "HEAD"])[..10];
        assert_eq!(said, format!("revision {revision}, settled; announces {ANYCAST}"));
        let [agent, nsd] = [AGENT, &unit("nsd")].map(|unit| node.machine.pid(unit));
        assert_eq!(node.machine.run(&["sh", "-c", &format!("kill -STOP {agent}")]), "");
        node.lab.until("it is another one", |_| ![0, agent].contains(&node.machine.pid(AGENT)));
        node.until_runs("nsd", "embedded");
        assert_eq!(node.machine.property(AGENT, "NRestarts"), "1");
        assert_eq!(node.machine.pid(&unit("nsd")), nsd);
        assert_eq!(node.sessions(), 2);
    });
}

#[test]
fn a_unit_is_found_again_and_ended() {
    units(async |folder| {
        let first = Unit::new("daemon", folder);
        assert_eq!(first.state().await, Ok(ProcessState::Stopped));
        first
            .start(&launch(folder, "trap 'echo asked; exit' TERM; echo begun; while :; do sleep 0.1; done"))
            .await
            .unwrap();
        let running = first.state().await.unwrap();
        assert!(matches!(running, ProcessState::Running { .. }), "{running:?}");
        // The next agent knows it without having started it.
        let second = Unit::new("daemon", folder);
        assert_eq!(second.state().await.unwrap(), running);
        second.start(&launch(folder, "exec sleep 61")).await.unwrap();
        assert_eq!(second.state().await.unwrap(), running, "one that runs is not started again");
        until("it listens", async || said(&first).contains("begun")).await;
        first.end(Duration::from_secs(5)).await.unwrap();
        assert_eq!(second.state().await, Ok(ProcessState::Stopped));
        assert!(said(&first).contains("asked"), "{}", said(&first));
        second.end(Duration::from_secs(5)).await.unwrap();
    });
}

#[test]
fn a_unit_that_keeps_ending_is_started_more_and_more_slowly() {
    units(async |folder| {
        let unit = Unit::new("daemon", folder);
        let broken = launch(folder, "echo begun; echo 'cannot open the file' >&2; exit 7");
        let why = async || match unit.state().await.unwrap() {
            ProcessState::Ended { why } => why,
            ProcessState::Running { .. } | ProcessState::Stopped => String::new(),
        };
        // It ends so soon that systemd may not call that a start.
        let start = async || match unit.start(&broken).await {
            Err(error) if !error.why.contains("status 7") => panic!("{error}"),
            Ok(()) | Err(_) => {}
        };
        // systemd alone starts it again.
        start().await;
        until("systemd starts it again", async || said(&unit).matches("begun").count() == 3).await;
        until("it has ended", async || !why().await.is_empty()).await;
        let said_why = why().await;
        assert!(said_why.contains("result exit-code, status 7, restarted "), "{said_why}");
        assert!(said_why.ends_with("; its last words: cannot open the file"), "{said_why}");
        // So does who looks after it, at once; and then it has to wait, and systemd with it.
        start().await;
        until("it has ended again", async || !why().await.is_empty()).await;
        let error = unit.start(&broken).await.unwrap_err().to_string();
        assert!(
            error
                .starts_with("start shoestring-daemon: it keeps ending, so the next try is in 1 s: its unit"),
            "{error}"
        );
        let begun = said(&unit).matches("begun").count();
        assert!(why().await.contains("status 7"), "it is known why");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(said(&unit).matches("begun").count(), begun);
        start().await;
        until("it has ended again", async || !why().await.is_empty()).await;
        unit.end(Duration::from_secs(5)).await.unwrap();
        assert_eq!(unit.state().await, Ok(ProcessState::Stopped));
    });
}

#[test]
fn a_unit_that_does_not_listen_is_killed_and_all_of_it_ends() {
    units(async |folder| {
        let unit = Unit::new("daemon", folder);
        let deaf = "trap '' TERM; sleep 600 & echo $! > rest; while :; do sleep 1; done";
        unit.start(&launch(folder, deaf)).await.unwrap();
        until("it runs", async || folder.join("rest").exists()).await;
        unit.end(Duration::from_millis(200)).await.unwrap();
        assert_eq!(unit.state().await, Ok(ProcessState::Stopped));
        let rest = fs::read_to_string(folder.join("rest")).unwrap();
        assert!(!Path::new("/proc").join(rest.trim()).exists());
        // A name that is free again, and a program that is not there.
        let none = Launch { program: folder.join("none"), ..launch(folder, "") };
        let error = unit.start(&none).await.unwrap_err().to_string();
        assert!(error.contains("/none: No such file or directory"), "{error}");
        assert_eq!(unit.state().await, Ok(ProcessState::Stopped));
    });
}

/// Runs a test where a machine's systemd is asked, with a folder that it sees.
fn units(test: impl AsyncFnOnce(&Path) + Send) {
    let why = Machine::missing().or_else(|| (!geteuid().is_root()).then(|| "needs root".to_owned()));
    in_a_namespace(why, || {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::boot(folder.path());
        machine.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test(folder.path()));
        });
    });
}

fn launch(folder: &Path, script: &str) -> Launch {
    Launch {
        program: "/bin/sh".into(),
        arguments: ["-c", script].map(Into::into).into(),
        folder: folder.into(),
    }
}

fn said(unit: &Unit) -> String {
    fs::read_to_string(unit.log()).unwrap_or_default()
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn bind_and_bird_are_units() {
    alone(&["named", "bird"], || scenario("bind", "bird"));
}

#[test]
fn nsd_and_frr_are_units() {
    alone(&["nsd"], || scenario("nsd", "frr"));
}

#[test]
fn knot_and_gobgp_are_units() {
    alone(&["knotd", "gobgpd"], || scenario("knot", "gobgp"));
}

#[test]
fn powerdns_and_openbgpd_are_units() {
    alone(&["pdns_server", "bgpd"], || scenario("powerdns", "openbgpd"));
}
