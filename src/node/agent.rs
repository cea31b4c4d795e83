//! Agent: the loop that never ends, and the tasks beside it.
//!
//! ```text
//! watch ─trigger→ follower (a thread of its own: fetching may hang) ─Followed→ ┐
//! guard (a task: probes, beats, gate) ─Verdict─────────────────────────────────┼→ step → status
//! the clock ───────────────────────────────────────────────────────────────────┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::archives;
use super::beats::{self, Ear};
use super::catalogs::CatalogReader;
use super::follow::{Followed, Follower, Wanted};
use super::guard::Guard;
use super::manager::{self, Shown, SignsOfLife};
use super::orders::KeptOrders;
use super::parts::Parts;
use super::reconcile::Reconciler;
use super::rollout::KeptRollout;
use super::snapshot::{Facts, Published, gate_status, watchdog_status};
use super::switch::{Switcher, Switches};
use super::unlock::Unlocker;
use super::zones::KeptZones;
use crate::config::LocalConfig;
use crate::desired::slice::{DesiredNode, slice};
use crate::dns::embedded::EmbeddedNameServer;
use crate::dns::{ObservedZone, SelectedNameServer, ZoneTable};
use crate::health::{Gate, Verdict};
use crate::host::LinuxHost;
use crate::keyring::Keyring;
use crate::memory;
use crate::mesh::WireGuardMesh;
use crate::process::one_ended;
use crate::pulse;
use crate::routing::SelectedRouting;
use crate::routing::embedded::EmbeddedSpeaker;
use crate::source::watch::Watch;
use crate::status;
use crate::watchdog::{Keeper, Withdrawal};

