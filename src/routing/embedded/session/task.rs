//! The task of a session: connects, accepts, and keeps at most one connection established.
//!
//! ```text
//!    ┌──────────── wait, with back-off ←─────────────────────────┐
//!    ↓                                                           │
//!  Active ──→ Connect ──→ a connection of ours ────┐             │
//!    │                    (OpenSent, OpenConfirm)  ├──→ Established
//!    └──── accepted ────→ a connection of theirs ──┘             │
//!  Idle ←──── too many prefixes; after a long wait, Active ──────┘
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::{Command, Exchange, Heard, Inputs, Settings, Status};
use crate::routing::embedded::backoff::Backoff;
use crate::routing::embedded::closure::{self, Closure, Said};
use crate::routing::embedded::collision::{self, Opener};
use crate::routing::embedded::connection::{Connection, Counts, Event};
use crate::routing::embedded::export::Wanted;
use crate::routing::embedded::link::{Link, refuse, wait_until};
use crate::routing::embedded::negotiation::Parties;
use crate::routing::embedded::sink::Sink;
use crate::routing::embedded::socket;
use crate::routing::embedded::update::{Mended, Offer};
use crate::routing::embedded::wire::MAX_MESSAGE;
use crate::routing::embedded::wire::notification::Notification;
use crate::routing::{HOLD_TIME, SessionState};

/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that may be ending at a time.
const FAREWELLS: usize = 16;

/// Prefixes that are named in a line of the log.
const SHOWN: usize = 10;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

enum Happening {
    Command(Option<Command>),
    Link(Opener, Vec<Event>),
    Accepted(TcpStream),
    Connected(io::Result<TcpStream>),
    Retry,
    /// The process stopped giving signs of life, or gives them again.
    Lively,
}

pub(super) struct Task {
    settings: Settings,
    exchange: Exchange,
    sink: Sink,
    commands: mpsc::Receiver<Command>,
    accepted: mpsc::Receiver<TcpStream>,
    lively: watch::Receiver<bool>,
    status: watch::Sender<Status>,
    /// The connection that we opened.
    ours: Option<Link>,
    /// The connection that the peer opened.
    theirs: Option<Link>,
    connecting: Option<Connecting>,
    retry_at: Option<Instant>,
    backoff: Backoff,
    /// Idle until then.
    held_until: Option<Instant>,
    /// Which connection is established, and since when.
    established: Option<(Opener, Instant)>,
    /// Those who want to hear when the peer has been told everything.
    waiting: Vec<oneshot::Sender<()>>,
    routes_discarded: u64,
    updates_malformed: u64,
    /// A malformed UPDATE was logged since the session was established.
    reported: bool,
    losses: u64,
    /// Messages of connections that are over.
    counts: Counts,
    farewells: Arc<Semaphore>,
    notification_sent: Option<Heard>,
    notification_received: Option<Heard>,
    closed_because: Option<String>,
    unreachable_because: Option<String>,
}

