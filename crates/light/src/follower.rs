//! Following a rollup's lane: every height with content, once, in order, whole.

use crate::Attested;
use chorale_types::{Height, Lane, LaneProof, ProofError, RegistryProof, RollupId};

/// Why a lane is not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Another rollup's.
    #[error("a lane of rollup {actual}, expected rollup {expected}")]
    Rollup {
        /// The one followed.
        expected: RollupId,
        /// The one given.
        actual: RollupId,
    },
    /// A height again, or an earlier one.
    #[error("height {height} again; all up to height {last} is here")]
    Again {
        /// The height given.
        height: Height,
        /// The last height followed.
        last: Height,
    },
    /// A height with content was left out.
    #[error("height {height} follows height {previous}, but the last one here is {last}: heights were skipped")]
    Skipped {
        /// The height given.
        height: Height,
        /// The height with content before it.
        previous: Height,
        /// The last height followed.
        last: Height,
    },
    /// Two attested outcomes exclude each other. That takes a quorum: no server is at fault, and no other one helps.
    #[error("by the outcome of height {height}, height {last} has no content; by its own it has: both are attested")]
    Contradiction {
        /// The height given, or the tip.
        height: Height,
        /// The last height followed.
        last: Height,
    },
    /// The server says that this is all, but there is more.
    #[error("rollup {rollup} has content up to height {last_content}; only what is up to height {last} was given")]
    Behind {
        /// The rollup.
        rollup: RollupId,
        /// The last height with content.
        last_content: Height,
        /// The last height followed.
        last: Height,
    },
    /// The tip is older than what was followed.
    #[error("a tip at height {tip} says nothing: height {last} is here already")]
    OldTip {
        /// The tip.
        tip: Height,
        /// The last height followed.
        last: Height,
    },
    /// The proof does not hold.
    #[error("at height {height}: {error}")]
    Proof {
        /// The height.
        height: Height,
        /// Why.
        error: ProofError,
    },
}

/// Follows one rollup. The last height followed is all that has to be kept: go on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneFollower {
    rollup: RollupId,
    last: Height,
    /// Whether `last` had content by an outcome that was seen, and is not only where to start.
    is_seen: bool,
}

impl LaneFollower {
    /// Follows a rollup on from the height up to which all is known, with content of the rollup or without; from the
    /// start with height 0.
    #[must_use]
    pub const fn new(rollup: RollupId, last: Height) -> Self {
        Self { rollup, last, is_seen: false }
    }

    /// The rollup.
    #[must_use]
    pub const fn rollup(&self) -> RollupId {
        self.rollup
    }

    /// The last height with content that was followed; where it started, if there was none yet.
    #[must_use]
    pub const fn last(&self) -> Height {
        self.last
    }

    /// Takes the next height with content: nothing before it was skipped, and `lane` is all of it.
    ///
    /// # Errors
    ///
    /// What is wrong. The follower is where it was, and may ask another server, except after a
    /// [contradiction](FollowError::Contradiction).
    pub fn follow(&mut self, attested: &Attested, lane: &Lane, proof: &LaneProof) -> Result<(), FollowError> {
        let (height, last) = (attested.height(), self.last);
        if proof.leaf.rollup != self.rollup || lane.rollup() != self.rollup {
            let given = [proof.leaf.rollup, lane.rollup()];
            let actual = if given[0] == self.rollup { given[1] } else { given[0] };
            return Err(FollowError::Rollup { expected: self.rollup, actual });
        }
        let refuse = |error| FollowError::Proof { height, error };
        proof.verify(attested.outcome()).map_err(refuse)?;
        if height <= last {
            return Err(FollowError::Again { height, last });
        }
        let previous = proof.leaf.previous;
        if previous > last {
            return Err(FollowError::Skipped { height, previous, last });
        }
        self.agree(height, previous)?;
        proof.covers(lane).map_err(refuse)?;
        (self.last, self.is_seen) = (height, true);
        Ok(())
    }

    /// Whether nothing is missing up to an attested tip.
    ///
    /// # Errors
    ///
    /// There is content that was not given, the proof does not hold, or the tip contradicts what was followed.
    pub fn at_tip(&self, tip: &Attested, proof: &RegistryProof) -> Result<(), FollowError> {
        let (height, last) = (tip.height(), self.last);
        if proof.leaf.rollup != self.rollup {
            return Err(FollowError::Rollup { expected: self.rollup, actual: proof.leaf.rollup });
        }
        if height < last {
            return Err(FollowError::OldTip { tip: height, last });
        }
        proof.verify(tip.outcome()).map_err(|error| FollowError::Proof { height, error })?;
        let last_content = proof.leaf.last;
        if last_content > last {
            return Err(FollowError::Behind { rollup: self.rollup, last_content, last });
        }
        self.agree(height, last_content)
    }

    /// Refuses an outcome that does not know of the content that was followed. Where a follower started there may have
    /// been none, and an outcome says so truly: taken for a lie, it would turn the follower against honest servers.
    fn agree(&self, height: Height, last_content: Height) -> Result<(), FollowError> {
        let last = self.last;
        if self.is_seen && last_content < last {
            return Err(FollowError::Contradiction { height, last });
        }
        Ok(())
    }
}
