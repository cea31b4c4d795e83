//! A world in memory: stateful stand-ins for the four parts of a node, which can be cut off, blinded and edited by
//! hand. What is embedded in the agent is forgotten when the agent dies; what the kernel holds is not.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shoestring::dns::embedded::zone::Zone;
use shoestring::dns::{
    NameServer, NameServerConfig, NameServerError, ObservedNameServer, ObservedZone, Pace, Serials,
    ZoneChanges, ZoneRecords, ZoneState,
};
use shoestring::host::{Host, HostError};
use shoestring::mesh::{Mesh, MeshConfig, MeshError, ObservedMesh};
use shoestring::names::{DomainName, Serial};
use shoestring::node::Parts;
use shoestring::routing::{ObservedRouting, Origination, RoutingConfig, RoutingDaemon, RoutingError};

/// What there is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub addresses: BTreeSet<IpAddr>,
    pub mesh: ObservedMesh,
    pub name_server: ObservedNameServer,
    pub routing: ObservedRouting,
}

/// The state, and what goes wrong with it.
#[derive(Debug, Default)]
pub struct World {
    pub state: State,
    /// Changes that still go through before the agent is dead; `None` for ever.
    pub changes_left: Option<usize>,
    /// Changes so far.
    pub changes: usize,
    /// Parts that cannot be observed: host, mesh, name server, routing.
    pub blind: [bool; 4],
    /// Every origination that was asked for, in order.
    pub originations: Vec<Origination>,
}

/// A handle that implements every part.
#[derive(Clone, Default)]
pub struct Handle(pub Arc<Mutex<World>>);

impl Handle {
    pub fn parts(&self) -> Parts {
        let part = Arc::new(self.clone());
        Parts::new(part.clone(), part.clone(), part.clone(), part)
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// The agent dies: what was embedded in it is gone.
    pub fn kill(&self) {
        self.with(|world| {
            world.state.name_server = ObservedNameServer::default();
            world.state.routing = ObservedRouting::default();
            world.changes_left = None;
        });
    }

    fn observe<T>(&self, part: usize, read: impl FnOnce(&State) -> T) -> Result<T, String> {
        self.with(|world| if world.blind[part] { Err("blind".to_owned()) } else { Ok(read(&world.state)) })
    }

    fn change(&self, act: impl FnOnce(&mut World)) -> Result<(), String> {
        self.with(|world| {
            if let Some(left) = &mut world.changes_left {
                *left = left.checked_sub(1).ok_or("the agent is dead")?;
            }
            world.changes += 1;
            act(world);
            Ok(())
        })
    }
}

fn failed(why: String) -> (String, String) {
    ("a call".to_owned(), why)
}

#[async_trait]
impl Host for Handle {
    async fn service_addresses(&self) -> Result<BTreeSet<IpAddr>, HostError> {
        let read = self.observe(0, |state| state.addresses.clone());
        read.map_err(failed).map_err(|(operation, why)| HostError { operation, why })
    }

    async fn add_service_address(&self, address: IpAddr) -> Result<(), HostError> {
        let done = self.change(|world| {
            world.state.addresses.insert(address);
        });
        done.map_err(failed).map_err(|(operation, why)| HostError { operation, why })
    }

    async fn remove_service_address(&self, address: IpAddr) -> Result<(), HostError> {
        let done = self.change(|world| {
            world.state.addresses.remove(&address);
        });
        done.map_err(failed).map_err(|(operation, why)| HostError { operation, why })
    }
}

#[async_trait]
impl Mesh for Handle {
    async fn observe(&self) -> Result<ObservedMesh, MeshError> {
        let read = Handle::observe(self, 1, |state| state.mesh.clone());
        read.map_err(failed).map_err(|(operation, why)| MeshError { operation, why })
    }

