//! The embedded BGP speaker against BIRD 2, each in a network namespace of its own, with GTSM on both sides.
//!
//! The namespaces have no names: they end with the test's thread and with BIRD, and BIRD ends with the thread.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shoestring::desired::model::Import;
use shoestring::routing::embedded::EmbeddedSpeaker;
use tempfile::TempDir;

use super::lab::in_a_namespace;
use super::*;

const OUR_V4: &str = "192.0.2.1";
const OUR_V6: &str = "2001:db8:0:1::1";
const PREFIX_V4: &str = "198.51.100.0/24";
/// Of four octets each: a path that no message of 4,096 octets holds.
const PREPENDS: usize = 1100;
const PREFIX_V6: &str = "2001:db8:100::/48";

/// Sessions for both families; one that comes and goes; one that offers 12 routes; and one whose packets leave with a
/// single hop, as if they came from afar. BIRD wants another address of ours for each.
const CONFIG: &str = r#"
log "DIR/log" all;
debug protocols { states, events };
router id 192.0.2.2;
protocol device {}
protocol static excess {
  ipv4;
  EXCESS
}
template bgp node {
  local role provider;
  require roles;
  ttl security on;
  error wait time 1, 1;
  ipv4 { import all; export none; };
}
protocol bgp transit_v4 from node {
  local 192.0.2.2 as 65536;
  neighbor 192.0.2.1 as 64500;
}
protocol bgp transit_v6 {
  local 2001:db8:0:1::2 as 65536;
  neighbor 2001:db8:0:1::1 as 64500;
  local role provider;
  ttl security on;
  ipv6 { import all; export none; };
}
protocol bgp other_v4 from node {
  local 192.0.2.2 as 65537;
  neighbor 192.0.2.11 as 64500;
}
protocol bgp excess_v4 from node {
  local 192.0.2.2 as 65538;
  neighbor 192.0.2.12 as 64500;
  ipv4 { import all; export where proto = "excess"; };
}
protocol static one {
  ipv4;
  route 198.18.0.0/24 blackhole;
}
protocol bgp long_v4 from node {
  local 192.0.2.2 as 65540;
  neighbor 192.0.2.14 as 64500;
  enable extended messages on;
  ipv4 { import all; export filter { if proto != "one" then reject; PREPENDS accept; }; };
}
protocol bgp distant_v4 from node {
  local 192.0.2.2 as 65539;
  neighbor 192.0.2.13 as 64500;
  ttl security off;
  hold time 3;
}
"#;

/// BIRD, and the namespace it runs in.
struct Bird {
    process: Child,
    dir: TempDir,
}

impl Bird {
    /// Starts BIRD in a namespace linked to that of the calling thread.
    fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let routes = (0..12).fold(String::new(), |mut routes, third| {
            write!(routes, "route 203.0.113.{}/28 blackhole;", third * 16).unwrap();
            routes
        });
        let config = CONFIG
            .replace("DIR", &dir.path().display().to_string())
            .replace("EXCESS", &routes)
            .replace("PREPENDS", &"bgp_path.prepend(65540);".repeat(PREPENDS));
        fs::write(dir.path().join("bird.conf"), config).unwrap();

