//! Synchronous calls that nothing is wrong with, and those that are refused.

use super::{
    bundling::{Leg, Message, binding_of, bundle, bundle_of, effects, nonce, sign, slot, terms},
    heights::{A, B, C, Ordered, derive, domain},
    programs::{word_of, words},
    scripts::{ANSWER, Kind, OTHER_SCRIPT, SCRIPT, Step, calling_domain, request, script},
    wallets::Wallet,
};
use crate::{Call, Called, DerivedHeight, Domain, Effect, SYNCHRONOUS_CALL, alias};
use alloy_primitives::{Address, Bloom, Bytes, Log, U256, address, hex, keccak256};
use chorale_types::RollupId;
use std::collections::BTreeMap;

/// A leg of wallet 0 on A that runs a script.
pub(super) fn running(steps: &[Step]) -> Leg {
    Leg::call(A, 0, 0, SCRIPT, script(steps)).with(|ask| ask.gas_limit = 20_000_000)
}

/// A leg that does nothing, for a rollup that is called.
pub(super) fn carrier(rollup: u64) -> Leg {
    Leg::call(rollup, 1, 0, Wallet::new(1).address, Bytes::new()).with(|ask| ask.gas_limit = 30_000)
}

/// Runs a script in a bundle with a carrier on B, which must commit.
#[track_caller]
pub(super) fn commits(domain: &mut Domain, height: u64, steps: &[Step]) -> DerivedHeight {
    let of = |mut leg: Leg| {
        leg.ask.nonce = nonce(domain, leg.rollup, leg.wallet);
        leg
    };
    let derived = derive(domain, height, &[vec![bundle(&[of(running(steps)), of(carrier(B))])]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    derived
}

pub(super) fn logs(derived: &DerivedHeight, rollup: u64, index: usize) -> Vec<Log> {
    derived.blocks[&RollupId(rollup)].block.receipts[index].logs().to_vec()
}

/// What a script notes of a call that was the first one.
pub(super) fn noted(success: bool, output: &[u8]) -> U256 {
    let word = U256::from(u8::from(success));
    let words = words(&[word, U256::from(output.len()), keccak256(output).into(), U256::ZERO]);
    keccak256(words).into()
}

pub(super) fn error(signature: &str, arguments: &[U256]) -> Vec<u8> {
    [&keccak256(signature)[..4], &words(arguments)].concat()
}

/// As a contract gets it.
pub(super) fn bytes(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = words(&[U256::from(32), U256::from(bytes.len())]).to_vec();
    encoded.extend(bytes);
    encoded.resize(encoded.len().next_multiple_of(32), 0);
    encoded
}

pub(super) fn failed(output: &[u8]) -> Vec<u8> {
    [&keccak256("Failed(bytes)")[..4], &bytes(output)].concat()
}

pub(super) fn at(domain: &Domain, rollup: u64, contract: Address, key: u64) -> u64 {
    slot(domain, rollup, contract, key).to()
}

#[test]
fn a_contract_calls_one_of_another_rollup_and_gets_its_answer() {
    let mut domain = calling_domain(&[A, B]);
    let asked = [Step::Write(1, 42), Step::Say(7), Step::Give(1)];
    let derived = commits(&mut domain, 1, &[Step::Write(2, 1), Step::Ask(B, asked.to_vec()), Step::Say(8)]);
    assert_eq!((at(&domain, A, SCRIPT, 2), at(&domain, B, SCRIPT, 1)), (1, 42));
    assert_eq!(at(&domain, A, SCRIPT, 1), 0);
    let answer = bytes(&words(&[U256::from(42)]));
    assert_eq!(slot(&domain, A, SCRIPT, ANSWER), noted(true, &answer));

    let word = |address: Address| address.into_word();
    let event = |name: &str, rollup: u64| {
        let topics = vec![keccak256(name), U256::from(rollup).into(), word(SCRIPT), word(SCRIPT)];
        Log::new_unchecked(SYNCHRONOUS_CALL, topics, words(&[U256::ZERO]))
    };
    let said = |number| Log::new_unchecked(SCRIPT, vec![keccak256("Said(uint256)")], words(&[U256::from(number)]));
    assert_eq!(logs(&derived, A, 0), [event("Called(uint256,address,address,uint256)", B), said(8)]);
    assert_eq!(logs(&derived, B, 0), [event("Executed(uint256,address,address,uint256)", A), said(7)]);
}

/// The block where it was executed has one transaction, the leg that carries it, and is right in itself.
#[test]
fn the_rollup_that_was_called_has_a_block_like_others() {
    use alloy_consensus::proofs;
    let mut domain = calling_domain(&[A, B, C]);
    let before = domain.clone();
    let derived = commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Write(1, 42), Step::Say(7)])]);
    let (block, state) = (&derived.blocks[&RollupId(B)].block, domain.chain(RollupId(B)).unwrap().state());
    assert_eq!((block.transactions.len(), block.header.gas_used), (1, 21_000 + 2_400 + 2 * 1_900));
    assert_eq!(block.receipts[0].cumulative_gas_used(), block.header.gas_used);
    assert_eq!(block.header.state_root, state.clone().root());
    assert_eq!(block.header.receipts_root, proofs::calculate_receipt_root(&block.receipts));
    let mut bloom = Bloom::ZERO;
    logs(&derived, B, 0).iter().for_each(|log| bloom.accrue_log(log));
    assert_eq!(block.header.logs_bloom, bloom);
    // What is written down of it is all: taken back, it was never there.
    let mut undone = state.clone();
    undone.undo(&derived.blocks[&RollupId(B)].changes).unwrap();
    assert_eq!(undone.root(), before.chain(RollupId(B)).unwrap().head().state_root);
    assert_eq!(derived.heads[2], before.heads()[2], "the third rollup is not touched");
}

