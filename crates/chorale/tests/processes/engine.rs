//! An execution client of another kind beside a rollup's node: npm's `@ethereumjs/client`, or the one that `./x engine`
//! names. It shares no code with the node, and has to find the same blocks.

use crate::{
    network::{Devnet, PATIENCE, chorale, eventually, stdout},
    rollup::{KEY, LOGGING, Rollup, STRANGER, cast, example, installed, json, said},
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
};

const SECRET: &str = "7365637265742073656372657420736563726574207365637265742073656372";

/// Where a client is, and what it was started with.
struct Place {
    folder: PathBuf,
    rpc_port: u16,
    engine_port: u16,
}

/// A client's process.
struct Client {
    process: Child,
    log: PathBuf,
}

/// A `chorale rollup` that has a client.
struct Node {
    process: Child,
    rollups: Vec<Rollup>,
    log: PathBuf,
}

/// A port that is free now. Whoever takes it meanwhile makes the test fail, with words that say so.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Place {
    /// For the first rollup of a network.
    fn new(network: &Path, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("jwt.hex"), SECRET).unwrap();
        let own = network.join("rollups").join(config(network)["rollups"][0]["genesis"].as_str().unwrap());
        let genesis = chorale(&["rollup", "--client-genesis", own.to_str().unwrap()]);
        fs::write(folder.join("genesis.json"), stdout(&genesis)).unwrap();
        Self { folder, rpc_port: free_port(), engine_port: free_port() }
    }

    fn rpc(&self) -> Rollup {
        Rollup { url: format!("http://127.0.0.1:{}", self.rpc_port) }
    }

    /// Starts the client, or starts it again.
    fn start(&self) -> Client {
        let log = self.folder.join("log.txt");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let (genesis, secret) = (self.folder.join("genesis.json"), self.folder.join("jwt.hex"));
        let ports = [self.rpc_port, self.engine_port].map(|port| port.to_string());
        let mut command = if let Some(program) = std::env::var_os("CHORALE_ENGINE_CLIENT") {
            let mut command = Command::new(program);
            command.arg(genesis).arg(secret).args(ports);
            command
        } else {
            let [rpc, engine] = &ports;
            let mut command = Command::new("../../tools/node_modules/.bin/ethereumjs");
            command.arg("--gethGenesis").arg(genesis).arg("--jwtSecret").arg(secret);
            command.arg("--dataDir").arg(self.folder.join("data"));
            command.args(["--rpc", "--rpcPort", rpc, "--rpcEngine", "--rpcEnginePort", engine]);
            command.args(["--discDns", "false", "--discV4", "false", "--maxPeers", "0", "--sync", "none"]);
            command
        };
        let process = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        Client { process, log }
    }
}

fn config(network: &Path) -> toml::Table {
    fs::read_to_string(network.join("rollups/rollup.toml")).unwrap().parse().unwrap()
}

/// Writes a configuration whose first rollup has a client at that port.
fn write_config(network: &Path, engine_port: u16, secret: &Path) -> PathBuf {
    let mut config = config(network);
    let mut engine = toml::Table::new();
    engine.insert("url".to_owned(), format!("http://127.0.0.1:{engine_port}").into());
    engine.insert("jwt".to_owned(), secret.to_str().unwrap().into());
    engine.insert("kind".to_owned(), "ethereum".into());
    let rollups = config["rollups"].as_array_mut().unwrap();
    rollups[0].as_table_mut().unwrap().insert("engine".to_owned(), engine.into());
    let path = network.join("rollups/engine.toml");
    fs::write(&path, config.to_string()).unwrap();
    path
}

impl Node {
    fn command(config: &Path, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chorale"));
        command.args(["rollup", "--listen", "127.0.0.1:0", "--config"]).arg(config).arg("--data").arg(data);
        command
    }

    fn start(config: &Path, data: &Path) -> Self {
        let log = data.with_extension("log");
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut process = Self::command(config, data).stdout(Stdio::piped()).stderr(output).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut node = Self { process, rollups: Vec::new(), log };
        for _ in 0..2 {
            let line = lines.recv_timeout(PATIENCE).unwrap();
            let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
            node.rollups.push(Rollup { url });
        }
        node
    }

