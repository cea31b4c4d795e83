//! The whole: the program itself simulates a network of a few nodes, runs every scenario, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

const PROGRAM: &str = env!("CARGO_BIN_EXE_shoestring");

/// For a run of all scenarios, several times over.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Whether a simulation can run here. In CI it must.
fn can_run() -> bool {
    let why = if !geteuid().is_root() && fs::metadata("/proc/sys/user/max_user_namespaces").is_err() {
        Some("neither root nor user namespaces".to_owned())
    } else {
        let tun = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
        tun.err().map(|error| format!("/dev/net/tun: {error}"))
    };
    match why {
        None => true,
        Some(why) if std::env::var_os("CI").is_some() => panic!("the simulation cannot run here: {why}"),
        Some(why) => {
            eprintln!("left out, since the simulation cannot run here: {why}");
            false
        }
    }
}

fn simulate(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("simulate").args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Waits, and kills what takes too long.
fn wait(child: &mut Child) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the simulation did not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The processes of this program that descend from `root`, itself left out.
fn descendants(root: u32) -> BTreeSet<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let all: Vec<u32> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            all.iter()
                .filter(|pid| parent(**pid).is_some_and(|parent| found.contains(&parent)))
                .copied()
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            found.remove(&root);
            return found;
        }
    }
}

/// Waits until none of these processes is there any more.
fn assert_gone(processes: &BTreeSet<u32>) {
    let begun = Instant::now();
    let is_there = |pid: &&u32| Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok();
    while processes.iter().any(|pid| is_there(&pid)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "left behind: {processes:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_scenario_holds_on_four_nodes() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let mut child = simulate(&["--nodes", "4", "--report", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let status = wait(&mut child);
    let text = reader.join().unwrap();
    assert_eq!(status.code(), Some(0), "{text}");

    let report: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let nodes = report["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    for node in nodes {
        assert!(node["settled_ms"].as_u64().unwrap() > 0, "{node}");
        assert!(node["rss_bytes"].as_u64().unwrap() > 1_000_000, "{node}");
        assert_eq!(node["mesh_links"]["all"], 3, "{node}");
        assert_eq!(node["sessions"]["up"], node["sessions"]["all"], "{node}");
        assert!(node["zones"]["up"].as_u64().unwrap() >= 20, "{node}");
    }
    let scenarios = report["scenarios"].as_array().unwrap();
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario["name"].as_str().unwrap()).collect();
    let skipped: Vec<&str> = report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skipped| skipped["name"].as_str().unwrap())
        .collect();
    let all = [
        "push",
        "edit",
        "unsigned",
        "rewind",
        "broken",
        "failure",
        "wedge",
        "dns-kill",
        "bgp-kill",
        "agent-kill",
        "restart",
        "link-cut",
        "drain",
        "switch",
        "git-down",
        "primaries",
        "hub-down",
        "hand-edit",
        "control-crash",
        "mass",
        "leak",
        "canary",
    ];
    // Where no daemon is installed, no node can run one; in CI they are.
    let runs = |name: &&str| !skipped.contains(name);
    assert_eq!(names, all.iter().copied().filter(runs).collect::<Vec<_>>(), "{text}");
    let daemons = [
        "hand-edit",
        "control-crash",
        "wedge",
        "mass",
        "dns-kill",
        "bgp-kill",
        "agent-kill",
        "leak",
        "switch",
    ];
    assert!(skipped.iter().all(|name| daemons.contains(name)), "{text}");
    // These four nodes announce by the embedded speaker; a routing daemon is killed in the mix of them below.
    let elsewhere = ["bgp-kill", "leak"];
    let is_elsewhere = skipped.iter().all(|name| elsewhere.contains(name));
    assert!(is_elsewhere || std::env::var_os("CI").is_none(), "{text}");
    let figure = |scenario: &str, figure: &str| {
        let at = names.iter().position(|name| *name == scenario).unwrap();
        scenarios[at]["figures"][figure].as_u64().unwrap_or_else(|| panic!("{scenario} has no {figure}"))
    };
    for scenario in scenarios {
        assert_eq!(scenario["passed"], true, "{scenario}");
    }
    for quiet in ["unsigned", "rewind", "broken", "drain", "switch", "git-down"] {
        assert_eq!(figure(quiet, "queries_lost"), 0);
        assert!(figure(quiet, "queries_sent") > 100);
    }
    assert_eq!(figure("primaries", "queries_lost"), 0);
    assert!(figure("push", "p50_ms") <= figure("push", "max_ms"));
    assert!(figure("edit", "notify_max_ms") > 0);
    assert!(figure("failure", "switch_ms") > 0);
    assert!(figure("failure", "back_ms") > 0);
    assert_eq!(report["passed"], true);
}

