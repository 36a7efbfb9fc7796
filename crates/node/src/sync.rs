//! Headers for who was away: fetches what consensus misses, and answers others.
//!
//! Consensus names a block that is provably committed and whose header it does not have. Answers lead from that block
//! down, parent by parent, so that hashes alone say that they are right: no signature is verified here, and a peer that
//! answers with anything else is cut off. Consensus asks again for what is still missing below. A node that is epochs
//! behind goes through the same for each epoch, whose end its peers show it.
//!
//! # Rules
//!
//! - One question is open at a time, to one peer; who does not answer in time, or has nothing, is followed by the next.
//! - Only committed headers are shown. They are public.
//! - A peer gets a bounded number of bytes per second; questions above that are dropped.

mod actor;
pub(crate) mod chain;
pub(crate) mod message;

pub use actor::{Actor, Connections};
