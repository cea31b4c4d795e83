//! What the userspace device sends and receives by: one packet at a time, in as much memory as it needs.
//!
//! The device's own transports are made for a fast line: they receive in batches through 26 MB of buffers, and keep
//! every packet, large or small, in one of up to 4,000 buffers of 4 KiB. A mesh carries zone transfers and status
//! between small machines, so here a packet is copied out of one buffer that is used again and again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gotatun::packet::{Ip, Packet, PacketBufPool};
use gotatun::tun::tun_async_device::TunDevice;
use gotatun::tun::{IpRecv, IpSend, MtuWatcher};
use gotatun::udp::socket::{SockOpt, UdpSocket};
use gotatun::udp::{UdpRecv, UdpTransportFactory, UdpTransportFactoryParams};
use nix::libc;

/// Makes the UDP socket: both families in one, or IPv4 alone where the machine has no IPv6.
pub(super) struct PlainUdp;

impl UdpTransportFactory for PlainUdp {
    type Send = UdpSocket;
    type Recv = PlainReceiver;

    async fn bind(&mut self, params: &UdpTransportFactoryParams) -> io::Result<(UdpSocket, PlainReceiver)> {
        let address = params.addr.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let options = SockOpt {
            fwmark: params.fwmark,
            only_v6: address.is_ipv6().then_some(params.addr.is_some()),
            ..SockOpt::default()
        };
        let socket = match UdpSocket::bind(SocketAddr::new(address, params.port), options) {
            Err(error)
                if params.addr.is_none()
                    && matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)) =>
            {
                tracing::info!("no IPv6 on this machine: the mesh uses IPv4 alone");
                let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), params.port);
                UdpSocket::bind(any, SockOpt { only_v6: None, ..options })?
            }
            result => result?,
        };
        let receiver = PlainReceiver { socket: socket.clone(), buffer: PacketBufPool::new(1) };
        Ok((socket, receiver))
    }
}

/// Receives one datagram after the other.
pub(super) struct PlainReceiver {
    socket: UdpSocket,
    buffer: PacketBufPool,
}

impl UdpRecv for PlainReceiver {
    type RecvManyBuf = ();

    async fn recv_from(&mut self, _: &mut PacketBufPool) -> io::Result<(Packet, SocketAddr)> {
        let (packet, from) = self.socket.recv_from(&mut self.buffer).await?;
        Ok((Packet::<[u8]>::copy_from(&packet), from))
    }
}

/// The TUN interface.
#[derive(Clone)]
pub(super) struct PlainTun {
    tun: TunDevice,
    buffer: PacketBufPool,
}

impl PlainTun {
    pub(super) fn new(tun: TunDevice) -> Self {
        Self { tun, buffer: PacketBufPool::new(1) }
    }
}

impl IpSend for PlainTun {
    async fn send(&mut self, packet: Packet<Ip>) -> io::Result<()> {
        self.tun.send(packet).await
    }
}

impl IpRecv for PlainTun {
    async fn recv<'a>(
        &'a mut self,
        _: &mut PacketBufPool,
    ) -> io::Result<impl Iterator<Item = Packet<Ip>> + Send + 'a> {
        let packets = self.tun.recv(&mut self.buffer).await?;
        Ok(packets.map(|packet| Packet::<Ip>::copy_from(&packet)))
    }

    fn mtu(&self) -> MtuWatcher {
        self.tun.mtu()
    }
}