/// Each kind of daemon on some node, where they are installed; in CI they are.
#[test]
fn a_mix_of_daemons_is_one_network() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let scenarios =
        ["push", "edit", "failure", "bgp-kill", "hand-edit", "watchdog"].map(|name| ["--scenario", name]);
    // Where BIRD is installed the providers are one, so that nothing rests on both ends of a session being ours.
    let has_bird = Command::new("bird").arg("--version").output().is_ok();
    assert!(has_bird || std::env::var_os("CI").is_none(), "bird is not installed");
    let providers = if has_bird { "bird" } else { "embedded" };
    let mut child = simulate(&["--nodes", "5", "--name-server", "mix", "--report", path.to_str().unwrap()])
        .args(["--routing-daemon", "mix", "--providers", providers])
        .args(scenarios.iter().flatten())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = wait(&mut child);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(status.code(), Some(0), "{report:#}");
    let nodes = report["nodes"].as_array().unwrap();
    let kinds: BTreeSet<&str> = nodes.iter().map(|node| node["name_server"].as_str().unwrap()).collect();
    let all = ["bind", "embedded", "knot", "nsd", "powerdns"];
    assert!(kinds.iter().eq(all.iter()) || std::env::var_os("CI").is_none(), "{kinds:?}");
    let kinds: BTreeSet<&str> = nodes.iter().map(|node| node["routing_daemon"].as_str().unwrap()).collect();
    let all = ["bird", "embedded", "frr", "gobgp", "openbgpd"];
    assert!(kinds.iter().eq(all.iter()) || std::env::var_os("CI").is_none(), "{kinds:?}");
}

#[test]
fn nothing_is_left_behind_however_it_ends() {
    if !can_run() {
        return;
    }
    for (signal, code) in [(Signal::SIGINT, Some(130)), (Signal::SIGTERM, Some(143)), (Signal::SIGKILL, None)]
    {
        let mut child = simulate(&["--nodes", "2", "--hold"]).stdout(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .filter_map(|line| line.strip_prefix("status:  http://")?.split('/').next().map(str::to_owned))
            .next()
            .expect("it says where its status is");
        let status = get(&address, "/status.json");
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status.as_object().unwrap().len(), 2, "{status}");
        let inside =
            simulate(&["exec", "--run", &pid.to_string(), "london-a", "--", "cat", "/proc/1/comm"]).output();
        let inside = inside.unwrap();
        assert_eq!(String::from_utf8_lossy(&inside.stdout).trim(), "shoestring", "{inside:?}");

        let processes = descendants(pid);
        assert!(processes.len() >= 3, "the inner process and two agents: {processes:?}");
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
        let status = wait(&mut child);
        assert_eq!(status.code(), code, "after {signal}");
        assert_gone(&processes);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("shoestring"), "{mounts}");
        assert!(!Path::new("/run/shoestring/net").exists());
    }
}

/// A page of the status address.
fn get(address: &str, path: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_folder_that_does_not_check_is_not_simulated() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("network.yaml"), "name: broken\n").unwrap();
    let output = simulate(&[folder.path().to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("network.yaml") && error.contains("shoestring check"), "{error}");
}
