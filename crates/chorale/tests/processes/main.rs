//! The program as people use it: real processes, real sockets, real disks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod api;
mod attackers;
mod attesting;
mod cluster;
mod commands;
mod crashes;
mod devnet;
mod disks;
mod engine;
mod executed_load;
mod following;
mod full_nodes;
mod links;
mod network;
mod ordering;
mod partitions;
mod rollup;
mod servers;
mod sessions;
mod snapshots;
mod subscriptions;
