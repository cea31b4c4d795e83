//! Apply: deltas, one after another, made into one change of every record that they touch.

use super::{Delta, DeltaFault, DeltaRecord};
use crate::dns::embedded::rdata::folded;
use crate::dns::embedded::zone::{Change, EditFault, Zone, ZoneFault, covers, key};
use crate::names::DomainName;

/// The zone that these deltas, the oldest first, lead to from `old`. The zone is rebuilt once, however many there are.
///
/// Strict: each starts where the one before it ended, nothing is removed that is not there, and nothing is added that
/// is. A record is the one of its owner and data; its TTL is its set's, and the lowest of those that meet in a set counts
/// (RFC 2181 section 5.2).
pub fn apply<'a>(old: &Zone, deltas: impl IntoIterator<Item = &'a Delta>) -> Result<Zone, DeltaFault> {
    let mut steps = Vec::new();
    let mut have = old.serial();
    for delta in deltas {
        if delta.from() != have {
            return Err(DeltaFault::WrongSerial { from: delta.from(), have });
        }
        have = delta.to();
        for (adds, records) in [(false, delta.removed()), (true, delta.added())] {
            for record in records {
                steps.push(step(old.apex(), record, adds)?);
            }
        }
    }
    // Stable: the steps of one record stay in order.
    steps.sort_by(|a, b| a.identity().cmp(&b.identity()));
    let changes = steps
        .chunk_by(|a, b| a.identity() == b.identity())
        .map(|steps| net(steps, old.apex()))
        .collect::<Result<Vec<_>, _>>()?;
    old.edited(&changes).map_err(|fault| match fault {
        EditFault::Absent { owner, rtype } => DeltaFault::Absent { owner, rtype },
        EditFault::Present { owner, rtype } => DeltaFault::Present { owner, rtype },
        EditFault::Zone(faults) => DeltaFault::Zone(faults),
    })
}

/// One record as a single step.
fn step<'a>(apex: &DomainName, record: DeltaRecord<'a>, adds: bool) -> Result<Change<'a>, DeltaFault> {
    let DeltaRecord { owner, rtype, ttl, rdata } = record;
    let owner = DomainName::from_wire(owner).ok_or(DeltaFault::Malformed)?;
    let key = key::key(&owner, apex)
        .ok_or_else(|| DeltaFault::Record(ZoneFault::OutOfZone { owner, apex: apex.clone() }))?;
    Ok(Change {
        key,
        rtype,
        covers: covers(rtype, rdata),
        data: folded(rtype, rdata),
        was: !adds,
        becomes: adds.then_some((ttl, rdata)),
    })
}

/// What the steps of one record come to: as the first found it, and as the last leaves it.
fn net<'a>(steps: &[Change<'a>], apex: &DomainName) -> Result<Change<'a>, DeltaFault> {
    let [first, ..] = steps else { return Err(DeltaFault::Malformed) };
    for pair in steps.windows(2) {
        let (there, wanted) = (pair[0].becomes.is_some(), pair[1].was);
        let (owner, rtype) = (key::name(&first.key, apex), first.rtype);
        match (there, wanted) {
            (true, false) => return Err(DeltaFault::Present { owner, rtype }),
            (false, true) => return Err(DeltaFault::Absent { owner, rtype }),
            (true, true) | (false, false) => (),
        }
    }
    let becomes = steps.last().and_then(|last| last.becomes);
    Ok(Change { becomes, ..first.clone() })
}
