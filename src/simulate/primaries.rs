//! Primaries: the customers' own name servers, which the hubs transfer the secondary zones from.
//!
//! One embedded name server per address that a zone's file names, with made-up contents that count their edits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Context, SimulationError};
use crate::desired::model::{DesiredState, Role, ZoneSource};
use crate::dns::{
    NameServer, NameServerConfig, NotifyTarget, TransferClient, TransferLimits, ZoneChanges, ZoneConfig,
    ZoneRecords,
};
use crate::names::{DomainName, Serial};

/// The customers' name servers.
pub(crate) struct Primaries {
    servers: BTreeMap<SocketAddr, Arc<dyn NameServer>>,
    /// By zone: its primaries, and the serial of its contents.
    zones: BTreeMap<DomainName, (BTreeSet<SocketAddr>, Serial)>,
    hubs: BTreeSet<IpAddr>,
    hub_listeners: BTreeSet<SocketAddr>,
}

impl Primaries {
    /// Who they are, by the zones' files. Nothing runs yet.
    pub(crate) fn of(state: &DesiredState) -> Self {
        let zones = state.zones.values().filter_map(|zone| match &zone.source {
            ZoneSource::Primary(_) => None,
            ZoneSource::Secondary(upstreams) => {
                let addresses = upstreams.iter().map(|upstream| upstream.address).collect();
                Some((zone.name.clone(), (addresses, Serial(1))))
            }
        });
        let hubs = || state.nodes.values().filter(|node| node.roles.contains(&Role::Hub));
        let hub_addresses = hubs().flat_map(|hub| {
            let own = hub.interfaces.iter().flat_map(|interface| &interface.addresses);
            own.map(ipnet::IpNet::addr).chain(hub.management.iter().copied())
        });
        let listeners = hubs().flat_map(|hub| &hub.management);
        Self {
            servers: BTreeMap::new(),
            zones: zones.collect(),
            hubs: hub_addresses.collect(),
            hub_listeners: listeners.map(|address| SocketAddr::new(*address, 53)).collect(),
        }
    }

    /// The addresses that the internet must have.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.listeners().map(|listener| listener.ip()).collect()
    }

    fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.zones.values().flat_map(|(listeners, _)| listeners).copied()
    }

    /// How many there are.
    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// How many zones they have.
    pub(crate) fn zones(&self) -> usize {
        self.zones.len()
    }

    /// One of the zones, if there is any.
    pub(crate) fn a_zone(&self) -> Option<DomainName> {
        self.zones.keys().next().cloned()
    }

    /// Starts them. `server` makes one that stands still.
    pub(crate) async fn start(
        &mut self,
        server: impl Fn(&SocketAddr) -> Result<Arc<dyn NameServer>, SimulationError>,
    ) -> Result<(), SimulationError> {
        let listeners: BTreeSet<SocketAddr> = self.listeners().collect();
        for listener in listeners {
            let operation = || format!("start a customer's primary at {listener}");
            let name_server = server(&listener)?;
            let config = NameServerConfig {
                identity: "primary".to_owned(),
                listen: BTreeSet::from([listener]),
                // NOTIFY must come from the address that the hubs know.
                mesh_sources: BTreeSet::from([listener.ip()]),
                keys: BTreeMap::new(),
                transfers: TransferLimits::DEFAULT,
                rate_limit: None,
                cookie_secret: None,
            };
            name_server.configure(&config).await.context(operation)?;
            let mine = self.zones.iter().filter(|(_, (listeners, _))| listeners.contains(&listener));
            let set = mine.map(|(zone, (_, serial))| self.config(zone, *serial, &listener)).collect();
            name_server.apply(&ZoneChanges { set, remove: Vec::new() }).await.context(operation)?;
            self.servers.insert(listener, name_server);
        }
        Ok(())
    }

    /// Edits a zone at all of its primaries, which tell the hubs: the new serial.
    pub(crate) async fn edit(&mut self, zone: &DomainName) -> Result<Serial, SimulationError> {
        let operation = || format!("edit {zone} at its primaries");
        let (listeners, serial) = self.zones.get_mut(zone).ok_or("no customer has it").context(operation)?;
        *serial = Serial(serial.0 + 1);
        let (listeners, serial) = (listeners.clone(), *serial);
        for listener in listeners {
            if let Some(server) = self.servers.get(&listener) {
                let set = vec![self.config(zone, serial, &listener)];
                server.apply(&ZoneChanges { set, remove: Vec::new() }).await.context(operation)?;
            }
        }
        Ok(serial)
    }

    fn config(&self, zone: &DomainName, serial: Serial, listener: &SocketAddr) -> Arc<ZoneConfig> {
        let same_family = |address: &&SocketAddr| address.is_ipv4() == listener.is_ipv4();
        let target =
            |hub: &SocketAddr| NotifyTarget { address: *hub, from: Some(listener.ip()), tsig_key: None };
        Arc::new(ZoneConfig {
            name: zone.clone(),
            source: ZoneRecords::File {
                path: format!("made up for {zone}"),
                text: contents(zone, serial).into(),
                serial,
            },
            notify: Arc::new(self.hub_listeners.iter().filter(same_family).map(target).collect()),
            transfer_to: Arc::new(self.hubs.iter().copied().map(TransferClient::at).collect()),
        })
    }
}

/// A small zone file.
fn contents(zone: &DomainName, serial: Serial) -> String {
    format!(
        "$TTL 300\n\
         {zone}. IN SOA ns.{zone}. hostmaster.{zone}. {serial} 3600 600 1209600 60\n\
         {zone}. IN NS ns.{zone}.\n\
         ns.{zone}. IN A 203.0.113.250\n\
         www.{zone}. IN A 203.0.113.251\n\
         edits.{zone}. IN TXT \"{serial}\"\n"
    )
}
