//! Assemble: from a folder to a running network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::agent::{self, Agent};
use super::draft::{self, Draft, runs};
use super::growth;
use super::internet::{Client, Internet, link_ends};
use super::load::RATE;
use super::namespace::Namespace;
use super::network::Network;
use super::options::{Options, Providers};
use super::primaries::Primaries;
use super::probe::Probe;
use super::region::regions;
use super::repository::{BRANCH, Operator, bare};
use super::router::Router;
use super::sandbox::WORK;
use super::show::{self, Progress};
use super::{Context, SimulationError, provider, secrets};
use crate::config::{LocalConfig, Pin};
use crate::desired::model::{DesiredState, Node, NodeState, Peer};
use crate::dns::NameServer;
use crate::dns::embedded::EmbeddedNameServer;
use crate::keyring::Keyring;
use crate::mesh;
use crate::names::{NodeName, Revision};
use crate::process::Supervision;
use crate::secrets::identity;

/// More events than all nodes can cause at once.
const EVENTS: usize = 4_096;

/// Makes everything but the agents' processes: they are prepared, and do not run yet.
pub(crate) async fn assemble(options: &Options) -> Result<Network, SimulationError> {
    show::heading("The network");
    let (operator, desired, root, keyring) = repository(options)?;
    let running: Vec<&Node> = desired.nodes.values().filter(|node| runs(node)).collect();
    let planned = desired.nodes.len() - running.len();
    show::line(format!(
        "{} nodes run{}; {} zones; branch {BRANCH} at {}",
        running.len(),
        if planned > 0 { format!(", {planned} planned or retired do not") } else { String::new() },
        desired.zones.len(),
        root.short()
    ));

    let progress = Progress::begin("namespaces and links", running.len());
    let mut internet = Internet::create().await?;
    let mut namespaces: Vec<Namespace> = Vec::new();
    let peers_of = |node: &Node| -> Vec<&Peer> {
        desired.peers.values().filter(|peer| peer.node == node.name).collect()
    };
    for (number, node) in running.iter().enumerate() {
        namespaces.push(internet.attach_node(number, node, &peers_of(node)).await?);
        progress.at(number + 1);
    }
    progress.end(format!("{} nodes", namespaces.len()));

    let places: Vec<_> = running.iter().map(|node| &node.place).collect();
    let mut clients: Vec<Client> = Vec::new();
    for (number, region) in (0..).zip(regions(&places)) {
        clients.push(internet.attach_client(number, region, &running).await?);
    }
    let cities: Vec<&str> = clients.iter().map(|client| client.region.name).collect();
    show::line(format!("clients in {}", cities.join(", ")));

    let mut primaries = Primaries::of(&desired);
    for address in primaries.addresses() {
        internet.host(address).await?;
    }
    primaries.start(|listener| primary(listener, &keyring)).await?;
    show::line(format!("{} customers' primaries with {} zones", primaries.servers(), primaries.zones()));

    let (clients, internet) = (Arc::new(clients), Arc::new(internet));
    let (router, providers) =
        routing(options.providers, &desired, &running, internet, &clients, &keyring).await?;

    let mut agents = BTreeMap::new();
    let mut probes = BTreeMap::new();
    for (node, namespace) in running.iter().zip(&namespaces) {
        agents.insert(node.name.clone(), Agent::prepare(local_config(&desired, node, root))?);
        probes.insert(node.name.clone(), Probe::open(namespace)?);
    }
    let ends = |(number, node): (usize, &&Node)| (node.name.clone(), link_ends(number, node));
    let links = running.iter().enumerate().map(ends).collect();
    let rate = options.rate.unwrap_or(RATE);
    Ok(Network {
        agents,
        probes,
        clients,
        router,
        operator,
        primaries,
        links,
        rate,
        _providers: providers,
        desired,
    })
}

