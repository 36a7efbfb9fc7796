//! What the node keeps on disk.

mod headers;
mod safety;

pub use headers::{HeaderStore, Headers};
pub use safety::{Recovered, SafetyStore};
