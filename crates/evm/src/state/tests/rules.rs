//! The rules, one at a time.

use super::*;

const NONE: AccountStatus = AccountStatus::empty();

/// A contract with storage, and what led to it.
fn contract() -> (State, Changes) {
    let mut state = State::new();
    let (code, slots) = (code(1), [(1, 0, 10), (2, 0, 20)]);
    let created = touched(account(1, 5, &code), Some(code), &slots, AccountStatus::Created);
    commit_one(&mut state, address(1), created);
    let changes = state.take_changes();
    (state, changes)
}

#[test]
fn a_new_state_is_empty() {
    let mut state = State::new();
    assert_eq!(state.root(), alloy_trie::EMPTY_ROOT_HASH);
    assert!(state.take_changes().is_empty());
    assert_eq!((state.account(address(1)), state.slot(address(1), number(1))), (None, U256::ZERO));
}

#[test]
fn what_is_not_touched_does_not_count() {
    let (mut state, _) = contract();
    let before = check(&mut state);
    let mut read = touched(account(7, 7, &code(1)), None, &[(1, 10, 11)], NONE);
    read.status = NONE;
    commit_one(&mut state, address(1), read);
    assert_eq!(check(&mut state), before);
    assert!(state.take_changes().is_empty());
}

/// revm sets the value before anew for each transaction; what is equal to it was not written.
#[test]
fn slots_count_by_what_changed_in_the_transaction() {
    let (mut state, _) = contract();
    let written = touched(account(1, 5, &code(1)), None, &[(1, 10, 11), (2, 99, 99)], NONE);
    commit_one(&mut state, address(1), written);
    assert_eq!([1, 2].map(|slot| state.slot(address(1), number(slot))), [number(11), number(20)]);
    check(&mut state);
}

#[test]
fn an_account_that_is_touched_and_empty_is_removed() {
    let mut state = State::new();
    let payer = |balance| touched(account(0, balance, &Bytecode::default()), None, &[], NONE);
    commit_one(&mut state, address(1), payer(0));
    assert_eq!(state.account(address(1)), None, "it does not come to be either");
    commit_one(&mut state, address(1), payer(3));
    let before = check(&mut state);
    let _ = state.take_changes();
    let mut emptied = payer(0);
    emptied.info.code_hash = B256::ZERO;
    commit_one(&mut state, address(1), emptied);
    assert_eq!(state.root(), alloy_trie::EMPTY_ROOT_HASH);
    let changes = state.take_changes();
    state.undo(&changes).unwrap();
    assert_eq!(check(&mut state), before);
}

#[test]
fn a_slot_that_is_zero_is_none() {
    let (mut state, _) = contract();
    let before = check(&mut state);
    let cleared = touched(account(1, 5, &code(1)), None, &[(1, 10, 0), (2, 20, 0)], NONE);
    commit_one(&mut state, address(1), cleared);
    let (rows, _) = check(&mut state);
    assert_eq!(rows.slots, BTreeMap::new());
    assert_eq!(state.account_proof(address(1), &[]).storage_hash, alloy_trie::EMPTY_ROOT_HASH);
    let changes = state.take_changes();
    assert_eq!(changes.slots.len(), 2);
    assert!(changes.accounts.is_empty(), "only its storage changed");
    state.undo(&changes).unwrap();
    assert_eq!(check(&mut state), before);
}

#[test]
fn what_destroys_itself_takes_its_storage_along() {
    let (mut state, _) = contract();
    let before = check(&mut state);
    let destroyed = touched(account(1, 0, &code(1)), None, &[(3, 0, 30)], AccountStatus::SelfDestructed);
    commit_one(&mut state, address(1), destroyed);
    let (rows, root) = check(&mut state);
    assert_eq!((rows, root), (Rows::default(), alloy_trie::EMPTY_ROOT_HASH));
    let changes = state.take_changes();
    assert_eq!((changes.accounts.len(), changes.slots.len(), changes.codes.len()), (1, 2, 1));
    state.undo(&changes).unwrap();
    assert_eq!(check(&mut state), before);
}

#[test]
fn what_is_created_again_begins_with_empty_storage() {
    let (mut state, _) = contract();
    let before = check(&mut state);
    let destroyed = touched(account(1, 0, &code(1)), None, &[], AccountStatus::SelfDestructed);
    commit_one(&mut state, address(1), destroyed);
    let created = touched(account(1, 0, &code(2)), Some(code(2)), &[(2, 0, 21)], AccountStatus::Created);
    commit_one(&mut state, address(1), created);
    let (rows, _) = check(&mut state);
    assert_eq!(rows.slots, BTreeMap::from([((address(1), number(2)), number(21))]));
    let changes = state.take_changes();
    assert_eq!(changes.slots[&(address(1), number(1))], Change { before: number(10), after: U256::ZERO });
    state.undo(&changes).unwrap();
    assert_eq!(check(&mut state), before);
}

#[test]
fn creation_over_an_address_with_storage_clears_it() {
    let (mut state, _) = contract();
    let created = touched(account(1, 5, &code(1)), Some(code(1)), &[(2, 0, 22)], AccountStatus::Created);
    commit_one(&mut state, address(1), created);
    let (rows, _) = check(&mut state);
    assert_eq!(rows.slots, BTreeMap::from([((address(1), number(2)), number(22))]));
}

