//! Primaries: the customers' own name servers, which the hubs transfer the secondary zones from.
//!
//! One embedded name server per address that a zone's file names, with made-up contents that count their edits. Where
//! the file names a TSIG key, the server demands it and signs its NOTIFYs with it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Context, SimulationError};
use crate::desired::model::{DesiredState, MemberPolicy, Role, Server, ZoneSource};
use crate::dns::{
    NameServer, NameServerConfig, NameServerKind, NotifyTarget, TransferClient, TransferLimits, ZoneChanges,
    ZoneConfig, ZoneRecords,
};
use crate::fingerprint::Fingerprint;
use crate::names::{DomainName, SecretName, Serial};

/// The customers' name servers.
pub(crate) struct Primaries {
    servers: BTreeMap<SocketAddr, Arc<dyn NameServer>>,
    /// Those that are down.
    down: BTreeSet<SocketAddr>,
    zones: BTreeMap<DomainName, Hosted>,
    /// The TSIG keys that the zones' files name.
    keys: BTreeMap<SecretName, Fingerprint>,
    hubs: BTreeSet<IpAddr>,
    hub_listeners: BTreeSet<SocketAddr>,
}

/// One zone of theirs.
struct Hosted {
    /// Its primaries, each with the TSIG key that it demands.
    listeners: BTreeMap<SocketAddr, Option<SecretName>>,
    /// Of its contents.
    serial: Serial,
    /// Of its SOA record: refresh, retry and expire.
    timers: [u32; 3],
    /// Of a catalog (RFC 9432): the zones that it lists.
    members: Vec<DomainName>,
}

/// Timers of a zone that nobody is in a hurry with.
const CALM: [u32; 3] = [3600, 600, 1_209_600];

impl Primaries {
    /// Who they are, by the zones' files. Nothing runs yet.
    pub(crate) fn of(state: &DesiredState) -> Self {
        let mut zones = BTreeMap::new();
        let mut host = |zone: &DomainName, upstreams: &[Server], members: &[DomainName]| {
            let listeners = upstreams.iter().map(|upstream| (upstream.address, upstream.tsig_key.clone()));
            let (serial, timers, members) = (Serial(1), CALM, members.to_vec());
            zones.insert(zone.clone(), Hosted { listeners: listeners.collect(), serial, timers, members });
        };
        for zone in state.zones.values() {
            match &zone.source {
                ZoneSource::Primary(_) | ZoneSource::OfferedCatalog => {}
                ZoneSource::Secondary(upstreams) => host(&zone.name, upstreams, &[]),
                ZoneSource::Catalog(upstreams, policy) => {
                    let member = member_of(&zone.name, policy);
                    let own = if policy.primaries.is_empty() { upstreams } else { &policy.primaries };
                    member.iter().for_each(|member| host(member, own, &[]));
                    host(&zone.name, upstreams, member.as_slice());
                }
            }
        }
        let hubs = || state.nodes.values().filter(|node| node.roles.contains(&Role::Hub));
        let hub_addresses = hubs().flat_map(|hub| {
            let own = hub.interfaces.iter().flat_map(|interface| &interface.addresses);
            own.map(ipnet::IpNet::addr).chain(hub.management.iter().copied())
        });
        let listeners = hubs().flat_map(|hub| &hub.management);
        Self {
            servers: BTreeMap::new(),
            down: BTreeSet::new(),
            zones,
            keys: state.secrets.iter().map(|(name, secret)| (name.clone(), secret.sealed)).collect(),
            hubs: hub_addresses.collect(),
            hub_listeners: listeners.map(|address| SocketAddr::new(*address, 53)).collect(),
        }
    }

