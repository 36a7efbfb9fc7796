//! Calls that are only asked about.

use super::{
    programs::{self, word_of, words},
    story::{CHAIN, genesis},
    wallets::Wallet,
};
use crate::{Call, Called, Chain, RollupGenesis};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Bytes, TxKind, U256};

fn chain() -> Chain {
    Chain::new(RollupGenesis::new(&genesis()).unwrap())
}

fn call(from: Address, contract: u8, input: Bytes) -> Call {
    Call {
        from,
        to: TxKind::Call(Address::repeat_byte(contract)),
        value: U256::ZERO,
        input,
        gas_limit: 30_000_000,
        gas_price: 0,
        access_list: AccessList::default(),
        authorizations: Vec::new(),
    }
}

#[test]
fn a_call_changes_nothing_and_costs_nothing() {
    let chain = chain();
    // Somebody without an account, and a contract, may be the caller.
    for from in [Address::repeat_byte(0x55), Address::repeat_byte(0xc1)] {
        let called = chain.call(&call(from, 0xc1, words(&[U256::ZERO, U256::from(7)]))).unwrap();
        assert!(matches!(called, Called::Success { .. }), "{called:?}");
        assert_eq!(chain.state().slot(Address::repeat_byte(0xc1), U256::ZERO), U256::ZERO);
    }
    assert_eq!(chain.rules().chain_id, CHAIN);
}

#[test]
fn failures_say_what_they_are() {
    let chain = chain();
    let somebody = Wallet::new(0).address;
    let reverted = chain.call(&call(somebody, 0xc3, Bytes::from_static(b"because"))).unwrap();
    assert_eq!(reverted, Called::Revert { output: Bytes::from_static(b"because") });
    let exhausted = Call { gas_limit: 25_000, ..call(somebody, 0xc1, words(&[U256::ZERO, U256::from(7)])) };
    assert!(matches!(chain.call(&exhausted).unwrap(), Called::Halt { out_of_gas: true, .. }));
    let poor = Call { value: U256::MAX, ..call(somebody, 0xc1, Bytes::new()) };
    assert!(chain.call(&poor).is_err());
}

#[test]
fn an_estimate_is_enough_and_hardly_more() {
    let chain = chain();
    let somebody = Wallet::new(0).address;
    let inner = words(&[U256::from(3), U256::from(9)]);
    let through = [words(&[word_of(Address::repeat_byte(0xc1))]), inner.clone()].concat();
    let create =
        Call { to: TxKind::Create, input: programs::deploying(programs::LOOKING), ..call(somebody, 0, Bytes::new()) };
    for asked in [call(somebody, 0xc1, inner), call(somebody, 0xc6, through.into()), create] {
        let gas_limit = chain.estimate_gas(&asked).unwrap().unwrap();
        let with = |gas_limit| chain.call(&Call { gas_limit, ..asked.clone() });
        assert!(matches!(with(gas_limit), Ok(Called::Success { .. })), "{asked:?}");
        let less = gas_limit - gas_limit / 64 - 201;
        assert!(!matches!(with(less), Ok(Called::Success { .. })), "{gas_limit} is far too much for {asked:?}");
    }
    let failing = chain.estimate_gas(&call(somebody, 0xc3, Bytes::from_static(b"no"))).unwrap();
    assert_eq!(failing, Err(Called::Revert { output: Bytes::from_static(b"no") }));
    let transfer = chain.estimate_gas(&call(somebody, 0x77, Bytes::new())).unwrap();
    assert_eq!(transfer, Ok(21_000));
}
