//! The proposer: what this node's own headers order.
//!
//! A payload has to be sealed, sent to everybody, and acknowledged by a quorum before a header can name it. That takes
//! about a view, so it is done ahead: the leader of the first header that a dispersal begun now can still make is on duty
//! for what waits in the pool ([`timing`]). Consensus then finds certificates ready, and waits a moment for one that is
//! nearly so. Where much waits it waits for any payload, within bounds: an empty header costs as much as a full one.
//!
//! # Rules
//!
//! - No two leaders order the same entries, if they can help it: what is ordered twice costs everybody twice, and a
//!   network that falls behind for that falls behind further. So a leader announces what it has selected before it seals
//!   it; the next one leaves out what is announced or dispersed, and, where much waits, waits a moment for announcements
//!   that should be there. What it still has not heard of it guesses: the oldest entries, a payload full.
//! - Entries that have waited for too many heights come first, in an eighth of the payload. Where much waits, claims of
//!   others keep them out for a bounded number of heights: a manifest may lie, and an honest leader's turn ends censorship. A builder whose
//!   payload ended without being ordered claims nothing for a while.
//! - A certificate whose header died, or came too late, goes into the next header of this node until it expires.
//! - Keys and salts come fresh from the runtime's secure randomness for every dispersal.

mod actor;
mod pool;
pub mod shelf;
mod system;
pub mod timing;

pub use actor::{Actor, Connections, Content, Update};
pub use pool::{Exclusion, Leave, Pool, Selection};
pub use system::{Attested, DueAttestations};

/// What the actor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many views ahead payloads are made.
    pub views_ahead: u64,
    /// How many views after the one it is made for a payload can still be ordered.
    pub expiry_views: u64,
    /// The longest payload of the chain.
    pub payload_bytes_max: u32,
    /// The longest that a header is held back for a payload, in milliseconds.
    pub hold_ms_max: u64,
    /// Payloads of this node that are not ordered, at most.
    pub payloads_max: usize,
}
