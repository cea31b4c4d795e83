//! Fetching: from every kind of address, with every kind of trouble. Nobody's signature is looked at here.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shoestring::config::{LocalConfig, Pin};
use shoestring::names::Revision;
use shoestring::source::repository::{Environment, Limits, Repository};
use shoestring::source::watch::Watch;
use shoestring::source::{Class, SourceError, history};

/// A bare repository on this machine, somebody's checkout of it, and a node's state folder.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        git(place.folder.path(), &["init", "-q", "--bare", "--initial-branch=main", "host.git"]);
        git(place.folder.path(), &["init", "-q", "--initial-branch=main", "work"]);
        git(&place.work(), &["remote", "add", "origin", "../host.git"]);
        place
    }

    fn host(&self) -> PathBuf {
        self.folder.path().join("host.git")
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn config(&self, repository: &str) -> LocalConfig {
        LocalConfig {
            node: "one".parse().unwrap(),
            network: "example".parse().unwrap(),
            repository: repository.to_owned(),
            branch: "main".to_owned(),
            pin: Pin::Signers(Vec::new()),
            state: self.folder.path().join("state"),
            age_identity: None,
            daemons: None,
            supervision: None,
            poll_seconds: 1,
            mesh_interface: "unused".to_owned(),
        }
    }

    fn local(&self) -> LocalConfig {
        self.config(self.host().to_str().unwrap())
    }

    /// Commits a file and pushes it.
    fn push(&self, path: &str, bytes: &[u8]) -> Revision {
        let file = self.work().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "-m", path]);
        git(&self.work(), &["push", "-q", "origin", "main"]);
        git(&self.work(), &["rev-parse", "HEAD"]).parse().unwrap()
    }
}

/// Runs git with nobody's configuration.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .args(["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn file(repository: &Repository, revision: Revision, path: &str) -> Vec<u8> {
    history::read_tree(repository.git(), revision, None).unwrap().files[path].bytes.to_vec()
}

/// Every object of the clone.
fn objects(repository: &Repository) -> usize {
    let mut count = 0;
    let odb = repository.git().odb().unwrap();
    odb.foreach(|_| {
        count += 1;
        true
    })
    .unwrap();
    count
}

#[test]
fn a_local_repository_gives_its_branch_and_nothing_else() {
    let place = Place::new();
    let first = place.push("zones/a", b"one");
    git(&place.work(), &["tag", "-a", "-m", "tag", "v1"]);
    git(&place.work(), &["checkout", "-q", "-b", "other"]);
    fs::write(place.work().join("secret"), "not for nodes").unwrap();
    git(&place.work(), &["add", "-A"]);
    git(&place.work(), &["commit", "-q", "-m", "other"]);
    git(&place.work(), &["push", "-q", "--tags", "origin", "other"]);
    git(&place.work(), &["checkout", "-q", "main"]);

    for address in [place.host().to_str().unwrap().to_owned(), format!("file://{}", place.host().display())] {
        let mut config = place.config(&address);
        config.state = place.folder.path().join("state of its own").join(address.replace('/', "_"));
        let mut repository = Repository::open(&config).unwrap();
        assert_eq!(repository.candidate(), None);
        assert_eq!(repository.fetch().unwrap(), first);
        // A commit, two folders and a file.
        assert_eq!(objects(&repository), 4);
        assert_eq!(repository.candidate(), Some(first));
    }
    let mut repository = Repository::open(&place.local()).unwrap();
    repository.fetch().unwrap();
    let second = place.push("zones/a", b"two");
    assert_eq!(repository.fetch().unwrap(), second);
    assert_eq!(file(&repository, second, "zones/a"), b"two");
    assert_eq!(file(&repository, first, "zones/a"), b"one");
    let names: Vec<String> =
        repository.git().references().unwrap().names().map(|name| name.unwrap().to_owned()).collect();
    assert_eq!(names, ["refs/shoestring/candidate"]);
}

