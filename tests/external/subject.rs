//! The subject of a test: a daemon under the driver's control, in a folder and on ports of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use shoestring::dns::external::ExternalNameServer;
use shoestring::dns::{
    Daemons, NameServer, NameServerConfig, NameServerKind, ObservedNameServer, ObservedZone, TransferLimits,
    ZoneChanges, ZoneConfig, ZoneState, ZoneTable,
};
use shoestring::fingerprint::Fingerprint;
use shoestring::keyring::{Keyring, Secret, SecretValue, TsigAlgorithm, TsigKey};
use shoestring::names::{DomainName, SecretName};
use shoestring::process::Supervision;
use tokio::task::JoinHandle;

use crate::name_server::network::{PATIENCE, free_address, try_udp};

/// The secret whose TSIG key customers' primaries want.
pub const KEY: &str = "customer-transfer";

/// The keyring of everybody in a test, with that key.
pub fn keyring(secret: &[u8]) -> Arc<Keyring> {
    let keyring = Arc::new(Keyring::default());
    give(&keyring, secret);
    keyring
}

/// Puts another value of the key into a keyring.
pub fn give(keyring: &Keyring, secret: &[u8]) {
    let key = TsigKey {
        name: "transfer.customer.example".parse().unwrap(),
        algorithm: TsigAlgorithm::HmacSha256,
        secret: Secret::new(secret.to_vec()),
    };
    keyring.replace([(KEY.parse().unwrap(), Arc::new(SecretValue::Tsig(key)))].into());
}

/// The key as a configuration names it, after so many rotations.
pub fn keys(rotation: u8) -> BTreeMap<SecretName, Fingerprint> {
    [(KEY.parse().unwrap(), Fingerprint::of(&[&[rotation]]))].into()
}

/// A daemon under control.
pub struct Subject {
    pub server: ExternalNameServer,
    pub config: NameServerConfig,
    pub keyring: Arc<Keyring>,
    pub daemons: Daemons,
    pub zones: BTreeMap<String, Arc<ZoneConfig>>,
    folder: tempfile::TempDir,
}

