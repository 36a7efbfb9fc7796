//! Whole networks from one seed.
//!
//! The state machine of `chorale-hotstuff` runs here unchanged, as many times as there are validators, under one
//! scheduler in virtual time. A seed decides everything: delays, losses, partitions, clocks, crashes, what a disk
//! forgets, who attacks and how. Two runs of one seed have the same [`Report::trace_hash`], and a run that breaks a rule
//! names the command that replays it as a story.
//!
//! # Parts
//!
//! - [`SimConfig`] says what to run, [`Plan`] what its seed draws, [`run`] and [`search`] run it, [`Report`] tells.
//! - [`World`] schedules. Between any two outputs of a state machine the node may crash, and with it goes what no sync
//!   has made durable.
//! - [`adversary`] holds the attackers.
//! - [`oracle`] is the judge. It shares no logic with what it judges.
//!
//! # Delays in reports
//!
//! A block's clock starts when its leader sends the first proposal of it, in virtual time. It stops at each correct node
//! when that node reports the block certified, or committed. Signing, hashing and disks take no virtual time.

pub mod adversary;
pub mod oracle;

mod clock;
mod config;
mod content;
mod cpu;
mod disk;
mod epochs;
mod host;
mod network;
mod plan;
mod queue;
mod random;
mod regions;
mod report;
mod search;
mod story;
mod tape;
mod trace;
mod wire;
mod world;

pub use clock::Clock;
pub use config::{Profile, SimConfig, Stakes, UnknownName, Votes};
pub use disk::{Disk, Write};
pub use network::{Latency, Network, Weather};
pub use plan::Plan;
pub use queue::{Micros, Queue};
pub use random::Random;
pub use regions::Regions;
pub use report::{Delays, Report, Violation};
pub use search::{run, search, search_with};
pub use story::words;
pub use tape::{Player, Step, Tape};
pub use trace::Trace;
pub use world::World;

#[cfg(test)]
mod tests;
