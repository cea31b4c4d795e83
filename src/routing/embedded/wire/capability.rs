//! Capabilities of an OPEN (RFC 5492).

use std::fmt;

use super::Fields;

/// A capability: one that we speak, or any other by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Capability {
    /// Multiprotocol: AFI and SAFI (RFC 4760).
    Family(u16, u8),
    /// RFC 2918.
    RouteRefresh,
    /// RFC 8654.
    ExtendedMessages,
    /// The sender's role (RFC 9234).
    Role(u8),
    /// The sender's AS number (RFC 6793).
    FourOctetAs(u32),
    /// RFC 7313.
    EnhancedRefresh,
    /// Skipped.
    Other(u8),
}

impl Capability {
    /// Reads one; `None` if it overruns its parameter, or has a length that its kind cannot have.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (code, length) = (fields.octet()?, fields.octet()?);
        let mut value = Fields(fields.take(length.into())?);
        let capability = match code {
            1 => {
                let (afi, _reserved, safi) = (value.short()?, value.octet()?, value.octet()?);
                Self::Family(afi, safi)
            }
            2 => Self::RouteRefresh,
            6 => Self::ExtendedMessages,
            9 => Self::Role(value.octet()?),
            65 => Self::FourOctetAs(value.long()?),
            70 => Self::EnhancedRefresh,
            code => return Some(Self::Other(code)),
        };
        value.is_empty().then_some(capability)
    }

    /// As it stands in an OPEN.
    pub(crate) fn octets(self) -> Vec<u8> {
        let (code, value) = match self {
            Self::Family(afi, safi) => {
                let [high, low] = afi.to_be_bytes();
                (1, vec![high, low, 0, safi])
            }
            Self::RouteRefresh => (2, vec![]),
            Self::ExtendedMessages => (6, vec![]),
            Self::Role(role) => (9, vec![role]),
            Self::FourOctetAs(asn) => (65, asn.to_be_bytes().to_vec()),
            Self::EnhancedRefresh => (70, vec![]),
            Self::Other(code) => (code, vec![]),
        };
        let length = u8::try_from(value.len()).expect("none of ours has more than four octets");
        [vec![code, length], value].concat()
    }
}

/// RFC 9234 section 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BgpRole {
    Provider = 0,
    RouteServer = 1,
    RouteServerClient = 2,
    Customer = 3,
    Peer = 4,
}

impl BgpRole {
    /// RFC 9234 section 4.2: the only role that the other side may have.
    pub(crate) fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family(1, 1) => f.write_str("ipv4-unicast"),
            Self::Family(2, 1) => f.write_str("ipv6-unicast"),
            Self::Family(afi, safi) => write!(f, "family-{afi}-{safi}"),
            Self::RouteRefresh => f.write_str("route-refresh"),
            Self::ExtendedMessages => f.write_str("extended-messages"),
            Self::Role(0) => f.write_str("role-provider"),
            Self::Role(1) => f.write_str("role-route-server"),
            Self::Role(2) => f.write_str("role-route-server-client"),
            Self::Role(3) => f.write_str("role-customer"),
            Self::Role(4) => f.write_str("role-peer"),
            Self::Role(other) => write!(f, "role-{other}"),
            Self::FourOctetAs(asn) => write!(f, "four-octet-as-{asn}"),
            Self::EnhancedRefresh => f.write_str("enhanced-route-refresh"),
            Self::Other(5) => f.write_str("extended-next-hop"),
            Self::Other(64) => f.write_str("graceful-restart"),
            Self::Other(69) => f.write_str("add-path"),
            Self::Other(71) => f.write_str("long-lived-graceful-restart"),
            Self::Other(73) => f.write_str("fqdn"),
            Self::Other(code) => write!(f, "capability-{code}"),
        }
    }
}