#[test]
fn the_caller_has_an_alias() {
    let mut domain = calling_domain(&[A, B]);
    commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Who])]);
    let noted = |key| slot(&domain, B, SCRIPT, key);
    let sender = Wallet::new(0).address;
    assert_eq!(noted(0xc0), word_of(alias(RollupId(A), SCRIPT)));
    assert_eq!(noted(0xc1), word_of(alias(RollupId(A), sender)));
    assert_eq!((noted(0xc2), noted(0xc3)), (U256::ZERO, U256::from(B)));
    for account in [SCRIPT, sender] {
        assert!(domain.chain(RollupId(B)).unwrap().state().account(alias(RollupId(A), account)).is_none());
    }
}

/// Computed with another implementation: viem's `keccak256(encodePacked(["string", "uint256", "address"], …))`.
#[test]
fn aliases_are_what_contracts_compute() {
    let account = address!("00112233445566778899aabbccddeeff00112233");
    assert_eq!(alias(RollupId(1001), account), ALIAS_OF_1001);
    assert_ne!(alias(RollupId(1002), account), ALIAS_OF_1001);
}
const ALIAS_OF_1001: Address = address!("0a0770f47f1ee65a2a68273f3b4aea5781abf8dc");

#[test]
fn who_signed_a_leg_calls_by_it() {
    let mut domain = calling_domain(&[A, B]);
    let input = request(U256::from(B), SCRIPT, &script(&[Step::Who, Step::Write(1, 5)]));
    let direct = Leg::call(A, 0, 0, SYNCHRONOUS_CALL, input);
    let derived = derive(&mut domain, 1, &[vec![bundle(&[direct, carrier(B)])]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    let alias = word_of(alias(RollupId(A), Wallet::new(0).address));
    assert_eq!((slot(&domain, B, SCRIPT, 0xc0), slot(&domain, B, SCRIPT, 0xc1)), (alias, alias));
}

#[test]
fn a_leg_calls_several_rollups_several_times() {
    let mut domain = calling_domain(&[A, B, C]);
    let ask = |rollup| Step::Ask(rollup, vec![Step::Count(1), Step::Say(1)]);
    let legs = [running(&[ask(B), ask(C), ask(B)]), carrier(C), carrier(B)];
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!((at(&domain, B, SCRIPT, 1), at(&domain, C, SCRIPT, 1)), (2, 1));
    let numbers = |rollup| -> Vec<u64> {
        let logs = logs(&derived, rollup, 0).into_iter().filter(|log| log.address == SYNCHRONOUS_CALL);
        logs.map(|log| U256::from_be_slice(&log.data.data).to()).collect()
    };
    assert_eq!((numbers(A), numbers(B), numbers(C)), (vec![0, 1, 2], vec![0, 2], vec![1]));
}

/// Each leg sees what those before it have done, through calls or by themselves.
#[test]
fn legs_and_calls_see_each_other() {
    let mut domain = calling_domain(&[A, B]);
    let by = |rollup, wallet, nonce, steps: &[Step]| {
        Leg::call(rollup, wallet, nonce, SCRIPT, script(steps)).with(|ask| ask.gas_limit = 1_000_000)
    };
    let legs = [
        by(B, 1, 0, &[Step::Count(1)]),
        by(A, 0, 0, &[Step::Ask(B, vec![Step::Count(1), Step::Give(1)]), Step::Count(2)]),
        by(A, 2, 0, &[Step::Ask(B, vec![Step::Count(1), Step::Say(9)])]),
        by(B, 1, 1, &[Step::Count(1), Step::Ask(A, vec![Step::Count(2)])]),
        by(B, 1, 2, &[Step::Count(1)]),
        by(A, 0, 1, &[Step::Count(2)]),
    ];
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!((at(&domain, B, SCRIPT, 1), at(&domain, A, SCRIPT, 2)), (5, 3));
    // The next leg for a rollup carries what was called there since the last one.
    let addresses = |rollup, index| logs(&derived, rollup, index).iter().map(|log| log.address).collect::<Vec<_>>();
    assert_eq!([0, 1, 2].map(|index| addresses(B, index).len()), [0, 4, 0]);
    assert_eq!([0, 1, 2].map(|index| addresses(A, index).len()), [1, 1, 1]);
}

/// Warm once, transient once: the calls of a leg to a rollup are one transaction there.
#[test]
fn calls_of_a_leg_to_a_rollup_are_one_transaction_there() {
    let mut domain = calling_domain(&[A, B]);
    let ask = || Step::Ask(B, vec![Step::CountTransient(1)]);
    commits(&mut domain, 1, &[ask(), ask(), ask()]);
    assert_eq!(at(&domain, B, SCRIPT, 0x41), 3);
    commits(&mut domain, 2, &[ask()]);
    assert_eq!(at(&domain, B, SCRIPT, 0x41), 1);
}

#[track_caller]
fn refused(steps: &[Step], expected: &[u8]) {
    let mut domain = calling_domain(&[A, B, C]);
    let legs = [carrier(C), running(steps), carrier(B)];
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(slot(&domain, A, SCRIPT, ANSWER), noted(false, expected), "{}", hex::encode(expected));
    assert!([A, B].iter().all(|rollup| logs(&derived, *rollup, 0).is_empty()));
    assert_eq!(at(&domain, B, SCRIPT, 1), 0);
}

#[test]
fn what_cannot_be_called_says_why() {
    let write = script(&[Step::Write(1, 1)]);
    let remote = |kind, rollup, target| vec![Step::Remote(kind, rollup, target, 0, write.clone())];
    for kind in [Kind::Static, Kind::Delegate, Kind::WithValue] {
        refused(&remote(kind, B, SCRIPT), &error("NotPlain()", &[]));
    }
    refused(&remote(Kind::Call, A, SCRIPT), &error("OwnRollup()", &[]));
    // A leg for C comes before, and none for the others.
    for nowhere in [C, 12_345, 0, u64::MAX] {
        refused(&remote(Kind::Call, nowhere, SCRIPT), &error("NoLaterLeg(uint256)", &[U256::from(nowhere)]));
    }
    for nobody in [Address::repeat_byte(0x99), Wallet::new(1).address, Address::with_last_byte(4), SYNCHRONOUS_CALL] {
        let expected = error("NoContract(uint256,address)", &[U256::from(B), word_of(nobody)]);
        refused(&remote(Kind::Call, B, nobody), &expected);
    }
    let failing = |steps: &[Step]| vec![Step::Ask(B, [&[Step::Write(1, 1), Step::Say(1)], steps].concat())];
    refused(&failing(&[Step::Revert]), &failed(&error("Asked()", &[])));
    refused(&failing(&[Step::Invalid]), &failed(&[]));
    refused(&[Step::Ask(B, vec![Step::Write(1, 1), Step::RevertWith(100)])], &failed(&[0; 100]));
    // With a callcode, and from within a static call.
    let callcode = Step::CallCode(request(U256::from(B), SCRIPT, &write));
    let mut domain = calling_domain(&[A, B]);
    commits(&mut domain, 1, &[callcode]);
    assert_eq!(slot(&domain, A, SCRIPT, ANSWER), noted(true, &error("NotPlain()", &[])));
    assert_eq!(at(&domain, B, SCRIPT, 1), 0);
    let within = Step::Frame(Kind::Static, vec![Step::Remote(Kind::Surely, B, SCRIPT, 0, write)]);
    let mut domain = calling_domain(&[A, B]);
    commits(&mut domain, 1, &[within]);
    assert_eq!(slot(&domain, A, SCRIPT, ANSWER), noted(false, &error("NotPlain()", &[])));
}

#[test]
fn input_that_is_none_is_refused() {
    let right = request(U256::from(B), SCRIPT, &script(&[Step::Write(1, 1)])).to_vec();
    let with = |index: usize, byte: u8| {
        let mut input = right.clone();
        input[index] = byte;
        input
    };
    let malformed = [
        vec![],
        right[..3].to_vec(),
        right[..4].to_vec(),
        right[..4 + 127].to_vec(),
        with(0, 0),
        // Bytes before the address, another offset, more data than there is, and more than can be counted.
        with(4 + 32 + 11, 1),
        with(4 + 95, 128),
        with(4 + 64, 1),
        with(4 + 127, 33),
        with(4 + 96, 255),
    ];
    for input in malformed {
        let call = Step::Call(Kind::Call, SYNCHRONOUS_CALL, 0, input.into());
        refused(&[call], &error("Malformed()", &[]));
    }
    let too_high = [&right[..4], &[1], &right[5..]].concat();
    let rollup = U256::from_be_slice(&too_high[4..36]);
    let call = Step::Call(Kind::Call, SYNCHRONOUS_CALL, 0, too_high.into());
    refused(&[call], &error("NoLaterLeg(uint256)", &[rollup]));
    // Without the padding at the end it is what some compilers write.
    let mut domain = calling_domain(&[A, B]);
    let call = Step::Call(Kind::Surely, SYNCHRONOUS_CALL, 0, right[..4 + 128 + 3].to_vec().into());
    commits(&mut domain, 1, &[call]);
    assert_eq!(at(&domain, B, SCRIPT, 1), 1);
}

/// Neither back to where it came from, nor anywhere else.
#[test]
fn what_was_called_cannot_call_on() {
    for further in [A, B, C] {
        let mut domain = calling_domain(&[A, B, C]);
        let legs = [running(&[Step::Ask(B, vec![Step::Ask(further, vec![Step::Count(1)])])]), carrier(B), carrier(C)];
        let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
        assert_eq!(effects(&derived), [Effect::Committed]);
        assert_eq!(slot(&domain, B, SCRIPT, ANSWER), noted(false, &error("Nested()", &[])));
        assert!([A, B, C].iter().all(|rollup| at(&domain, *rollup, SCRIPT, 1) == 0));
    }
}

/// The mailbox is for legs.
#[test]
fn what_was_called_neither_sends_nor_consumes() {
    let message = Message { from: B, to: A, sender: SCRIPT, receiver: SCRIPT, data: b"data" };
    for input in [message.send(), Message { from: A, to: B, ..message }.consume()] {
        let mut domain = calling_domain(&[A, B]);
        commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Call(Kind::Call, crate::MAILBOX, 0, input)])]);
        assert_eq!(slot(&domain, B, SCRIPT, ANSWER), noted(false, &error("OutsideBundle()", &[])));
    }
}

