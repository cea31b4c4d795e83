//! Signing of drawn zones, by the signers of BIND and Knot with keys that are thrown away.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use shoestring::names::DomainName;

/// How what is not there is denied.
#[derive(Debug, Clone, Copy)]
pub enum Denial {
    Nsec,
    Nsec3 { salt: &'static str, iterations: u16, opt_out: bool },
}

/// How a zone is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signing {
    pub denial: Denial,
    pub algorithms: &'static [&'static str],
    /// By `kzonesign`, else by `dnssec-signzone`.
    pub by_knot: bool,
}

/// Whether the signers are here, which in CI they must be.
pub fn can_sign() -> bool {
    for program in ["dnssec-keygen", "dnssec-signzone", "kzonesign"] {
        if Command::new(program).arg("-h").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
            eprintln!("skipped: {program} is not installed");
            return false;
        }
    }
    true
}

/// Whether a name below an apex is no longer than a name may be.
pub fn fits(owner: &str, apex: &str) -> bool {
    format!("{owner}.{}", apex.trim_start_matches('.')).parse::<DomainName>().is_ok()
}

/// The zone's text with signatures.
pub fn signed(apex: &str, text: &str, signing: &Signing) -> String {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("unsigned"), text).unwrap();
    if signing.by_knot { by_knot(apex, signing, at) } else { by_bind(apex, signing, at) }
}

fn run(at: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(at).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

fn by_bind(apex: &str, signing: &Signing, at: &Path) -> String {
    for algorithm in signing.algorithms {
        let key = ["-q", "-a", algorithm, "-f", "KSK", "-P", "20200101", "-A", "20200101", apex];
        run(at, "dnssec-keygen", &key);
    }
    let iterations;
    let mut arguments = vec!["-S", "-z", "-P", "-o", apex, "-O", "full", "-f", "signed"];
    arguments.extend(["-s", "20200101000000", "-e", "20850101000000"]);
    if let Denial::Nsec3 { salt, iterations: count, opt_out } = signing.denial {
        iterations = count.to_string();
        arguments.extend(["-3", salt, "-H", &iterations]);
        if opt_out {
            arguments.push("-A");
        }
    }
    arguments.push("unsigned");
    run(at, "dnssec-signzone", &arguments);
    let signed = fs::read_to_string(at.join("signed")).unwrap();
    signed.lines().filter(|line| !line.starts_with(';')).map(|line| format!("{line}\n")).collect()
}

fn by_knot(apex: &str, signing: &Signing, at: &Path) -> String {
    let denial = match signing.denial {
        Denial::Nsec => "   nsec3: off\n".to_owned(),
        // Its salts are random, and with them what a proof takes, so it uses none.
        Denial::Nsec3 { iterations, opt_out, .. } => format!(
            "   nsec3: on\n   nsec3-iterations: {iterations}\n   nsec3-opt-out: {}\n   nsec3-salt-length: 0\n",
            if opt_out { "on" } else { "off" },
        ),
    };
    let folder = at.display();
    let config = format!(
        "database:\n  storage: {folder}\npolicy:\n - id: drawn\n   single-type-signing: on\n   algorithm: {}\n\
         \x20  rrsig-lifetime: 3650d\n{denial}zone:\n - domain: {apex}\n   storage: {folder}\n   file: unsigned\n\
         \x20  dnssec-signing: on\n   dnssec-policy: drawn\n",
        signing.algorithms[0]
    );
    fs::write(at.join("knot.conf"), config).unwrap();
    fs::create_dir(at.join("signed")).unwrap();
    run(at, "kzonesign", &["-c", "knot.conf", "-o", "signed", apex]);
    fs::read_to_string(at.join("signed/unsigned")).unwrap()
}