#[test]
fn many_objects_come_as_well_as_few() {
    let place = Place::new();
    for number in 0..300 {
        fs::write(place.work().join(format!("file-{number}")), number.to_string()).unwrap();
    }
    let revision = place.push("last", b"last");
    let mut repository = Repository::open(&place.local()).unwrap();
    assert_eq!(repository.fetch().unwrap(), revision);
    assert_eq!(objects(&repository), 303);
    assert_eq!(file(&repository, revision, "file-299"), b"299");
}

#[test]
fn replace_references_and_a_checkout_change_nothing() {
    let place = Place::new();
    let first = place.push("a", b"one");
    let second = place.push("a", b"two");
    git(&place.host(), &["replace", &second.to_string(), &first.to_string()]);
    let mut config = place.local();
    let mut repository = Repository::open(&config).unwrap();
    assert_eq!(repository.fetch().unwrap(), second);
    assert_eq!(file(&repository, second, "a"), b"two");
    // A checkout is a repository too.
    config.repository = place.work().to_str().unwrap().to_owned();
    assert_eq!(Repository::open(&config).unwrap().fetch().unwrap(), second);
}

#[test]
fn a_repository_may_belong_to_somebody_else() {
    let place = Place::new();
    let revision = place.push("a", b"one");
    if let Err(error) = std::os::unix::fs::chown(place.host(), Some(65534), Some(65534)) {
        eprintln!("skipped: only root gives files away ({error})");
        return;
    }
    assert_eq!(Repository::open(&place.local()).unwrap().fetch().unwrap(), revision);
}

#[test]
fn what_cannot_be_reached_changes_nothing() {
    let place = Place::new();
    let revision = place.push("a", b"one");
    let mut repository = Repository::open(&place.local()).unwrap();
    repository.fetch().unwrap();
    let away = place.folder.path().join("away.git");
    fs::rename(place.host(), &away).unwrap();
    let error = repository.fetch().unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert_eq!(error.class(), Class::Retry);
    assert_eq!(repository.candidate(), Some(revision));
    fs::rename(away, place.host()).unwrap();
    assert_eq!(repository.fetch().unwrap(), revision);

    let mut config = place.local();
    config.branch = "absent".to_owned();
    drop(repository);
    let error = Repository::open(&config).unwrap().fetch().unwrap_err();
    assert!(matches!(error, SourceError::NoBranch { .. }) && error.to_string().contains("absent"), "{error}");
    assert_eq!(error.class(), Class::Wait);
}

