//! Hold: keeps the network running to look at, with its status at an address of this machine.
//!
//! The outer process binds the address, in the host's network, and hands the socket on as the inner process's
//! standard input; so the inner one answers there, although it has no way to the host's network.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use axum::Router;
use axum::response::Html;
use axum::routing::get;

use super::network::Network;
use super::options::Options;
use super::report::Report;
use super::show;
use super::{Context, SimulationError, repository};
use crate::names::NodeName;
use crate::status::Snapshot;

/// Binds the status address, in the outer process. Any free port: nothing else needs to know it beforehand.
pub(crate) fn bind() -> Result<OwnedFd, SimulationError> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(|| "bind the status address".into())?;
    Ok(listener.into())
}

/// Takes the status address, in the inner process; `None` unless the network is to be held.
pub(crate) fn listener(options: &Options) -> Result<Option<tokio::net::TcpListener>, SimulationError> {
    if !options.hold || std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let operation = || "take the status address from the outer process".into();
    let socket = std::io::stdin().as_fd().try_clone_to_owned().context(operation)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true).context(operation)?;
    tokio::net::TcpListener::from_std(listener).map(Some).context(operation)
}

/// Answers at the status address until the run is ended from outside.
pub(crate) async fn hold(
    network: Network,
    report: &Report,
    listener: tokio::net::TcpListener,
) -> Result<(), SimulationError> {
    let address = listener.local_addr().context(|| "look at the status address".into())?;
    let example = network.agents.keys().next().map_or("internet", NodeName::as_str);
    let service = network.service_addresses().first().map(ToString::to_string).unwrap_or_default();
    let client = report.clients.first().map(|client| client.region.clone()).unwrap_or_default();
    show::heading("Holding; end with Ctrl-C");
    show::line(format!("status:  http://{address}/ and http://{address}/status.json"));
    show::line(format!("inside:  shoestring simulate exec {example} -- ip address"));
    show::line(format!(
        "         shoestring simulate exec client-{client} -- dig @{service} {} SOA +nsid",
        network.canary()
    ));
    show::line(format!(
        "push:    inside, to {}, signed with {}",
        repository::bare().display(),
        repository::key_file().display()
    ));
    // The operator's repository is not to be shared between threads, and nobody commits from here on.
    let Network { agents, _providers, primaries, .. } = network;
    let agents = Arc::new(agents);
    let page = Arc::clone(&agents);
    let app = Router::new()
        .route("/", get(move || async move { Html(table(&all(&page).await)) }))
        .route("/status.json", get(move || async move { json(&all(&agents).await) }));
    let result = axum::serve(listener, app).await.context(|| "serve the status address".into());
    drop((_providers, primaries));
    result
}

type Agents = std::collections::BTreeMap<NodeName, super::agent::Agent>;

async fn all(agents: &Agents) -> Vec<(NodeName, Option<Snapshot>)> {
    let ask =
        |(name, agent)| async move { (NodeName::clone(name), super::agent::Agent::snapshot(agent).await) };
    futures_util::future::join_all(agents.iter().map(ask)).await
}

fn json(nodes: &[(NodeName, Option<Snapshot>)]) -> ([(&'static str, &'static str); 1], String) {
    let map: std::collections::BTreeMap<String, &Option<Snapshot>> =
        nodes.iter().map(|(name, snapshot)| (name.to_string(), snapshot)).collect();
    // Snapshots came as JSON, so they go as JSON.
    ([("content-type", "application/json")], serde_json::to_string_pretty(&map).unwrap_or_default())
}

fn table(nodes: &[(NodeName, Option<Snapshot>)]) -> String {
    let row = |(name, snapshot): &(NodeName, Option<Snapshot>)| match snapshot {
        None => format!("<tr><td>{name}<td colspan=6>does not answer"),
        Some(snapshot) => format!(
            "<tr><td>{name}<td>{}<td>{}<td>{}/{}<td>{}/{}<td>{}<td>{}",
            snapshot.revision.map(|revision| revision.short()).unwrap_or_default(),
            if snapshot.settled { "settled" } else { "working" },
            snapshot.sessions.values().filter(|session| session.state == "established").count(),
            snapshot.sessions.len(),
            snapshot.zones.values().filter(|zone| zone.state == "served").count(),
            snapshot.zones.len(),
            snapshot.mesh.len(),
            escape(&snapshot.refusal.as_ref().map(|refusal| refusal.why.clone()).unwrap_or_default()),
        ),
    };
    let rows: Vec<String> = nodes.iter().map(row).collect();
    format!(
        "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=2><title>shoestring simulate</title>\
         <table border=1 cellpadding=4><tr><th>node<th>revision<th>state<th>sessions<th>zones<th>mesh<th>refused\n\
         {}\n</table>",
        rows.join("\n")
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
