//! Strings that want to be more: `check` refuses them, or they stay strings, whatever a daemon's file looks like.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::desired::load;
use shoestring::fingerprint::Fingerprint;
use shoestring::routing::{Announcement, RoutingDaemon, RoutingDaemonKind, SessionState};
use shoestring::secrets::{Identity, text};
use shoestring::tree::File;

use super::network::{self, Network, Sealed};
use crate::bgp::lab::in_a_namespace;
use crate::differential::draw::Draw;
use crate::routing::bird::Bird;
use crate::routing::contract::{Software, routes_of_the_kernel};
use crate::routing::frr::Frr;
use crate::routing::gobgp::Gobgp;
use crate::routing::openbgpd::OpenBgpd;
use crate::routing::subject::{SESSIONS, Subject, both, give, name};

/// What would end the string, and begin something else, in one daemon or another.
const PASSWORDS: [&str; 12] = [
    "\"",
    "\\\"",
    "\\",
    "a b",
    "x\"; }\nprotocol static evil { ipv4; route 10.66.0.0/16 blackhole; }\n#",
    "x\"; export all; #",
    "x\nexit\nip prefix-list ours-v4 seq 1 permit any\nrouter bgp 64500",
    "x\n neighbor 10.66.0.1 remote-as 64666",
    "x\"\nnetwork 10.66.0.0/16\n#",
    "x\"}\nneighbor 10.66.0.1 { remote-as 64666 }\n#",
    "x\", \"peer-as\": 64666, \"x\": \"",
    "x\0y",
];

/// Every one of them as the password of a session, as if nothing had looked at it before.
async fn passwords_stay_strings<S: Software>() {
    let Some(mut subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    subject.announce(&both(Announcement::Normal)).await;
    let others = &SESSIONS[1..];
    let before = subject.history();
    // The session with the password is not to come back.
    subject.config.trial = std::time::Duration::from_secs(3600);
    for password in PASSWORDS {
        give(&subject.keyring, "transit", password);
        let transit = subject.config.sessions.get_mut(&name("transit_v4")).unwrap();
        transit.password.as_mut().unwrap().sealed = Fingerprint::of(&[password.as_bytes()]);
        subject.daemon.configure(&subject.config).await.unwrap();
        subject.until_received(others, &both(Announcement::Normal)).await;
        let seen = subject.observe().await;
        assert_eq!((seen.config.as_ref(), seen.fault), (Some(&subject.config), None), "{password:?}");
        assert_ne!(seen.sessions[&name("transit_v4")].state, SessionState::Established, "{password:?}");
        assert_eq!(S::imported(&subject.folder()), 1, "{password:?}");
        eprintln!("{password:?}: {:?}", seen.sessions[&name("transit_v4")].last_error);
    }
    assert_eq!(subject.history()[1..], before[1..], "nobody else has noticed");
    assert_eq!(routes_of_the_kernel(), "");
    // Nor does it matter to one that starts with it.
    kill(Pid::from_raw(subject.pid()), Signal::SIGKILL).unwrap();
    subject.until("its end", |_, seen| seen.config.is_none()).await;
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_established(others).await;
    subject.announce_to(others, &both(Announcement::Normal)).await;
    subject.daemon.end("the test is over").await.unwrap();
}

#[test]
fn passwords_of_bird_stay_strings() {
    in_a_namespace(&["/usr/sbin/bird"], passwords_stay_strings::<Bird>);
}

#[test]
fn passwords_of_frr_stay_strings() {
    in_a_namespace(&["/usr/sbin/bird"], passwords_stay_strings::<Frr>);
}

#[test]
fn passwords_of_gobgp_stay_strings() {
    in_a_namespace(&["/usr/sbin/bird"], passwords_stay_strings::<Gobgp>);
}

#[test]
fn passwords_of_openbgpd_stay_strings() {
    in_a_namespace(&["/usr/sbin/bird"], passwords_stay_strings::<OpenBgpd>);
}

/// A drawn network with another file.
fn with(path: &str, edit: impl Fn(&str) -> String) -> Vec<String> {
    let kind = RoutingDaemonKind::Bird;
    let mut network = Network::draw(&mut Draw::new(1), kind);
    network.peers.iter_mut().for_each(|peer| peer.password = None);
    let mut tree = network::files(&network, kind, &Identity::generate().unwrap(), &mut Sealed::new());
    let text = std::str::from_utf8(&tree.files["peers/first/peer-0.yaml"].bytes).unwrap();
    let edited = edit(text);
    tree.files.insert(path.into(), File { bytes: edited.as_bytes().into(), changed: 1 });
    match load::check(&tree) {
        Ok(_) => Vec::new(),
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_could_leave_its_place_is_refused() {
    assert_eq!(with("peers/first/peer-0.yaml", str::to_owned), [""; 0]);
    for name in
        ["Peer", "a b", "a'", "a\"", "a;b", "a\nb", "a{b}", "../peer-0", "a/b", "-a", "a\\b", "a$b", "é"]
    {
        let path = format!("peers/first/{name}.yaml");
        let found = with(&path, |text| {
            text.lines()
                .filter(|line| !line.starts_with("  - {"))
                .fold(String::new(), |all, line| all + line + "\n")
        });
        assert!(
            found.iter().any(|finding| finding.contains(name) || finding.contains("peers/")),
            "{name:?}: {found:#?}"
        );
    }
    let field = |key: &str, value: &str| {
        let edit = |text: &str| {
            let lines = text.lines().map(|line| match line.starts_with(key) {
                true => format!("{key}: {value}\n"),
                false => format!("{line}\n"),
            });
            lines.collect()
        };
        with("peers/first/peer-0.yaml", edit)
    };
    for (key, value) in [
        ("description", r#""two\nlines""#),
        ("description", r#""a\u0000b""#),
        ("description", r#""a\u001b[2Jb""#),
        ("description", r#""a\u202eb""#),
        ("description", r#""a\u2028b""#),
        ("communities", r#"["64500:1 additive"]"#),
        ("communities", r#"["64500:1\nexit"]"#),
        ("communities", r#"["(64500, 1)"]"#),
        ("asn", r#""64501 ebgp-multihop 255""#),
        ("relation", "\"provider\\n\""),
        ("import", "everything"),
        ("prepend", "\"1 64500\""),
    ] {
        let found = field(key, value);
        assert!(!found.is_empty(), "{key}: {value}");
    }
    for password in PASSWORDS.iter().filter(|text| text.contains(['\n', '\0'])) {
        assert!(text::password(password).is_err(), "{password:?}");
        let quoted = serde_json::to_string(password).unwrap();
        assert!(text::parse(&"hush".parse().unwrap(), format!("password: {quoted}").as_bytes()).is_err());
    }
}
