//! Chorale's consensus: header-only pipelined HotStuff as a pure state machine.

mod config;
mod core;
mod input;
#[cfg(any(test, feature = "mocks"))]
pub mod mock;
mod mutation;
mod mutations;
mod output;
mod record;

pub use self::core::Core;
pub use config::{Config, Parameters, Votes};
pub use input::Input;
#[cfg(feature = "mutants")]
pub use mutation::Mutation;
pub use output::{Output, To};
pub use record::Record;
