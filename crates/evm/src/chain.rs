//! One rollup on its way: rules, state and last block.

use crate::{
    AccountProof, Block, BlockBuilder, BlockTimes, Changes, DomainRules, Origin, RollupGenesis, RollupRules, Skipped,
    State, TransactionError,
};
use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256, Bytes, TxHash, U256, keccak256};
use chorale_types::{BundleId, Digest, Height, Outcome, Place, TxId};
use revm::context::result::InvalidTransaction;

/// A rollup on its way. A clone is a snapshot of it after a block, and costs as little as that of its [`State`].
#[derive(Clone, Debug)]
pub struct Chain {
    rules: RollupRules,
    state: State,
    head: Sealed<Header>,
    height: Height,
}

/// What a height made.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The height at which the block is attested: the one that it is from or, if blocks are by the second, the one that
    /// closed it.
    pub height: Height,
    /// The block.
    pub block: Block,
    /// What had no effect in it, in the order in which it was come to.
    pub skipped: Vec<NoEffect>,
    /// How the state changed: to write down, or to take back.
    pub changes: Changes,
}

/// Something that was ordered and had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEffect {
    /// Where it stands in the shared order.
    pub place: Place,
    /// The sequencer's name of it.
    pub id: TxId,
    /// What Ethereum calls it: the hash of its bytes.
    pub hash: TxHash,
    /// Why.
    pub reason: Reason,
}

/// Why something that was ordered had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is no transaction of this rollup.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// It is bound to a bundle, and executes only at its place there.
    #[error("it is bound to a bundle by {0}, and has no effect but at its place there")]
    Leg(Digest),
    /// It names the mailbox in its access list, but is bound to no bundle.
    #[error("its access list names the mailbox otherwise than that of a leg, which nothing executes")]
    Marker,
    /// Its bundle has no effect.
    #[error("its bundle, {0}, has no effect")]
    Bundle(BundleId),
    /// Ethereum's rules forbid it where it stands.
    #[error(transparent)]
    Skipped(#[from] Skipped),
}

impl Reason {
    /// Whether the same transaction may take effect at a later height, as it is: it came too early, or found no room.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Skipped(
                Skipped::BlockGas { .. }
                    | Skipped::Invalid(
                        InvalidTransaction::NonceTooHigh { .. } | InvalidTransaction::GasPriceLessThanBasefee
                    )
            )
        )
    }
}

/// A state is not the one that a block left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state root of block {number} of rollup {rollup} is {expected}, and that of the state given is {found}")]
pub struct OtherState {
    /// The rollup.
    pub rollup: u64,
    /// The block.
    pub number: u64,
    /// What its header says.
    pub expected: B256,
    /// What the state has.
    pub found: B256,
}

impl Chain {
    /// The chain before its first block.
    #[must_use]
    pub fn new(genesis: RollupGenesis) -> Self {
        let RollupGenesis { rules, state, header } = genesis;
        Self { rules, state, head: header, height: Height(0) }
    }

    /// With what its domain says.
    pub(crate) fn in_domain(mut self, rules: DomainRules) -> Self {
        self.rules.synchronous_calls = rules.synchronous_calls;
        self
    }

    /// The chain as it was after the block with this header, which is attested at a height, 0 if it is block 0: from a state
    /// that was written down.
    ///
    /// # Errors
    ///
    /// The state is not the one that the block left.
    pub fn restore(
        rules: RollupRules,
        mut state: State,
        head: Sealed<Header>,
        height: Height,
    ) -> Result<Self, OtherState> {
        let found = state.root();
        if found != head.state_root {
            return Err(OtherState { rollup: rules.chain_id, number: head.number, expected: head.state_root, found });
        }
        Ok(Self { rules, state, head, height })
    }

    /// The last block's header; that of block 0 at first.
    #[must_use]
    pub const fn head(&self) -> &Sealed<Header> {
        &self.head
    }

    /// The height at which the last block is attested, which is its extra data; 0 at first.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The state after the last block.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &RollupRules {
        &self.rules
    }

    /// The base fee of the next block, in wei for a unit of gas.
    #[must_use]
    pub fn next_base_fee(&self) -> u64 {
        self.rules.next_base_fee(&self.head)
    }

    /// What proves an account and slots of it to whoever knows the last block's state root.
    #[must_use]
    pub fn account_proof(&self, address: Address, slots: &[U256]) -> AccountProof {
        self.state.account_proof(address, slots)
    }

    /// Begins the block that stands there.
    pub(crate) fn begin(&mut self, standing: &Standing<'_>) -> BlockBuilder<'_> {
        let origin = self.origin(standing);
        BlockBuilder::begin(&self.rules, &self.head, origin, &mut self.state)
    }

    /// Goes on to the block that was made at a height.
    pub(crate) fn advance(&mut self, height: Height, block: Block, skipped: Vec<NoEffect>) -> Derived {
        self.head = block.header.clone();
        self.height = height;
        Derived { height, block, skipped, changes: self.state.take_changes() }
    }

    fn origin(&self, &Standing { last, height, blocks }: &Standing<'_>) -> Origin {
        let sequencer_block = B256::from_slice(last.header.as_ref());
        let chain_id = self.rules.chain_id.to_be_bytes();
        // Chain time rises, but a genesis may say that the rollup begins later.
        let earliest_s = match blocks {
            BlockTimes::Height => self.head.timestamp,
            BlockTimes::Second => self.head.timestamp.saturating_add(1),
        };
        Origin {
            timestamp_s: last.timestamp.second().max(earliest_s),
            prev_randao: keccak256([sequencer_block.as_slice(), &chain_id].concat()),
            sequencer_block,
            extra_data: Bytes::copy_from_slice(&height.0.to_be_bytes()),
        }
    }
}

/// Where a block stands in the shared order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    /// What the last height brought that has content in it: of any rollup of the domain.
    pub(crate) last: &'a Outcome,
    /// The height at which it is attested.
    pub(crate) height: Height,
    /// What makes a block.
    pub(crate) blocks: BlockTimes,
}
