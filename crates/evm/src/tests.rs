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
mod scripts;
mod story;
mod synchronous;
mod token;
mod trying;
mod wallets;
