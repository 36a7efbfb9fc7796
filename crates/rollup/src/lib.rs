//! A rollup's node: it follows the shared order, executes it, and serves Ethereum's JSON-RPC.
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
//! Everything is in memory and derived anew from the first height at every start. State is kept for the last block only: a
//! question about the state of an earlier one is answered with an error that says so.

mod answers;
mod blocks;
mod follow;
mod pending;
mod rpc;
mod run;
mod server;

pub use alloy_genesis::Genesis as EthereumGenesis;
pub use follow::FollowError;
pub use run::{Config, RollupError, development_genesis, run};
