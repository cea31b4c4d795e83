//! `shoestring secret`, from outside: what it writes, who can read that, and that nothing but `show` prints a value.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::termios::{LocalFlags, tcgetattr};
use tempfile::TempDir;

const PEER: &str = "\
description: Transit
asn: 64511
relation: provider
sessions: [{ local: 127.0.0.1, neighbor: 127.0.0.9 }]
password: transit
";
const PASSWORD: &str = "correct horse: \"battery\" #staple";

/// A network of one node, on disk, and its operator's key.
struct Lab {
    dir: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { dir: TempDir::new().unwrap() };
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(lab.path("operator"))
            .status()
            .unwrap();
        assert!(keygen.success());
        let (network, key) = (lab.text("network"), lab.text("operator"));
        lab.good(&["init", &network, "--name", "small", "--asn", "64500", "--sign-with", &key], "");
        let (state, config) = (lab.text("state"), lab.text("config.yaml"));
        let root = "0".repeat(40);
        let printed = lab.good(
            &[
                "join",
                "--node",
                "first",
                "--network",
                "small",
                "--repository",
                &network,
                "--pin",
                &root,
                "--state",
                &state,
                "--config",
                &config,
            ],
            "",
        );
        let line = printed.lines().find(|line| line.starts_with("age_recipient: age1")).unwrap();
        lab.append("network/nodes/first.yaml", line);
        lab.write("network/peers/first/transit.yaml", PEER);
        lab.append("network/network.yaml", "cookie_secret: cookies");
        lab.write(
            "network/zones/mike/mike.example.yaml",
            "kind: secondary\nprimaries: [{ address: 198.51.100.9, tsig_key: mike }]\n",
        );
        lab
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn append(&self, path: &str, line: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        self.write(path, &format!("{text}{line}\n"));
    }