#[test]
fn limits_hold_and_leave_what_is_there() {
    let place = Place::new();
    let good = place.push("a", b"one");
    let limits = Limits { bytes: 20_000, objects: 30, object_bytes: 10_000, ..Limits::default() };
    let mut repository = Repository::open_with(&place.local(), limits, Environment::default()).unwrap();
    repository.fetch().unwrap();
    let cases: [(&str, &dyn Fn() -> Revision); 3] = [
        ("10001 bytes", &|| place.push("large", &[b'x'; 10_001])),
        ("more than 20000 new bytes", &|| {
            place.push("1", &[b'1'; 9_000]);
            place.push("2", &[b'2'; 9_000]);
            place.push("3", &[b'3'; 9_000])
        }),
        ("more than 30 new objects", &|| (0..32).fold(good, |_, n| place.push("a", &[n]))),
    ];
    for (expected, push) in cases {
        let revision = push();
        let error = repository.fetch().unwrap_err();
        assert!(matches!(&error, SourceError::Refused { offered, .. } if *offered == revision), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        // What came before the commit that is too much is here, and whole.
        let SourceError::Refused { revision: refused, .. } = error else { unreachable!() };
        let before = git(&place.work(), &["rev-parse", &format!("{refused}^")]).parse().unwrap();
        assert_eq!(repository.candidate(), Some(before));
        assert!(!history::read_tree(repository.git(), before, None).unwrap().files.is_empty());
        git(&place.work(), &["reset", "-q", "--hard", &good.to_string()]);
        git(&place.work(), &["push", "-q", "--force", "origin", "main"]);
        assert_eq!(repository.fetch().unwrap(), good);
    }
    drop(repository);
    let late = Limits { timeout: Duration::ZERO, ..Limits::default() };
    place.push("a", b"two");
    let error =
        Repository::open_with(&place.local(), late, Environment::default()).unwrap().fetch().unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
}

#[test]
fn a_damaged_clone_is_made_anew_with_what_is_applied() {
    let place = Place::new();
    let applied = place.push("a", b"one");
    let clone = place.folder.path().join("state/repository.git");
    let mut repository = Repository::open(&place.local()).unwrap();
    repository.fetch().unwrap();
    repository.keep_applied(applied).unwrap();
    let candidate = place.push("b", b"only in the candidate");
    repository.fetch().unwrap();
    drop(repository);

    let blob = git(&place.host(), &["rev-parse", "main:b"]);
    let blob = clone.join("objects").join(&blob[..2]).join(&blob[2..]);
    let fetching = clone.join("fetching");
    let damages: [&dyn Fn(); 3] = [
        // What a loss of power leaves.
        &|| {
            fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&blob, b"").unwrap();
        },
        &|| fs::remove_file(&blob).unwrap(),
        &|| fs::write(&fetching, b"").unwrap(),
    ];
    let away = place.folder.path().join("away.git");
    for damage in damages {
        damage();
        fs::rename(place.host(), &away).unwrap();
        let mut repository = Repository::open(&place.local()).unwrap();
        assert_eq!(file(&repository, applied, "a"), b"one", "while the git host is away");
        assert_eq!(repository.candidate(), None);
        fs::rename(&away, place.host()).unwrap();
        assert_eq!(repository.fetch().unwrap(), candidate);
        assert_eq!(file(&repository, candidate, "b"), b"only in the candidate");
    }
    // All of it.
    for name in ["HEAD", "objects", "refs/shoestring/applied"] {
        let path = clone.join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::write(path, b"").unwrap()
        }
        let mut repository = Repository::open(&place.local()).unwrap();
        assert_eq!(repository.fetch().unwrap(), candidate);
        repository.keep_applied(applied).unwrap();
    }
    // Under a running agent.
    let mut repository = Repository::open(&place.local()).unwrap();
    fs::remove_dir_all(&clone).unwrap();
    place.push("c", b"three");
    let _ = repository.fetch();
    drop(repository);
    Repository::open(&place.local()).unwrap().fetch().unwrap();
}

#[test]
fn refused_candidates_do_not_fill_the_disk() {
    let place = Place::new();
    let root = place.push("a", b"one");
    let limits = Limits { bytes: 400_000, ..Limits::default() };
    let mut repository = Repository::open_with(&place.local(), limits, Environment::default()).unwrap();
    repository.fetch().unwrap();
    repository.keep_applied(root).unwrap();
    let mut most = 0;
    for round in 0..70_u8 {
        // Does not compress: a stream of hashes.
        let noise: Vec<u8> =
            (0..4000_u16).flat_map(|n| blake(u64::from(round) << 32 | u64::from(n))).collect();
        git(&place.work(), &["reset", "-q", "--hard", &root.to_string()]);
        fs::write(place.work().join("noise"), &noise).unwrap();
        git(&place.work(), &["add", "-A"]);
        git(&place.work(), &["commit", "-q", "-m", "noise"]);
        git(&place.work(), &["push", "-q", "--force", "origin", "main"]);
        let candidate = repository.fetch().unwrap();
        assert_eq!(file(&repository, candidate, "noise"), noise);
        most = most.max(objects(&repository));
    }
    assert_eq!(file(&repository, root, "a"), b"one");
    assert!(objects(&repository) < most, "{} of {most}", objects(&repository));
}

/// Eight bytes that nobody guesses from the number, good enough for noise.
fn blake(number: u64) -> [u8; 8] {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).to_le_bytes()
}

/// A program in place of ssh, which has the arguments that ssh would have had.
fn fake_ssh(place: &Place, script: &str) -> Environment {
    let path = place.folder.path().join("fake ssh");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Environment { ssh_command: Some(format!("'{}'", path.display())), certificates: None }
}

