//! The consensus actor: drives the core, owns the safety record, and waits for nobody.
//!
//! # Rules
//!
//! - Everything that the outputs of a turn want on disk is written and synced before the first of their messages leaves.
//!   One sync serves all messages that arrived meanwhile.
//! - Peers that send what no honest validator sends are named and cut off.
//! - A disk that fails, or a proof that contradicts what was committed, stops the node: it must not sign on.

mod actor;
mod chain;
mod hearing;
pub(crate) mod pings;
mod stragglers;
pub mod wire;

pub use actor::{Actor, Connections};
pub use chain::Chain;

use chorale_foundation::storage::journal::Error as StorageError;
use chorale_hotstuff::Parameters;
use chorale_types::{BlockId, BlockReference, CommitProof, Epoch, EpochInfo, Height, NodeKey};
use std::sync::Arc;

/// Headers that consensus misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The newest one missing.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// The height of the newest ancestor that is known.
    pub above: Height,
}

/// Who the validators of an epoch are, given the block that it starts from.
pub type EpochSource = Arc<dyn Fn(Epoch, BlockReference) -> Option<EpochInfo> + Send + Sync>;

/// What the actor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Parameters that the chain's genesis fixes.
    pub parameters: Parameters,
    /// This node's identity.
    pub me: NodeKey,
    /// Whether this node has a consensus key at all; without one it follows.
    pub signs: bool,
    /// Whether a node without safety record is new, and not one that lost it: then it may sign at once.
    pub is_new: bool,
    /// What the names of its files begin with.
    pub partition: String,
}

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed or is damaged.
    #[error("the safety record or the header store: {0}")]
    Storage(#[from] StorageError),
    /// Two conflicting blocks are provably committed.
    #[error(
        "a block is committed that conflicts with {committed:?}: more than a third of the stake is faulty. \
         Proof: {proof:?}. Do not restart before you know why"
    )]
    Conflict {
        /// What this node committed.
        committed: BlockReference,
        /// The proof of the other.
        proof: Box<CommitProof>,
    },
    /// Nobody knows the validators of the next epoch.
    #[error("epoch {0} begins, and the genesis does not say who its validators are")]
    NoEpoch(Epoch),
    /// The header store has a gap.
    #[error(
        "the header store has no header of height {0}, which it should have; restore the data directory, or sync anew"
    )]
    MissingHeader(Height),
}
