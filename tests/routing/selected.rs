//! The routing daemon that a node selects, and selects anew.

use std::sync::Arc;
use std::time::Instant;

use shoestring::process::{ProcessState, Supervision};
use shoestring::routing::embedded::EmbeddedSpeaker;
use shoestring::routing::{
    Announcement, Origination, RoutingDaemon, RoutingDaemonKind, RoutingDaemons, SelectedRouting,
};

use super::provider::Provider;
use super::subject::{PATIENCE, SESSIONS, V4, both, config, keyring};
use crate::bgp::lab::in_a_namespace;

struct Node {
    daemons: RoutingDaemons,
    provider: Provider,
}

impl Node {
    fn routing(&self) -> SelectedRouting {
        let keyring = keyring();
        SelectedRouting::new(self.daemons.clone(), EmbeddedSpeaker::new(Arc::clone(&keyring)), keyring)
    }

    /// Selects a daemon as a plan would, and waits until everybody has heard of our prefixes.
    async fn select(&self, routing: &SelectedRouting, kind: RoutingDaemonKind, runs: RoutingDaemonKind) {
        routing.configure(&config(kind)).await.unwrap();
        let seen = routing.observe().await.unwrap();
        assert_eq!((seen.running, seen.originated), (runs, Origination::new()), "it starts silent");
        routing.originate(&both(Announcement::Normal)).await.unwrap();
        self.until_heard(routing, true).await;
    }

    async fn until_heard(&self, routing: &SelectedRouting, heard: bool) {
        let begun = Instant::now();
        let has = |session| !self.provider.routes(session).is_empty();
        while SESSIONS.iter().any(|session| has(session) != heard) {
            let seen = routing.observe().await;
            assert!(begun.elapsed() < PATIENCE, "heard is not {heard}: {seen:#?}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn runs(&self, kind: RoutingDaemonKind) -> bool {
        let name = kind.to_string();
        let process = self.daemons.supervision.process(&name, &self.daemons.folder.join(&name));
        process.state().await.unwrap() != ProcessState::Stopped
    }
}

#[test]
fn another_selection_ends_the_one_before() {
    use RoutingDaemonKind::{Bird, Embedded, Openbgpd};
    in_a_namespace(&["/usr/sbin/bird", "/usr/sbin/bgpd"], async || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let daemons =
            RoutingDaemons { folder: folder.path().join("daemons"), supervision: Supervision::Child };
        let node = Node { daemons, provider: Provider::start(true).await };
        let routing = node.routing();
        node.select(&routing, Embedded, Embedded).await;
        node.select(&routing, Bird, Bird).await;
        node.select(&routing, Openbgpd, Openbgpd).await;
        assert!(!node.runs(Bird).await);
        node.select(&routing, Embedded, Embedded).await;
        assert!(!node.runs(Openbgpd).await);
        node.select(&routing, Bird, Bird).await;
        let established = node.provider.established("transit_v4");
        // The agent dies: the next one finds what is announced, and can withdraw before it has verified anything.
        drop(routing);
        let routing = node.routing();
        let seen = routing.observe().await.unwrap();
        assert_eq!((seen.running, seen.config), (Bird, None));
        assert_eq!(seen.originated, both(Announcement::Normal));
        let less = [(V4.parse().unwrap(), Announcement::Normal)].into();
        routing.originate(&less).await.unwrap();
        routing.configure(&config(Bird)).await.unwrap();
        assert_eq!(routing.observe().await.unwrap().originated, less);
        assert_eq!(node.provider.established("transit_v4"), established);
        // It dies, and another selection is pushed before it starts again.
        drop(routing);
        let routing = node.routing();
        node.select(&routing, Embedded, Embedded).await;
        assert!(!node.runs(Bird).await);
        assert!(node.provider.log().contains("another routing daemon takes over"));
        routing.shutdown("the test is over").await;
    });
}
