//! Agent: the loop that never ends, and the tasks beside it.
//!
//! ```text
//! watch ─trigger→ follower (a thread of its own: fetching may hang) ─Followed→ ┐
//! probes (a task) ─Health──────────────────────────────────────────────────────┼→ step → status
//! the clock ───────────────────────────────────────────────────────────────────┘
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::catalogs::CatalogReader;
use super::follow::{Followed, Follower};
use super::parts::Parts;
use super::reconcile::Reconciler;
use super::snapshot::{Facts, Published};
use super::unlock::Unlocker;
use crate::config::LocalConfig;
use crate::desired::slice::{DesiredNode, slice};
use crate::dns::SelectedNameServer;
use crate::dns::embedded::EmbeddedNameServer;
use crate::health::{Health, probe::probe};
use crate::host::LinuxHost;
use crate::keyring::Keyring;
use crate::mesh::WireGuardMesh;
use crate::routing::SelectedRouting;
use crate::routing::embedded::EmbeddedSpeaker;
use crate::source::watch::Watch;
use crate::status;

/// Between two steps of a settled node: how long drift stands at most.
const CALM: Duration = Duration::from_secs(2);
/// Between two steps of a node on its way.
const BUSY: Duration = Duration::from_millis(250);
/// Between two steps after failures, at most.
const BACK_OFF: Duration = Duration::from_secs(30);

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: the state folder, the status socket or the clone cannot be used.
pub async fn run(config: LocalConfig) -> Result<(), String> {
    make_private(&config.state)?;
    let started = Instant::now();
    let say = |error: &dyn std::fmt::Display| error.to_string();

    let socket = config.status_socket();
    let listener =
        status::bind(&socket).map_err(|error| format!("cannot listen at {}: {error}", socket.display()))?;
    let keyring = Arc::new(Keyring::default());
    let routing = Arc::new(SelectedRouting::new(
        config.routing_daemons(),
        EmbeddedSpeaker::new(Arc::clone(&keyring)),
        Arc::clone(&keyring),
    ));
    let parts = Parts {
        host: Arc::new(LinuxHost),
        mesh: Arc::new(
            WireGuardMesh::open(&config.state, &config.mesh_interface).map_err(|error| say(&error))?,
        ),
        name_server: Arc::new(SelectedNameServer::new(
            config.daemons(),
            EmbeddedNameServer::open(&config.state, Arc::clone(&keyring)).map_err(|error| say(&error))?,
            Arc::clone(&keyring),
        )),
        routing: routing.clone(),
    };
    let unlocker = Unlocker::new(&config, keyring);
    let catalogs = CatalogReader::open(config.state.clone())?;
    let watch = Watch::new(&config).map_err(|error| say(&error))?;
    let opening = config.clone();
    let follower = tokio::task::spawn_blocking(move || Follower::open(&opening)).await;
    let follower = follower.map_err(|error| say(&error))?.map_err(|error| say(&error))?;
    let followed = follow(watch, follower);

    let published = Arc::new(ArcSwap::from_pointee(Published::starting(&config)));
    let shown = Arc::clone(&published);
    tokio::spawn(status::serve(listener, move || shown.load().whole()));
    info!(node = %config.node, network = %config.network, "started");

    let agent = Agent { config, parts, unlocker, catalogs, started, published };
    tokio::select! {
        () = agent.reconcile(followed) => {}
        signal = end_signal() => info!(signal, "ending"),
    }
    routing.shutdown("the agent ends").await;
    Ok(())
}

struct Agent {
    config: LocalConfig,
    parts: Parts,
    unlocker: Unlocker,
    catalogs: CatalogReader,
    started: Instant,
    published: Arc<ArcSwap<Published>>,
}

