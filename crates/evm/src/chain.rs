//! Derivation: from what a rollup was given at a height to the block that this makes.
//!
//! One block for each height with content, on every node the same. Whoever calls this has verified that nothing is
//! missing: the lane is complete, and no height with content lies between this one and the last.

use crate::{
    AccountProof, Block, BlockBuilder, Changes, Origin, RollupGenesis, RollupRules, Skipped, State, TransactionError,
    recover,
};
use alloy_consensus::{Header, Sealed, Transaction as _};
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use chorale_types::{Height, Lane, LaneItem, Outcome, Place, RollupId, TxId};

/// The address in a transaction's access list that marks it as a leg of the bundle which the entry's one slot names.
/// Nobody has its key, and it has no code.
pub const MARKER: Address = address!("b0dd1e0000000000000000000000000000000000");

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
    /// The height.
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
    /// Why.
    pub reason: Reason,
}

/// Why something that was ordered had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is no transaction of this rollup.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// It names a bundle, and executes only at its place in that bundle.
    #[error("it is a leg of bundle {0}, and has no effect but at its place in that bundle")]
    Leg(B256),
    /// Ethereum's rules forbid it where it stands.
    #[error(transparent)]
    Skipped(#[from] Skipped),
}

/// Why a height cannot be derived: whoever follows handed on the wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfOrder {
    /// It has been derived, or it is from before the last that was.
    #[error("height {given} is not after the last one, {last}")]
    Height {
        /// What was given.
        given: Height,
        /// The last height derived.
        last: Height,
    },
    /// Another rollup's.
    #[error("this is the lane of rollup {given}, and the chain is that of {expected}")]
    Rollup {
        /// Whose lane was given.
        given: RollupId,
        /// Whose chain this is.
        expected: RollupId,
    },
}

impl Chain {
    /// The chain before its first block.
    #[must_use]
    pub fn new(genesis: RollupGenesis) -> Self {
        let RollupGenesis { rules, state, header } = genesis;
        Self { rules, state, head: header, height: Height(0) }
    }

    /// The last block's header; that of block 0 at first.
    #[must_use]
    pub const fn head(&self) -> &Sealed<Header> {
        &self.head
    }

    /// The height that the last block is from; 0 at first.
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

    /// Makes the block of a height. Of one payload bundles come first, so that no transaction beside them can make one
    /// fail; and the payloads in their order in the header, so that the leader's own stays behind the builder's.
    ///
    /// # Errors
    ///
    /// It is not the next one of this chain. Nothing has changed.
    pub fn derive(&mut self, outcome: &Outcome, lane: &Lane) -> Result<Derived, OutOfOrder> {
        let expected = RollupId(self.rules.chain_id);
        if lane.rollup() != expected {
            return Err(OutOfOrder::Rollup { given: lane.rollup(), expected });
        }
        if outcome.height <= self.height {
            return Err(OutOfOrder::Height { given: outcome.height, last: self.height });
        }
        let origin = self.origin(outcome);
        let mut builder = BlockBuilder::begin(&self.rules, &self.head, origin, &mut self.state);
        let mut skipped = Vec::new();
        for item in in_phases(lane) {
            if let Err(reason) = execute(&mut builder, self.rules.chain_id, item) {
                skipped.push(NoEffect { place: item.place, id: item.id, reason });
            }
        }
        let block = builder.finish();
        self.head = block.header.clone();
        self.height = outcome.height;
        Ok(Derived { height: outcome.height, block, skipped, changes: self.state.take_changes() })
    }

    fn origin(&self, outcome: &Outcome) -> Origin {
        let sequencer_block = B256::from_slice(outcome.header.as_ref());
        let chain_id = self.rules.chain_id.to_be_bytes();
        Origin {
            // Chain time rises, but a genesis may say that the rollup begins later.
            timestamp_s: (outcome.timestamp.0 / 1000).max(self.head.timestamp),
            prev_randao: keccak256([sequencer_block.as_slice(), &chain_id].concat()),
            sequencer_block,
            extra_data: Bytes::copy_from_slice(&outcome.height.0.to_be_bytes()),
        }
    }
}

/// The items in the order in which they execute.
fn in_phases(lane: &Lane) -> Vec<&LaneItem> {
    let mut items: Vec<&LaneItem> = lane.items().iter().collect();
    items.sort_by_key(|item| {
        let (payload, unit, leg) = item.place.order();
        (payload, item.place.leg.is_none(), unit, leg)
    });
    items
}

fn execute(builder: &mut BlockBuilder<'_>, chain_id: u64, item: &LaneItem) -> Result<(), Reason> {
    let transaction = recover(&item.data, chain_id)?;
    if let Some(bundle) = bundle_of(transaction.inner().access_list().map_or(&[][..], |list| &list.0)) {
        return Err(Reason::Leg(bundle));
    }
    builder.execute(transaction)?;
    Ok(())
}

/// The bundle that an access list says its transaction is a leg of. Any entry of the marker counts, wherever it stands:
/// what looks like a leg has no life of its own.
fn bundle_of(access_list: &[alloy_eips::eip2930::AccessListItem]) -> Option<B256> {
    let marked = access_list.iter().find(|entry| entry.address == MARKER)?;
    Some(marked.storage_keys.first().copied().unwrap_or_default())
}
