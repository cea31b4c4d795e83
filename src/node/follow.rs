//! Follow: from the repository to the state that is to be applied, one pass at a time.
//!
//! A pass fetches, verifies and loads. What verifies and loads is entered into the ledger as applied *before* it is
//! given to the reconciler, so an agent that dies in between goes on with it. What does not is a refusal, and the
//! last good state stays. A node may still run the configuration of an earlier revision, or have its zones; after a restart
//! they are loaded from the clone again, where the applied revision has that one on its chain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::{error, info, warn};

use crate::config::LocalConfig;
use crate::desired::verified::{VerifiedConfiguration, VerifiedState, load};
use crate::names::Revision;
use crate::rollout::{ConfigurationId, ZonesId};
use crate::source::SourceError;
use crate::source::hygiene::Limits;
use crate::source::ledger::Ledger;
use crate::source::repository::Repository;
use crate::source::verify::{
    Terms, Verification, VerifiedRevision, VerifyError, verify, verify_after, verify_earlier,
};
use crate::status::Refusal;

/// Follows one branch of one repository. Its functions block.
pub struct Follower {
    repository: Repository,
    ledger: Ledger,
    config: LocalConfig,
    followed: Followed,
    /// The applied revision, kept so that the next candidate is read on top of it.
    applied: Option<VerifiedRevision>,
    /// The candidate that was judged last, and how it was refused: the same one is judged the same.
    judged: Option<(Revision, Option<Refusal>)>,
    /// What is still wanted of earlier revisions.
    wanted: Wanted,
}

/// What is wanted of revisions before the applied one.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) configurations: Vec<ConfigurationId>,
    pub(super) zones: Vec<ZonesId>,
}

/// Where following has led.
#[derive(Clone, Default)]
pub struct Followed {
    /// The last state that was verified and loaded.
    pub state: Option<Arc<VerifiedState>>,
    /// Why a later candidate was not taken.
    pub refusal: Option<Refusal>,
    /// Why the last fetch failed.
    pub fetch_error: Option<String>,
    /// Configurations of earlier revisions that were asked for, once the applied revision was read: `None` for one that
    /// cannot be had.
    pub earlier: BTreeMap<Revision, Option<Arc<VerifiedConfiguration>>>,
    /// The same of states whose zones were asked for.
    pub earlier_zones: BTreeMap<Revision, Option<Arc<VerifiedState>>>,
}

/// What one pass met.
pub struct Pass {
    /// The branch's tip, if it could be fetched.
    pub candidate: Option<Revision>,
    /// How it was judged; `None` when it was not, or had been before.
    pub verification: Option<Verification>,
}

