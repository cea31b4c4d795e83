//! Authenticate: TSIG (RFC 8945) of what is asked of us, from the octets of a request to the octets of its response.
//!
//! ```text
//! request ─ malformed ─→ FORMERR
//!         ─ unknown key, wrong MAC ─→ NOTAUTH, BADKEY, BADSIG         ─→ a TSIG record that signs nothing
//!         ─ too early or late, short MAC ─→ NOTAUTH, BADTIME, BADTRUNC ─┐
//!         ─ all is well ────────────────────────────────────────────────┴→ signed, each message of a transfer
//! ```
//!
//! That a TSIG record is the one last record of a request is seen when the request is read; one without has nothing to do
//! with this.
//!
//! The crate `domain`, which signs what we ask, is not used here: of a wrong MAC it says FORMERR instead of BADSIG, and
//! the MAC of its BADTIME counts eight octets of time where six are sent.

use std::time::{Duration, SystemTime};

use ring::hmac;

use super::response::rcode;
use crate::keyring::{TsigAlgorithm, TsigKey};
use crate::names::DomainName;

mod record;

use record::Tsig;

/// How far clocks may differ, in seconds (section 10).
const FUDGE: u16 = 300;
/// What the error field of a TSIG record says (section 3).
const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;
const BADTRUNC: u16 = 22;

/// A request whose TSIG record is wrong.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The response code.
    pub(crate) rcode: u16,
    /// How the response is to be closed.
    pub(crate) seal: Seal,
}

/// How the messages of a response are closed.
#[derive(Debug)]
pub(crate) enum Seal {
    /// Not at all: the request was not signed.
    None,
    /// With a record that says what is wrong with the request, and signs nothing.
    Unsigned(Box<Tsig>),
    /// With a signature.
    Signed(Box<Signer>),
}

/// What signs the messages of a response.
#[derive(Debug)]
pub(crate) struct Signer {
    key: TsigKey,
    hmac: hmac::Key,
    /// The MAC of the request or of the message before.
    prior: Vec<u8>,
    first: bool,
    /// What is wrong with the request: 0 for nothing.
    error: u16,
    /// When the request was signed, where that was at a wrong time.
    asked_at: Option<u64>,
}

impl Seal {
    /// Of a request whose last record is TSIG, at this octet. `keys` tells those of a name, and `now` the time in seconds
    /// since 1970.
    pub(crate) fn of(
        request: &[u8],
        at: usize,
        keys: impl Fn(&DomainName) -> Vec<TsigKey>,
        now: impl Fn() -> u64,
    ) -> Result<Self, Refusal> {
        match Tsig::read(request, at) {
            // Section 5.2.
            None => Err(Refusal { rcode: rcode::FORM_ERR, seal: Self::None }),
            Some(tsig) => {
                let mut keys = keys(&tsig.key);
                keys.retain(|key| algorithm_name(key.algorithm) == tsig.algorithm.as_wire());
                verify(request, at, tsig, keys, now())
            }
        }
    }

    /// The key that the request was signed with.
    pub(crate) fn key(&self) -> Option<&TsigKey> {
        match self {
            Self::Signed(signer) => Some(&signer.key),
            Self::None | Self::Unsigned(_) => None,
        }
    }

    /// How much it adds to a message, in octets.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Unsigned(tsig) => tsig.length(),
            Self::Signed(signer) => signer.tsig(0, Vec::new(), 0).length() + signer.mac_length(),
        }
    }

    /// Closes the next message of a response, which is complete but for it.
    pub(crate) fn close(&mut self, message: &mut Vec<u8>, now: impl Fn() -> u64) {
        match self {
            Self::None => (),
            Self::Unsigned(tsig) => tsig.append_to(message),
            Self::Signed(signer) => signer.sign(message, now()),
        }
    }
}

