//! TSIG (RFC 8945): signing what is asked of other name servers, and verifying all that they answer.
//!
//! A request that is to be signed never leaves unsigned, and no octet of an answer is looked at before `Verifier` has
//! taken its message. In a stream of messages the first and the last are signed, and no more than 99 in a row are not
//! (section 5.3.1). Faults tell who found what: we in their answer, or they in our request.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use domain::base::iana::{Class, Opcode, Rcode, Rtype, TsigRcode};
use domain::base::message_builder::{AdditionalBuilder, OptBuilder};
use domain::base::name::{Name, ToName};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{Algorithm, ClientSequence, Key, ValidationError};

use super::rdata::rtype;
use crate::keyring::{TsigAlgorithm, TsigKey};
use crate::names::DomainName;

/// The key as the codec wants it. MACs are neither cut short nor accepted so (section 5.2.2.1).
pub(crate) fn key(key: &TsigKey) -> Arc<Key> {
    let algorithm = match key.algorithm {
        TsigAlgorithm::HmacSha256 => Algorithm::Sha256,
        TsigAlgorithm::HmacSha384 => Algorithm::Sha384,
        TsigAlgorithm::HmacSha512 => Algorithm::Sha512,
    };
    let name = Name::from_slice(key.name.as_wire()).expect("a DomainName is a name");
    let name = name.try_to_name().expect("a name has at most 255 octets");
    let key = Key::new(algorithm, key.secret.expose(), name, None, None);
    Arc::new(key.expect("only lengths of MACs are ever refused, and none is given"))
}

/// Why a request can always be made.
const FITS: &str = "a question, a SOA record and a signature take less than 2 KB";

/// What is asked about a zone's apex.
#[derive(Debug)]
pub(crate) struct Request {
    /// The message as it is sent.
    pub(crate) octets: Vec<u8>,
    /// For its answer.
    pub(crate) verifier: Verifier,
}

impl Request {
    /// A question of this id and type, signed if there is a key. `soa` is the data of the SOA record that an IXFR's
    /// authority section tells what the asker has (RFC 1995 section 3), and `size` that of the largest datagram that is
    /// taken, where it is not 512 (RFC 6891 section 6.2.3).
    pub(crate) fn new(
        id: u16,
        apex: &DomainName,
        qtype: u16,
        soa: Option<&[u8]>,
        size: Option<u16>,
        key: Option<&TsigKey>,
    ) -> Self {
        let apex = Name::from_slice(apex.as_wire()).expect("a DomainName is a name");
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(id);
        let mut message = message.question();
        message.push((apex, Rtype::from_int(qtype), Class::IN)).expect(FITS);
        let mut message = message.authority();
        if let Some(soa) = soa {
            let soa = UnknownRecordData::from_octets(Rtype::from_int(rtype::SOA), soa).expect(FITS);
            message.push((apex, Class::IN, 0, soa)).expect(FITS);
        }
        let mut message = message.additional();
        if let Some(size) = size {
            let opt = |opt: &mut OptBuilder<'_, Vec<u8>>| {
                opt.set_udp_payload_size(size);
                Ok(())
            };
            message.opt(opt).expect(FITS);
        }
        Self::signed(message, key)
    }

    /// The NOTIFY of this id that tells of a zone, with data and TTL of its SOA record where they are known (RFC 1996
    /// section 3.7), signed if there is a key.
    pub(crate) fn notify(
        id: u16,
        apex: &DomainName,
        soa: Option<(&[u8], u32)>,
        key: Option<&TsigKey>,
    ) -> Self {
        let apex = Name::from_slice(apex.as_wire()).expect("a DomainName is a name");
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(id);
        message.header_mut().set_opcode(Opcode::NOTIFY);
        message.header_mut().set_aa(true);
        let mut message = message.question();
        message.push((apex, Rtype::SOA, Class::IN)).expect(FITS);
        let mut message = message.answer();
        if let Some((soa, ttl)) = soa {
            let soa = UnknownRecordData::from_octets(Rtype::SOA, soa).expect(FITS);
            message.push((apex, Class::IN, ttl, soa)).expect(FITS);
        }
        Self::signed(message.additional(), key)
    }

    fn signed(mut message: AdditionalBuilder<Vec<u8>>, key: Option<&TsigKey>) -> Self {
        let verifier = match key {
            None => Verifier::Unsigned,
            Some(key) => {
                let sequence = ClientSequence::request(self::key(key), &mut message, time()).expect(FITS);
                Verifier::Signed { sequence: Box::new(sequence), last_signed: true }
            }
        };
        Self { octets: message.finish(), verifier }
    }
}

/// Verifies the messages of one answer, in their order.
#[derive(Debug, Clone)]
pub(crate) enum Verifier {
    /// The request was not signed, so nothing of the answer may be.
    Unsigned,
    /// The request was signed.
    Signed {
        /// What went before.
        sequence: Box<ClientSequence<Arc<Key>>>,
        /// Whether the last message was signed.
        last_signed: bool,
    },
}

