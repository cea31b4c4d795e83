//! The embedded name server as a process of its own: this program, started again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use shoestring::dns::embedded::EmbeddedNameServer;
use shoestring::dns::{NameServer, NameServerConfig, NameServerKind, ZoneChanges, ZoneConfig, ZoneRecords};
use shoestring::names::Serial;

/// Serves the zones of a folder until it is killed: `<address> <zones> <state>`.
pub fn serve(arguments: &[String]) {
    let [address, zones, state] = arguments else { panic!("serve <address> <zones> <state>") };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _server = start(address.parse().unwrap(), Path::new(zones), Path::new(state)).await;
        std::future::pending::<()>().await;
    });
}

async fn start(address: SocketAddr, folder: &Path, state: &Path) -> EmbeddedNameServer {
    let server = EmbeddedNameServer::open(state, Arc::default()).unwrap();
    let config = NameServerConfig {
        daemon: NameServerKind::Embedded,
        identity: "bench".to_owned(),
        listen: [address].into(),
        mesh_sources: [address.ip()].into(),
        ..NameServerConfig::default()
    };
    server.configure(&config).await.unwrap();
    server.apply(&ZoneChanges { set: zones(folder), remove: Vec::new() }).await.unwrap();
    server
}

fn zones(folder: &Path) -> Vec<Arc<ZoneConfig>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "zone"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let source =
                ZoneRecords::File { path: path.display().to_string(), text: text.into(), serial: Serial(1) };
            let name = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            Arc::new(ZoneConfig { name, source, notify: Arc::default(), transfer_to: Arc::default() })
        })
        .collect()
}
