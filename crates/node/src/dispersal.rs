//! Dispersal: sealed payloads on their way from builders to the disks of validators.
//!
//! As a builder, this node sends every validator its chunks and the manifest, and collects acknowledgements until they
//! are an availability certificate. As a validator, it checks what builders send, stores it, and acknowledges it.
//!
//! # Rules
//!
//! - An acknowledgement leaves only after the chunks are on disk: a quorum of them is the proof that a payload can be
//!   rebuilt, whatever happens to the machines. One sync serves all chunks that came during the one before.
//! - One commitment is acknowledged with one manifest and one expiry.
//! - What a leader of a near view announces is a hint for the selection of others; it is bounded, and binds nobody.
//! - Chunks stay until a header of a view after the expiry is committed, or, once ordered, until the payload is opened
//!   and archived. At its bound a validator refuses and evicts nothing; every builder has its own part of the bound.
//! - Chunks of a payload leave this node only when a header orders it ([`Basis`]).
//! - Wrong chunks and wrong signatures are named and their sender is cut off: honest nodes check what they send.
//!   Nothing a refusal is for (epoch, expiry, bounds) proves misbehaviour.
//!
//! Sealing, checking and aggregation run beside the actor's loop, so that large payloads keep nobody waiting.

pub mod acknowledgements;
mod actor;
mod builder;
pub mod custody;
pub mod frames;
pub(crate) mod keys;
pub mod manifests;
pub mod message;
mod offers;
mod storing;
mod waiting;
pub mod wire;

pub use actor::{Actor, Connections, Stopped};
pub use builder::NotCertified;
pub use custody::Limits;
pub use manifests::{Known, Manifests};
use message::Announce;

use chorale_dispersal::{Sealed, ValidatorChunks};
use chorale_types::{AvailabilityCertificate, Commitment, Epoch, Height, Manifest, View};
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the actor at most.
const REQUESTS_MAX: usize = 64;

/// What the actor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds of custody.
    pub limits: Limits,
    /// After how long without an answer chunks are sent to a validator again.
    pub resend_after_ms: u64,
    /// Heights for which chunks of malformed payloads are kept: nothing else shows others that they are.
    pub retention_heights: u64,
    /// What the names of its files begin with.
    pub partition: String,
}

/// On what grounds chunks leave this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// A committed header references the payload; the actor looks itself.
    Ordered,
    /// A certified header does, on a chain that reveals at certification; whoever asks has checked it.
    Certified,
}

/// A request to the actor.
pub enum Request {
    /// Disperse a payload of this node.
    Disperse {
        /// The epoch it is sealed for.
        epoch: Epoch,
        /// The payload.
        sealed: Box<Sealed>,
        /// Its manifest.
        manifest: Manifest,
        /// Gets the certificate.
        reply: oneshot::Sender<Result<AvailabilityCertificate, NotCertified>>,
    },
    /// Tell the others what a payload of this node will carry, before it is sealed.
    Announce(Announce),
    /// This node's chunks of a payload, to be shown to others.
    Chunks {
        /// The payload.
        commitment: Commitment,
        /// Why they may be shown.
        basis: Basis,
        /// Gets them; none if they are not here, or may not be shown.
        reply: oneshot::Sender<Option<ValidatorChunks>>,
    },
    /// All payloads up to this height are opened and archived.
    Archived {
        /// The height.
        height: Height,
        /// Those of this height that opened to nothing.
        malformed: Vec<Commitment>,
    },
}

/// Talks to the actor.
#[derive(Clone)]
pub struct Mailbox {
    requests: mpsc::Sender<Request>,
    manifests: Manifests,
}

impl Mailbox {
    /// A mailbox and what the actor reads from it.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { requests, manifests: Manifests::default() }, receiver)
    }

    /// The manifests of all payloads whose chunks this node holds.
    #[must_use]
    pub const fn manifests(&self) -> &Manifests {
        &self.manifests
    }

    /// Disperses a payload of this node, and waits for its certificate.
    ///
    /// # Errors
    ///
    /// See [`NotCertified`].
    pub async fn disperse(
        &self,
        epoch: Epoch,
        sealed: Sealed,
        manifest: Manifest,
    ) -> Result<AvailabilityCertificate, NotCertified> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Disperse { epoch, sealed: Box::new(sealed), manifest, reply };
        if self.requests.send(request).await.is_err() {
            return Err(NotCertified::Stopped);
        }
        answer.await.unwrap_or(Err(NotCertified::Stopped))
    }

    /// Tells the other validators what this node has selected for a payload.
    pub async fn announce(&self, epoch: Epoch, target: View, manifest: Manifest) {
        // An actor that has stopped disperses nothing either.
        let _ = self.requests.send(Request::Announce(Announce { epoch, target, manifest })).await;
    }

    /// This node's chunks of a payload, if it holds them and they may be shown.
    pub async fn chunks(&self, commitment: Commitment, basis: Basis) -> Option<ValidatorChunks> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Chunks { commitment, basis, reply }).await.ok()?;
        answer.await.ok()?
    }

    /// Tells that all payloads up to this height are archived.
    pub async fn archived(&self, height: Height, malformed: Vec<Commitment>) {
        // An actor that has stopped has nothing to let go.
        let _ = self.requests.send(Request::Archived { height, malformed }).await;
    }
}
