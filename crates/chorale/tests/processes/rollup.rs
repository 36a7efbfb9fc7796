//! `chorale rollup`, as the tools of Ethereum use it: unmodified `cast`, real validators.

use crate::network::{Devnet, PATIENCE, eventually, signal};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::channel,
};

/// The first development account.
pub(crate) const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
pub(crate) const STRANGER: &str = "0x00000000000000000000000000000000000057A4";
/// Deploys a contract that logs its input, with its caller and the block's number.
pub(crate) const LOGGING: &str = "0x61000a80600a5f395ff3365f5f374333365fa200";

/// Where a rollup is served.
#[derive(Clone)]
pub(crate) struct Rollup {
    pub(crate) url: String,
}

impl Rollup {
    pub(crate) fn cast(&self, tool: &Path, arguments: &[&str]) -> Output {
        Command::new(tool).arg(arguments[0]).args(["--rpc-url", &self.url]).args(&arguments[1..]).output().unwrap()
    }
}

/// The executed rollups that a devnet serves.
pub(crate) fn served(network: &Path) -> Vec<Rollup> {
    let text = std::fs::read_to_string(network.join("rollups/rollup.toml")).unwrap();
    let config: toml::Table = text.parse().unwrap();
    let rollups = config["rollups"].as_array().unwrap();
    rollups.iter().map(|rollup| Rollup { url: format!("http://{}", rollup["listen"].as_str().unwrap()) }).collect()
}

/// A running `chorale rollup`, beside the one of devnet.
pub(crate) struct Beside {
    process: Child,
    pub(crate) rollups: Vec<Rollup>,
}

impl Beside {
    fn start(network: &Path) -> Self {
        Self::start_on(network, &network.join("beside"))
    }

