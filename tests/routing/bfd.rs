//! BFD: whose sessions end as soon as the link is silent, and which do not.

use std::time::{Duration, Instant};

use shoestring::routing::{Bfd, RoutingDaemon, RoutingDaemonKind, SessionState};

use super::provider;
use super::subject::{PATIENCE, SESSIONS, Subject, name};
use crate::bgp::lab::in_a_namespace;

/// On the link and beyond, of both families. All that is left is `other_v4`.
const WITH: [&str; 3] = ["transit_v4", "transit_v6", "far_v4"];
const WITHOUT: &str = "other_v4";

/// The other side asks for it on the same sessions.
fn provider() -> String {
    let with = |text: String, session: &str| {
        let begin = format!("protocol bgp {session} {{");
        text.replace(&begin, &format!("{begin} bfd {{ interval 100 ms; multiplier 3; }};"))
    };
    WITH.into_iter().fold(provider::config(true) + "protocol bfd failures {}\n", with)
}

/// The provider's end of a link that falls silent: no session says so, and the carrier stays.
#[test]
fn a_silent_link_ends_the_sessions_that_ask_for_it_soon() {
    in_a_namespace(&["/usr/sbin/bird", "/usr/sbin/tc"], async || {
        let Some(mut subject) = Subject::start(RoutingDaemonKind::Bird).await else { return };
        subject.provider.configure(&provider());
        subject.until_established(&SESSIONS).await;
        let before = subject.history();
        for session in WITH {
            subject.config.sessions.get_mut(&name(session)).unwrap().bfd = Some(Bfd::DEFAULT);
        }
        subject.config.trial = Duration::from_secs(120);
        subject.daemon.configure(&subject.config).await.unwrap();
        let ours = WITH.map(|session| subject.config.sessions[&name(session)].local.to_string());
        subject
            .until("both ends hear each other by BFD", |subject, _| {
                ours.iter().all(|ours| subject.provider.hears(ours))
            })
            .await;
        assert_eq!(subject.history(), before, "a session does not end for it");
        assert_eq!(subject.observe().await.config.as_ref(), Some(&subject.config));

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
        let seen = subject.observe().await;
        for session in WITH.map(name) {
            let seen = &seen.sessions[&session];
            assert_ne!(seen.state, SessionState::Established);
            assert!(seen.last_error.as_ref().unwrap().contains("BFD"), "{seen:?}");
        }

        subject.provider.silence(false);
        subject.until_established(&SESSIONS).await;
        assert_eq!(subject.provider.established(WITHOUT), Some(1));

        // The other side takes its end for a failure, and opens the session again.
        let before = subject.provider.established("far_v4").unwrap();
        subject.config.sessions.get_mut(&name("far_v4")).unwrap().bfd = None;
        let others = || ["transit_v4", "transit_v6", WITHOUT].map(|one| subject.provider.established(one));
        let were = others();
        subject.daemon.configure(&subject.config).await.unwrap();
        subject
            .until("it is established without", |subject, _| {
                subject.provider.established("far_v4") == Some(before + 1)
            })
            .await;
        assert_eq!(others(), were);
        subject.daemon.end("the test is over").await.unwrap();
    });
}
