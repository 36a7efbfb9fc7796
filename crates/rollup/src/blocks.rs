//! The blocks that were made, and where transactions are in them.

use alloy_consensus::{Header, Sealed};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, TxHash, map::B256Map};
use chorale_evm::{Block, Chain, Derived};

/// The chain with its past.
#[derive(Debug)]
pub(crate) struct Blocks {
    chain: Chain,
    genesis: Block,
    /// From block 1 on.
    blocks: Vec<Block>,
    numbers: B256Map<u64>,
    /// Block and index of every transaction.
    transactions: B256Map<(u64, usize)>,
}

impl Blocks {
    pub(crate) fn new(chain: Chain) -> Self {
        let header = chain.head().clone();
        let numbers = std::iter::once((header.hash(), 0)).collect();
        let genesis = Block {
            header,
            transactions: Vec::new(),
            receipts: Vec::new(),
            requests: alloy_eips::eip7685::Requests::default(),
        };
        Self { chain, genesis, blocks: Vec::new(), numbers, transactions: B256Map::default() }
    }

    pub(crate) const fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(crate) const fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// Takes the block in that the chain was just given.
    pub(crate) fn push(&mut self, derived: Derived) {
        let Derived { block, .. } = derived;
        let number = block.header.number;
        self.numbers.insert(block.header.hash(), number);
        for (index, transaction) in block.transactions.iter().enumerate() {
            self.transactions.insert(*transaction.inner().tx_hash(), (number, index));
        }
        self.blocks.push(block);
    }

    pub(crate) fn head(&self) -> &Sealed<Header> {
        self.chain.head()
    }

    pub(crate) fn block(&self, number: u64) -> Option<&Block> {
        match number.checked_sub(1) {
            None => Some(&self.genesis),
            Some(index) => self.blocks.get(usize::try_from(index).ok()?),
        }
    }

    /// The block of a transaction, and its index there.
    pub(crate) fn transaction(&self, hash: TxHash) -> Option<(&Block, usize)> {
        let (number, index) = self.transactions.get(&hash)?;
        Some((self.block(*number)?, *index))
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

    pub(crate) fn find(&self, id: BlockId) -> Option<&Block> {
        match id {
            BlockId::Hash(hash) => self.block(self.number_of(hash.block_hash)?),
            BlockId::Number(tag) => self.block(self.number(tag)),
        }
    }
}