    pub(crate) fn start_on(network: &Path, data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_chorale"))
            .args(["rollup", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--network")
            .arg(network)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut beside = Self { process, rollups: Vec::new() };
        for _ in 0..2 {
            let line = lines.recv_timeout(PATIENCE).unwrap();
            let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
            beside.rollups.push(Rollup { url });
        }
        beside
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// None where `./x test` said that it tests without what npm would install.
pub(crate) fn cast() -> Option<PathBuf> {
    installed("../../tools/node_modules/.bin/cast", "./x tools")
}

pub(crate) fn installed(path: &str, chore: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CHORALE_WITHOUT_TOOLS").is_some(), "{} is missing: run `{chore}`", path.display());
    None
}

pub(crate) fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_str(&said(output)).unwrap()
}

#[test]
fn cast_sends_waits_deploys_calls_estimates_and_reads_logs() {
    let Some(tool) = cast() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    let rollup = served(&network)[0].clone();
    let cast = |arguments: &[&str]| rollup.cast(&tool, arguments);
    assert_eq!(said(&cast(&["chain-id"])), "1001");

    let sent = json(&cast(&["send", "--json", "--private-key", KEY, STRANGER, "--value", "1ether"]));
    assert_eq!(sent["status"], "0x1", "{sent}");
    assert_eq!(said(&cast(&["balance", STRANGER])), "1000000000000000000");
    assert_eq!(said(&cast(&["nonce", ADDRESS])), "1");
    let hash = sent["transactionHash"].as_str().unwrap();
    assert_eq!(json(&cast(&["tx", "--json", hash]))["blockNumber"], sent["blockNumber"]);

    let deployed = json(&cast(&["send", "--json", "--private-key", KEY, "--create", LOGGING]));
    let contract = deployed["contractAddress"].as_str().unwrap();
    assert_eq!(said(&cast(&["code", contract])), "0x365f5f374333365fa200");
    let call = ["--json", "--private-key", KEY, contract, "0x1234"];
    let called = json(&cast(&[&["send"][..], &call].concat()));
    assert_eq!(called["logs"][0]["data"], "0x1234", "{called}");
    let logs = json(&cast(&["logs", "--json", "--from-block", "0", "--address", contract]));
    assert_eq!((logs.as_array().unwrap().len(), &logs[0]), (1, &called["logs"][0]));
    assert_eq!(said(&cast(&["call", contract, "0x99"])), "0x");
    let estimated: u64 = said(&cast(&["estimate", STRANGER])).parse().unwrap();
    assert_eq!(estimated, 21_000);
    let proof = json(&cast(&["proof", STRANGER]));
    assert_eq!(proof["balance"], "0xde0b6b3a7640000", "{proof}");

    // What can have no effect is said at once, in the words of other clients.
    let repeated = cast(&["send", "--private-key", KEY, "--nonce", "0", STRANGER]);
    let words = String::from_utf8_lossy(&repeated.stderr).into_owned();
    assert!(!repeated.status.success() && words.contains("nonce too low"), "{words}");

    // Another node, started now, makes the same blocks of the same order.
    let head = json(&cast(&["block", "--json"]));
    let beside = Beside::start(&network);
    let other = &beside.rollups[0];
    let number = head["number"].as_str().unwrap();
    let there = eventually("another node has the block", || {
        let block = other.cast(&tool, &["block", "--json", number]);
        block.status.success().then(|| json(&block))
    });
    assert_eq!(there["hash"], head["hash"]);
    drop(beside);
    devnet.end("INT");
}

/// What was shown is shown again, by nobody's help; and from there it goes on.
#[test]
fn what_was_shown_outlives_the_node_and_all_validators() {
    let Some(tool) = cast() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let (data, pid) = (network.join("rollups/data"), network.join("rollups/node.pid"));
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    let rollups = served(&network);
    let send = |rollup: &Rollup| {
        json(&rollup.cast(&tool, &["send", "--json", "--private-key", KEY, STRANGER, "--value", "1"]))
    };
    let mut shown: Vec<(usize, Value)> =
        [0, 1, 0, 0, 1].into_iter().map(|index| (index, send(&rollups[index]))).collect();
    let assert_shown = |rollups: &[Rollup], shown: &[(usize, Value)]| {
        for (index, receipt) in shown {
            let hash = receipt["transactionHash"].as_str().unwrap();
            let again = json(&rollups[*index].cast(&tool, &["receipt", "--json", "--async", hash]));
            assert_eq!(again["blockHash"], receipt["blockHash"], "{again}");
            assert_eq!(again["logsBloom"], receipt["logsBloom"], "{again}");
            let number = receipt["blockNumber"].as_str().unwrap();
            let block = json(&rollups[*index].cast(&tool, &["block", "--json", number]));
            assert_eq!(block["hash"], receipt["blockHash"], "{block}");
        }
    };

    // In the middle: a transaction is on its way.
    let late = ["send", "--async", "--private-key", KEY, STRANGER, "--value", "1"];
    let late = said(&rollups[0].cast(&tool, &late));
    let killed: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    signal("KILL", killed);
    devnet.wait_for_line("rollups runs again");
    eventually("it answers again", || rollups[1].cast(&tool, &["chain-id"]).status.success().then_some(()));
    assert_shown(&rollups, &shown);
    let receipt = eventually("the late transaction is in a block", || {
        let output = rollups[0].cast(&tool, &["receipt", "--json", "--async", &late]);
        output.status.success().then(|| json(&output))
    });
    shown.push((0, receipt));

    // Its folder is its own.
    let second = Command::new(env!("CARGO_BIN_EXE_chorale"))
        .args(["rollup", "--listen", "127.0.0.1:0", "--network"])
        .arg(&network)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && words.contains("in use by another process"), "{words}");

    // No validator runs, so nothing can be asked of any.
    devnet.end("INT");
    for _ in 0..2 {
        let alone = Beside::start_on(&network, &data);
        assert_shown(&alone.rollups, &shown);
        let balance = said(&alone.rollups[0].cast(&tool, &["balance", STRANGER]));
        assert_eq!(balance, "4");
        // Killed, when it is dropped.
    }

    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    shown.push((1, send(&rollups[1])));
    assert_eq!(said(&rollups[1].cast(&tool, &["nonce", ADDRESS])), "3");
    assert_shown(&rollups, &shown);
    devnet.end("INT");
}

/// A program of `examples/alloy`, which is built beside the one that is tested.
pub(crate) fn alloy(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_chorale")).with_file_name(name);
    installed(beside.to_str().unwrap(), "./x alloy")
}

/// Runs one of the examples as a newcomer does.
pub(crate) fn example(mut program: Command, rollups: &[Rollup]) -> String {
    let output = program.args(rollups.iter().map(|rollup| &rollup.url)).output().unwrap();
    let text = said(&output);
    println!("{text}");
    text
}

/// The ids of bundles in what an example printed.
fn bundles(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("bundle ")).collect()
}

/// That what is proven of legs is what their receipts say.
fn assert_legs(proven: &Value, receipts: &Value) {
    let number = |value: &Value| u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let expected = receipts.as_array().unwrap().iter().map(|leg| {
        let receipt = &leg["receipt"];
        serde_json::json!({
            "rollup": leg["rollup"],
            "blockNumber": number(&receipt["blockNumber"]),
            "transactionHash": leg["transactionHash"],
            "gasUsed": number(&receipt["gasUsed"]),
            "logs": receipt["logs"].as_array().unwrap().len(),
        })
    });
    assert_eq!(proven.as_array().unwrap(), &expected.collect::<Vec<_>>());
}

/// That `chorale verify` finds in every proof, from the genesis alone, what the rollups' node said.
fn verify_effects(network: &Path, proofs: &Path, receipts: &[Value]) {
    let verify = |genesis: &Path, proof: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chorale"));
        command.args(["verify", "--json", "--genesis"]).arg(genesis).arg(proof).output().unwrap()
    };
    let mut effects: Vec<String> = Vec::new();
    for proof in std::fs::read_dir(proofs).unwrap().map(|entry| entry.unwrap().path()) {
        let proven = json(&verify(&network.join("genesis.toml"), &proof));
        let effect = proven["effect"].as_str().unwrap().to_owned();
        let same = |receipt: &&Value| receipt["height"] == proven["height"];
        let receipt = receipts.iter().find(same).unwrap();
        assert_eq!(receipt["state"], if effect == "committed" { "executed" } else { "aborted" }, "{proven}");
        assert_eq!(proven["leg"], receipt["leg"], "{proven}");
        if effect == "committed" {
            assert_legs(&proven["legs"], &receipt["legs"]);
        }
        effects.push(effect);
        // Under another genesis it proves nothing.
        let text = std::fs::read_to_string(network.join("genesis.toml")).unwrap();
        let other = network.join("other.toml");
        std::fs::write(&other, text.replace("time_ms = 1", "time_ms = 2")).unwrap();
        let refused = verify(&other, &proof);
        assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stdout));
    }
    effects.sort();
    effects.dedup();
    assert_eq!(effects, ["aborted", "committed"]);
}

