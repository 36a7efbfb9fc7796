//! Nodes on the deterministic runtime: simulated network and disk, real signatures.

mod chain;
pub(crate) mod cluster;
mod damage;
mod formats;
mod liar;
mod lies;
mod log;
mod loopback;
pub(crate) mod network;
pub(crate) mod nodes;
mod ordering;
mod scattered;
mod sync;
