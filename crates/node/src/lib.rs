//! The node: actors that connect the pure crates to network, disk and clock.
//!
//! See `ARCHITECTURE.md` for the map. Everything that decides is in the pure crates; an actor here owns one concern,
//! takes requests by a bounded mailbox, and makes durable what has to be before it says it.

mod actors;
pub mod attestation;
pub mod config;
pub mod consensus;
pub mod dispersal;
pub mod evidence;
pub mod executor;
pub mod full;
pub mod gateway;
pub mod mempool;
pub mod mesh;
pub mod payloads;
pub mod ports;
pub mod proposer;
pub mod reveal;
mod run;
pub mod runtime;
pub mod settlement;
pub mod store;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod watch;

pub use run::{NodeError, read_genesis, run};
