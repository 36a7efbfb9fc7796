//! Chorale's consensus: header-only pipelined HotStuff as a pure state machine.

mod config;
mod input;
mod output;
mod record;

pub use config::{Config, Parameters, Votes};
pub use input::Input;
pub use output::{Output, To};
pub use record::Record;
