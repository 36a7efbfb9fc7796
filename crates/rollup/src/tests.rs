//! The interface as those who ask see it, on blocks that are made here.

mod attested;
mod building;
mod calls;
mod cors;
mod debug;
mod filters;
mod network;
mod proofs;
mod wallets;
