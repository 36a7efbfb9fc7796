//! Bundles that take effect: what they do, in which order, and beside what.

use super::{
    bundling::{
        BYSTANDER, Leg, bundle, bundle_of, bystanders, effect_without_trace, effects, nonce, pair, sign, slot, terms,
        written,
    },
    heights::{A, B, C, CREATING_SURELY, Ordered, SWAPPING, derive, domain},
    programs::{self, deploying, words},
    wallets::raw,
};
use crate::{AbortReason, BlockBuilder, DerivedHeight, Domain, Effect, Reason, Skipped, Terms, recover};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use chorale_types::RollupId;

/// The transactions of a rollup's block, as they were sent, all of which succeeded.
fn included(derived: &DerivedHeight, rollup: u64) -> Vec<Vec<u8>> {
    let block = &derived.blocks[&RollupId(rollup)].block;
    assert!(block.receipts.iter().all(|receipt| receipt.status()));
    block.transactions.iter().map(|transaction| raw(transaction.inner())).collect()
}

/// What an unmodified client makes of a height: the same transactions, each executed by itself.
#[track_caller]
fn assert_ordinary(before: &Domain, derived: &DerivedHeight) {
    for (rollup, made) in &derived.blocks {
        let chain = before.chain(*rollup).unwrap();
        let (mut state, header) = (chain.state().clone(), &made.block.header);
        let origin = crate::Origin {
            timestamp_s: header.timestamp,
            prev_randao: header.mix_hash,
            sequencer_block: header.parent_beacon_block_root.unwrap(),
            extra_data: header.extra_data.clone(),
        };
        let mut builder = BlockBuilder::begin(chain.rules(), chain.head(), origin, &mut state);
        for transaction in &made.block.transactions {
            builder.execute(transaction.clone()).unwrap();
        }
        assert_eq!(builder.finish(), made.block, "block of rollup {rollup}");
    }
}

fn swapping(rollup: u64, wallet: u64, nonce: u64, from: u64, to: u64) -> Leg {
    Leg::call(rollup, wallet, nonce, SWAPPING, words(&[U256::from(from), U256::from(to)]))
}

