//! The files of a network: one genesis, and a folder per node with configuration, keys and data.

use crate::rpc::Endpoint;
use anyhow::{Context, Result, bail, ensure};
use chorale_node::config::{
    ExecutorConfig, Keys, NEW_NODE_FILE, NodeConfig, PeerConfig, RPC_BYTES_PER_SECOND, RPC_REQUESTS_PER_SECOND,
};
use chorale_rollup::{RollupConfig, ServedRollup};
use chorale_types::{
    codec::Encode,
    genesis::{BlockTimes, DomainFile, EvmFile, GenesisFile, GenesisParameters, RollupFile, ValidatorFile},
};
use std::{
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// What a new network is made of.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The chain's name.
    pub(crate) name: String,
    /// Stakes of the validators, in ether.
    pub(crate) stakes: Vec<u64>,
    /// How many rollups, with ids from [`FIRST_ROLLUP`] on.
    pub(crate) rollups: u64,
    /// So many of them, the first ones, are executed, in one domain.
    pub(crate) executed: u64,
    /// Where the first executed rollup is served; the others at the ports after it. 0: at free ones.
    pub(crate) rollup_port: u16,
    /// What makes a block of theirs.
    pub(crate) blocks: BlockTimes,
    /// Parameters of the protocol.
    pub(crate) parameters: GenesisParameters,
}

const WEI_PER_ETHER: u128 = 1_000_000_000_000_000_000;
/// The id of the first rollup of a new network.
pub(crate) const FIRST_ROLLUP: u64 = 1001;
/// The domain of its executed rollups.
const DOMAIN: u64 = 1;

/// A network's folder.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The folder.
    pub(crate) folder: PathBuf,
}

impl Layout {
    /// The genesis file.
    pub(crate) fn genesis(&self) -> PathBuf {
        self.folder.join("genesis.toml")
    }

    /// The folder of a node.
    pub(crate) fn node(&self, index: usize) -> PathBuf {
        self.folder.join(format!("node-{index}"))
    }

    /// The configuration of a node.
    pub(crate) fn config(&self, index: usize) -> PathBuf {
        self.node(index).join("node.toml")
    }

    /// The folder of the executed rollups' node.
    pub(crate) fn rollups(&self) -> PathBuf {
        self.folder.join("rollups")
    }

    /// The configuration of the executed rollups' node.
    pub(crate) fn rollup_config(&self) -> PathBuf {
        self.rollups().join("rollup.toml")
    }

    /// Whether there are executed rollups.
    pub(crate) fn has_rollups(&self) -> bool {
        self.rollup_config().exists()
    }

    /// Whether there is a network in the folder.
    pub(crate) fn exists(&self) -> bool {
        self.genesis().exists()
    }

    /// The nodes' configurations.
    pub(crate) fn configs(&self) -> Result<Vec<NodeConfig>> {
        let configs = (0..).map(|index| self.config(index)).take_while(|path| path.exists());
        configs.map(|path| Ok(NodeConfig::read(&path)?)).collect()
    }

    /// The nodes' APIs.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let configs = self.configs()?;
        let endpoint = |(index, config): (usize, &NodeConfig)| {
            Endpoint::new(format!("node-{index}"), format!("http://{}", config.listen_rpc))
        };
        configs.iter().enumerate().map(endpoint).collect()
    }

    /// Writes the files of a new network whose nodes listen on free ports of this machine.
    pub(crate) fn create(&self, plan: &Plan) -> Result<()> {
        ensure!(!plan.stakes.is_empty(), "a network needs at least one validator");
        if self.exists() {
            bail!("{} exists already; choose another folder, or delete it", self.genesis().display());
        }
        let nodes = nodes(plan.stakes.len())?;
        let (executed, executors) = self.create_rollups(plan, &nodes)?;
        for (index, node) in nodes.iter().enumerate() {
            let folder = self.node(index);
            fs::create_dir_all(folder.join("data")).with_context(|| format!("making {}", folder.display()))?;
            node.keys.write_new(&folder.join("keys.toml"))?;
            fs::write(folder.join("data").join(NEW_NODE_FILE), "This node has never signed anything.\n")?;
            let peers = nodes.iter().enumerate().filter(|(other, _)| *other != index);
            let config = NodeConfig {
                genesis: PathBuf::from("../genesis.toml"),
                keys: PathBuf::from("keys.toml"),
                data: PathBuf::from("data"),
                listen_order: node.listen(0),
                listen_bulk: node.listen(1),
                listen_rpc: node.listen(2),
                rpc_requests_per_second: RPC_REQUESTS_PER_SECOND,
                rpc_bytes_per_second: RPC_BYTES_PER_SECOND,
                worker_threads: 4,
                log: "info".to_owned(),
                peers: peers.map(|(_, peer)| peer.as_peer()).collect(),
                executors: executors.clone(),
            };
            fs::write(self.config(index), config.to_commented_toml())?;
        }
        // Last, so that a folder with a genesis is complete.
        fs::write(self.genesis(), genesis(plan, &nodes, &executed)?)?;
        Ok(())
    }

    /// Writes the files of the executed rollups and of the node that executes them, for all validators. How the chain's
    /// genesis knows them, and how the validators ask that node.
    fn create_rollups(&self, plan: &Plan, nodes: &[NewNode]) -> Result<(Vec<EvmFile>, Vec<ExecutorConfig>)> {
        let count = plan.executed.min(plan.rollups);
        if count == 0 {
            return Ok((Vec::new(), Vec::new()));
        }
        fs::create_dir_all(self.rollups()).with_context(|| format!("making {}", self.rollups().display()))?;
        let ports = rollup_ports(plan.rollup_port, usize::try_from(count)?)?;
        let (mut executed, mut rollups) = (Vec::new(), Vec::new());
        for (id, port) in (FIRST_ROLLUP..).zip(ports) {
            let genesis = chorale_rollup::development_genesis(id);
            let name = format!("rollup-{id}.json");
            fs::write(self.rollups().join(&name), serde_json::to_string_pretty(&genesis)? + "\n")?;
            executed.push(EvmFile {
                domain: DOMAIN,
                genesis: hex::encode(chorale_rollup::genesis_hash(&genesis)?),
                base_fee_change_denominator: 8,
                base_fee_elasticity: 2,
                owner: None,
            });
            let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
            rollups.push(ServedRollup { genesis: name.into(), listen, engine: None });
        }
        let config = RollupConfig {
            genesis: PathBuf::from("../genesis.toml"),
            nodes: nodes.iter().map(|node| format!("http://{}", node.listen(2))).collect(),
            data: Some(PathBuf::from("data")),
            retain_blocks: None,
            log: "info".to_owned(),
            cors: vec!["*".to_owned()],
            rollups,
        };
        fs::write(self.rollup_config(), config.to_commented_toml())?;
        let url = config.rollups.first().map(|rollup| format!("http://{}", rollup.listen));
        let executors = url.into_iter().map(|url| ExecutorConfig { domain: DOMAIN, url }).collect();
        Ok((executed, executors))
    }
}