/// Does what ssh and the other side's shell do with the last argument.
const RUN_IT: &str =
    r#"printf '%s\n' "$@" > "$(dirname "$0")/arguments"; for last; do :; done; exec sh -c "$last""#;

#[test]
fn ssh_runs_the_users_own() {
    let place = Place::new();
    let first = place.push("zones/a", b"one");
    let ssh = fake_ssh(&place, RUN_IT);
    let odd = place.folder.path().join("it's; touch $(echo odd)!.git");
    std::os::unix::fs::symlink(place.host(), &odd).unwrap();
    let urls = [
        format!("ssh://git@git.example.org:2222{}", place.host().display()),
        format!("git@git.example.org:{}", place.host().display()),
        format!("git.example.org:{}", odd.display()),
    ];
    let mut latest = first;
    for (at, url) in urls.iter().enumerate() {
        let mut config = place.config(url);
        config.state = place.folder.path().join(format!("state-{at}"));
        let mut repository = Repository::open_with(&config, Limits::default(), ssh.clone()).unwrap();
        assert_eq!(repository.fetch().unwrap(), latest, "{url}");
        let before = objects(&repository);
        for text in ["two", "three"] {
            latest = place.push("zones/a", format!("{at} {text}").as_bytes());
            assert_eq!(repository.fetch().unwrap(), latest, "{url}");
            assert_eq!(repository.fetch().unwrap(), latest, "nothing new");
        }
        assert_eq!(objects(&repository), before + 8, "only what is new comes");
        assert_eq!(file(&repository, latest, "zones/a"), format!("{at} three").as_bytes());
    }
    let arguments = fs::read_to_string(place.folder.path().join("arguments")).unwrap();
    assert!(arguments.starts_with("-o\nBatchMode=yes\n"), "{arguments}");
    assert!(arguments.contains("\n--\ngit.example.org\ngit-upload-pack '"), "{arguments}");

    // What is no longer in the history there: the branch was turned back and goes another way.
    let mut config = place.config(&urls[0]);
    config.state = place.folder.path().join("state-0");
    let mut repository = Repository::open_with(&config, Limits::default(), ssh.clone()).unwrap();
    repository.fetch().unwrap();
    git(&place.work(), &["reset", "-q", "--hard", &first.to_string()]);
    git(&place.work(), &["push", "-q", "--force", "origin", "main"]);
    assert_eq!(repository.fetch().unwrap(), first);
    let fork = place.push("fork", b"fork");
    assert_eq!(repository.fetch().unwrap(), fork);
}

#[test]
fn ssh_errors_say_what_ssh_said() {
    let place = Place::new();
    place.push("a", b"one");
    let url = format!("ssh://git.example.org{}", place.host().display());
    let cases = [
        (
            "echo 'git@git.example.org: Permission denied (publickey).' >&2; exit 255",
            Class::Wait,
            "Permission denied",
        ),
        ("echo 'ssh: connect to host: Connection refused' >&2; exit 255", Class::Retry, "Connection refused"),
        ("exit 1", Class::Retry, "hung up"),
        ("echo 'Welcome to this machine. Enjoy your stay.'", Class::Wait, "not in packets"),
        // Never says anything, and leaves a child behind: all of it ends when the time is up.
        ("sleep 300 & sleep 300", Class::Retry, "in time"),
        ("printf 0100abc", Class::Retry, "hung up"),
    ];
    for (script, class, expected) in cases {
        let ssh = fake_ssh(&place, script);
        let limits = Limits { timeout: Duration::from_secs(3), ..Limits::default() };
        let started = Instant::now();
        let error =
            Repository::open_with(&place.config(&url), limits, ssh.clone()).unwrap().fetch().unwrap_err();
        assert_eq!(error.class(), class, "{script}: {error}");
        assert!(error.to_string().contains(expected), "{script}: {error}");
        assert!(started.elapsed() < Duration::from_secs(60), "it never ends");
    }
    let ssh = fake_ssh(&place, RUN_IT);
    let absent = format!("ssh://git.example.org{}/absent.git", place.folder.path().display());
    let error = Repository::open_with(&place.config(&absent), Limits::default(), ssh.clone())
        .unwrap()
        .fetch()
        .unwrap_err();
    assert!(error.to_string().contains("does not appear to be a git repository"), "{error}");
    assert_eq!(error.class(), Class::Wait);
    // Limits hold here too.
    let large = place.push("large", &[b'x'; 10_001]);
    let limits = Limits { object_bytes: 10_000, ..Limits::default() };
    let error = Repository::open_with(&place.config(&url), limits, ssh.clone()).unwrap().fetch().unwrap_err();
    assert!(matches!(&error, SourceError::Refused { revision, .. } if *revision == large), "{error}");
    let limits = Limits { bytes: 500, ..Limits::default() };
    let error = Repository::open_with(&place.config(&url), limits, ssh.clone()).unwrap().fetch().unwrap_err();
    assert!(error.to_string().contains("more than 500 new bytes"), "{error}");
    let limits = Limits { objects: 2, ..Limits::default() };
    let error = Repository::open_with(&place.config(&url), limits, ssh.clone()).unwrap().fetch().unwrap_err();
    assert!(error.to_string().contains("more than 2 new objects"), "{error}");
}

