//! Derivation: from what the rollups of a domain were given at a height to the blocks that this makes.
//!
//! One block for each height with content, or for each second with content, on every node the same. Whoever calls this has verified that nothing is
//! missing: lanes are complete, and no height with content of any rollup of the domain lies between this one and the last.
//!
//! # Phases of a height
//!
//! Of one payload bundles that execute as a whole come first, so that no transaction beside them can make one fail (those
//! that are only ordered together are transactions like others); and payloads in their order in the header, so that the
//! leader's own stays behind the builder's. Between two transactions of different rollups there is no order: nothing but a
//! bundle touches two of them.
//!
//! # Blocks by the second
//!
//! Ethereum wants timestamps in whole seconds, each later than the one before, and unmodified clients take no other blocks.
//! In a domain whose blocks are [by the second](BlockTimes::Second), the heights whose chain time is in one second make one
//! block together: one height after the other, each with its phases. It is a rule of the whole domain: were it one of a
//! rollup, the legs of a bundle would be seen at different heights.
//!
//! The second is closed by the first height of a later one, with content or without: that height is a function of the chain
//! alone, so nobody who sends or withholds content can move it, and at it the block is attested. Its own content makes part
//! of the next block.

mod second;

use crate::{
    BlockTimes, Chain, Derived, DomainRules, Effect, Executor, InTurn, Known, RollupGenesis, Terms,
    bundle::OrderedItem,
    burnt::Burnt,
    chain::Standing,
    height::{self, Given, Made, Step},
};
use chorale_types::{
    Atomicity, BundleId, ChainId, Digest, DomainId, ExecutedBundle, Execution, ExecutionOutcome, Height, Lane,
    OrderedBundle, Outcome, RollupHead, RollupId,
};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// The rollups of a domain on their way.
#[derive(Clone, Debug)]
pub struct Domain {
    chain: ChainId,
    id: DomainId,
    blocks: BlockTimes,
    chains: BTreeMap<RollupId, Chain>,
    height: Height,
    /// Bindings of bundles that were executed.
    burnt: Burnt,
}

/// What the rollups of a domain were given at a height.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// What the height brought.
    pub outcome: &'a Outcome,
    /// The lanes of the domain's rollups, of those that have one; at least one.
    pub lanes: &'a [Lane],
    /// All bundles that have legs in them.
    pub bundles: &'a [OrderedBundle],
}

/// What a height made, or a second.
#[derive(Clone, Debug)]
pub struct DerivedHeight {
    /// What was made of it, as it is attested.
    pub outcome: ExecutionOutcome,
    /// Where all rollups of the domain are after it, by rollup.
    pub heads: Vec<RollupHead>,
    /// The blocks, by rollup.
    pub blocks: BTreeMap<RollupId, Derived>,
    /// What became of the bundles that were promised to execute as a whole, in the order in which they did.
    pub bundles: Vec<DerivedBundle>,
    /// Bindings that no bundle can have any more, each until its height is over. What is attested is the
    /// [root](crate::burnt_root) of all from earlier heights and this one that could still be ordered after it.
    pub burnt: Vec<(Height, Digest)>,
}

/// A bundle that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedBundle {
    /// Its id in the order.
    pub id: BundleId,
    /// What became of it.
    pub effect: Effect,
}

/// Why a height cannot be derived: whoever follows handed on the wrong one, or not all of it.
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
    /// A rollup of no or another domain, or one that comes twice.
    #[error("a lane of rollup {0}, which is none of the domain's, or the second one")]
    Rollup(RollupId),
    /// There is nothing to derive.
    #[error("height {0} has no lane")]
    Empty(Height),
    /// A bundle has legs in the lanes, and its terms are missing, or are another's.
    #[error("bundle {0} has legs in the lanes, and its terms are not given, or are not those that its id names")]
    Terms(BundleId),
    /// A bundle that executes as a whole has a leg that no lane has.
    #[error("a leg of bundle {0} is in none of the lanes")]
    Leg(BundleId),
    /// A height by itself where blocks are by the second, or the other way round.
    #[error("blocks of this domain are by the {}", match .0 { BlockTimes::Height => "height", BlockTimes::Second => "second" })]
    Blocks(BlockTimes),
    /// Two heights of one block are of different seconds.
    #[error("height {0} is of another second than the heights before it")]
    Second(Height),
    /// What is said to close a second does not.
    #[error("height {0} is not after the second that it is said to close")]
    Closing(Height),
}

impl Domain {
    /// A domain before its first block. Rollups come in any order, each once.
    #[must_use]
    pub fn new(
        chain: ChainId,
        id: DomainId,
        rules: DomainRules,
        rollups: impl IntoIterator<Item = RollupGenesis>,
    ) -> Self {
        let new = |genesis: RollupGenesis| (RollupId(genesis.rules.chain_id), Chain::new(genesis).in_domain(rules));
        let (chains, height, burnt) = (rollups.into_iter().map(new).collect(), Height(0), Burnt::default());
        Self { chain, id, blocks: rules.blocks, chains, height, burnt }
    }

