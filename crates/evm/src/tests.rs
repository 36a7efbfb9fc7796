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
mod histories;
mod messages;
mod oracle;
mod programs;
mod properties;
mod reference;
mod room;
mod rpc;
mod seconds;
mod story;
mod token;
mod wallets;
