//! What a height has to make, found in the plainest way: each rollup by itself executes transactions one by one, as an
//! unmodified client would, and a bundle is tried out on a copy of everything first.

use super::{
    heights::{Ordered, header, outcome_of},
    trying::{Answer, Group, Tried, make, try_leg},
};
use crate::{Block, BlockBuilder, Domain, MAILBOX, Marker, Origin, SignedTransaction, State, recover};
use alloy_consensus::Transaction as _;
use alloy_primitives::{B256, Bytes, Log, U256, keccak256};
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

/// Something that a block has.
#[derive(Clone)]
enum Entry {
    Alone(SignedTransaction),
    Leg {
        transaction: SignedTransaction,
        /// What it can reach.
        reachable: BTreeSet<u64>,
        /// What it was told by others.
        answers: Vec<Answer>,
        /// What it carries: calls from other rollups, and all the gas of what was tried there.
        carried: Vec<(Group, u64)>,
    },
}

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
    included: BTreeMap<u64, Vec<Entry>>,
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
        let blocks = trial.included.keys().map(|rollup| (RollupId(*rollup), trial.block(*rollup, &[], |_| ()).0));
        (blocks.collect(), effects)
    }

    fn bundle(&mut self, trial: &mut Trial<'_>, legs: &[(u64, Vec<u8>)]) -> Expected {
        if self.used.contains(legs) {
            return Expected::Aborted { leg: None };
        }
        let legs_signed: Vec<_> =
            legs.iter().map(|(rollup, data)| (*rollup, recover(data, *rollup).unwrap())).collect();
        let asked = trial.asked(&legs_signed);
        let entries = trial.room(&asked).and_then(|()| trial.bundle(&legs_signed));
        let effect = entries.as_ref().map_or_else(|effect| *effect, |_| Expected::Committed);
        if matches!(effect, Expected::Aborted { leg: Some(_) }) {
            for (rollup, gas) in asked {
                *trial.in_vain.entry(rollup).or_default() += gas;
            }
        }
        if effect != Expected::Unplaced {
            self.used.insert(legs.to_vec());
        }
        for (rollup, entry) in entries.unwrap_or_default() {
            trial.included.get_mut(&rollup).unwrap().push(entry);
        }
        effect
    }
}

