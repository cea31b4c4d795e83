//! The smallest network, whole: the real agent as its own process, a real `git push` signed with a real key, BIND as a
//! customer's primary and BIRD as the provider, in a network namespace that ends with the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::status::{self, Snapshot};
use tempfile::TempDir;

use crate::bgp::lab::Daemon;
use crate::namespace::in_a_namespace;

const PATIENCE: Duration = Duration::from_secs(30);
const SERVICE: &str = "192.0.2.53";
const ANYCAST: &str = "192.0.2.0/24";

const NETWORK: &str = "\
name: small
description: One node
asn: 64500
prefixes: [192.0.2.0/24]
service_addresses: [192.0.2.53]
mesh: { loopbacks_v4: 172.31.77.0/24, loopbacks_v6: 'fd5e:77a1:3b09::/64', port: 51820 }
health: { canary: canary.example, interval: 2s, retry_interval: 100ms, timeout: 500ms, failures: 3, recoveries: 3 }
drain: { wait: 2s, prepend: 3 }
";

const NODE: &str = "\
place:
  city: Belfast
  country: United Kingdom
  country_iso: GB
  flag: 🇬🇧
  location: A shelf
  geo: { latitude: 54.6, longitude: -5.9 }
fqdn: alpha.example
description: The only node
management: [203.0.113.2]
interfaces: [{ name: eth0, addresses: [203.0.113.2/24], gateways: [203.0.113.1] }]
mesh: { loopback_v4: 172.31.77.1, loopback_v6: 'fd5e:77a1:3b09::1' }
roles: [edge, hub]
dns: embedded
routing: embedded
router_id: 203.0.113.2
state: live
";

const PEER: &str = "\
description: Transit
asn: 64496
relation: provider
sessions: [{ local: 203.0.113.2, neighbor: 203.0.113.1 }]
communities: ['64496:100']
";

const ZONE: &str = "\
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 300
@ NS ns
ns A 192.0.2.53
www A 203.0.113.80
";

const NAMED: &str = r#"
options {
  directory "DIR"; pid-file none; session-keyfile none; recursion no; listen-on-v6 { none; };
  listen-on port 5399 { 127.0.0.1; }; allow-transfer { any; };
  notify explicit; also-notify { 203.0.113.2; }; notify-delay 0; notify-source 127.0.0.1;
};
controls {};
zone "customer.example" { type primary; file "DIR/customer.zone"; };
"#;

const BIRD: &str = r#"
log "DIR/bird.log" all;
debug protocols { states, events };
router id 203.0.113.1;
protocol device {}
protocol bgp node {
  local 203.0.113.1 as 64496;
  neighbor 203.0.113.2 as 64500;
  multihop 1;
  strict bind yes;
  ttl security on;
  error wait time 1, 1;
  connect delay time 1;
  connect retry time 1;
  ipv4 { import all; export none; };
}
"#;

