//! Random histories against a model that is too simple to be fast.

use super::*;
use proptest::prelude::*;

/// What happens to an account in a transaction.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// It has this nonce and balance afterwards; both zero is an empty account unless there is code.
    Paid(u64, u64),
    /// It has this code, or none, as delegations come and go.
    Coded(Option<u8>),
    /// It writes slots.
    Stored(Vec<(u64, u64)>),
    /// It is created, with code and slots.
    Created(u8, Vec<(u64, u64)>),
    /// It destroys itself.
    Destroyed,
    /// It is read only.
    Read,
}

pub(super) type Transaction = BTreeMap<u8, Event>;

fn any_event() -> impl Strategy<Value = Event> {
    let slots = || proptest::collection::vec((0u64..5, 0u64..3), 0..5);
    prop_oneof![
        3 => (0u64..3, 0u64..3).prop_map(|(nonce, balance)| Event::Paid(nonce, balance)),
        2 => proptest::option::of(0u8..3).prop_map(Event::Coded),
        4 => slots().prop_map(Event::Stored),
        2 => (0u8..3, slots()).prop_map(|(code, slots)| Event::Created(code, slots)),
        2 => Just(Event::Destroyed),
        1 => Just(Event::Read),
    ]
}

pub(super) fn any_history() -> impl Strategy<Value = Vec<Vec<Transaction>>> {
    let transaction = proptest::collection::btree_map(0u8..6, any_event(), 0..4);
    proptest::collection::vec(proptest::collection::vec(transaction, 0..6), 1..8)
}

/// Applies a transaction to the model, and says what the EVM would hand over for it.
pub(super) fn execute(model: &mut Rows, transaction: &Transaction) -> EvmState {
    let mut changes = EvmState::default();
    for (name, event) in transaction {
        let owner = address(*name);
        let mut now = model.accounts.get(&owner).copied().unwrap_or_default();
        let (mut new_code, mut writes, mut status) = (None, &Vec::new(), AccountStatus::empty());
        match event {
            Event::Paid(nonce, balance) => (now.nonce, now.balance) = (*nonce, number(*balance)),
            Event::Coded(name) => {
                let code = name.map_or_else(Bytecode::default, code);
                now.code_hash = code.hash_slow();
                new_code = Some(code);
            }
            Event::Stored(slots) => writes = slots,
            Event::Created(name, slots) => {
                let code = code(*name);
                now = Account { nonce: 1, code_hash: code.hash_slow(), ..now };
                (new_code, writes, status) = (Some(code), slots, AccountStatus::Created);
                model.slots.retain(|(address, _), _| *address != owner);
            }
            Event::Destroyed => status = AccountStatus::SelfDestructed,
            Event::Read => {
                let mut read = touched(account(9, 9, &code(9)), None, &[(0, 0, 9)], status);
                read.status = AccountStatus::empty();
                changes.insert(owner, read);
                continue;
            }
        }
        let writes: BTreeMap<u64, u64> = writes.iter().copied().collect();
        let before =
            |slot| u64::try_from(model.slots.get(&(owner, number(slot))).copied().unwrap_or_default()).unwrap();
        let slots: Vec<_> = writes.into_iter().map(|(slot, after)| (slot, before(slot), after)).collect();
        changes.insert(owner, touched(now, new_code.clone(), &slots, status));

        if matches!(event, Event::Destroyed) || now.is_empty() {
            model.accounts.remove(&owner);
            model.slots.retain(|(address, _), _| *address != owner);
        } else {
            model.accounts.insert(owner, now);
            for (slot, _, after) in slots {
                model.slots.insert((owner, number(slot)), number(after));
            }
            model.slots.retain(|_, value| !value.is_zero());
            model.codes.extend(new_code.map(|code| (code.hash_slow(), code.original_bytes())));
        }
    }
    let used: BTreeSet<B256> = model.accounts.values().map(|account| account.code_hash).collect();
    model.codes.retain(|hash, bytes| used.contains(hash) && !bytes.is_empty());
    changes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_what_the_rules_say_and_can_be_undone(history in any_history(), roots_between in any::<bool>()) {
        let (mut state, mut model, mut written) = (State::new(), Rows::default(), Rows::default());
        let mut blocks = Vec::new();
        for (height, block) in (1u64..).zip(&history) {
            let before = check(&mut state);
            for transaction in block {
                let changes = execute(&mut model, transaction);
                state.commit(changes);
                if roots_between {
                    prop_assert_eq!(state.root(), model.root());
                }
            }
            let hash = keccak256(height.to_be_bytes());
            state.push_block_hash(height, hash);
            model.block_hashes.insert(height, hash);
            let (rows, root) = check(&mut state);
            prop_assert_eq!(&rows, &model);

            let changes = state.take_changes();
            prop_assert!(state.take_changes().is_empty());
            written.write(&changes);
            prop_assert_eq!(&written, &rows, "all that changed, and nothing else, is told");
            let mut restored = written.state().unwrap();
            prop_assert_eq!(check(&mut restored), (rows, root));
            blocks.push((before, changes));
        }
        for (before, changes) in blocks.iter().rev() {
            state.undo(changes).unwrap();
            prop_assert_eq!(&check(&mut state), before);
            prop_assert!(state.take_changes().is_empty());
        }
    }

    /// Nodes may be anywhere between two roots when a block is undone, and go another way then.
    #[test]
    fn another_block_can_follow_after_an_undo(history in any_history(), other in any_history()) {
        let (mut state, mut model) = (State::new(), Rows::default());
        for transaction in history.iter().flatten() {
            state.commit(execute(&mut model, transaction));
        }
        let _ = state.take_changes();
        let mut abandoned = model.clone();
        for transaction in other.iter().flatten() {
            state.commit(execute(&mut abandoned, transaction));
        }
        let changes = state.take_changes();
        state.undo(&changes).unwrap();
        for transaction in other.iter().rev().flatten() {
            state.commit(execute(&mut model, transaction));
        }
        prop_assert_eq!(check(&mut state), (model.clone(), model.root()));
    }
}
