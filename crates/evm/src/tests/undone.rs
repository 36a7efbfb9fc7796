//! Synchronous calls whose frame is reverted, in every way there is: nothing of them is left, and nothing else is lost.

use super::{
    bundling::{Leg, bundle, effects},
    heights::{A, B, derive},
    scripts::{ANSWER, Kind, OTHER_SCRIPT, SCRIPT, Step, calling_domain, created_by, request, script},
    synchronous::{at, carrier, commits, logs, noted, running},
};
use crate::{Domain, Effect, SYNCHRONOUS_CALL};
use alloy_primitives::{Address, Bytes, U256};
use chorale_types::RollupId;

fn ask(slot: u8) -> Step {
    Step::Ask(B, vec![Step::Count(slot), Step::Say(slot)])
}

/// Frames that do something and fail, whoever notices. Some use all gas that they are given.
fn failing(inner: &[Step]) -> Vec<(&'static str, Step)> {
    let and = |last: Step| [inner, &[last]].concat();
    let within = |steps: &[Step]| Step::Frame(Kind::Surely, steps.to_vec());
    let limited = |kind, steps: &[Step]| Step::Call(kind, OTHER_SCRIPT, 600_000, script(steps));
    vec![
        ("a revert", Step::Frame(Kind::Call, and(Step::Revert))),
        ("a revert with much", Step::Frame(Kind::Call, and(Step::RevertWith(100_000)))),
        ("an exception", limited(Kind::Call, &and(Step::Invalid))),
        ("no gas", limited(Kind::Call, &and(Step::Endless))),
        ("a revert of borrowed code", limited(Kind::Delegate, &and(Step::Revert))),
        ("a creation that reverts", Step::Create(and(Step::Revert))),
        ("a creation of forbidden code", Step::CreateForbidden(inner.to_vec())),
        ("a creation with an exception", limited(Kind::Call, &[Step::Create(and(Step::Invalid)), Step::Revert])),
        ("a frame around it", Step::Frame(Kind::Call, vec![within(inner), Step::Revert])),
        (
            "two frames around it",
            Step::Frame(Kind::Call, vec![within(&[within(inner)]), Step::Write(9, 9), Step::Revert]),
        ),
        ("a frame around a creation", Step::Frame(Kind::Call, vec![Step::Create(inner.to_vec()), Step::Revert])),
        ("a frame that fails in a frame that fails", {
            let first = Step::Frame(Kind::Call, and(Step::Revert));
            Step::Frame(Kind::Call, [&[first][..], inner, &[Step::Revert]].concat())
        }),
    ]
}

/// All that a rollup is, but for the receipts of its blocks.
#[track_caller]
fn assert_same_state(left: &Domain, right: &Domain, rollup: u64, what: &str) {
    let [left, right] = [left, right].map(|domain| domain.chain(RollupId(rollup)).unwrap().state());
    assert!(left.accounts().eq(right.accounts()), "accounts after {what}");
    // The history of blocks differs, as what they say of calls does.
    let system = [alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS];
    let slots = |state: &crate::State| -> Vec<_> {
        state.slots().filter(|(address, ..)| !system.contains(address)).map(|it| format!("{it:?}")).collect()
    };
    assert_eq!(slots(left), slots(right), "slots after {what}");
    assert!(left.codes().eq(right.codes()), "codes after {what}");
}

