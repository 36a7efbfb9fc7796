//! What a height has to make, found in the plainest way: each rollup by itself executes transactions one by one, as an
//! unmodified client would, and a bundle is tried out on a copy of everything first.

use super::heights::{Ordered, header, outcome_of};
use crate::{Block, BlockBuilder, Domain, MAILBOX, Marker, Origin, SignedTransaction, Skipped, State, recover};
use alloy_consensus::{ReceiptEnvelope, Transaction as _};
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use chorale_types::{Atomicity, BundleId, RollupId};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a bundle, as far as it can be told without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Committed,
    Aborted { leg: Option<u8> },
    Unplaced,
}

type Message = (U256, U256, B256, B256, Bytes);
type Tried = Vec<Result<ReceiptEnvelope, Skipped>>;

/// Goes through a history beside the domain that it is compared with.
#[derive(Default)]
pub(super) struct Oracle {
    /// Legs of bundles that took effect or were aborted: the same legs have no second chance.
    used: BTreeSet<Vec<(u64, Vec<u8>)>>,
}

/// One height.
struct Trial<'a> {
    before: &'a Domain,
    height: u64,
    included: BTreeMap<u64, Vec<SignedTransaction>>,
    /// Gas that bundles which aborted had asked for.
    in_vain: BTreeMap<u64, u64>,
}

impl Oracle {
    /// The blocks of a height after `before`, and what becomes of its bundles.
    pub(super) fn expect(
        &mut self,
        before: &Domain,
        height: u64,
        payloads: &[Vec<Ordered>],
    ) -> (BTreeMap<RollupId, Block>, Vec<(BundleId, Expected)>) {
        let parts = payloads.concat().iter().flat_map(Ordered::parts).collect::<Vec<_>>();
        let included = parts.iter().map(|(rollup, _)| (*rollup, Vec::new())).collect();
        let mut trial = Trial { before, height, included, in_vain: BTreeMap::new() };
        let mut effects = Vec::new();
        for payload in payloads {
            let (bundles, alone): (Vec<_>, Vec<_>) = payload
                .iter()
                .partition(|unit| unit.bundle().is_some_and(|bundle| bundle.atomicity != Atomicity::Inclusion));
            for unit in bundles.into_iter().chain(alone) {
                match unit.bundle() {
                    Some(bundle) if bundle.atomicity != Atomicity::Inclusion => {
                        effects.push((bundle.id, self.bundle(&mut trial, &unit.parts())));
                    }
                    _ => unit.parts().iter().for_each(|part| trial.alone(part)),
                }
            }
        }
        let blocks = trial.included.keys().map(|rollup| (RollupId(*rollup), trial.run(*rollup, &[]).0));
        (blocks.collect(), effects)
    }

    fn bundle(&mut self, trial: &mut Trial<'_>, legs: &[(u64, Vec<u8>)]) -> Expected {
        if self.used.contains(legs) {
            return Expected::Aborted { leg: None };
        }
        let legs_signed: Vec<_> =
            legs.iter().map(|(rollup, data)| (*rollup, recover(data, *rollup).unwrap())).collect();
        let effect = trial.bundle(&legs_signed);
        if matches!(effect, Expected::Aborted { leg: Some(_) }) {
            for (rollup, leg) in &legs_signed {
                *trial.in_vain.entry(*rollup).or_default() += leg.gas_limit();
            }
        }
        if effect != Expected::Unplaced {
            self.used.insert(legs.to_vec());
        }
        if effect == Expected::Committed {
            for (rollup, leg) in legs_signed {
                trial.included.get_mut(&rollup).unwrap().push(leg);
            }
        }
        effect
    }
}

