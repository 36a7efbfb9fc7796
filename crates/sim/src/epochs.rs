//! The validators of a simulated chain, and what follows when an epoch closes.

use chorale_hotstuff::mock::MockScheme;
use chorale_types::{
    BlockId, BlockReference, ChainId, ConsensusKey, ConsensusSecret, Epoch, EpochInfo, Height, NodeKey, Validator,
    ValidatorIndex, ValidatorSet, tagged_hash,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

/// The epochs of one run. All nodes are validators in all of them; their weights rotate from epoch to epoch.
#[derive(Debug)]
pub(crate) struct Epochs {
    weights: Vec<u16>,
    /// Heights of an epoch; 0 for one epoch without end.
    length: u64,
    infos: BTreeMap<Epoch, EpochInfo>,
}

impl Epochs {
    /// The first epoch, with these weights.
    ///
    /// # Panics
    ///
    /// If the weights make no validator set; the plan draws only ones that do.
    pub(crate) fn new(seed: u64, weights: Vec<u16>, length: u64) -> Self {
        let chain = ChainId(tagged_hash("chorale/sim/chain/v1", &[&seed.to_be_bytes()]));
        let genesis = BlockId(tagged_hash("chorale/sim/genesis/v1", &[chain.as_ref()]));
        let start = EpochInfo::start_block(Height(0), genesis);
        let mut epochs = Self { weights, length, infos: BTreeMap::new() };
        let first = epochs.info(chain, Epoch(0), start);
        epochs.infos.insert(Epoch(0), first);
        epochs
    }

    /// The first epoch.
    pub(crate) fn first(&self) -> &EpochInfo {
        &self.infos[&Epoch(0)]
    }

    /// An epoch that somebody has started.
    pub(crate) fn get(&self, epoch: Epoch) -> Option<&EpochInfo> {
        self.infos.get(&epoch)
    }

    /// The epoch after one that ended with this block; the same for all that ask with the same block.
    pub(crate) fn after(&mut self, epoch: Epoch, start: BlockReference) -> EpochInfo {
        let info = self.info(self.first().chain, epoch.next(), start);
        self.infos.entry(epoch.next()).or_insert_with(|| info.clone());
        info
    }

    fn info(&self, chain: ChainId, epoch: Epoch, start: BlockReference) -> EpochInfo {
        let count = self.weights.len();
        let turn = usize::try_from(epoch.0 % count as u64).unwrap_or_default();
        let members = (0..count).map(|node| {
            let (node_key, key) = keys(node);
            Validator::new(node_key, key, self.weights[(node + turn) % count])
        });
        let validators = ValidatorSet::new(members.collect()).expect("the plan draws valid weights");
        let closing = if self.length == 0 { Height(u64::MAX) } else { Height(start.height.0 + self.length) };
        EpochInfo { chain, epoch, validators, start, closing }
    }
}

/// A node's place in every epoch's set.
pub(crate) fn index_of(node: usize) -> ValidatorIndex {
    ValidatorIndex(u16::try_from(node).unwrap_or(u16::MAX))
}

/// The signing scheme of a node.
pub(crate) fn scheme(node: usize) -> MockScheme {
    MockScheme::new(index_of(node))
}

/// Keys of real form, because a validator set has no others; the mock scheme does not use them. Made once.
fn keys(node: usize) -> (NodeKey, ConsensusKey) {
    static MADE: OnceLock<Mutex<Vec<ConsensusKey>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    while made.len() <= node {
        let seed = tagged_hash("chorale/sim/key/v1", &[&made.len().to_be_bytes()]);
        made.push(ConsensusSecret::from_seed(seed.0).public());
    }
    (NodeKey(tagged_hash("chorale/sim/node/v1", &[&node.to_be_bytes()]).0), made[node])
}
