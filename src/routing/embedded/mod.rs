//! The embedded BGP speaker: external sessions of a stub that announces its own prefixes and keeps nothing.
//!
//! Words: a *session* is configured, between two addresses, for the one family of these; a *connection* is one TCP
//! connection of it, of which there may be two for a moment. What a session *wants* the peer to have comes from the
//! configuration and what is originated; what the peer was *told* is in the connection's Adj-RIB-Out; what it *has*
//! is what was written.
//!
//! ```text
//!  configure, originate ─→ export (pure) ─→ session (task) ─→ connection (no I/O) ─→ link (TCP) ─→ peer
//!                                              ↑    ↓             ↑ outbound, update
//!                                        listener  sink (discards; a provider's reports)
//! ```
//! No graceful restart: when this process ends, the peer must stop sending traffic here. No ADD-PATH: there is one
//! path to everything we announce.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::desired::model::{Import, Relation};
use crate::keyring::Keyring;
use crate::routing::{
    ObservedRouting, Origination, RoutingConfig, RoutingDaemon, RoutingDaemonKind, RoutingError,
    SessionConfig, SessionName, refuse,
};

mod backoff;
mod closure;
mod collision;
mod connection;
mod export;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod jitter;
mod link;
mod listener;
mod negotiation;
mod outbound;
mod passwords;
pub mod provider;
mod session;
mod sink;
mod socket;
mod thread;
mod update;
mod wire;

pub use backoff::RetryPolicy;

use listener::{Expected, Listeners};
use negotiation::Parties;
use passwords::Password;
use session::{Exchange, Session, Settings};
use sink::Sink;
use socket::Distance;
use thread::SpeakerThread;
use wire::capability::BgpRole;
use wire::notification::Notification;

/// Prefixes that a peer may offer unless everything is imported; we keep none of them, so more are a mistake.
const RECEIVE_LIMIT: usize = 10;

/// How long `originate` waits for slow peers; `observe` says what they have.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

/// What the desired state does not say of a speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakerOptions {
    /// The port of both ends.
    pub port: u16,
    /// When sessions try again.
    pub retry: RetryPolicy,
}

impl Default for SpeakerOptions {
    /// Port 179, retries after 1 to 10 s.
    fn default() -> Self {
        Self { port: 179, retry: RetryPolicy::default() }
    }
}

/// The embedded speaker. Its sessions end when it is dropped.
pub struct EmbeddedSpeaker {
    options: SpeakerOptions,
    /// Where sessions find their passwords.
    keyring: Arc<Keyring>,
    state: Mutex<State>,
}

struct State {
    config: Option<RoutingConfig>,
    origination: Origination,
    sessions: BTreeMap<SessionName, Running>,
    listeners: Listeners,
    /// Where all of these run, from the first configuration on; it ends after them.
    thread: Option<SpeakerThread>,
}

struct Running {
    config: SessionConfig,
    session: Session,
}

impl EmbeddedSpeaker {
    /// A speaker without sessions, which find their passwords in the keyring. Configure it in a tokio runtime: when
    /// that is stalled for a hold time, nothing is announced until it runs again.
    pub fn new(keyring: Arc<Keyring>) -> Self {
        Self::with_options(SpeakerOptions::default(), keyring)
    }

    /// Like `new`, with other options.
    pub fn with_options(options: SpeakerOptions, keyring: Arc<Keyring>) -> Self {
        let state = State {
            config: None,
            origination: Origination::new(),
            sessions: BTreeMap::new(),
            listeners: Listeners::new(options.port),
            thread: None,
        };
        Self { options, keyring, state: Mutex::new(state) }
    }

    /// Ends all sessions with Cease, Administrative Shutdown, and `reason` for the peers' operators (RFC 9003; 128
    /// octets at most are sent). Waits for at most 2 s.
    pub async fn shutdown(&self, reason: &str) {
        let mut state = self.state.lock().await;
        state.listeners.close();
        let sessions = std::mem::take(&mut state.sessions).into_values();
        stop(sessions.map(|running| (running, Notification::administrative_shutdown(reason)))).await;
        state.config = None;
        state.origination.clear();
    }
}

impl EmbeddedSpeaker {
    fn password(&self, session: &SessionConfig) -> Option<Password> {
        session.password.clone().map(|secret| Password::new(secret, &self.keyring))
    }

    fn settings(&self, config: &RoutingConfig, session: &SessionConfig) -> Settings {
        let parties = Parties {
            local: session.local,
            neighbor: session.neighbor,
            local_asn: config.asn.get(),
            remote_asn: session.asn.get(),
            router_id: config.router_id,
            role: match session.relation {
                Relation::Provider => BgpRole::Customer,
                Relation::Peer => BgpRole::Peer,
                Relation::RouteServer => BgpRole::RouteServerClient,
            },
            strict_role: session.strict_role,
        };
        Settings {
            parties: Arc::new(parties),
            distance: Distance::of(session.multihop),
            port: self.options.port,
            active: true,
            retry: self.options.retry,
            password: self.password(session),
        }
    }
}

