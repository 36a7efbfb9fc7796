//! A rollup as applications use it: unmodified viem and ethers, real validators.

use crate::{
    network::Devnet,
    rollup::{installed, said, served},
};
use std::process::Command;

#[test]
fn applications_with_viem_and_ethers_find_what_they_expect() {
    let Some(_) = installed("../../tools/node_modules/ethers", "./x tools") else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    // Each on a rollup of its own: both begin with the same account.
    for (rollup, session) in served(&network).iter().zip(["viem", "ethers"]) {
        let script = format!("../../tools/sessions/{session}.mjs");
        let output = Command::new("node").args([&script, &rollup.url]).output().unwrap();
        println!("{session}\n{}", said(&output));
    }
    devnet.end("INT");
}
