//! The reader of zone files beside BIND's, NSD's and Knot's: what they accept it accepts, and reads the same records.
//!
//! `zonefile/lines.txt` has a line or two of a zone file in each line. Before them stands who of BIND, NSD and Knot reads
//! them, and what we do: `+` they are read, `-` they are refused, `*` they are read although none of the three does yet,
//! `~` they are read otherwise than by BIND: TTLs that differ in an RRset, of which we take the lowest (RFC 2181 section
//! 5.2), BIND the first, Knot the last, and NSD leaves them. What all three accept is read.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, fs};

use shoestring::dns::embedded::zone::Zone;
use shoestring::dns::embedded::zonefile;
use shoestring::dns::{TransferClient, ZoneConfig, ZoneRecords};
use shoestring::names::Serial;

use crate::name_server::network::Server;

/// What stands before the lines.
const HEAD: &str = "$TTL 3600\n@ SOA ns hostmaster 1 2h 30m 30d 1h\n@ NS ns\nns A 192.0.2.53\n";
const APEX: &str = "example";

fn read(apex: &str, text: &str) -> Result<Zone, String> {
    let found = zonefile::read("zone", text, &apex.parse().unwrap(), None);
    found.map_err(|found| found.iter().map(|finding| format!("{finding}\n")).collect())
}

