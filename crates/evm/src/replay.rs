//! Executing what a height made once more, to look at its transactions.
//!
//! A block says what is in it, and not what the legs of bundles were told by other rollups. So all blocks of the height are
//! executed together, with their bundles: everything that decided about them is there again. Where a domain has no
//! [synchronous calls](crate::synchronous), a leg needs nobody else, and one block can be executed alone.

use crate::{
    Block, BlockBuilder, Chain, Ground, InspectError, Inspected, InspectedContext, Origin, SignedTransaction, State,
    bundle::{self, Builders, SignedLeg},
};
use alloy_primitives::TxHash;
use chorale_types::RollupId;
use revm::Inspector;
use std::collections::{BTreeMap, BTreeSet};

/// A block, and the chain as it was before it.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// Its next block.
    pub block: &'a Block,
}

/// The legs of a bundle that took effect, in order: rollup, and hash of the transaction.
pub type Legs = Vec<(RollupId, TxHash)>;

/// A transaction where it stood, before it is executed.
pub struct Scene<'s, 'a> {
    /// The rollup.
    pub rollup: RollupId,
    /// Which of the block's transactions it is.
    pub index: usize,
    /// The transaction.
    pub transaction: &'s SignedTransaction,
    place: Place<'s, 'a>,
}

enum Place<'s, 'a> {
    Alone(Box<Ground<'a>>),
    /// A leg, with the states of all rollups that its bundle is for, and those that it can call.
    Leg {
        overlays: &'s mut BTreeMap<RollupId, Ground<'a>>,
        later: &'s BTreeSet<RollupId>,
    },
}

impl<'a> Scene<'_, 'a> {
    /// What it stands on.
    #[expect(clippy::missing_panics_doc, reason = "every leg's rollup has an overlay")]
    pub fn ground(&mut self) -> &mut Ground<'a> {
        match &mut self.place {
            Place::Alone(ground) => ground,
            Place::Leg { overlays, .. } => overlays.get_mut(&self.rollup).expect("every leg's rollup has an overlay"),
        }
    }

    /// Shows it to an inspector: what it does on its own rollup, where a call to another one is one to a precompiled
    /// contract, with its answer.
    ///
    /// # Errors
    ///
    /// As [`Ground::inspect_call`].
    pub fn inspect<I>(&mut self, inspector: &mut I) -> Result<Inspected, InspectError>
    where
        I: Inspector<InspectedContext<'a>>,
    {
        match &mut self.place {
            Place::Alone(ground) => ground.inspect(self.transaction, inspector),
            Place::Leg { overlays, later } => {
                let (own, remotes) = bundle::reach(overlays, self.rollup, self.transaction, later);
                own.inspect_leg(self.transaction, remotes, inspector)
            }
        }
    }
}

