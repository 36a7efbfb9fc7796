//! Histories of rollups that call each other: random programs of any depth.

use super::{
    super::{
        heights::{A, B, C},
        programs::words,
        scripts::{Kind, OTHER_SCRIPT, SCRIPT, Step, created_by, script},
    },
    Act, Plan, Sketch, Unit, Wrong, sketch, unit,
};
use alloy_primitives::{Address, U256};
use proptest::prelude::*;

/// Of rollups that can call each other.
pub(in super::super) fn calling_plan() -> impl Strategy<Value = Plan> {
    let unit = prop_oneof![
        2 => unit(),
        1 => script_sketch().prop_map(Unit::Alone),
        6 => calling_legs().prop_map(Unit::Whole),
    ];
    let payload = proptest::collection::vec(unit, 0..3);
    let heights = proptest::collection::vec(proptest::collection::vec(payload, 1..3), 1..4);
    (2usize..=3, heights).prop_map(|(rollups, heights)| Plan { rollups, calls: true, heights })
}

fn script_sketch() -> impl Strategy<Value = Sketch> {
    let gas = prop_oneof![7 => Just(2_000_000u64), 1 => 60_000u64..400_000];
    let does = (0usize..3).prop_flat_map(|rollup| (Just(rollup), steps(rollup)));
    (does, 0u64..4, gas).prop_map(|((rollup, steps), wallet, gas)| Sketch {
        rollup,
        wallet,
        act: Act::Script(steps),
        wrong: Wrong::Nothing,
        gas,
    })
}

/// Legs that call, with some that do not, and mostly with legs at the end for what they call.
fn calling_legs() -> impl Strategy<Value = Vec<Sketch>> {
    let carrier = |rollup| Sketch { rollup, wallet: 3, act: Act::Pay(7), wrong: Wrong::Nothing, gas: 60_000 };
    let leg = prop_oneof![4 => script_sketch(), 1 => sketch()];
    let legs = proptest::collection::vec(leg, 1..4);
    (legs, 0usize..3, prop_oneof![7 => Just(3usize), 1 => 0usize..3]).prop_map(move |(mut legs, first, count)| {
        legs.extend((0..count).map(|number| carrier((first + number) % 3)));
        legs
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        12 => Just(Kind::Call), 4 => Just(Kind::Surely), 1 => Just(Kind::Static), 1 => Just(Kind::Delegate),
        1 => Just(Kind::WithValue)
    ]
}

/// What scripts do on a rollup, of any depth. Most of what they call is there.
fn steps(rollup: usize) -> impl Strategy<Value = Vec<Step>> {
    let likely = [B, A, B][rollup];
    let small = || 0u8..4;
    let simple = prop_oneof![
        2 => (small(), small()).prop_map(|(slot, value)| Step::Write(slot, value)),
        6 => small().prop_map(Step::Count),
        2 => small().prop_map(Step::CountTransient),
        1 => Just(Step::Who),
        3 => small().prop_map(Step::Say),
        1 => (1u8..=8, small()).prop_map(|(contract, word)| {
            Step::Call(Kind::Call, Address::repeat_byte(0xc0 + contract), 60_000, words(&[U256::from(word); 2]))
        }),
        1 => (70u8..73).prop_map(|heir| Step::Destroy(Address::repeat_byte(heir))),
        2 => Just(Step::Revert),
        1 => Just(Step::Invalid),
        1 => (0u32..5_000).prop_map(Step::Return),
        1 => (0u32..5_000).prop_map(Step::RevertWith),
        1 => small().prop_map(Step::Give),
        1 => proptest::collection::vec(0u8..32, 0..12).prop_map(Step::Noise),
    ];
    let step = simple.prop_recursive(4, 24, 4, move |inner| {
        let some = || proptest::collection::vec(inner.clone(), 0..4);
        let whom = prop_oneof![
            12 => Just(SCRIPT), 2 => Just(OTHER_SCRIPT), 3 => Just(created_by(SCRIPT, &[])),
            1 => Just(Address::repeat_byte(0x99)), 1 => Just(Address::repeat_byte(0xc7)),
        ];
        let rollup = prop_oneof![16 => Just(likely), 1 => Just(A), 1 => Just(B), 3 => Just(C), 1 => Just(12_345)];
        let gas = || prop_oneof![2 => Just(0u32), 1 => 5_000u32..200_000];
        let remote = (kind(), rollup, whom, gas(), some()).prop_map(|(kind, rollup, whom, gas, steps)| {
            Step::Remote(kind, rollup, whom, gas, script(&steps))
        });
        let remote = remote.boxed();
        let end = prop_oneof![4 => Just(Step::Revert), 1 => Just(Step::Invalid), 1 => (0u32..5_000).prop_map(Step::RevertWith)];
        // Calls another rollup, and fails.
        let failing = (some(), remote.clone(), some(), end).prop_map(|(before, remote, after, end)| {
            [before, vec![remote], after, vec![end]].concat()
        });
        prop_oneof![
            2 => (kind(), some()).prop_map(|(kind, steps)| Step::Frame(kind, steps)),
            2 => (kind(), gas(), some()).prop_map(|(kind, gas, steps)| Step::Call(kind, OTHER_SCRIPT, gas, script(&steps))),
            1 => some().prop_map(Step::Create),
            1 => Just(Step::Create(vec![])),
            1 => some().prop_map(Step::CreateForbidden),
            4 => (any::<bool>(), failing).prop_map(|(is_creation, steps)| {
                if is_creation { Step::Create(steps) } else { Step::Call(Kind::Call, OTHER_SCRIPT, 400_000, script(&steps)) }
            }),
            16 => remote,
        ]
    });
    // Of those that end a script only a few are at the top: there they abort the bundle.
    let ends = |step: &Step| matches!(step, Step::Revert | Step::Invalid | Step::RevertWith(_) | Step::Noise(_));
    (proptest::collection::vec(step, 1..6), 0u8..8).prop_map(move |(mut steps, keeps)| {
        steps.retain(|step| keeps == 0 || !ends(step));
        steps
    })
}
