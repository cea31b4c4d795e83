//! FRR.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shoestring::routing::{Announcement, Origination, RoutingDaemon, RoutingDaemonKind};

use super::contract::{Software, contract};
use super::provider::OUR_ASN;
use super::subject::{SESSIONS, Subject, both};
use crate::bgp::lab::in_a_namespace;

pub struct Frr;

impl Software for Frr {
    const KIND: RoutingDaemonKind = RoutingDaemonKind::Frr;
    const FILE: &'static str = "frr.conf";
    const CUTS_OFF: bool = false;

    fn imported(folder: &Path) -> usize {
        let of = |family: &str| {
            let shown = vtysh(folder, &[&format!("show bgp {family} unicast json")]);
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            let routes = shown["routes"].as_object().unwrap().values();
            let paths = routes.flat_map(|paths| paths.as_array().unwrap());
            paths.filter(|path| path["peerId"] != "(unspec)").count()
        };
        of("ipv4") + of("ipv6")
    }

    fn tamper(folder: &Path) {
        let router = format!("router bgp {OUR_ASN}");
        let bait = ["203.0.113.0/24", "198.51.100.128/25"].map(|prefix| format!("network {prefix}"));
        let commands = ["configure terminal", &router, "address-family ipv4 unicast", &bait[0], &bait[1]];
        assert_eq!(vtysh(folder, &commands), "");
    }
}

fn vtysh(folder: &Path, commands: &[&str]) -> String {
    let commands = commands.iter().flat_map(|command| ["-c", command]);
    let socket = folder.join("run");
    let mut vtysh = Command::new("vtysh");
    vtysh.arg("--vty_socket").arg(socket).args(["-d", "bgpd"]).args(commands);
    String::from_utf8(vtysh.output().unwrap().stdout).unwrap()
}

const PROGRAMS: [&str; 3] = ["/usr/sbin/bird", "/usr/lib/frr/bgpd", "/usr/bin/vtysh"];

contract!(Frr, &PROGRAMS[1..]);

/// It cannot become another router while it runs: it is started again, silent as always, and back again when that was wrong.
#[test]
fn another_number_of_ours_takes_a_restart() {
    in_a_namespace(&PROGRAMS, async || {
        let Some(subject) = Subject::start(RoutingDaemonKind::Frr).await else { return };
        subject.until_established(&SESSIONS).await;
        subject.announce(&both(Announcement::Normal)).await;
        let pid = subject.pid();
        let mut bad = subject.config.clone();
        bad.trial = Duration::from_secs(4);
        bad.asn = 65999.try_into().unwrap();
        subject.daemon.configure(&bad).await.unwrap();
        assert_ne!(subject.pid(), pid);
        let seen = subject.observe().await;
        assert_eq!((seen.config.as_ref(), seen.originated), (Some(&bad), Origination::new()));
        subject.until("the old one", |subject, seen| seen.config.as_ref() == Some(&subject.config)).await;
        subject.until_established(&SESSIONS).await;
        subject.until_received(&SESSIONS, &Origination::new()).await;
        subject.announce(&both(Announcement::Normal)).await;
        subject.daemon.end("the test is over").await.unwrap();
    });
}
