//! The shared mempool of all rollups, as a pure state machine.
//!
//! One pool on every validator holds what users of all rollups submitted, until it is ordered. The node drives it with
//! submissions, messages of peers, manifests of payloads in flight and revealed heights, and carries out its
//! [`Output`]s.
//!
//! # Rules
//!
//! - *Accepted means durable*: what is submitted here is put out as a [`Record`] to write down; the submitter is answered
//!   when that is on disk. What peers send is on their disks.
//! - *Nothing is dropped silently*: every entry is pooled, or [`Mempool::status`] says how it ended and why, within a
//!   bounded memory of ended entries.
//! - *Fair between rollups*: each has a guaranteed share of the pool, lent out while unused and taken back on demand; and
//!   payloads are filled by deficit round robin ([`Mempool::select`]).
//! - *Manifests are claims*: what a payload in flight claims to carry is left out of selection, and comes back if the
//!   payload is revealed without it, or dropped. What has waited for too long is [`Mempool::overdue`] all the same.
//! - *Peers are bounded*: entries, bytes and ids of each, in the pool and per second.
//!
//! # Gossip
//!
//! New entries are pushed to all peers at once. Once in a while each peer in turn is told the ids of what is pooled, and
//! asks for the bodies it misses; so lost pushes and absences heal. See [`Message`].

mod bucket;
mod config;
mod entry;
mod expiry;
mod figures;
mod flight;
mod gossip;
mod history;
mod message;
mod output;
mod peer;
mod pool;
mod record;
mod rejected;
mod restore;
mod selection;
mod status;
mod store;
#[cfg(test)]
mod tests;

pub use config::{BURST_IN_S, Config, ConfigError, Standing};
pub use entry::Entry;
pub use figures::{Figures, Held};
pub use flight::Reveal;
pub use message::{
    ANNOUNCE_IDS_MAX, Announce, Bodies, Incoming, MESSAGE_BYTES_MAX, Message, MessageError, PUSH_UNITS_MAX, Push,
    REQUEST_IDS_MAX, Request,
};
pub use output::{Misbehaviour, Output};
pub use peer::PeerId;
pub use pool::{Admitted, Mempool, Source};
pub use record::{Add, Record, Remove};
pub use rejected::Rejected;
pub use status::{Ended, EvictReason, ExpireReason, Outcome, ShareReclaimed, SkipReason, Skipped, Status};