/// The checks in the order of section 5.2: key, MAC, time, truncation.
fn verify(request: &[u8], at: usize, tsig: Tsig, keys: Vec<TsigKey>, now: u64) -> Result<Seal, Refusal> {
    let refuse = |error| {
        let original_id = u16::from_be_bytes([request[0], request[1]]);
        let (mac, other) = (Vec::new(), Vec::new());
        let seal =
            Seal::Unsigned(Box::new(Tsig { mac, original_id, error, other, fudge: FUDGE, ..tsig.clone() }));
        Err(Refusal { rcode: rcode::NOT_AUTH, seal })
    };
    let Some(length) = keys.first().map(|key| hmac_algorithm(key.algorithm).digest_algorithm().output_len())
    else {
        return refuse(BADKEY);
    };
    // Section 5.2.2.1: a MAC that is longer than its algorithm's, or shorter than may ever be accepted.
    if tsig.mac.len() > length || tsig.mac.len() < 10.max(length / 2) {
        return Err(Refusal { rcode: rcode::FORM_ERR, seal: Seal::None });
    }
    let signed = |key: &TsigKey| {
        let mut context = hmac::Context::with_key(&hmac_key(key));
        // The message as it was before it was signed: its own id, and without the record.
        context.update(&tsig.original_id.to_be_bytes());
        context.update(&request[2..10]);
        context.update(&additional(request).wrapping_sub(1).to_be_bytes());
        context.update(&request[12..at]);
        tsig.variables_to(&mut context);
        equal(&context.sign().as_ref()[..tsig.mac.len()], &tsig.mac)
    };
    // Secrets of two customers may have one name.
    let Some(key) = keys.into_iter().find(signed) else {
        return refuse(BADSIG);
    };
    let (hmac, prior) = (hmac_key(&key), tsig.mac.clone());
    let mut signer = Box::new(Signer { key, hmac, prior, first: true, error: 0, asked_at: None });
    if tsig.time.abs_diff(now) > u64::from(tsig.fudge) {
        (signer.error, signer.asked_at) = (BADTIME, Some(tsig.time));
    } else if tsig.mac.len() < length {
        // Section 5.2.4: none of ours takes a MAC that is cut short.
        signer.error = BADTRUNC;
    } else {
        return Ok(Seal::Signed(signer));
    }
    Err(Refusal { rcode: rcode::NOT_AUTH, seal: Seal::Signed(signer) })
}

impl Signer {
    fn mac_length(&self) -> usize {
        self.hmac.algorithm().digest_algorithm().output_len()
    }

    /// The record but for its MAC.
    fn tsig(&self, original_id: u16, mac: Vec<u8>, now: u64) -> Tsig {
        let other = match self.error {
            // Section 5.2.3: the request's time, and ours beside it.
            BADTIME => now.to_be_bytes()[2..].to_vec(),
            _ => Vec::new(),
        };
        Tsig {
            key: self.key.name.clone(),
            algorithm: DomainName::from_wire(algorithm_name(self.key.algorithm)).expect("it is a name"),
            time: self.asked_at.unwrap_or(now),
            fudge: FUDGE,
            mac,
            original_id,
            error: self.error,
            other,
        }
    }

    /// Sections 5.3.1 and 5.4.
    fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        let mut tsig = self.tsig(u16::from_be_bytes([message[0], message[1]]), Vec::new(), now);
        let mut context = hmac::Context::with_key(&self.hmac);
        context.update(&u16::try_from(self.prior.len()).expect("at most 64 octets").to_be_bytes());
        context.update(&self.prior);
        context.update(message);
        match self.first {
            true => tsig.variables_to(&mut context),
            false => tsig.timers_to(&mut context),
        }
        tsig.mac = context.sign().as_ref().to_vec();
        tsig.append_to(message);
        self.prior = tsig.mac;
        self.first = false;
    }
}

/// Signs a request that is complete but for it, as a client does.
#[cfg(any(fuzzing, test))]
pub(crate) fn sign_request(message: &mut Vec<u8>, key: &TsigKey, now: u64) {
    let (hmac, prior) = (hmac_key(key), Vec::new());
    let signer = Signer { key: key.clone(), hmac, prior, first: true, error: 0, asked_at: None };
    let mut tsig = signer.tsig(u16::from_be_bytes([message[0], message[1]]), Vec::new(), now);
    let mut context = hmac::Context::with_key(&signer.hmac);
    context.update(message);
    tsig.variables_to(&mut context);
    tsig.mac = context.sign().as_ref().to_vec();
    tsig.append_to(message);
}

/// The time that signatures carry: seconds since 1970, in 48 bits.
pub(crate) fn time() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    now.as_secs() & 0xffff_ffff_ffff
}

fn additional(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[10], message[11]])
}

fn hmac_key(key: &TsigKey) -> hmac::Key {
    hmac::Key::new(hmac_algorithm(key.algorithm), key.secret.expose())
}

fn hmac_algorithm(algorithm: TsigAlgorithm) -> hmac::Algorithm {
    match algorithm {
        TsigAlgorithm::HmacSha256 => hmac::HMAC_SHA256,
        TsigAlgorithm::HmacSha384 => hmac::HMAC_SHA384,
        TsigAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
    }
}

/// The algorithm's name in wire form (section 6).
fn algorithm_name(algorithm: TsigAlgorithm) -> &'static [u8] {
    match algorithm {
        TsigAlgorithm::HmacSha256 => b"\x0bhmac-sha256\0",
        TsigAlgorithm::HmacSha384 => b"\x0bhmac-sha384\0",
        TsigAlgorithm::HmacSha512 => b"\x0bhmac-sha512\0",
    }
}

/// Takes as long whatever differs.
fn equal(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