/// The repository that all nodes watch: what it says, the commit that they pin, and its secrets.
fn repository(
    options: &Options,
) -> Result<(Operator, DesiredState, Revision, Arc<Keyring>), SimulationError> {
    let dir: PathBuf =
        std::path::absolute(&options.dir).context(|| format!("find {}", options.dir.display()))?;
    if dir.starts_with("/run") {
        return Err(SimulationError {
            operation: format!("read {}", dir.display()),
            why: "the simulation has a /run of its own; copy the folder elsewhere".into(),
        });
    }
    let mut operator = Operator::create()?;
    let mut draft = match operator.adopt(&dir)? {
        Some(draft) => {
            show::line(format!("{}: a repository, its history at {}", dir.display(), operator.tip().short()));
            draft
        }
        None => {
            show::line(format!("{}: a folder, which becomes the first commit", dir.display()));
            draft::read_folder(&dir)?
        }
    };
    let given = draft.load()?;
    for (number, node) in resize(&mut draft, &given, options.nodes.map(usize::from))?.into_iter().enumerate()
    {
        if let Some(kinds) = options.name_server {
            draft.set_name_server(&node, kinds.of(number))?;
        }
        if let Some(kinds) = options.routing_daemon {
            draft.set_routing_daemon(&node, kinds.of(number))?;
        }
        let state = agent::make_folder(&node)?;
        let (_, public) =
            mesh::key::load_or_make(&state).context(|| format!("make the mesh key of {node}"))?;
        draft.set_key(&node, &public)?;
        let identity =
            identity::load_or_make(&state).context(|| format!("make the key for secrets of {node}"))?;
        draft.set_recipient(&node, identity.recipient())?;
    }
    show::line("each node has keys of its own here, and one operator signs everything");
    draft.set_operator(&operator.public_key()?);
    let keyring = secrets::replace(&mut draft)?;
    if !given.secrets.is_empty() {
        show::line(format!("{} secrets have new values", given.secrets.len()));
    }
    let notes = [draft.shorten_drain(&given)?, draft.drop_rollout()?];
    notes.into_iter().flatten().for_each(show::line);
    show::line(draft.shorten_hold_down()?);
    let desired = draft.load()?;
    let root = operator.commit_all(&draft, "Make the network of this simulation")?;
    operator.push(false)?;
    Ok((operator, desired, root, keyring))
}

/// Takes nodes away or makes nodes up, until so many run: those that do.
fn resize(
    draft: &mut Draft,
    given: &DesiredState,
    count: Option<usize>,
) -> Result<Vec<NodeName>, SimulationError> {
    let Some(count) = count else {
        return Ok(given.nodes.values().filter(|node| runs(node)).map(|node| node.name.clone()).collect());
    };
    let mut chosen = draft::choose(given, count);
    for node in given.nodes.values() {
        if !chosen.contains(&node.name) {
            draft.remove_node(&node.name);
        } else if node.state == NodeState::Planned {
            draft.set_state(&node.name, NodeState::Live)?;
            show::line(format!("{} is planned, and live here", node.name));
        }
    }
    let missing = count - chosen.len();
    if missing > 0 {
        let made = growth::grow(draft, given, missing)
            .ok_or("the mesh ranges of network.yaml have no room")
            .context(|| format!("make {missing} nodes up"))?;
        show::line(format!("{} nodes are made up", made.len()));
        chosen.extend(made);
    }
    Ok(chosen)
}

/// A customer's primary that stands still.
fn primary(listener: &SocketAddr, keyring: &Arc<Keyring>) -> Result<Arc<dyn NameServer>, SimulationError> {
    let operation = || format!("make a customer's primary at {listener}");
    let state = Path::new(WORK).join("primaries").join(listener.to_string());
    std::fs::create_dir_all(&state).context(operation)?;
    Ok(Arc::new(EmbeddedNameServer::open(&state, Arc::clone(keyring)).context(operation)?))
}

/// The providers, and the router that listens to them.
async fn routing(
    kind: Providers,
    desired: &DesiredState,
    running: &[&Node],
    internet: Arc<Internet>,
    clients: &Arc<Vec<Client>>,
    keyring: &Arc<Keyring>,
) -> Result<(Router, provider::Running), SimulationError> {
    let names: BTreeSet<&NodeName> = running.iter().map(|node| &node.name).collect();
    let peers = || desired.peers.values().filter(|peer| names.contains(&peer.node));
    let ends: BTreeMap<IpAddr, NodeName> = peers()
        .flat_map(|peer| peer.sessions.iter().map(|session| (session.local, peer.node.clone())))
        .collect();
    let router = Router::new(ends);
    let configs = provider::configs(desired.network.asn, peers());
    for address in provider::addresses(kind, &configs) {
        internet.host(address).await?;
    }
    let (events, heard) = mpsc::channel(EVENTS);
    tokio::spawn(router.clone().run(internet, Arc::clone(clients), heard));
    let providers = provider::start(kind, &configs, keyring, &events)?;
    let how = match kind {
        Providers::Embedded => "speak BGP",
        Providers::Bird => "are one BIRD",
    };
    show::line(format!("{} providers and peers {how}", configs.len()));
    Ok((router, providers))
}

fn local_config(desired: &DesiredState, node: &Node, root: Revision) -> LocalConfig {
    LocalConfig {
        node: node.name.clone(),
        network: desired.network.name.clone(),
        repository: bare().display().to_string(),
        branch: BRANCH.to_owned(),
        pin: Pin::Root(root),
        state: agent::folder(&node.name).join("state"),
        age_identity: None,
        daemons: None,
        supervision: Some(Supervision::Child),
        poll_seconds: 30,
        mesh_interface: mesh::INTERFACE.to_owned(),
    }
}