    /// The addresses that the internet must have.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.listeners().map(|listener| listener.ip()).collect()
    }

    fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.zones.values().flat_map(|hosted| hosted.listeners.keys()).copied()
    }

    /// How many there are.
    pub(crate) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// How many zones they have.
    pub(crate) fn zones(&self) -> usize {
        self.zones.len()
    }

    /// One of the zones that are no catalogs, if there is any.
    pub(crate) fn a_zone(&self) -> Option<DomainName> {
        self.zones.iter().find(|(_, hosted)| hosted.members.is_empty()).map(|(zone, _)| zone.clone())
    }

    /// A zone with several primaries, and those.
    pub(crate) fn a_zone_of_several(&self) -> Option<(DomainName, Vec<SocketAddr>)> {
        let is_one = |hosted: &Hosted| hosted.listeners.len() > 1 && hosted.members.is_empty();
        let several = self.zones.iter().find(|(_, hosted)| is_one(hosted));
        several.map(|(zone, hosted)| (zone.clone(), hosted.listeners.keys().copied().collect()))
    }

    /// The primaries of a zone.
    pub(crate) fn of_zone(&self, zone: &DomainName) -> Vec<SocketAddr> {
        self.zones.get(zone).map(|hosted| hosted.listeners.keys().copied().collect()).unwrap_or_default()
    }

    /// Takes one down, with all its zones.
    pub(crate) async fn stop(&mut self, listener: SocketAddr) -> Result<(), SimulationError> {
        self.down.insert(listener);
        self.listen(listener, BTreeSet::new()).await
    }

    /// Starts one again, with what its zones have become.
    pub(crate) async fn resume(&mut self, listener: SocketAddr) -> Result<(), SimulationError> {
        self.down.remove(&listener);
        self.listen(listener, BTreeSet::from([listener])).await?;
        let mine: Vec<DomainName> = self.zones_at(&listener).map(|(zone, _)| zone.clone()).collect();
        for zone in mine {
            self.serve(&zone, listener).await?;
        }
        Ok(())
    }

    async fn listen(&self, listener: SocketAddr, at: BTreeSet<SocketAddr>) -> Result<(), SimulationError> {
        let Some(server) = self.servers.get(&listener) else { return Ok(()) };
        let config = NameServerConfig { listen: at, ..self.setup(&listener) };
        server.configure(&config).await.context(|| format!("change the primary at {listener}"))
    }

    /// Gives one of them the present version of a zone.
    async fn serve(&self, zone: &DomainName, listener: SocketAddr) -> Result<(), SimulationError> {
        let (Some(server), Some(hosted)) = (self.servers.get(&listener), self.zones.get(zone)) else {
            return Ok(());
        };
        let set = vec![self.config(zone, hosted, &listener)];
        let changes = ZoneChanges { set, remove: Vec::new() };
        server.apply(&changes).await.context(|| format!("edit {zone} at {listener}"))
    }

    fn zones_at(&self, listener: &SocketAddr) -> impl Iterator<Item = (&DomainName, &Hosted)> {
        self.zones.iter().filter(|(_, hosted)| hosted.listeners.contains_key(listener))
    }

    /// How one of them is set up.
    fn setup(&self, listener: &SocketAddr) -> NameServerConfig {
        NameServerConfig {
            daemon: NameServerKind::Embedded,
            identity: "primary".to_owned(),
            listen: BTreeSet::from([*listener]),
            // NOTIFY must come from the address that the hubs know.
            mesh_sources: BTreeSet::from([listener.ip()]),
            keys: self.keys_of(listener),
            transfers: TransferLimits::DEFAULT,
            rate_limit: None,
            cookie_secret: None,
        }
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
            let config = self.setup(&listener);
            name_server.configure(&config).await.context(operation)?;
            let mine = self.zones_at(&listener);
            let set = mine.map(|(zone, hosted)| self.config(zone, hosted, &listener)).collect();
            name_server.apply(&ZoneChanges { set, remove: Vec::new() }).await.context(operation)?;
            self.servers.insert(listener, name_server);
        }
        Ok(())
    }

    /// Edits a zone at all of its primaries that are up, which tell the hubs: the new serial.
    pub(crate) async fn edit(&mut self, zone: &DomainName) -> Result<Serial, SimulationError> {
        let timers = self.zones.get(zone).map_or(CALM, |hosted| hosted.timers);
        self.edit_timers(zone, timers).await
    }

    /// The same, with other refresh, retry and expire times in its SOA record; `None` for those that it had to begin with.
    pub(crate) async fn hurry(
        &mut self,
        zone: &DomainName,
        timers: Option<[u32; 3]>,
    ) -> Result<Serial, SimulationError> {
        self.edit_timers(zone, timers.unwrap_or(CALM)).await
    }

    async fn edit_timers(&mut self, zone: &DomainName, timers: [u32; 3]) -> Result<Serial, SimulationError> {
        let operation = || format!("edit {zone} at its primaries");
        let hosted = self.zones.get_mut(zone).ok_or("no customer has it").context(operation)?;
        hosted.serial = Serial(hosted.serial.0 + 1);
        hosted.timers = timers;
        let serial = hosted.serial;
        for listener in self.of_zone(zone).into_iter().filter(|listener| !self.down.contains(listener)) {
            self.serve(zone, listener).await?;
        }
        Ok(serial)
    }

    /// The keys that one of them needs.
    fn keys_of(&self, listener: &SocketAddr) -> BTreeMap<SecretName, Fingerprint> {
        let names = self.zones.values().filter_map(|hosted| hosted.listeners.get(listener)?.as_ref());
        names.filter_map(|name| Some((name.clone(), *self.keys.get(name)?))).collect()
    }

    fn config(&self, zone: &DomainName, hosted: &Hosted, listener: &SocketAddr) -> Arc<ZoneConfig> {
        let serial = hosted.serial;
        let key = hosted.listeners.get(listener).cloned().flatten();
        let same_family = |address: &&SocketAddr| address.is_ipv4() == listener.is_ipv4();
        let target = |hub: &SocketAddr| NotifyTarget {
            address: *hub,
            from: Some(listener.ip()),
            tsig_key: key.clone(),
        };
        let client = |hub: &IpAddr| TransferClient { tsig_key: key.clone(), ..TransferClient::at(*hub) };
        Arc::new(ZoneConfig {
            name: zone.clone(),
            source: ZoneRecords::File {
                path: format!("made up for {zone}").into(),
                text: contents(zone, serial, hosted).into(),
                serial,
            },
            notify: Arc::new(self.hub_listeners.iter().filter(same_family).map(target).collect()),
            transfer_to: Arc::new(self.hubs.iter().map(client).collect()),
            is_private: false,
        })
    }
}

