//! Chorale's consensus: header-only pipelined HotStuff as a pure state machine.

mod accuse;
mod ballot;
mod check;
mod config;
mod core;
mod epochs;
mod giveup;
mod input;
mod invalid;
mod lead;
mod learn;
#[cfg(any(test, feature = "mocks"))]
pub mod mock;
#[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, dead_code, reason = "only that feature exports it"))]
mod mutation;
mod mutations;
mod output;
mod pools;
mod record;
mod rules;
mod timeouts;
mod timer;
mod tree;
mod verified;
mod vote;

pub use self::core::Core;
pub use config::{Config, Parameters, Votes};
pub use input::Input;
#[cfg(feature = "mutants")]
pub use mutation::Mutation;
pub use output::{Output, To};
pub use record::Record;

#[cfg(test)]
mod tests;
