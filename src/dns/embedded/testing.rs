//! Zones for the tests of this module, the messages of a transfer, and names.

use std::sync::Arc;

use hickory_proto::rr::Name;

use super::outgoing::{Asked, Outgoing};
use super::rdata::rtype;
use super::zone::{Zone, ZoneBuilder};
use crate::names::DomainName;

/// The wire form of a name that hickory read, in the case that it was written in.
pub(crate) fn wire(name: &Name) -> Vec<u8> {
    let labels = name.iter().flat_map(|label| [&[label.len() as u8], label].concat());
    labels.chain([0]).collect()
}

/// All messages of a transfer.
pub(crate) fn messages(transfer: &mut Outgoing) -> Vec<Vec<u8>> {
    let mut message = Vec::new();
    std::iter::from_fn(|| transfer.next_message(&mut message).then(|| message.clone())).collect()
}

/// The answer to an AXFR request.
pub(crate) fn axfr(zone: Arc<Zone>, id: u16) -> Outgoing {
    let name = zone.apex().as_wire().to_vec();
    let asked = Asked { id, recursion_desired: false, qtype: rtype::AXFR, name: &name, opt: Vec::new() };
    Outgoing::whole(zone, asked)
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