    fn logs(&self, words: &str) {
        eventually(&format!("the node says: {words}"), || {
            fs::read_to_string(&self.log).unwrap().contains(words).then_some(())
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        show_if_panicking(&self.log);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        show_if_panicking(&self.log);
    }
}

fn show_if_panicking(log: &Path) {
    if std::thread::panicking() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(30).collect();
        eprintln!("{}:\n{}", log.display(), last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
}

fn block(tool: &Path, rollup: &Rollup, tag: &str) -> Option<Value> {
    let output = rollup.cast(tool, &["block", "--json", tag]);
    output.status.success().then(|| json(&output))
}

/// Waits until the client's last block is the node's, which has at least so many.
fn agree(tool: &Path, node: &Node, client: &Rollup, least: u64) -> u64 {
    eventually(&format!("the client has the node's last block, {least} or later"), || {
        let (ours, theirs) = (block(tool, &node.rollups[0], "latest")?, block(tool, client, "latest")?);
        let number = u64::from_str_radix(ours["number"].as_str()?.trim_start_matches("0x"), 16).unwrap();
        (ours["hash"] == theirs["hash"] && number >= least).then_some(number)
    })
}

#[test]
fn a_client_of_another_kind_follows_a_rollup_through_restarts_and_a_wrong_secret() {
    let Some(tool) = cast() else { return };
    let Some(_) = installed("../../examples/node_modules", "./x scripts") else { return };
    let Some(_) = installed("../../tools/node_modules/.bin/ethereumjs", "./x tools") else { return };
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let devnet = Devnet::start(&network, &["--executed", "2", "--blocks", "second"]);
    devnet.wait_for_line("chain id 1002");
    let place = Place::new(&network, folder.path().join("client"));
    let wrong = folder.path().join("wrong.hex");
    fs::write(&wrong, SECRET.replace('7', "8")).unwrap();
    let config = write_config(&network, place.engine_port, &wrong);
    let data = folder.path().join("node");

    let client = place.start();
    let node = Node::start(&config, &data);
    node.logs("the client refuses the token");
    fs::write(&wrong, SECRET).unwrap();
    let send = |node: &Node, arguments: &[&str]| {
        let sent = [&["send", "--json", "--private-key", KEY][..], arguments].concat();
        let receipt = json(&node.rollups[0].cast(&tool, &sent));
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    };
    send(&node, &[STRANGER, "--value", "1ether"]);
    let deployed = send(&node, &["--create", LOGGING]);
    let contract = deployed["contractAddress"].as_str().unwrap();
    let called = send(&node, &[contract, "0x1234"]);
    let number = agree(&tool, &node, &place.rpc(), 3);
    // It found them by itself.
    let hash = called["transactionHash"].as_str().unwrap();
    let theirs = json(&place.rpc().cast(&tool, &["receipt", "--json", "--async", hash]));
    assert_eq!((&theirs["blockHash"], &theirs["logs"][0]["data"]), (&called["blockHash"], &called["logs"][0]["data"]));

    // Killed in the middle: what is made meanwhile is handed over when it is back. Legs of bundles are transactions to it.
    drop(client);
    let mut token = Command::new("node");
    token.arg("../../examples/token.mjs");
    let text = example(token, &node.rollups);
    assert!(text.contains("bundle "), "{text}");
    let client = place.start();
    let number = agree(&tool, &node, &place.rpc(), number + 1);
    // A client may show its new head before it takes over what is safe.
    eventually("the client's safe block is the node's", || {
        let (ours, theirs) = (block(&tool, &node.rollups[0], "safe")?, block(&tool, &place.rpc(), "safe")?);
        (ours["hash"] == theirs["hash"]).then_some(())
    });

    // The node goes on from its disk, and the client with it.
    drop(node);
    let node = Node::start(&config, &data);
    eventually("the node is level with the chain", || {
        (said(&node.rollups[0].cast(&tool, &["rpc", "eth_syncing"])) == "false").then_some(())
    });
    send(&node, &[STRANGER, "--value", "1"]);
    let number = agree(&tool, &node, &place.rpc(), number + 1);
    // No two blocks share a second.
    let time = |number: u64| {
        let block = block(&tool, &node.rollups[0], &number.to_string()).unwrap();
        u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let times: Vec<u64> = (0..=number).map(time).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");

    // A node that begins anew makes the same blocks of the same seconds.
    let head = block(&tool, &node.rollups[0], &number.to_string()).unwrap();
    let plain = write_config(&network, free_port(), &wrong);
    let other = Node::start(&plain, &folder.path().join("other"));
    let there = eventually("another node has the block", || block(&tool, &other.rollups[0], &number.to_string()));
    assert_eq!(there["hash"], head["hash"]);
    assert!(said(&other.rollups[1].cast(&tool, &["chain-id"])) == "1002");
    drop((other, node, client));
    devnet.end("INT");
}

#[test]
fn a_client_is_refused_where_blocks_share_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    let made = chorale(&["init", "--executed", "2", "--dir", network.to_str().unwrap()]);
    stdout(&made);
    let place = Place::new(&network, folder.path().join("client"));
    let config = write_config(&network, place.engine_port, &place.folder.join("jwt.hex"));
    let output = Node::command(&config, &folder.path().join("node")).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("blocks of its domain are by the height"), "{words}");
}
