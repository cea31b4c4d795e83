//! The embedded name server as a process of its own: this program, started again.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use shoestring::dns::embedded::EmbeddedNameServer;
use shoestring::dns::{
    NameServer, NameServerConfig, NameServerKind, TransferClient, TransferSource, ZoneChanges, ZoneConfig,
    ZoneRecords,
};
use shoestring::names::Serial;

/// Serves the zones of a folder until it is killed: `<address> <zones> <state>`, and `<primary>` to transfer them from
/// there. Then zone files to add are read from standard input, one a line.
pub fn serve(arguments: &[String]) {
    let (Some([address, zones, state]), primary) = (arguments.first_chunk(), arguments.get(3)) else {
        panic!("serve <address> <zones> <state> [<primary>]")
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let server = {
        let _inside = runtime.enter();
        EmbeddedNameServer::open(Path::new(state), Arc::default()).unwrap()
    };
    let config = NameServerConfig {
        daemon: NameServerKind::Embedded,
        identity: "bench".to_owned(),
        listen: [address].into(),
        mesh_sources: [address.ip()].into(),
        ..NameServerConfig::default()
    };
    runtime.block_on(server.configure(&config)).unwrap();
    let files = std::fs::read_dir(zones).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "zone"));
    let clients = Arc::new([TransferClient::at([127, 0, 0, 1].into())].into());
    let set = files.map(|file| zone(&file, primary, &clients)).collect();
    runtime.block_on(server.apply(&ZoneChanges { set, remove: Vec::new() })).unwrap();
    for file in std::io::stdin().lock().lines() {
        let added = zone(Path::new(&file.unwrap()), None, &clients);
        let changes = ZoneChanges { set: vec![added], remove: Vec::new() };
        runtime.block_on(server.apply(&changes)).unwrap();
    }
    runtime.block_on(std::future::pending::<()>());
}

/// The zone of a file, to be read from there or transferred from a primary.
pub fn zone(
    file: &Path,
    primary: Option<&String>,
    clients: &Arc<BTreeSet<TransferClient>>,
) -> Arc<ZoneConfig> {
    let source = match primary {
        Some(primary) => {
            let address = primary.parse().unwrap();
            ZoneRecords::Transfer(vec![TransferSource { address, from: None, tsig_key: None }])
        }
        None => {
            let text = std::fs::read_to_string(file).unwrap().into();
            ZoneRecords::File { path: file.display().to_string().into(), text, serial: Serial(1) }
        }
    };
    let name = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    Arc::new(ZoneConfig {
        name,
        source,
        notify: Arc::default(),
        transfer_to: Arc::clone(clients),
        is_private: false,
    })
}