/// The folder of a test, and the processes that end with it.
pub(super) struct Lab {
    pub(super) dir: TempDir,
    pub(super) running: Vec<(&'static str, Child)>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Lab {
    /// Ends whatever runs.
    pub(super) fn end_all(&mut self) {
        for (_, mut child) in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let lab = Self { dir, running: Vec::new() };
        run(Command::new("ip").args(["link", "set", "lo", "up"]));
        for address in ["203.0.113.1/24", "203.0.113.2/24"] {
            run(Command::new("ip").args(["addr", "add", address, "dev", "lo"]));
        }
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(lab.path("key")));
        let key = fs::read_to_string(lab.path("key.pub")).unwrap();
        let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let trust = format!(
            "version: 1\nprincipals:\n  nat: {{ keys: ['{key}'] }}\nrules:\n  - {{ paths: ['**'], signers: [nat], need: 1 }}\nrevoked: []\n"
        );
        fs::create_dir(lab.path("bind")).unwrap();
        fs::write(lab.path("bind/customer.zone"), ZONE).unwrap();
        for (path, text) in [
            ("work/network.yaml", NETWORK),
            ("work/trust.yaml", &trust),
            ("work/nodes/alpha.yaml", NODE),
            ("work/peers/alpha/transit.yaml", PEER),
            ("work/zones/operator/canary.example.yaml", "kind: primary\n"),
            ("work/zones/operator/canary.example.zone", ZONE),
            (
                "work/zones/customer/customer.example.yaml",
                "kind: secondary\nprimaries: [{ address: '127.0.0.1:5399' }]\n",
            ),
            ("bind/named.conf", &NAMED.replace("DIR", &lab.path("bind").display().to_string())),
            ("bird.conf", &BIRD.replace("DIR", &lab.dir.path().display().to_string())),
        ] {
            let path = lab.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        lab.git(&["init", "-q", "-b", "main", "."]);
        for (name, value) in [
            ("user.name", "nat"),
            ("user.email", "nat@example.net"),
            ("gpg.format", "ssh"),
            ("user.signingkey", &lab.path("key").display().to_string()),
        ] {
            lab.git(&["config", name, value]);
        }
        lab.commit("Begin");
        run(Command::new("git")
            .args(["clone", "-q", "--bare"])
            .arg(lab.path("work"))
            .arg(lab.path("network.git")));
        lab.git(&["remote", "add", "origin", &lab.path("network.git").display().to_string()]);
        let root = lab.git(&["rev-parse", "HEAD"]);
        let config = format!(
            "node: alpha\nnetwork: small\nrepository: {}\npin: {{ root: {root} }}\nstate: {}\n",
            lab.path("network.git").display(),
            lab.path("state").display(),
        );
        fs::write(lab.path("config.yaml"), config).unwrap();
        lab
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git").arg("-C").arg(self.path("work")).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-S", "-m", message]);
    }

    /// Pushes a file of the repository with another text in it.
    pub(super) fn push(&self, file: &str, from: &str, to: &str) {
        let file = self.path("work").join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).unwrap();
        self.commit(&format!("{to} instead of {from}"));
        self.git(&["push", "-q", "origin", "main"]);
    }

    /// Starts BIRD in a namespace of its own, for daemons have no sessions with themselves, and lets the users of the
    /// node's daemons through.
    pub(super) fn start_bird_apart(&self) -> Daemon {
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let [ours, theirs] = ["203.0.113.2", "203.0.113.1"];
        for address in [ours, theirs] {
            run(Command::new("ip").args(["addr", "del", &format!("{address}/24"), "dev", "lo"]));
        }
        let bird = format!("bird -f -c DIR/bird.conf -s {} -P DIR/pid", self.path("bird.ctl").display());
        let [ours, theirs] = [ours, theirs].map(|address| address.parse().unwrap());
        let provider = Daemon::start(&[("bird.conf", BIRD)], &bird, &[ours], &[theirs]);
        self.until("BIRD answers", |lab| lab.path("bird.ctl").exists());
        provider
    }

    pub(super) fn start(&mut self, name: &'static str) {
        let mut command = match name {
            "agent" => {
                let mut agent = Command::new(env!("CARGO_BIN_EXE_shoestring"));
                agent.args(["run", "--config"]).arg(self.path("config.yaml"));
                agent
            }
            "named" => {
                let mut named = Command::new("named");
                named.args(["-f", "-c"]).arg(self.path("bind/named.conf"));
                named
            }
            "bird" => {
                let mut bird = Command::new("bird");
                bird.arg("-f").arg("-c").arg(self.path("bird.conf"));
                bird.arg("-s").arg(self.path("bird.ctl")).arg("-P").arg(self.path("bird.pid"));
                bird
            }
            other => panic!("{other}"),
        };
        let log =
            fs::File::options().create(true).append(true).open(self.path(&format!("{name}.err"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running.push((name, command.spawn().unwrap()));
    }

    /// Ends a process that `start` began, and waits for it.
    pub(super) fn end(&mut self, name: &str, signal: Signal) {
        let at = self.running.iter().position(|(running, _)| *running == name).unwrap();
        let (_, mut child) = self.running.remove(at);
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        child.wait().unwrap();
    }

    /// The answer to a question, in short, or nothing.
    pub(super) fn dig(&self, question: &[&str]) -> String {
        let output = Command::new("dig")
            .args(["+short", "+norec", "+tries=1", "+time=1", &format!("@{SERVICE}")])
            .args(question)
            .output()
            .unwrap();
        // What dig says to itself begins with a semicolon.
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().filter(|line| !line.starts_with(';')).collect::<Vec<_>>().join(" ")
    }

    fn serial(&self, zone: &str) -> u32 {
        self.dig(&[zone, "SOA"]).split(' ').nth(2).and_then(|serial| serial.parse().ok()).unwrap_or(0)
    }

    pub(super) fn status(&self) -> Option<Snapshot> {
        status::read(&self.path("state/status.sock")).ok()
    }

    pub(super) fn bird_route(&self) -> String {
        let mut birdc = Command::new("birdc");
        birdc.args(["-r", "-s"]).arg(self.path("bird.ctl")).args(["show", "route", "all"]);
        String::from_utf8(birdc.output().unwrap().stdout).unwrap()
    }

    pub(super) fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        let ours = ["agent.err", "named.err", "bird.log"].map(str::to_owned);
        let others = self.running.iter().map(|(name, _)| format!("{name}/log"));
        let logs: String =
            ours.into_iter().chain(others).map(|name| format!("{name}:\n{}\n", read(&name))).collect();
        format!("{logs}{:?}", self.status())
    }
}

pub(super) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Why the test cannot be run here.
pub(super) fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let programs = ["named", "bird", "birdc", "dig", "git", "ssh-keygen", "ip"];
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/sbin", "/bin"];
    let is_there = |program: &&str| folders.iter().any(|folder| PathBuf::from(folder).join(program).exists());
    programs.iter().find(|program| !is_there(program)).map(|program| format!("needs {program}"))
}

