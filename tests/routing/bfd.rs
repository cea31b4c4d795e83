//! BFD: whose sessions end as soon as the link is silent, and which do not; and what becomes of the daemons that FRR has
//! beside it for it.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shoestring::routing::{Announcement, Bfd, BfdState, RoutingDaemon, RoutingDaemonKind, SessionState};

use super::provider;
use super::subject::{PATIENCE, SESSIONS, Subject, both, name, pid};
use crate::bgp::lab::in_a_namespace;

/// On the link and beyond, of both families. All that is left is `other_v4`.
const WITH: [&str; 3] = ["transit_v4", "transit_v6", "far_v4"];
const WITHOUT: &str = "other_v4";
const PROGRAMS: [&str; 2] = ["/usr/sbin/bird", "/usr/sbin/tc"];

/// Far sooner than the hold time of 30 s, and slow enough for a machine that runs other tests beside this one.
const QUICK: Bfd = Bfd { interval: Duration::from_millis(300), multiplier: 5 };
/// So slow that no machine is too loaded for it.
const SLOW: Bfd = Bfd { interval: Duration::from_secs(2), multiplier: 10 };

/// The other side asks for it on these sessions.
fn provider(sessions: &[&str], Bfd { interval, multiplier }: Bfd) -> String {
    let how = format!("interval {} ms; multiplier {multiplier};", interval.as_millis());
    let with = |text: String, session: &&str| {
        let begin = format!("protocol bgp {session} {{");
        text.replace(&begin, &format!("{begin} bfd {{ {how} }};"))
    };
    sessions.iter().fold(provider::config(true) + "protocol bfd failures {}\n", with)
}

/// Both sides ask for it on sessions that are established without.
async fn start(kind: RoutingDaemonKind, bfd: Bfd) -> Option<Subject> {
    let mut subject = Subject::start(kind).await?;
    subject.provider.configure(&provider(&WITH, bfd));
    subject.until_established(&SESSIONS).await;
    for session in WITH {
        subject.config.sessions.get_mut(&name(session)).unwrap().bfd = Some(bfd);
    }
    subject.config.trial = Duration::from_secs(120);
    subject.daemon.configure(&subject.config).await.unwrap();
    Some(subject)
}

async fn until_heard(subject: &Subject) {
    let ours = WITH.map(|session| subject.config.sessions[&name(session)].local.to_string());
    subject
        .until_settled("both ends hear each other by BFD", |subject, seen| {
            let is_up = |session: &&str| seen.sessions[&name(session)].bfd == Some(BfdState::Up);
            ours.iter().all(|ours| subject.provider.hears(ours)) && WITH.iter().all(is_up)
        })
        .await;
}