fn asking(input: Bytes) -> Call {
    Call {
        from: Wallet::new(0).address,
        to: SYNCHRONOUS_CALL.into(),
        value: U256::ZERO,
        input,
        gas_limit: 1_000_000,
        gas_price: 0,
        access_list: Default::default(),
        authorizations: vec![],
    }
}

#[test]
fn outside_of_a_bundle_nobody_is_called() {
    let mut domain = calling_domain(&[A, B]);
    let outside = error("OutsideBundle()", &[]);
    let call = asking(request(U256::from(B), SCRIPT, &[]));
    let chain = domain.chain(RollupId(A)).unwrap();
    assert_eq!(chain.call(&call).unwrap(), Called::Revert { output: outside.clone().into() });
    assert_eq!(chain.estimate_gas(&call).unwrap(), Err(Called::Revert { output: outside.clone().into() }));
    let ask = |nonce| {
        let mut leg = running(&[Step::Ask(B, vec![Step::Count(1)])]);
        leg.ask.nonce = nonce;
        leg
    };
    let together = [ask(1), carrier(B)].map(|leg| leg.alone().parts().remove(0));
    let derived = derive(&mut domain, 1, &[vec![ask(0).alone()], vec![Ordered::inclusion(1, together.into())]]);
    let block = &derived.blocks[&RollupId(A)].block;
    assert!(block.transactions.len() == 2 && block.receipts.iter().all(|receipt| receipt.status()));
    let again = words(&[U256::ZERO, U256::from(4), keccak256(&outside).into(), noted(false, &outside)]);
    assert_eq!(slot(&domain, A, SCRIPT, ANSWER), U256::from_be_bytes(keccak256(again).0));
    assert_eq!(at(&domain, B, SCRIPT, 1), 0);
}

