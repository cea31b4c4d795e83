//! Worlds: the zones that one server serves together, each a file, and the same on our server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use shoestring::dns::embedded::zone::Zone;
use shoestring::dns::embedded::{EmbeddedNameServer, zonefile};
use shoestring::dns::{
    NameServer, NameServerConfig, NameServerKind, TransferLimits, ZoneChanges, ZoneConfig, ZoneRecords,
};
use shoestring::names::DomainName;

use super::daemons::IDENTITY;
use crate::name_server::network::free_address;

/// One zone of a world.
pub struct ZoneText {
    pub apex: DomainName,
    pub file: String,
    pub text: String,
    pub zone: Arc<Zone>,
}

impl ZoneText {
    pub fn new(file: String, text: String) -> Self {
        let apex = if file == "root.zone" { "." } else { file.trim_end_matches(".zone") };
        let apex: DomainName = apex.parse().unwrap();
        let zone = zonefile::read(&file, &text, &apex, None).unwrap_or_else(|found| {
            panic!("{file}:\n{}", found.iter().map(|f| format!("{f}\n")).collect::<String>())
        });
        Self { apex, file, text, zone: Arc::new(zone) }
    }
}

/// Zones that are served together.
pub struct World {
    pub zones: Vec<ZoneText>,
}

impl World {
    /// The files of a folder beside this one; the world `main` has `large` besides.
    pub fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/zones").join(name);
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files: BTreeSet<_> = files.collect();
        let mut zones: Vec<ZoneText> = files
            .iter()
            .map(|path| {
                let file = path.file_name().unwrap().to_str().unwrap().to_owned();
                ZoneText::new(file, fs::read_to_string(path).unwrap())
            })
            .collect();
        if name == "main" {
            zones.push(ZoneText::new("size.test.zone".to_owned(), large()));
        }
        Self { zones }
    }
}

/// A zone of RRsets whose sizes are about the limits: 512, 1232, 4096, 16384 (where compression ends), 65535.
fn large() -> String {
    let mut text = "$TTL 300\n@ SOA ns h 1 2 3 4 60\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    let mut line = |arguments: std::fmt::Arguments<'_>| text.write_fmt(arguments).expect("a string takes it");
    for count in [1, 28, 29, 30, 31, 72, 73, 74, 75, 76, 250] {
        (1..=count).for_each(|host| line(format_args!("a{count} A 198.51.100.{host}\n")));
    }
    (0..2_300).for_each(|host| line(format_args!("a2300 AAAA 2001:db8::{host:x}\n")));
    let strings = |mut octets: usize| {
        let mut strings = String::new();
        while octets > 0 {
            let some = octets.min(255);
            strings += &format!("\"{}\"\n", "x".repeat(some));
            octets -= some;
        }
        strings
    };
    for octets in [1, 400, 440, 450, 451, 452, 453, 454, 455, 456, 457, 458, 459, 460, 465, 470, 500]
        .into_iter()
        .chain(1_130..1_180)
        .chain([4_000, 16_300, 60_000, 64_000])
    {
        line(format_args!("t{octets} TXT ( {} )\n", strings(octets)));
    }
    line(format_args!("opaque TYPE65280 \\# 40000 {}\n", "ab".repeat(40_000)));
    for number in 0..200 {
        line(format_args!("texts TXT \"{number:0>255}\"\n"));
    }
    line(format_args!("mixed A 192.0.2.2\nmixed TXT small\n"));
    (0..30).for_each(|number| line(format_args!("mixed MX {number} m{number}.mixed\n")));
    (0..30).for_each(|number| line(format_args!("m{number}.mixed A 198.51.100.{number}\n")));
    for number in 1..=13 {
        line(format_args!("ref NS ns{number}.ref\nns{number}.ref A 198.51.100.{number}\n"));
        line(format_args!("ns{number}.ref AAAA 2001:db8::{number}\n"));
    }
    for number in 1..=60 {
        line(format_args!("wide NS a-rather-long-name-{number}.wide\n"));
        line(format_args!("a-rather-long-name-{number}.wide A 198.51.100.{number}\n"));
        line(format_args!("far NS a-rather-long-name-{number}.example.invalid.\n"));
    }
    text
}

/// The embedded name server with the zones of a world.
pub struct Ours {
    pub address: SocketAddr,
    _server: EmbeddedNameServer,
    _runtime: tokio::runtime::Runtime,
    _state: tempfile::TempDir,
}

impl Ours {
    pub fn start(world: &World) -> Self {
        let state = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = free_address("127.0.0.1");
        let config = NameServerConfig {
            daemon: NameServerKind::Embedded,
            identity: IDENTITY.to_owned(),
            listen: BTreeSet::from([address]),
            mesh_sources: BTreeSet::new(),
            keys: BTreeMap::new(),
            transfers: TransferLimits::DEFAULT,
            rate_limit: None,
            cookie_secret: None,
        };
        let zone = |zone: &ZoneText| {
            let source = ZoneRecords::File {
                path: zone.file.as_str().into(),
                text: zone.text.as_str().into(),
                serial: zone.zone.serial(),
            };
            let (notify, transfer_to) = (Arc::default(), Arc::default());
            Arc::new(ZoneConfig { name: zone.apex.clone(), source, notify, transfer_to, is_private: false })
        };
        let changes = ZoneChanges { set: world.zones.iter().map(zone).collect(), remove: Vec::new() };
        let server = runtime.block_on(async {
            let server = EmbeddedNameServer::open(state.path(), Arc::default()).unwrap();
            server.configure(&config).await.unwrap();
            server.apply(&changes).await.unwrap();
            server
        });
        Self { address, _server: server, _runtime: runtime, _state: state }
    }
}