#[test]
fn bundles_take_effect_on_both_rollups_or_on_none_and_every_node_says_the_same() {
    let Some(tool) = cast() else { return };
    let Some(_) = installed("../../examples/node_modules", "./x scripts") else { return };
    let (Some(token), Some(swap)) = (alloy("token"), alloy("swap")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--executed", "2"]);
    devnet.wait_for_line("chain id 1002");
    let rollups = served(&network);
    let proofs = folder.path().join("proofs");
    let script = |name: &str| {
        let mut node = Command::new("node");
        node.arg(format!("../../examples/{name}.mjs")).arg("--proofs").arg(&proofs);
        node
    };
    let programs = [script("token"), script("swap"), script("flash"), Command::new(token), Command::new(swap)];
    let texts = programs.map(|program| example(program, &rollups));
    let receipt = |rollup: &Rollup, bundle: &str| {
        let output = rollup.cast(&tool, &["rpc", "chorale_bundleReceipt", bundle]);
        output.status.success().then(|| json(&output)).filter(|receipt| receipt["attested"] == true)
    };
    let by_program = texts.each_ref().map(|text| bundles(text));
    // One that is executed, and one that aborts.
    assert!(by_program.iter().all(|ids| ids.len() == 2), "{by_program:?}");
    let ids = by_program.concat();
    let receipts: Vec<Value> =
        ids.iter().map(|id| eventually("the bundle is attested", || receipt(&rollups[0], id))).collect();
    for state in ["executed", "aborted"] {
        assert!(receipts.iter().any(|receipt| receipt["state"] == state), "none is {state}: {receipts:?}");
    }
    for receipt in &receipts {
        let committed = receipt["state"] == "executed";
        let legs = receipt["legs"].as_array().unwrap();
        assert!(legs.len() > 1 && legs.iter().all(|leg| leg["receipt"].is_null() != committed), "{receipt}");
    }
    verify_effects(&network, &proofs, &receipts);
    // Another node, started now, finds the same of the same order.
    let beside = Beside::start(&network);
    for (id, expected) in ids.iter().zip(&receipts) {
        let found = eventually("another node has the bundle", || receipt(&beside.rollups[1], id));
        assert_eq!(found, *expected);
    }
    drop(beside);
    devnet.end("INT");
}
