//! Driver: what the four daemons differ in. A driver decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::{ConfigFile, Place};
use crate::dns::{NameServerConfig, NameServerKind, Pace, ZoneConfig};
use crate::keyring::{CookieSecret, TsigKey};
use crate::names::{DomainName, SecretName};
use crate::process::driver::{DriverError, Reloaded};
use crate::process::{Launch, Version};

/// What a configuration is rendered of. Holds secrets: it goes into files that only the daemon can read, and nowhere
/// else.
pub(crate) struct Setup<'a> {
    /// Where the daemon lives.
    pub(crate) place: &'a Place,
    /// What it should be.
    pub(crate) config: &'a NameServerConfig,
    /// The TSIG keys that this node could decrypt.
    pub(crate) keys: BTreeMap<SecretName, TsigKey>,
    /// What cookies are made with.
    pub(crate) cookie: Option<CookieSecret>,
}

/// Changes to a daemon's zones. Zone files are in their place already.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Zones that it does not have.
    pub(crate) add: Vec<Arc<ZoneConfig>>,
    /// Zones that it has in another form. They must not stop answering.
    pub(crate) modify: Vec<Arc<ZoneConfig>>,
    /// Zones of which only the zone file has changed.
    pub(crate) reload: Vec<Arc<ZoneConfig>>,
    /// Zones to remove, with all that it keeps of them.
    pub(crate) remove: Vec<DomainName>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        let Self { add, modify, reload, remove } = self;
        add.is_empty() && modify.is_empty() && reload.is_empty() && remove.is_empty()
    }

    /// The zones that it touches.
    pub(crate) fn names(&self) -> BTreeSet<DomainName> {
        let Self { add, modify, reload, remove } = self;
        let set = add.iter().chain(modify).chain(reload).map(|zone| zone.name.clone());
        set.chain(remove.iter().cloned()).collect()
    }
}

/// Of a daemon's zones: another one whenever somebody has changed them.
pub(crate) type Mark = Vec<u8>;

/// One daemon's ways.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// Which daemon it is.
    fn kind(&self) -> NameServerKind;

    /// Its name in messages.
    fn title(&self) -> &'static str;

    /// The version that is installed.
    fn version(&self) -> Version;

    /// How it is started, in the foreground.
    fn launch(&self) -> Launch;

    /// The files of its configuration, with paths relative to `Place::etc`. Pure.
    fn render(&self, setup: &Setup<'_>) -> Result<Vec<ConfigFile>, String>;

    /// Has the daemon's own checker read the files, which lie in this folder for the time being.
    async fn check(&self, staged: &Path) -> Result<(), DriverError>;

    /// What has to be there before it can be started: an empty database, say.
    async fn prepare(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// From how many zones on a daemon that has none is better ended, given them by [`Driver::seed`], and started again.
    fn seeds_from(&self) -> usize {
        usize::MAX
    }

    /// Puts zones where the daemon, which does not run, takes them from when it starts. Those that it cannot have are left
    /// out.
    fn seed(&self, _setup: &Setup<'_>, _zones: &[Arc<ZoneConfig>]) -> io::Result<()> {
        Ok(())
    }

    /// Removes what there still is of a seed.
    fn unseed(&self) {}

    /// Makes these files, which have changed, count in the running daemon. Sessions and zones stay.
    async fn reload(&self, setup: &Setup<'_>, changed: &[PathBuf]) -> Result<Reloaded, DriverError>;

    /// The mark of its zones: cheap, whatever their number.
    async fn mark(&self) -> Result<Mark, DriverError>;

    /// The form that a zone of this configuration has in [`Driver::list`]. Pure.
    fn form(&self, zone: &ZoneConfig) -> String;

    /// All its zones with their forms, as the daemon has them.
    async fn list(&self) -> Result<BTreeMap<DomainName, String>, DriverError>;

    /// Those of these zones that it has, with their forms as in [`Driver::list`]. Costs what their number does, however
    /// many others there are.
    async fn look_up(
        &self,
        zones: &BTreeSet<DomainName>,
    ) -> Result<BTreeMap<DomainName, String>, DriverError>;

    /// Changes its zones, all at once where the daemon can. Those that it can change are changed whatever becomes of the
    /// others.
    async fn change(&self, setup: &Setup<'_>, batch: &Batch) -> Result<(), DriverError>;

    /// Zones of one batch at most. A batch is a matter of seconds, and what was done is kept after each.
    fn batch(&self) -> usize {
        1_000
    }

    /// Whether that part of it lives which its answers say nothing of, where it has one. The error says that it hangs.
    /// Cheap: asked at every look.
    async fn is_well(&self) -> Result<(), String> {
        Ok(())
    }

    /// How many queries it has been asked since it started, but for those that `dns::queries` leaves out.
    async fn queries(&self) -> Result<u64, DriverError>;

    /// How often it may be asked for that.
    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    /// Does what the daemon should do, and does not, about zones that it began to answer with an error. Those that are new
    /// here and have no data yet are among them.
    async fn failing(&self, _zones: &BTreeSet<DomainName>) -> Result<(), DriverError> {
        Ok(())
    }

    /// Does what the daemon should do by itself and does not; called at every look, and waits for nobody else.
    async fn tend(&self) -> Result<(), DriverError> {
        Ok(())
    }
}
