//! Full nodes: they follow others over the API, believe none of them, and serve the same.

use crate::{
    api::call,
    cluster::Cluster,
    network::{chorale, eventually, signal, stdout},
    servers::Server,
};
use chorale_api::ErrorCode;
use jsonrpsee::{
    RpcModule,
    core::{RpcResult, client::ClientT as _},
    http_client::{HttpClient, HttpClientBuilder},
    rpc_params,
    types::ErrorObjectOwned,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};
use tokio::runtime::Runtime;

const EPOCH_HEIGHTS: u64 = 20;

/// A full node, which a test starts and kills as it likes.
struct FullNode {
    folder: PathBuf,
    api: String,
    process: Option<Child>,
}

impl FullNode {
    /// One whose process does not run yet.
    fn new(folder: PathBuf, genesis: &Path, follow: &[&str]) -> Self {
        let address = free_address();
        let mut arguments = vec!["init", "--genesis", genesis.to_str().unwrap(), "--listen-rpc", &address];
        follow.iter().for_each(|url| arguments.extend(["--follow", url]));
        arguments.extend(["--dir", folder.to_str().unwrap()]);
        stdout(&chorale(&arguments));
        Self { folder, api: address, process: None }
    }

    fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_chorale"))
            .args(["node", "--config"])
            .arg(self.folder.join("node.toml"))
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn ask(&self, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        call(&self.api, &request.to_string())["result"].clone()
    }

    /// Waits until everything up to a height is attested on it.
    fn wait_for(&mut self, height: u64) {
        eventually(&format!("the full node follows to height {height}"), || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("the full node ended, {status}:\n{}", self.log());
            }
            std::net::TcpStream::connect(&self.api).ok()?;
            (self.ask("chorale_node", &json!([]))["attested"].as_u64()? >= height).then_some(())
        });
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        signal("KILL", process.id());
        process.wait().unwrap();
    }
}

