//! Clones: a state as it was after a block, whatever blocks came after it.

use super::{
    history::{any_history, execute},
    proofs::verify_all,
    *,
};
use proptest::prelude::*;

/// That a snapshot still is what it was, and proves it. It is only read.
fn check_snapshot(snapshot: &State, rows: &Rows) {
    assert_eq!(&Rows::of(snapshot), rows);
    let root = rows.root();
    assert_eq!(snapshot.current_root(), Some(root));
    for owner in (0..8).map(address) {
        let slots: Vec<U256> = (0..6).map(number).collect();
        let proof = snapshot.account_proof(owner, &slots);
        verify_all(root, &proof);
        assert_eq!(proof.account.as_ref(), rows.accounts.get(&owner));
        let expected = |slot: &U256| rows.slots.get(&(owner, *slot)).copied().unwrap_or_default();
        assert!(proof.slots.iter().all(|slot| slot.value == expected(&slot.slot)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Blocks are executed, and then some are undone and others executed in their place: in the end each snapshot is
    /// what it was when it was made.
    #[test]
    fn snapshots_stay_what_they_were(history in any_history(), other in any_history(), undone in 0usize..4) {
        let (mut state, mut model) = (State::new(), Rows::default());
        let (mut snapshots, mut blocks) = (Vec::new(), Vec::new());
        let mut run = |state: &mut State, model: &mut Rows, block: &[_], height: u64| {
            let before = model.clone();
            block.iter().for_each(|transaction| state.commit(execute(model, transaction)));
            state.push_block_hash(height, keccak256(height.to_be_bytes()));
            model.block_hashes.insert(height, keccak256(height.to_be_bytes()));
            assert_eq!(state.root(), model.root());
            let changes = state.take_changes();
            snapshots.push((state.clone(), model.clone()));
            (before, changes)
        };
        for (height, block) in (1..).zip(&history) {
            blocks.push(run(&mut state, &mut model, block, height));
        }
        for (before, changes) in blocks.iter().rev().take(undone) {
            state.undo(changes).unwrap();
            model = before.clone();
            prop_assert_eq!(state.root(), model.root());
        }
        for (height, block) in (100..).zip(&other) {
            run(&mut state, &mut model, block, height);
        }
        drop(state);
        for (snapshot, rows) in &snapshots {
            check_snapshot(snapshot, rows);
        }
        // Any of them can be gone on from, and the others stay as they are.
        for (mut snapshot, rows) in snapshots.iter().cloned() {
            let mut model = rows;
            for transaction in other.iter().flatten() {
                snapshot.commit(execute(&mut model, transaction));
            }
            check(&mut snapshot);
            prop_assert_eq!(Rows::of(&snapshot), model);
        }
        for (snapshot, rows) in &snapshots {
            check_snapshot(snapshot, rows);
        }
    }

    /// A clone may be made at any time: what it has not hashed or handed over yet, each of both does by itself.
    #[test]
    fn a_clone_in_the_middle_of_a_block_is_a_state_of_its_own(history in any_history(), other in any_history()) {
        let (mut state, mut model) = (State::new(), Rows::default());
        for transaction in history.iter().flatten() {
            state.commit(execute(&mut model, transaction));
        }
        let (mut clone, mut clone_model) = (state.clone(), model.clone());
        for transaction in other.iter().flatten() {
            clone.commit(execute(&mut clone_model, transaction));
        }
        prop_assert_eq!(check(&mut state), (model.clone(), model.root()));
        prop_assert_eq!(check(&mut clone), (clone_model.clone(), clone_model.root()));
        let mut written = Rows::default();
        written.write(&clone.take_changes());
        prop_assert_eq!(written, clone_model);
    }
}

/// Readers need no lock: old blocks are read and proven while the next ones are made.
#[test]
fn threads_read_old_blocks_while_the_next_are_made() {
    fn shared<T: Send + Sync + Clone + 'static>(value: &T) -> T {
        value.clone()
    }
    let mut state = State::new();
    std::thread::scope(|scope| {
        for block in 1..30 {
            for name in 1..50 {
                let slots = [(block, 0, block * 2), (1, u64::from(block > 1) * 2, 2)];
                let written = touched(account(block, 5, &code(1)), Some(code(1)), &slots, AccountStatus::empty());
                commit_one(&mut state, address(name), written);
            }
            let root = state.root();
            let _ = state.take_changes();
            let snapshot = shared(&state);
            scope.spawn(move || {
                for name in 0..50 {
                    let proof = snapshot.account_proof(address(name), &[number(block), number(block + 1)]);
                    verify_all(root, &proof);
                    assert_eq!(proof.account, (name > 0).then_some(account(block, 5, &code(1))));
                    assert_eq!(proof.slots[1].value, U256::ZERO);
                }
            });
        }
    });
}
