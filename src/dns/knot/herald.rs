//! Herald: has Knot tell others of what it has just transferred (NOTIFY, RFC 1996).
//!
//! By itself Knot waits a second after each transfer before it does. It writes the zone to its file at once, which is
//! watched here (inotify); upon that it is told to wait no longer. Only an event: Knot tells them all the same, a second
//! later, where one is missed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::{debug, warn};

use super::items::quoted;
use crate::dns::external::zone_of_file;
use crate::names::DomainName;
use crate::process::tool;

/// For one call of knotc.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long more files are waited for: many zones change at once.
const GATHER: Duration = Duration::from_millis(5);

/// Watches until it is dropped.
pub(super) struct Herald {
    _watcher: RecommendedWatcher,
}

impl Herald {
    /// Watches the folder that transferred zones are written to, for the Knot with this socket.
    pub(super) fn start(data: PathBuf, knotc: PathBuf, socket: PathBuf) -> Option<Self> {
        let (sender, receiver) = unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // A whole file takes the name of the one before it.
            if let Ok(Event { kind: EventKind::Modify(ModifyKind::Name(_)), paths, .. }) = event {
                let name = |path: &PathBuf| zone_of_file(path.file_name()?.to_str()?);
                paths.iter().filter_map(name).for_each(|zone| _ = sender.send(zone));
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(&data, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => {
                tokio::spawn(tell(receiver, knotc, socket));
                Some(Self { _watcher: watcher })
            }
            Err(error) => {
                let (data, error) = (data.display(), error.to_string());
                warn!(%data, error, "cannot watch it: Knot tells of new serials a second late");
                None
            }
        }
    }
}

/// Has zones told of as they come, until nobody watches any more.
async fn tell(mut changed: UnboundedReceiver<DomainName>, knotc: PathBuf, socket: PathBuf) {
    while let Some(first) = changed.recv().await {
        tokio::time::sleep(GATHER).await;
        let mut zones = BTreeSet::from([first]);
        while let Ok(more) = changed.try_recv() {
            zones.insert(more);
        }
        let lines = zones.iter().fold(String::new(), |mut lines, zone| {
            let _ = writeln!(lines, "zone-notify {}", quoted(zone));
            lines
        });
        let arguments = ["-s".as_ref(), socket.as_os_str(), "-t".as_ref(), "5".as_ref()];
        if let Err(error) = tool::run(&knotc, arguments, lines.as_bytes(), PATIENCE).await {
            debug!(%error, "Knot tells of new serials by itself, a second late");
        }
    }
}
