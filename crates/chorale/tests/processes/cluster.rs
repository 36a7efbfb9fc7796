//! Nodes as processes of their own, which a test starts, stops and keeps apart as it likes.

use crate::{
    api::call,
    links::Link,
    network::{chorale, eventually, signal, stdout},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// See the [module](self).
pub(crate) struct Cluster {
    folder: PathBuf,
    nodes: Vec<Option<Child>>,
    apis: Vec<String>,
    /// From a node to another: both networks.
    links: BTreeMap<(usize, usize), [Link; 2]>,
}

impl Cluster {
    /// A network whose nodes do not run yet, with these lines of its genesis in place of the defaults.
    pub(crate) fn new(folder: &Path, validators: usize, parameters: &[(&str, u64)]) -> Self {
        let folder = folder.join("network");
        stdout(&chorale(&[
            "init",
            "--executed",
            "0",
            "--validators",
            &validators.to_string(),
            "--dir",
            folder.to_str().unwrap(),
        ]));
        let genesis = folder.join("genesis.toml");
        let mut text = fs::read_to_string(&genesis).unwrap();
        for (name, value) in parameters {
            let start = text.find(&format!("\n{name} = ")).unwrap() + 1;
            let end = start + text[start..].find('\n').unwrap();
            text.replace_range(start..end, &format!("{name} = {value}"));
        }
        fs::write(genesis, text).unwrap();

        let mut cluster = Self { folder, nodes: Vec::new(), apis: Vec::new(), links: BTreeMap::new() };
        let configs: Vec<String> =
            (0..validators).map(|node| fs::read_to_string(cluster.config(node)).unwrap()).collect();
        for from in 0..validators {
            let mut config = configs[from].clone();
            for to in (0..validators).filter(|to| *to != from) {
                let links = ["order", "bulk"].map(|network| {
                    let address = field(&configs[to], &format!("listen_{network}"));
                    let link = Link::new(address.parse::<SocketAddr>().unwrap());
                    // Of all addresses in the file, the own ones stand in other fields.
                    let at = |address: &str| format!("\n{network} = \"{address}\"");
                    assert!(config.contains(&at(&address)), "{config}");
                    config = config.replace(&at(&address), &at(&link.address().to_string()));
                    link
                });
                cluster.links.insert((from, to), links);
            }
            fs::write(cluster.config(from), config).unwrap();
            cluster.apis.push(field(&configs[from], "listen_rpc"));
            cluster.nodes.push(None);
        }
        cluster
    }

    /// A node's configuration.
    pub(crate) fn config(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node-{node}/node.toml"))
    }

    /// What a node must not forget.
    pub(crate) fn data(&self, node: usize) -> PathBuf {
        self.folder.join(format!("node-{node}/data"))
    }

    /// What a node has logged.
    pub(crate) fn log(&self, node: usize) -> String {
        fs::read_to_string(self.folder.join(format!("{node}.log"))).unwrap_or_default()
    }

    /// The genesis of the network.
    pub(crate) fn genesis(&self) -> PathBuf {
        self.folder.join("genesis.toml")
    }

    /// The URL of a node's API.
    pub(crate) fn url(&self, node: usize) -> String {
        format!("http://{}", self.apis[node])
    }

    /// Starts a node, and waits until it answers.
    pub(crate) fn start(&mut self, node: usize) {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.join(format!("{node}.log"))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_chorale"))
            .args(["node", "--config"])
            .arg(self.config(node))
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        self.nodes[node] = Some(child);
        eventually(&format!("node {node} answers"), || std::net::TcpStream::connect(&self.apis[node]).ok());
    }

    /// Starts all of them.
    pub(crate) fn start_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.start(node));
    }

    /// Kills a node as a power cut would.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        signal("KILL", child.id());
        child.wait().unwrap();
    }

    /// The most memory that a node had since it was started, in bytes.
    pub(crate) fn memory_max(&self, node: usize) -> u64 {
        let process = self.nodes[node].as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        most.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Cuts all links between these nodes and the others, or joins them again.
    pub(crate) fn cut(&self, nodes: &[usize], is_cut: bool) {
        for ((from, to), links) in &self.links {
            if nodes.contains(from) != nodes.contains(to) {
                links.iter().for_each(|link| link.cut(is_cut));
            }
        }
    }

    /// What a node answers.
    pub(crate) fn ask(&self, node: usize, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        call(&self.apis[node], &request.to_string())
    }

    /// Submits a transaction; its id. It is durable on this node.
    pub(crate) fn submit(&self, node: usize, data: &str) -> String {
        let transaction = json!([{ "rollup": 1001, "data": format!("0x{}", hex::encode(data)) }]);
        let answer = self.ask(node, "chorale_submitTransaction", &transaction);
        answer["result"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The state of a transaction as a node knows it.
    pub(crate) fn state(&self, node: usize, id: &str) -> String {
        let answer = self.ask(node, "chorale_transactionStatus", &json!([id]));
        answer["result"]["state"].as_str().unwrap_or("unknown").to_owned()
    }

    /// The states that a transaction passed, as a node saw it: names and times.
    pub(crate) fn passed(&self, node: usize, id: &str) -> Vec<(String, u64)> {
        let answer = self.ask(node, "chorale_transactionStatus", &json!([id]));
        let passed = answer["result"]["passed"].as_array().cloned().unwrap_or_default();
        let state = |it: &Value| (it["state"].as_str().unwrap().to_owned(), it["timeMs"].as_u64().unwrap());
        passed.iter().map(state).collect()
    }

    /// The last committed and the last settled height of a node.
    pub(crate) fn heights(&self, node: usize) -> (u64, u64) {
        let answer = self.ask(node, "chorale_node", &json!([]));
        let height = |name: &str| answer["result"][name].as_u64().unwrap();
        (height("committed"), height("settled"))
    }

    /// Waits until a node has settled a height.
    pub(crate) fn wait_for(&self, node: usize, height: u64) {
        eventually(&format!("node {node} settles height {height}"), || (self.heights(node).1 >= height).then_some(()));
    }

    /// Waits until all nodes attest a transaction.
    pub(crate) fn wait_until_attested(&self, id: &str) {
        for node in 0..self.nodes.len() {
            eventually(&format!("{id} is attested on node {node}"), || {
                (self.state(node, id) == "order_attested").then_some(())
            });
        }
    }

    /// The header of a height, the same on these nodes.
    pub(crate) fn header(&self, nodes: &[usize], height: u64) -> Value {
        let headers: Vec<Value> =
            nodes.iter().map(|node| self.ask(*node, "chorale_header", &json!([height]))["result"].clone()).collect();
        assert!(headers[0]["id"].is_string(), "height {height}: {headers:?}");
        assert!(headers.iter().all(|header| header["id"] == headers[0]["id"]), "height {height}: {headers:?}");
        headers[0].clone()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.nodes.len() {
                let log = self.log(node);
                let lines: Vec<&str> = log.lines().collect();
                println!("node {node}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
    }
}

/// The value of a field of a configuration.
fn field(config: &str, name: &str) -> String {
    let (_, rest) = config.split_once(&format!("\n{name} = \"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}