    fn run(&self, args: &[&str], input: &str) -> Output {
        // No key of whoever runs the tests.
        let mut child = Command::new(env!("CARGO_BIN_EXE_shoestring"))
            .args(args)
            .env("HOME", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// What a command that works prints.
    fn good(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {errors}");
        assert!(!errors.contains("horse"), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that does not work says.
    fn bad(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && !errors.contains("horse"), "{args:?}: {errors}");
        errors
    }

    fn secret(&self, args: &[&str], input: &str) -> String {
        let (dir, key) = (self.text("network"), self.text("operator"));
        let with_key = matches!(args[0], "show" | "rotate") && !args.contains(&"--identity");
        let key = if with_key { vec!["--identity", &key] } else { vec![] };
        self.good(&[&["secret"], args, &["--dir", &dir], &key[..]].concat(), input)
    }

    fn refused(&self, args: &[&str], input: &str) -> String {
        let (dir, key) = (self.text("network"), self.text("operator"));
        let key = if matches!(args[0], "show" | "rotate") { vec!["--identity", &key] } else { vec![] };
        self.bad(&[&["secret"], args, &["--dir", &dir], &key[..]].concat(), input)
    }

    /// Every finding of `check`, by its message.
    fn findings(&self) -> Vec<String> {
        let output = self.run(&["check", &self.text("network"), "--format", "json"], "");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["message"].as_str().unwrap().to_owned()).collect()
    }

    fn sealed(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(&format!("network/secrets/{name}.age"))).unwrap()
    }
}

#[test]
fn secrets_are_set_shown_rotated_and_removed() {
    let lab = Lab::new();
    assert_eq!(
        lab.findings(),
        ["there is no secret cookies", "there is no secret transit", "there is no secret mike"]
    );
    assert_eq!(lab.secret(&["set", "transit"], &format!("{PASSWORD}\n")), "");
    lab.secret(&["set", "cookies", "--generate"], "");
    lab.secret(&["set", "mike"], "hmac-sha512:xfer.mike.example:MDEyMzQ1Njc4OWFiY2RlZg==\n");
    assert_eq!(lab.findings(), [""; 0]);

    // The operator, the node, and any other age program with their keys.
    assert_eq!(lab.secret(&["show", "transit", "--format", "plain"], ""), format!("{PASSWORD}\n"));
    let node = lab.text("state/age.key");
    let text = lab.secret(&["show", "transit", "--identity", &node], "");
    assert!(text.starts_with("password: \"correct horse: \\\"battery"), "{text}");
    assert_eq!(
        lab.secret(&["show", "mike", "--format", "bind"], ""),
        "key \"xfer.mike.example\" {\n\talgorithm hmac-sha512;\n\tsecret \"MDEyMzQ1Njc4OWFiY2RlZg==\";\n};\n"
    );
    by_another_program(&lab, &text);

    let who = lab.secret(&["who"], "");
    for line in [
        "transit: password\n  first, for sessions with transit: can read it\n  operator, who may change it: can read it\n  named by: peers/first/transit.yaml\n",
        "mike: TSIG key\n  first, for transfers of mike.example: can read it\n",
    ] {
        assert!(who.contains(line), "{who}");
    }

    // Rotation: a key under its own name; a cookie secret with the one before; a password from whoever knows it.
    lab.secret(&["rotate", "mike"], "");
    let key = lab.secret(&["show", "mike"], "");
    assert!(
        key.contains("xfer.mike.example") && key.contains("hmac-sha512") && !key.contains("MDEyMzQ1"),
        "{key}"
    );
    let before = lab.secret(&["show", "cookies"], "");
    lab.secret(&["rotate", "cookies"], "");
    let after = lab.secret(&["show", "cookies"], "");
    let digits = before.split('"').nth(1).unwrap();
    assert!(after.contains(&format!("previous: \"{digits}\"")), "{before}{after}");
    lab.secret(&["rotate", "transit"], "another horse");
    assert_eq!(lab.secret(&["show", "transit", "--format", "plain"], ""), "another horse\n");

    // A node with another key, and an operator more.
    let sealed = lab.sealed("transit");
    lab.secret(&["rotate", "--keep-value", "--all"], "");
    assert_eq!(lab.sealed("transit"), sealed, "it was right");
    let file = fs::read_to_string(lab.path("network/nodes/first.yaml")).unwrap();
    let old = file.lines().find(|line| line.starts_with("age_recipient: ")).unwrap();
    let new = fs::read_to_string(lab.path("operator.pub")).unwrap();
    lab.write("network/nodes/first.yaml", &file.replace(old, &format!("age_recipient: {}", new.trim())));
    let found = lab.findings();
    assert!(
        found.iter().all(|finding| finding.ends_with("can read it, which is no node's and no operator's"))
    );
    assert_eq!(found.len(), 3);
    lab.secret(&["rotate", "--keep-value", "--all"], "");
    assert_eq!(lab.findings(), [""; 0]);
    assert_ne!(lab.sealed("transit"), sealed);
    assert_eq!(lab.secret(&["show", "transit", "--format", "plain"], ""), "another horse\n");
    let dir = lab.text("network");
    assert!(
        lab.bad(&["secret", "show", "transit", "--dir", &dir, "--identity", &node], "")
            .contains("not encrypted to age1")
    );

    assert!(lab.refused(&["rm", "transit"], "").contains("peers/first/transit.yaml"));
    fs::remove_file(lab.path("network/peers/first/transit.yaml")).unwrap();
    lab.secret(&["rm", "transit"], "");
    assert_eq!(lab.findings(), [""; 0]);
}

/// The age program itself, for what `shoestring` does not have to be there for.
fn by_another_program(lab: &Lab, expected: &str) {
    for key in ["operator", "state/age.key"] {
        let output = Command::new("age")
            .args(["-d", "-i"])
            .arg(lab.path(key))
            .arg(lab.path("network/secrets/transit.age"))
            .output();
        match output {
            Ok(output) => {
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{errors}");
            }
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "must run in CI: {error}");
                eprintln!("skipped: needs age");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_without_the_value() {
    let lab = Lab::new();
    for (args, input, why) in [
        (&["set", "transit"][..], "", "no value on standard input"),
        (&["set", "transit"], "horse\nhorse\n", "printable ASCII"),
        (&["set", "transit"], &"horse".repeat(17), "1 to 80 characters"),
        (&["set", "transit"], &"horse".repeat(9000), "longer than 8192 octets"),
        (&["set", "mike"], "horse!", "not base64"),
        (&["set", "mike"], "horse:horse:horse!", "none of hmac-sha256"),
        (&["set", "cookies"], "horse", "32 hexadecimal digits"),
        (&["set", "other"], "horse", "give --kind"),
        (&["set", "transit", "--kind", "tsig"], "horse", "wants transit to be a password"),
        (&["set", "transit", "--key-name", "a"], "horse", "are for a TSIG key"),
        (&["set", "Transit"], "horse", "not a secret name"),
        (&["show", "transit"], "", "there is no secret transit"),
        (&["rotate", "transit"], "", "there is no secret transit"),
        (&["rotate", "--all"], "", "--keep-value"),
        (&["rm", "transit"], "", "there is no secret transit"),
        (&["who", "transit"], "", "there is no secret transit"),
    ] {
        let error = lab.refused(args, input);
        assert!(error.contains(why), "{args:?}: {error}");
    }
    assert!(!Path::new(&lab.path("network/secrets")).exists());
    lab.secret(&["set", "transit"], PASSWORD);
    assert!(lab.refused(&["show", "transit", "--format", "bind"], "").contains("is a password"));
    // Damaged: nothing of it is shown.
    let path = lab.path("network/secrets/transit.age");
    let mut octets = fs::read(&path).unwrap();
    *octets.last_mut().unwrap() ^= 1;
    fs::write(&path, octets).unwrap();
    assert!(lab.refused(&["show", "transit"], "").contains("damaged"));
    let state = lab.text("state");
    assert!(lab.bad(&["secret", "who", "--dir", &state], "").contains("there is no network.yaml in it"));
    // Without any key.
    let dir = lab.text("network");
    assert!(lab.bad(&["secret", "show", "transit", "--dir", &dir], "").contains("no key to decrypt with"));
}

/// What a command says at a terminal of its own, where each of these lines is typed when it has asked for one.
fn typed(lab: &Lab, args: &[&str], lines: &[&str]) -> (Option<i32>, String) {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let (mut outside, inside) = (fs::File::from(terminal.master), fs::File::from(terminal.slave));
    let mut child = Command::new("setsid")
        .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_shoestring")])
        .args(args)
        .env("HOME", lab.dir.path())
        .stdin(inside.try_clone().unwrap())
        .stdout(inside.try_clone().unwrap())
        .stderr(inside)
        .spawn()
        .unwrap();
    let (mut said, mut typed) = (Vec::new(), 0);
    let mut octet = [0];
    // Reading fails when the other side is closed.
    while outside.read_exact(&mut octet).is_ok() {
        said.push(octet[0]);
        if said.ends_with(b"(not shown): ") {
            // Right after the question the terminal is told not to show the answer.
            let shows = || tcgetattr(&outside).unwrap().local_flags.contains(LocalFlags::ECHO);
            while shows() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            outside.write_all(lines.get(typed).copied().unwrap_or("\x03").as_bytes()).unwrap();
            typed += 1;
        }
    }
    (child.wait().unwrap().code(), String::from_utf8(said).unwrap())
}

#[test]
fn what_is_typed_at_a_terminal_is_asked_for_twice_and_not_shown() {
    let lab = Lab::new();
    let (dir, locked) = (lab.text("network"), lab.text("locked"));
    let set = ["secret", "set", "transit", "--dir", &dir];
    for (lines, code, words) in [
        (&["a horse\n", "another horse\n"][..], Some(2), "the two values for transit differ"),
        (&["a horse\x03"], Some(2), "no value was given"),
        (&["a horse\n", "\x04"], Some(2), "no value was given"),
        (&["\x04"], Some(2), "no value was given"),
        (&["\n", "\n"], Some(2), "1 to 80 characters"),
        (&["a horsf\x7fe\n", "a horse\n"], Some(0), "wrote "),
    ] {
        let (ended, said) = typed(&lab, &set, lines);
        assert!(ended == code && said.contains(words), "{lines:?}: {said}");
        assert!(!said.contains("horse") && !said.contains("horsf"), "{lines:?}: {said}");
    }
    assert_eq!(lab.secret(&["show", "transit", "--format", "plain"], ""), "a horse\n");

    let keygen = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "horse-power", "-f", &locked])
        .status()
        .unwrap();
    assert!(keygen.success());
    let show = ["secret", "show", "transit", "--dir", &dir, "--identity", &locked];
    for (line, words) in
        [("horse-power\n", "not encrypted to ssh-ed25519"), ("horses\n", "passphrase is wrong")]
    {
        let (ended, said) = typed(&lab, &show, &[line]);
        assert!(ended == Some(2) && said.contains(words) && !said.contains("horse"), "{said}");
        assert!(said.contains(&format!("passphrase of the SSH key {locked} (not shown): ")), "{said}");
    }
}