impl Subject {
    /// `None`, said aloud, where the daemon is not installed. In CI it must be.
    pub async fn start(kind: NameServerKind) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // The daemon's user comes through here.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let daemons = Daemons {
            folder: folder.path().join("daemons"),
            local: free_address("127.0.0.1"),
            supervision: Supervision::Child,
        };
        let keyring = keyring(b"a secret of thirty-two octets, or");
        let Some(server) = daemons.open(kind, &keyring).await.unwrap() else {
            assert!(std::env::var_os("CI").is_none(), "{kind} is missing, and in CI nothing is skipped");
            eprintln!("skipped: {kind} is not installed");
            return None;
        };
        let config = NameServerConfig {
            daemon: kind,
            identity: "node-a".to_owned(),
            listen: BTreeSet::from([free_address("127.0.0.1"), free_address("::1")]),
            mesh_sources: BTreeSet::new(),
            keys: keys(0),
            transfers: TransferLimits { octets: 1 << 20, ..TransferLimits::DEFAULT },
            rate_limit: None,
            cookie_secret: None,
        };
        server.configure(&config).await.unwrap();
        Some(Self { server, config, keyring, daemons, zones: BTreeMap::new(), folder })
    }

    /// The folder of the daemon.
    pub fn folder(&self) -> PathBuf {
        self.daemons.folder.join(self.config.daemon.to_string())
    }

    /// Its main process.
    pub fn pid(&self) -> i32 {
        let file = self.folder().join(format!("{}.pid", self.config.daemon));
        let text = std::fs::read_to_string(file).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }

    /// Where the internet asks it: by IPv4.
    pub fn address(&self) -> SocketAddr {
        *self.config.listen.iter().find(|address| address.is_ipv4()).unwrap()
    }

    /// Another agent takes over: nothing is known but what is on disk.
    pub async fn reopen(&mut self) {
        self.server = self.daemons.open(self.config.daemon, &self.keyring).await.unwrap().unwrap();
    }

    /// Sets zones, as a plan would: those that are as wanted are left out.
    pub async fn set(&mut self, zones: impl IntoIterator<Item = ZoneConfig>) {
        self.zones.extend(zones.into_iter().map(|zone| (zone.name.to_string(), Arc::new(zone))));
        self.settle().await;
    }

    pub async fn remove(&mut self, zone: &str) {
        self.zones.remove(zone).unwrap();
        self.settle().await;
    }

    /// What a plan would change now.
    pub async fn changes(&self) -> (ZoneChanges, ObservedNameServer) {
        let seen = self.server.observe().await.unwrap();
        let wanted: ZoneTable<_> =
            self.zones.values().map(|zone| (zone.name.clone(), zone.clone())).collect();
        let (set, remove) = wanted.changes_to(&seen.zones);
        let set = set.into_iter().cloned().collect();
        let remove = remove.into_iter().cloned().collect();
        (ZoneChanges { set, remove }, seen)
    }

    /// Observes and applies until there is nothing left to do.
    pub async fn settle(&mut self) {
        for _ in 0..5 {
            let (changes, seen) = self.changes().await;
            assert_eq!(seen.config.as_ref(), Some(&self.config), "{:?}", seen.fault);
            if changes == ZoneChanges::default() {
                return;
            }
            self.server.apply(&changes).await.unwrap();
        }
        let (left, _) = self.changes().await;
        assert_eq!(left, ZoneChanges::default(), "it does not settle");
    }

    /// What is seen of a zone that was asked for, as an agent's guard does in turn.
    pub async fn observe(&self, zone: &str) -> ObservedZone {
        let zone = zone.parse().unwrap();
        // One that does not answer now is seen as it was.
        let _ = self.server.serials(std::slice::from_ref(&zone), PATIENCE).await;
        self.server.observe().await.unwrap().zones[&zone].clone()
    }

    /// Waits until the zone is served with this serial, by what the daemon says and by what it answers.
    pub async fn until_serial(&self, zone: &str, serial: u32) {
        let start = Instant::now();
        loop {
            let (seen, answered) = (self.observe(zone).await, self.ask(zone).await);
            if seen.state == ZoneState::Served
                && seen.serial.is_some_and(|seen| seen.0 == serial)
                && answered == Ok(serial)
            {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{zone} stays {seen:?}, and answers {answered:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The serial that it answers with, or what it does instead.
    pub async fn ask(&self, zone: &str) -> Result<u32, String> {
        ask(self.address(), zone).await
    }

    /// Begins to ask for a zone, again and again, until the returned is told to stop.
    pub fn load(&self, zone: &str) -> Load {
        let (stop, address, zone) = (Arc::new(AtomicBool::new(false)), self.address(), zone.to_owned());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut asked = 0;
            while !stopped.load(Ordering::Relaxed) {
                asked += 1;
                if let Err(why) = ask(address, &zone).await {
                    return Err(format!("question {asked} about {zone} met {why}"));
                }
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            Ok(asked)
        });
        Load { stop, task }
    }
}

/// Questions that all have to be answered.
pub struct Load {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Result<u32, String>>,
}

impl Load {
    /// How many were.
    pub async fn stop(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap().unwrap()
    }
}

async fn ask(address: SocketAddr, zone: &str) -> Result<u32, String> {
    let zone: DomainName = zone.parse().unwrap();
    let mut question = Message::query();
    question.add_query(Query::query(Name::from_labels(zone.labels()).unwrap(), RecordType::SOA));
    let question = question.to_vec().unwrap();
    let Some(answer) = try_udp(address, &question).await else { return Err("no answer".to_owned()) };
    let answer = Message::from_vec(&answer).unwrap();
    let soa = answer.answers.iter().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(soa.serial)
    });
    soa.ok_or_else(|| answer.to_string())
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Ended by whoever tests it, unless the test has failed.
        let file = self.folder().join(format!("{}.pid", self.config.daemon));
        if let Ok(text) = std::fs::read_to_string(file)
            && let Some(pid) = text.split(' ').next().and_then(|pid| pid.parse().ok())
        {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        }
        let _ = &self.folder;
    }
}
