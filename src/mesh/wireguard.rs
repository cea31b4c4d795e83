//! WireGuard, by the kernel or by this process, and the addresses and routes that go with it.
//!
//! ```text
//!             no interface ──make──→ kernel knows WireGuard ──→ Kernel       survives the agent
//!                  ↑                        │ EOPNOTSUPP
//!                  │                        └──────────────────→ Userspace   ends with it
//!                  └── removed by hand, or the device stopped ──────┘
//! ```
//!
//! Which of the two it is shows in the kind of the interface, so nothing is remembered across restarts. Both are
//! configured in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::sync::Mutex;
use wireguard_control::{Backend, Device, DeviceUpdate, InterfaceName};

use crate::mesh::key::{self, PrivateKey};
use crate::mesh::links::{LinkChanges, SESSION_S};
use crate::mesh::silence::Silence;
use crate::mesh::userspace::UserspaceDevice;
use crate::mesh::{Mesh, MeshConfig, MeshError, ObservedLink, ObservedMesh, PublicKey};
use crate::netlink::{Link, LinkKind, Made, Netlink, advise, host_prefix_length, is_automatic};

/// Room for WireGuard's headers over IPv6 (80 octets) in an Ethernet frame of 1500.
const MTU: u32 = 1420;
/// For one exchange with the device.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(5);
/// For an interface of the same name to go away with the process that is ending.
const INTERFACE_WAIT: Duration = Duration::from_secs(3);

/// This node's end of the mesh, on the network namespace that the process is in.
pub struct WireGuardMesh {
    name: String,
    interface: InterfaceName,
    key: PrivateKey,
    opened: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The device in this process, if that is where it runs.
    device: Option<UserspaceDevice>,
    /// Where we told the device to send to, by the other side's key.
    endpoints: BTreeMap<PublicKey, SocketAddr>,
    silence: Silence,
}

impl WireGuardMesh {
    /// Loads or makes the node's key in its state folder. Touches no interface yet.
    pub fn open(state: &Path, interface_name: &str) -> Result<Self, MeshError> {
        let interface = interface_name.parse().map_err(|error| MeshError {
            operation: format!("use mesh interface {interface_name:?}"),
            why: format!("{error}; give mesh_interface 1 to 15 characters without spaces and slashes"),
        })?;
        let (key, _) = key::load_or_make(state).map_err(|error| MeshError {
            operation: "load the mesh key".to_owned(),
            why: error.to_string(),
        })?;
        let state = Mutex::new(State::default());
        Ok(Self { name: interface_name.to_owned(), interface, key, opened: Instant::now(), state })
    }

    /// The public half of this node's key, as its node file should give it.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Ends the device where it runs in this process. The kernel's stays, and carries on without the agent.
    pub async fn close(&self) {
        if let Some(device) = self.state.lock().await.device.take() {
            device.stop().await;
        }
    }

    fn failed(&self, operation: &str) -> impl Fn(io::Error) -> MeshError {
        let operation = format!("{operation} mesh interface {}", self.name);
        move |error| MeshError { operation: operation.clone(), why: advise(&error) }
    }

    /// The interface, if something of ours is behind it.
    async fn find(&self, netlink: &Netlink, state: &mut State) -> io::Result<Option<(Link, Backend)>> {
        let link = netlink.link(&self.name)?;
        let backend = match link.as_ref().map(|link| &link.kind) {
            Some(LinkKind::Wireguard) => Some(Backend::Kernel),
            Some(LinkKind::Tun) => match &mut state.device {
                Some(device) => device.keep_alive()?.then_some(Backend::Userspace),
                None => None,
            },
            Some(LinkKind::Other(_)) | None => None,
        };
        Ok(link.zip(backend))
    }

    /// The interface, made if it is not there.
    async fn find_or_make(&self, netlink: &Netlink, state: &mut State) -> io::Result<(Link, Backend)> {
        if let Some(found) = self.find(netlink, state).await? {
            return Ok(found);
        }
        if let Some(device) = state.device.take() {
            tracing::warn!(interface = self.name, "the mesh device stopped; starting another");
            device.stop().await;
        }
        self.wait_for_absence(netlink).await?;
        if netlink.make_wireguard(&self.name)? == Made::Unsupported {
            state.device = Some(UserspaceDevice::start(&self.name).await?);
        }
        state.endpoints.clear();
        let found = self.find(netlink, state).await?;
        let (link, backend) = found
            .ok_or_else(|| io::Error::other("it went away as soon as it was made; something removes it"))?;
        tracing::info!(interface = self.name, ?backend, "made the mesh interface");
        Ok((link, backend))
    }

