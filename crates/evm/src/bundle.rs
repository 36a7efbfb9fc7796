//! Bundles that execute as a whole: all legs take effect, or none.
//!
//! Legs run in order, each on an overlay of its rollup's state, which the block under way does not see. Only when the last
//! one has succeeded are their changes applied, and that cannot fail.

use crate::{
    BlockBuilder, BoundLeg, Chain, Ground, Known, Marker, SignedTransaction, Terms, TransactionError, binding, decode,
    mailbox::Messages,
    precompiles::Calls,
    recover,
    remote::{RemoteEffects, Remotes},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Bytes, Log};
use chorale_types::{BundleEffect, Digest, LaneItem, RollupId};
use revm::{
    context::result::{ExecutionResult, HaltReason, InvalidTransaction},
    state::EvmState,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// So much is kept of what a contract says about a revert.
pub const REVERT_BYTES_MAX: usize = 1_024;

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// All legs are in the blocks of their rollups.
    Committed,
    /// None is, and every rollup is as if the bundle had never been.
    Aborted {
        /// The leg that failed, from 0; none if it was no leg's doing.
        leg: Option<u8>,
        /// Why.
        reason: AbortReason,
    },
    /// None is, because this rollup has not enough gas left at this height. The bundle may be ordered again.
    Unplaced {
        /// Which rollup.
        rollup: RollupId,
    },
}

/// Why a bundle has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbortReason {
    /// The leg is no transaction of its rollup.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The leg is of a type without access list, or delegates accounts.
    #[error("it is a transaction of type {0}; legs are of type 1 or 2")]
    Type(u8),
    /// The leg does not say that it belongs to this bundle, next to the same others, at this place.
    #[error(
        "it is not bound to this bundle: the access list of every leg must end with the mailbox, slot 0 and the binding"
    )]
    Binding,
    /// A bundle with the same binding took effect, or was aborted.
    #[error("a bundle with the same binding was executed before")]
    Burnt,
    /// The legs for one rollup may use more gas than one of its blocks has.
    #[error("the legs for rollup {rollup} may use {limit} gas together, and a block has {block}")]
    Gas {
        /// Which rollup.
        rollup: RollupId,
        /// The sum of their gas limits.
        limit: u64,
        /// The gas of a block.
        block: u64,
    },
    /// Ethereum's rules forbid the leg in this state: nonce, funds, fees, or its limits.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// The leg reverted.
    #[error("it reverted with {output}")]
    Reverted {
        /// What the contract says about it; of more than [`REVERT_BYTES_MAX`] the beginning.
        output: Bytes,
    },
    /// The leg ended by an exception.
    #[error("it ended with {0:?}")]
    Halted(HaltReason),
    /// The leg consumed a message that no leg before it had sent.
    #[error("it consumed a message that no leg before it has sent")]
    Unsent,
    /// The leg sent a message that no later leg consumed.
    #[error("no later leg consumed a message that it sent")]
    Unread,
}

impl AbortReason {
    /// The number that stands for it where it is attested.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::Transaction(_) => 1,
            Self::Type(_) => 2,
            Self::Binding => 3,
            Self::Burnt => 4,
            Self::Gas { .. } => 5,
            Self::Invalid(_) => 6,
            Self::Reverted { .. } => 7,
            Self::Halted(_) => 8,
            Self::Unsent => 9,
            Self::Unread => 10,
        }
    }

    /// Whether the bundle used its binding up: then its legs can never take effect. Otherwise somebody put them together
    /// wrongly, and they may still be ordered as they were signed, until the bundle they are bound to expires.
    #[must_use]
    pub const fn burns(&self) -> bool {
        !matches!(self, Self::Transaction(_) | Self::Type(_) | Self::Binding | Self::Burnt)
    }
}

impl Effect {
    /// How it is attested.
    #[must_use]
    pub const fn attested(&self) -> BundleEffect {
        match self {
            Self::Committed => BundleEffect::Committed,
            Self::Aborted { leg, reason } => {
                BundleEffect::Aborted { leg: *leg, reason: reason.code(), burns: reason.burns() }
            }
            Self::Unplaced { .. } => BundleEffect::Unplaced,
        }
    }
}

/// Blocks under way, by rollup.
pub(crate) type Builders<'a> = BTreeMap<RollupId, BlockBuilder<'a>>;

/// A leg's bytes with the rollup that they are for.
pub type RawLeg<'a> = (RollupId, &'a [u8]);

/// A leg or a transaction, with the rollup whose lane it is from.
pub(crate) type OrderedItem<'a> = (RollupId, &'a LaneItem);

/// What a bundle came to, and whether its binding is used up by it.
pub(crate) struct Executed {
    pub(crate) effect: Effect,
    pub(crate) burns: Option<Digest>,
}

