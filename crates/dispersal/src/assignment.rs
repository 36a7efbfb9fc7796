//! Who holds which chunks.

use chorale_types::{
    Epoch, ValidatorIndex,
    limits::{VALIDATORS_MAX, WEIGHT_TOTAL_MAX},
};
use std::ops::Range;

/// The chunks of every validator: consecutive, in the order of the set, as many as it has weight.
///
/// The integers are the same that count as voting power, so "more than a third of the weight" and "enough chunks" are
/// one statement, without rounding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    epoch: Epoch,
    /// The first chunk of every validator, and the total at the end.
    bounds: Vec<u16>,
}

/// Why weights assign no chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// Too many validators.
    #[error("{0} validators, at most {VALIDATORS_MAX} are allowed")]
    Validators(usize),
    /// Nobody has weight, or all together have too much.
    #[error("weights add up to {0}; the sum must be 1 to {WEIGHT_TOTAL_MAX}")]
    TotalWeight(u64),
}

impl Assignment {
    /// Assigns chunks of an epoch's payloads by `weights`, one per validator in the order of its set. Weight 0 gets no
    /// chunk.
    ///
    /// # Errors
    ///
    /// More than [`VALIDATORS_MAX`] weights, or a sum that is not in 1..=[`WEIGHT_TOTAL_MAX`].
    pub fn new(epoch: Epoch, weights: &[u16]) -> Result<Self, AssignmentError> {
        if weights.len() > VALIDATORS_MAX {
            return Err(AssignmentError::Validators(weights.len()));
        }
        let sum: u64 = weights.iter().copied().map(u64::from).sum();
        if sum == 0 || sum > u64::from(WEIGHT_TOTAL_MAX) {
            return Err(AssignmentError::TotalWeight(sum));
        }
        let mut bounds = Vec::with_capacity(weights.len() + 1);
        let mut end = 0;
        bounds.push(end);
        for weight in weights {
            end += weight;
            bounds.push(end);
        }
        Ok(Self { epoch, bounds })
    }

    /// The epoch whose validators hold the chunks.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// `N`: the number of chunks, and the sum of the weights.
    #[must_use]
    pub fn total(&self) -> u16 {
        *self.bounds.last().expect("bounds hold at least the total")
    }

    /// `k = floor(N / 3) + 1`: how many chunks rebuild a payload.
    #[must_use]
    pub fn needed(&self) -> u16 {
        self.total() / 3 + 1
    }

    /// How many validators the set has, those without weight included.
    #[must_use]
    pub fn validators(&self) -> u16 {
        u16::try_from(self.bounds.len() - 1).expect("a set holds at most 1024 validators")
    }

    /// All validators, those without weight included.
    pub fn indices(&self) -> impl Iterator<Item = ValidatorIndex> + use<> {
        (0..self.validators()).map(ValidatorIndex)
    }

    /// The chunks of one validator, empty if it has no weight; `None` if it is not of the set.
    #[must_use]
    pub fn range(&self, validator: ValidatorIndex) -> Option<Range<u16>> {
        let position = validator.as_usize();
        Some(*self.bounds.get(position)?..*self.bounds.get(position + 1)?)
    }

    /// The weight of one validator; 0 if it is not of the set.
    #[must_use]
    pub fn weight(&self, validator: ValidatorIndex) -> u16 {
        self.range(validator).map_or(0, |range| range.end - range.start)
    }
}
