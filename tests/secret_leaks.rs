//! A node that uses every kind of secret, with BIND and BIRD that demand them, logging all it can, fed with broken
//! secrets and ended by an abort: nothing that it says or leaves behind holds one of their values.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::status::Snapshot;

use super::namespace::in_a_namespace;
use super::one_node::{Lab, missing, run};

const PASSWORD: &str = "Brr7-quiet-otter-in-a-teapot";
const NEXT_PASSWORD: &str = "Gnu9-loud-badger-on-a-bike";
const KEY: &[u8] = b"Zebra-0123-stripes-and-hoofs-456";
const COOKIE: &[u8] = b"mustard-and-hay!";

#[test]
fn nothing_that_a_node_says_or_keeps_holds_a_secret() {
    in_a_namespace(missing(), scenario);
}

fn base64(octets: &[u8]) -> String {
    use base64ct::Encoding;
    base64ct::Base64::encode_string(octets)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Every way to write a value that somebody might have written it in.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let list = format!("{value:?}");
    let mut forms = vec![
        value.to_vec(),
        hex(value).into_bytes(),
        hex(value).to_uppercase().into_bytes(),
        list.as_bytes()[1..list.len() - 1].to_vec(),
        value.iter().rev().copied().collect(),
    ];
    // In base64 as it is, and as a part of something longer: what one and two octets before and behind it change is
    // left out.
    for before in 0..3 {
        let padded = [&vec![0; before][..], value].concat();
        let text = base64(&padded);
        let whole = &text[if before == 0 { 0 } else { 4 }..padded.len() / 3 * 4];
        forms.push(whole.as_bytes().to_vec());
        forms.push(whole.replace('+', "-").replace('/', "_").into_bytes());
    }
    forms
}

/// What a text or a file must not hold.
struct Leaks(Vec<Vec<u8>>);

impl Leaks {
    fn assert_none(&self, what: &str, octets: &[u8]) {
        for form in &self.0 {
            let found = octets.windows(form.len()).position(|window| window == form);
            assert!(found.is_none(), "{what} holds {:?}", form.escape_ascii().to_string());
        }
    }

    /// Every file below a folder, `except` those that may.
    fn assert_none_below(&self, folder: &Path, except: &[&str]) -> usize {
        let mut files = 0;
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() && !except.iter().any(|except| path.ends_with(except)) {
                    self.assert_none(&path.display().to_string(), &fs::read(&path).unwrap());
                    files += 1;
                }
            }
        }
        files
    }
}

fn shoestring(lab: &Lab, args: &[&str], input: &str) -> (Option<i32>, Vec<u8>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shoestring"))
        .args(args)
        .current_dir(lab.path("work"))
        .env("HOME", lab.path(""))
        .env("RUST_LOG", "trace")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), [output.stdout, output.stderr].concat())
}

