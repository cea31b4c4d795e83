//! The subject of a test: a daemon under the driver's control, in a folder and a network namespace of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use shoestring::desired::model::{Import, Relation};
use shoestring::fingerprint::Fingerprint;
use shoestring::keyring::{Keyring, Secret, SecretRef, SecretValue};
use shoestring::names::SecretName;
use shoestring::process::Supervision;
use shoestring::routing::external::ExternalRouting;
use shoestring::routing::{
    Announcement, Family, ObservedRouting, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind,
    RoutingDaemons, SessionConfig, SessionName, SessionState,
};

use super::provider::{ASN, OUR_ASN, OURS, PASSWORD, Provider, Route, THEIRS};

/// Longer than anything here may take on a loaded machine (FRR looks for its zebra once a minute); nothing waits so long when
/// all is well.
pub const PATIENCE: Duration = Duration::from_secs(120);
pub const V4: &str = "198.51.100.0/24";
pub const V6: &str = "2001:db8:100::/48";
pub const COMMUNITIES: [&str; 4] = ["64500:7", "65536:1:2", "rt:64500:9", "ro:192.0.2.1:3"];
/// The sessions, as the other side calls them.
pub const SESSIONS: [&str; 4] = ["transit_v4", "transit_v6", "other_v4", "far_v4"];
const DRAIN_PREPEND: u8 = 3;

/// A daemon under control, and the other side.
pub struct Subject {
    pub daemon: ExternalRouting,
    pub config: RoutingConfig,
    pub keyring: Arc<Keyring>,
    pub provider: Provider,
    kind: RoutingDaemonKind,
    daemons: RoutingDaemons,
    _folder: tempfile::TempDir,
}

pub fn name(session: &str) -> SessionName {
    let (peer, family) = session.rsplit_once('_').unwrap();
    let family = if family == "v4" { Family::V4 } else { Family::V6 };
    SessionName { peer: peer.parse().unwrap(), family }
}

/// Gives the keyring the password of the session `transit_v4`, under a name.
pub fn give(keyring: &Keyring, secret: &str, password: &str) {
    let value = Arc::new(SecretValue::Password(Secret::new(password.into())));
    keyring.replace([(secret.parse::<SecretName>().unwrap(), value)].into());
}

/// That of everybody in a test.
pub fn keyring() -> Arc<Keyring> {
    let keyring = Arc::new(Keyring::default());
    give(&keyring, "transit", PASSWORD);
    keyring
}

fn session(number: usize) -> SessionConfig {
    SessionConfig {
        local: OURS[number].parse().unwrap(),
        neighbor: THEIRS[number].parse().unwrap(),
        asn: ASN.try_into().unwrap(),
        relation: Relation::Provider,
        strict_role: false,
        communities: [].into(),
        prepend: 0,
        import: Import::Nothing,
        multihop: None,
        bfd: None,
        password: None,
    }
}

/// With everything that sessions can have.
pub fn config(daemon: RoutingDaemonKind) -> RoutingConfig {
    let mut transit = session(0);
    transit.communities = COMMUNITIES.map(|text| text.parse().unwrap()).into();
    transit.prepend = 2;
    let sealed = Fingerprint::of(&[b"once"]);
    transit.password = Some(SecretRef { name: "transit".parse().unwrap(), sealed });
    let mut far = session(2);
    (far.multihop, far.import) = (Some(2), Import::Default);
    let sessions =
        [("transit_v4", transit), ("transit_v6", session(3)), ("other_v4", session(1)), ("far_v4", far)];
    RoutingConfig {
        daemon,
        asn: OUR_ASN.try_into().unwrap(),
        router_id: [192, 0, 2, 1].into(),
        prefixes: [V4, V6].map(|prefix| prefix.parse().unwrap()).into(),
        sessions: sessions.map(|(session, config)| (name(session), config)).into(),
        drain_prepend: DRAIN_PREPEND,
        archive: None,
        trial: Duration::from_secs(20),
    }
}

pub const DRAINING: Announcement = Announcement::Draining { prepend: DRAIN_PREPEND };

/// Both prefixes, announced so.
pub fn both(how: Announcement) -> Origination {
    [V4, V6].map(|prefix| (prefix.parse().unwrap(), how)).into()
}

