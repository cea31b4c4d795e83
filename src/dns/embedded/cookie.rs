//! DNS cookies (RFC 7873), made so that every node of the network takes what another made (RFC 9018 section 4).
//!
//! ```text
//! server cookie   version 1 · reserved 3 · time 4 · hash 8       hash: SipHash-2-4 of the client's 8, the first 8, address
//! ```
//!
//! A cookie says that its sender receives what we send to its address. Nobody is refused for having none.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::keyring::{CookieSecret, Secret};

/// The length of the client's half, and of each half of the server's.
const HALF: usize = 8;
/// All of it.
pub(crate) const LENGTH: usize = 3 * HALF;
/// Version 1, and nothing in the reserved octets.
const HEAD: [u8; 4] = [1, 0, 0, 0];
/// How old a cookie may be, how far the clock that made it may be ahead of ours, and from what age on it is answered with
/// a new one, in seconds (RFC 9018 section 4.3).
const OLD: u32 = 3600;
const AHEAD: u32 = 300;
const RENEW: u32 = 1800;

/// What a COOKIE option says of who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The cookie to answer with.
    pub(crate) answer: [u8; LENGTH],
    /// Whether it came with a cookie that was made for this address not long ago.
    pub(crate) known: bool,
}

/// A secret that nobody else has, for a network that has none in common.
pub(crate) fn own_secret() -> CookieSecret {
    // Its keys come from the system's generator, which is all that is random without another crate.
    let random = RandomState::new();
    let octets = [0_u8, 1].map(|half| random.hash_one(half).to_be_bytes());
    CookieSecret { current: Secret::new(octets.concat()), previous: None }
}

/// Judges what a COOKIE option holds, 8 octets or 16 to 40, at `now`, in seconds since 1970 (modulo 2^32). `None` if the
/// secret has not 16 octets.
pub(crate) fn judge(secret: &CookieSecret, option: &[u8], peer: IpAddr, now: u32) -> Option<Judged> {
    let key = |secret: &Secret| secret.expose().try_into().ok();
    let current = key(&secret.current)?;
    let (client, server) = option.split_first_chunk::<HALF>()?;
    let made = |key: &[u8; 16], time: u32| {
        let [t0, t1, t2, t3] = time.to_be_bytes();
        let head = [HEAD[0], HEAD[1], HEAD[2], HEAD[3], t0, t1, t2, t3];
        let mut hasher = SipHasher24::new_with_key(key);
        hasher.write(client);
        hasher.write(&head);
        match peer {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        let mut cookie = [0; LENGTH];
        cookie[..HALF].copy_from_slice(client);
        cookie[HALF..2 * HALF].copy_from_slice(&head);
        // As the reference does, which reads the hash's octets from the least.
        cookie[2 * HALF..].copy_from_slice(&hasher.finish().to_le_bytes());
        cookie
    };
    let age = server.get(4..8).and_then(|time| {
        let time = u32::from_be_bytes(time.try_into().ok()?);
        // RFC 9018 section 4.3: by serial number arithmetic.
        let age = now.wrapping_sub(time);
        let previous = secret.previous.as_ref().and_then(key);
        let ours = [Some(current), previous].iter().flatten().any(|key| made(key, time) == option);
        (ours && (age <= OLD || age >= AHEAD.wrapping_neg())).then_some(age)
    });
    // One that is young, or ahead of us, or made before the secret changed, may be answered with itself; a new one is
    // as good for all of them but the first.
    let answer = match age {
        Some(age) if age < RENEW && made(&current, now.wrapping_sub(age)) == option => {
            option.try_into().ok()?
        }
        _ => made(&current, now),
    };
    Some(Judged { answer, known: age.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of RFC 9018 appendix A.
    const SECRET: [u8; 16] =
        [0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf];
    const CLIENT: [u8; 8] = [0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];
    const MADE: u32 = 1_559_731_985;
    const SERVER: [u8; 16] =
        [1, 0, 0, 0, 0x5c, 0xf7, 0x9f, 0x11, 0x1f, 0x81, 0x30, 0xc3, 0xee, 0xe2, 0x94, 0x80];

    fn secret(current: [u8; 16], previous: Option<[u8; 16]>) -> CookieSecret {
        let secret = |octets: [u8; 16]| Secret::new(octets.to_vec());
        CookieSecret { current: secret(current), previous: previous.map(secret) }
    }

    fn peer() -> IpAddr {
        [198, 51, 100, 100].into()
    }

    #[test]
    fn a_cookie_is_made_as_the_rfc_shows() {
        let judged = judge(&secret(SECRET, None), &CLIENT, peer(), MADE).unwrap();
        assert_eq!(
            judged,
            Judged { answer: [&CLIENT[..], &SERVER].concat().try_into().unwrap(), known: false }
        );
    }

    #[test]
    fn a_cookie_is_taken_for_an_hour_by_whoever_has_the_secret() {
        let cookie = [&CLIENT[..], &SERVER].concat();
        let judged = |now: u32| judge(&secret(SECRET, None), &cookie, peer(), now).unwrap();
        for (now, known, same) in [
            (MADE, true, true),
            (MADE + 1799, true, true),
            (MADE + 1800, true, false),
            (MADE + 3600, true, false),
            (MADE + 3601, false, false),
            (MADE - 300, true, false),
            (MADE - 301, false, false),
        ] {
            let judged = judged(now);
            assert_eq!(
                (judged.known, judged.answer[..] == cookie),
                (known, same),
                "{}",
                now.wrapping_sub(MADE)
            );
        }
        let other = [0x11; 16];
        assert!(!judge(&secret(other, None), &cookie, peer(), MADE).unwrap().known);
        let rolled = judge(&secret(other, Some(SECRET)), &cookie, peer(), MADE).unwrap();
        assert!(rolled.known && rolled.answer[..] != cookie);
        assert!(!judge(&secret(SECRET, None), &cookie, [198, 51, 100, 101].into(), MADE).unwrap().known);
        let changed = |at: usize| {
            let mut cookie = cookie.clone();
            cookie[at] ^= 1;
            judge(&secret(SECRET, None), &cookie, peer(), MADE).unwrap().known
        };
        assert!(!(0..cookie.len()).any(changed));
        assert!(!judge(&secret(SECRET, None), &cookie[..20], peer(), MADE).unwrap().known);
        assert!(own_secret() != own_secret());
    }
}
