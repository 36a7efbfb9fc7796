//! What the node keeps on disk.

mod farewells;
mod headers;
mod log;
mod safety;

pub use farewells::Farewells;
pub use headers::{HeaderStore, Headers};
pub use log::{Item, Log, LogReader};
pub use safety::{Recovered, SafetyStore};