/// Where a domain has no such calls, the address is one like others, where nobody is.
#[test]
fn without_the_switch_nobody_is_there() {
    use super::{heights::domain_of, scripts::scripted};
    let mut domain = domain_of([A, B].map(scripted));
    let derived = commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Count(1)])]);
    assert_eq!(slot(&domain, A, SCRIPT, ANSWER), noted(true, &[]));
    assert_eq!(at(&domain, B, SCRIPT, 1), 0);
    assert!(logs(&derived, A, 0).is_empty());
    let input = request(U256::from(B), SCRIPT, &[]);
    let called = domain.chain(RollupId(A)).unwrap().call(&asking(input)).unwrap();
    assert!(matches!(called, Called::Success { output, .. } if output.is_empty()));
}

/// A genesis may have put anything there.
#[test]
fn without_the_switch_a_contract_can_be_there() {
    use super::{heights::domain_of, programs::LOG, scripts::scripted};
    let with_contract = |rollup| {
        let mut genesis = scripted(rollup);
        let code = Some(Bytes::from_static(LOG));
        genesis.alloc.insert(SYNCHRONOUS_CALL, alloy_genesis::GenesisAccount { code, ..Default::default() });
        genesis
    };
    let mut domain = domain_of([A, B].map(with_contract));
    let before = domain.clone();
    let derived = commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Count(1)])]);
    assert_eq!(logs(&derived, A, 0).len(), 1);
    let (chain, block) = (before.chain(RollupId(A)).unwrap(), &derived.blocks[&RollupId(A)].block);
    let alone = BTreeMap::from([(RollupId(A), crate::Before { chain, block })]);
    assert_eq!(crate::replay(&alone, &[], |_| Ok::<(), ()>(())), Ok(()));
}

