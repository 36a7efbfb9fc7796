//! Random histories of a domain: what its rollups were given over some heights, with the signatures.

use super::{
    bundling::{Leg, Message, bundle_of, effects, nonce, sign, terms},
    heights::{A, B, C, CREATING_SURELY, ENDLESS, Ordered, SWAPPING, derive, domain_of, genesis},
    programs::words,
    scripts::{SCRIPT, Step, calling_domain_of, script, scripted},
    wallets::Wallet,
};
use crate::{DerivedHeight, Domain, Effect, Terms};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, Bytes, Log, TxKind, U256, keccak256};
use chorale_types::Atomicity;
use proptest::prelude::*;

mod calling;

pub(super) use calling::calling_plan;

const ROLLUPS: [u64; 3] = [A, B, C];
/// Blocks are small, so that some bundles find no room.
const BLOCK: u64 = 800_000;

/// What a transaction does.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Calls one of the contracts of the stories with two words.
    Call(u8, u64, u64),
    Swap(u64, u64),
    Send(usize, u64),
    Consume(usize, u64),
    /// Creates a contract with code that nobody wrote.
    Create(Vec<u8>),
    CreateSurely,
    Endless,
    Pay(u8),
    /// Runs a script, which may call other rollups.
    Script(Vec<Step>),
}

/// What is wrong with it, if something is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wrong {
    Nothing,
    Nonce,
    Funds,
    Fee,
}

/// A transaction, or a leg.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    rollup: usize,
    wallet: u64,
    act: Act,
    wrong: Wrong,
    gas: u64,
}

/// A unit of a payload.
#[derive(Clone, Debug)]
pub(super) enum Unit {
    Alone(Sketch),
    Included(Vec<Sketch>),
    /// Promised to execute as a whole.
    Whole(Vec<Sketch>),
    /// The legs of one that was ordered before, once more.
    Again(usize),
}

/// How many rollups, and all heights with their payloads.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    rollups: usize,
    /// Whether rollups can call each other; then they have scripts, and larger blocks.
    calls: bool,
    heights: Vec<Vec<Vec<Unit>>>,
}

fn act() -> impl Strategy<Value = Act> {
    let small = || 0u64..3;
    prop_oneof![
        8 => (1u8..=8, small(), small()).prop_map(|(contract, one, two)| Act::Call(0xc0 + contract, one, two)),
        4 => (small(), small()).prop_map(|(from, to)| Act::Swap(from, to)),
        1 => (0usize..3, 0u64..4).prop_map(|(to, receiver)| Act::Send(to, receiver)),
        1 => (0usize..3, 0u64..4).prop_map(|(from, sender)| Act::Consume(from, sender)),
        1 => noise().prop_map(Act::Create),
        1 => Just(Act::CreateSurely),
        1 => Just(Act::Endless),
        4 => (0u8..9).prop_map(Act::Pay),
    ]
}

/// Mostly small pushes between random instructions.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let push = (0u8..64).prop_map(|value| vec![revm::bytecode::opcode::PUSH1, value]);
    let piece = prop_oneof![2 => push, 1 => any::<u8>().prop_map(|instruction| vec![instruction])];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let wrong = prop_oneof![
        30 => Just(Wrong::Nothing), 1 => Just(Wrong::Nonce), 1 => Just(Wrong::Funds), 1 => Just(Wrong::Fee)
    ];
    let gas = prop_oneof![
        16 => Just(120_000u64), 2 => Just(50_000), 4 => Just(BLOCK / 2), 2 => Just(BLOCK - 200_000), 1 => Just(BLOCK + 1)
    ];
    (0usize..3, 0u64..4, act(), wrong, gas).prop_map(|(rollup, wallet, act, wrong, gas)| Sketch {
        rollup,
        wallet,
        act,
        wrong,
        gas,
    })
}

