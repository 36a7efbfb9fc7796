//! What can be wrong with an object of consensus.

use chorale_types::{BlockReference, ValidatorIndex, View};

/// Why something that a peer sent is not valid. Correct validators never send such.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("an object of another epoch inside a message of this one")]
    Epoch,
    #[error("a header of another chain")]
    Chain,
    #[error("view {0:?} cannot be reached")]
    View(View),
    #[error("{0:?} is no block reference for a certificate or vote of view {1:?}")]
    Reference(BlockReference, View),
    #[error("a certificate of view {0:?} without a quorum of this epoch's validators")]
    Quorum(View),
    #[error("a header of view {view:?} on a parent of view {parent:?}; it has to be older")]
    ParentView { view: View, parent: View },
    #[error("a header whose height does not follow its parent's")]
    Height,
    #[error("a header or proposal of view {view:?} by {author:?}, who does not lead it")]
    Author { view: View, author: ValidatorIndex },
    #[error("a header of {0} bytes, above the limit")]
    Size(usize),
    #[error("payloads in a header above the closing height; it has to be empty")]
    PayloadAboveClosing,
    #[error("a payload that expired, is not the author's own, lacks a quorum, or is repeated")]
    Payload,
    #[error("a header of view {0:?} that does not prove how its view was entered")]
    Entry(View),
    #[error("timeouts of view {0:?} whose groups overlap, are empty, or are not in the order of their ranks")]
    Groups(View),
    #[error("a timeout of view {0:?} with a rank that nobody can have in it")]
    Rank(View),
    #[error("a timeout certificate of view {0:?} whose best is not of the highest rank in it")]
    High(View),
    #[error("a reproposal of a certificate; only a header can be proposed again")]
    Reproposal,
    #[error("two certificates that do not commit anything")]
    Pair,
    #[error("a message that {from:?} sends in the name of {author:?}")]
    Sender { from: ValidatorIndex, author: ValidatorIndex },
    #[error("a signature does not hold")]
    Signature,
}
