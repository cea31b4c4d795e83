//! Watch: when to look at the repository again.
//!
//! A repository on this machine is watched (inotify), and looked at again every other second, since it may vanish, come
//! back, or be on a file system that reports nothing. A remote one is polled. Both only trigger: what is there is
//! found out by fetching.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::SourceError;
use super::transport::Address;
use crate::config::LocalConfig;
use crate::pulse;

/// Between two looks at a repository on this machine.
const LOOK: Duration = Duration::from_secs(2);

/// Watches one repository.
pub struct Watch {
    kind: Kind,
}

enum Kind {
    Local(Box<Local>),
    Remote { poll: Duration },
}

/// A repository on this machine.
struct Local {
    /// What the configuration names: a bare repository or a checkout.
    path: PathBuf,
    branch: String,
    changed: Arc<Notify>,
    /// What is watched, and by what; `None` while there is nothing to watch.
    watcher: Option<(Place, RecommendedWatcher)>,
    /// What was seen at the last look.
    seen: Seen,
}

/// A folder at one time: the device and inode tell it from one that took its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// What a push changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    branch: Option<Vec<u8>>,
    packed: Option<(u64, u64, SystemTime)>,
}

impl Watch {
    /// Begins to watch the repository of `config`: what changes from now on triggers.
    ///
    /// # Errors
    /// [`SourceError::Address`].
    pub fn new(config: &LocalConfig) -> Result<Self, SourceError> {
        let kind = match config.repository.parse()? {
            Address::Local(path) => Kind::Local(Box::new(Local::new(path, config.branch.clone()))),
            Address::Http(_) | Address::Ssh(_) => {
                Kind::Remote { poll: Duration::from_secs(config.poll_seconds.max(1)) }
            }
        };
        Ok(Self { kind })
    }

    /// Returns when it is time to fetch: something changed there, or may have. May be dropped and called again.
    pub async fn changed(&mut self) {
        match &mut self.kind {
            Kind::Local(local) => local.changed().await,
            Kind::Remote { poll } => tokio::time::sleep(jittered(*poll)).await,
        }
    }
}

impl Local {
    fn new(path: PathBuf, branch: String) -> Self {
        let mut local =
            Self { path, branch, changed: Arc::new(Notify::new()), watcher: None, seen: Seen::default() };
        local.look();
        local
    }

    async fn changed(&mut self) {
        loop {
            let is_told = tokio::select! {
                () = self.changed.notified() => true,
                () = tokio::time::sleep_until(pulse::within(LOOK)) => false,
            };
            if self.look() || is_told {
                return;
            }
        }
    }

    /// Whether anything is otherwise than at the last look. What is there now is what is watched.
    fn look(&mut self) -> bool {
        let place = self.place();
        let came_back = self.watch(place.as_ref());
        let seen = place.map(|place| self.see(&place.path)).unwrap_or_default();
        let has_changed = seen != self.seen;
        self.seen = seen;
        came_back || has_changed
    }

    /// The folder that holds the references: the path itself, or `.git` in it.
    fn place(&self) -> Option<Place> {
        [self.path.clone(), self.path.join(".git")].into_iter().find_map(|path| {
            let metadata = path.join("refs").metadata().ok().filter(std::fs::Metadata::is_dir)?;
            Some(Place { path, device: metadata.dev(), inode: metadata.ino() })
        })
    }

    /// Makes sure that what is there is what is watched; true when something new is.
    fn watch(&mut self, place: Option<&Place>) -> bool {
        if place == self.watcher.as_ref().map(|(place, _)| place) {
            return false;
        }
        self.watcher = None;
        let Some(place) = place else {
            tracing::warn!(repository = %self.path.display(), "the repository is gone; looking for it every other second");
            return false;
        };
        match watcher(&place.path, self.changed.clone()) {
            Ok(watcher) => {
                self.watcher = Some((place.clone(), watcher));
                true
            }
            Err(error) => {
                let error = error.to_string();
                tracing::debug!(repository = %self.path.display(), error, "cannot watch; looking every other second");
                false
            }
        }
    }

    fn see(&self, path: &Path) -> Seen {
        let branch = std::fs::read(path.join("refs/heads").join(&self.branch)).ok();
        let packed = path.join("packed-refs").metadata().ok();
        let packed = packed.and_then(|file| Some((file.ino(), file.len(), file.modified().ok()?)));
        Seen { branch, packed }
    }
}

/// Watches the references below `path`; files that are being written (`*.lock`) do not count.
fn watcher(path: &Path, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let counts = match &event {
            Ok(event) if event.kind.is_access() => false,
            Ok(event) => {
                event.paths.iter().any(|path| path.extension().is_none_or(|extension| extension != "lock"))
            }
            // An overflow, or a folder that went: look.
            Err(_) => true,
        };
        if counts {
            changed.notify_one();
        }
    })?;
    watcher.watch(&path.join("refs"), RecursiveMode::Recursive)?;
    // packed-refs and HEAD.
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// A tenth more or less, so that the nodes of a network do not ask all at once.
fn jittered(poll: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 2001;
    poll.mul_f64(0.9 + 0.2 * (random as f64) / 2000.0)
}
