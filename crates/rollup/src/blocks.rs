//! The blocks of one rollup, where transactions are in them, and the state after each of the last ones.

use alloy_consensus::{Header, Sealed};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, TxHash, map::B256Map};
use chorale_evm::{Block, Chain};
use std::{collections::VecDeque, sync::Arc};

/// The state after so many of the last blocks is kept. They share what did not change between them.
pub(crate) const STATES_MAX: usize = 128;

/// The chain of one rollup with its past.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// From block 0 on.
    blocks: Vec<Arc<Block>>,
    numbers: B256Map<u64>,
    /// Block and index of every transaction.
    transactions: B256Map<(u64, usize)>,
    /// The chain as it was after the last blocks; the newest at the end.
    views: VecDeque<Arc<Chain>>,
}

/// Why a block's state cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoState {
    #[error("header not found: there is no such block")]
    Unknown,
    #[error("the state of block {block} is not kept: that of block {first} and later ones is")]
    Pruned { block: u64, first: u64 },
}

impl Blocks {
    pub(crate) fn new(chain: &Chain) -> Self {
        let genesis = Block {
            header: chain.head().clone(),
            transactions: Vec::new(),
            receipts: Vec::new(),
            requests: alloy_eips::eip7685::Requests::default(),
        };
        Self {
            numbers: std::iter::once((genesis.header.hash(), 0)).collect(),
            blocks: vec![Arc::new(genesis)],
            transactions: B256Map::default(),
            views: VecDeque::from([Arc::new(chain.clone())]),
        }
    }

    /// Takes a block in, with the chain as it is after it.
    pub(crate) fn push(&mut self, block: Block, chain: &Chain) {
        let number = block.header.number;
        self.numbers.insert(block.header.hash(), number);
        for (index, transaction) in block.transactions.iter().enumerate() {
            self.transactions.insert(*transaction.inner().tx_hash(), (number, index));
        }
        self.blocks.push(Arc::new(block));
        self.views.push_back(Arc::new(chain.clone()));
        if self.views.len() > STATES_MAX {
            self.views.pop_front();
        }
    }

    /// The chain after the last block.
    pub(crate) fn latest(&self) -> &Arc<Chain> {
        self.views.back().expect("the last one is always there")
    }

    pub(crate) fn head(&self) -> &Sealed<Header> {
        self.latest().head()
    }

    /// The chain as it was after a block.
    pub(crate) fn view(&self, id: BlockId) -> Result<Arc<Chain>, NoState> {
        let number = self.find(id).ok_or(NoState::Unknown)?.header.number;
        let first = self.views.front().map_or(0, |view| view.head().number);
        let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let view = index.and_then(|index| self.views.get(index));
        view.cloned().ok_or(NoState::Pruned { block: number, first })
    }

    pub(crate) fn block(&self, number: u64) -> Option<&Arc<Block>> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// The block of a transaction, and its index there.
    pub(crate) fn transaction(&self, hash: TxHash) -> Option<(Arc<Block>, usize)> {
        let (number, index) = self.transactions.get(&hash)?;
        Some((Arc::clone(self.block(*number)?), *index))
    }

    pub(crate) fn number_of(&self, hash: B256) -> Option<u64> {
        self.numbers.get(&hash).copied()
    }

    /// The number that a tag stands for. There is no block under way, so `pending` is the last one.
    pub(crate) fn number(&self, tag: BlockNumberOrTag) -> u64 {
        match tag {
            BlockNumberOrTag::Number(number) => number,
            BlockNumberOrTag::Earliest | BlockNumberOrTag::Finalized => 0,
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending | BlockNumberOrTag::Safe => self.head().number,
        }
    }

    pub(crate) fn find(&self, id: BlockId) -> Option<&Arc<Block>> {
        match id {
            BlockId::Hash(hash) => self.block(self.number_of(hash.block_hash)?),
            BlockId::Number(tag) => self.block(self.number(tag)),
        }
    }
}
