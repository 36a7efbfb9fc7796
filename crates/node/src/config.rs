//! What one node is configured with: a TOML file that `chorale init` writes, and a file of keys.

use crate::{gateway::Limits, mesh::Addresses};
use chorale_foundation::{
    Bytes,
    codec::DecodeExt as _,
    cryptography::{Signer as _, ed25519},
};
use chorale_types::{ConsensusSecret, NodeKey, codec::Encode};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The name of the file in the data directory that says that the node is new: a validator without it and without a
/// safety record has lost its record, and must not sign before the next epoch.
pub const NEW_NODE_FILE: &str = "new-node";

/// Requests that one client may send to the API in a second, unless configured otherwise.
pub const RPC_REQUESTS_PER_SECOND: u64 = 1_000;
/// Bytes of parameters that one client may send to the API in a second, unless configured otherwise.
pub const RPC_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;

/// Why a configuration or key file cannot be used. Names the file, what is wrong, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ConfigError {
    let path = path.to_owned();
    |error| ConfigError::Io { path, error }
}

fn content(path: &Path, problem: impl fmt::Display) -> ConfigError {
    ConfigError::Content { path: path.to_owned(), problem: problem.to_string() }
}

/// A peer of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Its mesh identity, 64 hexadecimal digits, as in the genesis.
    pub node: String,
    /// Where its network of consensus is reached.
    pub order: SocketAddr,
    /// Where its bulk network is reached.
    pub bulk: SocketAddr,
}

/// What executes the rollups of a domain for this validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorConfig {
    /// The domain.
    pub domain: u64,
    /// The address of one of its rollups at a `chorale rollup` that this validator trusts: its own.
    pub url: String,
}

/// The configuration of a node. Relative paths are relative to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The chain's genesis file.
    pub genesis: PathBuf,
    /// The node's keys.
    pub keys: PathBuf,
    /// Where the node keeps what it must not forget.
    pub data: PathBuf,
    /// Where the network of consensus listens.
    pub listen_order: SocketAddr,
    /// Where the bulk network listens.
    pub listen_bulk: SocketAddr,
    /// Where the API listens: JSON-RPC over HTTP and WebSocket, health, metrics.
    pub listen_rpc: SocketAddr,
    /// Requests that one client may send to the API in a second; 0: as many as it likes.
    #[serde(default = "default_rpc_requests_per_second")]
    pub rpc_requests_per_second: u64,
    /// Bytes of parameters that one client may send to the API in a second; 0: as many as it likes.
    #[serde(default = "default_rpc_bytes_per_second")]
    pub rpc_bytes_per_second: u64,
    /// Threads that run actors.
    #[serde(default = "default_worker_threads")]
    pub worker_threads: usize,
    /// What is logged, for example `info` or `info,chorale_node=debug`.
    #[serde(default = "default_log")]
    pub log: String,
    /// The other validators.
    #[serde(default)]
    pub peers: Vec<PeerConfig>,
    /// What executes the rollups that this validator attests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executors: Vec<ExecutorConfig>,
}

const fn default_rpc_requests_per_second() -> u64 {
    RPC_REQUESTS_PER_SECOND
}

const fn default_rpc_bytes_per_second() -> u64 {
    RPC_BYTES_PER_SECOND
}

const fn default_worker_threads() -> usize {
    4
}

fn default_log() -> String {
    "info".to_owned()
}

impl NodeConfig {
    /// What one client may ask of the API.
    #[must_use]
    pub const fn rpc_limits(&self) -> Limits {
        Limits { requests: self.rpc_requests_per_second, bytes: self.rpc_bytes_per_second }
    }