/// Legs, with a message between two of them most of the time.
fn legs() -> impl Strategy<Value = Vec<Sketch>> {
    let talk = proptest::option::of((0usize..3, 0usize..3, 0u64..4, 0u64..4, any::<(u8, u8)>()));
    let lost = prop_oneof![8 => Just(None), 1 => Just(Some(false)), 1 => Just(Some(true))];
    (proptest::collection::vec(sketch(), 0..4), talk, lost).prop_map(|(mut legs, talk, lost)| {
        if let Some((from, to, sender, receiver, (at, after))) = talk {
            let one = |rollup, wallet, act| Sketch { rollup, wallet, act, wrong: Wrong::Nothing, gas: 100_000 };
            let at = usize::from(at) % (legs.len() + 1);
            legs.insert(at, one(from, sender, Act::Send(to, receiver)));
            let after = at + 1 + usize::from(after) % (legs.len() - at);
            legs.insert(after, one(to, receiver, Act::Consume(from, sender)));
            // One side of some is missing.
            if let Some(sent) = lost {
                legs.remove(if sent { at } else { after });
            }
        }
        if legs.is_empty() {
            let act = Act::Call(0xc1, 1, 1);
            legs.push(Sketch { rollup: 0, wallet: 0, act, wrong: Wrong::Nothing, gas: 100_000 });
        }
        legs
    })
}

/// Uses most of a block.
fn filling() -> impl Strategy<Value = Sketch> {
    let with = |rollup| Sketch { rollup, wallet: 3, act: Act::Endless, wrong: Wrong::Nothing, gas: BLOCK - 100_000 };
    (0usize..3).prop_map(with)
}

fn unit() -> impl Strategy<Value = Unit> {
    prop_oneof![
        3 => sketch().prop_map(Unit::Alone),
        3 => filling().prop_map(Unit::Alone),
        1 => legs().prop_map(Unit::Included),
        6 => legs().prop_map(Unit::Whole),
        1 => (0usize..8).prop_map(Unit::Again),
    ]
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let payload = proptest::collection::vec(unit(), 0..4);
    let heights = proptest::collection::vec(proptest::collection::vec(payload, 1..3), 1..5);
    (2usize..=3, heights).prop_map(|(rollups, heights)| Plan { rollups, calls: false, heights })
}

/// Of either kind.
pub(super) fn any_plan() -> impl Strategy<Value = Plan> {
    prop_oneof![1 => plan(), 1 => calling_plan()]
}

/// What is left of a rollup's lane where nothing in it had an effect: something that has none.
pub(super) fn nothing(rollup: u64) -> Ordered {
    Ordered::Transaction(rollup, b"nothing".to_vec())
}

/// A height of a history, in the order in which its payloads have it.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) height: u64,
    pub(super) payloads: Vec<Vec<Ordered>>,
}

/// Signs all of a plan. Whoever sends something knows all that is ordered before it, so most of it has an effect.
pub(super) struct History {
    pub(super) genesis: Domain,
    pub(super) heights: Vec<Past>,
}

impl History {
    pub(super) fn new(plan: &Plan) -> Self {
        let rollups = &ROLLUPS[..plan.rollups];
        let genesis = if plan.calls {
            calling_domain_of(rollups.iter().map(|rollup| Genesis { gas_limit: 10 * BLOCK, ..scripted(*rollup) }))
        } else {
            domain_of(rollups.iter().map(|rollup| Genesis { gas_limit: BLOCK, ..genesis(*rollup) }))
        };
        let mut writer = Writer { rollups, domain: genesis.clone(), bundles: Vec::new(), salt: 0 };
        // Not every height has content.
        let heights = (1u64..).step_by(3).zip(&plan.heights).map(|(height, payloads)| writer.height(height, payloads));
        let heights: Vec<Past> = heights.collect();
        Self { genesis, heights }
    }

    /// What a domain makes of it from the beginning.
    pub(super) fn derive(&self) -> (Domain, Vec<DerivedHeight>) {
        let mut domain = self.genesis.clone();
        let derived = self.heights.iter().map(|past| derive(&mut domain, past.height, &past.payloads)).collect();
        (domain, derived)
    }

