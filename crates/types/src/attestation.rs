//! Attestations: a quorum's word for the outcome of a height, the one thing that followers, wallets and contracts trust.
//!
//! All validators attest ordering and ledger; what the rollups of a domain became, those who execute it. Of both a quorum is
//! more than two thirds of the weight.

use crate::{
    ChainId, Claim, Digest, DomainId, Epoch, EpochInfo, Height, Scheme, Signatories, Signature, Signers, Statement,
    ValidatorIndex, codec_struct,
};

/// One validator's signature on an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeVote {
    /// What was computed.
    pub domain: DomainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The outcome's root.
    pub root: Digest,
    /// Who signs.
    pub author: ValidatorIndex,
    /// Over [`OutcomeVote::statement`].
    pub signature: Signature,
}
codec_struct!(OutcomeVote { domain, epoch, height, root, author, signature });

impl OutcomeVote {
    /// What the signature is over.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        Statement::Outcome { domain: self.domain, height: self.height, root: self.root }
    }
}

/// A quorum signed one root for a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// What was computed.
    pub domain: DomainId,
    /// The epoch.
    pub epoch: Epoch,
    /// The height.
    pub height: Height,
    /// The outcome's root.
    pub root: Digest,
    /// Who signed: at least a quorum of the weight of those who attest the domain in the epoch.
    pub signers: Signers,
    /// The aggregate of their signatures.
    pub signature: Signature,
}
codec_struct!(Attestation { domain, epoch, height, root, signers, signature });

/// Why an attestation proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Of another epoch than the validators.
    #[error("an attestation of epoch {actual}, checked against the validators of epoch {expected}")]
    Epoch {
        /// The epoch of the validators.
        expected: Epoch,
        /// The epoch of the attestation.
        actual: Epoch,
    },
    /// Outside the epoch.
    #[error("height {height} is not of epoch {epoch}, which has the heights {first} to {last}")]
    Height {
        /// The height.
        height: Height,
        /// The epoch.
        epoch: Epoch,
        /// Its first height.
        first: Height,
        /// Its last height.
        last: Height,
    },
    /// Signers of another set, or of none that attests the domain.
    #[error("the signers are of another validator set, or one of them does not attest the domain")]
    Signers,
    /// Too little weight.
    #[error("signers of weight {weight}; a quorum is {quorum}")]
    Weight {
        /// Theirs.
        weight: u64,
        /// What is needed.
        quorum: u64,
    },
    /// The aggregate does not verify: other validators, another chain, or another root were signed.
    #[error("the aggregate signature does not hold for this chain, epoch, height, root and signers")]
    Signature,
}

impl Attestation {
    /// What the signatures are over.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        Statement::Outcome { domain: self.domain, height: self.height, root: self.root }
    }

    /// Checks it against its epoch. One pairing check.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn verify<S: Scheme>(&self, scheme: &S, info: &EpochInfo) -> Result<(), AttestationError> {
        let (epoch, height) = (info.epoch, self.height);
        if self.epoch != epoch {
            return Err(AttestationError::Epoch { expected: epoch, actual: self.epoch });
        }
        if height <= info.start.height || height > info.closing {
            let (first, last) = (Height(info.start.height.0.saturating_add(1)), info.closing);
            return Err(AttestationError::Height { height, epoch, first, last });
        }
        let validators = &info.validators;
        let weight = validators.weight_in(self.domain, &self.signers).ok_or(AttestationError::Signers)?;
        let quorum = validators.quorum_of(self.domain);
        if weight < quorum {
            return Err(AttestationError::Weight { weight, quorum });
        }
        self.holds(scheme, info.chain, info).then_some(()).ok_or(AttestationError::Signature)
    }

    fn holds<S: Scheme>(&self, scheme: &S, chain: ChainId, info: &EpochInfo) -> bool {
        let signatories = Signatories::All(&self.signers);
        let claim = Claim { signatories, statement: self.statement(), signature: &self.signature };
        scheme.verify(chain, self.epoch, &info.validators, &[claim])
    }
}
