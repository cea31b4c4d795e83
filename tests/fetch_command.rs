//! `shoestring fetch`, as a person or a script runs it, against good and hostile pushes made with git itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use ssh_key::LineEnding;

use crate::hostile_repositories::repository::{fingerprint, key, line};

/// A network's repository, somebody with a key, and a state folder.
struct Network {
    folder: tempfile::TempDir,
}

impl Network {
    /// `None` where git cannot sign.
    fn new() -> Option<Self> {
        if Command::new("ssh-keygen").arg("-?").output().is_err() {
            assert!(std::env::var_os("CI").is_none(), "the command ssh-keygen is needed");
            eprintln!("skipped: git signs with ssh-keygen, which is not there");
            return None;
        }
        let network = Self { folder: tempfile::tempdir().unwrap() };
        for (name, seed) in [("nat", 1), ("stranger", 3)] {
            let path = network.path(name);
            key(seed).write_openssh_file(&path, LineEnding::LF).unwrap();
        }
        network.git(network.folder.path(), &["init", "-q", "--bare", "--initial-branch=main", "host.git"]);
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/desired-state");
        let copied = Command::new("cp").arg("-r").arg(from).arg(network.path("work")).status().unwrap();
        assert!(copied.success());
        network.git(&network.path("work"), &["init", "-q", "--initial-branch=main"]);
        network.git(&network.path("work"), &["remote", "add", "origin", "../host.git"]);
        network.write(
            "trust.yaml",
            format!(
                "version: 1\nprincipals:\n  nat: {{ keys: [\"{}\"] }}\n\
                 rules:\n  - {{ paths: [\"**\"], signers: [nat], need: 1 }}\n",
                line(&key(1))
            ),
        );
        network.commit("nat");
        network.push();
        Some(network)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path("work").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn git(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(["-c", "user.name=Nat", "-c", "user.email=nat@example.net", "-c", "gpg.format=ssh"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn work(&self, arguments: &[&str]) -> String {
        self.git(&self.path("work"), arguments)
    }

    /// Commits all there is, signed by `who`; unsigned if nobody.
    fn commit(&self, who: &str) -> String {
        self.work(&["add", "-A"]);
        let key = format!("user.signingKey={}", self.path(who).display());
        match who {
            "" => self.work(&["commit", "-q", "-m", "Change it", "--no-gpg-sign"]),
            _ => self.work(&["-c", &key, "commit", "-q", "-S", "-m", "Change it"]),
        };
        self.work(&["rev-parse", "HEAD"])
    }

    fn push(&self) {
        self.work(&["push", "-q", "--force", "origin", "main"]);
    }

    /// Runs the command; its exit status and its document.
    fn fetch(&self, more: &[&str]) -> (i32, serde_json::Value) {
        let (status, out, _) = self.run(&[&["--json"], more].concat());
        (status, serde_json::from_str(&out).unwrap())
    }

    fn run(&self, more: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_shoestring"))
            .args(["fetch", "--network", "shoestring-example", "--repository"])
            .arg(self.path("host.git"))
            .arg("--state")
            .arg(self.path("state"))
            .args(["--pin", &fingerprint(&key(1))])
            .args(more)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn good_pushes_are_judged_and_remembered() {
    let Some(network) = Network::new() else { return };
    let root = network.work(&["rev-parse", "HEAD"]);
    let (status, report) = network.fetch(&[]);
    assert_eq!((status, &report["refused"]), (0, &serde_json::Value::Null), "{report}");
    for key in ["candidate", "verified", "applied"] {
        assert_eq!(report[key], root.as_str());
    }
    network.write("README.md", "Changed.\n");
    let second = network.commit("nat");
    network.push();
    let (status, out, _) = network.run(&[]);
    assert_eq!(status, 0, "{out}");
    let judged = format!("judged      {second} good, signed by nat ({}): README.md", fingerprint(&key(1)));
    assert!(out.lines().any(|line| line == judged), "{out}");
    assert!(out.contains(&format!("applied     {second}")), "{out}");
    // The same once more: nothing new.
    let (status, report) = network.fetch(&[]);
    assert_eq!((status, report["judged"].as_array().unwrap().len()), (0, 0));
    assert_eq!(report["applied"], second.as_str());
}

#[test]
fn hostile_pushes_are_refused_and_the_last_good_state_stays() {
    let Some(network) = Network::new() else { return };
    let good = network.work(&["rev-parse", "HEAD"]);
    assert_eq!(network.fetch(&[]).0, 0);
    let zone = "zones/someone/example.net.yaml";
    let bomb = {
        let levels =
            (1..9).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(", ")));
        format!("l0: &l0 [x, x, x]\n{}", levels.collect::<String>())
    };
    // What is pushed, by whom, and the rule that refuses it.
    type Change<'a> = Box<dyn Fn() + 'a>;
    let cases: Vec<(&str, Change<'_>, &str, &str)> = vec![
        ("unsigned", Box::new(|| network.write("README.md", "x")), "", "R2"),
        ("unknown key", Box::new(|| network.write("README.md", "x")), "stranger", "R2"),
        ("large blob", Box::new(|| network.write("README.md", vec![b'x'; 9 << 20])), "nat", "R8"),
        ("huge blob", Box::new(|| network.write("README.md", vec![0; 80 << 20])), "nat", "R8"),
        ("symlink", Box::new(|| symlink("/etc/passwd", network.path("work/README")).unwrap()), "nat", "R8"),
        ("bomb", Box::new(|| network.write(zone, &bomb)), "nat", "check"),
        ("duplicate key", Box::new(|| network.write(zone, "kind: primary\nkind: primary\n")), "nat", "check"),
        ("bad UTF-8", Box::new(|| network.write(zone, b"kind: \xff\xfe\n")), "nat", "check"),
        ("no trust", Box::new(|| fs::remove_file(network.path("work/trust.yaml")).unwrap()), "nat", "R7"),
    ];
    for (name, change, who, rule) in cases {
        change();
        let bad = network.commit(who);
        network.push();
        for again in [false, true] {
            let (status, report) = network.fetch(&[]);
            assert_eq!(status, 1, "{name} {again}: {report}");
            assert_eq!(report["refused"]["rule"], rule, "{name}: {report}");
            assert_eq!(report["refused"]["revision"], bad.as_str(), "{name}: {report}");
            assert_eq!(report["candidate"], bad.as_str(), "{name}: {report}");
            assert_eq!(report["applied"], good.as_str(), "{name}: {report}");
        }
        network.work(&["reset", "-q", "--hard", &good]);
        network.push();
        let (status, report) = network.fetch(&[]);
        assert_eq!(
            (status, &report["applied"]),
            (0, &serde_json::Value::from(good.as_str())),
            "{name}: {report}"
        );
    }
    // A good commit before one that is not even fetched is taken.
    network.write("README.md", "good before huge");
    let good = network.commit("nat");
    network.write("README.md", vec![0; 40 << 20]);
    let bad = network.commit("nat");
    network.write("README.md", "small again");
    network.commit("nat");
    network.push();
    let (status, report) = network.fetch(&[]);
    assert_eq!((status, &report["refused"]["rule"]), (1, &serde_json::Value::from("R8")), "{report}");
    assert_eq!(report["refused"]["revision"], bad.as_str(), "{report}");
    assert_eq!(report["applied"], good.as_str(), "{report}");
    network.work(&["reset", "-q", "--hard", &good]);
    // A good commit before a bad one is taken.
    network.write("README.md", "good");
    let better = network.commit("nat");
    network.write("README.md", "bad");
    let bad = network.commit("");
    network.push();
    let (status, report) = network.fetch(&[]);
    assert_eq!(
        (status, &report["refused"]["revision"]),
        (1, &serde_json::Value::from(bad.as_str())),
        "{report}"
    );
    assert_eq!(report["applied"], better.as_str(), "{report}");
    // Back to before it, and beside it: R5.
    network.work(&["reset", "-q", "--hard", &good]);
    network.push();
    let (status, report) = network.fetch(&[]);
    assert_eq!((status, &report["refused"]["rule"]), (1, &serde_json::Value::from("R5")), "{report}");
    network.write("README.md", "fork");
    network.commit("nat");
    network.push();
    let (status, report) = network.fetch(&[]);
    assert_eq!((status, &report["refused"]["rule"]), (1, &serde_json::Value::from("R5")), "{report}");
    let (_, out, _) = network.run(&[]);
    assert!(out.lines().any(|line| line.starts_with("refused ") && line.contains(" by R5: ")), "{out}");
    assert_eq!(report["applied"], better.as_str(), "{report}");
}

#[test]
fn what_cannot_run_says_why() {
    let Some(network) = Network::new() else { return };
    // A later --pin, --network or --state cannot be given twice, so these are whole command lines.
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_shoestring")).arg("fetch").args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (host, state) = (network.path("host.git"), network.path("state"));
    let (host, state) = (host.to_str().unwrap(), state.to_str().unwrap());
    let common = ["--network", "shoestring-example", "--state", state];
    let pin = fingerprint(&key(1));
    let (status, error) = run(&[&common[..], &["--repository", host]].concat());
    assert!(status == 2 && error.contains("no trust on first use"), "{error}");
    let (status, error) = run(&[&common[..], &["--repository", host, "--pin", "HEAD"]].concat());
    assert!(status == 2 && error.contains("40 hexadecimal digits"), "{error}");
    let (status, error) =
        run(&[&common[..], &["--repository", "git://example.org/x", "--pin", &pin]].concat());
    assert!(status == 2 && error.contains("git:// is not supported"), "{error}");
    let (status, error) = run(&[&common[..], &["--repository", "/absent", "--pin", &pin]].concat());
    assert!(status == 2 && error.contains("cannot reach /absent"), "{error}");
    assert_eq!(run(&[]).0, 2);
    // Another network's state folder, and a pin that the history does not begin with.
    assert_eq!(network.fetch(&[]).0, 0);
    let other = ["--network", "other", "--state", state, "--repository", host, "--pin", &pin];
    let (status, error) = run(&other);
    assert!(status == 2 && error.contains("belongs to the network shoestring-example"), "{error}");
    let elsewhere = network.path("elsewhere");
    let stranger = fingerprint(&key(3));
    let (status, _) = run(&[
        "--network",
        "shoestring-example",
        "--state",
        elsewhere.to_str().unwrap(),
        "--repository",
        host,
        "--pin",
        &stranger,
    ]);
    assert_eq!(status, 1);
    // A configuration file says the same as the options.
    let configuration = network.path("config.yaml");
    let text = format!(
        "node: london-a\nnetwork: shoestring-example\nrepository: {host}\npin: {{ signers: [\"{pin}\"] }}\nstate: {state}\n"
    );
    fs::write(&configuration, text).unwrap();
    assert_eq!(run(&["--config", configuration.to_str().unwrap()]), (0, String::new()));
}
