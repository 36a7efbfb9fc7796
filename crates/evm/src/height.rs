//! A height that is being derived: round by round, and in each round independent rollups beside each other.
//!
//! A round is what stands between two points of the order where rollups have to wait for each other: either bundles that
//! execute as a whole, or transactions by themselves. Of the latter no rollup knows another one's; of the former, rollups
//! know each other that any bundle of the round connects, directly or through others. So each such *group* of rollups does
//! its part of a round alone, and what comes of it is the same whoever runs it, and when.

use crate::{
    Block, Chain, Effect, Executor, Known, Marker, NoEffect, Reason, Terms,
    block::PausedBlock,
    bundle::{self, Builders, Executed, OrderedItem},
    burnt::Burnt,
    chain::Standing,
    domain::DerivedBundle,
    executor::run_all,
};
use alloy_primitives::keccak256;
use chorale_types::{BundleId, Digest, Height, LaneItem, RollupId};
use std::collections::{BTreeMap, BTreeSet};

/// One thing to do.
pub(crate) enum Step<'a> {
    /// A bundle that executes as a whole.
    Bundle {
        /// Its id in the order.
        id: BundleId,
        /// What its legs are bound to.
        terms: Terms,
        /// Its legs, in order.
        legs: Vec<OrderedItem<'a>>,
    },
    /// A transaction by itself.
    Alone(OrderedItem<'a>),
}

impl Step<'_> {
    const fn is_alone(&self) -> bool {
        matches!(self, Self::Alone(_))
    }

    fn rollups(&self) -> BTreeSet<RollupId> {
        match self {
            Self::Bundle { legs, .. } => legs.iter().map(|(rollup, _)| *rollup).collect(),
            Self::Alone((rollup, _)) => BTreeSet::from([*rollup]),
        }
    }
}

/// What all parts of a height look at, and none changes.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) standing: &'a Standing<'a>,
    pub(crate) known: &'a Known,
    /// Bindings of the heights before.
    pub(crate) burnt: &'a Burnt,
}

/// What came of a height.
pub(crate) struct Made {
    /// The blocks, and what had no effect in them.
    pub(crate) blocks: BTreeMap<RollupId, (Block, Vec<NoEffect>)>,
    /// In the order in which they stand.
    pub(crate) bundles: Vec<DerivedBundle>,
    pub(crate) burnt: BTreeSet<(Height, Digest)>,
}

/// Where a rollup is between two rounds.
enum Place<'a> {
    Ahead(&'a mut Chain),
    UnderWay(Box<PausedBlock<'a>>),
}

/// A rollup between two rounds.
struct Rollup<'a> {
    id: RollupId,
    place: Place<'a>,
    skipped: Vec<NoEffect>,
}

