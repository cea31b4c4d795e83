//! OPENs: ours, and what becomes of a session when the peer's is judged beside it (RFC 4271 sections 4.2 and 6.2).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::update::afi;
use super::wire::capability::{BgpRole, Capability};
use super::wire::notification::Notification;
use super::wire::open::{AS_TRANS, Open};
use crate::routing::{Family, HOLD_TIME};

/// Unicast, the only one.
const SAFI: u8 = 1;

// Subcodes of RFC 4271 section 6.2, RFC 5492 section 5 and RFC 9234 section 4.2.
const BAD_PEER_AS: u8 = 2;
const BAD_IDENTIFIER: u8 = 3;
const UNACCEPTABLE_HOLD_TIME: u8 = 6;
const UNSUPPORTED_CAPABILITY: u8 = 7;
const ROLE_MISMATCH: u8 = 11;

/// Both parties of a session, as configured.
#[derive(Debug, Clone)]
pub(super) struct Parties {
    /// Our address.
    pub(super) local: IpAddr,
    /// The peer's.
    pub(super) neighbor: IpAddr,
    /// Our AS number.
    pub(super) local_asn: u32,
    /// The peer's.
    pub(super) remote_asn: u32,
    /// Our BGP identifier.
    pub(super) router_id: Ipv4Addr,
    /// Our role (RFC 9234).
    pub(super) role: BgpRole,
    /// Refuse a peer that sends no role.
    pub(super) strict_role: bool,
}

/// What both sides agreed upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreement {
    /// The peer's BGP identifier.
    pub(super) identifier: Ipv4Addr,
    /// The shorter of both; zero for none at all.
    pub(super) hold_time: Duration,
    /// AS numbers have four octets (RFC 6793).
    pub(super) four_octet_as: bool,
    /// RFC 8654.
    pub(super) extended_messages: bool,
    /// RFC 7313.
    pub(super) enhanced_refresh: bool,
    /// Everything that the peer says it can, each once.
    pub(super) capabilities: Vec<Capability>,
}

impl Agreement {
    /// RFC 4271 section 4.4: a third of the hold time; none without one.
    pub(super) fn keepalive(&self) -> Option<Duration> {
        (!self.hold_time.is_zero()).then(|| self.hold_time / 3)
    }
}

impl Parties {
    /// The one family of the session: that of its addresses.
    pub(super) fn family(&self) -> Family {
        Family::of(self.local)
    }

    fn capability_of_family(&self) -> Capability {
        Capability::Family(afi(self.family()), SAFI)
    }

    /// Our OPEN. No graceful restart: when this process ends, the peer must stop sending traffic here.
    pub(super) fn open(&self) -> Open {
        Open {
            my_as: u16::try_from(self.local_asn).unwrap_or(AS_TRANS),
            hold_time: u16::try_from(HOLD_TIME.as_secs()).expect("30 fits"),
            identifier: self.router_id,
            capabilities: vec![
                self.capability_of_family(),
                Capability::RouteRefresh,
                Capability::ExtendedMessages,
                Capability::Role(self.role as u8),
                Capability::FourOctetAs(self.local_asn),
                Capability::EnhancedRefresh,
            ],
        }
    }

    /// Judges the peer's OPEN.
    ///
    /// # Errors
    /// The NOTIFICATION to close with.
    pub(super) fn agree(&self, open: &Open) -> Result<Agreement, Notification> {
        // RFC 7607 section 2: zero is nobody's number, in either place.
        if open.my_as == 0 || open.asn() != self.remote_asn {
            return Err(Notification::open(BAD_PEER_AS, &[]));
        }
        // RFC 6286 section 2.1: any identifier but zero.
        if open.identifier.is_unspecified() {
            return Err(Notification::open(BAD_IDENTIFIER, &[]));
        }
        // RFC 4271 section 4.2: zero, or at least three seconds.
        if open.hold_time == 1 || open.hold_time == 2 {
            return Err(Notification::open(UNACCEPTABLE_HOLD_TIME, &[]));
        }
        self.agree_on_family(open)?;
        self.agree_on_roles(open)?;
        let has = |capability| open.capabilities.contains(&capability);
        let mut capabilities = open.capabilities.clone();
        capabilities.sort_unstable();
        capabilities.dedup();
        Ok(Agreement {
            identifier: open.identifier,
            hold_time: HOLD_TIME.min(Duration::from_secs(open.hold_time.into())),
            four_octet_as: open.four_octet_as().is_some(),
            extended_messages: has(Capability::ExtendedMessages),
            enhanced_refresh: has(Capability::EnhancedRefresh),
            capabilities,
        })
    }

