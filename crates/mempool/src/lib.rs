//! The shared mempool of all rollups, as a pure state machine.
//!
//! One pool on every validator holds what users of all rollups submitted, until it is ordered. The node drives a
//! [`Mempool`] with submissions, messages of peers, manifests of payloads in flight, revealed heights and time, and
//! carries out the [`Output`]s of each call, in order. No clock, socket or disk is in here.
//!
//! # What is promised
//!
//! - *Accepted means durable.* A submission to this node comes out as a [`Record`] to write down, and the submitter is
//!   answered when that is on disk. After a restart [`Mempool::restore`] takes up what was written. What peers send is
//!   on their disks, and is written down here too only with [`Config::journal_peers`].
//! - *Nothing is dropped silently.* Every entry that was admitted is pooled, or [`Mempool::status`] says how it ended and
//!   why. The memories behind that are bounded ([`Config::ended_entries_max`], [`Config::ordered_entries_max`]); what is
//!   older is forgotten, oldest first.
//! - *The order is the last word.* An entry that expired or was evicted here and was ordered all the same is revealed; a
//!   repeat does not undo that it took effect.
//!
//! # Life of an entry
//!
//! ```text
//! submit ──> pending ──> proposed ──> certified ──> committed ──> ended: revealed at a height, or skipped with a reason
//!   │           │  ^─────────┴────────────┴────────────┘ payload dropped, or revealed without the entry
//!   v           v
//! rejected    ended: evicted or expired, with the reason; may be submitted again
//! ```
//!
//! `proposed` to `committed` rest on a manifest, which is a claim: it takes an entry out of selection while its payload is
//! under way, and nothing more. An entry in several payloads has the status of the furthest.
//!
//! # Who gets room
//!
//! Every entry counts with its encoded bytes for one rollup (a bundle for the one with most bytes in it) and, if it came
//! from a peer, for that peer.
//!
//! - A rollup's guaranteed share is the pool divided by the registered rollups. Shares are lent out while unused. A rollup
//!   within its share always gets in, at the cost of the newest entries of the rollup that holds most; one above its share
//!   gets what is free. So none can crowd out another, and the old entries of none are lost for the new ones of another.
//! - What one peer has sent and is still pooled is bounded, so that a third of the validators, flooding together, leave
//!   room for the others and for users.
//! - An entry leaves after [`Config::age_ms_max`] or [`Config::age_heights_max`], a bundle after its last height; but not
//!   while a payload in flight claims it.
//!
//! # What goes into payloads
//!
//! [`Mempool::select`]: oldest first inside a rollup, deficit round robin between them, without what manifests in flight
//! claim. [`Mempool::overdue`]: what has waited for more than [`Config::overdue_heights`], for the inclusion payload; where
//! a manifest has claimed it in vain, whatever others claim, and after [`Config::claimed_heights`] more whatever payloads
//! claim that no header references.
//!
//! # Gossip
//!
//! | tag | message | limits | meaning |
//! | --- | --- | --- | --- |
//! | 0 | [`Push`] | 1024 units | new entries, submitted to the sender; to every peer, once, unasked |
//! | 1 | [`Announce`] | 4096 ids | the sender holds these |
//! | 2 | [`Request`] | 256 ids | send me these |
//! | 3 | [`Bodies`] | 256 units | answers a request: a prefix of what it asked for, in its order |
//!
//! No message is longer than 256 KiB. Each round ([`Config::reconcile_interval_ms`]) an eighth of the peers is told what
//! is pooled and not young, some ids at a time, in a cycle; they ask for what they miss, each entry of one announcer at a
//! time and of the next if that one does not deliver in time. So lost pushes, absences and restarts heal. What came by a
//! request never comes back once it ended: pools whose clocks differ would hand it to each other for ever.
//!
//! Each peer may send so many bytes and ids a second ([`Config::peer_bytes_per_second`]); a pool sends half of that at
//! most, and messages that a connection held back for up to [`BURST_IN_S`] seconds are no flood. What no correct pool
//! does comes out as [`Misbehaviour`]: the node names the peer and cuts it off. Nobody is accused for loss, delay, order,
//! or a restart, on either side.
//!
//! # Hazards
//!
//! - A [`PeerId`] must mean the same node for as long as the pool lives: never an index into an epoch's validators.
//! - [`Mempool::epoch_ended`] has to be called between two epochs: views begin anew.
//! - The pool does not look into transactions. Signatures, nonces and balances are the business of rollups and their
//!   gateways; a rollup for which nothing is ordered at present is [`Standing::Suspended`] by who knows that.
//! - Fees come later: until then nothing outbids, and a full share refuses.

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
pub use flight::{Carrier, Reveal};
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