    /// Reads a configuration; its paths are absolute, or relative to the working directory, afterwards.
    ///
    /// # Errors
    ///
    /// The first thing wrong with the file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(io(path))?;
        let mut config: Self = toml::from_str(&text).map_err(|error| content(path, error))?;
        check_threads(path, config.worker_threads)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for relative in [&mut config.genesis, &mut config.keys, &mut config.data] {
            *relative = folder.join(&*relative);
        }
        config.peers().map_err(|problem| content(path, problem))?;
        Ok(config)
    }

    /// The peers' addresses by identity.
    ///
    /// # Errors
    ///
    /// An identity that is none, or stands twice.
    pub fn peers(&self) -> Result<BTreeMap<NodeKey, Addresses>, String> {
        let mut peers = BTreeMap::new();
        for (index, peer) in self.peers.iter().enumerate() {
            let mut node = [0; 32];
            hex::decode_to_slice(peer.node.strip_prefix("0x").unwrap_or(&peer.node), &mut node)
                .map_err(|_| format!("peers[{index}].node must be 64 hexadecimal digits"))?;
            let addresses = Addresses { order: peer.order, bulk: peer.bulk };
            if peers.insert(NodeKey(node), addresses).is_some() {
                return Err(format!("peers[{index}].node stands twice"));
            }
        }
        Ok(peers)
    }

    /// The file with a comment for every field.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let path = |path: &Path| toml::Value::String(path.display().to_string());
        let mut text = format!(
            "# Configuration of a Chorale node. Relative paths are relative to this file's folder.\n\n\
             # The chain: every node of it has the same file.\ngenesis = {}\n\
             # The node's keys: keep them secret, and use them in one running node only.\nkeys = {}\n\
             # What the node must not forget. A validator that loses it signs again from the next epoch on.\ndata = {}\n\n\
             # The mesh between validators: consensus alone, and everything else. Both must be reachable by the others.\n\
             listen_order = \"{}\"\nlisten_bulk = \"{}\"\n\
             {}",
            path(&self.genesis),
            path(&self.keys),
            path(&self.data),
            self.listen_order,
            self.listen_bulk,
            common_toml(self.listen_rpc, self.rpc_limits(), self.worker_threads, &self.log),
        );
        text.push_str(
            "\n# The other validators: identity as in the genesis, and where the two networks of each are reached.\n",
        );
        for peer in &self.peers {
            text.push_str(&format!(
                "[[peers]]\nnode = \"{}\"\norder = \"{}\"\nbulk = \"{}\"\n\n",
                peer.node, peer.order, peer.bulk
            ));
        }
        text.push_str(
            "# What executes the rollups of the domains that this validator attests by the genesis: `url` is the address of\n\
             # one of the rollups at a `chorale rollup`. The validator signs what it says was computed, so run your own.\n",
        );
        for executor in &self.executors {
            let url = toml::Value::String(executor.url.clone());
            text.push_str(&format!("[[executors]]\ndomain = {}\nurl = {url}\n\n", executor.domain));
        }
        text
    }
}

/// The configuration of a full node. Relative paths are relative to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullNodeConfig {
    /// The chain's genesis file.
    pub genesis: PathBuf,
    /// Where the node keeps what it has settled.
    pub data: PathBuf,
    /// URLs of the nodes whose API it follows.
    pub follow: Vec<String>,
    /// Where the API listens: JSON-RPC over HTTP and WebSocket, health, metrics.
    pub listen_rpc: SocketAddr,
    /// Requests that one client may send to the API in a second; 0: as many as it likes.
    #[serde(default = "default_rpc_requests_per_second")]
    pub rpc_requests_per_second: u64,
    /// Bytes of parameters that one client may send to the API in a second; 0: as many as it likes.
    #[serde(default = "default_rpc_bytes_per_second")]
    pub rpc_bytes_per_second: u64,
    /// Threads that run actors.
    #[serde(default = "default_worker_threads")]
    pub worker_threads: usize,
    /// What is logged, for example `info` or `info,chorale_node=debug`.
    #[serde(default = "default_log")]
    pub log: String,
}

impl FullNodeConfig {
    /// A configuration with the defaults.
    #[must_use]
    pub fn new(genesis: PathBuf, data: PathBuf, follow: Vec<String>, listen_rpc: SocketAddr) -> Self {
        Self {
            genesis,
            data,
            follow,
            listen_rpc,
            rpc_requests_per_second: RPC_REQUESTS_PER_SECOND,
            rpc_bytes_per_second: RPC_BYTES_PER_SECOND,
            worker_threads: default_worker_threads(),
            log: default_log(),
        }
    }

    /// What one client may ask of the API.
    #[must_use]
    pub const fn rpc_limits(&self) -> Limits {
        Limits { requests: self.rpc_requests_per_second, bytes: self.rpc_bytes_per_second }
    }

    /// The file with a comment for every field.
    #[must_use]
    pub fn to_commented_toml(&self) -> String {
        let text = |text: &str| toml::Value::String(text.to_owned());
        let follow = toml::Value::Array(self.follow.iter().map(|url| text(url)).collect());
        format!(
            "# Configuration of a Chorale full node. Relative paths are relative to this file's folder.\n\n\
             # The chain: every node of it has the same file.\ngenesis = {}\n\
             # Where the node keeps what it has settled. If it is lost, the node follows from the start again.\n\
             data = {}\n\n\
             # The nodes whose API it follows and hands submissions on to. It believes none of them; one that is honest\n\
             # and reachable is enough.\nfollow = {follow}\n\n\
             {}",
            text(&self.genesis.display().to_string()),
            text(&self.data.display().to_string()),
            common_toml(self.listen_rpc, self.rpc_limits(), self.worker_threads, &self.log),
        )
    }
}

/// The configuration of a node, whatever it is: one that has `follow` is a full node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// A node on the mesh.
    Validator(NodeConfig),
    /// A full node.
    Full(FullNodeConfig),
}