impl Task {
    pub(super) fn new(
        settings: Settings,
        exchange: Exchange,
        sink: Sink,
        inputs: Inputs,
        status: watch::Sender<Status>,
    ) -> Self {
        Self {
            backoff: Backoff::new(settings.retry),
            retry_at: settings.active.then(Instant::now),
            settings,
            exchange,
            sink,
            commands: inputs.commands,
            accepted: inputs.accepted,
            lively: inputs.lively,
            status,
            ours: None,
            theirs: None,
            connecting: None,
            held_until: None,
            established: None,
            waiting: Vec::new(),
            routes_discarded: 0,
            updates_malformed: 0,
            reported: false,
            losses: 0,
            counts: Counts::default(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
            notification_sent: None,
            notification_received: None,
            closed_because: None,
            unreachable_because: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.advertise();
            self.publish();
            self.tell();
            let happening = tokio::select! {
                biased;
                command = self.commands.recv() => Happening::Command(command),
                events = turn(&mut self.ours) => Happening::Link(Opener::Us, events),
                events = turn(&mut self.theirs) => Happening::Link(Opener::Them, events),
                Some(stream) = self.accepted.recv() => Happening::Accepted(stream),
                connected = finished(&mut self.connecting) => Happening::Connected(connected),
                // A provider's never changes.
                Ok(()) = self.lively.changed() => Happening::Lively,
                () = wait_until(self.retry_at) => Happening::Retry,
            };
            match happening {
                Happening::Command(Some(Command::Exchange(exchange, told))) => {
                    self.change(exchange);
                    self.waiting.push(told);
                }
                Happening::Command(Some(Command::Stop(notification))) => {
                    return self.stop(notification).await;
                }
                Happening::Command(None) => return,
                Happening::Link(opener, events) => self.happened(opener, events).await,
                Happening::Accepted(stream) => self.accept(stream).await,
                Happening::Connected(connected) => self.connected(connected).await,
                Happening::Retry => self.connect().await,
                Happening::Lively => {}
            }
        }
    }

    fn links(&mut self) -> impl Iterator<Item = &mut Link> {
        self.ours.iter_mut().chain(self.theirs.iter_mut())
    }

    fn link(&mut self, opener: Opener) -> &mut Option<Link> {
        match opener {
            Opener::Us => &mut self.ours,
            Opener::Them => &mut self.theirs,
        }
    }

    fn change(&mut self, exchange: Exchange) {
        for link in self.links() {
            link.connection.limit_offer(exchange.receive_limit);
        }
        if exchange.receive_limit != self.exchange.receive_limit && self.held_until.take().is_some() {
            self.backoff.reset();
            self.retry_at = self.settings.active.then(Instant::now);
        }
        self.exchange = exchange;
    }

    fn advertise(&mut self) {
        let now = Instant::now();
        let nothing = Wanted::new();
        let wanted = if *self.lively.borrow() { &self.exchange.wanted } else { &nothing };
        for link in self.ours.iter_mut().chain(self.theirs.iter_mut()) {
            link.connection.advertise(wanted, now);
        }
    }

    /// Tells whoever waits for it that the peer has been told; after it can be observed.
    fn tell(&mut self) {
        if self.links().all(|link| link.connection.has_told_all()) {
            for told in self.waiting.drain(..) {
                // Whoever asked may have given up.
                let _ = told.send(());
            }
        }
    }

    fn publish(&mut self) {
        let state = self.state();
        let established = self.established.map(|(opener, _)| opener);
        let link = established.and_then(|opener| self.link(opener).as_ref());
        let prefixes_sent = link.map(|link| link.connection.written().clone()).unwrap_or_default();
        let agreement = link.and_then(|link| link.connection.agreement().cloned());
        let counts = self.links().fold(Counts::default(), |sum, link| sum.plus(link.connection.counts()));
        let mut new = Status {
            state,
            since: Instant::now(),
            retry_at: self.retry_at,
            prefixes_sent,
            routes_discarded: self.routes_discarded,
            updates_malformed: self.updates_malformed,
            losses: self.losses,
            counts: counts.plus(self.counts),
            agreement,
            notification_sent: self.notification_sent.clone(),
            notification_received: self.notification_received.clone(),
            // Why it cannot be opened is newer than why it was closed: it is forgotten once TCP is up.
            last_error: self.unreachable_because.as_ref().or(self.closed_because.as_ref()).cloned(),
        };
        self.status.send_if_modified(|status| {
            if status.state == state {
                new.since = status.since;
            }
            let modified = *status != new;
            *status = new;
            modified
        });
    }

    fn state(&self) -> SessionState {
        match self.ours.iter().chain(&self.theirs).map(|link| link.connection.state()).max() {
            Some(state) => state,
            None if self.connecting.is_some() => SessionState::Connect,
            None if self.is_held() => SessionState::Idle,
            None => SessionState::Active,
        }
    }

    fn is_held(&self) -> bool {
        self.held_until.is_some_and(|until| until > Instant::now())
    }

    /// Begins to connect, unless there is a connection already. One on which the peer says nothing is none: it may have
    /// forgotten that it opened it.
    async fn connect(&mut self) {
        self.retry_at = None;
        let speaks = |link: &Link| link.connection.state() > SessionState::OpenSent;
        if self.ours.is_some() || self.theirs.as_ref().is_some_and(speaks) {
            return;
        }
        let password = match self.settings.password.as_ref().map(|password| password.value()).transpose() {
            Ok(password) => password,
            // Never unprotected: it stays down until the password is there.
            Err(error) => return self.connected(Err(error)).await,
        };
        let parties = Arc::clone(&self.settings.parties);
        let remote = SocketAddr::new(parties.neighbor, self.settings.port);
        let distance = self.settings.distance;
        self.connecting = Some(Box::pin(async move {
            let connecting = socket::connect(parties.local, remote, distance, password);
            timeout(CONNECT_TIMEOUT, connecting)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
        }));
    }

    async fn connected(&mut self, connected: io::Result<TcpStream>) {
        self.connecting = None;
        match connected {
            Ok(stream) => self.opened(Opener::Us, stream).await,
            Err(error) => {
                let neighbor = self.settings.parties.neighbor;
                debug!(%neighbor, %error, "cannot connect");
                self.unreachable_because = Some(format!("cannot connect to {neighbor}: {error}"));
                self.try_again();
            }
        }
    }

    async fn accept(&mut self, stream: TcpStream) {
        let neighbor = self.settings.parties.neighbor;
        // RFC 4271 section 6.8: an established connection stays.
        let refusal = if self.is_held() {
            Some(closure::connection_rejected())
        } else {
            self.established.map(|_| closure::collision())
        };
        if let Some(refusal) = refusal {
            debug!(%neighbor, why = closure::describe(&refusal), "refused a connection");
            return self.part(refuse(stream, refusal));
        }
        let password = self.settings.password.as_ref().map(|password| password.value()).transpose();
        let accepted = password.and_then(|password| {
            socket::accepted(&stream, neighbor, self.settings.distance, password.as_ref())
        });
        match accepted {
            Ok(()) => self.opened(Opener::Them, stream).await,
            Err(error) => warn!(%neighbor, %error, "cannot set up a connection"),
        }
    }

    async fn opened(&mut self, opener: Opener, stream: TcpStream) {
        self.unreachable_because = None;
        // The peer opens one at a time: of two, it has given up the older.
        self.close(opener, closure::collision()).await;
        let parties = Arc::clone(&self.settings.parties);
        let connection = Connection::open(parties, self.exchange.receive_limit, Instant::now());
        *self.link(opener) = Some(Link::new(stream, connection));
    }

    async fn happened(&mut self, opener: Opener, events: Vec<Event>) {
        for event in events {
            if self.link(opener).is_none() {
                return;
            }
            match event {
                Event::Opened(agreement) => self.resolve_collision(opener, agreement.identifier).await,
                Event::Established => self.establish(opener).await,
                Event::Offered(offer) => self.offered(offer).await,
                Event::Closed(closure) => self.closed(opener, closure).await,
            }
        }
    }

    async fn offered(&mut self, offer: Offer) {
        if let Some(mended) = &offer.mended {
            self.report(mended, if mended.withdrawn { &offer.withdrawn } else { &offer.announced });
        }
        let discarded = self.sink.offer(offer).await;
        self.routes_discarded += u64::try_from(discarded).unwrap_or(u64::MAX);
    }

    /// RFC 7606 section 6: the whole message, and the prefixes in it. Once, so that a peer cannot fill the log.
    fn report(&mut self, mended: &Mended, prefixes: &[IpNet]) {
        let neighbor = self.settings.parties.neighbor;
        let instead_of = closure::describe(&mended.fault);
        let prefixes = &prefixes[..prefixes.len().min(SHOWN)];
        if std::mem::replace(&mut self.reported, true) {
            debug!(%neighbor, withdrawn = mended.withdrawn, instead_of, ?prefixes, "malformed UPDATE");
        } else {
            let update = closure::hexadecimal(&mended.body, MAX_MESSAGE);
            warn!(
                %neighbor, withdrawn = mended.withdrawn, instead_of, ?prefixes, update,
                "malformed UPDATE; further ones of this session are counted, and logged at level debug"
            );
        }
        self.updates_malformed += 1;
    }

    /// RFC 4271 section 6.8, when the peer's OPEN has arrived on `opener`'s connection.
    async fn resolve_collision(&mut self, opener: Opener, identifier: Ipv4Addr) {
        let Some(other) = self.link(opener.other()).as_ref().map(|link| link.connection.state()) else {
            return;
        };
        let parties = &self.settings.parties;
        let local = (parties.router_id, parties.local_asn);
        let loser = collision::loser(opener, other, local, (identifier, parties.remote_asn));
        if let Some(loser) = loser {
            self.close(loser, closure::collision()).await;
        }
    }

    async fn establish(&mut self, opener: Opener) {
        self.close(opener.other(), closure::collision()).await;
        self.established = Some((opener, Instant::now()));
        (self.connecting, self.retry_at) = (None, None);
        (self.routes_discarded, self.reported) = (0, false);
        let Parties { neighbor, remote_asn, .. } = *self.settings.parties;
        info!(%neighbor, asn = remote_asn, "BGP session established");
        self.sink.up().await;
    }

    /// Closes a connection, if there is one.
    async fn close(&mut self, opener: Opener, notification: Notification) {
        if let Some(link) = self.link(opener) {
            link.connection.stop(notification, Instant::now());
            for event in link.connection.take_events() {
                if let Event::Closed(closure) = event {
                    self.closed(opener, closure).await;
                }
            }
        }
    }

    async fn closed(&mut self, opener: Opener, closure: Closure) {
        let Some(link) = self.link(opener).take() else { return };
        self.counts = self.counts.plus(link.connection.counts());
        self.part(link.farewell());
        if let Some(said) = closure.said {
            let heard = Some(Heard { text: closure.why.clone(), at: Instant::now() });
            match said {
                Said::ByUs => self.notification_sent = heard,
                Said::ByThem => self.notification_received = heard,
            }
        }
        if let Some((_, since)) = self.established.take_if(|(established, _)| *established == opener) {
            let neighbor = self.settings.parties.neighbor;
            warn!(%neighbor, why = closure.why, "BGP session lost");
            if since.elapsed() >= HOLD_TIME {
                self.backoff.reset();
            }
            self.losses += 1;
            self.sink.down(&closure.why).await;
        }
        if self.ours.is_some() || self.theirs.is_some() {
            return;
        }
        if closure.hold_off {
            self.held_until = Some(Instant::now() + self.backoff.hold_off());
            self.connecting = None;
        }
        self.closed_because = Some(closure.why);
        self.try_again();
    }

    /// Lets a connection end in peace, unless too many do already: a peer that opens one after the other must not keep
    /// them all open.
    fn part(&self, farewell: impl Future<Output = ()> + Send + 'static) {
        if let Ok(permit) = Arc::clone(&self.farewells).try_acquire_owned() {
            tokio::spawn(async move {
                farewell.await;
                drop(permit);
            });
        }
    }

    fn try_again(&mut self) {
        if self.settings.active && self.connecting.is_none() {
            let wait = Instant::now() + self.backoff.wait();
            self.retry_at = Some(self.held_until.map_or(wait, |held| held.max(wait)));
        }
    }

    async fn stop(mut self, notification: Notification) {
        for mut link in [self.ours.take(), self.theirs.take()].into_iter().flatten() {
            link.connection.stop(notification.clone(), Instant::now());
            link.farewell().await;
        }
        if self.established.is_some() {
            let Parties { neighbor, remote_asn, .. } = *self.settings.parties;
            let Closure { why, .. } = Closure::sent(&notification);
            info!(%neighbor, asn = remote_asn, why, "BGP session ended");
            self.sink.down(&why).await;
        }
    }
}

async fn turn(link: &mut Option<Link>) -> Vec<Event> {
    match link {
        Some(link) => link.turn().await,
        None => std::future::pending().await,
    }
}

async fn finished(connecting: &mut Option<Connecting>) -> io::Result<TcpStream> {
    match connecting {
        Some(connecting) => connecting.await,
        None => std::future::pending().await,
    }
}
