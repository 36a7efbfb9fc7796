//! Against clients that are made here, strict in what they take, and at fault as a test says.

mod chain;
mod fake;
mod faults;
mod following;
mod optimism;
mod real;
