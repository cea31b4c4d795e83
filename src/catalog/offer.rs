//! Offer: the catalog that lists an account's zones to others.
//!
//! The serial is the time at which this hub first listed what it lists: it goes up whatever changes, members that come and
//! go with a customer's catalog included, and needs no agreement between hubs, which list the same soon after each other.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Offered;
use super::memory::Edition;
use crate::dns::{ZoneConfig, ZoneRecords};
use crate::fingerprint::Fingerprint;
use crate::names::{DomainName, Serial};

/// The catalog of these zones, as a primary zone of this hub, and what is to be remembered of it. `now` is in seconds
/// since 1970.
pub(super) fn offer<'a>(
    catalog: &DomainName,
    offered: &Offered,
    zones: impl Iterator<Item = &'a DomainName>,
    before: Option<&Edition>,
    now: u32,
) -> (Arc<ZoneConfig>, Edition) {
    // Nobody resolves names in it; RFC 9432 section 4.1 has "invalid." for its server. Whoever misses a NOTIFY asks within
    // minutes, whose transfer was cut off asks again soon (NSD resets connections when it reloads), and whoever cannot
    // reach us for long keeps what it has.
    let mut text = String::from(
        "$TTL 0\n@ SOA invalid. invalid. 1 300 15 2147483646 0\n@ NS invalid.\nversion TXT \"2\"\n",
    );
    for zone in zones {
        // Cannot fail on a string.
        let _ = writeln!(text, "{}.zones PTR {zone}.", Fingerprint::of(&[zone.as_wire()]));
    }
    let fingerprint = Fingerprint::of(&[text.as_bytes()]).to_string();
    let serial = match before {
        Some(before) if before.fingerprint == fingerprint => before.serial,
        Some(before) if !Serial(now).is_newer_than(Serial(before.serial)) => before.serial.wrapping_add(1),
        Some(_) | None => now,
    };
    let config = ZoneConfig {
        name: catalog.clone(),
        source: ZoneRecords::File {
            path: format!("{catalog}, which lists the zones of account {}", offered.account).into(),
            text: text.into(),
            serial: Serial(serial),
        },
        notify: Arc::clone(&offered.notify),
        transfer_to: Arc::clone(&offered.transfer_to),
        is_private: true,
    };
    (Arc::new(config), Edition { fingerprint, serial })
}
