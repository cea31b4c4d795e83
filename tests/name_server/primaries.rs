//! BIND, Knot and NSD as primaries of ours: signed with each algorithm, by difference where they have one, and refused
//! where keys do not match.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::dns::{ZoneConfig, ZoneRecords};
use shoestring::keyring::{Keyring, Secret, SecretValue, TsigAlgorithm, TsigKey};
use shoestring::names::SecretName;
use tempfile::TempDir;

use super::bind::is_here;
use super::network::{LIMITS, PATIENCE, Server, free_address, name, secondary, serial, shared};

const ZONE: &str = "example.org";
/// So many that a whole zone takes several messages, of which NSD signs some only.
const HOSTS: usize = 2000;
/// What both sides know, and the same in base64.
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const BASE64: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Bind,
    Knot,
    Nsd,
}

/// A primary in the foreground, with its files in a folder of its own, that gives its zone to whoever signs, and to
/// 127.0.0.1.
pub(super) struct Daemon {
    kind: Kind,
    algorithm: &'static str,
    process: Child,
    pub(super) address: SocketAddr,
    folder: TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // NSD leaves its children behind when it is killed.
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Daemon {
    pub(super) async fn start(kind: Kind, algorithm: &'static str, zone: &str) -> Self {
        Self::start_by(&[], kind, algorithm, zone).await
    }

    /// The same by way of another program and its arguments.
    async fn start_by(by: &[&str], kind: Kind, algorithm: &'static str, zone: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address("127.0.0.1");
        // named may give up its privileges and still has to write here.
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        fs::write(folder.path().join("zone"), zone).unwrap();
        let (at, ip, port) = (folder.path().display(), address.ip(), address.port());
        let (program, arguments, config) = match kind {
            Kind::Bind => (
                "named",
                &["-g", "-n", "1", "-c"][..],
                format!(
                    "key k.example {{ algorithm {algorithm}; secret \"{BASE64}\"; }};\n\
                     options {{ directory \"{at}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
                     pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; }};\n\
                     controls {{ }};\nzone \"{ZONE}\" {{ type primary; file \"zone\"; ixfr-from-differences yes;\n\
                     allow-transfer {{ key k.example; 127.0.0.1; }}; }};\n"
                ),
            ),
            Kind::Knot => (
                "knotd",
                &["-c"][..],
                format!(
                    "server:\n listen: {ip}@{port}\n rundir: {at}\n udp-workers: 1\n tcp-workers: 1\n\
                     \x20background-workers: 1\ndatabase:\n storage: {at}\nlog:\n - target: stderr\n   any: info\n\
                     key:\n - id: k.example\n   algorithm: {algorithm}\n   secret: {BASE64}\n\
                     acl:\n - id: signed\n   key: k.example\n   action: transfer\n\
                     \x20- id: near\n   address: 127.0.0.1\n   action: transfer\nzone:\n - domain: {ZONE}\n   storage: {at}\n   file: zone\n   acl: [signed, near]\n\
                     \x20  zonefile-load: difference\n   journal-content: changes\n"
                ),
            ),
            Kind::Nsd => (
                "nsd",
                &["-d", "-c"][..],
                format!(
                    "server:\n ip-address: {ip}@{port}\n do-ip6: no\n username: \"\"\n zonesdir: \"{at}\"\n\
                     \x20database: \"\"\n pidfile: \"{at}/nsd.pid\"\n xfrdfile: \"{at}/xfrd.state\"\n xfrdir: \"{at}\"\n\
                     \x20zonelistfile: \"{at}/zone.list\"\n server-count: 1\nremote-control:\n control-enable: no\n\
                     key:\n name: k.example\n algorithm: {algorithm}\n secret: \"{BASE64}\"\n\
                     zone:\n name: {ZONE}\n zonefile: \"{at}/zone\"\n provide-xfr: 127.0.0.2 k.example\n provide-xfr: 127.0.0.1 NOKEY\n"
                ),
            ),
        };
        fs::write(folder.path().join("config"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let command = [by, &[program], arguments].concat();
        let process = Command::new(command[0])
            .args(&command[1..])
            .arg(folder.path().join("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let daemon = Self { kind, algorithm, process, address, folder };
        daemon.until_serial(1).await;
        daemon
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn until_serial(&self, wanted: u32) {
        let start = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err()
            || serial(self.address, ZONE).await != Some(wanted)
        {
            assert!(start.elapsed() < PATIENCE, "{:?} has not serial {wanted}:\n{}", self.kind, self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Gives it a new zone file, and waits until it has read it.
    pub(super) async fn reload(&self, serial: u32, records: &str) {
        // Times count in seconds for some: a file has to be younger than the last.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        fs::write(self.folder.path().join("zone"), zone(serial, records)).unwrap();
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGHUP).unwrap();
        self.until_serial(serial).await;
    }

    /// The zone, as `dig` transfers it with the key.
    fn records(&self) -> Vec<String> {
        let key = format!("{}:k.example:{BASE64}", self.algorithm);
        dig(self.address, &["-y", &key])
    }
}

/// The records of a zone as `dig` transfers it, sorted, without spaces that differ.
fn dig(server: SocketAddr, arguments: &[&str]) -> Vec<String> {
    let output = Command::new("dig")
        .args([&format!("@{}", server.ip()), "-p", &server.port().to_string(), "-b", "127.0.0.2"])
        .args(["+time=5", "+tries=1", "+nocomments", "+nocmd", "+nostats", "AXFR", ZONE])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines =
        text.lines().filter(|line| !line.starts_with(';') && !line.is_empty() && !line.contains("TSIG"));
    let mut records: Vec<String> =
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    records.sort();
    records
}

/// A zone whose refresh and retry times are a second.
pub(super) fn zone(serial: u32, records: &str) -> String {
    format!(
        "$ORIGIN {ZONE}.\n$TTL 300\n@ SOA ns.example. mail.example. {serial} 1 1 86400 60\n@ NS ns.example.\n{records}"
    )
}

fn hosts(count: usize, text: &str) -> String {
    (0..count).map(|n| format!("h{n} TXT \"{text}\"\nh{n} A 192.0.2.{}\n", n % 256)).collect()
}

fn keyring(key: &str, algorithm: TsigAlgorithm, secret: &[u8]) -> Arc<Keyring> {
    let keyring = Arc::new(Keyring::default());
    put(&keyring, key, algorithm, secret);
    keyring
}

fn put(keyring: &Keyring, key: &str, algorithm: TsigAlgorithm, secret: &[u8]) {
    let key = TsigKey { name: name(key), algorithm, secret: Secret::new(secret.to_vec()) };
    keyring.replace([(secret_name(), Arc::new(SecretValue::Tsig(key)))].into());
}

fn secret_name() -> SecretName {
    "transfer".parse().unwrap()
}

/// A secondary of this primary, with its key; anybody on loopback may look at it.
fn signed(server: &Server, primary: SocketAddr) -> ZoneConfig {
    let mut zone = shared(secondary(ZONE, server, &[primary]), &[server.address]);
    if let ZoneRecords::Transfer(sources) = &mut zone.source {
        sources[0].tsig_key = Some(secret_name());
    }
    zone
}

/// Takes a signed zone and follows it through these changes, by difference if that is what the log of the primary says.
async fn follows(kind: Kind, algorithm: &'static str, ours: TsigAlgorithm, difference: Option<&str>) {
    let program = match kind {
        Kind::Bind => "named",
        Kind::Knot => "knotd",
        Kind::Nsd => "nsd",
    };
    if ![program, "dig"].into_iter().all(is_here) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(kind, algorithm, &zone(1, &hosts(HOSTS, "first"))).await;
    let keyring = keyring("k.example", ours, SECRET);
    let address = free_address("127.0.0.2");
    let server = Server::start_with(state.path(), address, LIMITS, Arc::clone(&keyring)).await;
    server.set([signed(&server, daemon.address)]).await;
    server.until_serial(ZONE, 1).await;
    assert_eq!(dig(server.address, &[]), daemon.records());

    daemon.reload(2, &format!("{}new A 192.0.2.9\n", hosts(HOSTS - 1, "first"))).await;
    server.until_serial(ZONE, 2).await;
    assert_eq!(dig(server.address, &[]), daemon.records());

    // It stops, misses two versions, and takes up what it had.
    let kept = state.path().join("zones/00000001.log");
    let start = Instant::now();
    let mut length = 0;
    while length == 0 || fs::metadata(&kept).unwrap().len() != length {
        assert!(start.elapsed() < PATIENCE);
        length = fs::metadata(&kept).unwrap().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(server);
    daemon.reload(3, &format!("{}new A 192.0.2.10\nnew AAAA 2001:db8::1\n", hosts(HOSTS - 2, "first"))).await;
    daemon.reload(4, &format!("{}newer CNAME h1\n", hosts(HOSTS - 2, "first"))).await;
    let server = Server::start_with(state.path(), address, LIMITS, keyring).await;
    server.set([signed(&server, daemon.address)]).await;
    assert!(server.zone(ZONE).await.serial.is_some(), "what was kept is served at once");
    server.until_serial(ZONE, 4).await;
    assert_eq!(dig(server.address, &[]), daemon.records());
    if let Some(difference) = difference {
        let log = daemon.log();
        assert!(log.matches(difference).count() >= 2, "{difference:?} is not there twice:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bind_signs_with_sha256_and_sends_differences() {
    follows(Kind::Bind, "hmac-sha256", TsigAlgorithm::HmacSha256, Some("': IXFR started")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knot_signs_with_sha384_and_sends_differences() {
    follows(Kind::Knot, "hmac-sha384", TsigAlgorithm::HmacSha384, Some("IXFR, outgoing")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nsd_signs_with_sha512_and_sends_whole_zones() {
    follows(Kind::Nsd, "hmac-sha512", TsigAlgorithm::HmacSha512, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_do_not_match_are_told_apart() {
    if !["named", "knotd", "nsd"].into_iter().all(is_here) {
        return;
    }
    for kind in [Kind::Bind, Kind::Knot, Kind::Nsd] {
        let state = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(kind, "hmac-sha256", &zone(1, "")).await;
        let keyring = Arc::new(Keyring::default());
        let server =
            Server::start_with(state.path(), free_address("127.0.0.2"), LIMITS, Arc::clone(&keyring)).await;
        server.set([signed(&server, daemon.address)]).await;
        let met = async |words: &str| {
            let seen =
                server.until(ZONE, |seen| seen.problem.as_ref().is_some_and(|why| why.contains(words)));
            assert_eq!(seen.await.serial, None, "{kind:?}: {words}");
        };
        met("TSIG key transfer is wanted").await;
        put(&keyring, "other.example", TsigAlgorithm::HmacSha256, SECRET);
        met("BADKEY").await;
        put(&keyring, "k.example", TsigAlgorithm::HmacSha256, b"another secret");
        met("BADSIG").await;
        put(&keyring, "k.example", TsigAlgorithm::HmacSha256, SECRET);
        server.until_serial(ZONE, 1).await;
    }
}

/// What a command is run by, for a clock that is wrong by so much: by faketime's library alone, since its program, when it
/// is ended, leaves running what it runs. The library's semaphores are named by process ids and left behind, so they have
/// a place of their own.
fn by_clock(wrong: &str) -> [&str; 8] {
    let own = "mount -t tmpfs none /dev/shm; export FAKETIME=\"$1\" && shift && \
               LD_PRELOAD='/usr/$LIB/faketime/libfaketime.so.1' exec \"$@\"";
    ["unshare", "--map-root-user", "--mount", "sh", "-ec", own, "sh", wrong]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_is_named_on_either_side() {
    if !["faketime", "knotd", "nsd", "kdig"].into_iter().all(is_here) {
        return;
    }
    for kind in [Kind::Knot, Kind::Nsd] {
        let state = tempfile::tempdir().unwrap();
        let daemon = Daemon::start_by(&by_clock("+1h"), kind, "hmac-sha256", &zone(1, "")).await;
        let keyring = keyring("k.example", TsigAlgorithm::HmacSha256, SECRET);
        let server = Server::start_with(state.path(), free_address("127.0.0.2"), LIMITS, keyring).await;
        server.set([signed(&server, daemon.address)]).await;
        let seen = server.until(ZONE, |seen| seen.problem.is_some()).await;
        let why = seen.problem.unwrap();
        // To a second or two.
        assert!(why.contains("SOA query: it refused our signature with BADTIME"), "{kind:?}: {why}");
        assert!(why.contains("its clock is 36") || why.contains("its clock is 359"), "{kind:?}: {why}");
    }

    // The other way round: an independent client verifies what we say to it.
    let state = tempfile::tempdir().unwrap();
    let keyring = keyring("k.example", TsigAlgorithm::HmacSha256, SECRET);
    let server = Server::start_with(state.path(), free_address("127.0.0.2"), LIMITS, keyring).await;
    server.set([super::network::primary(ZONE, 1, "")]).await;
    let asked = |by: &[&str]| {
        let (ip, port) = (format!("@{}", server.address.ip()), server.address.port().to_string());
        let key = format!("hmac-sha256:k.example:{BASE64}");
        let command = [by, &["kdig", &ip, "-p", &port, "-y", &key, "SOA", ZONE, "+norec"]].concat();
        let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let (good, late) = (asked(&[]), asked(&by_clock("-1h")));
    assert!(good.contains("NOERROR") && !good.contains("WARNING"), "{good}");
    // It would say so if the MAC were wrong.
    assert!(late.contains("BADTIME 6 ") && late.contains("TSIG out of time window"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_zone_of_60_000_records_arrives_whole() {
    if !["named", "dig"].into_iter().all(is_here) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(Kind::Bind, "hmac-sha256", &zone(1, &hosts(30_000, "text"))).await;
    let keyring = keyring("k.example", TsigAlgorithm::HmacSha256, SECRET);
    let patient = shoestring::dns::TransferLimits { message: PATIENCE, total: PATIENCE, ..LIMITS };
    let server = Server::start_with(state.path(), free_address("127.0.0.2"), patient, keyring).await;
    let start = Instant::now();
    server.set([signed(&server, daemon.address)]).await;
    server.until_serial(ZONE, 1).await;
    eprintln!("60,002 records of BIND, signed: served after {:?}", start.elapsed());
    assert_eq!(dig(server.address, &[]).len(), 60_003, "SOA, NS, the records, SOA");
}
