//! What the state machine wants done. Outputs are to be carried out in their order.

use crate::Record;
use chorale_types::{
    BlockId, BlockReference, CommitProof, Epoch, Evidence, Header, Height, Message, QuorumCertificate, Tip,
    ValidatorIndex, View, codec::Shared,
};

/// To whom a message goes. Never to the node itself: what it says to itself it has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// All other validators.
    All,
    /// One of them.
    One(ValidatorIndex),
}

/// An output of [`Core::step`](crate::Core::step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make durable before any later output is carried out: a message that follows promises it. One sync may serve all
    /// outputs of several steps.
    Persist(Box<Record>),
    /// Make durable likewise: a header that this node votes for, or that is about to be committed. Kept until it or a
    /// conflicting block is committed.
    PersistHeader(Shared<Header>),
    /// Send.
    Send {
        /// To whom.
        to: To,
        /// What.
        message: Message,
    },
    /// This node leads the view and may propose on `parent`: say what ([`Input::Content`](crate::Input::Content)).
    WantContent {
        /// The view.
        view: View,
        /// The block that the header will extend.
        parent: BlockReference,
        /// The header's height.
        height: Height,
    },
    /// Headers are missing between the committed block and a certified one: fetch this one and its ancestors down to
    /// (without) `above`, from whoever has them.
    WantHeaders {
        /// The newest one missing.
        id: BlockId,
        /// Its height.
        height: Height,
        /// The height of the newest ancestor that is known.
        above: Height,
    },
    /// A valid fresh header was proposed in the current view.
    Proposed(Box<Tip>),
    /// A block is certified in its own view: lost only if its leader is provably faulty.
    Certified(QuorumCertificate),
    /// Blocks are committed, oldest first, each once, without gaps.
    Committed {
        /// Their headers.
        headers: Vec<Shared<Header>>,
        /// Proves that the last of them is committed: it names that block or, at the end of an epoch, a descendant of
        /// the closing block.
        proof: CommitProof,
    },
    /// The node entered a view.
    Entered(View),
    /// The closing block of the epoch is committed; answer with [`Input::Epoch`](crate::Input::Epoch).
    EpochEnded {
        /// The block that the next epoch starts from: view and parent 0.
        start: BlockReference,
        /// What shows the end to whoever is behind. Keep it: it is the answer to [`Output::Behind`] also after a
        /// restart. These have already been sent to all. It is empty if the node was started after the closing block
        /// was committed: then the archive has it, so make it durable together with the commit before it.
        farewell: Vec<Message>,
    },
    /// A peer is still in an epoch that ended before this node was started, so that the core does not hold its
    /// farewell: send it from the archive. Ignoring this is safe.
    Behind {
        /// Who.
        peer: ValidatorIndex,
        /// The epoch it is in.
        epoch: Epoch,
    },
    /// A block is provably committed that conflicts with what this node committed: more than a third of the stake is
    /// faulty. Stop the node; the core commits nothing more.
    Conflict {
        /// The last block that this node committed.
        committed: BlockReference,
        /// The proof of the other.
        proof: CommitProof,
    },
    /// A validator provably broke the rules.
    Evidence(Box<Evidence>),
    /// A peer sent what no correct validator sends. It proves nothing to others.
    Misbehaviour {
        /// Who.
        peer: ValidatorIndex,
        /// What is wrong, and with what.
        what: String,
    },
}
