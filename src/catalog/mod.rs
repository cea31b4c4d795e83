//! Catalog zones (RFC 9432): zones that list zones.
//!
//! ```text
//! customer's catalog ─transfer→ our name server ─members→ Members ─┐
//! files of the revision ─slice→ DesiredNode, Catalogs ─────────────┼ merge → DesiredNode with the members → plan
//! what was known before ─Memory────────────────────────────────────┘           └→ the catalogs that we offer
//! ```
//!
//! Words: we *consume* a customer's catalog, whose *members* become zones of the customer's account, and we *offer* one
//! that lists an account's zones to whoever may transfer it. A member is *taken*, or refused and told of. A version that
//! would take too many members away at once is *held*.
//!
//! A catalog that we consume is a secondary zone on every node, so that each knows the members without asking anybody, and
//! goes on when the others are gone. What was read last is remembered on disk. Unknown is not absent: a catalog that
//! cannot be read, is broken, held or expired takes no member away; only one that was read whole and does not list it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dns::{NotifyTarget, TransferClient, ZoneRecords};
use crate::names::{AccountName, DomainName, SecretName};

mod hold;
mod members;
mod memory;
mod merge;
mod offer;

pub use hold::{Held, RemovalPolicy, is_held};
pub use members::{Broken, Member, Members, members};
pub use memory::{Edition, Holding, Known, Memory};
pub use merge::{Outcome, merge};

/// What one node does with catalogs, by the files of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogs {
    /// Those that it consumes.
    pub consumed: BTreeMap<DomainName, Consumed>,
    /// Those that it offers: none, unless it is a hub.
    pub offered: BTreeMap<DomainName, Offered>,
    /// Whose each zone of the files is. Empty where there are no catalogs.
    pub owners: BTreeMap<DomainName, AccountName>,
}

/// A catalog that is consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Whose its members are.
    pub account: AccountName,
    /// How many are taken at most.
    pub limit: usize,
    /// What they have to be or to lie below; empty for anything.
    pub within: BTreeSet<DomainName>,
    /// How many may go at once.
    pub removal: RemovalPolicy,
    /// Where this node takes their records from.
    pub source: ZoneRecords,
    /// Who is told of their new serials.
    pub notify: Arc<BTreeSet<NotifyTarget>>,
    /// Who may transfer them.
    pub transfer_to: Arc<BTreeSet<TransferClient>>,
}

/// A catalog that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Whose zones it lists.
    pub account: AccountName,
    /// Who is told of its new serials.
    pub notify: Arc<BTreeSet<NotifyTarget>>,
    /// Who may transfer it.
    pub transfer_to: Arc<BTreeSet<TransferClient>>,
}

impl Catalogs {
    /// The TSIG keys that members and offered catalogs name.
    pub fn keys(&self) -> impl Iterator<Item = &SecretName> {
        let consumed = self.consumed.values().flat_map(|consumed| {
            let sources = match &consumed.source {
                ZoneRecords::Transfer(sources) => &sources[..],
                ZoneRecords::File { .. } => &[],
            };
            let sources = sources.iter().map(|source| &source.tsig_key);
            sources.chain(ends(&consumed.notify, &consumed.transfer_to))
        });
        let offered = self.offered.values().flat_map(|offered| ends(&offered.notify, &offered.transfer_to));
        consumed.chain(offered).flatten()
    }
}

fn ends<'a>(
    notify: &'a BTreeSet<NotifyTarget>,
    transfer_to: &'a BTreeSet<TransferClient>,
) -> impl Iterator<Item = &'a Option<SecretName>> {
    notify.iter().map(|target| &target.tsig_key).chain(transfer_to.iter().map(|client| &client.tsig_key))
}
