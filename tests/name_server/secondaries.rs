//! Others' secondaries of our zones: BIND, NSD and Knot take them whole (AXFR), follow our NOTIFYs and take what has
//! changed (IXFR), all of it signed, each with another algorithm; and what is not signed as it must be is refused.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use shoestring::dns::{NotifyTarget, TransferClient, ZoneConfig};
use shoestring::keyring::{Keyring, Secret, SecretValue, TsigAlgorithm, TsigKey};

use super::bind::{axfr_with, dig, is_here};
use super::network::{LIMITS, PATIENCE, Server, free_address, name, primary, secondary, serial};

const ZONE: &str = "example.org";
/// Thirty-two octets, and the same in base64.
const SECRET: [u8; 32] = [7; 32];
const BASE64: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A name server in the foreground, with its files in a folder of its own.
struct Daemon {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Daemon {
    /// Starts it with this configuration, in which `DIR` stands for its folder.
    fn start(program: &str, arguments: &[&str], config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let dir = path.display().to_string();
        fs::write(path.join("conf"), config.replace("DIR", &dir)).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let process = Command::new(program)
            .args(arguments)
            .arg(path.join("conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn until_serial(&mut self, address: SocketAddr, wanted: u32) {
        let start = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err()
            || serial(address, ZONE).await != Some(wanted)
        {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "no serial {wanted}:\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// Our side: a server that knows one key, and a zone of its own that whoever has the key may transfer.
struct Primary {
    server: Server,
    /// Where the other side listens.
    address: SocketAddr,
    algorithm: &'static str,
    _state: tempfile::TempDir,
}

impl Primary {
    async fn start(algorithm: TsigAlgorithm) -> Self {
        let state = tempfile::tempdir().unwrap();
        let server = with_key(state.path(), algorithm).await;
        let algorithm = match algorithm {
            TsigAlgorithm::HmacSha256 => "hmac-sha256",
            TsigAlgorithm::HmacSha384 => "hmac-sha384",
            TsigAlgorithm::HmacSha512 => "hmac-sha512",
        };
        Self { server, address: free_address("127.0.0.1"), algorithm, _state: state }
    }

    async fn set(&self, serial: u32, records: &str) {
        let tsig_key = Some("outside".parse().unwrap());
        let target = NotifyTarget { address: self.address, from: None, tsig_key: tsig_key.clone() };
        let client = TransferClient { network: None, tsig_key };
        let (notify, transfer_to) = (Arc::new([target].into()), Arc::new([client].into()));
        self.server.set([ZoneConfig { notify, transfer_to, ..primary(ZONE, serial, records) }]).await;
    }

    /// Fills in a configuration.
    fn config(&self, template: &str) -> String {
        template
            .replace("OUR_PORT", &self.server.address.port().to_string())
            .replace("PORT", &self.address.port().to_string())
            .replace("ALGORITHM", self.algorithm)
            .replace("SECRET", BASE64)
    }

    fn key(&self) -> String {
        format!("{}:key.example:{BASE64}", self.algorithm)
    }

    /// The other side takes the zone, follows, and holds the same each time. `difference` is what it logs of IXFR: NSD the size alone.
    async fn is_followed(&self, mut daemon: Daemon, records: impl Fn(u32) -> String, difference: &str) {
        for serial in 1..4 {
            self.set(serial, &records(serial)).await;
            daemon.until_serial(self.address, serial).await;
            let (ours, theirs) =
                (axfr_with(self.server.address, &["-y", &self.key()]), axfr_with(self.address, &[]));
            assert!(ours.len() > 1000, "{ours:#?}");
            // Not compared by assert_eq, which would print all of it.
            assert!(ours == theirs, "serial {serial}: {} records, {} there", ours.len(), theirs.len());
        }
        assert!(daemon.log().contains(difference), "no difference was asked for:\n{}", daemon.log());
    }
}

async fn with_key(state: &Path, algorithm: TsigAlgorithm) -> Server {
    let key = TsigKey { name: name("key.example"), algorithm, secret: Secret::new(SECRET.to_vec()) };
    let keyring = Keyring::default();
    keyring.replace([("outside".parse().unwrap(), Arc::new(SecretValue::Tsig(key)))].into());
    Server::start_with(state, free_address("127.0.0.2"), LIMITS, Arc::new(keyring)).await
}

/// As many records, of which some change with each serial.
fn some(count: u32, serial: u32) -> String {
    let addresses = (0..count).map(|n| format!("h{n} A 10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255));
    let changing = (0..20).map(|n| format!("c{serial}-{n} CNAME h{n}\nm{n} 3{serial} MX {serial} h{n}\n"));
    addresses.chain(changing).collect()
}

const NAMED: &str = "key key.example { algorithm ALGORITHM; secret \"SECRET\"; };\n\
    options { directory \"DIR\"; listen-on port PORT { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none;\n\
    session-keyfile none; recursion no; dnssec-validation no; notify no; min-refresh-time 1;\n\
    max-records-per-type 0; max-types-per-name 0; };\ncontrols { };\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bind_follows_60_000_records_and_a_set_of_64_kb() {
    if !is_here("named") || !is_here("dig") {
        return;
    }
    let ours = Primary::start(TsigAlgorithm::HmacSha256).await;
    let zone = format!(
        "zone {ZONE} {{ type secondary; primaries {{ 127.0.0.2 port OUR_PORT key key.example; }};\n\
         allow-notify {{ key key.example; }}; allow-transfer {{ 127.0.0.2; }}; }};\n"
    );
    let large: String = (0..300).map(|n| format!("large TXT \"{n:0>200}\"\n")).collect();
    ours.set(1, &(some(60_000, 1) + &large)).await;
    let named = Daemon::start("named", &["-g", "-n", "1", "-c"], &ours.config(&format!("{NAMED}{zone}")));
    ours.is_followed(
        named,
        |serial| some(60_000, serial) + &large,
        "Transfer completed: 1 messages, 84 records",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nsd_follows() {
    if !is_here("nsd") || !is_here("dig") {
        return;
    }
    let ours = Primary::start(TsigAlgorithm::HmacSha384).await;
    ours.set(1, &some(2000, 1)).await;
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@PORT\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"DIR\"\n  database: \"\"\n\
         \x20 zonelistfile: \"DIR/zone.list\"\n  xfrdfile: \"DIR/xfrd.state\"\n  xfrdir: \"DIR\"\n  pidfile: \"\"\n\
         \x20 verbosity: 3\n  xfrd-reload-timeout: 0\n  server-count: 1\nremote-control:\n  control-enable: no\n\
         key:\n  name: key.example\n  algorithm: ALGORITHM\n  secret: \"SECRET\"\n\
         zone:\n  name: {ZONE}\n  zonefile: \"zone\"\n  request-xfr: 127.0.0.2@OUR_PORT key.example\n\
         \x20 allow-notify: 127.0.0.2 key.example\n  provide-xfr: 127.0.0.2 NOKEY\n"
    );
    let nsd = Daemon::start("nsd", &["-d", "-c"], &ours.config(&config));
    ours.is_followed(nsd, |serial| some(2000, serial), "of 1748 bytes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knot_follows() {
    if !is_here("knotd") || !is_here("dig") {
        return;
    }
    let ours = Primary::start(TsigAlgorithm::HmacSha512).await;
    ours.set(1, &some(2000, 1)).await;
    let config = format!(
        "server:\n  rundir: DIR\n  listen: 127.0.0.1@PORT\nlog:\n- target: stderr\n  any: info\n\
         database:\n  storage: DIR\nkey:\n- id: key.example\n  algorithm: ALGORITHM\n  secret: SECRET\n\
         remote:\n- id: us\n  address: 127.0.0.2@OUR_PORT\n  key: key.example\n\
         acl:\n- id: told\n  address: 127.0.0.2\n  key: key.example\n  action: notify\n\
         - id: read\n  address: 127.0.0.2\n  action: transfer\n\
         zone:\n- domain: {ZONE}\n  storage: DIR\n  master: us\n  acl: [told, read]\n"
    );
    let knot = Daemon::start("knotd", &["-c"], &ours.config(&config));
    ours.is_followed(knot, |serial| some(2000, serial), "IXFR, incoming, remote 127.0.0.2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_may_transfer() {
    if !is_here("dig") || !is_here("kdig") {
        return;
    }
    let ours = Primary::start(TsigAlgorithm::HmacSha256).await;
    ours.set(1, &some(100, 1)).await;
    let server = ours.server.address;
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (arguments, wanted) in [
        (vec!["AXFR"], "Transfer failed."),
        (vec!["SOA", "-y", "hmac-sha256:other.example:SECRET"], "NOTAUTH"),
        (vec!["SOA", "-y", "hmac-sha256:other.example:SECRET"], "BADKEY"),
        (vec!["SOA", "-y", "hmac-sha512:key.example:SECRET"], "BADKEY"),
        (vec!["SOA", "-y", "hmac-sha256:key.example:OTHER"], "BADSIG"),
        (vec!["AXFR", "-y", "hmac-sha256:key.example:OTHER"], "Transfer failed."),
        // A MAC that is cut to what is allowed, and not by us.
        (vec!["SOA", "-y", "hmac-sha256-128:key.example:SECRET"], "BADTRUNC"),
        (vec!["SOA", "-y", "hmac-sha256:key.example:SECRET"], "status: NOERROR"),
        (vec!["TXT", "-y", "hmac-sha256:Key.EXAMPLE:SECRET"], "status: NOERROR"),
        (vec!["IXFR=0", "+notcp", "-y", "hmac-sha256:key.example:SECRET"], "SOA"),
        (vec!["IXFR=1", "-y", "hmac-sha256:key.example:SECRET"], "SOA"),
    ] {
        let arguments: Vec<String> =
            arguments.iter().map(|text| text.replace("SECRET", BASE64).replace("OTHER", other)).collect();
        let arguments: Vec<&str> = [ZONE].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let said = dig(server, &arguments);
        assert!(said.contains(wanted), "{arguments:?}: {wanted} is not in\n{said}");
        // What dig says of an answer of ours whose signature it cannot verify.
        let good = wanted == "status: NOERROR" || wanted == "SOA";
        assert!(!good || !said.contains("verify a signature"), "{said}");
    }
    let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
    let kdig = |key: &str| {
        let kdig = Command::new("kdig").args([&ip, "-p", &port, "-y", key, "SOA", ZONE, "+norec"]).output();
        let output = kdig.unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let (good, bad) = (kdig(&ours.key()), kdig(&format!("hmac-sha256:key.example:{other}")));
    assert!(good.contains("TSIG PSEUDOSECTION") && !good.contains("WARNING"), "{good}");
    assert!(bad.contains("BADSIG"), "{bad}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notify_is_signed_if_the_source_has_a_key() {
    if !is_here("named") || !is_here("dig") {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let server = with_key(state.path(), TsigAlgorithm::HmacSha256).await;
    let address = free_address("127.0.0.1");
    let zone = format!(
        "zone {ZONE} {{ type primary; file \"zone\"; allow-transfer {{ key key.example; }}; notify explicit;\n\
         also-notify {{ 127.0.0.2 port {} key key.example; }}; }};\n",
        server.address.port()
    );
    let config = format!("{NAMED}{zone}")
        .replace("PORT", &address.port().to_string())
        .replace("ALGORITHM", "hmac-sha256")
        .replace("SECRET", BASE64);
    let text = |serial: u32| {
        format!("$TTL 300\n@ SOA ns.example. mail.example. {serial} 3600 600 86400 60\n@ NS ns.example.\n")
    };
    let mut named = Daemon::start("named", &["-g", "-n", "1", "-c"], &config);
    fs::write(named.folder.path().join("zone"), text(1)).unwrap();
    let pid = named.process.id().to_string();
    let reload = || assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let start = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "{}", named.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    reload();
    named.until_serial(address, 1).await;
    let mut config = secondary(ZONE, &server, &[address]);
    if let shoestring::dns::ZoneRecords::Transfer(sources) = &mut config.source {
        sources.iter_mut().for_each(|source| source.tsig_key = Some("outside".parse().unwrap()));
    }
    server.set([config]).await;
    server.until_serial(ZONE, 1).await;

    let notify = |key: &[&str]| {
        let mut arguments = vec!["+opcode=notify", ZONE, "SOA", "-b", "127.0.0.1"];
        arguments.extend(key);
        dig(server.address, &arguments)
    };
    let unsigned = notify(&[]);
    assert!(unsigned.contains("REFUSED"), "{unsigned}");
    let signed = notify(&["-y", &format!("hmac-sha256:key.example:{BASE64}")]);
    assert!(signed.contains("NOERROR") && !signed.contains("verify"), "{signed}");
    // The refresh time is an hour: BIND's own NOTIFY brings it.
    fs::write(named.folder.path().join("zone"), text(2)).unwrap();
    reload();
    server.until_serial(ZONE, 2).await;
}
