//! One session, from outside: what it is, what it exchanges, and how it stands. The task that runs it is in `task`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustbgpd_wire::NotificationMessage;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::backoff::RetryPolicy;
use super::connection::Parties;
use super::export::Wanted;
use super::sink::Sink;
use super::socket::Distance;
use crate::routing::{ObservedSession, SessionState};

mod task;

use task::Task;

/// How long a session may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a session is; a change of any of it needs a new one.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) parties: Arc<Parties>,
    pub(super) distance: Distance,
    /// The peer's port.
    pub(super) port: u16,
    /// Whether we connect, or only accept.
    pub(super) active: bool,
    pub(super) retry: RetryPolicy,
}

/// What may change while the session stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    /// What we announce.
    pub(super) wanted: Wanted,
    /// How many prefixes the peer may offer.
    pub(super) receive_limit: Option<usize>,
}

/// What the task hears from outside.
struct Inputs {
    commands: mpsc::Receiver<Command>,
    accepted: mpsc::Receiver<TcpStream>,
}

enum Command {
    Exchange(Exchange, oneshot::Sender<()>),
    Stop(NotificationMessage),
}

/// A running session, from outside.
pub(super) struct Session {
    commands: mpsc::Sender<Command>,
    /// Where its listener brings connections.
    pub(super) accepted: mpsc::Sender<TcpStream>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

impl Session {
    pub(super) fn start(settings: Settings, exchange: Exchange, sink: Sink) -> Self {
        let (commands, commands_in) = mpsc::channel(16);
        let (accepted, accepted_in) = mpsc::channel(4);
        let (status_out, status) = watch::channel(Status::default());
        let inputs = Inputs { commands: commands_in, accepted: accepted_in };
        let task = Task::new(settings, exchange, sink, inputs, status_out);
        Self { commands, accepted, status, task: tokio::spawn(task.run()) }
    }

    /// Changes what is exchanged; the receiver hears when the peer has been told all of it, or there is none.
    pub(super) async fn exchange(&self, exchange: Exchange) -> oneshot::Receiver<()> {
        let (told, hear) = oneshot::channel();
        // If the task is gone, `told` is dropped with the command, and the receiver hears of that.
        let _ = self.commands.send(Command::Exchange(exchange, told)).await;
        hear
    }

    /// Ends it, with a NOTIFICATION to the peer.
    pub(super) async fn stop(mut self, notification: NotificationMessage) {
        let _ = self.commands.send(Command::Stop(notification)).await;
        let _ = timeout(STOP_TIMEOUT, &mut self.task).await;
    }

    /// The session as it is.
    pub(super) fn observe(&self) -> ObservedSession {
        let mut status = self.status.borrow().clone();
        if self.task.is_finished() {
            status.state = SessionState::Idle;
            status.last_error = Some("its task ended unexpectedly; this is a defect".to_owned());
        }
        ObservedSession {
            state: status.state,
            since_s: status.since.elapsed().as_secs(),
            prefixes_sent: status.prefixes_sent,
            routes_discarded: status.routes_discarded,
            last_error: status.last_error,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    state: SessionState,
    since: Instant,
    prefixes_sent: BTreeSet<IpNet>,
    routes_discarded: u64,
    last_error: Option<String>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: SessionState::Idle,
            since: Instant::now(),
            prefixes_sent: BTreeSet::new(),
            routes_discarded: 0,
            last_error: None,
        }
    }
}
