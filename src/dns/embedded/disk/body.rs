//! Body: a zone as octets, and back.
//!
//! For each RRset: owner (length, wire form), type, TTL, number of records, each: length, data. Numbers are big-endian:
//! lengths of names 1 octet, of data 2, the others as on the wire; the number of records 4. The RRsets come in the order
//! in which a zone has them, so that next to nothing is moved when they are read.

use crate::dns::embedded::describe;
use crate::dns::embedded::zone::{Zone, ZoneBuilder};
use crate::names::DomainName;

/// Appends the octets of a zone.
pub(crate) fn write(zone: &Zone, out: &mut Vec<u8>) {
    for set in zone.rrsets() {
        let owner = set.owner();
        out.push(u8::try_from(owner.as_wire().len()).expect("a name has at most 255 octets"));
        out.extend(owner.as_wire());
        out.extend(set.rtype().to_be_bytes());
        out.extend(set.ttl().to_be_bytes());
        out.extend(u32::try_from(set.count()).expect("a zone counts in 32 bits").to_be_bytes());
        for rdata in set.rdatas() {
            out.extend(u16::try_from(rdata.len()).expect("a zone counts data in 16 bits").to_be_bytes());
            out.extend(rdata);
        }
    }
}

/// The zone of these octets. The error says why they are none.
pub(crate) fn read(mut rest: &[u8], apex: &DomainName) -> Result<Zone, String> {
    let torn = "it ends in the middle of a record";
    let mut builder = ZoneBuilder::new(apex.clone());
    while !rest.is_empty() {
        let [length] = array(&mut rest).ok_or(torn)?;
        let owner = rest.split_off(..usize::from(length)).and_then(DomainName::from_wire).ok_or(torn)?;
        let rtype = u16::from_be_bytes(array(&mut rest).ok_or(torn)?);
        let ttl = u32::from_be_bytes(array(&mut rest).ok_or(torn)?);
        let count = u32::from_be_bytes(array(&mut rest).ok_or(torn)?);
        for _ in 0..count {
            let length = u16::from_be_bytes(array(&mut rest).ok_or(torn)?);
            let rdata = rest.split_off(..usize::from(length)).ok_or(torn)?;
            builder.push(&owner, rtype, ttl, rdata).map_err(|fault| fault.to_string())?;
        }
    }
    builder.finish().map_err(|faults| describe(&faults))
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::embedded::testing;

    #[test]
    fn octets_that_are_no_zone_are_refused() {
        let apex: DomainName = "example.org".parse().unwrap();
        let zone = testing::zone(&apex, 7, 3);
        let mut octets = Vec::new();
        write(&zone, &mut octets);
        assert_eq!(read(&octets, &apex).unwrap(), zone);
        assert!(read(&octets, &"example.net".parse().unwrap()).is_err());
        for cut in 0..octets.len() {
            // Where a set ends, the zone is whole but for the sets after it; nowhere does it panic.
            let _ = read(&octets[..cut], &apex);
        }
    }
}
