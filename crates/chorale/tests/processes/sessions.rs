//! A rollup as applications use it: unmodified viem, ethers and alloy, real validators.

use crate::{
    network::Devnet,
    rollup::{alloy, installed, said, served},
};
use std::process::Command;

#[test]
fn applications_with_viem_ethers_and_alloy_find_what_they_expect() {
    let Some(_) = installed("../../tools/node_modules/ethers", "./x tools") else { return };
    let Some(session) = alloy("session") else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--executed", "3"]);
    devnet.wait_for_line("chain id 1003");
    let script = |name: &str| {
        let mut node = Command::new("node");
        node.arg(format!("../../tools/sessions/{name}.mjs"));
        node
    };
    // Each on a rollup of its own: all begin with the same account.
    let sessions = [("viem", script("viem")), ("ethers", script("ethers")), ("alloy", Command::new(session))];
    for (rollup, (name, mut session)) in served(&network).iter().zip(sessions) {
        let output = session.arg(&rollup.url).output().unwrap();
        println!("{name}\n{}", said(&output));
    }
    devnet.end("INT");
}