/// Why the agent cannot go on by itself.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The repository, the clone or the ledger.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The history could not be read.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Follower {
    /// Opens the clone and the ledger, and takes up the state that was applied last, without any network.
    ///
    /// # Errors
    /// When the state folder cannot be used.
    pub fn open(config: &LocalConfig) -> Result<Self, FollowError> {
        Self::open_with(config, Wanted::default())
    }

    /// As [`Follower::open`], with what is wanted of earlier revisions where the applied one has another.
    pub(super) fn open_with(config: &LocalConfig, wanted: Wanted) -> Result<Self, FollowError> {
        // The ledger's lock keeps another process away from the clone too, so it comes first.
        let ledger = Ledger::open(config)?;
        let repository = Repository::open(config)?;
        let mut follower = Self {
            repository,
            ledger,
            config: config.clone(),
            followed: Followed::default(),
            applied: None,
            judged: None,
            wanted,
        };
        if let Some(applied) = follower.ledger.applied() {
            match follower.judge(applied) {
                Ok(_) => info!(revision = %applied.short(), "going on with the last applied revision"),
                // The clone is damaged: the next fetch brings the objects back.
                Err(error) => {
                    warn!(%error, revision = %applied.short(), "the last applied revision cannot be read")
                }
            }
        }
        Ok(follower)
    }

    /// What is remembered over restarts.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Where following has led so far.
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    /// Fetches, verifies and loads once.
    ///
    /// # Errors
    /// When something here is broken; a repository that cannot be reached or does not verify is no error but a
    /// fact, told by [`Follower::followed`].
    pub fn pass(&mut self) -> Result<Pass, FollowError> {
        let (candidate, not_taken) = match self.repository.fetch() {
            Ok(candidate) => (candidate, None),
            Err(error) => {
                // Told once, not at every look.
                if self.followed.fetch_error.as_deref() != Some(&error.to_string()) {
                    warn!(%error, class = ?error.class(), "the repository could not be fetched");
                }
                self.followed.fetch_error = Some(error.to_string());
                let SourceError::Refused { offered, revision, why } = error else {
                    return Ok(Pass { candidate: None, verification: None });
                };
                let refusal = Refusal { revision, rule: "R8".to_owned(), why };
                match self.repository.candidate() {
                    // What came before the refused commit is judged all the same (R2).
                    Some(candidate) => (candidate, Some((offered, refusal))),
                    None => {
                        self.followed.refusal = Some(refusal);
                        return Ok(Pass { candidate: Some(offered), verification: None });
                    }
                }
            }
        };
        let (tip, not_taken) = match not_taken {
            Some((offered, refusal)) => (offered, Some(refusal)),
            None => {
                self.followed.fetch_error = None;
                (candidate, None)
            }
        };
        if let Some((judged, refusal)) = &self.judged
            && *judged == candidate
        {
            self.followed.refusal = refusal.clone().or(not_taken);
            return Ok(Pass { candidate: Some(tip), verification: None });
        }
        let verification = self.judge(candidate)?;
        self.judged = Some((candidate, self.followed.refusal.clone()));
        self.followed.refusal = self.followed.refusal.take().or(not_taken);
        Ok(Pass { candidate: Some(tip), verification: Some(verification) })
    }

    /// Verifies from the last applied revision to the candidate, and takes on what is good.
    fn judge(&mut self, candidate: Revision) -> Result<Verification, FollowError> {
        let terms = self.terms();
        let git = self.repository.git();
        let verification = match &self.applied {
            Some(applied) => verify_after(git, &terms, applied, candidate)?,
            None => verify(git, &terms, self.ledger.applied(), candidate)?,
        };
        let mut refusal = verification.refused.clone();
        if let Some(verified) = &verification.verified {
            self.ledger.record_verified(verified.revision())?;
            if self.followed.state.as_ref().map(|state| state.revision()) != Some(verified.revision()) {
                match load(verified) {
                    Ok(state) => self.take(verified, state)?,
                    Err(findings) => {
                        refusal = refusal.or_else(|| Some(found(verified.revision(), &findings)))
                    }
                }
            }
        }
        if let Some(refusal) =
            refusal.as_ref().filter(|refusal| self.followed.refusal.as_ref() != Some(refusal))
        {
            error!(revision = %refusal.revision, rule = %refusal.rule, why = %refusal.why, "refused; the last good state stays");
        }
        self.followed.refusal = refusal;
        self.look_back()?;
        Ok(verification)
    }

    /// Loads what is wanted of revisions before the applied one.
    fn look_back(&mut self) -> Result<(), FollowError> {
        let (Some(applied), Some(state)) = (self.applied.clone(), self.followed.state.clone()) else {
            return Ok(());
        };
        let Wanted { configurations, zones } = std::mem::take(&mut self.wanted);
        for ConfigurationId { revision, digest } in configurations {
            if digest != state.configuration().digest() {
                let loaded = self.load_earlier(&applied, revision)?;
                let configuration = loaded.map(|state| Arc::clone(state.configuration()));
                self.followed.earlier.insert(revision, configuration);
            }
        }
        for ZonesId { revision, digest } in zones {
            if digest != state.zones() {
                let loaded = self.load_earlier(&applied, revision)?.map(Arc::new);
                self.followed.earlier_zones.insert(revision, loaded);
            }
        }
        Ok(())
    }

    fn load_earlier(
        &self,
        applied: &VerifiedRevision,
        wanted: Revision,
    ) -> Result<Option<VerifiedState>, FollowError> {
        let earlier = verify_earlier(self.repository.git(), &self.terms(), applied, wanted)?;
        let loaded = earlier.and_then(|earlier| load(&earlier).ok());
        if loaded.is_none() {
            warn!(revision = %wanted.short(), "what is in use of this earlier revision cannot be had");
        }
        Ok(loaded)
    }

    fn terms(&self) -> Terms {
        Terms {
            network: self.config.network.clone(),
            pin: self.config.pin.clone(),
            limits: Limits::default(),
            now: SystemTime::now(),
        }
    }

    fn take(&mut self, verified: &VerifiedRevision, state: VerifiedState) -> Result<(), FollowError> {
        let revision = state.revision();
        self.ledger.record_applied(revision)?;
        self.repository.keep_applied(revision)?;
        info!(%revision, "verified and loaded");
        self.applied = Some(verified.clone());
        self.followed.state = Some(Arc::new(state));
        Ok(())
    }
}

/// The refusal of a revision that is signed well, but whose contents are not.
fn found(revision: Revision, findings: &[crate::finding::Finding]) -> Refusal {
    let first = findings.first().map(ToString::to_string).unwrap_or_default();
    let more = match findings.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more; run `shoestring check`)", count - 1),
    };
    Refusal { revision, rule: "check".to_owned(), why: format!("{first}{more}") }
}