    /// With another rule for what makes a block.
    #[must_use]
    pub const fn with_blocks(mut self, blocks: BlockTimes) -> Self {
        self.blocks = blocks;
        self
    }

    /// A domain after a height that was derived before: from what was written down of it. `burnt` are the
    /// [bindings](DerivedHeight::burnt) of all heights up to then; those that are over by now may be left out.
    #[must_use]
    pub fn restore(
        chain: ChainId,
        id: DomainId,
        chains: impl IntoIterator<Item = Chain>,
        height: Height,
        burnt: impl IntoIterator<Item = (Height, Digest)>,
    ) -> Self {
        let chains = chains.into_iter().map(|chain| (RollupId(chain.rules().chain_id), chain)).collect();
        Self { chain, id, blocks: BlockTimes::default(), chains, height, burnt: burnt.into_iter().collect() }
    }

    /// The sequencers' chain.
    #[must_use]
    pub const fn chain_id(&self) -> ChainId {
        self.chain
    }

    /// Which domain.
    #[must_use]
    pub const fn id(&self) -> DomainId {
        self.id
    }

    /// What makes a block.
    #[must_use]
    pub const fn blocks(&self) -> BlockTimes {
        self.blocks
    }

    /// The last height derived, or the one that closed the last second; 0 at first.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Up to this height everything is in blocks: what comes next is after it. A height that closes a second is itself part
    /// of the next one.
    #[must_use]
    pub const fn complete(&self) -> Height {
        self.complete_at(self.height)
    }

    /// The same as it is, or was, when a height was the last one.
    #[must_use]
    pub const fn complete_at(&self, height: Height) -> Height {
        match self.blocks {
            BlockTimes::Height => height,
            BlockTimes::Second => Height(height.0.saturating_sub(1)),
        }
    }

    /// Its rollups, by id.
    #[must_use]
    pub const fn chains(&self) -> &BTreeMap<RollupId, Chain> {
        &self.chains
    }

    /// One of its rollups.
    #[must_use]
    pub fn chain(&self, rollup: RollupId) -> Option<&Chain> {
        self.chains.get(&rollup)
    }

    /// Makes the blocks of a height.
    ///
    /// # Errors
    ///
    /// It is not the next one of this domain, or something of it is missing. Nothing has changed.
    pub fn derive(&mut self, content: &Content<'_>) -> Result<DerivedHeight, OutOfOrder> {
        self.derive_known(content, &Known::default())
    }

    /// [`Domain::derive`], where senders of some transactions are known: finding one takes longer than a payment.
    ///
    /// # Errors
    ///
    /// As [`Domain::derive`].
    pub fn derive_known(&mut self, content: &Content<'_>, known: &Known) -> Result<DerivedHeight, OutOfOrder> {
        self.derive_with(content, known, &InTurn)
    }

    /// [`Domain::derive_known`], where somebody else runs what is independent: what is made does not depend on it.
    ///
    /// # Errors
    ///
    /// As [`Domain::derive`].
    pub fn derive_with(
        &mut self,
        content: &Content<'_>,
        known: &Known,
        executor: &dyn Executor,
    ) -> Result<DerivedHeight, OutOfOrder> {
        if self.blocks != BlockTimes::Height {
            return Err(OutOfOrder::Blocks(self.blocks));
        }
        let steps = self.check(content)?;
        Ok(self.make(std::slice::from_ref(content), steps, content.outcome, (known, executor)))
    }