/// An address that nobody listens on, below those that systems give to outgoing connections: one of those could take it
/// while the full node is down.
fn free_address() -> String {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = 9_000 + u16::try_from(std::process::id() % 800).unwrap();
    loop {
        // Each is tried once: what was handed out is not listened on yet.
        let port = start + TAKEN.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}

impl Drop for FullNode {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// What a lying node does with the block of an honest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Changes what a payload opened to.
    Content,
    /// Says that a payload is malformed.
    Malformed,
    /// Leaves out a payload.
    Missing,
    /// Shows the manifest of nothing.
    Manifest,
    /// Changes the header.
    Header,
    /// Changes the outcome.
    Outcome,
    /// Shows the attestation of another height.
    OtherAttestation,
    /// Shows another height.
    OtherHeight,
}

const LIES: [Lie; 8] = [
    Lie::Content,
    Lie::Malformed,
    Lie::Missing,
    Lie::Manifest,
    Lie::Header,
    Lie::Outcome,
    Lie::OtherAttestation,
    Lie::OtherHeight,
];

impl Lie {
    fn tell(self, mut block: Value, other: Value) -> Value {
        let change = |hex: &Value| {
            let mut hex = hex.as_str().unwrap().to_owned();
            let last = if hex.ends_with("00") { "01" } else { "00" };
            hex.replace_range(hex.len() - 2.., last);
            Value::from(hex)
        };
        let has_payloads = block["payloads"].as_array().is_some_and(|payloads| !payloads.is_empty());
        match self {
            Self::Content if has_payloads => block["payloads"][0]["opened"]["payload"] = "AAAA".into(),
            Self::Malformed if has_payloads => drop(block["payloads"][0].as_object_mut().unwrap().remove("opened")),
            Self::Missing => drop(block["payloads"].as_array_mut().unwrap().pop()),
            Self::Manifest if has_payloads => {
                block["payloads"][0]["manifest"] = change(&block["payloads"][0]["manifest"]);
            }
            Self::Header => block["header"] = change(&block["header"]),
            Self::Outcome => block["outcome"] = change(&block["outcome"]),
            Self::OtherAttestation => block["attestation"] = other["attestation"].clone(),
            Self::OtherHeight => block = other,
            Self::Content | Self::Malformed | Self::Manifest => {}
        }
        block
    }
}

/// A server between a full node and an honest one.
fn liar(runtime: &Runtime, honest: &str, lie: Lie) -> Server {
    let client = HttpClientBuilder::default().build(honest).unwrap();
    let mut module = RpcModule::new((client, lie));
    module
        .register_async_method("chorale_block", |params, context, _| async move {
            let height: u64 = params.one()?;
            let (client, lie) = &*context;
            let other = if height == 1 { 2 } else { height - 1 };
            RpcResult::Ok(lie.tell(block(client, height).await?, block(client, other).await?))
        })
        .unwrap();
    Server::start(runtime, module)
}

async fn block(client: &HttpClient, height: u64) -> RpcResult<Value> {
    let answer = client.request("chorale_block", rpc_params![height]).await;
    answer.map_err(|error| match error {
        jsonrpsee::core::client::Error::Call(error) => error,
        error => ErrorObjectOwned::owned::<()>(-32_603, error.to_string(), None),
    })
}

/// A network of four with small epochs and some content in the first two of them, and the height up to which there is.
fn network(folder: &Path) -> (Cluster, u64) {
    let parameters = [("epoch_heights", EPOCH_HEIGHTS), ("idle_interval_ms", 50), ("pace_ms", 20)];
    let mut cluster = Cluster::new(folder, 4, &parameters);
    cluster.start_all();
    for number in 0..4 {
        cluster.wait_until_attested(&cluster.submit(number, &format!("content {number}")));
        cluster.wait_for(0, (number as u64 + 1) * EPOCH_HEIGHTS / 2);
    }
    let height = cluster.heights(0).1;
    assert!(height > EPOCH_HEIGHTS);
    (cluster, height)
}

/// Header, outcome, attested lane: what two nodes say of a height.
fn is_same(cluster: &Cluster, full: &FullNode, height: u64) {
    for (method, params) in [
        ("chorale_header", json!([height])),
        ("chorale_lane", json!([1001, height])),
        ("chorale_nextContent", json!([1001, height])),
    ] {
        let (here, there) = (cluster.ask(0, method, &params)["result"].clone(), full.ask(method, &params));
        let mut both = [here, there];
        // Who signed first may differ; what was signed may not.
        both.iter_mut().filter_map(Value::as_object_mut).for_each(|it| drop(it.remove("attestation")));
        assert_eq!(both[0], both[1], "{method} {params}");
    }
}

/// A full node follows from the genesis through the epochs, also one that follows another full node; it takes submissions
/// and proves them, and a crash takes nothing from it.
#[test]
fn a_full_node_serves_what_validators_do_and_survives_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, height) = network(folder.path());
    let genesis = cluster.genesis();
    let urls = [cluster.url(0), cluster.url(1)];
    let mut full = FullNode::new(folder.path().join("full"), &genesis, &[&urls[0], &urls[1]]);
    full.start();
    full.wait_for(height);
    let mut second = FullNode::new(folder.path().join("second"), &genesis, &[&full.url()]);
    second.start();
    second.wait_for(height);
    for height in 1..=height {
        is_same(&cluster, &full, height);
        is_same(&cluster, &second, height);
    }

    let sent = chorale(&["tx", "send", "--rollup", "1001", "through a full node", "--node", &full.url(), "--json"]);
    let sent: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    let id = sent["id"].as_str().unwrap();
    eventually("it is attested on both full nodes", || {
        let is_attested =
            |node: &FullNode| node.ask("chorale_transactionStatus", &json!([id]))["state"] == "order_attested";
        (is_attested(&full) && is_attested(&second)).then_some(())
    });
    let proof = folder.path().join("proof");
    let proof = proof.to_str().unwrap();
    stdout(&chorale(&["tx", "prove", id, "--node", &second.url(), "--out", proof]));
    stdout(&chorale(&["verify", proof, "--genesis", genesis.to_str().unwrap()]));

    for _ in 0..3 {
        let committed = |full: &FullNode| full.ask("chorale_node", &json!([]))["committed"].as_u64();
        let before = committed(&full).unwrap();
        full.kill();
        let further = cluster.heights(0).0 + 5;
        full.start();
        full.wait_for(0);
        assert!(committed(&full) >= Some(before), "what is committed stays so");
        full.wait_for(further);
        is_same(&cluster, &full, further - 5);
    }
    second.wait_for(cluster.heights(0).0);
    let is_ready = |node: &FullNode| node.ask("chorale_ready", &json!([])) == "ready";
    eventually("the second full node is level with the first", || is_ready(&second).then_some(()));
    full.kill();
    eventually("it is not ready without anybody to follow", || (!is_ready(&second)).then_some(()));
}

/// Whatever one node says, a full node that follows an honest one as well has the truth, and names the liar; alone with a
/// liar it stops with an error, and has nothing false.
#[test]
fn a_full_node_cannot_be_made_to_believe_a_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, height) = network(folder.path());
    let genesis = cluster.genesis();
    let honest = cluster.url(0);
    let runtime = Runtime::new().unwrap();
    for lie in LIES {
        let liar = liar(&runtime, &honest, lie);
        let mut alone = FullNode::new(folder.path().join(format!("{lie:?}-alone")), &genesis, &[&liar.url]);
        let mut full = FullNode::new(folder.path().join(format!("{lie:?}")), &genesis, &[&liar.url, &honest]);
        alone.start();
        full.start();
        let status =
            eventually(&format!("{lie:?}: it gives up"), || alone.process.as_mut().unwrap().try_wait().unwrap());
        assert_eq!(status.code(), Some(1), "{lie:?}: {}", alone.log());
        assert!(alone.log().contains("said something false"), "{lie:?}: {}", alone.log());
        full.wait_for(height);
        assert!(full.log().contains(&liar.url), "{lie:?}: the liar is not named: {}", full.log());
        (1..=height).for_each(|height| is_same(&cluster, &full, height));
    }
    // That nothing is left of a height cannot be shown to be false, and costs a turn.
    let mut module = RpcModule::new(());
    let refuse = |_: jsonrpsee::types::Params<'_>, (): &(), _: &jsonrpsee::Extensions| {
        RpcResult::<Value>::Err(ErrorCode::Pruned.with("gone"))
    };
    module.register_method("chorale_block", refuse).unwrap();
    let forgetful = Server::start(&runtime, module);
    let mut full = FullNode::new(folder.path().join("pruned"), &genesis, &[&forgetful.url, &honest]);
    full.start();
    full.wait_for(height);
}