#[test]
fn a_call_is_undone_with_its_frame_and_no_other_is() {
    let spared = [vec![], vec![ask(1)], vec![ask(1), ask(1)]];
    let undone =
        [vec![ask(2)], vec![ask(2), ask(2)], vec![Step::Write(8, 8), ask(2), Step::Ask(B, vec![Step::Revert]), ask(1)]];
    for (before, inner) in spared.iter().zip(&undone) {
        for after in &spared {
            for (what, step) in failing(inner) {
                let mut domain = calling_domain(&[A, B]);
                let derived = commits(&mut domain, 1, &[&before[..], &[step], &after[..]].concat());
                let mut plain = calling_domain(&[A, B]);
                let expected = commits(&mut plain, 1, &[&before[..], &after[..]].concat());
                assert_same_state(&domain, &plain, B, what);
                assert_eq!((at(&domain, B, SCRIPT, 2), at(&domain, A, OTHER_SCRIPT, 8)), (0, 0), "{what}");
                for (rollup, of_each) in [(A, 1), (B, 2)] {
                    let (with, without) = (logs(&derived, rollup, 0), logs(&expected, rollup, 0));
                    assert_eq!(with.len(), of_each * (before.len() + after.len()), "{what}");
                    // But for the numbers of calls.
                    let what_else = |log: &alloy_primitives::Log| (log.address, log.topics().to_vec());
                    assert!(with.iter().map(what_else).eq(without.iter().map(what_else)), "{what}");
                }
                let numbers = |rollup| -> Vec<U256> {
                    let logs = logs(&derived, rollup, 0).into_iter();
                    let calls = logs.filter(|log| log.address == SYNCHRONOUS_CALL);
                    calls.map(|log| U256::from_be_slice(&log.data.data)).collect()
                };
                assert_eq!(numbers(A), numbers(B), "{what}");
            }
        }
    }
}

/// Nobody there sees what was undone, not even by what it costs.
#[test]
fn the_next_call_finds_all_as_it_was() {
    let look = || Step::Ask(B, vec![Step::CountTransient(1), Step::Count(1), Step::Give(1)]);
    let gas = |steps: &[Step]| {
        let mut domain = calling_domain(&[A, B]);
        let derived = commits(&mut domain, 1, steps);
        assert_eq!((at(&domain, B, SCRIPT, 1), at(&domain, B, SCRIPT, 0x41)), (1, 1));
        derived.blocks[&RollupId(A)].block.header.gas_used
    };
    // Frames of the same gas, one of which has called and one has not.
    let frame = |inner: Step| Step::Call(Kind::Call, OTHER_SCRIPT, 300_000, script(&[inner, Step::Invalid]));
    let with = gas(&[frame(look()), look()]);
    let without = gas(&[frame(Step::Write(1, 1)), look()]);
    // What the script itself reads of its own input costs the difference.
    let shape = |step: &Step| script(std::slice::from_ref(step)).len() as u64;
    assert!(with.abs_diff(without) < 30 * shape(&look()), "{with} and {without}");
}

