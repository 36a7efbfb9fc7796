//! Outcomes that a quorum signed.

use chorale_types::{Epoch, ExecutionOutcome, Height, Outcome, TimestampMs};

/// An outcome whose attestation was checked. There is no other way to get one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested(Outcome);

impl Attested {
    pub(crate) const fn new(outcome: Outcome) -> Self {
        Self(outcome)
    }

    /// The outcome.
    #[must_use]
    pub const fn outcome(&self) -> &Outcome {
        &self.0
    }

    /// Its height.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.0.height
    }

    /// Its chain time.
    #[must_use]
    pub const fn timestamp(&self) -> TimestampMs {
        self.0.timestamp
    }
}

/// An outcome of executed rollups whose attestation was checked. There is no other way to get one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    outcome: ExecutionOutcome,
    epoch: Epoch,
}

impl Executed {
    pub(crate) const fn new(outcome: ExecutionOutcome, epoch: Epoch) -> Self {
        Self { outcome, epoch }
    }

    /// The outcome.
    #[must_use]
    pub const fn outcome(&self) -> &ExecutionOutcome {
        &self.outcome
    }

    /// The epoch whose validators attested it.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}
