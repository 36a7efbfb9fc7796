//! Whole blocks, against other implementations of Ethereum.

mod anvil;
mod blocks;
mod bundling;
mod calls;
mod domain;
mod heights;
mod programs;
mod reference;
mod rpc;
mod story;
mod wallets;
