//! What actors tell each other about the chain.
//!
//! Events are hints: they may be lost by who is slow. Who needs every committed header reads [`Headers`] from its own
//! last height on, and learns from [`ChainHandle::committed`] that there are more. So consensus waits for nobody, and a
//! restart is no special case.

use crate::{store::Headers, watch};
use chorale_foundation::{cryptography::ed25519::PublicKey, p2p::Blocker};
use chorale_types::{
    AvailabilityCertificate, BlockReference, CommitProof, Epoch, EpochInfo, Header, Height, QuorumCertificate, Tip,
    ValidatorIndex, View, codec::Shared,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use tokio::sync::broadcast;
use tracing::warn;

/// Something that consensus saw.
#[derive(Clone, Debug)]
pub enum ChainEvent {
    /// The node entered a view.
    Entered {
        /// The epoch.
        epoch: Epoch,
        /// The view.
        view: View,
        /// Who leads it.
        leader: ValidatorIndex,
    },
    /// A valid fresh header was proposed.
    Proposed {
        /// The header with its author's signature.
        tip: Arc<Tip>,
    },
    /// A block was certified in its own view: lost only if its leader is provably faulty.
    Certified {
        /// The certificate.
        certificate: QuorumCertificate,
    },
    /// A block was committed; its header is in the store.
    Committed {
        /// Its height.
        height: Height,
        /// Its header.
        header: Shared<Header>,
    },
    /// An epoch began.
    EpochStarted {
        /// The epoch.
        info: Arc<EpochInfo>,
    },
}

/// Where consensus is.
#[derive(Clone, Debug)]
pub struct Position {
    /// The epoch.
    pub epoch: Arc<EpochInfo>,
    /// The view.
    pub view: View,
    /// This node's place among the epoch's validators; none if it follows.
    pub index: Option<ValidatorIndex>,
}

/// A committed header, with the proof if it was the last of those committed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The header.
    pub header: Shared<Header>,
    /// Proves that this block is committed, or that it is with a later one.
    pub proof: Option<CommitProof>,
}

/// The epochs that this node has been in or knows of.
#[derive(Clone, Debug, Default)]
pub struct Epochs(Arc<RwLock<BTreeMap<Epoch, Arc<EpochInfo>>>>);

impl Epochs {
    /// Adds an epoch.
    pub fn insert(&self, info: Arc<EpochInfo>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(info.epoch, info);
    }

    /// An epoch, if it is known.
    #[must_use]
    pub fn get(&self, epoch: Epoch) -> Option<Arc<EpochInfo>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&epoch).cloned()
    }

    /// The epoch of a height, if it is known.
    #[must_use]
    pub fn at(&self, height: Height) -> Option<Arc<EpochInfo>> {
        let epochs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        epochs.values().rev().find(|info| info.start.height < height && height <= info.closing).cloned()
    }
}

/// The chain as consensus drives it.
#[derive(Clone)]
pub struct ChainHandle {
    /// Hints; subscribe to it.
    pub events: broadcast::Sender<ChainEvent>,
    /// The height of the last committed header in the store.
    pub committed: watch::Receiver<Height>,
    /// Where consensus is.
    pub position: watch::Receiver<Position>,
    /// All committed headers.
    pub headers: Headers,
    /// Epochs by number.
    pub epochs: Epochs,
}

impl ChainHandle {
    /// An epoch that began, or is known to follow.
    #[must_use]
    pub fn epoch(&self, epoch: Epoch) -> Option<Arc<EpochInfo>> {
        self.epochs.get(epoch)
    }
}

/// What there is for a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// This, and if it is empty nothing.
    Ready(Vec<AvailabilityCertificate>),
    /// A payload made for this view is being dispersed; it is worth holding the header back for so long.
    Soon {
        /// Milliseconds.
        wait_ms: u64,
    },
}

/// What a leader's headers order. Asked by consensus, which does not wait: answers at once.
pub trait ContentSource: Send {
    /// Certificates for a header of this view; they count as used in it.
    fn take(&mut self, epoch: Epoch, view: View, parent: &BlockReference) -> Content;

    /// This node's header of a view is made: what comes now is for later ones.
    fn proposed(&mut self, epoch: Epoch, view: View);

    /// Whether this node has something to order.
    fn pending(&self) -> bool;
}

type Block = Box<dyn FnMut(PublicKey) + Send>;

/// Cuts off peers that misbehave, on all networks of the mesh, and says so.
#[derive(Clone)]
pub struct Peers {
    block: Arc<Mutex<Vec<Block>>>,
}

impl Peers {
    /// Cuts off by these blockers.
    #[must_use]
    pub fn new(blockers: impl IntoIterator<Item = impl Blocker<PublicKey = PublicKey>>) -> Self {
        let block = blockers.into_iter().map(|mut blocker| -> Block {
            Box::new(move |peer| {
                let _ = blocker.block(peer);
            })
        });
        Self { block: Arc::new(Mutex::new(block.collect())) }
    }

    /// Cuts off by this.
    #[cfg(test)]
    pub(crate) fn with(block: impl FnMut(PublicKey) + Send + 'static) -> Self {
        Self { block: Arc::new(Mutex::new(vec![Box::new(block)])) }
    }

    /// Names a peer that did what no honest node does, and cuts it off.
    pub fn block(&self, peer: &PublicKey, reason: &str) {
        warn!(%peer, reason, "a peer misbehaved and is cut off");
        self.keep_out(peer);
    }

    /// Cuts off a peer that was named before.
    pub fn keep_out(&self, peer: &PublicKey) {
        for block in self.block.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            block(peer.clone());
        }
    }
}
