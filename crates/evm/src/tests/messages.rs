//! Messages between legs, through the code of the mailbox.

use super::{
    bundling::{Leg, Message, aborted, bundle, effect_without_trace, effects},
    heights::{A, B, C, MAILING, MAILING_FOR_OTHERS, MAILING_IN_VAIN, MAILING_TWICE, derive, domain},
    programs::{creation_mailing, word_of, words},
    wallets::Wallet,
};
use crate::{AbortReason, Effect, MAILBOX};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use chorale_types::RollupId;

/// From wallet 0 on A to wallet 1 on B.
fn message() -> Message {
    let [sender, receiver] = [0, 1].map(|number| Wallet::new(number).address);
    Message { from: A, to: B, sender, receiver, data: b"what one leg tells another, in more than a word" }
}

fn send(nonce: u64) -> Leg {
    Leg::sending(A, 0, nonce, &message())
}

fn consume(nonce: u64) -> Leg {
    Leg::consuming(B, 1, nonce, &message())
}

#[track_caller]
fn commits(legs: &[Leg]) {
    let mut domain = domain(&[A, B, C]);
    let derived = derive(&mut domain, 1, &[vec![bundle(legs)]]);
    assert_eq!(effects(&derived), [Effect::Committed]);
    let transactions: usize = derived.blocks.values().map(|made| made.block.transactions.len()).sum();
    assert_eq!(transactions, legs.len());
}

#[track_caller]
fn fails(legs: &[Leg], leg: u8, reason: AbortReason) {
    let effect = effect_without_trace(&mut domain(&[A, B, C]), 1, &[vec![bundle(legs)]]);
    assert_eq!(effect, Effect::Aborted { leg: Some(leg), reason });
}

#[test]
fn what_one_leg_sends_a_later_one_consumes() {
    commits(&[send(0), consume(0)]);
    commits(&[send(0), Leg::write(C, 2, 0, 1), consume(0)]);
    for data in [&b""[..], &[7; 32], &[7; 1_000]] {
        let message = Message { data, ..message() };
        commits(&[Leg::sending(A, 0, 0, &message), Leg::consuming(B, 1, 0, &message)]);
    }
}

#[test]
fn contracts_send_and_consume() {
    let message = Message { sender: MAILING, receiver: MAILING, ..message() };
    let send = Leg::call(A, 0, 0, MAILING, message.send());
    let consume = Leg::call(B, 1, 0, MAILING, message.consume());
    commits(&[send.clone(), consume.clone()]);
    fails(&[send, Leg::consuming(B, 1, 0, &message)], 1, AbortReason::Unsent);
    fails(&[Leg::sending(A, 0, 0, &message), consume], 1, AbortReason::Unsent);
}

#[test]
fn a_message_and_its_answer_go_through_one_bundle() {
    let question = message();
    let answer = Message { from: B, to: A, sender: question.receiver, receiver: question.sender, data: b"answer" };
    commits(&[send(0), consume(0), Leg::sending(B, 1, 1, &answer), Leg::consuming(A, 0, 1, &answer)]);
    fails(&[send(0), consume(0), Leg::sending(B, 1, 1, &answer), Leg::write(A, 0, 1, 1)], 2, AbortReason::Unread);
}

/// A rollup may talk to itself, if only from one leg to another.
#[test]
fn a_message_may_be_for_the_rollup_that_sends_it() {
    let message = Message { to: A, ..message() };
    commits(&[Leg::sending(A, 0, 0, &message), Leg::consuming(A, 1, 0, &message)]);
}

#[test]
fn a_message_that_nobody_reads_aborts_the_bundle() {
    fails(&[send(0), Leg::write(B, 1, 0, 2)], 0, AbortReason::Unread);
    fails(&[Leg::write(B, 1, 0, 2), send(0)], 1, AbortReason::Unread);
    // Of several the first that was left.
    fails(&[Leg::write(B, 1, 0, 2), send(0), send(1)], 2, AbortReason::Unread);
    let other = Message { data: b"other", ..message() };
    fails(&[Leg::sending(A, 0, 0, &other), send(1), Leg::consuming(B, 1, 0, &other)], 1, AbortReason::Unread);
}

#[test]
fn a_message_that_nobody_sent_aborts_the_bundle() {
    fails(&[Leg::write(A, 0, 0, 1), consume(0)], 1, AbortReason::Unsent);
    fails(&[consume(0), Leg::write(A, 0, 0, 1)], 0, AbortReason::Unsent);
}