    /// Makes the blocks of some heights with content, of which `steps` are what there is to do, attested at `attested`.
    fn make(
        &mut self,
        contents: &[Content<'_>],
        steps: Vec<Step<'_>>,
        attested: &Outcome,
        (known, executor): (&Known, &dyn Executor),
    ) -> DerivedHeight {
        let last = contents[contents.len() - 1].outcome;
        let lanes: BTreeSet<RollupId> =
            contents.iter().flat_map(|content| content.lanes.iter().map(Lane::rollup)).collect();
        let standing = Standing { last, height: attested.height, blocks: self.blocks };
        let with_content = self.chains.iter_mut().filter(|(rollup, _)| lanes.contains(rollup));
        let with_content = with_content.map(|(rollup, chain)| (*rollup, chain)).collect();
        let given = Given { standing: &standing, known, burnt: &self.burnt };
        let Made { blocks, bundles, burnt } = height::derive(with_content, steps, given, executor);
        let advance = |(rollup, (block, skipped))| {
            let chain = self.chains.get_mut(&rollup).expect("it began the block");
            (rollup, chain.advance(attested.height, block, skipped))
        };
        let blocks = blocks.into_iter().map(advance).collect();
        for (expiry, binding) in &burnt {
            self.burnt.insert(*expiry, *binding);
        }
        let previous = std::mem::replace(&mut self.height, attested.height);
        self.burnt.forget_until(self.complete());
        let heads = self.heads();
        let outcome = self.outcome(previous, attested.root(), &heads, &bundles);
        DerivedHeight { outcome, heads, blocks, bundles, burnt: burnt.into_iter().collect() }
    }

    /// Where its rollups are, by rollup.
    #[must_use]
    pub fn heads(&self) -> Vec<RollupHead> {
        let head = |(rollup, chain): (&RollupId, &Chain)| {
            let header = chain.head();
            let (block, state) = (header.hash().0.into(), header.state_root.0.into());
            RollupHead { rollup: *rollup, number: header.number, block, state }
        };
        self.chains.iter().map(head).collect()
    }

    fn outcome(
        &mut self,
        previous: Height,
        order: Digest,
        heads: &[RollupHead],
        bundles: &[DerivedBundle],
    ) -> ExecutionOutcome {
        let attested = |bundle: &DerivedBundle| ExecutedBundle { id: bundle.id, effect: bundle.effect.attested() };
        let bundles: Vec<ExecutedBundle> = bundles.iter().map(attested).collect();
        ExecutionOutcome {
            chain: self.chain,
            domain: self.id,
            height: self.height,
            previous,
            order,
            rollups: ExecutionOutcome::rollups_root(heads),
            bundles: ExecutionOutcome::bundles_root(&bundles),
            burnt: self.burnt.root(),
        }
    }

    /// What there is to do at a height, in order, if it is the next one and all of it is there.
    fn check<'a>(&self, content: &Content<'a>) -> Result<Vec<Step<'a>>, OutOfOrder> {
        let Content { outcome, lanes, bundles } = *content;
        let last = self.complete();
        if outcome.height <= last {
            return Err(OutOfOrder::Height { given: outcome.height, last });
        }
        let mut rollups = BTreeSet::new();
        for lane in lanes {
            if !self.chains.contains_key(&lane.rollup()) || !rollups.insert(lane.rollup()) {
                return Err(OutOfOrder::Rollup(lane.rollup()));
            }
        }
        if lanes.is_empty() {
            return Err(OutOfOrder::Empty(outcome.height));
        }
        let terms: BTreeMap<BundleId, &OrderedBundle> = bundles.iter().map(|bundle| (bundle.id, bundle)).collect();
        steps((self.chain, self.id), lanes, &terms)
    }
}

/// All items of a height, in the order in which they execute: legs of one bundle together.
fn steps<'a>(
    (chain, domain): (ChainId, DomainId),
    lanes: &'a [Lane],
    bundles: &BTreeMap<BundleId, &OrderedBundle>,
) -> Result<Vec<Step<'a>>, OutOfOrder> {
    let of_lane = |lane: &'a Lane| lane.items().iter().map(|item| (lane.rollup(), item));
    let mut items: Vec<OrderedItem<'a>> = lanes.iter().flat_map(of_lane).collect();
    items.sort_by_key(|(_, item)| item.place.order());
    let mut terms: BTreeMap<BundleId, Option<Terms>> = BTreeMap::new();
    for leg in items.iter().filter_map(|(_, item)| item.place.leg) {
        if let Entry::Vacant(entry) = terms.entry(leg.bundle) {
            entry.insert(terms_of((chain, domain), bundles, leg.bundle)?);
        }
    }
    let mut steps: Vec<(u8, bool, Step<'a>)> = Vec::with_capacity(items.len());
    for (rollup, item) in items {
        let payload = item.place.payload;
        let bundle = item.place.leg.and_then(|leg| Some((leg.bundle, terms[&leg.bundle]?)));
        match (bundle, steps.last_mut()) {
            (Some((bundle, _)), Some((_, _, Step::Bundle { id, legs, .. }))) if *id == bundle => {
                legs.push((rollup, item));
            }
            (Some((id, terms)), _) => {
                steps.push((payload, false, Step::Bundle { id, terms, legs: vec![(rollup, item)] }))
            }
            (None, _) => steps.push((payload, true, Step::Alone((rollup, item)))),
        }
    }
    // Stable: within a phase they stay in the global order.
    steps.sort_by_key(|(payload, is_alone, _)| (*payload, *is_alone));
    let steps: Vec<Step<'a>> = steps.into_iter().map(|(_, _, step)| step).collect();
    for step in &steps {
        if let Step::Bundle { id, legs, .. } = step {
            // Ids bind rollups; what the terms say of these is nobody's proof.
            if !bundles[id].legs.iter().map(|leg| leg.id).eq(legs.iter().map(|(_, item)| item.id)) {
                return Err(OutOfOrder::Leg(*id));
            }
        }
    }
    Ok(steps)
}

/// The terms of a bundle that executes as a whole; `None` if it is only ordered together, or another domain's, which no
/// ledger orders: then its legs are marked transactions without a bundle, and have no effect.
fn terms_of(
    (chain, here): (ChainId, DomainId),
    bundles: &BTreeMap<BundleId, &OrderedBundle>,
    id: BundleId,
) -> Result<Option<Terms>, OutOfOrder> {
    let bundle = bundles.get(&id).filter(|bundle| bundle.is_named_by_its_id()).ok_or(OutOfOrder::Terms(id))?;
    Ok(match bundle.atomicity {
        Atomicity::Inclusion => None,
        Atomicity::Execution(Execution { domain, .. }) if domain != here => None,
        Atomicity::Execution(Execution { domain, payer, max_fee, .. }) => {
            Some(Terms { chain, domain, payer, max_fee, expiry: bundle.expiry, salt: bundle.salt })
        }
    })
}
