//! OpenBGPD.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::routing::{Announcement, Origination, RoutingDaemon, RoutingDaemonKind, SessionState};

use super::contract::{Software, contract};
use super::subject::{SESSIONS, Subject, both, name};
use crate::bgp::lab::in_a_namespace;

pub struct OpenBgpd;

impl Software for OpenBgpd {
    const KIND: RoutingDaemonKind = RoutingDaemonKind::Openbgpd;
    const FILE: &'static str = "bgpd.conf";

    fn imported(folder: &Path) -> usize {
        let shown = bgpctl(folder, "-j show rib");
        shown.lines().filter(|line| line.contains(r#""source": "external""#)).count()
    }

    fn tamper(folder: &Path) {
        for bait in ["203.0.113.0/24", "198.51.100.128/25", "2001:db8:100:3::/64"] {
            assert!(bgpctl(folder, &format!("network add {bait}")).contains("request sent"));
        }
    }
}

fn bgpctl(folder: &Path, words: &str) -> String {
    let socket = folder.join("run/bgpd.sock");
    let said =
        Command::new("/usr/sbin/bgpctl").arg("-s").arg(socket).args(words.split(' ')).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

contract!(OpenBgpd, &["/usr/sbin/bgpd", "/usr/sbin/bgpctl"]);

const PROGRAMS: [&str; 3] = ["/usr/sbin/bird", "/usr/sbin/bgpd", "/usr/sbin/bgpctl"];

/// It would take no configuration at all with two sessions with one address.
#[test]
fn a_second_session_with_an_address_is_left_out() {
    in_a_namespace(&PROGRAMS, async || {
        let Some(mut subject) = Subject::start(RoutingDaemonKind::Openbgpd).await else { return };
        let mut twin = subject.config.sessions[&name("other_v4")].clone();
        twin.local = subject.config.sessions[&name("far_v4")].local;
        subject.config.sessions.insert(name("twin_v4"), twin);
        subject.daemon.configure(&subject.config).await.unwrap();
        subject.until_established(&SESSIONS).await;
        subject.announce(&both(Announcement::Normal)).await;
        let seen = subject.observe().await;
        assert_eq!(seen.config.as_ref(), Some(&subject.config));
        let twin = &seen.sessions[&name("twin_v4")];
        assert_eq!(twin.state, SessionState::Idle);
        let why = twin.last_error.as_ref().unwrap();
        assert!(why.contains("192.0.2.253 is that of other-v4"), "{why}");
        subject.daemon.end("the test is over").await.unwrap();
    });
}

/// It is several processes: one that hangs is noticed, whichever it is, and one that dies takes the others with it.
#[test]
fn each_of_its_processes_counts() {
    in_a_namespace(&PROGRAMS, async || {
        let Some(subject) = Subject::start(RoutingDaemonKind::Openbgpd).await else { return };
        for option in ["-R", "-S"] {
            for (signal, why) in [(Signal::SIGKILL, "it ended with"), (Signal::SIGSTOP, "it hangs")] {
                subject.until_established(&SESSIONS).await;
                subject.announce(&both(Announcement::Normal)).await;
                kill(engine(&subject, option), signal).unwrap();
                subject
                    .until(why, |_, seen| seen.fault.as_ref().is_some_and(|fault| fault.contains(why)))
                    .await;
                subject.daemon.configure(&subject.config).await.unwrap();
                subject.until_received(&SESSIONS, &Origination::new()).await;
            }
        }
        subject.daemon.end("the test is over").await.unwrap();
    });
}

/// The process that was started with this option by the one that is known.
fn engine(subject: &Subject, option: &str) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", subject.pid())).unwrap();
    let is_it = |pid: &&str| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|octet| *octet == 0).any(|word| word == option.as_bytes())
    };
    Pid::from_raw(children.split_whitespace().find(is_it).unwrap().parse().unwrap())
}
