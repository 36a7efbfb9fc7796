//! Nodes on the deterministic runtime: simulated network and disk, real signatures.

mod chain;
mod cluster;
mod log;
mod loopback;
mod sync;