/// Executes the blocks of a height once more, on copies of the states, and shows each of their transactions where it stood.
/// `bundles` are those of the height that took effect, in order; none where legs call nobody. Ends when `look` says so.
///
/// # Errors
///
/// What `look` says.
///
/// # Panics
///
/// If these are not the blocks and bundles of one height, with the chains as they were before it: what is shown would not be
/// what happened.
pub fn replay<E>(
    rollups: &BTreeMap<RollupId, Before<'_>>,
    bundles: &[Legs],
    look: impl FnMut(Scene<'_, '_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut states: BTreeMap<RollupId, State> =
        rollups.iter().map(|(rollup, before)| (*rollup, before.chain.state().clone())).collect();
    let begun = states.iter_mut().map(|(rollup, state)| (*rollup, begin(&rollups[rollup], state)));
    let builders = begun.collect();
    let mut replay = Replay { rollups, builders, look };
    for legs in bundles {
        replay.bundle(legs)?;
    }
    rollups.keys().try_for_each(|rollup| replay.alone_until(*rollup, None))
}

fn begin<'a>(Before { chain, block }: &Before<'_>, state: &'a mut State) -> BlockBuilder<'a> {
    let header = &block.header;
    assert_eq!(header.parent_hash, chain.head().hash(), "block {} is not the next one", header.number);
    let origin = Origin {
        timestamp_s: header.timestamp,
        prev_randao: header.mix_hash,
        sequencer_block: header.parent_beacon_block_root.expect("every block has one"),
        extra_data: header.extra_data.clone(),
    };
    BlockBuilder::begin(chain.rules(), chain.head(), origin, state)
}

struct Replay<'r, 'a, L> {
    rollups: &'r BTreeMap<RollupId, Before<'r>>,
    builders: Builders<'a>,
    look: L,
}

impl<'r, E, L: FnMut(Scene<'_, '_>) -> Result<(), E>> Replay<'r, '_, L> {
    fn block(&self, rollup: RollupId) -> &'r Block {
        self.rollups.get(&rollup).expect("every rollup of a leg has a block").block
    }

    /// How many transactions of a block are executed: the index of the next one.
    fn next(&self, rollup: RollupId) -> usize {
        self.builders[&rollup].receipts().len()
    }

    /// Goes on to a leg, or to the end of the block.
    fn alone_until(&mut self, rollup: RollupId, leg: Option<TxHash>) -> Result<(), E> {
        let block = self.block(rollup);
        loop {
            let index = self.next(rollup);
            let transaction = block.transactions.get(index);
            if transaction.map(|transaction| *transaction.inner().tx_hash()) == leg {
                return Ok(());
            }
            let transaction = transaction.expect("the leg is in the block");
            let place = Place::Alone(Box::new(Ground::on(&self.builders[&rollup])));
            (self.look)(Scene { rollup, index, transaction, place })?;
            let builder = self.builders.get_mut(&rollup).expect("it has a block");
            let done = builder.execute(transaction.clone());
            done.expect("a transaction of a block can be in it");
            self.check(rollup);
        }
    }

    fn bundle(&mut self, legs: &Legs) -> Result<(), E> {
        for (position, (rollup, hash)) in legs.iter().enumerate() {
            if legs[..position].iter().all(|(before, _)| before != rollup) {
                self.alone_until(*rollup, Some(*hash))?;
            }
        }
        let (signed, indices) = self.signed(legs);
        let mut overlays: BTreeMap<RollupId, Ground<'_>> =
            signed.iter().map(|(rollup, _)| (*rollup, Ground::on(&self.builders[rollup]))).collect();
        let mut staged = Vec::with_capacity(signed.len());
        for (position, (rollup, transaction)) in signed.iter().enumerate() {
            let later: BTreeSet<RollupId> = signed[position + 1..].iter().map(|(rollup, _)| *rollup).collect();
            let place = Place::Leg { overlays: &mut overlays, later: &later };
            (self.look)(Scene { rollup: *rollup, index: indices[position], transaction, place })?;
            let done = bundle::step(&mut overlays, *rollup, transaction, &later);
            staged.push(done.expect("a leg of a bundle that took effect succeeds"));
        }
        drop(overlays);
        bundle::apply(&mut self.builders, signed, staged);
        legs.iter().for_each(|(rollup, _)| self.check(*rollup));
        Ok(())
    }

    /// The legs of a bundle, which come next, with their indices in the blocks.
    fn signed(&self, legs: &Legs) -> (Vec<SignedLeg>, Vec<usize>) {
        let mut next: BTreeMap<RollupId, usize> = BTreeMap::new();
        let leg = |(rollup, hash): &(RollupId, TxHash)| {
            let index = next.entry(*rollup).or_insert_with(|| self.next(*rollup));
            let transaction = &self.block(*rollup).transactions[*index];
            assert_eq!(transaction.inner().tx_hash(), hash, "legs of a bundle are next to each other");
            *index += 1;
            ((*rollup, transaction.clone()), *index - 1)
        };
        legs.iter().map(leg).unzip()
    }

    /// That what came of the last transactions is what did then. A wrong trace would be worse than none.
    fn check(&self, rollup: RollupId) {
        let (receipts, block) = (self.builders[&rollup].receipts(), self.block(rollup));
        let last = receipts.len();
        assert_eq!(
            receipts.last(),
            block.receipts[..last].last(),
            "transaction {} of block {}",
            last - 1,
            block.header.number
        );
    }
}
