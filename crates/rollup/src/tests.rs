//! The interface as those who ask see it, on blocks that are made here.

mod attested;
mod building;
mod calls;
mod debug;
mod filters;
mod http;
mod network;
mod proofs;
mod wallets;