/// Who calls nobody finds everything as it was without the switch.
#[test]
fn the_switch_alone_changes_no_block() {
    let legs = super::bundling::pair();
    let mut on = super::scripts::calling_domain_of([A, B].map(super::heights::genesis));
    let mut off = domain(&[A, B]);
    let payloads = [vec![bundle(&legs), Leg::write(A, 2, 0, 7).alone()]];
    let (on, off) = (derive(&mut on, 1, &payloads), derive(&mut off, 1, &payloads));
    assert_eq!(effects(&on), [Effect::Committed]);
    assert_eq!((on.outcome, on.heads), (off.outcome, off.heads));
}

#[test]
fn a_bundle_that_calls_is_burnt_like_others() {
    let legs = [running(&[Step::Ask(B, vec![Step::Count(1)])]), carrier(B)];
    let mut domain = calling_domain(&[A, B]);
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(derived.burnt, [(terms().expiry, binding_of(&terms(), &legs))]);
    let again = bundle_of(&terms(), 1, sign(&terms(), &legs));
    let effect = super::bundling::effect_without_trace(&mut domain, 2, &[vec![again]]);
    assert_eq!(effect, Effect::Aborted { leg: None, reason: crate::AbortReason::Burnt });
    assert_eq!(at(&domain, B, SCRIPT, 1), 1);
}

/// So that tests of other files compare something.
#[test]
fn scripts_do_what_they_are_told() {
    let mut domain = calling_domain(&[A, B]);
    let steps = [
        Step::Frame(Kind::Surely, vec![Step::Count(1), Step::Count(1), Step::Create(vec![Step::Count(3)])]),
        Step::Frame(Kind::Call, vec![Step::Count(1), Step::Revert]),
        Step::Frame(Kind::Call, vec![Step::Count(1), Step::Invalid]),
        Step::CountTransient(2),
        Step::CountTransient(2),
    ];
    commits(&mut domain, 1, &steps);
    assert_eq!((at(&domain, A, OTHER_SCRIPT, 1), at(&domain, A, SCRIPT, 0x42)), (2, 2));
    let created = super::scripts::created_by(OTHER_SCRIPT, &[Step::Count(3)]);
    assert_eq!(at(&domain, A, created, 3), 1);
    assert_eq!(slot(&domain, A, OTHER_SCRIPT, ANSWER + 1), word_of(created));
}
