//! Snapshots of executed rollups, as an operator makes and takes them.

use crate::{
    network::{Devnet, eventually, stdout},
    rollup::{Beside, KEY, Rollup, STRANGER, cast, example, installed, json, said, served},
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

/// `chorale rollup` with a data folder of the network, and what else is given.
fn rollup(network: &Path, data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chorale"));
    command.args(["rollup", "--network"]).arg(network).arg("--data").arg(data).args(arguments).output().unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_node_that_begins_from_a_snapshot_goes_on_and_agrees() {
    let Some(tool) = cast() else { return };
    let Some(_) = installed("../../examples/node_modules", "./x scripts") else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    let rollups = served(&network);
    let head = |rollup: &Rollup, tag: &str| json(&rollup.cast(&tool, &["block", "--json", tag]));
    let number = |block: &Value| u64::from_str_radix(&block["number"].as_str().unwrap()[2..], 16).unwrap();
    let send = |rollup: &Rollup| {
        let sent = rollup.cast(&tool, &["send", "--json", "--private-key", KEY, STRANGER, "--value", "1"]);
        number(&serde_json::json!({ "number": json(&sent)["blockNumber"] }))
    };
    let bundles = || {
        let mut script = Command::new("node");
        script.arg("../../examples/swap.mjs");
        let text = example(script, &rollups);
        let ids = text.lines().filter_map(|line| line.trim().strip_prefix("bundle "));
        ids.map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(bundles().len(), 2, "one that is executed, and one that aborts");
    let last = rollups.iter().map(send).collect::<Vec<u64>>();

    // A node beside, until it has all of that attested.
    let (data, file) = (folder.path().join("old"), folder.path().join("domain.snapshot"));
    let file = file.to_str().unwrap();
    let beside = Beside::start_on(&network, &data);
    for (rollup, last) in beside.rollups.iter().zip(&last) {
        eventually("it is attested", || (number(&head(rollup, "finalized")) >= *last).then_some(()));
    }
    let running = refused(&rollup(&network, &data, &["--export", file]));
    assert!(running.contains("in use by another process"), "{running}");
    drop(beside);
    let nothing = refused(&rollup(&network, &folder.path().join("none"), &["--export", file]));
    assert!(nothing.contains("has no data of a node"), "{nothing}");
    let exported = stdout(&rollup(&network, &data, &["--export", file]));
    assert!(exported.contains("after attested height"), "{exported}");
    assert!(refused(&rollup(&network, &data, &["--export", file])).contains("is there already"));

    let new = folder.path().join("new");
    let bytes = std::fs::read(file).unwrap();
    let damaged = folder.path().join("damaged.snapshot");
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let truncated = refused(&rollup(&network, &new, &["--import", damaged.to_str().unwrap()]));
    assert!(truncated.contains("the snapshot ends within"), "{truncated}");
    assert!(refused(&rollup(&network, &data, &["--import", file])).contains("is not empty"));
    let imported = stdout(&rollup(&network, &new, &["--import", file]));
    assert!(imported.contains("start the node"), "{imported}");

    // Meanwhile others went on.
    let missed = bundles();
    let started = Beside::start_on(&network, &new);
    let state = started.rollups[0].cast(&tool, &["balance", STRANGER, "--block", "1"]);
    assert!(refused(&state).contains("is not kept"), "it executed everything");
    for (there, here) in started.rollups.iter().zip(&rollups) {
        // Until then it takes nothing, and does not know the sender's next nonce.
        let latest = number(&head(here, "latest"));
        eventually("it has what it missed", || {
            let syncing = said(&there.cast(&tool, &["rpc", "eth_syncing"]));
            (syncing == "false" && number(&head(there, "latest")) >= latest).then_some(())
        });
        let block = send(there);
        assert_eq!(said(&there.cast(&tool, &["balance", STRANGER])), "2");
        for at in 1..=block {
            let (there, here) = (head(there, &at.to_string()), head(here, &at.to_string()));
            assert_eq!(there["hash"], here["hash"]);
        }
        eventually("it is attested, and the node agrees", || {
            (number(&head(there, "finalized")) >= block).then_some(())
        });
    }
    for id in missed {
        let receipt = |rollup: &Rollup| json(&rollup.cast(&tool, &["rpc", "chorale_bundleReceipt", &id]));
        let (there, here) = (receipt(&started.rollups[1]), receipt(&rollups[1]));
        assert_eq!((&there["state"], &there["legs"]), (&here["state"], &here["legs"]));
        assert!(there["state"].is_string(), "{there}");
    }
    assert!(!new.join("disagreement.json").exists());
    drop(started);
    devnet.end("INT");
}