/// Whether these programs are there. In CI they must be.
fn are_here(programs: &[&str]) -> bool {
    let here = |program: &&&str| {
        ["/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(program).exists())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !here(program)).collect();
    assert!(missing.is_empty() || env::var_os("CI").is_none(), "{missing:?} are missing");
    if !missing.is_empty() {
        eprintln!("skipped: {missing:?} are not installed");
    }
    missing.is_empty()
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let sbin = format!("{}:/usr/sbin", env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.env("PATH", sbin).args(arguments).arg(file).stdin(Stdio::null());
    let output = command.output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The records as BIND writes them: a line each, sorted.
fn compiled(apex: &str, file: &Path) -> Option<Vec<String>> {
    let quiet =
        "-q -k ignore -n ignore -i none -r ignore -m ignore -M ignore -S ignore -f text -F text -s full -o -";
    let arguments: Vec<&str> = quiet.split(' ').chain([apex]).collect();
    let text = run("named-compilezone", &arguments, file)?;
    let record = |line: &str| {
        // What follows an RRSIG in a comment is not its data.
        let line = line.split("; resign").next().unwrap_or(line);
        let (owner, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        // Owners are kept in lower case (RFC 4034 section 6.2).
        let words = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {words}", owner.to_lowercase())
    };
    let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with(';')).map(record).collect();
    lines.sort();
    Some(lines)
}

/// Our records with their data in the generic form (RFC 3597 section 5), which leaves nothing to read wrongly.
fn generic(zone: &Zone) -> String {
    let mut text = String::new();
    for set in zone.rrsets() {
        for data in set.rdatas() {
            let owner = set.owner();
            let dot = if owner.to_string() == "." { "" } else { "." };
            write!(text, "{owner}{dot} {} IN TYPE{} \\# {} ", set.ttl(), set.rtype(), data.len()).unwrap();
            data.iter().for_each(|octet| write!(text, "{octet:02x}").unwrap());
            text.push('\n');
        }
    }
    text
}

/// One line of `lines.txt`.
struct Line {
    /// Who reads it: B, N, K, or a hyphen for who does not.
    by: &'static str,
    sign: &'static str,
    text: String,
}

fn lines() -> Vec<Line> {
    let line = |line: &'static str| {
        let mut parts = line.splitn(3, ' ');
        let mut next = || parts.next().unwrap();
        Line { by: next(), sign: next(), text: next().replace('⏎', "\n") }
    };
    include_str!("zonefile/lines.txt").lines().map(line).collect()
}

/// One zone of the lines that this reader reads, each under an origin of its own.
fn together(reader: char) -> String {
    let mut text = HEAD.to_owned();
    for (number, line) in lines().iter().enumerate() {
        if line.by.contains(reader) && line.sign == "+" && line.text.starts_with("a ") {
            writeln!(text, "$ORIGIN l{number}.{APEX}.\n{}", line.text).unwrap();
        }
    }
    text
}

#[test]
fn what_all_three_read_is_read() {
    let wrong: Vec<String> = lines()
        .into_iter()
        .filter_map(|Line { by, sign, text }| {
            let ours = read(APEX, &format!("{HEAD}{text}\n"));
            let right = match sign {
                "+" | "~" => ours.is_ok() && by != "---",
                "-" => ours.is_err() && by != "BNK",
                "*" => ours.is_ok() && by == "---",
                _ => false,
            };
            (!right).then(|| format!("{by} {sign} {text}: {:?}", ours.map(|_| ())))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_said_of_the_three_is_true() {
    if !are_here(&["named-compilezone", "nsd-checkzone", "kzonecheck"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |reader: char| {
        let file = folder.path().join(reader.to_string());
        fs::write(&file, together(reader)).unwrap();
        file
    };
    assert!(compiled(APEX, &file('B')).is_some(), "BIND");
    assert!(run("nsd-checkzone", &[APEX], &file('N')).is_some(), "NSD");
    assert!(run("kzonecheck", &["-o", APEX], &file('K')).is_some(), "Knot");
}

/// The lines that BIND reads too, each under an origin of its own, and all zones of the differential test.
#[test]
fn the_records_are_those_that_bind_reads() {
    if !are_here(&["named-compilezone"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let ours = folder.path().join("ours");
    let compare = |apex: &str, text: &str| {
        fs::write(&original, text).unwrap();
        let zone = read(apex, text).unwrap_or_else(|why| panic!("{apex}: {why}"));
        fs::write(&ours, generic(&zone)).unwrap();
        let (wanted, got) = (compiled(apex, &original).unwrap(), compiled(apex, &ours).unwrap());
        let lost: Vec<_> = wanted.iter().filter(|line| !got.contains(line)).collect();
        let made: Vec<_> = got.iter().filter(|line| !wanted.contains(line)).collect();
        assert!(lost.is_empty() && made.is_empty(), "{apex}: BIND has {lost:#?}, ours {made:#?}");
        wanted.len()
    };
    assert!(compare(APEX, &together('B')) > 100);
    for world in ["main", "root"] {
        for file in fs::read_dir(zones().join(world)).unwrap().map(|entry| entry.unwrap().path()) {
            let apex = file.file_stem().unwrap().to_str().unwrap();
            compare(if apex == "root" { "." } else { apex }, &fs::read_to_string(&file).unwrap());
        }
    }
}

fn zones() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/zones")
}

/// A zone that was signed before it came into the repository keeps its serial, which its signatures cover: what is
/// transferred from us verifies, with whatever serial the network would give it.
#[tokio::test]
async fn a_signed_zone_verifies_as_it_is_served() {
    if !are_here(&["dig", "dnssec-verify"]) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(state.path(), "127.0.0.1").await;
    let zone = |path: &str| {
        let text = fs::read_to_string(zones().join(path)).unwrap();
        ZoneConfig {
            name: "nsec3.test".parse().unwrap(),
            source: ZoneRecords::File { path: path.into(), text: text.into(), serial: Serial(7) },
            notify: Arc::default(),
            transfer_to: Arc::new([TransferClient::at(server.address.ip())].into()),
            is_private: false,
        }
    };
    server.set([zone("sources/nsec3.test.zone")]).await;
    assert_eq!(server.zone("nsec3.test").await.serial, Some(Serial(7)), "unsigned, it has the network's");
    server.set([zone("main/nsec3.test.zone")]).await;
    assert_eq!(server.zone("nsec3.test").await.serial, Some(Serial(1)), "signed, it has its own");
    let port = server.address.port().to_string();
    let transfer = ["@127.0.0.1", "-p", &port, "nsec3.test", "AXFR", "+onesoa", "+noall", "+answer"];
    let transferred = tokio::process::Command::new("dig").args(transfer).output().await.unwrap();
    let file = state.path().join("transferred");
    fs::write(&file, &transferred.stdout).unwrap();
    assert!(run("dnssec-verify", &["-q", "-o", "nsec3.test"], &file).is_some(), "it does not verify");
}

/// All lines that are read and that `is_meant`, each under an origin of its own.
fn those_read(is_meant: impl Fn(&Line) -> bool) -> Zone {
    let mut text = HEAD.to_owned();
    for (number, line) in lines().iter().enumerate() {
        if line.sign != "-" && line.text.starts_with("a ") && is_meant(line) {
            writeln!(text, "$ORIGIN l{number}.{APEX}.\n{}", line.text).unwrap();
        }
    }
    read(APEX, &text).unwrap()
}

#[test]
fn what_is_written_is_the_same_zone() {
    let zone = those_read(|_| true);
    assert_eq!(read(APEX, &zonefile::write(&zone)).unwrap(), zone);
    for world in ["main", "root"] {
        for file in fs::read_dir(zones().join(world)).unwrap().map(|entry| entry.unwrap().path()) {
            let apex = file.file_stem().unwrap().to_str().unwrap();
            let apex = if apex == "root" { "." } else { apex };
            let zone = read(apex, &fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(read(apex, &zonefile::write(&zone)).unwrap(), zone, "{apex}");
        }
    }
}

/// Each of the four reads what we write, and BIND the records that we meant: lines that all three read, and types that one
/// of them does not know.
#[test]
fn what_is_written_is_read_by_all_four() {
    if !are_here(&["named-compilezone", "nsd-checkzone", "kzonecheck", "pdnsutil", "sqlite3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, same) = (folder.path().join("written"), folder.path().join("generic"));
    let seldom =
        ["ISDN", "GPOS", "TALINK", "NSAP", "WALLET", "HIP", "AMTRELAY", "AVC", "NINFO", "SINK", "DSYNC"];
    let is_seldom = |line: &Line| line.text.split(' ').nth(1).is_some_and(|word| seldom.contains(&word));
    let zone = those_read(|line| line.by == "BNK" || is_seldom(line));
    fs::write(&file, zonefile::write(&zone)).unwrap();
    fs::write(&same, generic(&zone)).unwrap();
    assert_eq!(compiled(APEX, &file).expect("BIND"), compiled(APEX, &same).unwrap());
    assert!(run("nsd-checkzone", &[APEX], &file).is_some(), "NSD");
    assert!(run("kzonecheck", &["-o", APEX], &file).is_some(), "Knot");
    // PowerDNS reads an empty APL, and parameters of an alias, in no form.
    let not_empty = |line: &Line| line.text != "a APL" && !line.text.starts_with("a SVCB 0 b ");
    let zone = those_read(|line| (line.by == "BNK" || is_seldom(line)) && not_empty(line));
    fs::write(&file, zonefile::write(&zone)).unwrap();
    let database = folder.path().join("database");
    let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
    let made =
        Command::new("sqlite3").arg(&database).stdin(fs::File::open(schema).unwrap()).status().unwrap();
    assert!(made.success(), "its database");
    let config = format!("launch=gsqlite3\ngsqlite3-database={}\n", database.display());
    fs::write(folder.path().join("pdns.conf"), config).unwrap();
    let config = format!("--config-dir={}", folder.path().display());
    let loaded = Command::new("pdnsutil").args([&config, "load-zone", APEX]).arg(&file).output().unwrap();
    assert!(loaded.status.success(), "PowerDNS: {}", String::from_utf8_lossy(&loaded.stderr));
    let count = Command::new("sqlite3").arg(&database).arg("SELECT count(*) FROM records").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&count.stdout).trim(), zone.record_count().to_string());
}
