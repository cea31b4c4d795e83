//! BIRD 2.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use shoestring::routing::{Announcement, RoutingDaemon, RoutingDaemonKind};

use super::contract::{Software, contract};
use super::subject::{PATIENCE, SESSIONS, Subject, both, name};
use crate::bgp::lab::in_a_namespace;

pub struct Bird;

impl Software for Bird {
    const KIND: RoutingDaemonKind = RoutingDaemonKind::Bird;
    const FILE: &'static str = "bird.conf";

    fn imported(folder: &Path) -> usize {
        let shown = birdc(folder, "show route where source = RTS_BGP");
        shown.lines().filter(|line| line.contains("-v4 ") || line.contains("-v6 ")).count()
    }

    fn tamper(folder: &Path) {
        let text = std::fs::read_to_string(folder.join("etc/bird.conf")).unwrap();
        let awake = |line: &str| match line.starts_with("protocol static 'announce.") {
            true => line.replace("disabled; ", "") + "\n",
            false => line.to_owned() + "\n",
        };
        let text: String = text.lines().map(awake).collect();
        let bait = "protocol static bait { ipv4; route 203.0.113.0/24 blackhole; route 198.51.100.128/25 blackhole; }";
        let other = folder.join("run/by-hand.conf");
        std::fs::write(&other, format!("{text}\n{bait}\n")).unwrap();
        let said = birdc(folder, &format!("configure \"{}\"", other.display()));
        assert!(said.contains("Reconfigured"), "{said}");
    }
}

fn birdc(folder: &Path, command: &str) -> String {
    let socket = folder.join("run/bird.ctl");
    let said = Command::new("birdc").arg("-s").arg(socket).arg(command).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

contract!(Bird, &[]);

/// When the agent dies in the middle of a trial, nobody is there to take the change back but BIRD, and it announces on.
#[test]
fn without_an_agent_it_takes_a_change_back_itself() {
    in_a_namespace(&["/usr/sbin/bird"], async || {
        let Some(subject) = Subject::start(RoutingDaemonKind::Bird).await else { return };
        subject.until_established(&SESSIONS).await;
        subject.announce(&both(Announcement::Normal)).await;
        let mut bad = subject.config.clone();
        bad.trial = Duration::from_secs(1);
        bad.sessions.get_mut(&name("transit_v4")).unwrap().asn = 65999.try_into().unwrap();
        subject.daemon.configure(&bad).await.unwrap();
        // Only the other side is looked at from here on.
        let begun = Instant::now();
        let mut was_gone = false;
        while !was_gone || subject.provider.routes("transit_v4").is_empty() {
            was_gone |= subject.provider.established("transit_v4").is_none();
            assert!(begun.elapsed() < PATIENCE, "it keeps what cuts it off: {}", subject.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for session in SESSIONS {
            let expected = subject.expected(session, &both(Announcement::Normal));
            assert_eq!(subject.provider.routes(session), expected);
        }
        subject.daemon.end("the test is over").await.unwrap();
    });
}
