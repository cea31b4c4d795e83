//! BIND as the other side: as a primary of ours, as a secondary of ours, and `dig` as a client.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::network::{PATIENCE, Server, free_address, primary, secondary, serial, shared};

const ZONE: &str = "example.org";

/// A `named` of our own, in the foreground, with its files in a folder of its own.
struct Bind {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a program is there. In CI it must be.
pub(super) fn is_here(program: &str) -> bool {
    let here = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(here || std::env::var_os("CI").is_none(), "{program} is missing, and in CI nothing is skipped");
    if !here {
        eprintln!("skipped: {program} is not installed");
    }
    here
}

impl Bind {
    /// Starts it with this zone statement in its configuration. `zone_text` becomes the zone file, if there is any.
    async fn start(address: SocketAddr, zone: &str, zone_text: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        // named may give up its privileges and still has to write here.
        let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777));
        if let Some(text) = zone_text {
            fs::write(path.join("zone"), text).unwrap();
        }
        let (ip, port) = (address.ip(), address.port());
        let config = format!(
            "options {{ directory \"{dir}\"; listen-on port {port} {{ {ip}; }}; listen-on-v6 {{ none; }};\n\
             pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no;\n\
             notify-source {ip}; transfer-source {ip}; min-refresh-time 1; min-retry-time 1; }};\n\
             controls {{ }};\nzone \"{ZONE}\" {{ {zone} }};\n",
            dir = path.display(),
        );
        fs::write(path.join("named.conf"), config).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let process = Command::new("named")
            .args(["-g", "-n", "1", "-c"])
            .arg(path.join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut bind = Self { process, address, _folder: folder };
        let start = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            let ended = bind.process.try_wait().unwrap();
            let log = || fs::read_to_string(bind._folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "named does not come up:\n{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bind
    }

    fn folder(&self) -> &Path {
        self._folder.path()
    }

    /// Gives it a new zone file and makes it read it.
    fn reload(&self, text: &str) {
        fs::write(self.folder().join("zone"), text).unwrap();
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

fn zone_file(serial: u32, more: &str) -> String {
    format!("$TTL 300\n@ SOA ns.example. mail.example. {serial} 3600 600 86400 60\n@ NS ns.example.\n{more}")
}

/// Every type that BIND may compress, and some that it may not.
const RECORDS: &str = "@ MX 10 mail.example.org.\nmail A 192.0.2.1\nmail AAAA 2001:db8::1\nwww CNAME mail\n\
    _sip._tcp SRV 1 2 5060 mail\n@ TXT \"some text\" \"and more\"\n@ CAA 0 issue \"ca.example\"\n\
    *.wild TXT \"wild\"\nsub NS ns.sub\nns.sub A 192.0.2.2\nwho RP mail.example.org. who.example.org.\n\
    n NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:info@example.org!\" .\nodd TYPE65280 \\# 3 010203\n\
    d DNAME mail.example.org.\nx HTTPS 1 . alpn=h2\n";

pub(super) fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let (ip, port) = (format!("@{}", server.ip()), server.port().to_string());
    let output = Command::new("dig")
        .args([&ip, "-p", &port, "-b", "127.0.0.2", "+time=5", "+tries=1", "+norec"])
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The records of a zone as `dig` transfers it, sorted, without spaces that differ.
fn axfr(server: SocketAddr) -> Vec<String> {
    axfr_with(server, &[])
}

/// The same, asked for with these arguments.
pub(super) fn axfr_with(server: SocketAddr, arguments: &[&str]) -> Vec<String> {
    let text = dig(server, &[&["AXFR", ZONE, "+nocomments", "+nocmd", "+nostats"], arguments].concat());
    let is_record =
        |line: &&str| !line.starts_with(';') && !line.is_empty() && !line.contains("\tANY\tTSIG\t");
    let lines = text.lines().filter(is_record);
    let mut records: Vec<String> =
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    records.sort();
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_of_binds_is_taken_whole_and_followed() {
    if !is_here("named") || !is_here("dig") {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.2").await;
    let statement = format!(
        "type primary; file \"zone\"; allow-transfer {{ 127.0.0.2; }}; notify explicit; also-notify {{ 127.0.0.2 port {}; }};",
        server.address.port()
    );
    let bind = Bind::start(free_address("127.0.0.1"), &statement, Some(&zone_file(1, RECORDS))).await;
    server.set([shared(secondary(ZONE, &server, &[bind.address]), &[server.address])]).await;
    server.until_serial(ZONE, 1).await;
    let (ours, theirs) = (axfr(server.address), axfr(bind.address));
    assert!(theirs.len() > 15, "{theirs:#?}");
    assert_eq!(ours, theirs);

    // The refresh time is an hour: BIND's NOTIFY brings it.
    bind.reload(&zone_file(2, "new A 192.0.2.9\n"));
    server.until_serial(ZONE, 2).await;
    assert_eq!(axfr(server.address), axfr(bind.address));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bind_takes_our_zone_and_follows_our_notify() {
    if !is_here("named") || !is_here("dig") {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    // named listens on no address that is not on an interface, as 127.0.0.2 is not.
    let server = Server::start(state.path(), "127.0.0.2").await;
    let address = free_address("127.0.0.1");
    let neighbours = [address, server.address];
    let records = |count: usize| {
        (0..count).map(|n| format!("h{n} TXT \"{n:0>60}\"\n")).chain([RECORDS.to_owned()]).collect::<String>()
    };
    server.set([shared(primary(ZONE, 1, &records(5000)), &neighbours)]).await;
    let statement = format!(
        "type secondary; primaries {{ 127.0.0.2 port {}; }}; allow-transfer {{ 127.0.0.2; }};",
        server.address.port()
    );
    let bind = Bind::start(address, &statement, None).await;
    let start = Instant::now();
    while serial(bind.address, ZONE).await != Some(1) {
        assert!(start.elapsed() < PATIENCE, "BIND did not take the zone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (ours, theirs) = (axfr(server.address), axfr(bind.address));
    assert!(ours.len() > 5000);
    assert_eq!(ours, theirs);

    // BIND asks for the difference (IXFR) and takes the whole zone in answer.
    server.set([shared(primary(ZONE, 2, &records(10)), &neighbours)]).await;
    let start = Instant::now();
    while serial(bind.address, ZONE).await != Some(2) {
        assert!(start.elapsed() < PATIENCE, "BIND did not follow the NOTIFY");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(axfr(server.address), axfr(bind.address));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dig_transfers_60_000_records_and_reads_the_rest() {
    if !is_here("dig") {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1").await;
    let records: String =
        (0..60_000).map(|n| format!("h{n} A 10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255)).collect();
    let client: SocketAddr = "127.0.0.2:1".parse().unwrap();
    server.set([shared(primary(ZONE, 1, &records), &[client])]).await;
    assert_eq!(axfr(server.address).len(), 60_003, "SOA, NS, the records, SOA");

    let nsid = dig(server.address, &["SOA", ZONE, "+nsid"]);
    assert!(nsid.contains("(\"node-a\")"), "{nsid}");
    let bad_version = dig(server.address, &["SOA", ZONE, "+edns=1", "+noednsneg"]);
    assert!(bad_version.contains("BADVERS"), "{bad_version}");
    let cookie = dig(server.address, &["SOA", ZONE, "+cookie"]);
    assert!(cookie.contains("NOERROR") && !cookie.contains("malformed"), "{cookie}");
}
