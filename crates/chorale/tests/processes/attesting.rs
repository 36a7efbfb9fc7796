//! Attestation of executed rollups by real validators: what happens when nobody executes, and when validators lie.

use crate::{
    network::{Devnet, chorale, eventually, signal, stdout},
    rollup::served,
    servers::Server,
};
use chorale_api::{ExecutorApiClient as _, HexBytes};
use chorale_types::{
    ExecutionOutcome,
    codec::{Encode as _, decode},
    genesis::GenesisFile,
    tagged_hash,
};
use jsonrpsee::{RpcModule, http_client::HttpClientBuilder};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

/// The first development account, and its key.
const OWNER: &str = "f39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const OWNER_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Writes a network with a genesis that the test changes before it starts.
fn prepared(network: &Path, change: impl FnOnce(&mut GenesisFile)) {
    let folder = network.to_str().unwrap();
    let init = ["init", "--validators", "4", "--executed", "2", "--rollup-port", "0", "--dir", folder];
    stdout(&chorale(&init));
    let path = network.join("genesis.toml");
    let mut genesis: GenesisFile = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut genesis);
    fs::write(&path, genesis.to_commented_toml()).unwrap();
}

fn domain(devnet: &Devnet) -> Value {
    let output = devnet.run(&["domain", "status", "--json"]);
    let domains: Value = serde_json::from_str(&stdout(&output)).unwrap();
    domains[0].clone()
}

fn suspended(devnet: &Devnet) -> Vec<u64> {
    let domain = domain(devnet);
    domain["suspended"].as_array().unwrap().iter().map(|it| it["rollup"].as_u64().unwrap()).collect()
}

/// Sends something to a rollup, and waits until its place is attested.
fn order(devnet: &Devnet, rollup: &str, content: &str) -> Result<(), String> {
    let arguments = ["tx", "send", "--rollup", rollup, content, "--wait", "attested", "--timeout", "60"];
    let output = devnet.run(&arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(error)
}

fn rollups_pid(network: &Path) -> u32 {
    fs::read_to_string(network.join("rollups/node.pid")).unwrap().trim().parse().unwrap()
}

#[test]
fn rollups_that_nobody_executes_are_suspended_and_delay_nobody_and_go_on_when_they_are_attested_again() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    prepared(&network, |genesis| {
        genesis.domains[0].attestation_lag_max = 48;
        genesis.parameters.idle_interval_ms = 100;
        genesis.rollups[1].evm.as_mut().unwrap().owner = Some(OWNER.to_owned());
    });
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    order(&devnet, "1001", "0x01").unwrap();
    eventually("what is executed is attested, and that is ordered", || {
        let domain = domain(&devnet);
        (domain["attested"].is_u64() && domain["ordered"].as_u64() > Some(0) && domain["waiting"].is_null())
            .then_some(())
    });

    // It is there, and executes nothing.
    let stopped = rollups_pid(&network);
    signal("STOP", stopped);
    order(&devnet, "1001", "0x02").unwrap();
    eventually("both are suspended", || (suspended(&devnet) == [1001, 1002]).then_some(()));
    let refused = order(&devnet, "1001", "0x03").unwrap_err();
    assert!(refused.contains("rollup 1001 is suspended"), "{refused}");
    order(&devnet, "1003", "0x03").unwrap();
    let key = folder.path().join("owner.key");
    fs::write(&key, OWNER_KEY).unwrap();
    let resume = || devnet.run(&["domain", "resume", "1002", "--key", key.to_str().unwrap()]);
    let early = resume();
    let words = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && words.contains("is not attested from height"), "{words}");

    signal("CONT", stopped);
    eventually("the one without an owner goes on", || (suspended(&devnet) == [1002]).then_some(()));
    order(&devnet, "1001", "0x04").unwrap();
    let refused = order(&devnet, "1002", "0x04").unwrap_err();
    assert!(refused.contains("rollup 1002 is suspended"), "{refused}");
    eventually("its owner lets the other one go on", || resume().status.success().then_some(()));
    eventually("it goes on", || suspended(&devnet).is_empty().then_some(()));
    order(&devnet, "1002", "0x05").unwrap();
    devnet.end("INT");
}

/// What validators ask, when they are to sign what is not true: what the rollups' node computed, with other blocks.
fn liar(runtime: &tokio::runtime::Runtime, outcomes: Arc<Mutex<Vec<ExecutionOutcome>>>) -> Server {
    let mut module = RpcModule::new(outcomes);
    let method = module.register_async_method("chorale_executed", |parameters, outcomes, _| async move {
        let (after, ..): (u64, u32, u64) = parameters.parse().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let outcomes = outcomes.lock().unwrap().clone();
        let lies = outcomes.into_iter().filter(|outcome| outcome.height.0 > after).map(|outcome| {
            let lie = ExecutionOutcome { rollups: tagged_hash("test/lie", &[]), ..outcome };
            HexBytes(lie.encode().to_vec())
        });
        lies.collect::<Vec<HexBytes>>()
    });
    method.unwrap();
    Server::start(runtime, module)
}

#[test]
fn a_node_that_finds_something_else_than_validators_attest_stops_with_evidence_and_the_order_goes_on() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let liar = liar(&runtime, Arc::clone(&outcomes));
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    prepared(&network, |_| {});
    for index in 0..4 {
        let path = network.join(format!("node-{index}/node.toml"));
        let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        config["executors"][0]["url"] = toml::Value::String(liar.url.clone());
        fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
    }
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    order(&devnet, "1001", "0x01").unwrap();
    let url = served(&network)[0].url.clone();
    let client = HttpClientBuilder::default().build(&url).unwrap();
    let executed = eventually("the rollups' node has executed something", || {
        let executed = runtime.block_on(client.executed(0, 10, 0)).ok()?;
        (!executed.is_empty()).then_some(executed)
    });
    let honest: Vec<ExecutionOutcome> = executed.into_iter().map(|outcome| decode(outcome.0).unwrap()).collect();
    *outcomes.lock().unwrap() = honest.clone();

    let evidence = network.join("rollups/data/disagreement.json");
    let evidence: Value =
        eventually("the evidence is written down", || serde_json::from_str(&fs::read_to_string(&evidence).ok()?).ok());
    assert_eq!(evidence["height"], json!(honest[0].height.0));
    assert_eq!(evidence["found"]["root"], json!(honest[0].root().to_string()));
    assert_ne!(evidence["attested"]["root"], evidence["found"]["root"]);
    assert!(evidence["attested"]["signers"].as_array().unwrap().len() >= 3, "{evidence}");
    // It does not go on, however often it is started.
    let again = chorale(&["rollup", "--network", network.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let words = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && words.contains("disagreed about what was executed"), "{words}");
    // Sequencing goes on, for all rollups.
    for rollup in ["1001", "1003"] {
        order(&devnet, rollup, "0x02").unwrap();
    }
    drop(devnet);
}