impl Trial<'_> {
    /// The block of all that is included and more, with what is found out at its end.
    fn block<T>(
        &self,
        rollup: u64,
        more: &[(u64, Entry)],
        look: impl FnOnce(&mut BlockBuilder<'_>) -> T,
    ) -> (Block, T) {
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
        let more = more.iter().filter(|(at, _)| *at == rollup).map(|(_, entry)| entry);
        for entry in self.included[&rollup].iter().chain(more) {
            put(&mut builder, rollup, entry);
        }
        let seen = look(&mut builder);
        (builder.finish(), seen)
    }

    fn alone(&mut self, (rollup, data): &(u64, Vec<u8>)) {
        let Ok(transaction) = recover(data, *rollup) else { return };
        if transaction.marker() == Marker::None
            && self.block(*rollup, &[], |builder| builder.execute(transaction.clone()).is_ok()).1
        {
            self.included.get_mut(rollup).unwrap().push(Entry::Alone(transaction));
        }
    }

    /// Gas that a bundle may use on each of its rollups: of their own legs, and of those before that can call there.
    fn asked(&self, legs: &[(u64, SignedTransaction)]) -> BTreeMap<u64, u64> {
        let calls = self.before.chains().values().all(|chain| chain.rules().synchronous_calls);
        let mut asked = BTreeMap::new();
        for rollup in legs.iter().map(|(rollup, _)| *rollup).collect::<BTreeSet<_>>() {
            let last = legs.iter().rposition(|(at, _)| *at == rollup).unwrap();
            let counts = |position: usize| legs[position].0 == rollup || calls && position < last;
            let gas = (0..legs.len()).filter(|position| counts(*position)).map(|position| legs[position].1.gas_limit());
            asked.insert(rollup, gas.sum());
        }
        asked
    }

    fn room(&self, asked: &BTreeMap<u64, u64>) -> Result<(), Expected> {
        let limit = |rollup: u64| self.before.chain(RollupId(rollup)).unwrap().rules().gas_limit;
        if asked.iter().any(|(rollup, gas)| *gas > limit(*rollup)) {
            return Err(Expected::Aborted { leg: None });
        }
        for (&rollup, &gas) in asked {
            let left = self.block(rollup, &[], |builder| builder.gas_left()).1;
            if gas > left || gas > limit(rollup) - self.in_vain.get(&rollup).copied().unwrap_or_default() {
                return Err(Expected::Unplaced);
            }
        }
        Ok(())
    }

    /// What the bundle adds to blocks, if it commits.
    fn bundle(&self, legs: &[(u64, SignedTransaction)]) -> Result<Vec<(u64, Entry)>, Expected> {
        let mut entries: Vec<(u64, Entry)> = Vec::new();
        let mut carried: BTreeMap<u64, Vec<(Group, u64)>> = BTreeMap::new();
        let mut waiting: Vec<(u8, Message)> = Vec::new();
        for (position, (rollup, leg)) in (0u8..).zip(legs) {
            let aborted = Expected::Aborted { leg: Some(position) };
            let reachable: BTreeSet<u64> =
                legs[usize::from(position) + 1..].iter().map(|(rollup, _)| *rollup).collect();
            let here = carried.remove(rollup).unwrap_or_default();
            let mut answers: Vec<Answer> = Vec::new();
            let group = |answers: &[Answer], standing: &[usize], on: u64| {
                let calls = standing.iter().map(|index| answers[*index].asked.clone());
                let calls = calls.filter(|asked| asked.rollup == on).collect();
                Group { source: *rollup, sender: leg.signer(), calls }
            };
            let (done, standing) = loop {
                let tried = self.block(*rollup, &entries, |builder| {
                    here.iter().for_each(|group| drop(call(builder, group)));
                    try_leg(builder, *rollup, leg, &reachable, &answers)
                });
                match tried.1 {
                    Tried::Invalid => return Err(aborted),
                    Tried::Done(done, standing) => break (done.result, standing),
                    Tried::Asks(asked, standing) => {
                        let mut group = group(&answers, &standing, asked.rollup);
                        let on = asked.rollup;
                        group.calls.push(asked);
                        let answer = self.block(on, &entries, |builder| {
                            let before = carried.get(&on).into_iter().flatten();
                            before.for_each(|group| drop(call(builder, group)));
                            make(builder, &group).2
                        });
                        answers.push(answer.1);
                    }
                }
            };
            if !done.is_success() || !follow(&mut waiting, position, *rollup, done.logs()) {
                return Err(aborted);
            }
            for on in answers.iter().map(|answer| answer.asked.rollup).collect::<BTreeSet<_>>() {
                let there = answers.iter().filter(|answer| answer.asked.rollup == on);
                let gas = there.map(|answer| answer.gas).sum();
                carried.entry(on).or_default().push((group(&answers, &standing, on), gas));
            }
            let transaction = leg.clone();
            entries.push((*rollup, Entry::Leg { transaction, reachable, answers, carried: here }));
        }
        match waiting.iter().map(|(leg, _)| *leg).min() {
            Some(leg) => Err(Expected::Aborted { leg: Some(leg) }),
            None => Ok(entries),
        }
    }
}

/// Makes calls from another rollup in a block, and gives what they emit.
fn call(builder: &mut BlockBuilder<'_>, (group, gas): &(Group, u64)) -> Vec<Log> {
    if group.calls.is_empty() {
        builder.take_calls(Default::default(), *gas);
        return Vec::new();
    }
    let (changes, logs, _) = make(builder, group);
    builder.take_calls(changes, *gas);
    logs
}

fn put(builder: &mut BlockBuilder<'_>, rollup: u64, entry: &Entry) {
    match entry {
        Entry::Alone(transaction) => drop(builder.execute(transaction.clone()).unwrap().clone()),
        Entry::Leg { transaction, reachable, answers, carried } => {
            let logs = carried.iter().flat_map(|group| call(builder, group)).collect();
            let Tried::Done(done, _) = try_leg(builder, rollup, transaction, reachable, answers) else {
                unreachable!()
            };
            builder.include_staged(transaction.clone(), done.result, done.state, logs);
        }
    }
}

/// Whether all that a leg consumed was there.
fn follow(waiting: &mut Vec<(u8, Message)>, leg: u8, rollup: u64, logs: &[Log]) -> bool {
    let here = U256::from(rollup);
    let (mut sent, mut right) = (Vec::new(), true);
    for log in logs.iter().filter(|log| log.address == MAILBOX) {
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
