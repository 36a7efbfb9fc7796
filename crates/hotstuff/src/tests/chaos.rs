//! Random loss and crashes on the tiny network. The simulator (`chorale-sim`) does this at length and with adversaries;
//! here it is a smoke test that needs no other crate.

use super::net::{Net, parameters};
use crate::Votes;
use proptest::prelude::*;
use std::cell::Cell;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn chains_agree_under_loss_and_crashes_and_grow_afterwards(
        seed in 1u64..u64::MAX,
        loss in 0u64..40,
        closing in prop_oneof![Just(u64::MAX), 3u64..20],
        all in any::<bool>(),
        crashes in proptest::collection::vec((0usize..4, 10u64..300, 10u64..300), 0..12),
    ) {
        let votes = if all { Votes::All } else { Votes::Leaders };
        let mut net = Net::new(&[2, 1, 1, 3], parameters(votes), closing);
        let state = Cell::new(seed);
        net.arrives = Box::new(move |_, _, _| {
            // xorshift: no randomness that a seed does not decide
            let mut next = state.get();
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            state.set(next);
            next % 100 >= loss
        });
        net.start_all();
        for (node, up, down) in crashes {
            net.run(up);
            net.stop(node);
            net.run(down);
            net.start(node);
        }
        net.run(500);
        net.arrives = Box::new(|_, _, _| true);
        net.run(3000);
        let heights: Vec<usize> = (0..4).map(|node| net.height(node)).collect();
        net.run(2000);
        for (node, before) in heights.into_iter().enumerate() {
            prop_assert!(net.height(node) > before + 20, "node {node}: {before} and {}", net.height(node));
        }
    }
}