/// The provider's end of a link that falls silent: no session says so, and the carrier stays.
async fn a_silent_link_ends_the_sessions_that_ask_for_it_soon(kind: RoutingDaemonKind) {
    let Some(mut subject) = start(kind, QUICK).await else { return };
    let before = subject.history();
    until_heard(&subject).await;
    assert_eq!(subject.history(), before, "a session does not end for it\n{}", subject.log());
    let seen = subject.observe().await;
    assert_eq!(seen.config.as_ref(), Some(&subject.config));
    assert_eq!(seen.sessions[&name(WITHOUT)].bfd, None);

    subject.provider.silence(true);
    let begun = Instant::now();
    while WITH.iter().any(|session| subject.provider.established(session).is_some()) {
        assert!(begun.elapsed() < PATIENCE, "{}", subject.provider.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(subject.provider.established(WITHOUT), Some(1), "its hold time is not over");
    eprintln!("found after {:?}", begun.elapsed());
    for session in WITH {
        assert_eq!(subject.provider.why_ended(session), "Error: BFD session down");
    }
    subject
        .until("it is known here, too", |_, seen| {
            WITH.map(name).iter().all(|session| {
                let seen = &seen.sessions[session];
                let is_why = seen.last_error.as_ref().is_some_and(|why| why.contains("BFD"));
                seen.state != SessionState::Established && seen.bfd != Some(BfdState::Up) && is_why
            })
        })
        .await;
    assert_eq!(subject.provider.established(WITHOUT), Some(1), "its hold time is not over");

    subject.provider.silence(false);
    subject.until_established(&SESSIONS).await;
    until_heard(&subject).await;
    assert_eq!(subject.provider.established(WITHOUT), Some(1));

    // The other side takes its end for a failure, and opens the session again.
    let before = subject.provider.established("far_v4").unwrap();
    subject.config.sessions.get_mut(&name("far_v4")).unwrap().bfd = None;
    let others = || ["transit_v4", "transit_v6", WITHOUT].map(|one| subject.provider.established(one));
    let were = others();
    subject.daemon.configure(&subject.config).await.unwrap();
    subject
        .until_settled("it is established without", |subject, seen| {
            seen.sessions[&name("far_v4")].bfd.is_none()
                && subject.provider.established("far_v4") == Some(before + 1)
        })
        .await;
    assert_eq!(others(), were);
    subject.daemon.end("the test is over").await.unwrap();
}

#[test]
fn a_silent_link_ends_the_sessions_of_bird_that_ask_for_it_soon() {
    in_a_namespace(&PROGRAMS, || {
        a_silent_link_ends_the_sessions_that_ask_for_it_soon(RoutingDaemonKind::Bird)
    });
}

#[test]
fn a_silent_link_ends_the_sessions_of_frr_that_ask_for_it_soon() {
    in_a_namespace(&PROGRAMS, || {
        a_silent_link_ends_the_sessions_that_ask_for_it_soon(RoutingDaemonKind::Frr)
    });
}

/// A peer that does not answer has its session, which says so.
async fn a_peer_without_bfd_keeps_its_session(kind: RoutingDaemonKind) {
    let Some(mut subject) = Subject::start(kind).await else { return };
    subject.daemon.end("the test begins").await.unwrap();
    subject.provider.configure(&provider(&[], Bfd::DEFAULT));
    for session in WITH {
        subject.config.sessions.get_mut(&name(session)).unwrap().bfd = Some(Bfd::DEFAULT);
    }
    subject.daemon.configure(&subject.config).await.unwrap();
    subject
        .until_settled("all sessions, without BFD", |subject, seen| {
            let is_up = |session: &&str| subject.provider.established(session).is_some();
            let is_down = |session: &&str| seen.sessions[&name(session)].bfd == Some(BfdState::Down);
            SESSIONS.iter().all(is_up) && WITH.iter().all(is_down)
        })
        .await;
    let before = subject.history();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(subject.history(), before);
    subject.daemon.end("the test is over").await.unwrap();
}

#[test]
fn a_peer_without_bfd_keeps_its_session_with_bird() {
    in_a_namespace(&PROGRAMS, || a_peer_without_bfd_keeps_its_session(RoutingDaemonKind::Bird));
}

#[test]
fn a_peer_without_bfd_keeps_its_session_with_frr() {
    in_a_namespace(&PROGRAMS, || a_peer_without_bfd_keeps_its_session(RoutingDaemonKind::Frr));
}

/// All that the kernel has of routes, rules, next hops and addresses, as it was set up.
fn kernel() -> String {
    let shown = |what: &str| {
        let what = what.split(' ');
        let shown = Command::new("ip").arg("-d").args(what).output().unwrap();
        String::from_utf8(shown.stdout).unwrap()
    };
    let of = ["-4 route show table all", "-6 route show table all", "rule", "-6 rule", "nexthop", "address"];
    let forwarding = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]
        .map(|switch| std::fs::read_to_string(format!("/proc/sys/net/{switch}")).unwrap());
    of.map(shown).concat() + &forwarding.concat()
}

/// Whatever looks like zebra's own from another life is left alone: it could be another FRR's.
#[test]
fn zebra_changes_nothing_in_the_kernel_and_may_die() {
    in_a_namespace(&PROGRAMS, async || {
        let Some(subject) = start(RoutingDaemonKind::Frr, SLOW).await else { return };
        for (what, object) in [
            ("route", "10.99.0.0/24 dev bgp0 proto zebra"),
            ("route", "10.98.0.0/24 dev bgp0 proto bgp"),
            ("route", "10.97.0.0/24 dev bgp0 proto 196"),
            ("nexthop", "id 7 dev bgp0 proto zebra"),
        ] {
            let added = Command::new("ip").args([what, "add"]).args(object.split(' ')).status();
            assert!(added.unwrap().success(), "{object}");
        }
        // The kernel has not done with the link while it looks for others who have its addresses (RFC 4862 section 5.4).
        let begun = Instant::now();
        while kernel().contains(" tentative") {
            assert!(begun.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let was = kernel();
        until_heard(&subject).await;
        subject.announce(&both(Announcement::Normal)).await;
        let before = subject.history();
        let bgpd = subject.pid();

        // Its end is no end of bgpd, nor of a session. It is missed.
        let zebra = pid(&subject.folder(), "frr-zebra").unwrap();
        kill(Pid::from_raw(zebra), Signal::SIGKILL).unwrap();
        subject
            .until("it is missed", |_, seen| {
                seen.fault.as_ref().is_some_and(|fault| fault.starts_with("zebra: "))
            })
            .await;
        assert_eq!(subject.history(), before);
        // When it is back, bfdd begins anew, and so may the sessions with BFD, once.
        until_heard(&subject).await;
        assert_ne!(pid(&subject.folder(), "frr-zebra"), Some(zebra));
        assert_eq!(subject.pid(), bgpd);
        subject.until_established(&SESSIONS).await;
        subject.until_received(&SESSIONS, &both(Announcement::Normal)).await;
        assert_eq!(subject.provider.established(WITHOUT), before[2].0);

        // That of bfdd is that of the sessions, which come back.
        let bfdd = pid(&subject.folder(), "frr-bfdd").unwrap();
        kill(Pid::from_raw(bfdd), Signal::SIGKILL).unwrap();
        subject
            .until("it is missed", |_, seen| {
                seen.fault.as_ref().is_some_and(|fault| fault.starts_with("bfdd: "))
            })
            .await;
        until_heard(&subject).await;
        subject.until_established(&SESSIONS).await;
        assert_eq!((subject.pid(), subject.provider.established(WITHOUT)), (bgpd, before[2].0));

        // bgpd's: it is back, and finds them.
        kill(Pid::from_raw(bgpd), Signal::SIGKILL).unwrap();
        subject.until("it is missed", |_, seen| seen.fault.is_some()).await;
        until_heard(&subject).await;
        subject.until_established(&SESSIONS).await;
        assert_eq!(kernel(), was);
        subject.daemon.end("the test is over").await.unwrap();
        assert_eq!(kernel(), was);
        let runs = |name| pid(&subject.folder(), name).is_some();
        assert!(!runs("frr-zebra") && !runs("frr-bfdd"), "they end with it");
    });
}