/// Executes a bundle on blocks under way. `is_burnt` knows the bindings of the bundles before.
pub(crate) fn execute(
    builders: &mut Builders<'_>,
    terms: &Terms,
    legs: &[OrderedItem<'_>],
    known: &Known,
    is_burnt: impl Fn(&Digest) -> bool,
) -> Executed {
    let aborted = |(leg, reason), burns| Executed { effect: Effect::Aborted { leg: Some(leg), reason }, burns };
    let raw: Vec<RawLeg<'_>> = legs.iter().map(|(rollup, item)| (*rollup, &item.data[..])).collect();
    let signed = |position: usize| known.recover(legs[position].0, legs[position].1);
    let (binding, legs) = match bound(terms, &raw, signed) {
        Ok(bound) => bound,
        // Whoever made it need not be who made the bundle that its legs are bound to.
        Err(failed) => return aborted(failed, None),
    };
    if is_burnt(&binding) {
        return Executed { effect: Effect::Aborted { leg: None, reason: AbortReason::Burnt }, burns: None };
    }
    let can_call = builders.values().any(|builder| builder.calls() != Calls::Off);
    let limits = limits(&legs, can_call);
    if let Err(reason) = fits(&limits, |rollup| builders[&rollup].gas_limit()) {
        return Executed { effect: Effect::Aborted { leg: None, reason }, burns: Some(binding) };
    }
    if let Some((&rollup, _)) = limits.iter().find(|(rollup, limit)| **limit > builders[*rollup].bundle_gas_left()) {
        return Executed { effect: Effect::Unplaced { rollup }, burns: None };
    }
    match run(&legs, |rollup| Ground::on(&builders[&rollup])) {
        Err(failed) => {
            for (rollup, limit) in limits {
                builders.get_mut(&rollup).expect("every leg's rollup has a block").spend_in_vain(limit);
            }
            aborted(failed, Some(binding))
        }
        Ok(staged) => {
            apply(builders, legs, staged);
            Executed { effect: Effect::Committed, burns: Some(binding) }
        }
    }
}

/// Takes all that the legs did into the blocks. Cannot fail.
pub(crate) fn apply(builders: &mut Builders<'_>, legs: Vec<SignedLeg>, staged: Vec<Staged>) {
    let mut carried: BTreeMap<RollupId, Vec<Log>> = BTreeMap::new();
    for ((rollup, leg), Staged { result, changes, elsewhere }) in legs.into_iter().zip(staged) {
        for RemoteEffects { rollup, changes, logs, gas } in elsewhere {
            let builder = builders.get_mut(&rollup).expect("a later leg is for it");
            builder.take_calls(changes, gas);
            carried.entry(rollup).or_default().extend(logs);
        }
        let logs = carried.remove(&rollup).unwrap_or_default();
        let builder = builders.get_mut(&rollup).expect("every leg's rollup has a block");
        builder.include_staged(leg, result, changes, logs);
    }
    assert!(carried.is_empty(), "a leg called a rollup for which there is no later leg");
}

type Failed = (u8, AbortReason);
pub(crate) type SignedLeg = (RollupId, SignedTransaction);

/// The legs as transactions, if all of them are bound to each other, and by what.
fn bound(
    terms: &Terms,
    legs: &[RawLeg<'_>],
    signed_leg: impl Fn(usize) -> Result<SignedTransaction, TransactionError>,
) -> Result<(Digest, Vec<SignedLeg>), Failed> {
    let claimed = claimed(legs)?;
    let mut signed = Vec::with_capacity(legs.len());
    let mut known = Vec::with_capacity(legs.len());
    for (position, (rollup, _)) in (0u8..).zip(legs) {
        let leg = signed_leg(usize::from(position)).map_err(|error| (position, error.into()))?;
        let bound = BoundLeg::of(*rollup, &leg);
        known.push(bound.ok_or_else(|| (position, AbortReason::Type(leg.inner().tx_type() as u8)))?);
        signed.push((*rollup, leg));
    }
    let binding = binding(terms, &known);
    if claimed == binding { Ok((binding, signed)) } else { Err((0, AbortReason::Binding)) }
}

/// The binding that all legs claim to be bound by. Before their senders are looked for, which takes longest: whoever orders
/// junk as bundles should not cost more than that.
fn claimed(legs: &[RawLeg<'_>]) -> Result<Digest, Failed> {
    let mut claimed = None;
    for (position, (rollup, data)) in (0u8..).zip(legs) {
        let leg = decode(data, rollup.0).map_err(|error| (position, error.into()))?;
        if !BoundLeg::is_possible(&leg) {
            return Err((position, AbortReason::Type(leg.tx_type() as u8)));
        }
        match Marker::of(leg.access_list()) {
            Marker::Leg(binding) if *claimed.get_or_insert(binding) == binding => {}
            _ => return Err((position, AbortReason::Binding)),
        }
    }
    claimed.ok_or((0, AbortReason::Binding))
}

/// The most gas that the legs may use together on each of their rollups: their own, and where they can call others, that of
/// all which come before the last leg for it.
pub(crate) fn limits(legs: &[SignedLeg], can_call: bool) -> BTreeMap<RollupId, u64> {
    let mut limits: BTreeMap<RollupId, u64> = legs.iter().map(|(rollup, _)| (*rollup, 0)).collect();
    for (position, (own, leg)) in legs.iter().enumerate() {
        let later = &legs[position + 1..];
        for (rollup, limit) in &mut limits {
            if rollup == own || can_call && later.iter().any(|(later, _)| later == rollup) {
                *limit = limit.saturating_add(leg.gas_limit());
            }
        }
    }
    limits
}

/// Whether a block that has nothing else could have them.
pub(crate) fn fits(limits: &BTreeMap<RollupId, u64>, block_gas: impl Fn(RollupId) -> u64) -> Result<(), AbortReason> {
    for (&rollup, &limit) in limits {
        let block = block_gas(rollup);
        if limit > block {
            return Err(AbortReason::Gas { rollup, limit, block });
        }
    }
    Ok(())
}

/// What a leg came to, not yet applied.
pub(crate) struct Staged {
    pub(crate) result: ExecutionResult,
    changes: EvmState,
    /// What it did to other rollups.
    elsewhere: Vec<RemoteEffects>,
}

/// A leg with what would come of it.
pub type SimulatedLeg = (SignedTransaction, ExecutionResult);

/// What would come of a bundle after the last blocks of its rollups, if nothing came before it: the legs with their
/// results, or the leg that fails and why. Whether there will be room, nobody knows before.
///
/// # Errors
///
/// Why it would abort, and by which leg.
///
/// # Panics
///
/// If a rollup of a leg is not among the chains.
pub fn simulate(
    chains: &BTreeMap<RollupId, Arc<Chain>>,
    terms: &Terms,
    legs: &[RawLeg<'_>],
) -> Result<Vec<SimulatedLeg>, (Option<u8>, AbortReason)> {
    let whole = |reason| (None, reason);
    let of_leg = |(leg, reason)| (Some(leg), reason);
    let signed = |position: usize| recover(legs[position].1, legs[position].0.0);
    let (_, legs) = bound(terms, legs, signed).map_err(of_leg)?;
    let can_call = chains.values().any(|chain| chain.rules().synchronous_calls);
    fits(&limits(&legs, can_call), |rollup| chains[&rollup].rules().gas_limit).map_err(whole)?;
    let staged = run(&legs, |rollup| Ground::after(&chains[&rollup])).map_err(of_leg)?;
    Ok(legs.into_iter().zip(staged).map(|((_, leg), staged)| (leg, staged.result)).collect())
}

/// Runs the legs on overlays.
fn run<'a>(legs: &[SignedLeg], ground: impl Fn(RollupId) -> Ground<'a>) -> Result<Vec<Staged>, Failed> {
    let mut overlays: BTreeMap<RollupId, Ground<'_>> =
        legs.iter().map(|(rollup, _)| (*rollup, ground(*rollup))).collect();
    let mut messages = Messages::default();
    let mut staged = Vec::with_capacity(legs.len());
    for (position, (rollup, leg)) in (0u8..).zip(legs) {
        let later: BTreeSet<RollupId> = legs[usize::from(position) + 1..].iter().map(|(rollup, _)| *rollup).collect();
        let done = step(&mut overlays, *rollup, leg, &later).map_err(|reason| (position, reason))?;
        messages.follow(position, *rollup, done.result.logs()).map_err(|_| (position, AbortReason::Unsent))?;
        staged.push(done);
    }
    match messages.unread() {
        Some(leg) => Err((leg, AbortReason::Unread)),
        None => Ok(staged),
    }
}

/// Runs a leg, so that the next one sees it. It can call the rollups for which there are later ones.
pub(crate) fn step(
    overlays: &mut BTreeMap<RollupId, Ground<'_>>,
    rollup: RollupId,
    leg: &SignedTransaction,
    later: &BTreeSet<RollupId>,
) -> Result<Staged, AbortReason> {
    let (own, remotes) = reach(overlays, rollup, leg, later);
    let (done, elsewhere) = own.execute_leg(leg, remotes).map_err(AbortReason::Invalid)?;
    match done.result {
        ExecutionResult::Success { .. } => Ok(Staged { result: done.result, changes: done.state, elsewhere }),
        ExecutionResult::Revert { output, .. } => {
            // A copy: what is kept must not be as large as a leg can pay for.
            let output = Bytes::copy_from_slice(&output[..output.len().min(REVERT_BYTES_MAX)]);
            Err(AbortReason::Reverted { output })
        }
        ExecutionResult::Halt { reason, .. } => Err(AbortReason::Halted(reason)),
    }
}

/// What a leg stands on, and what it can call.
pub(crate) fn reach<'g, 'a>(
    overlays: &'g mut BTreeMap<RollupId, Ground<'a>>,
    rollup: RollupId,
    leg: &SignedTransaction,
    later: &BTreeSet<RollupId>,
) -> (&'g mut Ground<'a>, Remotes<'g, 'a>) {
    let mut own = None;
    let mut others = Vec::new();
    for (other, ground) in overlays {
        if *other == rollup {
            own = Some(ground);
        } else if later.contains(other) {
            others.push((*other, ground));
        }
    }
    (own.expect("every leg's rollup has an overlay"), Remotes::new(rollup, leg.signer(), others))
}
