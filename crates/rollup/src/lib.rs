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
//! # What is on the disk
//!
//! Everything that was executed: state, blocks with receipts, bundles, in one database for all rollups of the domain. A
//! height is written as a whole, and shown only when it is on the disk, so nothing that anybody saw is gone after a crash.
//! At a start the state is read into memory and its root compared with the last header's; then the node goes on from the
//! height where it stopped, and shows what it has before it asks anybody.
//!
//! A question about old blocks is answered from the disk. `retain_blocks` of the configuration bounds how many are kept:
//! those before are answered like blocks that other clients have pruned (error 4444), and transactions in them are unknown.
//!
//! # Limits
//!
//! State is kept for the last 128 blocks, also over a restart: a question about the state of an earlier one is answered
//! with an error that says so. All of the current state is in memory, so a start takes longer the more there is of it.
//! Transactions that wait are not remembered over a restart; they are in the sequencers' pool. A node that is down for so
//! long that no node of the sequencer keeps what it missed cannot go on: it begins anew from a [snapshot](export), or one of
//! `nodes` should keep everything. Records of bundles are never deleted.

mod access;
mod admission;
mod again;
mod answers;
mod attested;
mod blocks;
mod building;
mod bundles;
mod calls;
mod config;
mod cors;
mod debug;
mod development;
mod engine;
mod errors;
mod eth;
mod executed;
mod fees;
mod figures;
mod filling;
mod filters;
mod follow;
mod logs;
mod lookup;
mod pending;
mod published;
mod questions;
mod record;
mod reverts;
mod rpc;
mod run;
mod senders;
mod sending;
mod server;
mod snapshot;
mod store;
mod subscriptions;
#[cfg(test)]
mod tests;
mod threads;
mod trust;
mod txpool;

pub use alloy_genesis::Genesis as EthereumGenesis;
pub use attested::Disagreement;
pub use chorale_evm::client_genesis;
pub use config::{ConfigError, EngineConfig, EngineKind, RollupConfig, ServedRollup};
pub use development::{development_genesis, genesis_hash};
pub use follow::FollowError;
pub use run::{Config, RollupError, run};
pub use snapshot::{Section, SnapshotError, export, import};
pub use store::{Identity, StoreError};