#[test]
fn a_bundle_takes_effect_on_all_its_rollups() {
    let mut domain = domain(&[A, B, C]);
    let before = domain.clone();
    let bundle = bundle(&pair());
    let derived = derive(&mut domain, 1, &[vec![bundle.clone()]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(derived.bundles[0].id, bundle.id());
    let [first, second] = &bundle.parts()[..] else { unreachable!() };
    assert_eq!(included(&derived, A), [first.1.clone()]);
    assert_eq!(included(&derived, B), [second.1.clone()]);
    assert!(derived.blocks.values().all(|made| made.skipped.is_empty()));
    assert_eq!((written(&domain, A), written(&domain, B)), (11, 22));
    assert_eq!((nonce(&domain, A, 0), nonce(&domain, B, 1)), (1, 1));
    assert_eq!(derived.heads[2], before.heads()[2], "the third rollup is not touched");
    assert_ordinary(&before, &derived);
}

#[test]
fn legs_of_both_types_with_access_lists_of_their_own_take_effect() {
    use super::bundling::Kind;
    use alloy_eips::eip2930::AccessListItem;
    let own = AccessListItem { address: Address::repeat_byte(0xc1), storage_keys: vec![B256::ZERO] };
    let with_own = |leg: Leg| leg.with(|ask| ask.access_list.0 = vec![own.clone(), own.clone()]);
    let [first, second] = pair();
    let legs = [with_own(first.of(Kind::AccessList)), with_own(second)];
    let mut domain = domain(&[A, B]);
    let before = domain.clone();
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    let entries = |rollup: u64| {
        let transaction = &derived.blocks[&RollupId(rollup)].block.transactions[0];
        transaction.inner().access_list().unwrap().0.len()
    };
    assert_eq!((entries(A), entries(B)), (3, 3));
    assert_ordinary(&before, &derived);
}

#[test]
fn a_bundle_may_come_back_to_a_rollup() {
    let mut domain = domain(&[A, B]);
    let before = domain.clone();
    // The last leg needs what the first has written, and is by the same sender.
    let legs = [swapping(A, 0, 0, 0, 5), Leg::write(B, 1, 0, 22), swapping(A, 0, 1, 5, 6)];
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(slot(&domain, A, SWAPPING, 0), U256::from(6));
    assert_eq!((nonce(&domain, A, 0), included(&derived, A).len()), (2, 2));
    assert_ordinary(&before, &derived);
}

#[test]
fn a_leg_sees_what_the_leg_before_it_did_on_its_rollup() {
    let right = [swapping(A, 0, 0, 0, 5), swapping(A, 0, 1, 5, 6), Leg::write(B, 1, 0, 22)];
    let mut one = domain(&[A, B]);
    let before = one.clone();
    let derived = derive(&mut one, 1, &[vec![bundle(&right)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_ordinary(&before, &derived);
    let wrong = [swapping(A, 0, 0, 0, 5), swapping(A, 0, 1, 0, 6), Leg::write(B, 1, 0, 22)];
    let effect = effect_without_trace(&mut domain(&[A, B]), 1, &[vec![bundle(&wrong)]]);
    assert_eq!(effect, Effect::Aborted { leg: Some(1), reason: AbortReason::Reverted { output: Bytes::new() } });
}

#[test]
fn bundles_of_a_height_see_those_before_them() {
    let by = |wallet, from, to, salt| {
        let terms = Terms { salt, ..terms() };
        let legs = [swapping(A, wallet, 0, from, to), swapping(B, wallet, 0, from, to)];
        bundle_of(&terms, 0, sign(&terms, &legs))
    };
    let mut domain = domain(&[A, B]);
    let before = domain.clone();
    let derived = derive(&mut domain, 1, &[vec![by(0, 0, 1, 1), by(1, 7, 8, 2), by(2, 1, 2, 3)], vec![by(3, 2, 3, 4)]]);
    let reverted = Effect::Aborted { leg: Some(0), reason: AbortReason::Reverted { output: Bytes::new() } };
    assert_eq!(effects(&derived), [Effect::Committed, reverted, Effect::Committed, Effect::Committed]);
    assert_eq!((slot(&domain, A, SWAPPING, 0), slot(&domain, B, SWAPPING, 0)), (U256::from(3), U256::from(3)));
    assert_ordinary(&before, &derived);
}

/// Nobody can make a bundle fail with a transaction of the same payload, wherever that stands in it.
#[test]
fn transactions_of_the_same_payload_come_after_a_bundle() {
    let mut domain = domain(&[A, B]);
    let legs = [swapping(A, 0, 0, 0, 5), swapping(B, 1, 0, 0, 5)];
    let spoiling = swapping(A, 2, 0, 0, 9).alone();
    let derived = derive(&mut domain, 1, &[vec![spoiling, bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(slot(&domain, A, SWAPPING, 0), U256::from(5));
    let receipts = &derived.blocks[&RollupId(A)].block.receipts;
    assert_eq!(receipts.iter().map(|receipt| receipt.status()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_bundle_of_the_leader_comes_after_the_transactions_of_the_builder() {
    // The builder's transaction used the nonce of the first leg.
    let used = Leg::write(A, 0, 0, 77).alone();
    let mut domain = domain(&[A, B]);
    let effect = effect_without_trace(&mut domain, 1, &[vec![used], vec![bundle(&pair())]]);
    assert!(
        matches!(&effect, Effect::Aborted { leg: Some(0), reason: AbortReason::Invalid(why) } if why.to_string().contains("nonce")),
        "{effect:?}"
    );
    assert_eq!(written(&domain, A), 77);
}

#[test]
fn a_leg_creates_what_a_later_one_calls() {
    let created = Leg::write(A, 0, 0, 0).sender().create(0);
    let runtime = programs::SWAPPING;
    let create = Leg::write(A, 0, 0, 0).with(|ask| (ask.to, ask.input) = (TxKind::Create, deploying(runtime)));
    let call = Leg::call(A, 1, 0, created, words(&[U256::ZERO, U256::from(3)]));
    let mut domain = domain(&[A, B]);
    let before = domain.clone();
    let derived = derive(&mut domain, 1, &[vec![bundle(&[create, Leg::write(B, 1, 0, 22), call])]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(slot(&domain, A, created, 0), U256::from(3));
    assert_ordinary(&before, &derived);
}

#[test]
fn two_legs_cannot_create_the_same_contract() {
    let init = deploying(programs::STORE);
    let create = |wallet, to| {
        // A creation that fails so uses all but a 64th of the gas.
        Leg::call(A, wallet, 0, to, init.clone()).with(|ask| ask.gas_limit = 2_000_000)
    };
    // One that does not look at whether it succeeded takes effect as it would in any block.
    let careless = Address::repeat_byte(0xc5);
    let mut one = domain(&[A]);
    let before = one.clone();
    let derived = derive(&mut one, 1, &[vec![bundle(&[create(0, careless)])]]);
    assert_ne!(slot(&one, A, careless, 0), U256::ZERO, "the first creates: {:?}", derived.bundles);
    let mut two = before.clone();
    let derived = derive(&mut two, 1, &[vec![bundle(&[create(0, careless), create(1, careless)])]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(slot(&two, A, careless, 0), U256::ZERO, "the second does not");
    assert_ordinary(&before, &derived);

    let sure = [create(0, CREATING_SURELY), Leg::write(B, 1, 0, 22), create(2, CREATING_SURELY)];
    let effect = effect_without_trace(&mut domain(&[A, B]), 1, &[vec![bundle(&sure)]]);
    assert_eq!(effect, Effect::Aborted { leg: Some(2), reason: AbortReason::Reverted { output: Bytes::new() } });
    // And not even as a trace of it: the address is free.
    let address = CREATING_SURELY.create2(B256::ZERO, keccak256(&init));
    let mut last = domain(&[A]);
    derive(&mut last, 1, &[vec![bundle(&sure[..1])]]);
    assert!(last.chain(RollupId(A)).unwrap().state().account(address).is_some());
}

#[test]
fn contracts_that_destroy_themselves_in_a_leg_are_gone_for_the_next() {
    let heir = Address::repeat_byte(0x77);
    let heir_word = [programs::word_of(heir)];
    // Created and destroyed in one leg: by its own creation code.
    let code = [&[revm::bytecode::opcode::PUSH20][..], heir.as_slice(), &[revm::bytecode::opcode::SELFDESTRUCT]];
    let create = Leg::write(A, 0, 0, 0).with(|ask| {
        (ask.to, ask.input, ask.value) = (TxKind::Create, code.concat().into(), U256::from(5));
    });
    let created = create.sender().create(0);
    let pay = Leg::call(A, 1, 0, created, Bytes::new()).with(|ask| ask.value = U256::from(7));
    // One that was there before stays, without its balance (EIP-6780).
    let old = Address::repeat_byte(0xc4);
    let destroy = Leg::call(A, 2, 0, old, words(&heir_word)).with(|ask| ask.value = U256::from(3));
    let again = Leg::call(A, 2, 1, old, words(&heir_word)).with(|ask| ask.value = U256::from(4));
    let mut domain = domain(&[A, B]);
    let before = domain.clone();
    let derived = derive(&mut domain, 1, &[vec![bundle(&[create, pay, destroy, Leg::write(B, 1, 0, 1), again])]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    let state = domain.chain(RollupId(A)).unwrap().state();
    let balance = |address| state.account(address).map(|account| account.balance);
    assert_eq!(balance(heir), Some(U256::from(12)));
    assert_eq!((balance(created), balance(old)), (Some(U256::from(7)), Some(U256::ZERO)));
    assert_ordinary(&before, &derived);
}

/// Such a bundle promises a place in the order, and no more.
#[test]
fn legs_that_are_only_included_together_take_effect_each_by_itself() {
    let legs = [Leg::write(A, 0, 0, 1), Leg::write(B, 1, 9, 2), Leg::reverting(A, 2, 0), Leg::write(B, 3, 0, 4)];
    let signed: Vec<_> = legs.iter().map(|leg| (leg.rollup, raw(&leg.sign(&[])))).collect();
    let mut domain = domain(&[A, B]);
    let before = domain.clone();
    let after = Leg::write(A, 0, 1, 5).alone();
    let derived = derive(&mut domain, 1, &[vec![Ordered::inclusion(1, signed.clone()), after]]);
    assert_eq!(effects(&derived), []);
    assert_eq!(derived.burnt, []);
    let receipts = &derived.blocks[&RollupId(A)].block.receipts;
    assert_eq!(receipts.iter().map(|receipt| receipt.status()).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((written(&domain, A), written(&domain, B)), (5, 4));
    let skipped = &derived.blocks[&RollupId(B)].skipped;
    assert!(matches!(&skipped[..], [one] if matches!(one.reason, Reason::Skipped(Skipped::Invalid(_)))), "{skipped:?}");
    assert_ordinary(&before, &derived);
}

/// The legs of one that executes as a whole are not interrupted by another's.
#[test]
fn bundles_of_both_kinds_keep_their_places() {
    let alone = |wallet| (A, raw(&swapping(A, wallet, 0, 1, 2).sign(&[])));
    let whole = [swapping(A, 0, 0, 0, 1), Leg::write(B, 1, 0, 22), swapping(A, 0, 1, 1, 9)];
    let mut domain = domain(&[A, B]);
    let payload = vec![bundle(&whole), Ordered::inclusion(1, vec![alone(2), alone(3)])];
    let derived = derive(&mut domain, 1, &[payload]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!(slot(&domain, A, SWAPPING, 0), U256::from(9));
    let receipts = &derived.blocks[&RollupId(A)].block.receipts;
    assert_eq!(receipts.iter().map(|receipt| receipt.status()).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn a_bundle_has_as_many_legs_as_it_may() {
    let legs: Vec<_> = (0..16).map(|n| Leg::write([A, B, C][n % 3], 0, n as u64 / 3, n as u64)).collect();
    let mut domain = domain(&[A, B, C]);
    let before = domain.clone();
    let derived = derive(&mut domain, 1, &[vec![bundle(&legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    assert_eq!([A, B, C].map(|rollup| written(&domain, rollup)), [15, 13, 14]);
    assert_ordinary(&before, &derived);
}

/// So that the other tests compare something.
#[test]
fn bystanders_have_a_block_of_their_own() {
    let mut domain = domain(&[A, B]);
    let others = bystanders(&domain);
    let derived = derive(&mut domain, 1, &[others]);
    assert_eq!((included(&derived, A).len(), included(&derived, B).len()), (1, 1));
    assert_eq!((nonce(&domain, A, BYSTANDER), nonce(&domain, B, BYSTANDER)), (1, 1));
    assert!(recover(&included(&derived, A)[0], B).is_err());
}