fn edit(lab: &Lab, path: &str, from: &str, to: &str) {
    let path = lab.path(path);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{}: {from}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// The agent, which may dump core as far as the system is concerned.
fn start_agent(lab: &mut Lab) {
    let log = fs::File::options().create(true).append(true).open(lab.path("agent.err")).unwrap();
    let child = Command::new("bash")
        .args(["-c", "ulimit -c unlimited; exec \"$0\" run --config \"$1\""])
        .arg(env!("CARGO_BIN_EXE_shoestring"))
        .arg(lab.path("config.yaml"))
        .current_dir(lab.path("cores"))
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    lab.running.push(("agent", child));
}

fn push(lab: &Lab, message: &str) {
    lab.commit(message);
    lab.git(&["push", "-q", "origin", "main"]);
}

fn has_wait(lab: &Lab, part: &str) -> bool {
    let waits = |status: Snapshot| status.waits.iter().any(|wait| wait.contains(part));
    lab.status().is_some_and(waits)
}

fn scenario() {
    let mut lab = Lab::new();
    let values: [&[u8]; 4] = [PASSWORD.as_bytes(), NEXT_PASSWORD.as_bytes(), KEY, COOKIE];
    let leaks = Leaks(values.iter().flat_map(|value| forms(value)).collect());
    let mut said: Vec<(String, Vec<u8>)> = Vec::new();
    let mut say = |lab: &Lab, args: &[&str], input: &str| {
        let (code, octets) = shoestring(lab, args, input);
        said.push((format!("shoestring {args:?}"), octets));
        code
    };
    fs::create_dir(lab.path("cores")).unwrap();

    // The node's key, and a secret of each kind.
    let (state, root) = (lab.path("state").display().to_string(), lab.git(&["rev-parse", "HEAD"]));
    let unused = lab.path("joined.yaml").display().to_string();
    let join = [
        "join",
        "--node",
        "alpha",
        "--network",
        "small",
        "--repository",
        "x",
        "--pin",
        &root,
        "--state",
        &state,
        "--config",
        &unused,
    ];
    let (_, printed) = shoestring(&lab, &join, "");
    let printed = String::from_utf8(printed).unwrap();
    let recipient = printed.lines().find(|line| line.starts_with("age_recipient: ")).unwrap();
    edit(&lab, "work/nodes/alpha.yaml", "state: live", &format!("{recipient}\nstate: live"));
    edit(&lab, "work/peers/alpha/transit.yaml", "relation:", "password: transit\nrelation:");
    edit(&lab, "work/network.yaml", "asn: 64500", "asn: 64500\ncookie_secret: cookies");
    edit(&lab, "work/zones/customer/customer.example.yaml", "5399' }", "5399', tsig_key: customer }");
    assert_eq!(say(&lab, &["secret", "set", "transit"], PASSWORD), Some(0));
    assert_eq!(say(&lab, &["secret", "set", "customer"], &base64(KEY)), Some(0));
    assert_eq!(say(&lab, &["secret", "set", "cookies"], &hex(COOKIE)), Some(0));
    push(&lab, "Use secrets");
    let key = format!("key \"customer\" {{ algorithm hmac-sha256; secret \"{}\"; }};\n", base64(KEY));
    edit(&lab, "bind/named.conf", "allow-transfer { any; };", "allow-transfer { key customer; };");
    let named = fs::read_to_string(lab.path("bind/named.conf")).unwrap();
    fs::write(lab.path("bind/named.conf"), key + &named).unwrap();
    edit(&lab, "bird.conf", "multihop 1;", &format!("multihop 1; password \"{PASSWORD}\";"));

    lab.start("named");
    lab.start("bird");
    lab.until("BIRD answers", |lab| lab.path("bird.ctl").exists());
    start_agent(&mut lab);
    lab.until("it settles", |lab| lab.status().is_some_and(|status| status.settled));
    assert_eq!(lab.dig(&["www.customer.example", "A"]), "203.0.113.80", "with TSIG");
    lab.until("BIRD has the route", |lab| lab.bird_route().contains("192.0.2.0/24"));

    let pid = lab.running.iter().find(|(name, _)| *name == "agent").unwrap().1.id();
    for file in ["cmdline", "environ"] {
        leaks.assert_none(file, &fs::read(format!("/proc/{pid}/{file}")).unwrap());
    }

    // A password that the peer does not have yet, then it has; a file that is damaged; one that is not encrypted; a
    // value in place of a name.
    assert_eq!(say(&lab, &["secret", "rotate", "transit", "--identity", "../key"], NEXT_PASSWORD), Some(0));
    push(&lab, "Rotate");
    lab.until("the session is gone", |lab| !lab.bird_route().contains("192.0.2.0/24"));
    edit(&lab, "bird.conf", PASSWORD, NEXT_PASSWORD);
    run(Command::new("birdc").arg("-s").arg(lab.path("bird.ctl")).arg("configure"));
    lab.until("it is back", |lab| lab.bird_route().contains("192.0.2.0/24"));
    let path = lab.path("work/secrets/transit.age");
    let good = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&path, damaged).unwrap();
    push(&lab, "Damage it");
    lab.until("it cannot be decrypted", |lab| has_wait(lab, "the secret transit cannot be decrypted"));
    assert!(has_wait(&lab, "the value from before stays in use"), "{:?}", lab.status());
    assert!(lab.bird_route().contains("192.0.2.0/24"));
    let head = lab.git(&["rev-parse", "HEAD"]);
    let refused = |lab: &Lab| lab.status().is_some_and(|status| status.refusal.is_some());
    for (path, text) in [
        ("work/secrets/transit.age", format!("password: {PASSWORD}\n")),
        ("work/secrets/stray.age", format!("tsig: {{ secret: {} }}\n", base64(KEY))),
    ] {
        fs::write(lab.path(path), text).unwrap();
        push(&lab, "Forget to encrypt it");
        lab.until("it refuses", refused);
        assert_eq!(say(&lab, &["check", "."], ""), Some(1));
        assert_eq!(say(&lab, &["check", ".", "--format", "json"], ""), Some(1));
        say(&lab, &["plan", "HEAD~1..HEAD"], "");
        lab.git(&["reset", "-q", "--hard", &head]);
        lab.git(&["push", "-q", "--force", "origin", "main"]);
        lab.until("it is good again", |lab| !refused(lab));
    }
    fs::write(&path, good).unwrap();
    push(&lab, "Put it right");
    lab.until("it settles again", |lab| lab.status().is_some_and(|status| status.settled));

    let config = lab.path("config.yaml").display().to_string();
    for args in [
        &["check", "."][..],
        &["plan", "HEAD~3..HEAD"],
        &["plan", "--format", "markdown", "HEAD~5..HEAD"],
        &["plan", "--format", "json", &format!("{root}..HEAD")],
        &["secret", "who"],
        &["secret", "rm", "transit"],
        &["status", "--config", &config],
        &["status", "--config", &config, "--json"],
        &["fetch", "--config", &config],
    ] {
        say(&lab, args, "");
    }
    said.push(("the status".to_owned(), format!("{:?}", lab.status()).into_bytes()));

    // An abort, as a panic in C or a failed allocation would: no core.
    let at = lab.running.iter().position(|(name, _)| *name == "agent").unwrap();
    let (_, mut agent) = lab.running.remove(at);
    kill(Pid::from_raw(agent.id().cast_signed()), Signal::SIGABRT).unwrap();
    let status = agent.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));

    for (what, octets) in &said {
        leaks.assert_none(what, octets);
    }
    let log = fs::read(lab.path("agent.err")).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("TRACE"), "it logged all it could");
    leaks.assert_none("the log", &log);
    assert!(leaks.assert_none_below(&lab.path("state"), &[]) > 3);
    leaks.assert_none_below(&lab.path("cores"), &[]);
    // The test can find one.
    assert!(std::panic::catch_unwind(|| leaks.assert_none("a key", KEY)).is_err());
    let held = [b"xyz", KEY, b"abc"].concat();
    assert!(std::panic::catch_unwind(|| leaks.assert_none("base64", base64(&held).as_bytes())).is_err());
}
