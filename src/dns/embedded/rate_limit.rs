//! Response rate limiting: what keeps an anycast name server from being the amplifier of somebody else's flood. Off unless
//! `network.yaml` says otherwise, and only for UDP, whose senders can be anybody.
//!
//! ```text
//! response ─ account: client's prefix, kind of response, zone ─┬─ in credit ──────────────────→ sent
//!                                                              └─ overdrawn ─┬─ exempt, cookie → sent
//!                                                                            ├─ every nth ─────→ TC=1 and no records (slip)
//!                                                                            └─ others ────────→ dropped
//! ```
//!
//! A response costs an account one unit, sent or not, and it earns its rate, up to a second's worth; the debt goes down to
//! `window` seconds' worth, so a flood stays shut out until it ends. A client that is shut out by mistake comes by TCP,
//! or with a cookie (RFC 7873 section 5.2.3) or a signature, which tell it from one whose address is forged.
//!
//! Accounts are kept in a table of fixed size, in each place the time at which an account will be level again, a number
//! that is changed without a lock. Which place is an account's is a secret of the process.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::handler::Handler;
use crate::dns::RateLimit;

/// Places in the table: 512 KB.
const PLACES: usize = 1 << 16;
/// An account's is one of so many next to each other.
const WAYS: usize = 4;
/// The lower bits of a place: a time in ticks, of which there are this many in a second. The others tell accounts apart.
const TIME: u32 = 44;
const TICKS: u64 = 100_000;

/// What becomes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    /// An empty one goes in its place, with TC set.
    Slip,
    Drop,
}

/// The accounts of all clients.
pub(crate) struct RateLimiter {
    limit: RateLimit,
    places: Box<[AtomicU64]>,
    hasher: RandomState,
    started: Instant,
    overdrawn: AtomicU64,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            started: Instant::now(),
            overdrawn: AtomicU64::new(0),
        }
    }

    /// What it limits to.
    pub(crate) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Judges a response that is ready to be sent, and makes it the truncated one where that is the verdict.
    pub(crate) fn judge(
        &self,
        handler: &Handler,
        request: &[u8],
        peer: SocketAddr,
        response: &mut Vec<u8>,
    ) -> Verdict {
        let ip = peer.ip().to_canonical();
        // A second after the start, so that 0 is in the past.
        let now = TICKS
            + u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX) / (1_000_000 / TICKS);
        if self.charge(self.account(handler, ip, response), rate(&self.limit, response), now)
            || self.limit.exempt.iter().any(|prefix| prefix.contains(&ip))
            || handler.is_known(request, ip)
        {
            return Verdict::Send;
        }
        let slip = u64::from(self.limit.slip);
        if slip == 0 || !self.overdrawn.fetch_add(1, Ordering::Relaxed).is_multiple_of(slip) {
            return Verdict::Drop;
        }
        handler.truncate(request, peer, response);
        Verdict::Slip
    }

    /// The hash of a response's account.
    fn account(&self, handler: &Handler, ip: IpAddr, response: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        match ip {
            IpAddr::V4(v4) => hasher.write_u32(v4.to_bits() & mask_v4(self.limit.ipv4_prefix)),
            IpAddr::V6(v6) => hasher.write_u128(v6.to_bits() & mask_v6(self.limit.ipv6_prefix)),
        }
        // RCODE, and whether there is an answer: each kind by itself, so that a flood of one does not shut out another.
        hasher.write_u8(response[3] & 15);
        hasher.write_u8(u8::from(response[6..8] != [0, 0]));
        // The zone, not the name, of which an attacker has any number, of wildcards too.
        hasher.write(handler.zone_of(response).as_wire());
        hasher.finish()
    }

    /// Charges an account; whether it was in credit.
    fn charge(&self, account: u64, rate: u32, now: u64) -> bool {
        let cost = TICKS / u64::from(rate.max(1));
        let set =
            usize::try_from(account % (PLACES / WAYS) as u64).expect("below the number of places") * WAYS;
        let tag = account >> TIME;
        let mut seen = [0; WAYS];
        for (seen, place) in seen.iter_mut().zip(&self.places[set..]) {
            *seen = place.load(Ordering::Relaxed);
        }
        let level = |place: u64| place & ((1 << TIME) - 1);
        // Its own place, or else that of the account that is level first.
        let own = (0..WAYS).find(|at| seen[*at] >> TIME == tag);
        let at = own.unwrap_or_else(|| (0..WAYS).min_by_key(|at| level(seen[*at])).unwrap_or(0));
        let owed = if own.is_some() { level(seen[at]).max(now) } else { now };
        let most = now + TICKS * u64::from(self.limit.window.max(1));
        let next = (owed + cost).min(most);
        // Of several threads at the same place one may go uncharged; the next response is charged again.
        let _ = self.places[set + at].compare_exchange(
            seen[at],
            tag << TIME | next & ((1 << TIME) - 1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        owed + cost <= now + TICKS
    }
}

fn rate(limit: &RateLimit, response: &[u8]) -> u32 {
    match response[3] & 15 {
        0 => limit.responses_per_second,
        _ => limit.errors_per_second,
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(rate: u32, window: u32) -> RateLimiter {
        RateLimiter::new(RateLimit { responses_per_second: rate, window, ..RateLimit::default() })
    }

    #[test]
    fn an_account_has_its_rate_and_a_debt_to_pay() {
        let limiter = limiter(10, 5);
        let mut now = TICKS;
        let sent = |now: u64, count: usize| (0..count).filter(|_| limiter.charge(7, 10, now)).count();
        assert_eq!(sent(now, 1000), 10, "a second's worth at once, then nothing");
        assert!(limiter.charge(8, 10, now), "others have their own");
        now += 3 * TICKS;
        assert_eq!(sent(now, 1), 0, "the debt is five seconds' worth");
        now += 6 * TICKS;
        assert_eq!(sent(now, 1000), 10);
        // At its rate it is never refused.
        now += 10 * TICKS;
        for _ in 0..100 {
            now += TICKS / 10;
            assert_eq!(sent(now, 1), 1);
        }
    }

    #[test]
    fn a_flood_is_shut_out_until_it_pauses() {
        let limiter = limiter(10, 1);
        let sent = (0..10_000_u64).filter(|at| limiter.charge(7, 10, TICKS + at * TICKS / 1000)).count();
        assert!((10..=11).contains(&sent), "{sent} in ten seconds");
        assert!(limiter.charge(7, 10, 13 * TICKS));
    }

    #[test]
    fn prefixes_of_any_length_have_masks() {
        assert_eq!((mask_v4(0), mask_v4(24), mask_v4(32)), (0, 0xffff_ff00, u32::MAX));
        assert_eq!((mask_v6(0), mask_v6(56), mask_v6(128)), (0, u128::MAX << 72, u128::MAX));
    }
}
