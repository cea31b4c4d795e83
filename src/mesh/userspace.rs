//! WireGuard in this process, where the kernel has none: gotatun between a TUN interface and a UDP socket.
//!
//! It is configured like any other userspace implementation, over the socket `/var/run/wireguard/<interface>.sock`,
//! so `wg show` works on it too. Interface and socket go away with the process; a killed one leaves the socket's file
//! behind, which the next one removes.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use gotatun::device::uapi::command::Request;
use gotatun::device::uapi::{UapiClient, UapiServer};
use gotatun::device::{Device, DeviceBuilder};
use gotatun::tun::tun_async_device::{Error as TunDeviceError, TunDevice};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::mesh::transport::{PlainTun, PlainUdp};

/// Where userspace implementations of WireGuard are configured.
const SOCKET_FOLDER: &str = "/var/run/wireguard";
/// Where TUN interfaces come from.
const TUN_FILE: &str = "/dev/net/tun";
/// What to do when it cannot be opened.
const TUN_ADVICE: &str = "load its module (modprobe tun), in a container pass the device in, and run the agent as root \
                          or let its user open the file (0666 is the usual mode)";
/// The longest request that is read, in octets: some thousand links.
const REQUEST_LIMIT: u64 = 1 << 20;
/// How many may talk to the device at once, and for how long.
const CONVERSATIONS: usize = 4;
const CONVERSATION_TIMEOUT: Duration = Duration::from_secs(5);

/// A running WireGuard device and the TUN interface that it stands behind.
pub(super) struct UserspaceDevice {
    device: Device<(PlainUdp, PlainTun, PlainTun)>,
    client: UapiClient,
    socket: Socket,
}

/// The socket that the device is configured over. Dropped, it is gone from the file system.
struct Socket {
    path: PathBuf,
    listener: JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.listener.abort();
        let _ = fs::remove_file(&self.path);
    }
}

impl UserspaceDevice {
    /// Makes the TUN interface and starts the device, which does nothing until it is configured.
    pub(super) async fn start(interface: &str) -> io::Result<Self> {
        let (client, server) = UapiServer::new();
        let socket = Socket::listen(interface, &client)?;
        let device = DeviceBuilder::new()
            .with_udp(PlainUdp)
            .with_ip(PlainTun::new(open_tun(interface)?))
            .with_uapi(server)
            .build()
            .await
            .map_err(io::Error::other)?;
        Ok(Self { device, client, socket })
    }

    /// Whether it still carries packets: it stops when its interface or its UDP socket is taken away. Listens again,
    /// should somebody have removed the file of its socket.
    pub(super) fn keep_alive(&mut self) -> io::Result<bool> {
        let is_alive = self.device.wait().now_or_never().is_none();
        if is_alive && !self.socket.path.exists() {
            self.socket.listener.abort();
            self.socket.listener = listen(&self.socket.path, &self.client)?;
        }
        Ok(is_alive)
    }

    /// Ends it. The interface is gone soon after.
    pub(super) async fn stop(self) {
        drop(self.socket);
        self.device.stop().await;
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign enum, of which one variant carries an error number"
)]
fn open_tun(interface: &str) -> io::Result<TunDevice> {
    // The TUN interface is opened by its library; this tells apart what it could not.
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(TUN_FILE) {
        return Err(io::Error::new(
            error.kind(),
            format!(
                "{TUN_FILE}: {error}; this kernel has no WireGuard, so a TUN interface is needed: {TUN_ADVICE}"
            ),
        ));
    }
    TunDevice::from_name(interface).map_err(|error| match error {
        // Its number says what to do.
        TunDeviceError::OpenTun(gotatun::tun::tun::Error::Io(error)) => error,
        error => io::Error::other(error),
    })
}

impl Socket {
    fn listen(interface: &str, client: &UapiClient) -> io::Result<Self> {
        let path = Path::new(SOCKET_FOLDER).join(format!("{interface}.sock"));
        let listener = listen(&path, client)?;
        Ok(Self { path, listener })
    }
}

/// Binds the socket and answers on it, in a task of its own.
fn listen(path: &Path, client: &UapiClient) -> io::Result<JoinHandle<()>> {
    DirBuilder::new().recursive(true).mode(0o755).create(SOCKET_FOLDER)?;
    // Somebody who answers there is another device of this name, perhaps in another network namespace: taking its
    // socket away would leave it running but out of reach.
    if BlockingUnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!(
                "{} is served by another process; stop it, or give this node another mesh_interface in its local \
                 configuration",
                path.display()
            ),
        ));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Who can write to it can read the private key.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(tokio::spawn(serve(listener, client.clone())))
}

async fn serve(listener: UnixListener, client: UapiClient) {
    let mut conversations = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let client = client.clone();
                conversations.spawn(async move {
                    if let Err(error) = converse(stream, client).await {
                        tracing::debug!(%error, "a conversation with the mesh device ended early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the socket of the mesh device takes no connections");
                tokio::time::sleep(CONVERSATION_TIMEOUT).await;
            }
        }
        while conversations.len() >= CONVERSATIONS {
            conversations.join_next().await;
        }
        while conversations.try_join_next().is_some() {}
    }
}

/// Answers requests, each a block of `key=value` lines that ends with an empty one, until the other side hangs up.
async fn converse(mut stream: UnixStream, client: UapiClient) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read.take(REQUEST_LIMIT)).lines();
    let mut request = String::new();
    loop {
        let line = tokio::time::timeout(CONVERSATION_TIMEOUT, lines.next_line()).await??;
        match line.as_deref() {
            None => return Ok(()),
            Some("") if request.is_empty() => {}
            Some("") => {
                let parsed: Request = request.parse().map_err(io::Error::other)?;
                let response = client.send(parsed).await.map_err(io::Error::other)?;
                write.write_all(format!("{response}\n").as_bytes()).await?;
                request.clear();
            }
            Some(line) => {
                request.push_str(line);
                request.push('\n');
            }
        }
    }
}