/// Whatever gas there is, and whenever it ends: on both rollups, or on none.
#[test]
fn at_no_gas_is_half_of_a_call_done() {
    let mut seen = [0; 2];
    for gas in (12_000..150_000).step_by(1_500) {
        let answering = [Step::Count(1), Step::Return(60_000)];
        let direct = Step::Remote(Kind::Call, B, SCRIPT, gas, script(&answering));
        let in_frame =
            Step::Call(Kind::Call, OTHER_SCRIPT, gas, script(&[Step::Ask(B, vec![Step::Count(1)]), Step::Write(1, 1)]));
        for (step, is_direct) in [(direct, true), (in_frame, false)] {
            let mut domain = calling_domain(&[A, B]);
            let derived = commits(&mut domain, 1, &[step]);
            let count = at(&domain, B, SCRIPT, 1);
            assert_eq!((logs(&derived, A, 0).len() as u64, logs(&derived, B, 0).len() as u64), (count, count), "{gas}");
            if !is_direct {
                assert_eq!(at(&domain, A, OTHER_SCRIPT, 1), count, "{gas}");
            }
            seen[usize::try_from(count).unwrap()] += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

/// The answer has to be paid for, or the call has never been.
#[test]
fn an_answer_that_cannot_be_paid_undoes_the_call() {
    let size = 320_000u32;
    let call = |gas: u32| {
        let input = script(&[Step::Count(1), Step::Return(size)]);
        let mut domain = calling_domain(&[A, B]);
        commits(&mut domain, 1, &[Step::Remote(Kind::Call, B, SCRIPT, gas, input)]);
        at(&domain, B, SCRIPT, 1)
    };
    // Between the least gas with which it is executed there, and the least with which it also returns, is what the answer costs.
    let (mut fails, mut succeeds) = (100_000u32, 1_000_000u32);
    assert_eq!((call(fails), call(succeeds)), (0, 1));
    while succeeds - fails > 1 {
        let middle = fails.midpoint(succeeds);
        *(if call(middle) == 1 { &mut succeeds } else { &mut fails }) = middle;
    }
    let mut domain = calling_domain(&[A, B]);
    let input = script(&[Step::Count(1), Step::Return(size)]);
    commits(&mut domain, 1, &[Step::Remote(Kind::Call, B, SCRIPT, fails, input)]);
    assert_eq!(slot_of_answer(&domain), noted(false, &[]), "it ends without gas, and not there");
}

fn slot_of_answer(domain: &Domain) -> U256 {
    super::bundling::slot(domain, A, SCRIPT, ANSWER)
}

/// A leg that reverts takes everything with it, wherever the calls were made.
#[test]
fn a_leg_that_fails_at_last_leaves_nothing_elsewhere() {
    for last in [Step::Revert, Step::Invalid, Step::Endless] {
        let legs = [running(&[ask(1), Step::Frame(Kind::Surely, vec![ask(1)]), last]), carrier(B)];
        let effect = super::bundling::effect_without_trace(&mut calling_domain(&[A, B]), 1, &[vec![bundle(&legs)]]);
        assert!(matches!(effect, Effect::Aborted { leg: Some(0), .. }), "{effect:?}");
    }
}

/// Calls that nobody looks at again until the leg ends are undone as well.
#[test]
fn the_last_call_can_be_undone() {
    for (what, step) in failing(&[ask(1)]) {
        let mut domain = calling_domain(&[A, B]);
        let before = domain.clone();
        let derived = commits(&mut domain, 1, &[step]);
        assert!(logs(&derived, B, 0).is_empty(), "{what}");
        let mut plain = before;
        let legs = [Leg::write(A, 2, 0, 1), carrier(B)];
        assert_eq!(effects(&derive(&mut plain, 1, &[vec![bundle(&legs)]])), [Effect::Committed]);
        assert_same_state(&domain, &plain, B, what);
    }
}

/// Other logs come where that of a call was.
#[test]
fn logs_in_the_place_of_a_call_stand_for_nothing() {
    let noise = || Step::Say(7);
    let undone = || Step::Frame(Kind::Call, vec![ask(2), Step::Revert]);
    let steps = [undone(), noise(), noise(), undone(), ask(1), undone(), noise(), ask(1), undone(), noise(), noise()];
    let mut domain = calling_domain(&[A, B]);
    let derived = commits(&mut domain, 1, &steps);
    assert_eq!((at(&domain, B, SCRIPT, 1), at(&domain, B, SCRIPT, 2)), (2, 0));
    assert_eq!((logs(&derived, A, 0).len(), logs(&derived, B, 0).len()), (7, 4));
    // And calls themselves.
    let same_place = [undone(), ask(1), undone(), ask(1)];
    commits(&mut domain, 2, &same_place);
    assert_eq!((at(&domain, B, SCRIPT, 1), at(&domain, B, SCRIPT, 2)), (4, 0));
}

#[test]
fn contracts_that_were_created_in_an_undone_call_are_not_there() {
    let create = || Step::Create(vec![Step::Count(3)]);
    let created = created_by(SCRIPT, &[Step::Count(3)]);
    let undone = Step::Frame(Kind::Call, vec![Step::Ask(B, vec![create()]), Step::Revert]);
    // Called where it was; created in a call that stands; created once more, which fails.
    let call = |slot| Step::Remote(Kind::Call, B, created, 0, script(&[Step::Count(slot)]));
    let mut domain = calling_domain(&[A, B]);
    let again = Step::Ask(B, vec![create()]);
    commits(&mut domain, 1, &[undone, call(4), again.clone(), call(5), again]);
    assert_eq!([3, 4, 5].map(|slot| at(&domain, B, created, slot)), [1, 0, 1]);
    assert_eq!(super::bundling::slot(&domain, B, SCRIPT, ANSWER + 1), U256::ZERO, "the second creation collides");
    let account = domain.chain(RollupId(B)).unwrap().state().account(created).copied().unwrap();
    assert_eq!(account.nonce, 1);
}

#[test]
fn what_destroys_itself_in_a_call_is_gone_unless_that_is_undone() {
    let heir = Address::repeat_byte(0x77);
    let created = created_by(SCRIPT, &[]);
    let create = || Step::Ask(B, vec![Step::Create(vec![])]);
    let there = |input: &[Step]| Step::Remote(Kind::Call, B, created, 0, script(input));
    let destroy = || there(&[Step::Count(1), Step::Destroy(heir)]);
    let exists = |domain: &Domain, address| domain.chain(RollupId(B)).unwrap().state().account(address).is_some();
    let undone = |step| Step::Frame(Kind::Call, vec![step, Step::Revert]);
    // Created and destroyed in calls of one leg (EIP-6780); its code is there until the leg ends.
    let mut domain = calling_domain(&[A, B]);
    let derived = commits(&mut domain, 1, &[create(), destroy(), there(&[Step::Say(1)])]);
    assert!(!exists(&domain, created));
    assert_eq!(logs(&derived, A, 0).len(), 3);
    commits(&mut domain, 2, &[create(), undone(destroy()), there(&[Step::Count(2)])]);
    assert_eq!((at(&domain, B, created, 1), at(&domain, B, created, 2)), (0, 1));
    // One that was there before stays, without its balance.
    let old = |steps: &[Step]| Step::Ask(B, steps.to_vec());
    commits(&mut domain, 3, &[undone(old(&[Step::Destroy(heir)])), old(&[Step::Count(7)])]);
    let balance = |domain: &Domain, address| {
        domain.chain(RollupId(B)).unwrap().state().account(address).map_or(U256::ZERO, |account| account.balance)
    };
    assert_eq!((balance(&domain, SCRIPT), balance(&domain, heir)), (U256::from(1_000), U256::ZERO));
    commits(&mut domain, 4, &[old(&[Step::Destroy(heir)]), old(&[Step::Count(7)])]);
    assert_eq!((balance(&domain, SCRIPT), balance(&domain, heir)), (U256::ZERO, U256::from(1_000)));
    assert_eq!(at(&domain, B, SCRIPT, 7), 2);
}

/// What a contract did before it was gone, it did.
#[test]
fn the_caller_may_destroy_itself() {
    let heir = Address::repeat_byte(0x77);
    let steps = [ask(1), Step::Destroy(heir)];
    let created = created_by(SCRIPT, &steps);
    let mut domain = calling_domain(&[A, B]);
    // In its creation, at once; and one that was there before.
    let derived = commits(&mut domain, 1, &[Step::Create(steps.to_vec()), ask(1), Step::Destroy(heir)]);
    assert_eq!(at(&domain, B, SCRIPT, 1), 2);
    assert!(domain.chain(RollupId(A)).unwrap().state().account(created).is_none());
    let callers: Vec<_> = logs(&derived, B, 0).iter().filter_map(|log| log.topics().get(2).copied()).collect();
    assert_eq!(callers, [created, SCRIPT].map(|caller| caller.into_word()));
    let direct = request(U256::from(B), SCRIPT, &script(&[Step::Count(1)]));
    commits(&mut domain, 2, &[Step::Call(Kind::Surely, SYNCHRONOUS_CALL, 0, direct), Step::Destroy(heir)]);
    assert_eq!(at(&domain, B, SCRIPT, 1), 3);
}

#[test]
fn answers_may_be_long() {
    let size = 1 << 19;
    let mut domain = calling_domain(&[A, B]);
    commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Count(1), Step::Return(size)])]);
    let zeros = vec![0; size as usize];
    assert_eq!(slot_of_answer(&domain), noted(true, &super::synchronous::bytes(&zeros)));
    let mut domain = calling_domain(&[A, B]);
    commits(&mut domain, 1, &[Step::Ask(B, vec![Step::Count(1), Step::RevertWith(size)])]);
    assert_eq!(slot_of_answer(&domain), noted(false, &super::synchronous::failed(&zeros)));
    assert_eq!(at(&domain, B, SCRIPT, 1), 0);
    // A leg that hands it on aborts the bundle with the beginning of it.
    let surely = Step::Remote(Kind::Surely, B, SCRIPT, 0, script(&[Step::RevertWith(size)]));
    let legs = [running(&[surely]), carrier(B)];
    let effect = super::bundling::effect_without_trace(&mut calling_domain(&[A, B]), 1, &[vec![bundle(&legs)]]);
    let output = Bytes::copy_from_slice(&super::synchronous::failed(&zeros)[..crate::REVERT_BYTES_MAX]);
    assert_eq!(effect, Effect::Aborted { leg: Some(0), reason: crate::AbortReason::Reverted { output } });
}