/// A zone that a catalog lists: in what its members have to lie in, or below its own name.
fn member_of(catalog: &DomainName, policy: &MemberPolicy) -> Option<DomainName> {
    format!("member.{}", policy.within.first().unwrap_or(catalog)).parse().ok()
}

/// A small zone file.
fn contents(zone: &DomainName, serial: Serial, hosted: &Hosted) -> String {
    let [refresh, retry, expire] = hosted.timers;
    let head = |server: &str| {
        format!(
            "$TTL 300\n\
             {zone}. IN SOA {server}. hostmaster.{zone}. {serial} {refresh} {retry} {expire} 60\n\
             {zone}. IN NS {server}.\n"
        )
    };
    if hosted.members.is_empty() {
        let rest = format!(
            "ns.{zone}. IN A 203.0.113.250\n\
             www.{zone}. IN A 203.0.113.251\n\
             edits.{zone}. IN TXT \"{serial}\"\n"
        );
        return head(&format!("ns.{zone}")) + &rest;
    }
    let member = |(number, member)| format!("m{number}.zones.{zone}. IN PTR {member}.\n");
    let members: String = (1..).zip(&hosted.members).map(member).collect();
    format!("{}version.{zone}. IN TXT \"2\"\n{members}", head("invalid"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::desired::load;

    #[test]
    fn a_primary_demands_the_key_that_the_zones_file_names() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("desired-state");
        let primaries = Primaries::of(&load::read(&load::read_folder(&folder).unwrap()).unwrap());
        let zone: DomainName = "repairs.example".parse().unwrap();
        let key: SecretName = "mike-transfers".parse().unwrap();
        let hosted = &primaries.zones[&zone];
        for listener in hosted.listeners.keys() {
            let config = primaries.config(&zone, hosted, listener);
            assert!(!config.transfer_to.is_empty() && !config.notify.is_empty());
            assert!(config.transfer_to.iter().all(|client| client.tsig_key.as_ref() == Some(&key)));
            assert!(config.notify.iter().all(|target| target.tsig_key.as_ref() == Some(&key)));
            assert_eq!(primaries.keys_of(listener)[&key], primaries.keys[&key]);
        }
        let other: DomainName = "sailing.example".parse().unwrap();
        let hosted = &primaries.zones[&other];
        let listener = hosted.listeners.keys().next().unwrap();
        let config = primaries.config(&other, hosted, listener);
        assert!(config.transfer_to.iter().all(|client| client.tsig_key.is_none()));
    }
}