/// Everything that it says counts.
#[test]
fn a_message_is_consumed_as_it_was_sent() {
    let sent = message();
    let stranger = Address::repeat_byte(0x55);
    for consumed in [
        Message { from: C, ..sent },
        Message { sender: stranger, ..sent },
        Message { data: b"what one leg tells another, in more than a wort", ..sent },
        Message { data: b"", ..sent },
    ] {
        fails(&[send(0), Leg::consuming(B, 1, 0, &consumed)], 1, AbortReason::Unsent);
    }
    // Another receiver than the one that is named, and another rollup.
    fails(&[send(0), Leg::consuming(B, 2, 0, &sent)], 1, AbortReason::Unsent);
    fails(&[send(0), Leg::consuming(C, 1, 0, &sent)], 1, AbortReason::Unsent);
    for other in [Message { to: C, ..sent }, Message { to: 12_345, ..sent }, Message { receiver: stranger, ..sent }] {
        fails(&[Leg::sending(A, 0, 0, &other), consume(0)], 1, AbortReason::Unsent);
    }
    // Another sender than the one that is named.
    fails(&[Leg::sending(A, 2, 0, &sent), consume(0)], 1, AbortReason::Unsent);
    fails(&[Leg::sending(C, 0, 0, &sent), consume(0)], 1, AbortReason::Unsent);
}

#[test]
fn a_leg_reads_only_what_legs_before_it_have_sent() {
    fails(&[consume(0), send(0)], 0, AbortReason::Unsent);
    // Not even its own: contracts that send and consume in one leg, in whichever order.
    let own = Wallet::new(0).address.create(0);
    let message = Message { to: A, sender: own, receiver: own, ..message() };
    let doing = |calls: &[Bytes]| {
        Leg::write(A, 0, 0, 0).with(|ask| (ask.to, ask.input) = (TxKind::Create, creation_mailing(calls)))
    };
    fails(&[doing(&[message.send(), message.consume()])], 0, AbortReason::Unsent);
    fails(&[doing(&[message.consume(), message.send()])], 0, AbortReason::Unsent);
    fails(&[doing(&[message.send(), message.send()])], 0, AbortReason::Unread);
}

#[test]
fn a_contract_answers_to_itself_in_a_later_leg() {
    let to_itself = Message { to: A, sender: MAILING, receiver: MAILING, ..message() };
    let through = |input: Bytes| [words(&[word_of(MAILING)]), input].concat().into();
    let calling = Address::repeat_byte(0xc6);
    let send = Leg::call(A, 0, 0, calling, through(to_itself.send()));
    let consume = Leg::call(A, 2, 0, calling, through(to_itself.consume()));
    commits(&[send.clone(), consume.clone()]);
    fails(&[consume, send], 0, AbortReason::Unsent);
}

#[test]
fn a_message_is_consumed_once() {
    fails(&[send(0), consume(0), consume(1)], 2, AbortReason::Unsent);
    let message = Message { receiver: MAILING_TWICE, ..message() };
    let send = |nonce| Leg::sending(A, 0, nonce, &message);
    let consume = Leg::call(B, 1, 0, MAILING_TWICE, message.consume());
    fails(&[send(0), consume.clone()], 1, AbortReason::Unsent);
    commits(&[send(0), send(1), consume]);
}

#[test]
fn two_equal_messages_are_two() {
    commits(&[send(0), send(1), consume(0), consume(1)]);
    commits(&[send(0), consume(0), send(1), consume(1)]);
    fails(&[send(0), send(1), consume(0)], 1, AbortReason::Unread);
    fails(&[send(0), send(1), consume(0), consume(1), consume(2)], 4, AbortReason::Unsent);
    let message = Message { sender: MAILING_TWICE, ..message() };
    let send = Leg::call(A, 0, 0, MAILING_TWICE, message.send());
    let consume = |nonce| Leg::consuming(B, 1, nonce, &message);
    commits(&[send.clone(), consume(0), consume(1)]);
    fails(&[send, consume(0)], 0, AbortReason::Unread);
}