#[async_trait]
impl RoutingDaemon for EmbeddedSpeaker {
    async fn observe(&self) -> Result<ObservedRouting, RoutingError> {
        let state = self.state.lock().await;
        let sessions = state.sessions.iter();
        Ok(ObservedRouting {
            config: state.config.clone(),
            running: RoutingDaemonKind::Embedded,
            fault: None,
            originated: state.origination.clone(),
            sessions: sessions.map(|(name, running)| (name.clone(), running.session.observe())).collect(),
            taken_back: None,
        })
    }

    async fn configure(&self, config: &RoutingConfig) -> Result<(), RoutingError> {
        refuse::check_config(config)?;
        let mut guard = self.state.lock().await;
        let state = &mut *guard;
        let thread = match &mut state.thread {
            Some(thread) => thread,
            thread => thread.insert(SpeakerThread::start().map_err(|error| RoutingError {
                operation: "start the BGP speaker".to_owned(),
                why: error.to_string(),
            })?),
        };
        let before = state.config.replace(config.clone());
        state.origination.retain(|prefix, _| config.prefixes.contains(prefix));

        let mut stopping = Vec::new();
        for (name, running) in std::mem::take(&mut state.sessions) {
            match config.sessions.get(&name) {
                None => stopping.push((running, closure::peer_deconfigured())),
                Some(session)
                    if before.as_ref().is_none_or(|before| resets(before, &running, config, session)) =>
                {
                    stopping.push((running, closure::configuration_change()));
                }
                Some(_) => drop(state.sessions.insert(name, running)),
            }
        }
        stop(stopping).await;

        for (name, session) in &config.sessions {
            if !state.sessions.contains_key(name) {
                let started = Session::start(
                    self.settings(config, session),
                    exchange(config, session, &state.origination),
                    Sink::Discard,
                    thread.runtime(),
                    thread.lively(),
                );
                let running = Running { config: session.clone(), session: started };
                state.sessions.insert(name.clone(), running);
            }
        }
        let expected = state.sessions.values().map(|Running { config, session }| {
            let expected = Expected {
                session: session.accepted.clone(),
                distance: Distance::of(config.multihop),
                password: self.password(config),
            };
            ((config.local, config.neighbor), expected)
        });
        state.listeners.serve(expected.collect(), thread.runtime());
        state.tell().await;
        Ok(())
    }

    async fn originate(&self, origination: &Origination) -> Result<(), RoutingError> {
        let mut state = self.state.lock().await;
        refuse::check_origination(state.config.as_ref(), origination)?;
        state.origination.clone_from(origination);
        state.tell().await;
        Ok(())
    }
}

impl State {
    /// Makes all sessions tell their peers what is wanted now.
    async fn tell(&mut self) {
        let Some(config) = &self.config else { return };
        let mut told = Vec::with_capacity(self.sessions.len());
        for (name, running) in &mut self.sessions {
            if let Some(session) = config.sessions.get(name) {
                running.config = session.clone();
            }
            let exchange = exchange(config, &running.config, &self.origination);
            told.push(running.session.exchange(exchange).await);
        }
        let _ = timeout(TELL_TIMEOUT, join_all(told)).await;
    }
}

async fn stop(sessions: impl IntoIterator<Item = (Running, Notification)>) {
    let stops = sessions.into_iter().map(|(running, notification)| running.session.stop(notification));
    join_all(stops).await;
}

/// Whether a session has to be reset to become what it should be.
fn resets(before: &RoutingConfig, running: &Running, now: &RoutingConfig, session: &SessionConfig) -> bool {
    // Exhaustive, so that a new field is decided upon here.
    let SessionConfig {
        local,
        neighbor,
        asn,
        relation,
        strict_role,
        multihop,
        bfd: _,
        communities: _,
        prepend: _,
        import: _,
        password,
    } = &running.config;
    (before.asn, before.router_id) != (now.asn, now.router_id)
        || (*local, *neighbor, *asn) != (session.local, session.neighbor, session.asn)
        || (*relation, *strict_role) != (session.relation, session.strict_role)
        || *multihop != session.multihop
        || *password != session.password
}

fn exchange(config: &RoutingConfig, session: &SessionConfig, origination: &Origination) -> Exchange {
    Exchange {
        wanted: export::wanted(config, session, origination),
        receive_limit: match session.import {
            Import::Nothing | Import::Default => Some(RECEIVE_LIMIT),
            Import::Full => None,
        },
    }
}