/// Between two steps of a settled node: how long drift stands at most, as long as the guard is in time.
const CALM: Duration = Duration::from_secs(2);
/// A settled node makes its step right after the guard's, who wakes the machine up anyway: so much sooner, or up to twice
/// that later.
const LEEWAY: Duration = Duration::from_millis(500);
/// Between two steps of a node on its way.
const BUSY: Duration = Duration::from_millis(250);
/// Between two steps of a node that tries another configuration, or waits for others that do.
const ATTENTIVE: Duration = Duration::from_secs(1);
/// Between two steps after failures, at most.
const BACK_OFF: Duration = Duration::from_secs(30);

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: the state folder, the status socket or the clone cannot be used. When nobody guards any more what
/// is announced.
pub async fn run(config: LocalConfig) -> Result<(), String> {
    make_private(&config.state)?;
    let started = Instant::now();
    let say = |error: &dyn std::fmt::Display| error.to_string();

    let socket = config.status_socket();
    let listener =
        status::bind(&socket).map_err(|error| format!("cannot listen at {}: {error}", socket.display()))?;
    let control = config.control_socket();
    let orders_listener =
        status::bind(&control).map_err(|error| format!("cannot listen at {}: {error}", control.display()))?;
    let orders = KeptOrders::open(&config.state)?;
    let keyring = Arc::new(Keyring::default());
    let routing = Arc::new(SelectedRouting::new(
        config.routing_daemons(),
        EmbeddedSpeaker::new(Arc::clone(&keyring)),
        Arc::clone(&keyring),
    ));
    let mesh = WireGuardMesh::open(&config.state, &config.mesh_interface).map_err(|error| say(&error))?;
    let name_server = SelectedNameServer::new(
        config.daemons(),
        EmbeddedNameServer::open(&config.state, Arc::clone(&keyring)).map_err(|error| say(&error))?,
        Arc::clone(&keyring),
    );
    let parts = Parts::new(Arc::new(LinuxHost), Arc::new(mesh), Arc::new(name_server), routing.clone());
    let unlocker = Unlocker::new(&config, keyring);
    let catalogs = CatalogReader::open(config.state.clone())?;
    let switcher = Switcher::open(&config);
    let watch = Watch::new(&config).map_err(|error| say(&error))?;
    let watchdog_folder = config.watchdog_folder();
    let watchdog = Keeper::new(program()?, &watchdog_folder, config.supervision())
        .map_err(|error| format!("cannot use {}: {error}", watchdog_folder.display()))?;
    if let Some((Withdrawal { why, .. }, age)) = Withdrawal::last(&watchdog_folder) {
        warn!(why, seconds = age, "the watchdog withdrew this node");
    }
    let rollout = KeptRollout::open(&config)?;
    let kept_zones = KeptZones::open(&config)?;
    let wanted = Wanted { configurations: rollout.remembered(), zones: kept_zones.remembered() };
    let opening = config.clone();
    let follower = tokio::task::spawn_blocking(move || Follower::open_with(&opening, wanted)).await;
    let follower = follower.map_err(|error| say(&error))?.map_err(|error| say(&error))?;
    let followed = follow(watch, follower);

    let (desire, desired) = watch::channel(None);
    let (show_zones, zones) = watch::channel(None);
    let gate = watch::Sender::new(Gate::default());
    let ear = Ear::default();
    tokio::spawn(beats::run(
        config.mesh_interface.clone(),
        started,
        desired.clone(),
        gate.subscribe(),
        rollout.beat(),
        ear.clone(),
    ));
    tokio::spawn(archives::run(config.routing_daemons().archives(), routing.clone(), desired.clone()));
    let acting = orders.clone();
    tokio::spawn(status::control::serve(orders_listener, move |order| acting.act(order)));

    let published = Arc::new(ArcSwap::from_pointee(Published::starting(&config)));
    let (shown, judged, heard) = (Arc::clone(&published), gate.subscribe(), ear.clone());
    let fault = watchdog.fault();
    tokio::spawn(status::serve(listener, move || {
        // What the gate says now, not what it said at the last step.
        let gate = gate_status(&judged.borrow(), &heard.heard(), started.elapsed());
        shown.load().whole(gate, watchdog_status(fault.borrow().clone(), &watchdog_folder))
    }));
    info!(node = %config.node, network = %config.network, "started");

    let (parts_of_guard, parting) = (parts.clone(), parts.clone());
    let (following, judged) = (followed.clone(), gate.subscribe());
    let guard = Guard {
        parts: parts_of_guard,
        started,
        orders,
        ear: ear.clone(),
        desired,
        followed: following,
        zones,
        gate,
        watchdog,
        daemons: config.routing_daemons(),
        signs: SignsOfLife::new(),
    };
    let guarding = tokio::spawn(guard.run());
    let agent = Agent {
        config,
        parts,
        unlocker,
        catalogs,
        switcher,
        rollout,
        kept_zones,
        ear,
        started,
        published,
        desire,
        show_zones,
        judged,
    };
    manager::ready();
    let ended = tokio::select! {
        () = agent.reconcile(followed) => Ok(()),
        signal = end_signal() => {
            info!(signal, "ending");
            Ok(())
        }
        // The others rely on what was judged last, so this is no way to go on.
        ended = guarding => Err(format!("the guard has ended: {ended:?}")),
    };
    manager::ending();
    parting.part().await;
    routing.shutdown("the agent ends").await;
    ended
}

struct Agent {
    config: LocalConfig,
    parts: Parts,
    unlocker: Unlocker,
    catalogs: CatalogReader,
    switcher: Switcher,
    rollout: KeptRollout,
    kept_zones: KeptZones,
    ear: Ear,
    started: Instant,
    published: Arc<ArcSwap<Published>>,
    /// What the node should be, for the guard.
    desire: watch::Sender<Option<Arc<DesiredNode>>>,
    /// The zones as they were last seen, for the guard.
    show_zones: watch::Sender<Option<ZoneTable<ObservedZone>>>,
    /// What the guard says.
    judged: watch::Receiver<Gate>,
}

