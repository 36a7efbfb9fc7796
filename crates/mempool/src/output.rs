//! What the pool wants done.

use crate::{message::Message, peer::PeerId, record::Record, status::Status};
use chorale_types::UnitId;

/// Something for the node to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Append to the pool's journal. A submission is answered "accepted" only once its record is on disk; nothing
    /// else waits for the journal.
    Journal(Record),
    /// Send to each of these peers.
    Send {
        /// The receivers, none twice.
        to: Vec<PeerId>,
        /// What to send.
        message: Message,
    },
    /// An entry's status changed. Only with [`Config::status_events`](crate::Config::status_events).
    Status {
        /// Which entry.
        id: UnitId,
        /// Its status now.
        status: Status,
    },
    /// A peer did what no correct pool does.
    Misbehaviour {
        /// Which peer.
        peer: PeerId,
        /// What it did.
        what: Misbehaviour,
    },
}

/// What a peer did that no correct pool does. None of it can be caused by a third party, by loss, delay, reordering, or a
/// restart on either side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    /// Sent bytes that are no message.
    #[error("{0}")]
    BadMessage(String),
    /// Sent an entry above the limit that all nodes share.
    #[error("sent {id} with {bytes} bytes; at most {max} are allowed")]
    OversizeEntry {
        /// Which entry.
        id: UnitId,
        /// Its encoded size.
        bytes: u64,
        /// What is allowed.
        max: u64,
    },
    /// Sent bodies for a request that was never made.
    #[error("answered request {number}; the next one will be {next}")]
    BodiesNotAskedFor {
        /// The number in the answer.
        number: u64,
        /// The number of the next request.
        next: u64,
    },
    /// Sent more bodies than a request asked for.
    #[error("answered request {number} for {asked} bodies with {sent}")]
    TooManyBodies {
        /// The request.
        number: u64,
        /// Ids in the request.
        asked: usize,
        /// Bodies in the answer.
        sent: usize,
    },
    /// Sent another body in the place of the one asked for.
    #[error("answered request {number} for {asked} with {sent}")]
    WrongBody {
        /// The request.
        number: u64,
        /// What was asked for.
        asked: UnitId,
        /// What came.
        sent: UnitId,
    },
    /// Sent more bytes of bodies than its budget. Reported once a second.
    #[error("sent a message of {bytes} bytes of bodies above its budget of {per_second} bytes a second")]
    BodiesFlood {
        /// The message that was over the budget.
        bytes: u64,
        /// The budget.
        per_second: u64,
    },
    /// Announced or asked for more ids than its budget. Reported once a second.
    #[error("sent {ids} ids above its budget of {per_second} ids a second")]
    IdsFlood {
        /// The message that was over the budget.
        ids: u64,
        /// The budget.
        per_second: u64,
    },
}