impl Subject {
    /// `None`, said aloud, where the daemon is not installed. In CI it must be. It is configured, and nothing else.
    pub async fn start(kind: RoutingDaemonKind) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // The daemon's user comes through here.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let daemons =
            RoutingDaemons { folder: folder.path().join("daemons"), supervision: Supervision::Child };
        let keyring = keyring();
        let Some(daemon) = daemons.open(kind, &keyring).await.unwrap() else {
            assert!(std::env::var_os("CI").is_none(), "{kind} is missing, and in CI nothing is skipped");
            eprintln!("skipped: {kind} is not installed");
            return None;
        };
        // It has no roles.
        let provider = Provider::start(kind != RoutingDaemonKind::Gobgp).await;
        // What stands on a node and is nobody's to announce.
        for route in ["198.51.100.128/25", "203.0.113.0/24", "2001:db8:100:2::/64"] {
            let added = std::process::Command::new("ip").args(["route", "add", "blackhole", route]).status();
            assert!(added.unwrap().success());
        }
        let config = config(kind);
        daemon.configure(&config).await.unwrap();
        Some(Self { daemon, config, keyring, provider, kind, daemons, _folder: folder })
    }

    /// The folder of the daemon.
    pub fn folder(&self) -> PathBuf {
        self.daemons.folder.join(self.kind.to_string())
    }

    /// Its main process.
    pub fn pid(&self) -> i32 {
        pid(&self.folder(), &self.kind.to_string()).unwrap()
    }

    /// Another agent takes over: nothing is known but what is on disk.
    pub async fn reopen(&mut self) {
        self.daemon = self.daemons.open(self.kind, &self.keyring).await.unwrap().unwrap();
    }

    pub async fn observe(&self) -> ObservedRouting {
        self.daemon.observe().await.unwrap()
    }

    /// Waits until something holds, looking at the daemon meanwhile as an agent does.
    pub async fn until(&self, what: &str, mut done: impl FnMut(&Self, &ObservedRouting) -> bool) {
        let begun = Instant::now();
        loop {
            let seen = self.daemon.observe().await;
            if seen.as_ref().is_ok_and(|seen| done(self, seen)) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                panic!("not in time: {what}: {seen:#?}\n{}\n{}", self.provider.log(), self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the daemon wrote, and those beside it.
    pub fn log(&self) -> String {
        let names = [self.kind.to_string(), "frr-zebra".to_owned(), "frr-bfdd".to_owned()];
        let log = |name| std::fs::read_to_string(self.folder().join(format!("{name}.log")));
        names.map(|name| log(name).unwrap_or_default()).concat()
    }

    /// The same, and puts right meanwhile what is found not to be as it was left, as an agent does.
    pub async fn until_settled(&self, what: &str, mut done: impl FnMut(&Self, &ObservedRouting) -> bool) {
        let begun = Instant::now();
        loop {
            let seen = self.daemon.observe().await;
            if seen.as_ref().is_ok_and(|seen| seen.config.is_some() && done(self, seen)) {
                return;
            }
            if let Some(fault) = seen.as_ref().ok().and_then(|seen| seen.fault.as_ref()) {
                eprintln!("put right after {:?}: {fault}", begun.elapsed());
                self.daemon.configure(&self.config).await.unwrap();
            }
            if begun.elapsed() > PATIENCE {
                panic!("not in time: {what}: {seen:#?}\n{}\n{}", self.provider.log(), self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until these sessions are established, as both sides see it.
    pub async fn until_established(&self, sessions: &[&str]) {
        self.until(&format!("{sessions:?} established"), |subject, seen| {
            sessions.iter().all(|session| {
                seen.sessions.get(&name(session)).is_some_and(|one| one.state == SessionState::Established)
                    && subject.provider.established(session).is_some()
            })
        })
        .await;
    }

    /// Everything that the other side should have on a session, prefixes being announced so.
    pub fn expected(&self, session: &str, origination: &Origination) -> BTreeMap<String, Route> {
        let config = &self.config.sessions[&name(session)];
        let ours = |prefix: &&IpNet| Family::of(prefix.addr()) == Family::of(config.local);
        let route = |how: Announcement| {
            let mut communities: std::collections::BTreeSet<String> =
                config.communities.iter().map(ToString::to_string).collect();
            let mut length = 1 + usize::from(config.prepend);
            if let Announcement::Draining { prepend } = how {
                communities.insert("65535:0".to_owned());
                length += usize::from(prepend);
            }
            Route {
                path: vec![OUR_ASN; length],
                communities,
                next_hop: config.local.to_string(),
                origin: "IGP".to_owned(),
                // It cannot be told to send none.
                med: (self.kind == RoutingDaemonKind::Frr).then(|| "0".to_owned()),
            }
        };
        let prefixes = origination.keys().filter(ours);
        prefixes.map(|prefix| (prefix.to_string(), route(origination[prefix]))).collect()
    }

    /// Waits until the other side has exactly what should be announced, on every session of these, and the daemon says so.
    pub async fn until_received(&self, sessions: &[&str], origination: &Origination) {
        for session in sessions {
            let expected = self.expected(session, origination);
            let mut last = BTreeMap::new();
            self.until(&format!("exactly {expected:#?} on {session}"), |subject, seen| {
                let received = subject.provider.routes(session);
                if received != last {
                    eprintln!("{session}: {received:?}");
                    last.clone_from(&received);
                }
                let said = &seen.sessions[&name(session)].prefixes_sent;
                received == expected
                    && said.iter().map(ToString::to_string).eq(expected.keys().cloned())
                    && seen.originated == *origination
            })
            .await;
        }
    }

    /// Announces, and waits until it is so everywhere.
    pub async fn announce(&self, origination: &Origination) {
        self.announce_to(&SESSIONS, origination).await;
    }

    /// The same, waiting for these sessions only.
    pub async fn announce_to(&self, sessions: &[&str], origination: &Origination) {
        self.daemon.originate(origination).await.unwrap();
        assert_eq!(self.observe().await.originated, *origination);
        self.until_received(sessions, origination).await;
    }

    /// The how-manieth time each session is established, as the other side sees it; and how many withdrawals came over it.
    pub fn history(&self) -> Vec<(Option<usize>, u64)> {
        SESSIONS
            .iter()
            .map(|session| (self.provider.established(session), self.provider.withdrawals(session)))
            .collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Ended by whoever tests it, unless the test has failed.
        kill_group(&self.folder(), self.kind);
    }
}

/// Kills a daemon that runs from this folder, and those beside it.
pub fn kill_group(folder: &std::path::Path, kind: RoutingDaemonKind) {
    for name in [kind.to_string(), "frr-zebra".to_owned(), "frr-bfdd".to_owned()] {
        if let Some(pid) = pid(folder, &name) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// The process of this name in a daemon's folder.
pub fn pid(folder: &std::path::Path, name: &str) -> Option<i32> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.pid"))).ok()?;
    text.split(' ').next()?.parse().ok()
}

/// When it was started, in ticks.
pub fn started(folder: &std::path::Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.pid"))).ok()?;
    text.trim().split(' ').nth(1)?.parse().ok()
}
