//! Where a name is in a zone (RFC 1034 section 4.3.2, RFC 4592 section 3.3, RFC 6672 section 3.2).

use super::key::{self, KeyBuf};
use super::{NameId, NameState, Zone};

/// Where a name is in a zone. An *encloser* is the closest encloser (RFC 4592 section 3.3.1), by the length of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has data, and the zone answers for it.
    Name(NameId),
    /// It is delegated at this name, which is itself or above it.
    Cut(NameId),
    /// It is below this name, which has a DNAME.
    Redirected(NameId),
    /// It has no data, but a name below it has (RFC 8020).
    EmptyNonTerminal,
    /// It does not exist, and this wildcard is the source of synthesis.
    Wildcard {
        /// The wildcard.
        source: NameId,
        /// The name that it stands below.
        encloser: usize,
    },
    /// It does not exist, and the source of synthesis is an empty non-terminal.
    EmptyWildcard {
        /// The name that the wildcard stands below.
        encloser: usize,
    },
    /// It does not exist.
    Missing {
        /// The deepest of its ancestors that exists.
        encloser: usize,
    },
}

impl Zone {
    /// The entry of a key, or where it would be.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.names.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    pub(super) fn id(position: usize) -> NameId {
        NameId(u32::try_from(position).expect("a position in the names"))
    }

    /// The name with exactly this key, occluded or not: for glue.
    pub(crate) fn exact(&self, key: &[u8]) -> Option<NameId> {
        self.search(key).ok().map(Self::id)
    }

    /// What stands above this key and takes it out of the zone's own data: a cut at or above it, or a DNAME above it,
    /// the highest. `near` is the entry at or before the key: whatever stands between such a name and a name below it is
    /// itself below it.
    fn governed(&self, key: &[u8], near: usize) -> Option<Place> {
        let apex = self.names[0].state == NameState::Redirecting;
        if apex && !key.is_empty() {
            return Some(Place::Redirected(NameId(0)));
        }
        match self.names[near].state {
            // A hashed name is below no other name than the apex, and nothing is below it.
            NameState::Authoritative | NameState::Hashed => return None,
            NameState::Cut | NameState::Redirecting | NameState::Occluded => (),
        }
        key::ancestors(key).find_map(|ancestor| {
            let at = self.search(ancestor).ok()?;
            let above = ancestor.len() < key.len();
            match self.names[at].state {
                NameState::Cut => Some(Place::Cut(Self::id(at))),
                NameState::Redirecting if above => Some(Place::Redirected(Self::id(at))),
                NameState::Redirecting
                | NameState::Authoritative
                | NameState::Hashed
                | NameState::Occluded => None,
            }
        })
    }

    /// Where a key is.
    pub(crate) fn locate(&self, key: &[u8]) -> Place {
        let found = self.search(key);
        // The apex's key is empty, so something always precedes.
        let near = found.unwrap_or_else(|next| next.saturating_sub(1));
        if let Some(place) = self.governed(key, near) {
            return place;
        }
        let next = match found {
            Ok(at) if self.names[at].state != NameState::Hashed => return Place::Name(Self::id(at)),
            // RFC 5155 section 7.2.8: a hashed name is treated as if it did not exist.
            Ok(at) => at + 1,
            Err(next) => next,
        };
        let after = (next < self.names.len()).then(|| self.key(next));
        if after.is_some_and(|after| after.starts_with(key)) {
            return Place::EmptyNonTerminal;
        }
        // RFC 4592 section 3.3.1: the closest encloser is the deepest existing ancestor.
        let shared = |at: usize| match self.names[at].state {
            NameState::Hashed => 0,
            NameState::Authoritative | NameState::Cut | NameState::Redirecting | NameState::Occluded => {
                key::shared(key, self.key(at))
            }
        };
        let encloser = shared(near).max(after.map_or(0, |_| shared(next)));
        let wildcard = KeyBuf::wildcard(&key[..encloser]);
        let wildcard = wildcard.as_slice();
        match self.search(wildcard) {
            Ok(at) => Place::Wildcard { source: Self::id(at), encloser },
            Err(at) if at < self.names.len() && self.key(at).starts_with(wildcard) => {
                Place::EmptyWildcard { encloser }
            }
            Err(_) => Place::Missing { encloser },
        }
    }

    /// The name whose NSEC record matches this key or covers it (RFC 4034 section 4.1.1): the name itself, or the last
    /// before it that is not below a cut.
    pub(crate) fn nsec(&self, key: &[u8]) -> NameId {
        let near = self.search(key).unwrap_or_else(|next| next.saturating_sub(1));
        let occluded = self.names[near].state == NameState::Occluded;
        match self.governed(self.key(near), near).filter(|_| occluded) {
            Some(Place::Cut(above) | Place::Redirected(above)) => above,
            Some(_) | None => Self::id(near),
        }
    }
}