#[test]
fn one_node_serves_announces_refuses_and_survives() {
    in_a_namespace(missing(), scenario);
}

fn scenario() {
    let mut lab = Lab::new();
    lab.start("named");
    lab.start("bird");
    lab.until("BIRD answers", |lab| lab.path("bird.ctl").exists());
    lab.start("agent");

    lab.until("it settles", |lab| lab.status().is_some_and(|status| status.settled));
    assert_eq!(lab.dig(&["www.canary.example", "A"]), "203.0.113.80");
    assert_eq!(lab.dig(&["www.customer.example", "A"]), "203.0.113.80", "taken from BIND");
    lab.until("BIRD has the route", |lab| lab.bird_route().contains(ANYCAST));
    let route = lab.bird_route();
    assert!(route.contains("BGP.community: (64496,100)"), "{route}");
    assert!(route.contains("BGP.as_path: 64500\n") && route.contains("BGP.origin: IGP"), "{route}");

    // A signed push.
    let serial = lab.serial("canary.example");
    let zone = lab.path("work/zones/operator/canary.example.zone");
    fs::write(&zone, format!("{ZONE}new A 203.0.113.81\n")).unwrap();
    lab.commit("Add a record");
    lab.git(&["push", "-q", "origin", "main"]);
    lab.until("the new record", |lab| lab.dig(&["new.canary.example", "A"]) == "203.0.113.81");
    assert_eq!(lab.serial("canary.example"), serial + 1, "the second commit of the history");

    // An unsigned one, and then one that is signed and broken.
    let good = lab.git(&["rev-parse", "HEAD"]);
    fs::write(&zone, ZONE).unwrap();
    lab.git(&["commit", "-q", "-a", "--no-gpg-sign", "-m", "Take it away"]);
    lab.git(&["push", "-q", "origin", "main"]);
    let refused = |lab: &Lab, rule: &str| {
        lab.status().and_then(|status| status.refusal).is_some_and(|refusal| refusal.rule == rule)
    };
    lab.until("it refuses", |lab| refused(lab, "R2"));
    assert_eq!(lab.dig(&["new.canary.example", "A"]), "203.0.113.81", "the last good state stays");
    lab.git(&["reset", "-q", "--hard", &good]);
    fs::write(&zone, format!("{ZONE}bad A 203.0.113.256\n")).unwrap();
    lab.commit("Break it");
    lab.git(&["push", "-q", "--force", "origin", "main"]);
    lab.until("it finds the fault", |lab| refused(lab, "check"));
    let why = lab.status().unwrap().refusal.unwrap().why;
    assert!(why.contains("canary.example.zone:6:"), "{why}");
    assert_eq!(lab.status().unwrap().revision.unwrap().to_string(), good);

    // The customer changes a record; BIND sends NOTIFY.
    let zone = ZONE.replace("hostmaster 1 ", "hostmaster 2 ").replace("203.0.113.80", "203.0.113.82");
    fs::write(lab.path("bind/customer.zone"), zone).unwrap();
    let at = lab.running.iter().position(|(name, _)| *name == "named").unwrap();
    kill(Pid::from_raw(lab.running[at].1.id().cast_signed()), Signal::SIGHUP).unwrap();
    lab.until("the customer's change", |lab| lab.dig(&["www.customer.example", "A"]) == "203.0.113.82");

    // Everything upstream is gone and the agent is killed: the route goes with it, and comes back with it, and so
    // do the zones.
    lab.end("named", Signal::SIGKILL);
    fs::rename(lab.path("network.git"), lab.path("gone.git")).unwrap();
    lab.end("agent", Signal::SIGKILL);
    lab.until("the route is gone", |lab| !lab.bird_route().contains(ANYCAST));
    lab.start("agent");
    lab.until("it is back", |lab| lab.bird_route().contains(ANYCAST));
    assert_eq!(lab.dig(&["www.customer.example", "A"]), "203.0.113.82");
    assert_eq!(lab.dig(&["new.canary.example", "A"]), "203.0.113.81");
    let status = lab.status().unwrap();
    assert!(status.fetch_error.is_some(), "{status:?}");

    // An address taken away by hand is put back and reported.
    run(Command::new("ip").args(["addr", "del", &format!("{SERVICE}/32"), "dev", "lo"]));
    lab.until("it is repaired", |lab| {
        lab.status().is_some_and(|status| status.repaired.iter().any(|repair| repair.contains(SERVICE)))
    });
    assert_eq!(lab.dig(&["new.canary.example", "A"]), "203.0.113.81");

    lab.end("agent", Signal::SIGTERM);
    lab.until("BIRD was told", |lab| {
        fs::read_to_string(lab.path("bird.log")).unwrap_or_default().contains("the agent ends")
    });
}
