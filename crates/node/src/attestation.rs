//! Attestation: what this node signs about heights, and what a quorum signed.
//!
//! One actor for each domain: ordering and ledger, of which settlement computes the outcome, and each domain of executed
//! rollups. What executes those is beside this node (see [`executor`](crate::executor)); a node that does not execute a
//! domain collects its signatures all the same, to serve attestations and to have them ordered.
//!
//! # Rules
//!
//! - A root is signed once. The signature is durable before it is sent; after a restart the same one is sent again, and
//!   never another. If settlement then comes to another root than the signed one, the node stops: it computed two
//!   different things from one history.
//! - Signatures are verified when there is a quorum of them, together, or when a validator contradicts itself; a bad one is
//!   found, its sender named and cut off.
//! - A height whose attestation is missing is asked for, because signatures of who was away are lost.
//! - A quorum for another root than this node's own is no reason to adopt it. The node says so loudly and stops:
//!   [`Stopped::Diverged`].
//! - Two roots of one validator for one height are evidence, and go to [`evidence`](crate::evidence).
//! - Only validators of a height's epoch sign it; the old validators go on until the closing height is attested.
//! - The attested outcomes of closing heights are kept for ever: they lead from the genesis to every later epoch.
//!
//! # Wire format
//!
//! Messages on [`channel::ATTEST`](crate::mesh::channel::ATTEST), in the canonical codec: a [`Message`].

mod actor;
mod hearing;
mod input;
mod keeper;
mod message;
mod missing;
mod router;
mod stopped;
mod store;
#[cfg(test)]
mod tests;
mod votes;

pub use actor::{Actor, Connections};
pub use input::{Computed, Input};
pub use keeper::{Keeper, Verified};
pub use message::{Ask, Message};
pub use router::{Messages, Router};
pub use stopped::Stopped;
pub use store::Error as StorageError;

use crate::watch;
use chorale_types::{Attestation, DomainId, Epoch, Height, Outcome, codec_struct};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Requests that wait for the actor at most.
const REQUESTS_MAX: usize = 256;
/// Events that a subscriber may be behind.
const EVENTS_MAX: usize = 1024;

/// What the actor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose outcomes.
    pub domain: DomainId,
    /// Heights whose attestations are kept.
    pub retention_heights: u64,
    /// How long after it was settled the attestation of a height is asked for.
    pub ask_after_ms: u64,
    /// What the names of its files begin with.
    pub partition: String,
}

/// Something about attestations. Hints: may be lost by who is slow.
#[derive(Clone, Debug)]
pub enum Event {
    /// A height is attested.
    Attested(Arc<Attestation>),
}

/// How an epoch ended: with the next validators, which the outcome names by their digest, a
/// [`HandOver`](chorale_light::HandOver).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The outcome of the closing height.
    pub outcome: Outcome,
    /// Its attestation.
    pub attestation: Attestation,
}
codec_struct!(Closing { outcome, attestation });

/// A request to the actor.
enum Request {
    /// The attestation of a height.
    Get { height: Height, reply: oneshot::Sender<Option<Attestation>> },
    /// The first attestations above a height, which rise; so many at most.
    After { height: Height, max: usize, reply: oneshot::Sender<Vec<Attestation>> },
    /// The last one.
    Latest { reply: oneshot::Sender<Option<Attestation>> },
    /// How an epoch ended.
    Closing { epoch: Epoch, reply: oneshot::Sender<Option<Closing>> },
}

/// Talks to the actor. Clones share it.
#[derive(Clone)]
pub struct Mailbox {
    requests: mpsc::Sender<Request>,
    attested: watch::Receiver<Height>,
    events: broadcast::Sender<Event>,
}

/// The actor's end of a [`Mailbox`].
struct Ingress {
    requests: mpsc::Receiver<Request>,
    attested: watch::Sender<Height>,
    events: broadcast::Sender<Event>,
}

impl Mailbox {
    fn new() -> (Self, Ingress) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let (sender, attested) = watch::channel(Height(0));
        let (events, _) = broadcast::channel(EVENTS_MAX);
        (Self { requests, attested, events: events.clone() }, Ingress { requests: receiver, attested: sender, events })
    }

    /// Of an actor that has attested up to a height, and is no more.
    #[cfg(test)]
    pub(crate) fn stopped_at(height: Height) -> Self {
        let (mailbox, ingress) = Self::new();
        ingress.attested.send_replace(height);
        mailbox
    }

    /// The height up to which every height is attested.
    #[must_use]
    pub fn attested(&self) -> watch::Receiver<Height> {
        self.attested.clone()
    }

    /// Attestations as they come, not always in order.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The attestation of a height; none if there is none yet, or it is pruned, or the node is stopping.
    pub async fn get(&self, height: Height) -> Option<Attestation> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Get { height, reply }).await.ok()?;
        answer.await.ok()?
    }

    /// The first attestations above a height, which rise; so many at most. None if the node is stopping.
    pub async fn after(&self, height: Height, max: usize) -> Vec<Attestation> {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::After { height, max, reply }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// The last attestation; none if there is none yet, or the node is stopping.
    pub async fn latest(&self) -> Option<Attestation> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Latest { reply }).await.ok()?;
        answer.await.ok()?
    }

    /// How an epoch ended, however long ago; none if it has not yet, or this node was not there.
    pub async fn closing(&self, epoch: Epoch) -> Option<Closing> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Closing { epoch, reply }).await.ok()?;
        answer.await.ok()?
    }
}