impl Agent {
    /// Step after step, for ever.
    async fn reconcile(mut self, mut followed: watch::Receiver<Followed>) {
        let mut reconciler = Reconciler::default();
        let (mut sliced, mut files, mut wanted) = (None, None, None);
        let mut catalogs_changed = false;
        let (mut node, mut locked) = (None, Vec::new());
        let (mut settled_after, mut was_settled) = (None, false);
        let (mut failed, mut shown) = (0, Shown::default());
        loop {
            let mut now = followed.borrow_and_update().clone();
            let verdict = self.judged.borrow_and_update().verdict().clone();
            // What is to run may be of several revisions.
            let elapsed = self.started.elapsed();
            let state = self.kept_zones.decide(&now, verdict.frozen.as_deref(), elapsed);
            now.state = state.map(|state| self.rollout.decide(&state, &now, &self.ear.heard(), elapsed));
            // A state is sliced once, not at every step: it may hold many thousand zones.
            let id = now.state.as_ref().map(|state| state.id());
            if id != sliced {
                sliced = id;
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
            // Which daemons run may differ from what is wanted for a while.
            let (node, switches) = match (&node, &now.state) {
                (Some(node), Some(state)) => {
                    let (node, switches) =
                        self.switcher.steer(state.state(), node, self.started.elapsed()).await;
                    (Some(node), switches)
                }
                _ => (None, Switches::default()),
            };
            self.desire.send_if_modified(|before| std::mem::replace(before, node.clone()) != node);

            let mut pause = BUSY;
            let mut facts = Facts::new(&self.config, self.started, &now);
            facts.waits.clone_from(&locked);
            facts.waits.extend(switches.waits.iter().cloned());
            match &node {
                Some(node) => {
                    let judged = self.judged.clone();
                    let step = reconciler.step(&self.parts, node, || judged.borrow().verdict().clone()).await;
                    self.rollout.look(node, &step, self.judged.borrow().verdict(), &switches);
                    if let Some(seen) = step.observed.name_server.known() {
                        let zones = Some(seen.zones.clone());
                        self.show_zones
                            .send_if_modified(|before| std::mem::replace(before, zones.clone()) != zones);
                    }
                    self.switcher.look(node, &step, &self.judged.borrow(), self.started.elapsed());
                    let is_settled = step.plan.is_settled();
                    if is_settled {
                        settled_after.get_or_insert_with(|| self.started.elapsed());
                        pause = CALM;
                    }
                    if is_settled && !was_settled {
                        memory::give_back();
                    }
                    was_settled = is_settled;
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
            facts.waits.extend(self.catalogs.wait().into_iter().chain(self.rollout.waits()));
            facts.waits.extend(self.kept_zones.waits());
            facts.zones_of = self.kept_zones.returned_to();
            facts.rollout = self.rollout.status(self.started.elapsed());
            facts.catalogs = self.catalogs.status();
            facts.repaired = reconciler.repaired().cloned().collect();
            let published = facts.publish();
            shown.show(published.in_short());
            self.published.store(Arc::new(published));

            if catalogs_changed {
                pause = Duration::ZERO;
            }
            if failed > 0 {
                pause = BACK_OFF.min(BUSY * 2u32.saturating_pow(failed));
            }
            pause = pause.min(self.switcher.left(self.started.elapsed()));
            if self.rollout.is_under_way() {
                pause = pause.min(ATTENTIVE);
            }
            let now = tokio::time::Instant::now();
            let (soon, late) = match pause {
                CALM => (now + CALM - LEEWAY, now + CALM + 2 * LEEWAY),
                _ => (now + pause, pulse::within(pause)),
            };
            tokio::select! {
                () = tokio::time::sleep_until(late) => {}
                Ok(()) = followed.changed() => {}
                () = moved(&mut self.judged, &verdict, soon) => {}
                () = self.parts.edge_moved() => {}
                () = one_ended() => self.parts.doubt_edge(),
            }
        }
    }
}

/// Waits until the gate says something else than this, or, once it is time, until it says anything. How long something still
/// takes is nothing else.
async fn moved(judged: &mut watch::Receiver<Gate>, before: &Verdict, soon: tokio::time::Instant) {
    let says_else =
        |gate: &Gate| gate.verdict().states != before.states || gate.verdict().fenced != before.fenced;
    while !says_else(&judged.borrow_and_update()) {
        if judged.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if tokio::time::Instant::now() >= soon {
            return;
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

/// This very binary; after an upgrade, the one that has taken its place.
fn program() -> Result<PathBuf, String> {
    let path =
        std::env::current_exe().map_err(|error| format!("cannot tell what this program is: {error}"))?;
    // As the kernel names one that is not there any more.
    let before = path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(before.filter(|_| !path.is_file()).unwrap_or(path))
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
