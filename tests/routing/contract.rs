//! What each daemon does under our control, one test for each promise.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::desired::model::Import;
use shoestring::routing::{Announcement, Origination, RoutingDaemon, RoutingDaemonKind, SessionState};

use super::subject::{DRAINING, SESSIONS, Subject, V4, both, give, name};

/// What a test needs to know of a daemon that its driver does not tell.
pub trait Software {
    const KIND: RoutingDaemonKind;
    /// How many routes its tables have from peers. A daemon is known by its folder here.
    fn imported(folder: &Path) -> usize;
    /// Gives the running daemon something that is not ours: a route, or whatever else it can be given.
    fn tamper(folder: &Path);
    /// The file of `etc` that people would edit.
    const FILE: &'static str;
    /// Whether it counts what it does not import: only then a peer that offers much of it is cut off.
    const CUTS_OFF: bool = true;
}

const NORMAL: Announcement = Announcement::Normal;

/// It starts silent, announces exactly ours as each peer's file says, drains, and withdraws, all without a gap, and takes
/// nothing that it is offered.
pub async fn exactly_ours_is_announced<S: Software>() {
    let Some(subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    let seen = subject.observe().await;
    assert_eq!((seen.config.as_ref(), seen.running), (Some(&subject.config), S::KIND));
    subject.until_received(&SESSIONS, &Origination::new()).await;
    for session in seen.sessions.values() {
        let agreed = session.negotiated.as_ref().unwrap();
        assert_eq!((agreed.hold_time_s, agreed.keepalive_s), (30, 10), "{session:?}");
    }

    subject.announce(&both(NORMAL)).await;
    let before = subject.history();
    subject.announce(&both(DRAINING)).await;
    subject.announce(&both(NORMAL)).await;
    assert_eq!(subject.history(), before, "one way gives place to the other");
    let one = [(V4.parse().unwrap(), DRAINING)].into();
    subject.announce(&one).await;
    subject.announce(&Origination::new()).await;
    subject.announce(&both(NORMAL)).await;

    // Nothing but our own prefixes can be announced, whoever asks.
    let foreign = [("203.0.113.0/24".parse().unwrap(), NORMAL)].into();
    let why = subject.daemon.originate(&foreign).await.unwrap_err().to_string();
    assert!(why.contains("not one of our prefixes"), "{why}");
    assert_eq!(S::imported(&subject.folder()), 1, "the default route of the one peer that may give it");
    assert_eq!(routes_of_the_kernel(), "", "nothing goes into the kernel");
    subject.until_received(&SESSIONS, &both(NORMAL)).await;
    subject.daemon.end("the test is over").await.unwrap();
    for session in SESSIONS {
        assert_eq!(subject.provider.routes(session), [].into());
    }
    assert!(subject.provider.log().contains("the test is over"), "{}", subject.provider.log());
}

/// Routes that a daemon has put there: all but those of the test itself.
pub(super) fn routes_of_the_kernel() -> String {
    let shown = |family: &str| {
        let shown = std::process::Command::new("ip").args([family, "route", "show"]).output().unwrap();
        String::from_utf8(shown.stdout).unwrap()
    };
    let lines = shown("-4") + &shown("-6");
    let ours = |line: &&str| {
        !line.starts_with("blackhole") && !line.contains("proto kernel") && !line.contains("unreachable")
    };
    lines.lines().filter(ours).collect()
}

/// A peer that offers more than it should is cut off, or ignored; where everything is imported, it stays here.
pub async fn a_full_table_is_not_taken<S: Software>() {
    let Some(mut subject) = Subject::start(S::KIND).await else { return };
    subject.config.sessions.get_mut(&name("other_v4")).unwrap().import = Import::Full;
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_established(&SESSIONS).await;
    subject.announce(&both(NORMAL)).await;
    subject.provider.offer_many();
    if S::CUTS_OFF {
        subject
            .until("the limits", |_, seen| {
                let cut_off = |session| seen.sessions[&name(session)].last_error.is_some();
                cut_off("transit_v4") && cut_off("far_v4")
            })
            .await;
    }
    subject.until("all of it from the one", |subject, _| S::imported(&subject.folder()) >= 200).await;
    subject.until_received(&["transit_v6", "other_v4"], &both(NORMAL)).await;
    if !S::CUTS_OFF {
        assert_eq!(
            S::imported(&subject.folder()),
            202 + 1,
            "that, and the default route of the one that may give it"
        );
        subject.until_received(&SESSIONS, &both(NORMAL)).await;
    }
    assert_eq!(routes_of_the_kernel(), "", "nothing goes into the kernel");
    subject.daemon.end("the test is over").await.unwrap();
}

/// A change of one peer leaves the sessions of the others alone, and what is announced.
pub async fn a_changed_peer_leaves_the_others_alone<S: Software>() {
    let Some(mut subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    subject.announce(&both(NORMAL)).await;
    let before = subject.history();
    // What is said to a peer needs no new session.
    let transit = subject.config.sessions.get_mut(&name("transit_v4")).unwrap();
    transit.communities = ["64500:8", "65536:1:3"].map(|text| text.parse().unwrap()).into();
    transit.prepend = 0;
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_received(&SESSIONS, &both(NORMAL)).await;
    assert_eq!(subject.history(), before);
    // A peer goes, and comes back.
    let other = subject.config.sessions.remove(&name("other_v4")).unwrap();
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until("the session's end", |subject, _| subject.provider.established("other_v4").is_none()).await;
    let all_but_other = |history: Vec<(Option<usize>, u64)>| [history[0], history[1], history[3]];
    assert_eq!(all_but_other(subject.history()), all_but_other(before.clone()));
    subject.config.sessions.insert(name("other_v4"), other);
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_established(&SESSIONS).await;
    subject.until_received(&SESSIONS, &both(NORMAL)).await;
    assert_eq!(all_but_other(subject.history()), all_but_other(before));
    let seen = subject.observe().await;
    assert_eq!(seen.config.as_ref(), Some(&subject.config));
    subject.daemon.end("the test is over").await.unwrap();
}

/// A change after which a session does not come back is taken back, and not tried again at once; another one is.
pub async fn a_change_that_cuts_off_is_undone<S: Software>() {
    let Some(mut subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    subject.announce(&both(NORMAL)).await;
    let good = subject.config.clone();
    let before = subject.history();
    let mut bad = good.clone();
    bad.trial = Duration::from_secs(6);
    bad.sessions.get_mut(&name("transit_v4")).unwrap().asn = 65999.try_into().unwrap();
    subject.daemon.configure(&bad).await.unwrap();
    assert_eq!(subject.observe().await.config.as_ref(), Some(&bad), "on trial");
    subject.until("the old configuration", |_, seen| seen.config.as_ref() == Some(&good)).await;
    subject.until_established(&SESSIONS).await;
    subject.until_received(&SESSIONS, &both(NORMAL)).await;
    assert_eq!(subject.history()[1..], before[1..], "nobody else has noticed");
    let why = subject.daemon.configure(&bad).await.unwrap_err().to_string();
    assert!(why.contains("taken back, since transit-v4 did not come back within 6 s"), "{why}");
    assert_eq!(subject.observe().await.config.as_ref(), Some(&good));
    subject.config.sessions.get_mut(&name("transit_v4")).unwrap().prepend = 1;
    subject.daemon.configure(&subject.config).await.unwrap();
    subject.until_received(&SESSIONS, &both(NORMAL)).await;

    // One that the checker refuses is not tried at all.
    let mut broken = subject.config.clone();
    broken.sessions.get_mut(&name("other_v4")).unwrap().asn = broken.asn;
    assert!(subject.daemon.configure(&broken).await.is_err());
    assert_eq!(subject.observe().await.config.as_ref(), Some(&subject.config));
    subject.daemon.end("the test is over").await.unwrap();
}

/// An agent that starts finds the daemon announcing, and changes nothing; before it has configured it, it can withdraw.
pub async fn an_agent_that_starts_changes_nothing<S: Software>() {
    let Some(mut subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    subject.announce(&both(NORMAL)).await;
    let (pid, before) = (subject.pid(), subject.history());
    subject.reopen().await;
    let seen = subject.observe().await;
    assert_eq!((seen.config, seen.originated), (None, both(NORMAL)));
    subject.daemon.configure(&subject.config).await.unwrap();
    let seen = subject.observe().await;
    assert_eq!((seen.config.as_ref(), &seen.originated), (Some(&subject.config), &both(NORMAL)));
    assert_eq!((subject.pid(), subject.history()), (pid, before));

    subject.reopen().await;
    let why = subject.daemon.originate(&both(DRAINING)).await.unwrap_err().to_string();
    assert!(why.contains("can only withdraw"), "{why}");
    subject.daemon.originate(&Origination::new()).await.unwrap();
    subject.until_received(&SESSIONS, &Origination::new()).await;
    subject.daemon.end("the test is over").await.unwrap();
}

/// A daemon that is killed is started again, and so is one that hangs; it announces nothing until it is told.
pub async fn a_dead_or_hung_daemon_comes_back_silent<S: Software>() {
    let Some(subject) = Subject::start(S::KIND).await else { return };
    for signal in [Signal::SIGKILL, Signal::SIGSTOP] {
        subject.until_established(&SESSIONS).await;
        subject.announce(&both(NORMAL)).await;
        let pid = subject.pid();
        kill(Pid::from_raw(pid), signal).unwrap();
        let (expected, originated) = match signal {
            Signal::SIGKILL => ("signal: 9", Origination::new()),
            Signal::SIGSTOP | _ => ("hangs", both(NORMAL)),
        };
        subject
            .until(expected, |_, seen| {
                seen.config.is_none()
                    && seen.fault.as_ref().is_some_and(|fault| fault.contains(expected))
                    && seen.originated == originated
            })
            .await;
        if signal == Signal::SIGKILL {
            for session in SESSIONS {
                subject
                    .until("its routes gone", |subject, _| subject.provider.routes(session).is_empty())
                    .await;
            }
        }
        subject.daemon.configure(&subject.config).await.unwrap();
        assert_ne!(subject.pid(), pid);
        subject.until_established(&SESSIONS).await;
        subject.until_received(&SESSIONS, &Origination::new()).await;
    }
    subject.daemon.end("the test is over").await.unwrap();
}

/// What is changed by hand, in the daemon or in its files, is found at the next look, and put right; nobody hears of it.
pub async fn what_is_changed_by_hand_is_put_right<S: Software>() {
    let Some(subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    subject.announce(&both(NORMAL)).await;
    let before = subject.history();
    S::tamper(&subject.folder());
    let seen = subject.observe().await;
    assert!(seen.config.is_none() && seen.fault.is_some(), "{seen:#?}");
    subject.until_received(&SESSIONS, &both(NORMAL)).await;
    subject.daemon.configure(&subject.config).await.unwrap();
    let seen = subject.observe().await;
    assert_eq!((seen.config.as_ref(), seen.fault), (Some(&subject.config), None));

    let path = subject.folder().join("etc").join(S::FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n# by hand\n")).unwrap();
    let seen = subject.observe().await;
    assert!(seen.config.is_none() && seen.fault.unwrap().ends_with("was changed by hand"));
    subject.daemon.configure(&subject.config).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let seen = subject.observe().await;
    assert_eq!(seen.config.as_ref(), Some(&subject.config));
    subject.until_received(&SESSIONS, &both(NORMAL)).await;
    assert_eq!(subject.history(), before);
    subject.daemon.end("the test is over").await.unwrap();
}

/// A password that cannot be read keeps its own session down and no other; nothing that others could read has it.
pub async fn a_password_is_kept<S: Software>() {
    let Some(mut subject) = Subject::start(S::KIND).await else { return };
    subject.until_established(&SESSIONS).await;
    for folder in ["", "etc", "etc.next", "etc.good", "run"] {
        let Ok(entries) = std::fs::read_dir(subject.folder().join(folder)) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().unwrap().is_file()) {
            let mode = std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions());
            let text = std::fs::read(entry.path()).unwrap();
            let secret = String::from_utf8_lossy(&text).contains("pass\\word");
            assert!(!secret || mode & 0o077 == 0, "{} has mode {mode:o}", entry.path().display());
        }
    }
    assert!(!subject.log().contains("pass\\word"));
    give(&subject.keyring, "another", "x");
    let transit = subject.config.sessions.get_mut(&name("transit_v4")).unwrap();
    transit.password.as_mut().unwrap().sealed = shoestring::fingerprint::Fingerprint::of(&[b"again"]);
    subject.daemon.configure(&subject.config).await.unwrap();
    let seen = subject.observe().await;
    let transit = &seen.sessions[&name("transit_v4")];
    assert_eq!(transit.state, SessionState::Idle);
    assert!(transit.last_error.as_ref().unwrap().contains("cannot read the password transit"));
    subject.until_established(&SESSIONS[1..]).await;
    subject.daemon.end("the test is over").await.unwrap();
}

/// One test for each promise, of one daemon.
macro_rules! contract {
    ($software:ty, $programs:expr, $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                let programs = ["/usr/sbin/bird"].iter().chain($programs).copied().collect::<Vec<_>>();
                $crate::bgp::lab::in_a_namespace(&programs, $crate::routing::contract::$promise::<$software>);
            }
        )*
    };
    ($software:ty, $programs:expr) => {
        $crate::routing::contract::contract!(
            $software,
            $programs,
            exactly_ours_is_announced
            a_full_table_is_not_taken
            a_changed_peer_leaves_the_others_alone
            a_change_that_cuts_off_is_undone
            an_agent_that_starts_changes_nothing
            a_dead_or_hung_daemon_comes_back_silent
            what_is_changed_by_hand_is_put_right
            a_password_is_kept
        );
    };
}

pub(super) use contract;
