//! From epoch to epoch: who may attest what.

use crate::{Attested, Executed};
use chorale_types::{
    Attestation, AttestationError, BlockReference, Bls, ChainId, Digest, DomainId, Epoch, EpochInfo, ExecutionOutcome,
    Height, Outcome, ValidatorSet, codec_struct,
};
use std::collections::BTreeMap;

/// Leads from one epoch to the next: the attested outcome of the closing height, and the validators that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The outcome of the epoch's closing height.
    pub outcome: Outcome,
    /// Its attestation, by the validators of the old epoch.
    pub attestation: Attestation,
    /// The validators of the new epoch; none if they are those of the old one, which the outcome binds all the same. So a
    /// chain whose validators stay can be followed through thousands of epochs by a few hundred kilobytes.
    pub next: Option<ValidatorSet>,
}
codec_struct!(HandOver { outcome, attestation, next });

/// Why something is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// Another chain's outcome.
    #[error("an outcome of chain {actual}; this is chain {expected}")]
    Chain {
        /// The chain of the genesis.
        expected: ChainId,
        /// The outcome's.
        actual: ChainId,
    },
    /// An epoch to which no hand-over has led yet.
    #[error("the validators of epoch {epoch} are not known; hand-overs have led to epoch {last}")]
    UnknownEpoch {
        /// The epoch.
        epoch: Epoch,
        /// The last one known.
        last: Epoch,
    },
    /// The attestation is not of this outcome.
    #[error("the attestation is of height {attested} and another root than the outcome of height {height} has")]
    OtherOutcome {
        /// Of the outcome.
        height: Height,
        /// Of the attestation.
        attested: Height,
    },
    /// The attestation is of another domain.
    #[error("an attestation of domain {actual}, expected one of domain {expected}")]
    Domain {
        /// Of the outcome; 0 is ordering and ledger.
        expected: DomainId,
        /// Of the attestation.
        actual: DomainId,
    },
    /// The attestation proves nothing.
    #[error("attestation of height {height}: {error}")]
    Attestation {
        /// Its height.
        height: Height,
        /// Why.
        error: AttestationError,
    },
    /// A hand-over of another epoch than the last one known.
    #[error("a hand-over from epoch {actual}, expected one from epoch {expected}")]
    HandOverEpoch {
        /// The last epoch known.
        expected: Epoch,
        /// The hand-over's.
        actual: Epoch,
    },
    /// Not the epoch's closing height.
    #[error("a hand-over at height {actual}; the epoch closes at height {expected}")]
    HandOverHeight {
        /// The closing height.
        expected: Height,
        /// The hand-over's.
        actual: Height,
    },
    /// Other validators than the outcome names.
    #[error("the validators have the digest {actual}; the closing outcome names {expected:?}")]
    HandOverValidators {
        /// What the outcome names.
        expected: Option<Digest>,
        /// What was given.
        actual: Digest,
    },
}

/// Verifies outcomes from a genesis on.
///
/// Keeps the validators of every epoch it was led to, so old proofs can be checked as well: about 130 bytes per
/// validator and epoch.
#[derive(Clone, Debug)]
pub struct Light {
    epoch_heights: u64,
    last: Epoch,
    epochs: BTreeMap<Epoch, EpochInfo>,
}

impl Light {
    /// Starts from the first epoch, which the genesis fixes, and the number of heights that every epoch has.
    #[must_use]
    pub fn new(first: EpochInfo, epoch_heights: u64) -> Self {
        Self { epoch_heights, last: first.epoch, epochs: BTreeMap::from([(first.epoch, first)]) }
    }

    /// The last epoch that a hand-over led to.
    #[must_use]
    pub fn last(&self) -> &EpochInfo {
        &self.epochs[&self.last]
    }

    /// The validators of an epoch, if a hand-over led there.
    #[must_use]
    pub fn epoch(&self, epoch: Epoch) -> Option<&EpochInfo> {
        self.epochs.get(&epoch)
    }

    /// Checks that a quorum of the right validators signed an outcome.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn verify(&self, outcome: &Outcome, attestation: &Attestation) -> Result<Attested, LightError> {
        let expected = self.last().chain;
        if outcome.chain != expected {
            return Err(LightError::Chain { expected, actual: outcome.chain });
        }
        if attestation.height != outcome.height || attestation.root != outcome.root() {
            return Err(LightError::OtherOutcome { height: outcome.height, attested: attestation.height });
        }
        self.check(DomainId::ORDERING, outcome.epoch, attestation)?;
        Ok(Attested::new(outcome.clone()))
    }

    /// Checks that a quorum of those who attest the domain signed what its rollups became.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn verify_execution(
        &self,
        outcome: &ExecutionOutcome,
        attestation: &Attestation,
    ) -> Result<Executed, LightError> {
        let expected = self.last().chain;
        if outcome.chain != expected {
            return Err(LightError::Chain { expected, actual: outcome.chain });
        }
        if attestation.height != outcome.height || attestation.root != outcome.root() {
            return Err(LightError::OtherOutcome { height: outcome.height, attested: attestation.height });
        }
        self.check(outcome.domain, attestation.epoch, attestation)?;
        Ok(Executed::new(outcome.clone(), attestation.epoch))
    }

    /// Checks an attestation of a domain against the validators of an epoch, whatever it is that they attest.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self, domain: DomainId, epoch: Epoch, attestation: &Attestation) -> Result<(), LightError> {
        if attestation.domain != domain {
            return Err(LightError::Domain { expected: domain, actual: attestation.domain });
        }
        let info = self.epoch(epoch).ok_or(LightError::UnknownEpoch { epoch, last: self.last })?;
        let height = attestation.height;
        attestation.verify(&Bls::verifier(), info).map_err(|error| LightError::Attestation { height, error })
    }

    /// Goes from the last epoch known to the next one.
    ///
    /// # Errors
    ///
    /// What is wrong with the hand-over. Nothing has changed.
    pub fn hand_over(&mut self, hand_over: HandOver) -> Result<(), LightError> {
        let HandOver { outcome, attestation, next } = hand_over;
        let info = self.last();
        if outcome.epoch != info.epoch {
            return Err(LightError::HandOverEpoch { expected: info.epoch, actual: outcome.epoch });
        }
        if outcome.height != info.closing {
            return Err(LightError::HandOverHeight { expected: info.closing, actual: outcome.height });
        }
        self.verify(&outcome, &attestation)?;
        let next = next.unwrap_or_else(|| self.last().validators.clone());
        let (expected, actual) = (outcome.next_validators, next.digest());
        if expected != Some(actual) {
            return Err(LightError::HandOverValidators { expected, actual });
        }
        let start = start_of(&outcome);
        let closing = Height(outcome.height.0.saturating_add(self.epoch_heights));
        let epoch = outcome.epoch.next();
        let info = EpochInfo { chain: outcome.chain, epoch, validators: next, start, closing };
        self.epochs.insert(epoch, info);
        self.last = epoch;
        Ok(())
    }
}

/// The block that the epoch after a closing outcome starts from.
const fn start_of(outcome: &Outcome) -> BlockReference {
    EpochInfo::start_block(outcome.height, outcome.header)
}
