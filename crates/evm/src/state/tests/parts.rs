//! Flat data: what comes back from it is what was.

use super::*;

fn rows() -> Rows {
    let accounts = [(1, account(1, 5, &code(1))), (2, account(0, 7, &Bytecode::default()))];
    Rows {
        accounts: accounts.map(|(name, account)| (address(name), account)).into(),
        slots: [((address(1), number(3)), number(30))].into(),
        codes: [(code(1).hash_slow(), code(1).original_bytes())].into(),
        block_hashes: [(4, keccak256([4]))].into(),
    }
}

#[test]
fn a_state_is_what_its_rows_say() {
    let mut state = rows().state().unwrap();
    assert_eq!(check(&mut state).0, rows());
    assert!(state.take_changes().is_empty(), "rows are written down already");
    assert_eq!(state.code_by_hash_ref(code(1).hash_slow()).unwrap(), code(1));
    assert_eq!(state.code_by_hash_ref(KECCAK256_EMPTY).unwrap(), Bytecode::default());
    assert_eq!(state.basic_ref(address(3)).unwrap(), None);
}

#[test]
fn zeros_and_code_that_nobody_has_are_left_out() {
    let mut more = rows();
    more.slots.insert((address(1), number(4)), U256::ZERO);
    more.codes.insert(code(2).hash_slow(), code(2).original_bytes());
    assert_eq!(check(&mut more.state().unwrap()).0, rows());
}

#[test]
fn rows_that_miss_others_are_refused() {
    let refused = |damage: fn(&mut Rows)| {
        let mut rows = rows();
        damage(&mut rows);
        rows.state().unwrap_err()
    };
    let code_hash = code(1).hash_slow();
    assert_eq!(refused(|rows| rows.codes.clear()), PartsError::Code { address: address(1), code_hash });
    assert_eq!(
        refused(|rows| {
            rows.accounts.remove(&address(1));
        }),
        PartsError::Storage(address(1))
    );
    let delegation = Bytes::from_static(&[0xef, 0x01, 0x00, 1]);
    assert_eq!(
        refused(|rows| {
            rows.codes.insert(B256::ZERO, Bytes::from_static(&[0xef, 0x01, 0x00, 1]));
        }),
        PartsError::Delegation(keccak256(delegation))
    );
}