/// Rollups that know each other in a round, with what they have to do, each thing with its place in the height.
struct Group<'a, 'i> {
    rollups: Vec<Rollup<'a>>,
    steps: Vec<(usize, Step<'i>)>,
}

/// Derives the blocks of all these rollups, which are those that have content. A step is for these only.
pub(crate) fn derive(
    chains: BTreeMap<RollupId, &mut Chain>,
    steps: Vec<Step<'_>>,
    given: Given<'_>,
    executor: &dyn Executor,
) -> Made {
    let ahead = |(id, chain)| (id, Rollup { id, place: Place::Ahead(chain), skipped: Vec::new() });
    let mut rollups: BTreeMap<RollupId, Rollup<'_>> = chains.into_iter().map(ahead).collect();
    let mut bundles: Vec<(usize, DerivedBundle)> = Vec::new();
    let mut burnt = BTreeSet::new();
    let mut rounds = rounds(steps);
    // Blocks end where the last transactions end, without another wait: after bundles that is a round of its own.
    let last = rounds.pop_if(|round| round.iter().all(|(_, step)| step.is_alone())).unwrap_or_default();
    for round in rounds {
        let done = run_all(executor, groups(&mut rollups, round), |group| {
            let mut under_way = UnderWay::begin(group.rollups, given, &burnt);
            group.steps.into_iter().for_each(|(place, step)| under_way.take(place, step));
            under_way.pause()
        });
        for (paused, mut derived, used) in done {
            rollups.extend(paused.into_iter().map(|rollup| (rollup.id, rollup)));
            bundles.append(&mut derived);
            burnt.extend(used);
        }
    }
    let mut by_rollup: BTreeMap<RollupId, Vec<(usize, Step<'_>)>> = BTreeMap::new();
    for (place, step) in last {
        let rollup = step.rollups().pop_first().expect("a transaction is for a rollup");
        by_rollup.entry(rollup).or_default().push((place, step));
    }
    let parts = rollups.into_values().map(|rollup| (by_rollup.remove(&rollup.id).unwrap_or_default(), rollup));
    let blocks = run_all(executor, parts.collect(), |(steps, rollup)| {
        let id = rollup.id;
        let mut under_way = UnderWay::begin(vec![rollup], given, &burnt);
        steps.into_iter().for_each(|(place, step)| under_way.take(place, step));
        (id, under_way.finish(id))
    });
    bundles.sort_by_key(|(place, _)| *place);
    Made {
        blocks: blocks.into_iter().collect(),
        bundles: bundles.into_iter().map(|(_, bundle)| bundle).collect(),
        burnt,
    }
}

/// The steps in their order, with their places, in rounds: all of one are bundles, or none is.
fn rounds(steps: Vec<Step<'_>>) -> Vec<Vec<(usize, Step<'_>)>> {
    let mut rounds: Vec<Vec<(usize, Step<'_>)>> = Vec::new();
    for (place, step) in steps.into_iter().enumerate() {
        match rounds.last_mut() {
            Some(round) if round[0].1.is_alone() == step.is_alone() => round.push((place, step)),
            _ => rounds.push(vec![(place, step)]),
        }
    }
    rounds
}

/// Takes the rollups of a round, in groups that nothing of the round connects; those that have nothing to do in it stay.
fn groups<'a, 'i>(rollups: &mut BTreeMap<RollupId, Rollup<'a>>, round: Vec<(usize, Step<'i>)>) -> Vec<Group<'a, 'i>> {
    let mut connected: Vec<BTreeSet<RollupId>> = Vec::new();
    for (_, step) in &round {
        let mut all = step.rollups();
        connected.retain(|group| {
            let apart = group.is_disjoint(&all);
            if !apart {
                all.extend(group);
            }
            apart
        });
        connected.push(all);
    }
    let group = |ids: &BTreeSet<RollupId>| Group {
        rollups: ids.iter().map(|id| rollups.remove(id).expect("steps are for rollups with content")).collect(),
        steps: Vec::new(),
    };
    let mut groups: Vec<Group<'a, 'i>> = connected.iter().map(group).collect();
    for (place, step) in round {
        let of = step.rollups();
        let index = connected.iter().position(|ids| !ids.is_disjoint(&of)).expect("it is in one of them");
        groups[index].steps.push((place, step));
    }
    groups
}

/// A group during a round.
struct UnderWay<'a, 'g> {
    builders: Builders<'a>,
    skipped: BTreeMap<RollupId, Vec<NoEffect>>,
    bundles: Vec<(usize, DerivedBundle)>,
    /// Bindings that the group used up in this round. Those of other groups are none of its business: equal bindings are of
    /// equal legs, and these are of one group.
    burnt: BTreeSet<(Height, Digest)>,
    /// Bindings that were used up in the rounds before.
    burnt_before: &'g BTreeSet<(Height, Digest)>,
    given: Given<'g>,
}

type Paused<'a> = (Vec<Rollup<'a>>, Vec<(usize, DerivedBundle)>, BTreeSet<(Height, Digest)>);

impl<'a, 'g> UnderWay<'a, 'g> {
    fn begin(rollups: Vec<Rollup<'a>>, given: Given<'g>, burnt_before: &'g BTreeSet<(Height, Digest)>) -> Self {
        let (mut builders, mut skipped) = (Builders::new(), BTreeMap::new());
        for Rollup { id, place, skipped: before } in rollups {
            let builder = match place {
                Place::Ahead(chain) => chain.begin(given.standing),
                Place::UnderWay(paused) => paused.resume(),
            };
            builders.insert(id, builder);
            skipped.insert(id, before);
        }
        Self { builders, skipped, bundles: Vec::new(), burnt: BTreeSet::new(), burnt_before, given }
    }

    fn pause(mut self) -> Paused<'a> {
        let rollup = |(id, builder): (RollupId, crate::BlockBuilder<'a>)| Rollup {
            id,
            place: Place::UnderWay(Box::new(builder.pause())),
            skipped: self.skipped.remove(&id).unwrap_or_default(),
        };
        (self.builders.into_iter().map(rollup).collect(), self.bundles, self.burnt)
    }

    /// Of the one rollup of the group.
    fn finish(mut self, rollup: RollupId) -> (Block, Vec<NoEffect>) {
        let builder = self.builders.remove(&rollup).expect("it began the block");
        (builder.finish(), self.skipped.remove(&rollup).unwrap_or_default())
    }

    fn take(&mut self, place: usize, step: Step<'_>) {
        match step {
            Step::Alone((rollup, item)) => {
                if let Err(reason) = self.execute(rollup, item) {
                    self.skip(rollup, item, reason);
                }
            }
            Step::Bundle { id, terms, legs } => {
                let expiry = terms.expiry;
                let is_burnt = |binding: &Digest| {
                    self.given.burnt.contains(expiry, binding)
                        || self.burnt_before.contains(&(expiry, *binding))
                        || self.burnt.contains(&(expiry, *binding))
                };
                let Executed { effect, burns } =
                    bundle::execute(&mut self.builders, &terms, &legs, self.given.known, is_burnt);
                self.burnt.extend(burns.map(|binding| (expiry, binding)));
                if effect != Effect::Committed {
                    for (rollup, item) in legs {
                        self.skip(rollup, item, Reason::Bundle(id));
                    }
                }
                self.bundles.push((place, DerivedBundle { id, effect }));
            }
        }
    }

    fn execute(&mut self, rollup: RollupId, item: &LaneItem) -> Result<(), Reason> {
        let transaction = self.given.known.recover(rollup, item)?;
        match transaction.marker() {
            Marker::None => {}
            Marker::Leg(binding) => return Err(Reason::Leg(binding)),
            Marker::Malformed => return Err(Reason::Marker),
        }
        self.builders.get_mut(&rollup).expect("every lane has a block").execute(transaction)?;
        Ok(())
    }

    fn skip(&mut self, rollup: RollupId, item: &LaneItem, reason: Reason) {
        let hash = keccak256(&item.data[..]);
        self.skipped.entry(rollup).or_default().push(NoEffect { place: item.place, id: item.id, hash, reason });
    }
}
