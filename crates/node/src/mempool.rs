//! The mempool actor: the shared pool, its journal, and its gossip.
//!
//! # Rules
//!
//! - A submission is answered "accepted" when it is on disk; one sync serves all that came during the one before. The
//!   actor goes on meanwhile.
//! - What the manifest of a proposed payload claims to carry is marked, and comes back if it was not in it.
//! - Peers that send what no honest pool sends are named and cut off.

mod actor;
mod journal;
mod proposals;
mod roster;
#[cfg(test)]
mod tests;

pub use actor::{Actor, Connections, Stopped};

use crate::{
    proposer::{Pool, Selection},
    watch,
};
use chorale_mempool::{Admitted, Carrier, Figures, Rejected, Status};
use chorale_types::{PayloadUnit, Unit, UnitId};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Requests that wait for the actor at most.
const REQUESTS_MAX: usize = 256;
/// Selections that wait for the actor at most.
const SELECTS_MAX: usize = 4;
/// Status changes that a subscriber may be behind.
const EVENTS_MAX: usize = 4096;

/// Why a submission has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The pool refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The node is stopping.
    #[error("the node is stopping; submit to another one")]
    Stopping,
    /// Too many submissions wait.
    #[error("too many submissions wait on this node; try again, or submit to another one")]
    Busy,
}

/// A status that changed.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Of what.
    pub id: UnitId,
    /// Its status now.
    pub status: Status,
}

/// The status of a unit, and the block that is furthest on its way with it, if one is.
pub type Known = (Status, Option<Carrier>);

/// Answers to a submission, in its order.
pub type Submitted = Vec<Result<Admitted, Rejected>>;

enum Request {
    Submit { units: Vec<Unit>, reply: oneshot::Sender<Submitted> },
    Status { id: UnitId, reply: oneshot::Sender<Option<Known>> },
    Figures { reply: oneshot::Sender<Figures> },
}

/// Asks for entries for a payload. By a way of its own, before all submissions: what a selection waits for, other leaders
/// do not know of, and select too.
struct Select {
    selection: Selection,
    reply: oneshot::Sender<Vec<PayloadUnit>>,
}

/// Talks to the pool. Clones share it.
#[derive(Clone)]
pub struct Mailbox {
    requests: mpsc::Sender<Request>,
    selects: mpsc::Sender<Select>,
    waiting: watch::Receiver<usize>,
    events: broadcast::Sender<Changed>,
}

impl Mailbox {
    /// Submits units; the answers are in their order, and an admitted one is durable.
    ///
    /// # Errors
    ///
    /// There is no answer: the node is busy, or stopping. Nothing is then known about the units.
    pub async fn submit(&self, units: Vec<Unit>) -> Result<Submitted, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.requests.try_send(Request::Submit { units, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })?;
        answer.await.map_err(|_| SubmitError::Stopping)
    }

    /// The status of a unit as far as this pool knows it.
    pub async fn status(&self, id: UnitId) -> Option<Known> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Status { id, reply }).await.ok()?;
        answer.await.ok()?
    }

    /// The pool's figures; none if the node is stopping.
    pub async fn figures(&self) -> Option<Figures> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Figures { reply }).await.ok()?;
        answer.await.ok()
    }

    /// Statuses as they change. Hints: may be lost by who is slow.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Changed> {
        self.events.subscribe()
    }
}

impl Pool for Mailbox {
    async fn select(&self, selection: Selection) -> Vec<PayloadUnit> {
        let (reply, answer) = oneshot::channel();
        // If the pool has stopped, so will who asks.
        let _ = self.selects.send(Select { selection, reply }).await;
        answer.await.unwrap_or_default()
    }

    fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.clone()
    }
}
