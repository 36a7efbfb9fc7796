//! The last blocks of one rollup, where transactions are in them, and the state after each. Older blocks are in the store.

use alloy_consensus::{Header, Sealed};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, TxHash, map::B256Map};
use chorale_evm::{Block, Chain};
use chorale_types::Height;
use std::{collections::VecDeque, sync::Arc};

/// So many of the last blocks are in memory, with the state after each. States share what did not change between them.
pub(crate) const STATES_MAX: usize = 128;

/// A block, after the chain as it was before it.
pub(crate) type MadeBlock = (Arc<Chain>, Arc<Block>);

/// The end of the chain of one rollup.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The last ones, the newest at the end; never none.
    recent: VecDeque<Arc<Block>>,
    numbers: B256Map<u64>,
    /// Block and index of every transaction.
    transactions: B256Map<(u64, usize)>,
    /// The chain as it was after the last blocks; the newest at the end.
    views: VecDeque<Arc<Chain>>,
    /// The last block that is attested by stake.
    finalized: u64,
}

/// Why a block's state cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoState {
    #[error("header not found: there is no such block")]
    Unknown,
    #[error("header not found: no such block is among the last {STATES_MAX}, whose states are kept")]
    UnknownHash,
    #[error("the state of block {block} is not kept: that of block {first} and later ones is")]
    Pruned { block: u64, first: u64 },
}

impl Blocks {
    /// The last blocks and views of a chain, both up to its head.
    pub(crate) fn new(recent: Vec<Block>, views: Vec<Chain>) -> Self {
        let mut blocks = Self {
            recent: VecDeque::new(),
            numbers: B256Map::default(),
            transactions: B256Map::default(),
            views: views.into_iter().map(Arc::new).collect(),
            finalized: 0,
        };
        for block in recent {
            blocks.remember(Arc::new(block));
        }
        assert!(
            blocks.recent.back().is_some_and(|last| last.header.hash() == blocks.head().hash()),
            "the last block and the last view are not the same"
        );
        blocks
    }

    /// Everything up to this block is attested by stake.
    pub(crate) fn finalize(&mut self, number: u64) {
        self.finalized = number;
    }

    /// Takes a block in, with the chain as it is after it.
    pub(crate) fn push(&mut self, block: Block, chain: Chain) {
        self.remember(Arc::new(block));
        self.views.push_back(Arc::new(chain));
        if self.views.len() > STATES_MAX {
            self.views.pop_front();
        }
    }

    fn remember(&mut self, block: Arc<Block>) {
        let number = block.header.number;
        self.numbers.insert(block.header.hash(), number);
        for (index, transaction) in block.transactions.iter().enumerate() {
            self.transactions.insert(*transaction.inner().tx_hash(), (number, index));
        }
        self.recent.push_back(block);
        if self.recent.len() > STATES_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.numbers.remove(&oldest.header.hash());
            for transaction in &oldest.transactions {
                self.transactions.remove(transaction.inner().tx_hash());
            }
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
        let number = match id {
            BlockId::Hash(hash) => self.number_of(hash.block_hash).ok_or(NoState::UnknownHash)?,
            BlockId::Number(tag) => self.number(tag),
        };
        if number > self.head().number {
            return Err(NoState::Unknown);
        }
        let first = self.views.front().map_or(0, |view| view.head().number);
        let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let view = index.and_then(|index| self.views.get(index));
        view.cloned().ok_or(NoState::Pruned { block: number, first })
    }

    /// The block that a height of the sequencer made, with the chain as it was before it; none if it made none.
    pub(crate) fn made_at(&self, height: Height) -> Result<Option<MadeBlock>, NoState> {
        let index = self.views.partition_point(|view| view.height() < height);
        let Some(after) = self.views.get(index).filter(|after| index == 0 || after.height() == height) else {
            return Ok(None);
        };
        let number = after.head().number;
        match (index.checked_sub(1).and_then(|index| self.views.get(index)), self.block(number)) {
            (Some(before), Some(block)) => Ok(Some((Arc::clone(before), Arc::clone(block)))),
            // A block 0 is of no height.
            _ if number == 0 => Ok(None),
            _ => Err(NoState::Pruned { block: number - 1, first: number }),
        }
    }

    /// One of the last blocks.
    pub(crate) fn block(&self, number: u64) -> Option<&Arc<Block>> {
        let first = self.recent.front()?.header.number;
        self.recent.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// The block of a transaction, and its index there, if it is one of the last blocks.
    pub(crate) fn transaction(&self, hash: TxHash) -> Option<(Arc<Block>, usize)> {
        let (number, index) = self.transactions.get(&hash)?;
        Some((Arc::clone(self.block(*number)?), *index))
    }

    /// The number of one of the last blocks.
    pub(crate) fn number_of(&self, hash: B256) -> Option<u64> {
        self.numbers.get(&hash).copied()
    }

    /// The number that a tag stands for. There is no block under way, so `pending` is the last one.
    pub(crate) fn number(&self, tag: BlockNumberOrTag) -> u64 {
        match tag {
            BlockNumberOrTag::Number(number) => number,
            BlockNumberOrTag::Earliest => 0,
            BlockNumberOrTag::Finalized => self.finalized,
            BlockNumberOrTag::Latest | BlockNumberOrTag::Pending | BlockNumberOrTag::Safe => self.head().number,
        }
    }
}