    fn agree_on_family(&self, open: &Open) -> Result<(), Notification> {
        let ours = self.capability_of_family();
        let is_family = |capability: &Capability| matches!(capability, Capability::Family(..));
        let mut families = open.capabilities.iter().filter(|capability| is_family(capability)).peekable();
        // RFC 4760 section 8: a speaker that names no family at all means IPv4.
        let implied = families.peek().is_none() && self.family() == Family::V4;
        if implied || families.any(|capability| *capability == ours) {
            return Ok(());
        }
        // RFC 5492 section 5: the data are the capabilities that are missed.
        Err(Notification::open(UNSUPPORTED_CAPABILITY, &ours.octets()))
    }

    /// RFC 9234 section 4.2.
    fn agree_on_roles(&self, open: &Open) -> Result<(), Notification> {
        let fits = Capability::Role(self.role.counterpart() as u8);
        let is_role = |capability: &Capability| matches!(capability, Capability::Role(_));
        let mut roles = open.capabilities.iter().filter(|capability| is_role(capability)).peekable();
        let missed = roles.peek().is_none() && self.strict_role;
        // One that is said twice is one; two that differ cannot both fit.
        if missed || roles.any(|role| *role != fits) {
            return Err(Notification::open(ROLE_MISMATCH, &[]));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties() -> Parties {
        Parties {
            local: "192.0.2.1".parse().unwrap(),
            neighbor: "192.0.2.2".parse().unwrap(),
            local_asn: 4_200_000_000,
            remote_asn: 64496,
            router_id: Ipv4Addr::new(192, 0, 2, 1),
            role: BgpRole::Customer,
            strict_role: false,
        }
    }

    fn open(capabilities: &[Capability]) -> Open {
        Open {
            my_as: 64496,
            hold_time: 90,
            identifier: Ipv4Addr::new(192, 0, 2, 2),
            capabilities: capabilities.to_vec(),
        }
    }

    #[test]
    fn a_speaker_of_the_first_days_is_spoken_to() {
        let agreement = parties().agree(&open(&[])).unwrap();
        assert!(!agreement.four_octet_as && !agreement.extended_messages && !agreement.enhanced_refresh);
        assert_eq!(agreement.hold_time, HOLD_TIME);
        assert_eq!(parties().open().my_as, AS_TRANS);
    }

    #[test]
    fn the_shorter_hold_time_counts_and_none_is_one() {
        for (proposed, hold, keepalive) in
            [(9, 9, Some(3)), (0, 0, None), (3, 3, Some(1)), (65535, 30, Some(10))]
        {
            let agreement = parties().agree(&Open { hold_time: proposed, ..open(&[]) }).unwrap();
            assert_eq!(agreement.hold_time, Duration::from_secs(hold));
            assert_eq!(agreement.keepalive(), keepalive.map(Duration::from_secs));
        }
    }

    #[test]
    fn what_does_not_suit_is_refused_by_its_subcode() {
        let v6 = Capability::Family(2, 1);
        let role = |role: BgpRole| Capability::Role(role as u8);
        let cases = [
            (Open { my_as: 64497, ..open(&[]) }, BAD_PEER_AS),
            (Open { my_as: 0, ..open(&[Capability::FourOctetAs(64496)]) }, BAD_PEER_AS),
            (open(&[Capability::FourOctetAs(0)]), BAD_PEER_AS),
            (Open { identifier: Ipv4Addr::UNSPECIFIED, ..open(&[]) }, BAD_IDENTIFIER),
            (Open { hold_time: 1, ..open(&[]) }, UNACCEPTABLE_HOLD_TIME),
            (Open { hold_time: 2, ..open(&[]) }, UNACCEPTABLE_HOLD_TIME),
            (open(&[v6]), UNSUPPORTED_CAPABILITY),
            (open(&[role(BgpRole::Customer)]), ROLE_MISMATCH),
            (open(&[role(BgpRole::Provider), role(BgpRole::Peer)]), ROLE_MISMATCH),
            (open(&[Capability::Role(200)]), ROLE_MISMATCH),
        ];
        for (open, subcode) in cases {
            let refusal = parties().agree(&open).unwrap_err();
            assert_eq!((refusal.code, refusal.subcode), (2, subcode), "{open:?}");
        }
        assert!(parties().agree(&open(&[role(BgpRole::Provider), role(BgpRole::Provider)])).is_ok());
        let strict = Parties { strict_role: true, ..parties() };
        assert_eq!(strict.agree(&open(&[])).unwrap_err().subcode, ROLE_MISMATCH);
        let over_v6 = Parties { local: "2001:db8::1".parse().unwrap(), ..parties() };
        assert_eq!(over_v6.agree(&open(&[])).unwrap_err().data.as_ref(), [1, 4, 0, 2, 0, 1]);
        assert!(over_v6.agree(&open(&[Capability::Family(1, 1), v6])).is_ok());
    }
}
