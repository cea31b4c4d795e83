//! The name server that a node has selected: one of the five, and another one when the node's file says so.
//!
//! It does as it is told: that a node announces nothing while it switches is seen to elsewhere (`switch`). A daemon that
//! is not there to be started is not waited for: the embedded name server answers in its place, and says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tracing::{info, warn};

use super::bind::Bind;
use super::embedded::EmbeddedNameServer;
use super::embedded::zone::Zone;
use super::external::{Driver, ExternalNameServer, Place};
use super::knot::Knot;
use super::nsd::Nsd;
use super::powerdns::PowerDns;
use super::{
    NameServer, NameServerConfig, NameServerError, NameServerKind, ObservedNameServer, Pace, Serials,
    ZoneChanges,
};
use crate::keyring::Keyring;
use crate::names::{DomainName, Serial};
use crate::process::{DaemonUser, ProcessError, ProcessState, Supervision};

/// How long a daemon that is not selected any more may take to end.
const END: Duration = Duration::from_secs(10);

/// Where and how daemons run.
#[derive(Debug, Clone)]
pub struct Daemons {
    /// Each has a folder of its name in this one. Open to their users, so it is none of the agent's own.
    pub folder: PathBuf,
    /// Where a name server answers the agent.
    pub local: SocketAddr,
    /// How they are started.
    pub supervision: Supervision,
}

impl Daemons {
    /// Where a name server answers the agent unless something else is said: no resolver of the machine listens there.
    pub const LOCAL: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 53, 0, 1)), 53);

    /// The daemon of this kind; `None` where it is not installed.
    pub async fn open(
        &self,
        kind: NameServerKind,
        keyring: &Arc<Keyring>,
    ) -> Result<Option<ExternalNameServer>, NameServerError> {
        let Some((place, driver)) = self.find(kind).await else { return Ok(None) };
        let process = self.supervision.process(&kind.to_string(), &place.folder);
        ExternalNameServer::open(driver, place, process, Arc::clone(keyring)).map(Some)
    }

    /// Whether one of this kind could be started.
    pub async fn is_installed(&self, kind: NameServerKind) -> bool {
        kind == NameServerKind::Embedded || self.find(kind).await.is_some()
    }

    async fn find(&self, kind: NameServerKind) -> Option<(Place, Box<dyn Driver>)> {
        let user = match kind {
            NameServerKind::Embedded => return None,
            NameServerKind::Bind => "bind",
            NameServerKind::Nsd => "nsd",
            NameServerKind::Knot => "knot",
            NameServerKind::Powerdns => "pdns",
        };
        let folder = self.folder.join(kind.to_string());
        let place = Place { folder, local: self.local, user: DaemonUser::of(user) };
        let driver: Box<dyn Driver> = match kind {
            NameServerKind::Embedded => return None,
            NameServerKind::Bind => Box::new(Bind::find(place.clone()).await?),
            NameServerKind::Nsd => Box::new(Nsd::find(place.clone()).await?),
            NameServerKind::Knot => Box::new(Knot::find(place.clone()).await?),
            NameServerKind::Powerdns => Box::new(PowerDns::find(place.clone()).await?),
        };
        Some((place, driver))
    }

    /// Ends the daemons of other kinds that an agent before this one may have left running, when another was selected.
    async fn end_others(&self, kind: NameServerKind) -> Result<(), NameServerError> {
        let failed = |error: ProcessError| NameServerError { operation: error.operation, why: error.why };
        let all = [NameServerKind::Bind, NameServerKind::Nsd, NameServerKind::Knot, NameServerKind::Powerdns];
        for other in all.into_iter().filter(|other| *other != kind) {
            let name = other.to_string();
            let process = self.supervision.process(&name, &self.folder.join(&name));
            if process.state().await.map_err(failed)? != ProcessState::Stopped {
                warn!(daemon = name, "it is not selected any more; ending it");
                process.end(END).await.map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// The name server of a node, whichever it is now.
pub struct SelectedNameServer {
    daemons: Daemons,
    keyring: Arc<Keyring>,
    embedded: Arc<EmbeddedNameServer>,
    current: Mutex<Current>,
}

/// Which one that is.
#[derive(Clone)]
struct Current {
    /// What was selected last, if anything was.
    selected: Option<NameServerKind>,
    /// The daemon; `None` for the embedded one.
    external: Option<Arc<ExternalNameServer>>,
}

impl SelectedNameServer {
    /// Nothing runs until it is configured.
    pub fn new(daemons: Daemons, embedded: EmbeddedNameServer, keyring: Arc<Keyring>) -> Self {
        let current = Mutex::new(Current { selected: None, external: None });
        Self { daemons, keyring, embedded: Arc::new(embedded), current }
    }

    fn current(&self) -> Current {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn server(&self) -> Arc<dyn NameServer> {
        match self.current().external {
            Some(external) => external,
            None => Arc::clone(&self.embedded) as Arc<dyn NameServer>,
        }
    }

    /// Ends the one that runs, and makes the other one ready.
    async fn change_to(
        &self,
        kind: NameServerKind,
        config: &NameServerConfig,
    ) -> Result<(), NameServerError> {
        let before = self.current();
        let external = self.daemons.open(kind, &self.keyring).await?.map(Arc::new);
        if external.is_none() && kind != NameServerKind::Embedded {
            warn!(selected = ?kind, "it is not installed; the embedded name server answers in its place");
        }
        match (&before.external, before.selected) {
            (None, None) => self.daemons.end_others(kind).await?,
            (Some(before), _) => before.end().await?,
            (None, Some(_)) if external.is_some() => {
                let silent = NameServerConfig { listen: [].into(), ..config.clone() };
                self.embedded.configure(&silent).await?;
            }
            (None, _) => {}
        }
        info!(selected = ?kind, "this name server answers from now on");
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Current { selected: Some(kind), external };
        Ok(())
    }
}

#[async_trait]
impl NameServer for SelectedNameServer {
    async fn observe(&self) -> Result<ObservedNameServer, NameServerError> {
        self.server().observe().await
    }

    async fn configure(&self, config: &NameServerConfig) -> Result<(), NameServerError> {
        if self.current().selected != Some(config.daemon) {
            self.change_to(config.daemon, config).await?;
        }
        self.server().configure(config).await
    }

    async fn apply(&self, changes: &ZoneChanges) -> Result<(), NameServerError> {
        self.server().apply(changes).await
    }

    async fn serials(&self, zones: &[DomainName], patience: Duration) -> Result<Serials, NameServerError> {
        self.server().serials(zones, patience).await
    }

    async fn queries(&self) -> Result<u64, NameServerError> {
        self.server().queries().await
    }

    fn pace(&self) -> Pace {
        self.server().pace()
    }

    async fn zone(
        &self,
        apex: &DomainName,
        have: Option<Serial>,
    ) -> Result<Option<Arc<Zone>>, NameServerError> {
        self.server().zone(apex, have).await
    }
}