    /// Without the bundles that had no effect. Rollups that had nothing else still have content, as a block says where
    /// it comes from.
    pub(super) fn without_failures(&self, derived: &[DerivedHeight]) -> Self {
        let strip = |(past, derived): (&Past, &DerivedHeight)| {
            let failed = |unit: &Ordered| {
                let effect = derived.bundles.iter().find(|it| unit.bundle().is_some_and(|bundle| bundle.id == it.id));
                effect.is_some_and(|bundle| bundle.effect != Effect::Committed)
            };
            let payloads =
                past.payloads.iter().map(|units| units.iter().filter(|unit| !failed(unit)).cloned().collect());
            let mut payloads: Vec<Vec<Ordered>> = payloads.collect();
            let parts = |units: &[Vec<Ordered>]| units.concat().iter().flat_map(Ordered::parts).collect::<Vec<_>>();
            let left = parts(&payloads);
            for rollup in ROLLUPS {
                let has = |(other, _): &(u64, _)| *other == rollup;
                if parts(&past.payloads).iter().any(has) && !left.iter().any(has) {
                    payloads[0].push(nothing(rollup));
                }
            }
            Past { height: past.height, payloads }
        };
        Self { genesis: self.genesis.clone(), heights: self.heights.iter().zip(derived).map(strip).collect() }
    }
}

/// Legs with their rollups.
type SignedLegs = Vec<(u64, Vec<u8>)>;

struct Writer<'a> {
    rollups: &'a [u64],
    domain: Domain,
    /// Terms and legs of those that were ordered, and how often.
    bundles: Vec<(Terms, SignedLegs, u32)>,
    /// Salts of those that are only included together.
    salt: u64,
}

impl Writer<'_> {
    fn height(&mut self, height: u64, plans: &[Vec<Unit>]) -> Past {
        let mut payloads: Vec<Vec<Ordered>> = Vec::new();
        for units in plans {
            payloads.push(Vec::new());
            // In the order in which they execute: bundles that execute as a whole come first.
            let by_itself = |unit: &&Unit| matches!(unit, Unit::Alone(_) | Unit::Included(_));
            let (others, whole): (Vec<_>, Vec<_>) = units.iter().partition(by_itself);
            for unit in whole.into_iter().chain(others) {
                let before = self.so_far(height, &payloads);
                if let Some(ordered) = self.unit(&before, unit) {
                    payloads.last_mut().unwrap().push(ordered);
                }
            }
            // In the payload it is the other way round, so that the order is Chorale's doing.
            let whole = |unit: &Ordered| unit.bundle().is_some_and(|it| it.atomicity != Atomicity::Inclusion);
            payloads.last_mut().unwrap().sort_by_key(whole);
        }
        if payloads.concat().is_empty() {
            payloads[0].push(nothing(self.rollups[0]));
        }
        self.domain = self.so_far(height, &payloads);
        Past { height, payloads }
    }

    fn so_far(&self, height: u64, payloads: &[Vec<Ordered>]) -> Domain {
        let mut domain = self.domain.clone();
        if !payloads.concat().is_empty() {
            derive(&mut domain, height, payloads);
        }
        domain
    }

    fn unit(&mut self, before: &Domain, unit: &Unit) -> Option<Ordered> {
        Some(match unit {
            Unit::Alone(sketch) => self.legs(before, std::slice::from_ref(sketch)).remove(0).alone(),
            Unit::Included(sketches) => {
                let legs = self.legs(before, sketches);
                self.salt += 1;
                Ordered::inclusion(self.salt, legs.iter().map(|leg| leg.alone().parts().remove(0)).collect())
            }
            Unit::Whole(sketches) => {
                let terms = Terms { salt: self.bundles.len() as u64, ..terms() };
                let signed = sign(&terms, &self.legs(before, sketches));
                self.bundles.push((terms, signed.clone(), 1));
                bundle_of(&terms, 0, signed)
            }
            Unit::Again(which) => {
                let index = which.checked_rem(self.bundles.len())?;
                let (terms, signed, attempts) = &mut self.bundles[index];
                *attempts += 1;
                bundle_of(terms, *attempts, signed.clone())
            }
        })
    }

    fn legs(&self, before: &Domain, sketches: &[Sketch]) -> Vec<Leg> {
        let mut legs: Vec<Leg> = Vec::new();
        for sketch in sketches {
            let rollup = self.rollups[sketch.rollup % self.rollups.len()];
            let earlier = legs.iter().filter(|leg| (leg.rollup, leg.wallet) == (rollup, sketch.wallet)).count();
            let nonce = nonce(before, rollup, sketch.wallet) + earlier as u64;
            legs.push(self.leg(rollup, nonce, sketch));
        }
        legs
    }

    fn leg(&self, rollup: u64, nonce: u64, sketch: &Sketch) -> Leg {
        let other = |index: usize| self.rollups[index % self.rollups.len()];
        let call = |to, input| Leg::call(rollup, sketch.wallet, nonce, to, input);
        let [here, there] = [sketch.wallet, 0].map(|number| Wallet::new(number).address);
        let message = Message { from: rollup, to: rollup, sender: here, receiver: there, data: b"data" };
        let leg = match &sketch.act {
            Act::Call(contract, one, two) => {
                call(Address::repeat_byte(*contract), words(&[U256::from(*one), U256::from(*two)]))
            }
            Act::Swap(from, to) => call(SWAPPING, words(&[U256::from(*from), U256::from(*to)])),
            Act::Send(to, receiver) => {
                let receiver = Wallet::new(*receiver).address;
                call(crate::MAILBOX, Message { to: other(*to), receiver, ..message }.send())
            }
            Act::Consume(from, sender) => {
                let sender = Wallet::new(*sender).address;
                call(crate::MAILBOX, Message { from: other(*from), sender, ..message }.consume())
            }
            Act::Create(code) => call(Address::ZERO, code.clone().into()).with(|ask| ask.to = TxKind::Create),
            Act::CreateSurely => call(CREATING_SURELY, super::programs::deploying(super::programs::STORE)),
            Act::Endless => call(ENDLESS, Bytes::new()),
            Act::Script(steps) => call(SCRIPT, script(steps)),
            Act::Pay(to) => call(Address::repeat_byte(*to), Bytes::new()).with(|ask| ask.value = U256::from(5)),
        };
        leg.with(|ask| {
            ask.gas_limit = sketch.gas;
            match sketch.wrong {
                Wrong::Nothing => {}
                Wrong::Nonce => ask.nonce += 1,
                Wrong::Funds => ask.value = U256::from(10u128.pow(22)),
                Wrong::Fee => (ask.fee, ask.tip) = (1, 0),
            }
        })
    }
}

