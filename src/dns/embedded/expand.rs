//! Expand: one record out of a message from outside, its compressed names (RFC 1035 section 4.1.4) written out.
//!
//! Only the names are decoded. The other octets of the record data are taken as they stand, so that a type that
//! nobody here has heard of passes through unchanged (RFC 3597).

use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::names::DomainName;

/// A record as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// Whose it is.
    pub(crate) owner: DomainName,
    /// Its type.
    pub(crate) rtype: u16,
    /// Its class.
    pub(crate) class: u16,
    /// Its time to live, in seconds.
    pub(crate) ttl: u32,
    /// Its data, without compression.
    pub(crate) rdata: Vec<u8>,
}

/// One part of a record's data.
enum Part {
    Name,
    /// So many octets.
    Octets(usize),
    /// A length octet, and so many octets.
    Text,
}

/// The parts up to the last name that a sender may have compressed: RFC 3597 section 4 lists the types.
fn layout(rtype: u16) -> &'static [Part] {
    use Part::{Name, Octets, Text};
    match rtype {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME.
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        // SOA, MINFO, RP.
        6 | 14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX.
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // SIG.
        24 => &[Octets(18), Name],
        // PX.
        26 => &[Octets(2), Name, Name],
        // NXT.
        30 => &[Name],
        // SRV.
        33 => &[Octets(6), Name],
        // NAPTR.
        35 => &[Octets(4), Text, Text, Text, Name],
        _ => &[],
    }
}

/// Reads the record at the decoder. The error says what is wrong with it.
pub(crate) fn record(decoder: &mut BinDecoder<'_>) -> Result<Received, String> {
    let owner = Name::read(decoder).map_err(|error| format!("an owner name cannot be read: {error}"))?;
    let owner = DomainName::from_wire(&wire(&owner)).ok_or("an owner name is too long")?;
    let fixed: [u8; 10] = octets(decoder, 10)
        .and_then(|fixed| fixed.try_into().ok())
        .ok_or_else(|| format!("the record of {owner} is cut off"))?;
    let [t0, t1, c0, c1, ttl @ .., l0, l1] = fixed;
    let rtype = u16::from_be_bytes([t0, t1]);
    let end = decoder.index() + usize::from(u16::from_be_bytes([l0, l1]));
    let bad = || format!("the data of {owner} type {rtype} is malformed");
    let mut rdata = Vec::new();
    for part in layout(rtype) {
        match part {
            Part::Name => rdata.extend(wire(&Name::read(decoder).map_err(|_| bad())?)),
            Part::Octets(count) => rdata.extend(octets(decoder, *count).ok_or_else(bad)?),
            Part::Text => {
                let length = octets(decoder, 1).ok_or_else(bad)?;
                rdata.extend(length);
                rdata.extend(octets(decoder, usize::from(length[0])).ok_or_else(bad)?);
            }
        }
    }
    let rest = end.checked_sub(decoder.index()).ok_or_else(bad)?;
    rdata.extend(octets(decoder, rest).ok_or_else(bad)?);
    // A name may grow by being written out, and the whole is counted in 16 bits wherever it goes next.
    if rdata.len() > usize::from(u16::MAX) {
        return Err(bad());
    }
    Ok(Received {
        owner,
        rtype,
        class: u16::from_be_bytes([c0, c1]),
        // RFC 2181 section 8: a TTL with the highest bit set counts as zero.
        ttl: Some(u32::from_be_bytes(ttl)).filter(|ttl| *ttl <= i32::MAX as u32).unwrap_or(0),
        rdata,
    })
}

fn octets<'a>(decoder: &mut BinDecoder<'a>, count: usize) -> Option<&'a [u8]> {
    decoder.read_slice(count).ok().map(|slice| slice.unverified(/* any octets will do */))
}

/// The uncompressed wire form, as it was written (upper case is kept: record data is not ours to change).
pub(crate) fn wire(name: &Name) -> Vec<u8> {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name {
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message's worth of octets: a name at 0 to point at, then `rest`, read from there.
    fn read(rest: &[u8]) -> Result<Received, String> {
        let mut bytes = b"\x07example\0".to_vec();
        let start = u16::try_from(bytes.len()).unwrap();
        bytes.extend(rest);
        record(&mut BinDecoder::new(&bytes).clone(start))
    }

    #[test]
    fn compressed_names_are_written_out() {
        let mx =
            read(b"\x03WWW\xc0\x00\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x09\x00\x0a\x04Mail\xc0\x00").unwrap();
        assert_eq!(mx.owner, "www.example".parse().unwrap());
        assert_eq!((mx.rtype, mx.class, mx.ttl), (15, 1, 3600));
        assert_eq!(mx.rdata, b"\x00\x0a\x04Mail\x07example\0");
        let naptr = read(b"\0\0\x23\0\x01\0\0\0\0\0\x0b\0\x01\0\x02\x01u\0\x01r\xc0\x00").unwrap();
        assert_eq!(naptr.rdata, b"\0\x01\0\x02\x01u\0\x01r\x07example\0");
    }

    #[test]
    fn where_names_are_expanded_nothing_else_is_taken_for_data() {
        // Or data that comes from elsewhere would be another after a transfer.
        for rtype in 0..=u16::MAX {
            assert!(layout(rtype).is_empty() || super::super::rdata::fields(rtype).is_some(), "{rtype}");
        }
    }

    #[test]
    fn what_is_unknown_passes_unchanged() {
        let unknown = read(b"\xc0\x00\xff\x01\x00\x01\xff\xff\xff\xff\x00\x03\xc0\x00\xc0").unwrap();
        assert_eq!((unknown.ttl, unknown.rdata), (0, b"\xc0\x00\xc0".to_vec()));
    }

    #[test]
    fn what_is_cut_or_loops_is_refused() {
        let whole: &[u8] = b"\x03www\xc0\x00\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x09\x00\x0a\x04mail\xc0\x00";
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        // A pointer to itself; data shorter and longer than its names.
        assert!(read(b"\xc0\x09\x00\x01\x00\x01\0\0\0\0\0\0").is_err());
        assert!(read(b"\0\0\x02\0\x01\0\0\0\0\0\x01\xc0\x00").is_err());
        assert!(read(b"\0\0\x02\0\x01\0\0\0\0\0\x05\xc0\x00").is_err());
    }
}
