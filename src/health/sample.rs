//! Sample: what one cycle of probes met.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use crate::dns::Serials;
use crate::names::{DomainName, Serial};

/// How a question travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// A connection for one question.
    Tcp,
}

impl Transport {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Udp, Self::Tcp];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// What an address said when it was asked for the SOA of the canary zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This node's name server, with authority.
    Canary(Serial),
    /// This node's name server, but not with the canary's SOA; the text says what instead.
    Wrong(String),
    /// Nothing came, or not from this node; the text says what was met.
    Silent(String),
}

/// What one cycle of probes met.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// Identity and canary: every service address by every transport.
    pub answers: BTreeMap<(IpAddr, Transport), Answer>,
    /// Some of the zones that should be served: the serial of the authoritative answer, or what came instead.
    pub zones: Serials,
    /// The serials that a hub has of some of these.
    pub hub: BTreeMap<DomainName, Serial>,
}
