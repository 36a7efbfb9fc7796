//! A real client that shares no code with the node: npm's `@ethereumjs/client`, or the one that `./x engine` names.

use super::chain::{Chain, Node, SECRET, heads, write_secret};
use crate::{Kind, State, client::Client};
use alloy_consensus::Sealable as _;
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

const ETHEREUMJS: &str = "../../tools/node_modules/.bin/ethereumjs";

/// A client's process, with its folder.
struct Process {
    child: Child,
    folder: PathBuf,
    engine_port: u16,
}

/// A port that is free now. Whoever takes it meanwhile makes the test fail, with words that say so.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The command that starts a client; none where `./x test` said that it tests without what npm would install.
fn command(folder: &Path, engine_port: u16) -> Option<Command> {
    let (genesis, secret) = (folder.join("genesis.json"), folder.join("jwt.hex"));
    let ports = [free_port(), engine_port].map(|port| port.to_string());
    // Built by `./x engine`.
    if let Some(program) = std::env::var_os("CHORALE_ENGINE_CLIENT") {
        let mut command = Command::new(program);
        command.arg(genesis).arg(secret).args(ports);
        return Some(command);
    }
    if !Path::new(ETHEREUMJS).exists() {
        assert!(std::env::var_os("CHORALE_WITHOUT_TOOLS").is_some(), "{ETHEREUMJS} is missing: run `./x tools`");
        return None;
    }
    let [rpc_port, engine_port] = ports;
    let mut command = Command::new(ETHEREUMJS);
    command.arg("--gethGenesis").arg(genesis).arg("--jwtSecret").arg(secret).arg("--dataDir").arg(folder.join("data"));
    command.args(["--rpc", "--rpcPort", &rpc_port, "--rpcEngine", "--rpcEnginePort", &engine_port]);
    command.args(["--discDns", "false", "--discV4", "false", "--maxPeers", "0", "--sync", "none"]);
    Some(command)
}

impl Process {
    fn start(chain: &Chain, folder: &Path, engine_port: u16) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        write_secret(folder, SECRET);
        let genesis = chorale_evm::client_genesis(&chain.genesis).unwrap();
        fs::write(folder.join("genesis.json"), serde_json::to_vec(&genesis).unwrap()).unwrap();
        let log = File::create(folder.join("log.txt")).unwrap();
        let mut command = command(folder, engine_port)?;
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Some(Self { child, folder: folder.to_owned(), engine_port })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.engine_port)
    }

    /// Its last block, as it says itself.
    async fn head(&self) -> (u64, B256) {
        let client = Client::new(&self.url(), &self.folder.join("jwt.hex"), Duration::from_secs(60)).unwrap();
        let latest = client.latest().await.unwrap();
        (latest.number.to(), latest.hash)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log.txt")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the client said:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

#[tokio::test]
async fn a_client_that_shares_no_code_finds_the_same_blocks_also_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::of(4);
    let port = free_port();
    let Some(client) = Process::start(&chain, &folder.path().join("one"), port) else { return };
    let mut node = Node::start(&chain, &client.url(), Kind::Ethereum);
    node.follows(4).await;
    assert_eq!(client.head().await, (4, chain.hash(4)));

    // Killed, it goes on with what it had, or without.
    drop(client);
    node.waits("does not answer").await;
    for (name, more) in [("one", 2), ("two", 1)] {
        (0..more).for_each(|_| chain.next(3));
        let last = chain.blocks.len() - 1;
        node.make(&chain, heads(last as u64, last as u64 - 1, 0));
        let client = Process::start(&chain, &folder.path().join(name), port).unwrap();
        node.follows(last as u64).await;
        assert_eq!(client.head().await, (last as u64, chain.hash(last)));
        drop(client);
        node.waits("does not answer").await;
    }
}

/// The check is worth something: with one bit of the state changed, the client says so.
#[tokio::test]
async fn a_client_that_shares_no_code_finds_a_tampered_block_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::of(3);
    let block = &mut chain.blocks[3];
    let mut header = block.header.inner().clone();
    header.state_root.0[31] ^= 1;
    block.header = header.seal_slow();
    let Some(client) = Process::start(&chain, &folder.path().join("one"), free_port()) else { return };
    let mut node = Node::start(&chain, &client.url(), Kind::Ethereum);
    let state = node.until("an alarm", |state| matches!(state, State::Alarm(_))).await;
    let State::Alarm(Some(path)) = state else { panic!("{state:?}") };
    let evidence: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!((&evidence["number"], &evidence["hash"]), (&json!(3), &json!(chain.hash(3))));
    assert_eq!((&evidence["reason"]["kind"], &evidence["theirs"]["status"]), (&json!("invalid"), &json!("INVALID")));
    assert_ne!(client.head().await.0, 3);
}
