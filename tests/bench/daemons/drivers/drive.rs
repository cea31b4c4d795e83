//! A driver as a process of its own: this program, started again. It does what the agent's loop does with a name server,
//! and nothing else.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shoestring::dns::embedded::EmbeddedNameServer;
use shoestring::dns::{
    Daemons, NameServer, NameServerConfig, NameServerKind, SelectedNameServer, TransferClient, ZoneChanges,
    ZoneConfig, ZoneTable,
};
use shoestring::keyring::Keyring;
use shoestring::names::DomainName;
use shoestring::process::Supervision;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::embedded::zone;
use crate::server::free_address;

/// What a call may take, as in the agent.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a call that failed, as in the agent.
const PAUSE: Duration = Duration::from_millis(250);

/// Has a name server serve the zones of a folder: `<kind> <address> <zones> <folder>`, and `<primary>` to transfer them from
/// there. Then zone files to add are read from standard input, one a line; a line is printed whenever there is nothing left
/// to do. Ends the name server at the end of the input.
pub fn drive(arguments: &[String]) {
    let (Some([kind, address, zones, folder]), primary) = (arguments.first_chunk(), arguments.get(4)) else {
        panic!("drive <kind> <address> <zones> <folder> [<primary>]")
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .init();
    let kind: NameServerKind = serde_json::from_value(kind.as_str().into()).unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let config = NameServerConfig {
        daemon: kind,
        identity: "bench".to_owned(),
        listen: [address].into(),
        ..NameServerConfig::default()
    };
    let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let _ = sender.send(line.unwrap());
        }
    });
    let clients = Arc::new([TransferClient::at([127, 0, 0, 1].into())].into());
    let files = std::fs::read_dir(zones).unwrap().map(|entry| entry.unwrap().path());
    let named = |zone: Arc<ZoneConfig>| (zone.name.clone(), zone);
    let mut wanted: BTreeMap<DomainName, Arc<ZoneConfig>> =
        files.map(|file| named(zone(&file, primary, &clients))).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = open(kind, Path::new(folder));
        call("configure", server.configure(&config)).await.unwrap();
        settle(&server, &wanted, &orders).await;
        while let Some(file) = orders.recv().await {
            let (name, added) = named(zone(Path::new(&file), None, &clients));
            let changes = ZoneChanges { set: vec![Arc::clone(&added)], remove: Vec::new() };
            let _ = call("apply", server.apply(&changes)).await;
            wanted.insert(name, added);
            settle(&server, &wanted, &orders).await;
        }
        let silent = NameServerConfig { listen: [].into(), ..config };
        let _ = call("end", server.configure(&silent)).await;
    });
}

fn open(kind: NameServerKind, folder: &Path) -> SelectedNameServer {
    let daemons =
        Daemons { folder: folder.join("daemons"), local: free_address(), supervision: Supervision::Child };
    let state = folder.join(format!("state-{kind}"));
    std::fs::create_dir_all(&state).unwrap();
    let keyring = Arc::new(Keyring::default());
    let embedded = EmbeddedNameServer::open(&state, Arc::clone(&keyring)).unwrap();
    SelectedNameServer::new(daemons, embedded, keyring)
}

/// Observes and changes until there is nothing left to do, or nobody is there any more.
async fn settle(
    server: &SelectedNameServer,
    wanted: &BTreeMap<DomainName, Arc<ZoneConfig>>,
    orders: &UnboundedReceiver<String>,
) {
    let wanted: ZoneTable<Arc<ZoneConfig>> = wanted.clone().into();
    while !orders.is_closed() || !orders.is_empty() {
        let Some(seen) = call("observe", server.observe()).await else { continue };
        let (set, remove) = wanted.changes_to(&seen.zones);
        if set.is_empty() && remove.is_empty() {
            println!("settled");
            return;
        }
        let changes = ZoneChanges {
            set: set.into_iter().cloned().collect(),
            remove: remove.into_iter().cloned().collect(),
        };
        let _ = call("apply", server.apply(&changes)).await;
    }
}

async fn call<T, E: std::fmt::Display>(what: &str, call: impl Future<Output = Result<T, E>>) -> Option<T> {
    match timeout(PATIENCE, call).await {
        Ok(Ok(result)) => return Some(result),
        Ok(Err(error)) => tracing::warn!(%error, "{what}"),
        Err(_) => tracing::warn!("{what}: no answer within {} s", PATIENCE.as_secs()),
    }
    tokio::time::sleep(PAUSE).await;
    None
}