#[test]
fn what_comes_and_goes_within_a_block_is_no_change() {
    let (mut state, _) = contract();
    let there = touched(account(1, 6, &code(2)), Some(code(2)), &[(1, 10, 11)], NONE);
    let back = touched(account(1, 5, &code(1)), Some(code(1)), &[(1, 11, 10)], NONE);
    commit_one(&mut state, address(1), there);
    commit_one(&mut state, address(1), back);
    assert_eq!(state.take_changes(), Changes::default());
    check(&mut state);
}

#[test]
fn code_stays_as_long_as_an_account_has_it() {
    let mut state = State::new();
    let coded = |name| touched(account(1, 0, &code(name)), Some(code(name)), &[], NONE);
    for owner in [1, 2] {
        commit_one(&mut state, address(owner), coded(7));
    }
    let hash = code(7).hash_slow();
    commit_one(&mut state, address(1), coded(8));
    assert_eq!(state.code(hash), Some(&code(7)));
    // From one account to another in the same transaction, in whatever order the EVM tells of them.
    state.commit(EvmState::from_iter([(address(1), coded(7)), (address(2), coded(8))]));
    check(&mut state);
    state.commit(EvmState::from_iter([(address(1), coded(8)), (address(2), coded(9))]));
    assert_eq!(state.code(hash), None);
    check(&mut state);
}

/// Undoing, one account gets back what another is about to lose.
#[test]
fn undo_hands_code_on_from_one_account_to_another() {
    for (one, other) in [(1, 2), (2, 1)] {
        let mut state = State::new();
        let coded = |name| touched(account(1, 0, &code(name)), Some(code(name)), &[], NONE);
        state.commit(EvmState::from_iter([(address(one), coded(7)), (address(other), coded(8))]));
        let before = check(&mut state);
        let _ = state.take_changes();
        state.commit(EvmState::from_iter([(address(one), coded(8)), (address(other), coded(7))]));
        let changes = state.take_changes();
        assert!(changes.codes.is_empty());
        state.undo(&changes).unwrap();
        assert_eq!(check(&mut state), before);
    }
}

#[test]
fn blockhash_sees_the_last_256_blocks() {
    let mut state = State::new();
    let hash = |number: u64| keccak256(number.to_be_bytes());
    for number in 0..300 {
        state.push_block_hash(number, hash(number));
    }
    assert_eq!(state.block_hashes().map(|(number, _)| number).collect::<Vec<_>>(), (44..300).collect::<Vec<_>>());
    assert_eq!(state.block_hash_ref(43).unwrap(), B256::ZERO);
    assert_eq!(state.block_hash_ref(44).unwrap(), hash(44));
    let _ = state.take_changes();
    state.push_block_hash(300, hash(300));
    let changes = state.take_changes();
    assert_eq!(changes.block_hashes.len(), 2, "one comes, one goes");
    state.undo(&changes).unwrap();
    assert_eq!((state.block_hash(44), state.block_hash(300)), (Some(hash(44)), None));
}

#[test]
fn only_the_last_changes_can_be_undone() {
    let (mut state, first) = contract();
    let pay = |balance| touched(account(1, balance, &code(1)), None, &[], NONE);
    commit_one(&mut state, address(1), pay(6));
    assert_eq!(state.undo(&first), Err(UndoError::Untaken));
    let second = state.take_changes();
    let before = check(&mut state);
    assert_eq!(state.undo(&first), Err(UndoError::Account(address(1))));

    let damaged = |damage: fn(&mut Changes)| {
        let mut changes = second.clone();
        damage(&mut changes);
        changes
    };
    let slot = |before, after| Change { before: number(before), after: number(after) };
    let slots = UndoError::Slot { address: address(1), slot: number(1) };
    let mut wrong_slot = second.clone();
    wrong_slot.slots.insert((address(1), number(1)), slot(0, 11));
    assert_eq!(state.undo(&wrong_slot), Err(slots));
    let mut no_account = second.clone();
    no_account.slots.insert((address(9), number(1)), slot(1, 0));
    assert_eq!(state.undo(&no_account), Err(UndoError::Slot { address: address(9), slot: number(1) }));
    let no_code = damaged(|changes| {
        let change = changes.accounts.get_mut(&address(1)).unwrap();
        change.before = Some(account(1, 5, &code(4)));
    });
    assert_eq!(state.undo(&no_code), Err(UndoError::Code(code(4).hash_slow())));
    let other_code = damaged(|changes| {
        let bytes = Some(code(3).original_bytes());
        changes.codes.insert(code(4).hash_slow(), Change { before: bytes, after: None });
    });
    assert_eq!(state.undo(&other_code), Err(UndoError::Code(code(4).hash_slow())));
    let block_hash = damaged(|changes| {
        changes.block_hashes.insert(3, Change { before: None, after: Some(B256::ZERO) });
    });
    assert_eq!(state.undo(&block_hash), Err(UndoError::BlockHash(3)));
    assert_eq!(check(&mut state), before, "what is refused changes nothing");

    state.undo(&second).unwrap();
    state.undo(&first).unwrap();
    assert_eq!(check(&mut state).0, Rows::default());
}