    async fn wait_for_absence(&self, netlink: &Netlink) -> io::Result<()> {
        let absent = async {
            while netlink.link(&self.name)?.is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(INTERFACE_WAIT, absent).await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "an interface of that name is there and not ours; end the process that made it or remove it (ip link \
                 del), or give this node another mesh_interface in its local configuration",
            ))
        })
    }

    /// One exchange with the device. The kernel's answers at once; one in this process may hang, and is asked away from the
    /// runtime's threads.
    async fn exchange<T: Send + 'static>(
        &self,
        backend: Backend,
        exchange: impl FnOnce(&InterfaceName) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let interface = self.interface;
        if backend == Backend::Kernel {
            return exchange(&interface);
        }
        let task = tokio::task::spawn_blocking(move || exchange(&interface));
        match tokio::time::timeout(DEVICE_TIMEOUT, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the WireGuard device does not answer")),
        }
    }

    async fn read(&self, netlink: &Netlink, state: &mut State) -> io::Result<ObservedMesh> {
        let Some((link, backend)) = self.find(netlink, state).await? else {
            return Ok(ObservedMesh::default());
        };
        let device = match self.exchange(backend, move |interface| Device::get(interface, backend)).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                // One in this process that hangs is given up, so that the next look finds no interface.
                drop(state.device.take());
                return Err(error);
            }
            result => result?,
        };
        let received =
            device.peers.iter().map(|peer| (PublicKey(peer.config.public_key.0), peer.stats.rx_bytes));
        let silent = state.silence.look(received, self.opened.elapsed());
        let mut observed = observed_device(&device, &state.endpoints, &silent, SystemTime::now());
        let is_ours = |(ip, _): &(IpAddr, u8)| !is_automatic(*ip);
        observed.loopbacks =
            netlink.addresses(link.index)?.into_iter().filter(is_ours).map(|(ip, _)| ip).collect();
        // While the interface is down there is no route into it.
        observed.routes = netlink.routes(link.index)?.into_iter().map(|(ip, _)| ip).collect();
        observed.unreachable = netlink.unreachable()?;
        Ok(observed)
    }
}

#[async_trait]
impl Mesh for WireGuardMesh {
    async fn observe(&self) -> Result<ObservedMesh, MeshError> {
        let failed = self.failed("observe");
        let mut state = self.state.lock().await;
        let netlink = Netlink::open().map_err(&failed)?;
        self.read(&netlink, &mut state).await.map_err(&failed)
    }

    async fn configure(&self, config: &MeshConfig) -> Result<(), MeshError> {
        let failed = self.failed("configure");
        let mut state = self.state.lock().await;
        let netlink = Netlink::open().map_err(&failed)?;
        let (link, backend) = self.find_or_make(&netlink, &mut state).await.map_err(&failed)?;
        let observed = self.read(&netlink, &mut state).await.map_err(&failed)?;
        if let Err(error) = self.configure_device(&mut state, backend, &observed, config).await {
            // A device that took half of an update would not take the rest of it later.
            if let Some(device) = state.device.take() {
                device.stop().await;
            }
            return Err(failed(error));
        }
        self.configure_addresses(&netlink, &link, config).await.map_err(&failed)?;
        self.configure_routes(&netlink, &link, &observed, config).await.map_err(&failed)
    }

    async fn reroute(&self, unreachable: &BTreeSet<IpAddr>) -> Result<(), MeshError> {
        let failed = self.failed("change the routes of");
        let mut state = self.state.lock().await;
        let netlink = Netlink::open().map_err(&failed)?;
        let Some((link, _)) = self.find(&netlink, &mut state).await.map_err(&failed)? else { return Ok(()) };
        let present = netlink.unreachable().map_err(&failed)?;
        let fallen = unreachable.difference(&present);
        let back = present.difference(unreachable);
        fallen.copied().try_for_each(|address| netlink.put_unreachable(address)).map_err(&failed)?;
        back.copied().try_for_each(|address| netlink.put_route(link.index, address)).map_err(&failed)
    }
}