/// What a call has sent that was reverted is not sent, and not consumed.
#[test]
fn a_call_that_is_reverted_takes_its_messages_back() {
    let calling = Address::repeat_byte(0xc6);
    let in_vain = |rollup, wallet, nonce, input: Bytes| {
        Leg::call(rollup, wallet, nonce, calling, [words(&[word_of(MAILING_IN_VAIN)]), input].concat().into())
    };
    let sent = Message { sender: MAILING_IN_VAIN, ..message() };
    let taken = Message { receiver: MAILING_IN_VAIN, ..message() };
    commits(&[in_vain(A, 0, 0, sent.send()), Leg::write(B, 1, 0, 1)]);
    fails(&[in_vain(A, 0, 0, sent.send()), Leg::consuming(B, 1, 0, &sent)], 1, AbortReason::Unsent);
    commits(&[Leg::write(A, 0, 0, 1), in_vain(B, 1, 0, taken.consume())]);
    fails(&[Leg::sending(A, 0, 0, &taken), in_vain(B, 1, 0, taken.consume())], 0, AbortReason::Unread);
}

/// Events of other contracts look the same, but for whose they are.
#[test]
fn nobody_else_speaks_for_the_mailbox() {
    let sent = Message { sender: MAILING_FOR_OTHERS, ..message() };
    let foreign = Leg::call(A, 0, 0, MAILING_FOR_OTHERS, sent.send());
    // Its own slot 0 is cold, unless its access list has it, which is nobody's business.
    let outside = AbortReason::Reverted { output: keccak256("OutsideBundle()")[..4].to_vec().into() };
    fails(&[foreign.clone(), Leg::consuming(B, 1, 0, &sent)], 0, outside);
    let own = |ask: &mut super::wallets::Ask| {
        let storage_keys = vec![crate::BUNDLE_SLOT];
        let entry = alloy_eips::eip2930::AccessListItem { address: MAILING_FOR_OTHERS, storage_keys };
        ask.access_list.0.push(entry);
    };
    let foreign = foreign.with(own);
    commits(&[foreign.clone(), Leg::write(B, 1, 0, 1)]);
    fails(&[foreign, Leg::consuming(B, 1, 0, &sent)], 1, AbortReason::Unsent);
}

#[test]
fn the_mailbox_reverts_outside_of_a_bundle() {
    let mut domain = domain(&[A, B]);
    let outside = [
        send(0).alone(),
        consume(0).alone(),
        Leg::call(A, 2, 0, MAILING, message().send()).alone(),
        super::heights::Ordered::inclusion(
            1,
            [send(1), Leg::consuming(B, 2, 0, &message())].map(|leg| leg.alone().parts().remove(0)).into(),
        ),
    ];
    let [one, two, three, four] = outside;
    let first = derive(&mut domain, 1, &[vec![one, two, three], vec![four]]);
    for rollup in [A, B] {
        let block = &first.blocks[&RollupId(rollup)].block;
        assert_eq!(block.transactions.len(), if rollup == A { 3 } else { 2 });
        assert!(block.receipts.iter().all(|receipt| !receipt.status() && receipt.logs().is_empty()));
    }
    let call = crate::Call {
        from: Wallet::new(0).address,
        to: MAILBOX.into(),
        value: U256::ZERO,
        input: message().send(),
        gas_limit: 1_000_000,
        gas_price: 0,
        access_list: Default::default(),
        authorizations: vec![],
    };
    let called = domain.chain(RollupId(A)).unwrap().call(&call).unwrap();
    assert_eq!(called, crate::Called::Revert { output: keccak256("OutsideBundle()")[..4].to_vec().into() });
}

/// Warm by other means than the access list, in a transaction that is no leg, is what nobody can make.
#[test]
fn the_mailbox_cannot_be_warmed_up_outside_of_a_bundle() {
    // The same code twice in a transaction: the first call reverts, and with it that the slot was read.
    let calling = Address::repeat_byte(0xc6);
    let twice = Leg::call(A, 0, 0, calling, [words(&[word_of(MAILING_TWICE)]), message().send()].concat().into());
    let mut domain = domain(&[A]);
    let derived = derive(&mut domain, 1, &[vec![twice.alone()]]);
    let receipt = &derived.blocks[&RollupId(A)].block.receipts[0];
    assert!(receipt.status(), "the caller does not mind");
    assert!(receipt.logs().is_empty());
    assert_eq!(super::bundling::slot(&domain, A, calling, 1), U256::ZERO);
    assert_eq!(super::bundling::slot(&domain, A, calling, 2), U256::from(4), "the mailbox's error came back");
}

#[test]
fn a_bundle_of_two_rollups_with_messages_leaves_no_trace_when_it_aborts() {
    let legs = [send(0), consume(0), Leg::reverting(A, 2, 0)];
    let reason = AbortReason::Reverted { output: Bytes::from_static(b"because") };
    assert_eq!(aborted(bundle(&legs)), Effect::Aborted { leg: Some(2), reason });
}
