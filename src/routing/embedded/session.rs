//! One session, from outside: what it is, what it exchanges, and how it stands. The task that runs it is in `task`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::backoff::RetryPolicy;
use super::connection::Counts;
use super::export::Wanted;
use super::negotiation::{Agreement, Parties};
use super::passwords::Password;
use super::sink::Sink;
use super::socket::Distance;
use super::wire::notification::Notification;
use crate::routing::{Negotiated, NotificationSeen, ObservedSession, SessionState};

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
    /// What its connections are signed with.
    pub(super) password: Option<Password>,
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
    /// While the process gives no sign of life, nothing is announced.
    lively: watch::Receiver<bool>,
}

enum Command {
    Exchange(Exchange, oneshot::Sender<()>),
    Stop(Notification),
}

/// A running session, from outside.
pub(super) struct Session {
    parties: Arc<Parties>,
    commands: mpsc::Sender<Command>,
    /// Where its listener brings connections.
    pub(super) accepted: mpsc::Sender<TcpStream>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

impl Session {
    /// Starts it on `runtime`; it announces while `lively` is true.
    pub(super) fn start(
        settings: Settings,
        exchange: Exchange,
        sink: Sink,
        runtime: &Handle,
        lively: watch::Receiver<bool>,
    ) -> Self {
        let (commands, commands_in) = mpsc::channel(16);
        let (accepted, accepted_in) = mpsc::channel(4);
        let (status_out, status) = watch::channel(Status::default());
        let inputs = Inputs { commands: commands_in, accepted: accepted_in, lively };
        let parties = Arc::clone(&settings.parties);
        let task = Task::new(settings, exchange, sink, inputs, status_out);
        Self { parties, commands, accepted, status, task: runtime.spawn(task.run()) }
    }

    /// Changes what is exchanged; the receiver hears when the peer has been told all of it, or there is none.
    pub(super) async fn exchange(&self, exchange: Exchange) -> oneshot::Receiver<()> {
        let (told, hear) = oneshot::channel();
        // If the task is gone, `told` is dropped with the command, and the receiver hears of that.
        let _ = self.commands.send(Command::Exchange(exchange, told)).await;
        hear
    }

    /// Ends it, with a NOTIFICATION to the peer.
    pub(super) async fn stop(mut self, notification: Notification) {
        let _ = self.commands.send(Command::Stop(notification)).await;
        let _ = timeout(STOP_TIMEOUT, &mut self.task).await;
    }

    /// The session as it is.
    pub(super) fn observe(&self) -> ObservedSession {
        let status = self.status.borrow().clone();
        let defect = self.task.is_finished();
        let until = |at: Instant| at.saturating_duration_since(Instant::now()).as_secs();
        ObservedSession {
            local: self.parties.local,
            neighbor: self.parties.neighbor,
            asn: self.parties.remote_asn,
            state: if defect { SessionState::Idle } else { status.state },
            since_s: status.since.elapsed().as_secs(),
            retry_in_s: status.retry_at.map(until),
            prefixes_sent: status.prefixes_sent,
            routes_discarded: status.routes_discarded,
            updates_malformed: status.updates_malformed,
            losses: status.losses,
            messages_received: status.counts.received,
            messages_sent: status.counts.sent,
            negotiated: status.agreement.as_ref().map(negotiated),
            bfd: None,
            notification_sent: status.notification_sent.map(Heard::seen),
            notification_received: status.notification_received.map(Heard::seen),
            last_error: if defect {
                Some("its task ended unexpectedly; this is a defect".to_owned())
            } else {
                status.last_error
            },
        }
    }
}

fn negotiated(agreement: &Agreement) -> Negotiated {
    let keepalive = agreement.keepalive().unwrap_or_default();
    Negotiated {
        identifier: agreement.identifier,
        hold_time_s: agreement.hold_time.as_secs(),
        keepalive_s: keepalive.as_secs(),
        capabilities: agreement.capabilities.iter().map(ToString::to_string).collect(),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A NOTIFICATION, and when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    text: String,
    at: Instant,
}

impl Heard {
    fn seen(self) -> NotificationSeen {
        NotificationSeen { text: self.text, age_s: self.at.elapsed().as_secs() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    state: SessionState,
    since: Instant,
    retry_at: Option<Instant>,
    prefixes_sent: BTreeSet<IpNet>,
    routes_discarded: u64,
    updates_malformed: u64,
    losses: u64,
    counts: Counts,
    agreement: Option<Agreement>,
    notification_sent: Option<Heard>,
    notification_received: Option<Heard>,
    last_error: Option<String>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            state: SessionState::Idle,
            since: Instant::now(),
            retry_at: None,
            prefixes_sent: BTreeSet::new(),
            routes_discarded: 0,
            updates_malformed: 0,
            losses: 0,
            counts: Counts::default(),
            agreement: None,
            notification_sent: None,
            notification_received: None,
            last_error: None,
        }
    }
}
