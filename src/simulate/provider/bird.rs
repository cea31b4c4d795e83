//! One BIRD that is every provider: a BGP session and a table of its own for each session of a node.
//!
//! ```text
//! node ─BGP→ bird: session n, table n ─BGP→ session n of a collector, a speaker of ours ─events→ router
//! ```
//! The collector hears over the loopback interface what BIRD has taken, communities and all, as any BGP speaker would.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Running, speak};
use crate::desired::model::Relation;
use crate::keyring::Keyring;
use crate::names::Asn;
use crate::process::find_program;
use crate::routing::HOLD_TIME;
use crate::routing::embedded::provider::{Customer, ProviderConfig, ProviderEvent};
use crate::simulate::sandbox::WORK;
use crate::simulate::{Context, SimulationError};

/// The collector's AS number, for private use (RFC 6996).
const COLLECTOR: u32 = 4_200_000_000;
/// Where it listens: BIRD has the port of BGP.
const PORT: u16 = 1_179;
/// Events that the router has not read yet.
const EVENTS: usize = 64;

/// A session of a node, and the one by which the collector hears of it.
struct Pair {
    asn: Asn,
    router_id: Ipv4Addr,
    customer: Customer,
    password: Option<String>,
    /// BIRD's end of the second one, and the collector's.
    ends: (IpAddr, IpAddr),
}

/// Starts BIRD and the collector.
pub(super) fn start(
    configs: &[ProviderConfig],
    keyring: &Arc<Keyring>,
    events: &mpsc::Sender<ProviderEvent>,
) -> Result<Running, SimulationError> {
    let operation = || "start the providers' BIRD".into();
    let program = find_program("bird").ok_or("BIRD (bird2) is not installed").context(operation)?;
    let pairs = pairs(configs, keyring);
    let collector = ProviderConfig {
        asn: Asn::try_from(COLLECTOR).context(operation)?,
        router_id: Ipv4Addr::new(198, 19, 255, 1),
        port: PORT,
        customers: pairs.iter().map(Pair::heard).collect(),
        passwords: BTreeMap::new(),
    };
    let (heard, mut hearing) = mpsc::channel(EVENTS);
    let speaker = speak(&collector, keyring, &heard)?;
    let customers: BTreeMap<IpAddr, Customer> =
        pairs.iter().map(|pair| (pair.ends.0, pair.customer)).collect();
    let events = events.clone();
    tokio::spawn(async move {
        while let Some(ProviderEvent { customer, change }) = hearing.recv().await {
            let Some(customer) = customers.get(&customer.neighbor).copied() else { continue };
            if events.send(ProviderEvent { customer, change }).await.is_err() {
                return;
            }
        }
    });

    let folder = Path::new(WORK).join("providers");
    fs::create_dir_all(&folder).context(operation)?;
    let file = folder.join("bird.conf");
    fs::write(&file, render(&pairs)).context(operation)?;
    let log = fs::File::create(Path::new(WORK).join("logs").join("providers.log")).context(operation)?;
    let bird = tokio::process::Command::new(program)
        .args(["-f", "-c"])
        .arg(&file)
        .arg("-s")
        .arg(folder.join("control"))
        .arg("-P")
        .arg(folder.join("pid"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context(operation)?;
    Ok(Running { _speakers: vec![speaker], _bird: Some(bird) })
}

/// The addresses at which BIRD and the collector meet. Those of IPv4 are there on every loopback interface.
pub(super) fn addresses(configs: &[ProviderConfig]) -> Vec<IpAddr> {
    let customers = configs.iter().flat_map(|config| &config.customers);
    let ends = customers.zip(1..).filter(|(customer, _)| customer.local.is_ipv6());
    ends.map(|(customer, number)| meeting(number, customer.local))
        .flat_map(|(bird, collector)| [bird, collector])
        .collect()
}

fn meeting(number: u16, family_of: IpAddr) -> (IpAddr, IpAddr) {
    let [high, low] = number.to_be_bytes();
    match family_of {
        IpAddr::V4(_) => (Ipv4Addr::new(127, 1, high, low).into(), Ipv4Addr::new(127, 2, high, low).into()),
        IpAddr::V6(_) => {
            let end = |side| Ipv6Addr::new(0xfdb1, side, 0, 0, 0, 0, 0, number).into();
            (end(1), end(2))
        }
    }
}

fn pairs(configs: &[ProviderConfig], keyring: &Keyring) -> Vec<Pair> {
    let sessions = configs.iter().flat_map(|config| config.customers.iter().map(move |one| (config, *one)));
    let pair = |((config, customer), number): ((&ProviderConfig, Customer), u16)| {
        let secret = config.passwords.get(&(customer.local, customer.neighbor));
        let password = secret.and_then(|secret| keyring.password(&secret.name));
        Pair {
            asn: config.asn,
            router_id: config.router_id,
            customer,
            password: password.map(|password| String::from_utf8_lossy(password.expose()).into_owned()),
            ends: meeting(number, customer.local),
        }
    };
    sessions.zip(1..).map(pair).collect()
}

impl Pair {
    /// BIRD, as the collector's customer.
    fn heard(&self) -> Customer {
        let (bird, collector) = self.ends;
        Customer {
            local: collector,
            neighbor: bird,
            asn: self.asn,
            relation: Relation::Provider,
            multihop: Some(2),
        }
    }
}

fn render(pairs: &[Pair]) -> String {
    let mut text = "log stderr all;\nrouter id 198.19.255.2;\nprotocol device { }\n".to_owned();
    for (number, pair) in pairs.iter().enumerate() {
        let Customer { local, neighbor, asn: customer, relation, multihop } = pair.customer;
        let (family, hold) = (if local.is_ipv4() { "ipv4" } else { "ipv6" }, HOLD_TIME.as_secs());
        let role = match relation {
            Relation::Provider => "provider",
            Relation::Peer => "peer",
            Relation::RouteServer => "rs_server",
        };
        // Both ends are host addresses on no common subnet, so even one hop counts; GTSM is asked for all the same.
        let distance = match multihop {
            None => "multihop 1; ttl security on;".to_owned(),
            Some(hops) => format!("multihop {hops};"),
        };
        let password =
            pair.password.as_ref().map(|text| format!(" password \"{text}\";")).unwrap_or_default();
        let (bird, collector) = pair.ends;
        let (asn, router_id) = (pair.asn, pair.router_id);
        let _ = write!(
            text,
            "\n{family} table t{number};\n\
             protocol bgp s{number} {{\n\
             \tlocal {local} as {asn}; neighbor {neighbor} as {customer}; router id {router_id};\n\
             \t{distance} passive on; local role {role};{password}\n\
             \thold time {hold}; graceful restart off; error wait time 1, 5; debug {{ states }};\n\
             \t{family} {{ table t{number}; import all; export none; }};\n}}\n\
             protocol bgp c{number} {{\n\
             \tlocal {bird} as {asn}; neighbor {collector} port {PORT} as {COLLECTOR}; multihop 2;\n\
             \tconnect delay time 1; connect retry time 1; error wait time 1, 1; graceful restart off;\n\
             \t{family} {{ table t{number}; import none; export all; }};\n}}\n"
        );
    }
    text
}