impl Agent {
    /// Step after step, for ever.
    async fn reconcile(mut self, mut followed: watch::Receiver<Followed>) {
        let mut reconciler = Reconciler::default();
        let (desire, desired) = watch::channel(None::<Arc<DesiredNode>>);
        let mut health = judge_health(desired);
        let (mut sliced, mut files, mut wanted) = (None, None, None);
        let mut catalogs_changed = false;
        let (mut node, mut locked) = (None, Vec::new());
        let mut settled_after = None;
        let mut failed = 0;
        loop {
            let now = followed.borrow_and_update().clone();
            let verdicts = health.borrow_and_update().clone();
            // A state is sliced once, not at every step: it may hold many thousand zones.
            let revision = now.state.as_ref().map(|state| state.revision());
            if revision != sliced {
                sliced = revision;
                let state = now.state.as_ref();
                files = state.and_then(|state| slice(state.state(), &self.config.node)).map(Arc::new);
                catalogs_changed = true;
            }
            let is_new = std::mem::take(&mut catalogs_changed);
            if is_new {
                wanted = match &files {
                    Some(files) => Some(self.catalogs.merge(files).await),
                    None => None,
                };
            }
            // What could not be decrypted is tried again: the key may have been put back.
            if is_new || !locked.is_empty() {
                (node, locked) = match (&wanted, &now.state) {
                    (Some(wanted), Some(state)) => {
                        let (node, locked) = self.unlocker.unlock(wanted, state.state());
                        (Some(node), locked)
                    }
                    _ => (None, Vec::new()),
                };
            }
            desire.send_if_modified(|before| std::mem::replace(before, node.clone()) != node);

            let mut pause = BUSY;
            let mut facts = Facts::new(&self.config, self.started, &now, &verdicts);
            facts.waits.clone_from(&locked);
            match &node {
                Some(node) => {
                    let step = reconciler.step(&self.parts, node, &verdicts, self.started.elapsed()).await;
                    if step.plan.is_settled() {
                        settled_after.get_or_insert_with(|| self.started.elapsed());
                        pause = CALM;
                    }
                    failed = if step.failures.is_empty() { 0 } else { failed + 1 };
                    if let (Some(files), Some(seen)) = (&files, step.observed.name_server.known()) {
                        let (name_server, now) = (&*self.parts.name_server, self.started.elapsed());
                        catalogs_changed = self.catalogs.look(files, name_server, seen, now).await;
                    }
                    facts.step = Some((node, step));
                }
                None if now.state.is_some() => {
                    facts.waits.push(format!("nodes/{}.yaml is not in the repository", self.config.node))
                }
                None => facts.waits.push("no revision has been verified yet".to_owned()),
            }
            facts.settled_after = settled_after;
            facts.waits.extend(self.catalogs.wait());
            facts.catalogs = self.catalogs.status();
            facts.repaired = reconciler.repaired().cloned().collect();
            self.published.store(Arc::new(facts.publish()));

            if catalogs_changed {
                pause = Duration::ZERO;
            }
            if failed > 0 {
                pause = BACK_OFF.min(BUSY * 2u32.saturating_pow(failed));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = followed.changed() => {}
                Ok(()) = health.changed() => {}
            }
        }
    }
}

/// Follows the repository on a thread of its own, at every trigger of the watch.
fn follow(mut watch: Watch, mut follower: Follower) -> watch::Receiver<Followed> {
    let (sender, receiver) = watch::channel(follower.followed().clone());
    tokio::spawn(async move {
        loop {
            let pass = tokio::task::spawn_blocking(move || {
                let result = follower.pass();
                (follower, result)
            });
            let result = match pass.await {
                Ok((back, result)) => {
                    follower = back;
                    result
                }
                Err(error) => {
                    error!(%error, "following the repository ended; restart the agent");
                    return;
                }
            };
            if let Err(error) = result {
                error!(%error, "the candidate could not be judged");
                let mut followed = follower.followed().clone();
                followed.fetch_error = Some(error.to_string());
                sender.send_replace(followed);
            } else {
                sender.send_replace(follower.followed().clone());
            }
            watch.changed().await;
        }
    });
    receiver
}

/// Probes the name server for as long as there are addresses to probe.
fn judge_health(mut desired: watch::Receiver<Option<Arc<DesiredNode>>>) -> watch::Receiver<Health> {
    let (sender, receiver) = watch::channel(Health::default());
    tokio::spawn(async move {
        loop {
            let node = desired.borrow_and_update().clone();
            let Some(node) = node else {
                if desired.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let sample = probe(&node.service_addresses, &node.name_server.identity, &node.health).await;
            let health = sender.borrow().fold(&node.health, &sample);
            let interval = health.interval(&node.health);
            sender.send_if_modified(|before| std::mem::replace(before, health.clone()) != health);
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                changed = desired.changed() => if changed.is_err() { return },
            }
        }
    });
    receiver
}

/// The state folder holds keys: only its owner may look into it.
fn make_private(state: &Path) -> Result<(), String> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let say = |error: std::io::Error| format!("cannot use the state folder {}: {error}", state.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(say)?;
    let mode = std::fs::metadata(state).map_err(say)?.permissions().mode();
    if mode & 0o077 != 0 {
        warn!(state = %state.display(), mode = format!("{:o}", mode & 0o777), "the state folder was open to others; closing it");
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).map_err(say)?;
    }
    Ok(())
}

async fn end_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        },
        (Err(error), _) | (_, Err(error)) => {
            error!(%error, "signals cannot be caught");
            std::future::pending().await
        }
    }
}
