//! In which order a daemon is asked and told. What real ones make of it is tested with them (`tests/routing`).

use std::path::Path;
use std::sync::Mutex as Lock;

use super::*;
use crate::process::files::ConfigFile;
use crate::process::{Launch, ProcessError, Version};
use crate::routing::{Announcement, SessionConfig};

/// A daemon that runs, announces what it is told, and keeps what it was called for.
#[derive(Default)]
struct Daemon {
    announced: Lock<Origination>,
    calls: Lock<Vec<&'static str>>,
    /// It does nothing that it is told so often.
    deaf: Lock<u32>,
}

struct Told(Arc<Daemon>);

#[async_trait]
impl Driver for Told {
    fn kind(&self) -> RoutingDaemonKind {
        RoutingDaemonKind::Bird
    }

    fn title(&self) -> &'static str {
        "a daemon"
    }

    fn version(&self) -> Version {
        Version(1, 0, 0)
    }

    fn launch(&self) -> Launch {
        unreachable!("it runs")
    }

    fn refuses(
        &self,
        _: &SessionName,
        _: &SessionConfig,
        _: Option<&crate::keyring::Secret>,
    ) -> Option<String> {
        None
    }

    fn render(&self, _: &Setup<'_>) -> Vec<ConfigFile> {
        Vec::new()
    }

    async fn check(&self, _: &Path) -> Result<(), DriverError> {
        Ok(())
    }

    async fn reload(&self, _: &Reload<'_>) -> Result<Reloaded, DriverError> {
        Ok(Reloaded::Live)
    }

    async fn observe(&self, _: Option<&RoutingConfig>) -> Result<DaemonState, DriverError> {
        self.0.calls.lock().unwrap().push("look");
        Ok(DaemonState { announced: self.0.announced.lock().unwrap().clone(), ..DaemonState::default() })
    }

    async fn originate(
        &self,
        _: Option<&RoutingConfig>,
        present: &Origination,
        wanted: &Origination,
    ) -> Result<(), DriverError> {
        self.0.calls.lock().unwrap().push("tell");
        let mut deaf = self.0.deaf.lock().unwrap();
        if *deaf > 0 {
            *deaf -= 1;
            return Err(DriverError::Said("it is busy".to_owned()));
        }
        let mut announced = self.0.announced.lock().unwrap();
        announced.retain(|prefix, _| wanted.contains_key(prefix) || !present.contains_key(prefix));
        announced.extend(wanted);
        Ok(())
    }

    async fn part(&self, _: &str) -> Result<(), DriverError> {
        Ok(())
    }
}

#[async_trait]
impl Process for Daemon {
    async fn state(&self) -> Result<ProcessState, ProcessError> {
        Ok(ProcessState::Running { pid: 1 })
    }

    async fn start(&self, _: &Launch) -> Result<(), ProcessError> {
        Ok(())
    }

    async fn end(&self, _: Duration) -> Result<(), ProcessError> {
        Ok(())
    }

    fn log(&self) -> &Path {
        Path::new("log")
    }
}

fn both() -> Origination {
    let prefixes = ["203.0.113.0/24", "2001:db8:53::/48"];
    prefixes.map(|prefix| (prefix.parse().unwrap(), Announcement::Normal)).into()
}

/// What the daemon was called for until this was announced.
async fn calls(daemon: &Daemon, routing: &ExternalRouting, wanted: &Origination) -> Vec<&'static str> {
    daemon.calls.lock().unwrap().clear();
    routing.originate(wanted).await.unwrap();
    assert_eq!(*daemon.announced.lock().unwrap(), *wanted);
    daemon.calls.lock().unwrap().clone()
}

#[tokio::test]
async fn to_take_back_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place { folder: folder.path().to_owned(), user: None };
    let daemon = Arc::new(Daemon::default());
    let driver = Box::new(Told(Arc::clone(&daemon)));
    let process: Arc<dyn Process> = daemon.clone();
    let routing = ExternalRouting::open(driver, place, process, Arc::default()).unwrap();
    routing.configure(&testing::config(RoutingDaemonKind::Bird)).await.unwrap();

    assert_eq!(calls(&daemon, &routing, &both()).await, ["look", "tell", "look"]);
    assert_eq!(calls(&daemon, &routing, &both()).await, ["look"], "it is so");
    let one: Origination = both().into_iter().take(1).collect();
    assert_eq!(calls(&daemon, &routing, &one).await, ["tell", "look"]);
    let draining = [(*one.keys().next().unwrap(), Announcement::Draining { prepend: 3 })].into();
    assert_eq!(calls(&daemon, &routing, &draining).await, ["look", "tell", "look"]);

    // Somebody else announced one more meanwhile, and then the daemon is busy.
    daemon.announced.lock().unwrap().extend(both());
    assert_eq!(calls(&daemon, &routing, &Origination::new()).await, ["tell", "look", "tell", "look"]);
    calls(&daemon, &routing, &both()).await;
    *daemon.deaf.lock().unwrap() = 1;
    assert_eq!(calls(&daemon, &routing, &Origination::new()).await, ["tell", "look", "tell", "look"]);
}