struct NewNode {
    keys: Keys,
    ports: [u16; 3],
}

impl NewNode {
    fn listen(&self, which: usize) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.ports[which])
    }

    fn as_peer(&self) -> PeerConfig {
        PeerConfig { node: hex::encode(self.keys.node().0), order: self.listen(0), bulk: self.listen(1) }
    }
}

fn nodes(count: usize) -> Result<Vec<NewNode>> {
    let ports = free_ports(3 * count)?;
    let node = |ports: &[u16]| Ok(NewNode { keys: new_keys()?, ports: [ports[0], ports[1], ports[2]] });
    ports.chunks_exact(3).map(node).collect()
}

/// Where ports of networks are looked for: below those that systems give to outgoing connections, one of which could
/// otherwise take a node's port while the node is down.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Where executed rollups are served.
fn rollup_ports(first: u16, count: usize) -> Result<Vec<u16>> {
    if first == 0 {
        return free_ports(count);
    }
    let ports: Vec<u16> = (first..=u16::MAX).take(count).collect();
    ensure!(ports.len() == count, "there are no {count} ports from {first} on");
    Ok(ports)
}

/// Ports that nobody listens on now. All are held until all are found, so that none comes twice; where the search begins
/// is random, so that two networks that are made at the same time get different ones.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let mut seed = [0; 2];
    random(&mut seed)?;
    let start = usize::from(u16::from_be_bytes(seed)) % PORTS.len();
    let candidates = PORTS.cycle().skip(start).take(PORTS.len());
    let listeners = candidates.filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    let listeners: Vec<TcpListener> = listeners.take(count).collect();
    ensure!(listeners.len() == count, "127.0.0.1 has no {count} free ports from {} to {}", PORTS.start, PORTS.end - 1);
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Bytes from the operating system's randomness.
fn random(bytes: &mut [u8]) -> Result<()> {
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).context("reading /dev/urandom")
}

/// Keys from the operating system's randomness.
pub(crate) fn new_keys() -> Result<Keys> {
    let mut seeds = [0; 64];
    random(&mut seeds)?;
    let (identity, consensus) = seeds.split_at(32);
    Ok(Keys::from_seeds(identity.try_into()?, consensus.try_into()?))
}

/// What the genesis says of a validator.
pub(crate) fn validator(name: String, keys: &Keys, stake_wei: u128) -> Result<ValidatorFile> {
    let secret = keys.consensus.as_ref().context("these keys have no consensus key: their node only follows")?;
    Ok(ValidatorFile {
        name,
        node: hex::encode(keys.node().0),
        key: hex::encode(secret.public().encode()),
        possession: hex::encode(secret.prove_possession().0),
        stake: stake_wei.to_string(),
        domains: Vec::new(),
    })
}

/// The rules of the executed rollups: with calls between them, unless other clients are to follow.
fn domain(plan: &Plan) -> DomainFile {
    let synchronous_calls = plan.blocks == BlockTimes::Height;
    DomainFile { blocks: plan.blocks, synchronous_calls, ..DomainFile::new(DOMAIN) }
}

fn genesis(plan: &Plan, nodes: &[NewNode], executed: &[EvmFile]) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let domains = if executed.is_empty() { Vec::new() } else { vec![DOMAIN] };
    let validators = nodes.iter().zip(&plan.stakes).enumerate().map(|(index, (node, stake))| {
        let stake = u128::from(*stake) * WEI_PER_ETHER;
        let validator = validator(format!("validator-{index}"), &node.keys, stake)?;
        Ok(ValidatorFile { domains: domains.clone(), ..validator })
    });
    let evms = executed.iter().cloned().map(Some).chain(std::iter::repeat(None));
    let rollups = (FIRST_ROLLUP..).zip(0..plan.rollups).zip(evms).map(|((id, index), evm)| RollupFile {
        id,
        name: format!("rollup-{index}"),
        has_nonces: evm.is_some(),
        evm,
    });
    let file = GenesisFile {
        name: plan.name.clone(),
        time_ms: u64::try_from(now.as_millis())?,
        parameters: plan.parameters.clone(),
        rollups: rollups.collect(),
        domains: if executed.is_empty() { Vec::new() } else { vec![domain(plan)] },
        validators: validators.collect::<Result<_>>()?,
        epochs: Vec::new(),
    };
    file.check()?;
    Ok(file.to_commented_toml())
}