impl Config {
    /// Reads a configuration; its paths are absolute, or relative to the working directory, afterwards.
    ///
    /// # Errors
    ///
    /// The first thing wrong with the file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(io(path))?;
        let table: toml::Table = toml::from_str(&text).map_err(|error| content(path, error))?;
        if !table.contains_key("follow") {
            return NodeConfig::read(path).map(Self::Validator);
        }
        let mut config: FullNodeConfig = toml::from_str(&text).map_err(|error| content(path, error))?;
        check_threads(path, config.worker_threads)?;
        if config.follow.is_empty() {
            return Err(content(path, "follow is empty; name the URL of at least one node"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        for relative in [&mut config.genesis, &mut config.data] {
            *relative = folder.join(&*relative);
        }
        Ok(Self::Full(config))
    }

    /// What is logged.
    #[must_use]
    pub fn log(&self) -> &str {
        match self {
            Self::Validator(config) => &config.log,
            Self::Full(config) => &config.log,
        }
    }
}

/// The fields that every node has, with comments.
fn common_toml(listen_rpc: SocketAddr, limits: Limits, worker_threads: usize, log: &str) -> String {
    format!(
        "# The API for wallets, rollups and operators (JSON-RPC, /healthz, /readyz, /metrics).\n\
         listen_rpc = \"{listen_rpc}\"\n\n\
         # What one client (an IP address, or an IPv6 network of 64 bits) may send to the API in a second, and four\n\
         # times as much at once after it was silent: requests, and bytes. 0: no limit. Behind a proxy all clients\n\
         # have its address: set 0 here, and the limits there.\n\
         rpc_requests_per_second = {}\nrpc_bytes_per_second = {}\n\
         # Threads that run the node.\nworker_threads = {worker_threads}\n\
         # What is logged: error, warn, info, debug or trace; also by module, as in \"info,chorale_node=debug\".\n\
         log = {}\n",
        limits.requests,
        limits.bytes,
        toml::Value::String(log.to_owned()),
    )
}

fn check_threads(path: &Path, threads: usize) -> Result<(), ConfigError> {
    let problem = || content(path, format!("worker_threads is {threads}; it must be 1 to 256"));
    (1..=256).contains(&threads).then_some(()).ok_or_else(problem)
}

/// The keys of a node.
#[derive(Clone)]
pub struct Keys {
    /// Its identity on the mesh.
    pub identity: ed25519::PrivateKey,
    /// Its consensus key; none for a node that only follows.
    pub consensus: Option<ConsensusSecret>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", hex::encode(self.node().0))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    identity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    consensus: Option<String>,
}

impl Keys {
    /// Keys from two independent seeds of secure randomness.
    #[must_use]
    pub fn from_seeds(identity: [u8; 32], consensus: [u8; 32]) -> Self {
        let identity =
            ed25519::PrivateKey::decode(Bytes::copy_from_slice(&identity)).expect("every 32 bytes are an ed25519 seed");
        Self { identity, consensus: Some(ConsensusSecret::from_seed(consensus)) }
    }

    /// The identity, as the genesis and peers name it.
    #[must_use]
    pub fn node(&self) -> NodeKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&self.identity.public_key().encode());
        NodeKey(bytes)
    }

    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(io(path))?;
        // The parser's own message would quote the line, and with it a secret.
        let file: KeysFile =
            toml::from_str(&text).map_err(|_| content(path, "is no key file; make one with `chorale keys new`"))?;
        let seed = |name: &str, digits: &str| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(digits, &mut bytes)
                .map_err(|_| content(path, format!("{name} must be 64 hexadecimal digits")))?;
            Ok(bytes)
        };
        let identity = seed("identity", &file.identity)?;
        let identity = ed25519::PrivateKey::decode(Bytes::copy_from_slice(&identity))
            .map_err(|_| content(path, "identity is no ed25519 key"))?;
        let consensus = file.consensus.map(|digits| {
            ConsensusSecret::from_bytes(seed("consensus", &digits)?)
                .map_err(|_| content(path, "consensus is no BLS12-381 key"))
        });
        Ok(Self { identity, consensus: consensus.transpose()? })
    }

    /// Writes a new key file that only its owner can read. Never overwrites one.
    ///
    /// # Errors
    ///
    /// The file exists, or cannot be written.
    pub fn write_new(&self, path: &Path) -> Result<(), ConfigError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = KeysFile {
            identity: hex::encode(self.identity.encode()),
            consensus: self.consensus.as_ref().map(|secret| hex::encode(secret.to_bytes())),
        };
        let text = toml::to_string(&file).map_err(|error| content(path, error))?;
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))?;
        write!(
            out,
            "# Keys of a Chorale node. Whoever has them can sign as this validator, and be slashed in its name.\n{text}"
        )
        .map_err(io(path))?;
        out.sync_all().map_err(io(path))
    }
}