impl WireGuardMesh {
    async fn configure_device(
        &self,
        state: &mut State,
        backend: Backend,
        observed: &ObservedMesh,
        config: &MeshConfig,
    ) -> io::Result<()> {
        let changes = LinkChanges::between(observed, &config.links);
        let is_new_key = observed.public_key != Some(self.key.public());
        let is_new_port = observed.port != Some(config.port);
        if is_new_key || is_new_port || !changes.is_empty() {
            let mut update = DeviceUpdate::new();
            if is_new_key {
                update = update.set_private_key(self.key.secret());
            }
            if is_new_port {
                update = update.set_listen_port(config.port);
            }
            let update = changes.add_to(update);
            self.exchange(backend, move |interface| update.apply(interface, backend)).await.map_err(
                |error| {
                    let hint = format!("is UDP port {} free?", config.port);
                    io::Error::new(error.kind(), format!("the WireGuard device refused: {error}; {hint}"))
                },
            )?;
        }
        state.endpoints =
            config.links.values().filter_map(|link| Some((link.public_key, link.endpoint?))).collect();
        Ok(())
    }

    async fn configure_addresses(
        &self,
        netlink: &Netlink,
        link: &Link,
        config: &MeshConfig,
    ) -> io::Result<()> {
        netlink.bring_up(link.index, MTU)?;
        self.turn_ipv6_on().await;
        let present = netlink.addresses(link.index)?;
        for (address, length) in &present {
            let is_right = config.loopbacks.contains(address) && *length == host_prefix_length(*address);
            if !is_right && !is_automatic(*address) {
                netlink.remove_address(link.index, *address, *length)?;
            }
        }
        for address in &config.loopbacks {
            netlink.put_address(link.index, *address)?;
        }
        Ok(())
    }

    /// An owner without IPv6 may have turned it off for all interfaces; the mesh has its own on this one. Where it
    /// cannot be turned on, the address that is refused says so.
    async fn turn_ipv6_on(&self) {
        let switch = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.name);
        if matches!(tokio::fs::read(&switch).await.as_deref(), Ok(b"1\n")) {
            let _ = tokio::fs::write(&switch, "0\n").await;
        }
    }

    async fn configure_routes(
        &self,
        netlink: &Netlink,
        link: &Link,
        observed: &ObservedMesh,
        config: &MeshConfig,
    ) -> io::Result<()> {
        let desired = config.remote_loopbacks();
        let present = netlink.routes(link.index)?;
        for (destination, length) in &present {
            let is_right = desired.contains(destination) && *length == host_prefix_length(*destination);
            if !is_right && !is_automatic(*destination) {
                netlink.remove_route(link.index, *destination, *length)?;
            }
        }
        for destination in observed.unreachable.difference(&desired) {
            netlink.remove_unreachable(*destination)?;
        }
        for destination in desired.difference(&observed.unreachable) {
            if !present.contains(&(*destination, host_prefix_length(*destination))) {
                netlink.put_route(link.index, *destination)?;
            }
        }
        Ok(())
    }
}

/// What the device says of itself; addresses and routes are not its to know.
fn observed_device(
    device: &Device,
    told: &BTreeMap<PublicKey, SocketAddr>,
    silent: &BTreeSet<PublicKey>,
    now: SystemTime,
) -> ObservedMesh {
    let links = device.peers.iter().map(|peer| {
        let key = PublicKey(peer.config.public_key.0);
        let handshake_age_s =
            peer.stats.last_handshake_time.map(|time| now.duration_since(time).unwrap_or_default().as_secs());
        let is_alive = handshake_age_s.is_some_and(|age| age <= SESSION_S);
        let endpoint = peer.config.endpoint;
        let roamed_from = told.get(&key).copied().filter(|told| is_alive && Some(*told) != endpoint);
        let link = ObservedLink {
            endpoint,
            roamed_from,
            loopbacks: peer.config.allowed_ips.iter().map(|allowed| allowed.address).collect(),
            is_silent: silent.contains(&key),
            handshake_age_s,
            received: peer.stats.rx_bytes,
            sent: peer.stats.tx_bytes,
        };
        (key, link)
    });
    ObservedMesh {
        port: Some(device.listen_port.unwrap_or_default()),
        public_key: device.public_key.as_ref().map(|key| PublicKey(key.0)),
        links: links.collect(),
        ..ObservedMesh::default()
    }
}