/// How often each effect is in histories.
pub(super) fn count(derived: &[DerivedHeight], mut each: impl FnMut(&'static str)) {
    let receipts = derived.iter().flat_map(|made| made.blocks.values()).flat_map(|made| &made.block.receipts);
    for log in receipts.flat_map(|receipt| receipt.logs()) {
        match log.address {
            crate::MAILBOX => each("message"),
            crate::SYNCHRONOUS_CALL => each("call"),
            _ => {}
        }
    }
    // Numbers that are missing are of calls that were undone.
    let receipts = derived.iter().flat_map(|made| made.blocks.values()).flat_map(|made| &made.block.receipts);
    for receipt in receipts {
        let calls = receipt.logs().iter().filter(|log| log.address == crate::SYNCHRONOUS_CALL);
        let is_called = |log: &&Log| log.topics()[0] == keccak256("Called(uint256,address,address,uint256)");
        let numbers: Vec<U256> = calls.filter(is_called).map(|log| U256::from_be_slice(&log.data.data)).collect();
        if numbers.last().is_some_and(|last| U256::from(numbers.len()) <= *last) {
            each("undone");
        }
    }
    for effect in derived.iter().flat_map(effects) {
        each(match effect {
            Effect::Committed => "committed",
            Effect::Unplaced { .. } => "unplaced",
            Effect::Aborted { reason, .. } => match reason {
                crate::AbortReason::Burnt => "burnt",
                crate::AbortReason::Gas { .. } => "gas",
                crate::AbortReason::Invalid(_) => "invalid",
                crate::AbortReason::Reverted { .. } => "reverted",
                crate::AbortReason::Halted(_) => "halted",
                crate::AbortReason::Unsent => "unsent",
                crate::AbortReason::Unread => "unread",
                _ => "other",
            },
        });
    }
}
