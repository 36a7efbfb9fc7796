//! Proofs of accounts and slots, checked by a verifier that shares no code with the state.

use super::*;
use alloy_trie::{Nibbles, proof::verify_proof};

fn verify(root: B256, key: impl AsRef<[u8]>, value: Option<Vec<u8>>, proof: &[Bytes]) {
    verify_proof(root, Nibbles::unpack(keccak256(key)), value, proof).unwrap();
}

pub(super) fn verify_all(root: B256, proof: &AccountProof) {
    let value = proof.account.map(|account| {
        alloy_rlp::encode(TrieAccount::new(account.nonce, account.balance, proof.storage_hash, account.code_hash))
    });
    verify(root, proof.address, value, &proof.proof);
    for slot in &proof.slots {
        let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
        verify(proof.storage_hash, slot.slot.to_be_bytes::<32>(), value, &slot.proof);
    }
}

#[test]
fn accounts_slots_and_their_absence_can_be_proven() {
    let mut state = State::new();
    for name in 1..100 {
        let slots: Vec<_> = (1..=u64::from(name)).map(|slot| (slot, 0, slot * 3)).collect();
        let created = touched(account(1, 5, &code(1)), Some(code(1)), &slots, AccountStatus::Created);
        commit_one(&mut state, address(name), created);
    }
    for name in [1, 2, 50, 99] {
        let paid = touched(account(2, 6, &code(1)), None, &[(1, 3, 4)], AccountStatus::empty());
        commit_one(&mut state, address(name), paid);
        let root = state.root();
        let proof = state.account_proof(address(name), &[1, 2, 99, 100].map(number));
        verify_all(root, &proof);
        assert_eq!(proof.account, Some(account(2, 6, &code(1))));
        assert_eq!(proof.slots[0].value, number(4));
        assert_eq!(proof.slots[3].value, U256::ZERO);
    }
    let absent = state.account_proof(address(200), &[number(1)]);
    verify_all(state.root(), &absent);
    assert_eq!((absent.account, absent.storage_hash), (None, alloy_trie::EMPTY_ROOT_HASH));
    assert_eq!((absent.slots[0].value, absent.slots[0].proof.len()), (U256::ZERO, 0));
}

#[test]
#[should_panic(expected = "ask for the root before a proof")]
fn nothing_is_proven_of_a_state_whose_root_is_not_known() {
    let mut state = State::new();
    let paid = touched(account(0, 6, &Bytecode::default()), None, &[], AccountStatus::empty());
    commit_one(&mut state, address(1), paid);
    assert_eq!(state.current_root(), None);
    let _ = state.account_proof(address(2), &[]);
}

#[test]
fn an_empty_state_proves_that_there_is_nobody() {
    let mut state = State::new();
    let proof = state.account_proof(address(1), &[]);
    verify_all(state.root(), &proof);
    assert!(proof.proof.is_empty());
}