impl Verifier {
    /// Takes the next message. After a fault the answer is of no use.
    pub(crate) fn message(&mut self, octets: &[u8]) -> Result<(), TsigFault> {
        let signed = tsig_at_end(octets)?;
        match self {
            Self::Unsigned if signed.is_some() => Err(TsigFault::Unexpected),
            Self::Unsigned => Ok(()),
            Self::Signed { sequence, last_signed } => {
                // Taking a signature off changes the message, and its reader is to have it as it came.
                let mut message = Message::from_octets(octets.to_vec()).map_err(|_| TsigFault::Malformed)?;
                *last_signed = signed.is_some();
                let unverified = signed.map(|signed| signed.error);
                sequence.answer(&mut message, time()).map_err(|error| fault(error, &message, unverified))
            }
        }
    }

    /// Whether the answer may end with the message that was taken last.
    pub(crate) fn done(&self) -> Result<(), TsigFault> {
        match self {
            Self::Signed { last_signed: false, .. } => Err(TsigFault::LastUnsigned),
            Self::Signed { .. } | Self::Unsigned => Ok(()),
        }
    }
}

/// What a TSIG record says that ends a message, verified or not.
struct Seen {
    error: Refusal,
}

fn tsig_at_end(octets: &[u8]) -> Result<Option<Seen>, TsigFault> {
    let Ok(message) = Message::from_octets(octets) else { return Ok(None) };
    let Some(record) = message.get_last_additional::<Tsig<_, _>>() else { return Ok(None) };
    // Section 4.2. The digest has what they must be in place of what they are, so it would not show.
    if record.class() != Class::ANY || record.ttl().as_secs() != 0 {
        return Err(TsigFault::Malformed);
    }
    let tsig = record.data();
    let skew = tsig.other_time().map(|theirs| seconds(theirs).cast_signed() - seconds(time()).cast_signed());
    Ok(Some(Seen { error: Refusal { error: tsig.error(), skew } }))
}

/// The fault that an error of the codec stands for. What a server says of our request is believed unverified: with or
/// without it there is no answer, and BADKEY and BADSIG come unsigned (section 5.3.2).
fn fault(error: ValidationError, message: &Message<Vec<u8>>, said: Option<Refusal>) -> TsigFault {
    if let Some(refusal) = said.filter(|said| said.error != TsigRcode::NOERROR) {
        return TsigFault::Refused(refusal);
    }
    match error {
        ValidationError::ServerUnsigned => match message.header().rcode() {
            Rcode::NOERROR => TsigFault::Unsigned,
            rcode => TsigFault::UnsignedError(rcode.to_string()),
        },
        ValidationError::BadKey | ValidationError::BadAlg => TsigFault::OtherKey,
        ValidationError::BadSig => TsigFault::BadSig,
        ValidationError::BadTrunc => TsigFault::BadTrunc,
        ValidationError::BadTime => TsigFault::BadTime,
        ValidationError::TooManyUnsigned => TsigFault::TooManyUnsigned,
        ValidationError::ServerBadKey
        | ValidationError::ServerBadSig
        | ValidationError::ServerBadTime { .. }
        | ValidationError::BadOther
        | ValidationError::FormErr => TsigFault::Malformed,
    }
}

/// Why an answer to a signed request is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TsigFault {
    #[error("its answer is not signed, and our request was")]
    Unsigned,
    #[error("it answered {0} without a signature, and our request was signed")]
    UnsignedError(String),
    #[error("its answer is signed, and our request was not: give the zone its key")]
    Unexpected,
    #[error("BADKEY: its answer is signed with another key or another algorithm than our request")]
    OtherKey,
    #[error("BADSIG: the signature of its answer is wrong: the secrets differ, or the message was changed")]
    BadSig,
    #[error("BADTRUNC: the signature of its answer is cut short")]
    BadTrunc,
    #[error("BADTIME: its answer was signed at a time too far from our clock's")]
    BadTime,
    #[error("the signature of its answer is malformed or in the wrong place")]
    Malformed,
    #[error("more than 99 messages in a row are not signed")]
    TooManyUnsigned,
    #[error("the last message of its answer is not signed")]
    LastUnsigned,
    #[error("it refused our signature with {0}")]
    Refused(Refusal),
}

/// What a server found wrong with our signature (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    error: TsigRcode,
    /// How far its clock is ahead of ours, in seconds.
    skew: Option<i64>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.error, self.skew) {
            (TsigRcode::BADKEY, _) => f.write_str("BADKEY: it has no key of this name and algorithm"),
            (TsigRcode::BADSIG, _) => f.write_str("BADSIG: its secret of this key is another"),
            (TsigRcode::BADTIME, Some(skew)) => {
                write!(f, "BADTIME: its clock is {skew} s from ours; set the one that is wrong")
            }
            (TsigRcode::BADTIME, None) => f.write_str("BADTIME: its clock and ours differ too much"),
            (TsigRcode::BADTRUNC, _) => f.write_str("BADTRUNC: it does not take our length of signature"),
            (other, _) => write!(f, "error {}", other.to_int()),
        }
    }
}

/// The time that signatures carry. A clock before 1970 signs as of then, and is told BADTIME.
fn time() -> Time48 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Time48::from_u64(now.as_secs() & 0xffff_ffff_ffff)
}

fn seconds(time: Time48) -> u64 {
    time.into_octets().iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests;
