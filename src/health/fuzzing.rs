//! What holds for any datagram that comes where beats are expected. `crate::fuzzing` says who calls this.

use super::beat::Beat;

/// It is no beat, or says the same when it is sent on.
pub fn beat(octets: &[u8]) {
    if let Ok(beat) = Beat::decode(octets) {
        assert_eq!(Beat::decode(&beat.encode()).as_ref(), Ok(&beat), "it says something else");
    }
}
