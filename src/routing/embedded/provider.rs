//! The other end of a node's sessions, for a simulated internet: accepts, announces nothing, and reports what it hears.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::backoff::RetryPolicy;
use super::listener::{Expected, Listeners};
use super::negotiation::Parties;
use super::passwords::Password;
use super::session::{Exchange, Session, Settings};
use super::sink::{Reporter, Sink};
use super::socket::Distance;
pub use super::update::ReceivedRoute;
use super::wire::capability::BgpRole;
use super::wire::notification::Notification;
use crate::desired::model::Relation;
use crate::keyring::{Keyring, SecretRef};
use crate::names::Asn;

/// Prefixes that a customer may offer.
const RECEIVE_LIMIT: usize = 1000;

/// A provider: one AS with a session to each customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Its AS number.
    pub asn: Asn,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
    /// Where it listens; 179 in real life.
    pub port: u16,
    /// Its customers; one entry for each session.
    pub customers: Vec<Customer>,
    /// The passwords of sessions that have one (TCP MD5, RFC 2385), by their two ends: the provider's, the customer's.
    pub passwords: BTreeMap<(IpAddr, IpAddr), SecretRef>,
}

impl ProviderConfig {
    fn password(&self, customer: &Customer, keyring: &Arc<Keyring>) -> Option<Password> {
        let secret = self.passwords.get(&(customer.local, customer.neighbor))?;
        Some(Password::new(secret.clone(), keyring))
    }
}

/// One session of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer {
    /// The provider's end.
    pub local: IpAddr,
    /// The customer's end.
    pub neighbor: IpAddr,
    /// The customer's AS number.
    pub asn: Asn,
    /// What the provider is to the customer.
    pub relation: Relation,
    /// Hops to the customer; `None` if it is on the link.
    pub multihop: Option<u8>,
}

/// What happened on one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEvent {
    /// Whose session.
    pub customer: Customer,
    /// What happened.
    pub change: Change,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The session was established; nothing has been offered on it yet.
    Up,
    /// A prefix is offered, or offered with other attributes.
    Announced {
        /// The prefix.
        prefix: IpNet,
        /// How.
        route: ReceivedRoute,
    },
    /// A prefix is no longer offered.
    Withdrawn {
        /// The prefix.
        prefix: IpNet,
    },
    /// The session ended; everything offered on it was reported withdrawn before.
    Down {
        /// From either side.
        why: String,
    },
}

/// Why a provider could not be started.
#[derive(Debug, thiserror::Error)]
#[error("listen for BGP at {address}")]
pub struct ProviderError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A running provider; it ends when dropped, and its connections with it.
pub struct ProviderSpeaker {
    sessions: Vec<Session>,
    _listeners: Listeners,
}

impl ProviderSpeaker {
    /// Listens, in the network namespace of the calling thread, and reports to `events`. It waits while `events` is
    /// full, so read them. Passwords are looked up in the keyring. Needs a tokio runtime.
    ///
    /// # Errors
    /// When one of the local addresses cannot be listened at; then nothing runs.
    pub fn start(
        config: &ProviderConfig,
        keyring: &Arc<Keyring>,
        events: &mpsc::Sender<ProviderEvent>,
    ) -> Result<Self, ProviderError> {
        let mut listeners = Listeners::new(config.port);
        let mut sessions = Vec::with_capacity(config.customers.len());
        let mut routes = BTreeMap::new();
        let runtime = Handle::current();
        let (_, always) = watch::channel(true);
        for customer in &config.customers {
            let sink = Sink::Report(Reporter::new(*customer, events.clone()));
            let exchange = Exchange { receive_limit: Some(RECEIVE_LIMIT), ..Exchange::default() };
            let session =
                Session::start(settings(config, customer, keyring), exchange, sink, &runtime, always.clone());
            let expected = Expected {
                session: session.accepted.clone(),
                distance: Distance::of(customer.multihop),
                password: config.password(customer, keyring),
            };
            routes.insert((customer.local, customer.neighbor), expected);
            sessions.push(session);
        }
        listeners
            .serve_all(routes, &runtime)
            .map_err(|(address, source)| ProviderError { address, source })?;
        Ok(Self { sessions, _listeners: listeners })
    }

    /// Ends all sessions with Cease, Administrative Shutdown, and a message.
    pub async fn shutdown(self, message: &str) {
        let notification = Notification::administrative_shutdown(message);
        let stops = self.sessions.into_iter().map(|session| session.stop(notification.clone()));
        futures_util::future::join_all(stops).await;
    }
}

fn settings(config: &ProviderConfig, customer: &Customer, keyring: &Arc<Keyring>) -> Settings {
    let parties = Parties {
        local: customer.local,
        neighbor: customer.neighbor,
        local_asn: config.asn.get(),
        remote_asn: customer.asn.get(),
        router_id: config.router_id,
        role: match customer.relation {
            Relation::Provider => BgpRole::Provider,
            Relation::Peer => BgpRole::Peer,
            Relation::RouteServer => BgpRole::RouteServer,
        },
        strict_role: false,
    };
    Settings {
        parties: Arc::new(parties),
        distance: Distance::of(customer.multihop),
        port: config.port,
        active: false,
        retry: RetryPolicy::default(),
        password: config.password(customer, keyring),
    }
}