impl Trial<'_> {
    /// The block of all that is included and more, with what came of the latter.
    fn run(&self, rollup: u64, more: &[SignedTransaction]) -> (Block, Tried, u64) {
        let chain = self.before.chain(RollupId(rollup)).unwrap();
        let mut state: State = chain.state().clone();
        let outcome = outcome_of(self.height);
        let sequencer_block = B256::from_slice(header(self.height).as_ref());
        let origin = Origin {
            timestamp_s: (outcome.timestamp.0 / 1_000).max(chain.head().timestamp),
            prev_randao: keccak256([sequencer_block.as_slice(), &rollup.to_be_bytes()].concat()),
            sequencer_block,
            extra_data: Bytes::copy_from_slice(&self.height.to_be_bytes()),
        };
        let mut builder = BlockBuilder::begin(chain.rules(), chain.head(), origin, &mut state);
        for transaction in &self.included[&rollup] {
            builder.execute(transaction.clone()).unwrap();
        }
        let left = builder.gas_left();
        let tried = more.iter().map(|transaction| builder.execute(transaction.clone()).cloned()).collect();
        (builder.finish(), tried, left)
    }

    fn alone(&mut self, (rollup, data): &(u64, Vec<u8>)) {
        let Ok(transaction) = recover(data, *rollup) else { return };
        if transaction.marker() == Marker::None && self.run(*rollup, std::slice::from_ref(&transaction)).1[0].is_ok() {
            self.included.get_mut(rollup).unwrap().push(transaction);
        }
    }

    fn bundle(&self, legs: &[(u64, SignedTransaction)]) -> Expected {
        let rollups: BTreeSet<u64> = legs.iter().map(|(rollup, _)| *rollup).collect();
        let mut tried = BTreeMap::new();
        let mut unplaced = false;
        for rollup in rollups {
            let here: Vec<_> = legs.iter().filter(|(at, _)| *at == rollup).map(|(_, leg)| leg.clone()).collect();
            let gas: u64 = here.iter().map(|leg| leg.gas_limit()).sum();
            if gas > self.before.chain(RollupId(rollup)).unwrap().rules().gas_limit {
                return Expected::Aborted { leg: None };
            }
            let (_, results, left) = self.run(rollup, &here);
            let block = self.before.chain(RollupId(rollup)).unwrap().rules().gas_limit;
            let in_vain = self.in_vain.get(&rollup).copied().unwrap_or_default();
            unplaced |= gas > left || gas > block - in_vain;
            tried.insert(rollup, results.into_iter());
        }
        if unplaced {
            return Expected::Unplaced;
        }
        let mut waiting: Vec<(u8, Message)> = Vec::new();
        for (position, (rollup, _)) in (0u8..).zip(legs) {
            // Legs after one that failed have run on another state, but nobody asks them any more.
            let receipt = match tried.get_mut(rollup).unwrap().next().unwrap() {
                Ok(receipt) if receipt.status() => receipt,
                _ => return Expected::Aborted { leg: Some(position) },
            };
            if !follow(&mut waiting, position, *rollup, receipt.logs()) {
                return Expected::Aborted { leg: Some(position) };
            }
        }
        match waiting.iter().map(|(leg, _)| *leg).min() {
            Some(leg) => Expected::Aborted { leg: Some(leg) },
            None => Expected::Committed,
        }
    }
}

/// Whether all that a leg consumed was there.
fn follow(waiting: &mut Vec<(u8, Message)>, leg: u8, rollup: u64, logs: &[Log]) -> bool {
    let here = U256::from(rollup);
    let (mut sent, mut right) = (Vec::new(), true);
    for log in logs.iter().filter(|log: &&Log| log.address == Address::from(MAILBOX)) {
        let [event, chain, sender, receiver] = log.topics() else { unreachable!() };
        let chain = U256::from_be_bytes(chain.0);
        let data = log.data.data.clone();
        if *event == keccak256("Sent(uint256,address,address,bytes)") {
            sent.push((leg, (here, chain, *sender, *receiver, data)));
        } else {
            assert_eq!(*event, keccak256("Consumed(uint256,address,address,bytes)"));
            // The first equal one: it makes no difference unless the bundle fails, and then it is the first that is left.
            let wanted = (chain, here, *sender, *receiver, data);
            match waiting.iter().position(|(_, message)| *message == wanted) {
                Some(index) => drop(waiting.remove(index)),
                None => right = false,
            }
        }
    }
    waiting.extend(sent);
    right
}
