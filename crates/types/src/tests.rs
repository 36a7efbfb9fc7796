#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation, reason = "tests fail by panicking")]

mod bls;
mod evidence;
mod formats;
mod lanes;
mod payers;
mod payload;
mod proofs;
mod samples;
mod sets;
mod system;
