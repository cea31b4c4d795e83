//! What a daemon is told: a configuration without the sessions that it cannot be told of, each of which is left out alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use tracing::warn;

use super::{ExternalRouting, Setup};
use crate::keyring::Secret;
use crate::process::files::ConfigFile;
use crate::routing::{
    Family, MessageCounts, ObservedSession, RoutingConfig, SessionConfig, SessionName, SessionState,
};

impl ExternalRouting {
    /// The password of a session; the error says why it cannot be told to the daemon.
    fn password(&self, session: &SessionConfig) -> Result<Option<Secret>, String> {
        let Some(secret) = &session.password else { return Ok(None) };
        match self.keyring.password(&secret.name) {
            Some(password) => Ok(Some(password)),
            None => Err(format!(
                "this node cannot read the password {0}: encrypt secrets/{0}.age to it",
                secret.name
            )),
        }
    }

    /// The files, and the sessions that are left out of them.
    pub(super) fn render(&self, config: &RoutingConfig) -> (Vec<ConfigFile>, BTreeMap<SessionName, String>) {
        let mut told = config.clone();
        let (mut passwords, mut left_out) = (BTreeMap::new(), BTreeMap::new());
        for (name, session) in &config.sessions {
            let twin = told.sessions.iter().find(|(other, twin)| {
                *other < name && twin.neighbor == session.neighbor && self.driver.knows_sessions_by_neighbor()
            });
            let password = self.password(session).and_then(|password| {
                if let Some((twin, _)) = twin {
                    return Err(format!(
                        "{} has one session with each address, and {} is that of {twin}: select another daemon",
                        self.driver.title(),
                        session.neighbor
                    ));
                }
                match self.driver.refuses(name, session, password.as_ref()) {
                    Some(why) => Err(why),
                    None => Ok(password),
                }
            });
            match password {
                Ok(password) => passwords.extend(password.map(|password| (name.clone(), password))),
                Err(why) => {
                    warn!(session = %name, why, "it is left out");
                    told.sessions.remove(name);
                    left_out.insert(name.clone(), why);
                }
            }
        }
        let archive = self.place.archive();
        let setup = Setup { config: &told, passwords, archive: &archive };
        (self.driver.render(&setup), left_out)
    }
}

/// A daemon that has nothing to do does not run.
pub(super) fn is_idle(config: &RoutingConfig) -> bool {
    config.sessions.is_empty() && config.prefixes.is_empty()
}

/// What the daemon was told of a configuration.
pub(super) fn told(config: &RoutingConfig, left_out: &BTreeMap<SessionName, String>) -> RoutingConfig {
    let mut told = config.clone();
    told.sessions.retain(|name, _| !left_out.contains_key(name));
    told
}

/// A session that a daemon knows nothing of.
pub(super) fn left_out(config: &SessionConfig, why: &str) -> ObservedSession {
    ObservedSession { last_error: Some(why.to_owned()), ..idle(Family::of(config.neighbor), Some(config)) }
}

/// A session of which nothing is known but what was wanted.
pub(crate) fn idle(family: Family, config: Option<&SessionConfig>) -> ObservedSession {
    let anywhere = match family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    ObservedSession {
        local: config.map_or(anywhere, |config| config.local),
        neighbor: config.map_or(anywhere, |config| config.neighbor),
        asn: config.map_or(0, |config| config.asn.get()),
        state: SessionState::Idle,
        since_s: 0,
        retry_in_s: None,
        prefixes_sent: BTreeSet::new(),
        routes_discarded: 0,
        updates_malformed: 0,
        losses: 0,
        messages_received: MessageCounts::default(),
        messages_sent: MessageCounts::default(),
        negotiated: None,
        bfd: None,
        notification_sent: None,
        notification_received: None,
        last_error: None,
    }
}
