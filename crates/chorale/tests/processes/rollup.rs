//! `chorale rollup`, as the tools of Ethereum use it: unmodified `cast`, real validators.

use crate::network::{Devnet, PATIENCE, eventually};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::channel,
};

/// The first development account.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const STRANGER: &str = "0x00000000000000000000000000000000000057A4";
/// Deploys a contract that logs its input, with its caller and the block's number.
const LOGGING: &str = "0x61000a80600a5f395ff3365f5f374333365fa200";

/// A running `chorale rollup`.
struct Rollup {
    process: Child,
    url: String,
}

impl Rollup {
    fn start(network: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_chorale"))
            .args(["rollup", "--rollup", "1001", "--listen", "127.0.0.1:0", "--network"])
            .arg(network)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut rollup = Self { process, url: String::new() };
        let line = lines.recv_timeout(PATIENCE).unwrap();
        rollup.url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        rollup
    }

    fn cast(&self, tool: &Path, arguments: &[&str]) -> Output {
        Command::new(tool).arg(arguments[0]).args(["--rpc-url", &self.url]).args(&arguments[1..]).output().unwrap()
    }
}

impl Drop for Rollup {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// None where `./x test` said that it tests without what npm would install.
fn cast() -> Option<PathBuf> {
    let tool = Path::new("../../tools/node_modules/.bin/cast");
    if tool.exists() {
        return Some(tool.to_owned());
    }
    assert!(std::env::var_os("CHORALE_WITHOUT_TOOLS").is_some(), "{} is missing: run `./x tools`", tool.display());
    None
}

fn said(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&said(output)).unwrap()
}

#[test]
fn cast_sends_waits_deploys_calls_estimates_and_reads_logs() {
    let Some(tool) = cast() else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &[]);
    let rollup = Rollup::start(&network);
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
    let other = Rollup::start(&network);
    let number = head["number"].as_str().unwrap();
    let there = eventually("another node has the block", || {
        let block = other.cast(&tool, &["block", "--json", number]);
        block.status.success().then(|| json(&block))
    });
    assert_eq!(there["hash"], head["hash"]);
    drop((rollup, other));
    devnet.end("INT");
}
