//! Losses: how often a session was established and ended, as far as was seen. Daemons do not count it.

use std::collections::BTreeMap;

use crate::routing::{ObservedSession, SessionName, SessionState};

/// For how long a session was established when it was last seen so, and its losses.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    established_s: Option<u64>,
    losses: u64,
}

/// The losses of all sessions.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<SessionName, Past>);

impl Losses {
    /// Takes another look into account, and writes the losses into it.
    pub(super) fn count(&mut self, sessions: &mut BTreeMap<SessionName, ObservedSession>) {
        self.0.retain(|name, _| sessions.contains_key(name));
        for (name, session) in sessions {
            let past = self.0.entry(name.clone()).or_default();
            let now = (session.state == SessionState::Established).then_some(session.since_s);
            // One that has been so for less long than before was lost between the looks.
            if past.established_s.is_some_and(|before| now.is_none_or(|now| now < before)) {
                past.losses += 1;
            }
            past.established_s = now;
            session.losses = past.losses;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Family;
    use crate::routing::external::idle;

    #[test]
    fn a_session_that_ends_or_begins_anew_was_lost() {
        let name = SessionName { peer: "transit".parse().unwrap(), family: Family::V4 };
        let mut losses = Losses::default();
        let mut look = |state, since_s| {
            let session = ObservedSession { state, since_s, ..idle(Family::V4, None) };
            let mut sessions = BTreeMap::from([(name.clone(), session)]);
            losses.count(&mut sessions);
            sessions[&name].losses
        };
        assert_eq!(look(SessionState::Active, 3), 0);
        assert_eq!(look(SessionState::Established, 0), 0);
        assert_eq!(look(SessionState::Established, 9), 0);
        assert_eq!(look(SessionState::Established, 4), 1, "another one, begun between the looks");
        assert_eq!(look(SessionState::Connect, 0), 2);
        assert_eq!(look(SessionState::Idle, 0), 2);
    }
}