/// A web server of one folder: what it cannot do itself, `git http-backend` does.
fn serve(folder: PathBuf, answer: impl Fn(&Path, &str) -> Option<Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // Ends with the test process.
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let _ = answer_one(&mut stream, &folder, &answer);
        }
    });
    format!("http://{address}")
}

fn answer_one(
    stream: &mut TcpStream,
    folder: &Path,
    answer: &dyn Fn(&Path, &str) -> Option<Vec<u8>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body)?;
    if let Some(answer) = answer(folder, target) {
        return stream.write_all(&answer);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    backend.stdin.take().unwrap().write_all(&body)?;
    let output = backend.wait_with_output()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n").as_bytes())?;
    stream.write_all(&output)
}

fn answer(status: &str, headers: &str, body: &str) -> Option<Vec<u8>> {
    let length = body.len();
    Some(
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
            .into_bytes(),
    )
}

#[test]
fn http_is_spoken() {
    let place = Place::new();
    let first = place.push("zones/a", b"one");
    let server = serve(place.folder.path().to_owned(), |_, target| {
        let rest = target.strip_prefix("/moved")?;
        answer("301 Moved", &format!("Location: {rest}\r\n"), "")
    });
    for path in ["host.git", "moved/host.git"] {
        let mut config = place.config(&format!("{server}/{path}"));
        config.state = place.folder.path().join(path.replace('/', "-"));
        let mut repository = Repository::open(&config).unwrap();
        let tip = repository.fetch().unwrap();
        assert_eq!(file(&repository, first, "zones/a"), b"one");
        let before = objects(&repository);
        let second = place.push("zones/a", path.as_bytes());
        assert_ne!(second, tip);
        assert_eq!(repository.fetch().unwrap(), second);
        assert_eq!(repository.fetch().unwrap(), second);
        assert_eq!(objects(&repository), before + 4, "only what is new comes");
    }
}

#[test]
fn http_errors_have_their_class() {
    let place = Place::new();
    place.push("a", b"one");
    let list = "Content-Type: application/x-git-upload-pack-advertisement\r\n";
    let server = serve(place.folder.path().to_owned(), move |_, target| {
        let kind = target.split('/').nth(1).unwrap();
        match kind {
            "401" | "403" | "404" | "418" | "429" | "500" => answer(&format!("{kind} no"), "", ""),
            "text" => answer("200 OK", "Content-Type: text/html\r\n", "<html>"),
            "dumb" => answer("200 OK", list, "0123456789012345678901234567890123456789\trefs/heads/main\n"),
            "short" => answer("200 OK", list, "001e# service=git-upload-pack\n00000"),
            "loop" => answer("302 Found", &format!("Location: {target}\r\n"), ""),
            "refuses" => answer("200 OK", list, "001e# service=git-upload-pack\n0000000fERR go away"),
            _ => None,
        }
    });
    for (path, class, expected) in [
        ("401", Class::Wait, "401"),
        ("403", Class::Wait, "403"),
        ("404", Class::Wait, "404"),
        ("418", Class::Wait, "418"),
        ("429", Class::Retry, "429"),
        ("500", Class::Retry, "500"),
        ("text", Class::Wait, "text/html"),
        ("dumb", Class::Wait, "first packet"),
        ("short", Class::Retry, "hung up"),
        ("loop", Class::Wait, "redirect"),
        ("refuses", Class::Wait, "go away"),
        ("absent.git", Class::Wait, "404"),
    ] {
        let error =
            Repository::open(&place.config(&format!("{server}/{path}"))).unwrap().fetch().unwrap_err();
        assert_eq!(error.class(), class, "{path}: {error}");
        assert!(error.to_string().contains(expected), "{path}: {error}");
    }
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let error = Repository::open(&place.config(&format!("https://{closed}/a"))).unwrap().fetch().unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
}

