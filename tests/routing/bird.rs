//! BIRD 2.

use std::process::Command;

use shoestring::routing::RoutingDaemonKind;

use super::contract::{Software, contract};
use super::subject::Subject;

pub struct Bird;

impl Software for Bird {
    const KIND: RoutingDaemonKind = RoutingDaemonKind::Bird;
    const FILE: &'static str = "bird.conf";

    fn imported(subject: &Subject) -> usize {
        let shown = birdc(subject, "show route where source = RTS_BGP");
        shown.lines().filter(|line| line.contains("-v4 ") || line.contains("-v6 ")).count()
    }

    fn tamper(subject: &Subject) {
        let text = std::fs::read_to_string(subject.folder().join("etc/bird.conf")).unwrap();
        let awake = |line: &str| match line.starts_with("protocol static 'announce.") {
            true => line.replace("disabled; ", "") + "\n",
            false => line.to_owned() + "\n",
        };
        let text: String = text.lines().map(awake).collect();
        let bait = "protocol static bait { ipv4; route 203.0.113.0/24 blackhole; route 198.51.100.128/25 blackhole; }";
        let other = subject.folder().join("run/by-hand.conf");
        std::fs::write(&other, format!("{text}\n{bait}\n")).unwrap();
        let said = birdc(subject, &format!("configure \"{}\"", other.display()));
        assert!(said.contains("Reconfigured"), "{said}");
    }
}

fn birdc(subject: &Subject, command: &str) -> String {
    let socket = subject.folder().join("run/bird.ctl");
    let said = Command::new("birdc").arg("-s").arg(socket).arg(command).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

contract!(Bird, &[]);
