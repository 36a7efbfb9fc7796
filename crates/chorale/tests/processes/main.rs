//! The program as people use it: real processes, real sockets, real disks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod api;
mod commands;
mod crashes;
mod devnet;
mod following;
mod network;
mod ordering;
mod subscriptions;
