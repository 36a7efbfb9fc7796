//! Whole blocks, against other implementations of Ethereum.

mod aborts;
mod anvil;
mod bindings;
mod blocks;
mod bundles;
mod bundling;
mod calls;
mod domain;
mod golden;
mod heights;
mod messages;
mod programs;
mod reference;
mod room;
mod rpc;
mod story;
mod token;
mod wallets;
