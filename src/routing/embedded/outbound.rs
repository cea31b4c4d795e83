//! What a peer has been told (the Adj-RIB-Out of RFC 4271 section 3.2), and what is to be told next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::export::{Route, Wanted};
use super::update::{self, Format};

/// The Adj-RIB-Out of one connection.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    told: Wanted,
    end_of_rib_sent: bool,
}

impl Outbound {
    /// The prefixes told.
    pub(super) fn prefixes(&self) -> BTreeSet<IpNet> {
        self.told.keys().copied().collect()
    }

    /// The UPDATEs from what was told to `wanted`: withdrawals first, then one UPDATE for each set of attributes,
    /// and after the first time End-of-RIB. With `again`, everything is announced anew (RFC 2918).
    pub(super) fn update(
        &mut self,
        wanted: &Wanted,
        again: bool,
        next_hop: IpAddr,
        format: Format,
    ) -> Vec<Vec<u8>> {
        let gone: Vec<IpNet> =
            self.told.keys().filter(|prefix| !wanted.contains_key(*prefix)).copied().collect();
        let mut changed: BTreeMap<&Route, Vec<IpNet>> = BTreeMap::new();
        for (prefix, route) in wanted {
            if again || self.told.get(prefix) != Some(route) {
                changed.entry(route).or_default().push(*prefix);
            }
        }
        let mut messages = update::withdraw(&gone, format);
        for (route, prefixes) in changed {
            messages.extend(update::announce(&prefixes, route, next_hop, format));
        }
        if !self.end_of_rib_sent {
            messages.push(update::end_of_rib(format));
            self.end_of_rib_sent = true;
        }
        self.told.clone_from(wanted);
        messages
    }
}
