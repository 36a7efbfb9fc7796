//! The node of a domain's rollups: it follows the shared order, executes it, and serves Ethereum's JSON-RPC for each.
//!
//! It trusts the genesis and nobody else: every lane is verified against the attestations of the stake before it is
//! executed, a node that lies is dropped, and one that is silent is asked again later. Wallets talk to it as to any node of
//! Ethereum; what they send goes into the sequencers' shared pool.
//!
//! # Heads
//!
//! What is executed here is attested by the stake already, so `latest` and `safe` are the same block. `finalized` is block
//! 0 until execution is attested too.
//!
//! # Limits
//!
//! Everything is in memory and derived anew from the first height at every start. State is kept for the last 128 blocks: a
//! question about the state of an earlier one is answered with an error that says so.

mod access;
mod admission;
mod answers;
mod blocks;
mod bundles;
mod calls;
mod config;
mod cors;
mod debug;
mod development;
mod errors;
mod eth;
mod fees;
mod filling;
mod filters;
mod follow;
mod logs;
mod pending;
mod published;
mod reverts;
mod rpc;
mod run;
mod sending;
mod server;
mod subscriptions;
#[cfg(test)]
mod tests;
mod txpool;

pub use alloy_genesis::Genesis as EthereumGenesis;
pub use config::{ConfigError, RollupConfig, ServedRollup};
pub use development::{development_genesis, genesis_hash};
pub use follow::FollowError;
pub use run::{Config, RollupError, run};
