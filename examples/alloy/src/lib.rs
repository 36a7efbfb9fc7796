//! Bundles of Chorale for alloy, and what the examples share. Nothing here is of Chorale's own crates: it is what an
//! application writes that has only the documentation.

pub mod bundle;
pub mod rollup;
pub mod steps;
pub mod token;
