//! The name server that a node selects, and selects anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use shoestring::dns::embedded::EmbeddedNameServer;
use shoestring::dns::{
    Daemons, NameServer, NameServerConfig, NameServerKind, SelectedNameServer, ZoneChanges, ZoneConfig,
};
use shoestring::keyring::Keyring;
use shoestring::process::{ProcessState, Supervision};

use crate::name_server::network::{PATIENCE, free_address, primary, serial};

struct Node {
    daemons: Daemons,
    config: NameServerConfig,
    zone: Arc<ZoneConfig>,
}

impl Node {
    fn server(&self, state: &Path) -> SelectedNameServer {
        let keyring = Arc::new(Keyring::default());
        let embedded = EmbeddedNameServer::open(state, Arc::clone(&keyring)).unwrap();
        SelectedNameServer::new(self.daemons.clone(), embedded, keyring)
    }

    /// Selects a name server as a plan would, and waits until it answers.
    async fn select(&mut self, server: &SelectedNameServer, daemon: NameServerKind) {
        self.config.daemon = daemon;
        // The sockets of the one before close a moment after it is gone.
        let start = Instant::now();
        while let Err(error) = server.configure(&self.config).await {
            assert!(start.elapsed() < PATIENCE, "{error}");
        }
        server.apply(&ZoneChanges { set: vec![Arc::clone(&self.zone)], remove: Vec::new() }).await.unwrap();
        let seen = server.observe().await.unwrap();
        assert_eq!((seen.running, seen.config.as_ref()), (daemon, Some(&self.config)));
        assert_eq!(serial(*self.config.listen.first().unwrap(), "ours.example").await, Some(7));
    }

    async fn runs(&self, daemon: NameServerKind) -> bool {
        let name = daemon.to_string();
        let process = self.daemons.supervision.process(&name, &self.daemons.folder.join(&name));
        process.state().await.unwrap() != ProcessState::Stopped
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_selection_ends_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let daemons = Daemons {
        folder: folder.path().join("daemons"),
        local: free_address("127.0.0.1"),
        supervision: Supervision::Child,
    };
    if daemons.open(NameServerKind::Knot, &Arc::default()).await.unwrap().is_none() {
        assert!(std::env::var_os("CI").is_none(), "knot is missing, and in CI nothing is skipped");
        eprintln!("skipped: knot is not installed");
        return;
    }
    let config = NameServerConfig {
        identity: "node-a".to_owned(),
        listen: BTreeSet::from([free_address("127.0.0.1")]),
        ..NameServerConfig::default()
    };
    let mut node = Node { daemons, config, zone: Arc::new(primary("ours.example", 7, "")) };
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let server = node.server(&state);
    node.select(&server, NameServerKind::Embedded).await;
    node.select(&server, NameServerKind::Knot).await;
    node.select(&server, NameServerKind::Embedded).await;
    assert!(!node.runs(NameServerKind::Knot).await);
    node.select(&server, NameServerKind::Knot).await;
    // The agent dies, and another selection is pushed before it starts again.
    drop(server);
    assert!(node.runs(NameServerKind::Knot).await, "it outlives the agent");
    let server = node.server(&state);
    node.select(&server, NameServerKind::Embedded).await;
    assert!(!node.runs(NameServerKind::Knot).await);
}