        // A holder of the namespace first: BIRD wants the addresses to be there.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "sh", "-c"])
            .arg("echo $$; read go; exec bird -f -c bird.conf -s control -P pid")
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut bird = Self { process, dir };
        let mut pid = String::new();
        let stdout = bird.process.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut pid).unwrap();
        bird.link(pid.trim());
        let mut stdin = bird.process.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"go\n").unwrap();
        bird.until("BIRD answers", |bird| bird.ask("show status").contains("Daemon is up"));
        bird
    }

    fn link(&self, pid: &str) {
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", "bgp0", "type", "veth", "peer", "name", "bgp0", "netns", pid]);
        for ours in [OUR_V4, "192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14"] {
            ip(&["addr", "add", &format!("{ours}/24"), "dev", "bgp0"]);
        }
        ip(&["addr", "add", &format!("{OUR_V6}/64"), "dev", "bgp0", "nodad"]);
        ip(&["link", "set", "bgp0", "up"]);
        let there = |args: &[&str]| {
            run(Command::new("nsenter").args(["--net", "-t", pid, "ip"]).args(args));
        };
        there(&["addr", "add", "192.0.2.2/24", "dev", "bgp0"]);
        there(&["addr", "add", "2001:db8:0:1::2/64", "dev", "bgp0", "nodad"]);
        there(&["link", "set", "bgp0", "up"]);
    }

    fn ask(&self, question: &str) -> String {
        let mut birdc = Command::new("birdc");
        birdc.args(["-r", "-s"]).arg(self.dir.path().join("control")).args(question.split(' '));
        String::from_utf8(birdc.output().unwrap().stdout).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The lines of `show route all` for a prefix, trimmed.
    fn route(&self, prefix: &str) -> Vec<String> {
        let answer = self.ask(&format!("show route all for {prefix} protocol {}", protocol_of(prefix)));
        answer.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn has_route(&self, prefix: &str) -> bool {
        self.route(prefix).iter().any(|line| line.starts_with("BGP.origin"))
    }

    /// How often a session was established.
    fn established(&self, protocol: &str) -> usize {
        self.log().matches(&format!("{protocol}: State changed to up")).count()
    }

    fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn protocol_of(prefix: &str) -> &'static str {
    if prefix.contains(':') { "transit_v6" } else { "transit_v4" }
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lets the speaker run while BIRD is asked.
async fn until(bird: &Bird, what: &str, mut done: impl FnMut(&Bird) -> bool) {
    let begun = Instant::now();
    while !done(bird) {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}\n{}", bird.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn named(peer: &str, family: Family) -> SessionName {
    SessionName { peer: peer.parse().unwrap(), family }
}

fn bird_session(local: &str, neighbor: &str, asn_number: u32) -> SessionConfig {
    SessionConfig {
        local: local.parse().unwrap(),
        neighbor: neighbor.parse().unwrap(),
        asn: asn(asn_number),
        ..session([0; 4], [0; 4])
    }
}

/// Sessions to BIRD on the real port, for both families; our prefixes are one of each.
fn transit() -> RoutingConfig {
    let mut v4 = bird_session(OUR_V4, "192.0.2.2", PROVIDER_ASN);
    v4.communities = ["64500:7", "65536:1:2"].map(|text| text.parse().unwrap()).into();
    v4.prepend = 2;
    let v6 = bird_session(OUR_V6, "2001:db8:0:1::2", PROVIDER_ASN);
    let mut config = config([(named("transit", Family::V4), v4), (named("transit", Family::V6), v6)]);
    config.prefixes = [PREFIX_V4, PREFIX_V6].map(|prefix| prefix.parse().unwrap()).into();
    config
}

fn both(how: Announcement) -> Origination {
    originate(&[(PREFIX_V4, how), (PREFIX_V6, how)])
}

#[test]
fn bird_hears_what_is_originated_and_nothing_else() {
    in_a_namespace(&["/usr/sbin/bird"], || async {
        let bird = Bird::start();
        let speaker = EmbeddedSpeaker::with_options(options(179), Arc::default());
        speaker.configure(&transit()).await.unwrap();
        for family in [Family::V4, Family::V6] {
            until_established(&speaker, &named("transit", family)).await;
        }
        assert!(!bird.has_route(PREFIX_V4) && !bird.has_route(PREFIX_V6), "nothing was originated");

        speaker.originate(&both(Announcement::Normal)).await.unwrap();
        until(&bird, "both routes", |bird| bird.has_route(PREFIX_V4) && bird.has_route(PREFIX_V6)).await;
        let attributes = |prefix: &str| {
            let of_bgp = |line: &String| line.starts_with("BGP.");
            bird.route(prefix).into_iter().filter(of_bgp).collect::<Vec<_>>()
        };
        assert_eq!(
            attributes(PREFIX_V4),
            [
                "BGP.origin: IGP",
                "BGP.as_path: 64500 64500 64500",
                "BGP.next_hop: 192.0.2.1",
                "BGP.local_pref: 100",
                "BGP.community: (64500,7)",
                "BGP.large_community: (65536, 1, 2)",
            ]
        );
        let v6 = attributes(PREFIX_V6);
        assert_eq!(v6[..2], ["BGP.origin: IGP", "BGP.as_path: 64500"]);
        assert!(v6[2].starts_with("BGP.next_hop: 2001:db8:0:1::1"), "{v6:?}");

        speaker.originate(&both(Announcement::Draining { prepend: 1 })).await.unwrap();
        until(&bird, "the drained route", |bird| {
            let lines = bird.route(PREFIX_V4);
            lines.contains(&"BGP.as_path: 64500 64500 64500 64500".to_owned())
                && lines.contains(&"BGP.community: (64500,7) (65535,0)".to_owned())
        })
        .await;
        until(&bird, "the same for IPv6", |bird| {
            bird.route(PREFIX_V6).contains(&"BGP.community: (65535,0)".to_owned())
        })
        .await;

        let begun = Instant::now();
        speaker.originate(&Origination::new()).await.unwrap();
        until(&bird, "the withdrawal", |bird| !bird.has_route(PREFIX_V4) && !bird.has_route(PREFIX_V6)).await;
        println!("withdrawn at BIRD, as birdc saw it, after {} ms", begun.elapsed().as_millis());

        speaker.shutdown("maintenance until nine").await;
        until(&bird, "the goodbye in the log", |bird| {
            let log = bird.log();
            ["transit_v4", "transit_v6"].iter().all(|protocol| {
                log.contains(&format!(
                    "{protocol}: Received: Administrative shutdown: \"maintenance until nine\""
                ))
            })
        })
        .await;
    });
}

#[test]
fn bird_keeps_a_session_while_another_changes() {
    in_a_namespace(&["/usr/sbin/bird"], || async {
        let bird = Bird::start();
        let speaker = EmbeddedSpeaker::with_options(options(179), Arc::default());
        let mut config = transit();
        speaker.configure(&config).await.unwrap();
        speaker.originate(&both(Announcement::Normal)).await.unwrap();
        until(&bird, "the route", |bird| bird.has_route(PREFIX_V4) && bird.has_route(PREFIX_V6)).await;
        let established = || [bird.established("transit_v4"), bird.established("transit_v6")];
        assert_eq!(established(), [1, 1]);

        // A session more, then one with another prepend, then one less.
        let other = named("other", Family::V4);
        config.sessions.insert(other.clone(), bird_session("192.0.2.11", "192.0.2.2", 65537));
        speaker.configure(&config).await.unwrap();
        until_established(&speaker, &other).await;
        config.sessions.get_mut(&named("transit", Family::V4)).unwrap().prepend = 0;
        speaker.configure(&config).await.unwrap();
        until(&bird, "a shorter path", |bird| {
            bird.route(PREFIX_V4).contains(&"BGP.as_path: 64500".to_owned())
        })
        .await;
        config.sessions.remove(&other);
        speaker.configure(&config).await.unwrap();
        until(&bird, "the removal", |bird| bird.log().contains("other_v4: Received: Peer de-configured"))
            .await;
        assert_eq!(established(), [1, 1], "no reset");

        // BIRD asks for everything again (ROUTE-REFRESH), and nothing is lost by it.
        assert!(!bird.ask("reload in transit_v4").is_empty());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(bird.has_route(PREFIX_V4));
        assert_eq!(established(), [1, 1]);
    });
}

#[test]
fn bird_may_not_offer_more_than_ten_routes() {
    in_a_namespace(&["/usr/sbin/bird"], || async {
        let bird = Bird::start();
        let speaker = EmbeddedSpeaker::with_options(options(179), Arc::default());
        let excess = named("excess", Family::V4);
        let mut session = bird_session("192.0.2.12", "192.0.2.2", 65538);
        let mut config = config([(excess.clone(), session.clone())]);
        speaker.configure(&config).await.unwrap();
        until(&bird, "the refusal", |bird| {
            bird.log().contains("excess_v4: Received: Maximum number of prefixes reached")
        })
        .await;
        let idle = async {
            loop {
                let observed = speaker.observe().await.unwrap().sessions[&excess].clone();
                let error = observed.last_error.unwrap_or_default();
                // It waits longer each time.
                if observed.state == SessionState::Idle && observed.losses > 1 {
                    return error;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let error = timeout(PATIENCE, idle).await.expect("it is refused again and again");
        assert!(error.starts_with("sent NOTIFICATION 6/1"), "{error}");

        session.import = Import::Full;
        config.sessions.insert(excess.clone(), session);
        speaker.configure(&config).await.unwrap();
        until_established(&speaker, &excess).await;
        let counted = async {
            while speaker.observe().await.unwrap().sessions[&excess].routes_discarded != 12 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, counted).await.expect("twelve routes, counted and discarded");
    });
}

#[test]
fn bird_sends_an_extended_message() {
    in_a_namespace(&["/usr/sbin/bird"], || async {
        let bird = Bird::start();
        let speaker = EmbeddedSpeaker::with_options(options(179), Arc::default());
        let long = named("long", Family::V4);
        let session = bird_session("192.0.2.14", "192.0.2.2", 65540);
        speaker.configure(&config([(long.clone(), session)])).await.unwrap();
        let counted = async {
            while speaker.observe().await.unwrap().sessions[&long].routes_discarded != 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, counted).await.expect("the route, counted and discarded");
        let observed = speaker.observe().await.unwrap().sessions[&long].clone();
        assert_eq!((observed.losses, observed.updates_malformed), (0, 0));
        let shown = bird.ask("show protocols all long_v4");
        assert_eq!(shown.matches("Extended message").count(), 2, "BIRD says so of both sides: {shown}");
    });
}

#[test]
fn a_peer_on_the_link_must_be_on_the_link() {
    in_a_namespace(&["/usr/sbin/bird"], || async {
        let bird = Bird::start();
        let speaker = EmbeddedSpeaker::with_options(options(179), Arc::default());
        let (near, distant) = (named("near", Family::V4), named("distant", Family::V4));
        let mut session = bird_session("192.0.2.13", "192.0.2.2", 65539);
        let mut config = config([(distant.clone(), session.clone())]);
        config.sessions.insert(near.clone(), bird_session(OUR_V4, "192.0.2.2", PROVIDER_ASN));
        speaker.configure(&config).await.unwrap();
        // Both begin at once; when the one has come up, the other could have many times.
        until_established(&speaker, &near).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let state = speaker.observe().await.unwrap().sessions[&distant].state;
        assert_ne!(state, SessionState::Established, "what has passed a router is dropped");

        session.multihop = Some(1);
        config.sessions.insert(distant.clone(), session);
        speaker.configure(&config).await.unwrap();
        until(&bird, "the session over one hop", |bird| bird.established("distant_v4") > 0).await;
    });
}