    async fn configure(&self, config: &MeshConfig) -> Result<(), MeshError> {
        let done = self.change(|world| {
            world.state.mesh = ObservedMesh {
                port: Some(config.port),
                loopbacks: config.loopbacks.clone(),
                routes: &config.remote_loopbacks() - &world.state.mesh.unreachable,
                unreachable: &config.remote_loopbacks() & &world.state.mesh.unreachable,
                links: config.links.values().map(|config| (config.public_key, config.untouched())).collect(),
                ..world.state.mesh.clone()
            };
        });
        done.map_err(failed).map_err(|(operation, why)| MeshError { operation, why })
    }

    async fn reroute(&self, unreachable: &BTreeSet<IpAddr>) -> Result<(), MeshError> {
        let done = self.change(|world| {
            let mesh = &mut world.state.mesh;
            mesh.routes = &(&mesh.routes | &mesh.unreachable) - unreachable;
            mesh.unreachable.clone_from(unreachable);
        });
        done.map_err(failed).map_err(|(operation, why)| MeshError { operation, why })
    }
}

#[async_trait]
impl NameServer for Handle {
    async fn observe(&self) -> Result<ObservedNameServer, NameServerError> {
        let read = Handle::observe(self, 2, |state| state.name_server.clone());
        read.map_err(failed).map_err(|(operation, why)| NameServerError { operation, why })
    }

    async fn configure(&self, config: &NameServerConfig) -> Result<(), NameServerError> {
        let done = self.change(|world| world.state.name_server.config = Some(config.clone()));
        done.map_err(failed).map_err(|(operation, why)| NameServerError { operation, why })
    }

    async fn apply(&self, changes: &ZoneChanges) -> Result<(), NameServerError> {
        let done = self.change(|world| {
            let mut zones = (*world.state.name_server.zones).clone();
            zones.retain(|name, _| !changes.remove.contains(name));
            for zone in &changes.set {
                let serial = match zone.source {
                    ZoneRecords::File { serial, .. } => serial,
                    ZoneRecords::Transfer(_) => Serial(1),
                };
                let observed = ObservedZone {
                    fingerprint: zone.fingerprint(),
                    serial: Some(serial),
                    state: ZoneState::Served,
                    problem: None,
                };
                zones.insert(zone.name.clone(), observed);
            }
            world.state.name_server.zones = zones.into();
        });
        done.map_err(failed).map_err(|(operation, why)| NameServerError { operation, why })
    }

    async fn serials(&self, zones: &[DomainName], _: Duration) -> Result<Serials, NameServerError> {
        let read = Handle::observe(self, 2, |state| {
            let serial = |zone: &DomainName| state.name_server.zones.get(zone).and_then(|seen| seen.serial);
            zones.iter().map(|zone| (zone.clone(), serial(zone).ok_or("no serial"))).collect()
        });
        read.map_err(failed).map_err(|(operation, why)| NameServerError { operation, why })
    }

    async fn queries(&self) -> Result<u64, NameServerError> {
        Ok(0)
    }

    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    async fn zone(&self, apex: &DomainName, _: Option<Serial>) -> Result<Option<Arc<Zone>>, NameServerError> {
        let (operation, why) =
            (format!("read the zone {apex}"), "no zone of this world has records".to_owned());
        Err(NameServerError { operation, why })
    }
}

#[async_trait]
impl RoutingDaemon for Handle {
    async fn observe(&self) -> Result<ObservedRouting, RoutingError> {
        let read = Handle::observe(self, 3, |state| state.routing.clone());
        read.map_err(failed).map_err(|(operation, why)| RoutingError { operation, why })
    }

    async fn configure(&self, config: &RoutingConfig) -> Result<(), RoutingError> {
        let done = self.change(|world| world.state.routing.config = Some(config.clone()));
        done.map_err(failed).map_err(|(operation, why)| RoutingError { operation, why })
    }

    async fn originate(&self, origination: &Origination) -> Result<(), RoutingError> {
        let done = self.change(|world| {
            world.state.routing.originated = origination.clone();
            world.originations.push(origination.clone());
        });
        done.map_err(failed).map_err(|(operation, why)| RoutingError { operation, why })
    }
}
