//! Whole blocks, against other implementations of Ethereum.

mod anvil;
mod blocks;
mod calls;
mod chain;
mod programs;
mod reference;
mod rpc;
mod story;
mod wallets;
