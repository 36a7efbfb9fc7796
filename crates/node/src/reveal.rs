//! Reveal: ordered payloads, from chunks to content, in the order of heights.
//!
//! Once a header is committed, each validator sends its chunks to those whose turn it is to get them from it
//! ([`Rotation`](chorale_dispersal::Rotation)), and everybody opens the payload. Who misses chunks asks others for
//! theirs, and in the end anybody for the opened payload, which is checked by sealing it again. So no bytes of a peer
//! are trusted, and every node finds the same: the content, or that there is none.
//!
//! # Rules
//!
//! - Chunks are sent only for payloads that a committed header references; with [`RevealAt::Certified`], that a header
//!   certified in its own view does.
//! - Heights are worked on side by side, within a window, and handed to settlement strictly in order.
//! - What was opened is [kept](crate::store::PayloadStore) before the chunks it came from are let go. After a restart,
//!   heights that settlement has not made durable are handed to it again, from that store, or else from peers.
//! - A peer that sends wrong chunks, a wrong payload, or another's chunks is named and cut off. Answers are bounded per
//!   peer and second.

mod actor;
mod answers;
mod budget;
mod collecting;
mod early;
pub mod exchange;
mod own;
#[cfg(test)]
mod tests;
mod window;

pub use actor::{Actor, Connections, Stopped};
pub use exchange::Patience;
pub use own::OwnPayloads;

use chorale_dispersal::{Malformed, Opened};
use chorale_types::{AvailabilityCertificate, Header, Manifest, codec::Shared};
use std::sync::Arc;

/// When chunks are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevealAt {
    /// When the header is committed: nothing is shown that may still be lost.
    Committed,
    /// When it is certified: one round earlier, at the risk that a leader who signs two headers shows content that is
    /// not ordered.
    Certified,
}

/// What the actor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// When chunks are released.
    pub at: RevealAt,
    /// When to ask for what did not come by itself.
    pub patience: Patience,
    /// Heights that are worked on at a time.
    pub window_heights: u64,
    /// Heights whose payloads are kept.
    pub retention_heights: u64,
    /// The longest payload.
    pub payload_bytes_max: u32,
    /// Bytes of answers to one peer in a second.
    pub answer_bytes_per_second: u64,
    /// Bytes of the longest answer, roughly: what a question counts for until it is answered.
    pub answer_bytes_max: u64,
}

/// One payload of a committed header, as every honest node finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevealedPayload {
    /// What the header says of it.
    pub certificate: AvailabilityCertificate,
    /// The manifest that the certificate names. Whether the content agrees with it is not checked here.
    pub manifest: Arc<Manifest>,
    /// What it opened to.
    pub opened: Result<Opened, Malformed>,
}

/// A committed height with the content of its payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revealed {
    /// The header.
    pub header: Shared<Header>,
    /// Its payloads, in its order.
    pub payloads: Vec<RevealedPayload>,
}