/// An `openssl s_server`, which ends with the test.
struct TlsServer(std::process::Child);

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_certificate_is_trusted_only_when_an_authority_says_so() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "the command openssl is needed");
        eprintln!("skipped: there is no command openssl");
        return;
    }
    let place = Place::new();
    let (key, certificate) = (place.folder.path().join("key"), place.folder.path().join("certificate"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let server = Command::new("openssl")
        .args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-key")
        .arg(&key)
        .arg("-cert")
        .arg(&certificate)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = TlsServer(server);
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "the server does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
    let config = place.config(&format!("https://127.0.0.1:{port}/a"));
    let fetch = |certificates: Option<PathBuf>| {
        let environment = Environment { certificates, ssh_command: None };
        Repository::open_with(&config, Limits::default(), environment).unwrap().fetch().unwrap_err()
    };
    let error = fetch(None);
    assert!(matches!(error, SourceError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("cannot be trusted"), "{error}");
    // Trusted, it is talked to; it is no git host.
    let error = fetch(Some(certificate));
    assert!(error.to_string().contains("text/html"), "{error}");
    let error = fetch(Some(key));
    assert!(error.to_string().contains("no certificate in it"), "{error}");
}

/// Waits for the trigger, but not for ever.
async fn triggered(watch: &mut Watch, within: Duration) -> bool {
    tokio::time::timeout(within, watch.changed()).await.is_ok()
}

#[tokio::test]
async fn a_push_triggers_and_so_does_a_repository_that_comes_back() {
    let place = Place::new();
    place.push("a", b"one");
    let long = Duration::from_secs(20);
    let mut watch = Watch::new(&place.local()).unwrap();
    assert!(!triggered(&mut watch, Duration::from_millis(1500)).await, "nothing happened");
    for at in 0..3 {
        place.push("a", format!("{at}").as_bytes());
        assert!(triggered(&mut watch, long).await);
        while triggered(&mut watch, Duration::from_millis(1200)).await {}
    }
    git(&place.host(), &["pack-refs", "--all"]);
    assert!(triggered(&mut watch, long).await);
    while triggered(&mut watch, Duration::from_millis(1200)).await {}

    let away = place.folder.path().join("away.git");
    fs::rename(place.host(), &away).unwrap();
    while triggered(&mut watch, Duration::from_millis(2200)).await {}
    fs::rename(&away, place.host()).unwrap();
    assert!(triggered(&mut watch, long).await, "it came back");
    while triggered(&mut watch, Duration::from_millis(1200)).await {}
    // Another one under the same name is watched as the first was.
    fs::remove_dir_all(place.host()).unwrap();
    git(place.folder.path(), &["clone", "-q", "--bare", "work", "host.git"]);
    while triggered(&mut watch, Duration::from_millis(2200)).await {}
    place.push("a", b"last");
    assert!(triggered(&mut watch, long).await);
}

#[tokio::test]
async fn a_remote_repository_is_polled() {
    let place = Place::new();
    let mut watch = Watch::new(&place.config("https://git.example.org/net.git")).unwrap();
    let started = Instant::now();
    assert!(triggered(&mut watch, Duration::from_secs(20)).await);
    assert!(started.elapsed() >= Duration::from_millis(900), "a tenth less than a second at the earliest");
}
