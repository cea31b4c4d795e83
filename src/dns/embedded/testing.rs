//! Zones for the tests of this module, and the octets that become of a message.

use async_trait::async_trait;
use futures_util::FutureExt;
use hickory_proto::op::Message;
use hickory_proto::rr::Record;
use hickory_server::net::NetError;
use hickory_server::server::{ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponse;
use tokio::sync::mpsc;

use super::front;
use super::zone::{Zone, ZoneBuilder};
use crate::names::DomainName;

/// What a client gets of this message if there is no limit to its size.
pub(crate) fn octets(message: &Message) -> Vec<u8> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    front::send(message, &mut Outbound(sender)).now_or_never().unwrap().unwrap();
    receiver.try_recv().unwrap()
}

#[derive(Clone)]
struct Outbound(mpsc::UnboundedSender<Vec<u8>>);

#[async_trait]
impl ResponseHandler for Outbound {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let (info, octets) = front::octets(response)?;
        self.0.send(octets).unwrap();
        Ok(info)
    }
}

/// A zone with a SOA (refresh 3600, retry 600, expire 86400), an NS, and so many names with a TXT record each.
pub(crate) fn zone(apex: &DomainName, serial: u32, names: usize) -> Zone {
    let mut builder = ZoneBuilder::new(apex.clone());
    let mut soa = [b"\x02ns\x07example\0\x04mail\x07example\0".as_slice(), &serial.to_be_bytes()].concat();
    soa.extend([3600_u32, 600, 86_400, 300].iter().flat_map(|number| number.to_be_bytes()));
    builder.push(apex, 6, 3600, &soa).unwrap();
    builder.push(apex, 2, 3600, b"\x02ns\x07example\0").unwrap();
    for number in 0..names {
        let label = format!("n{number}");
        let owner = [&[label.len() as u8], label.as_bytes(), apex.as_wire()].concat();
        let text = format!("{serial} {number}");
        let rdata = [&[text.len() as u8], text.as_bytes()].concat();
        builder.push(&DomainName::from_wire(&owner).unwrap(), 16, 60, &rdata).unwrap();
    }
    builder.finish().unwrap()
}
