//! The proposer: what this node's own headers order.
//!
//! A payload has to be sealed, sent to everybody, and acknowledged by a quorum before a header can name it. That takes
//! about a view, so it is done ahead: the leader of the first header that a dispersal begun now can still make is on duty
//! for what waits in the pool ([`timing`]). Consensus then finds certificates ready, and waits a moment for one that is
//! nearly so.
//!
//! # Rules
//!
//! - Entries that have waited for too many heights come first, in an eighth of the payload. A manifest of others may
//!   claim one of them once in vain, and no more: a manifest may lie, and an honest leader's turn ends censorship.
//! - Besides, what a payload in flight claims to carry is left out, and of what came before the leader of the view before
//!   was on duty as much as fits its payload, if that has not been seen yet. Otherwise both would order the same entries.
//! - A certificate whose header died, or came too late, goes into the next header of this node until it expires.
//! - Keys and salts come fresh from the runtime's secure randomness for every dispersal.

mod actor;
mod pool;
pub mod shelf;
#[cfg(test)]
mod tests;
pub mod timing;

pub use actor::{Actor, Connections, Content, Update};
pub use pool::{Exclusion, Leave, Pool, Selection};

/// What the actor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many views ahead payloads are made.
    pub views_ahead: u64,
    /// How many views after the one it is made for a payload can still be ordered.
    pub expiry_views: u64,
    /// The longest payload of the chain.
    pub payload_bytes_max: u32,
    /// Payloads of this node that are not ordered, at most.
    pub payloads_max: usize,
}
