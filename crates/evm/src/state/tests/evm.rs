//! The state under revm: what it hands over is what the state expects.

use super::*;
use alloy_primitives::{TxKind, hex};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::{CfgEnv, TxEnv, result::ExecutionResult},
    database_interface::WrapDatabaseRef,
    primitives::hardfork::SpecId,
};

/// Stores the second word of its input in the slot that the first one names.
const STORE: [u8; 8] = hex!("60203560003555 00");
/// Destroys itself in favour of the caller.
const DESTROY: [u8; 8] = hex!("33ff000000000000");

/// Makes a contract with this code.
fn deployment(code: [u8; 8]) -> Bytes {
    [&hex!("67")[..], &code, &hex!("600052 6008 6018 f3")].concat().into()
}

fn words(words: [u64; 2]) -> Bytes {
    words.map(|word| number(word).to_be_bytes::<32>()).concat().into()
}

struct Chain {
    state: State,
    sent: u64,
}

impl Chain {
    const SENDER: u8 = 0xaa;

    fn new() -> Self {
        let rich = account(0, 1_000_000, &Bytecode::default());
        let state = State::from_parts([(address(Self::SENDER), rich)], [], [], []).unwrap();
        Self { state, sent: 0 }
    }

    /// Executes one transaction and commits it.
    fn send(&mut self, kind: TxKind, value: u64, data: Bytes) -> ExecutionResult {
        let transaction = TxEnv::builder()
            .caller(address(Self::SENDER))
            .nonce(self.sent)
            .kind(kind)
            .value(number(value))
            .data(data)
            .gas_limit(1_000_000)
            .build()
            .unwrap();
        self.sent += 1;
        let result = Context::mainnet()
            .with_db(WrapDatabaseRef(&mut self.state))
            .with_cfg(CfgEnv::new_with_spec(SpecId::PRAGUE))
            .build_mainnet()
            .transact_commit(transaction)
            .unwrap();
        check(&mut self.state);
        result
    }

    fn create(&mut self, value: u64, code: Bytes) -> Address {
        let created = address(Self::SENDER).create(self.sent);
        assert!(self.send(TxKind::Create, value, code).is_success());
        created
    }

    fn call(&mut self, to: Address, value: u64, data: Bytes) {
        assert!(self.send(TxKind::Call(to), value, data).is_success());
    }
}

#[test]
fn contracts_live_in_the_state() {
    let mut chain = Chain::new();
    let contract = chain.create(0, deployment(STORE));
    assert_eq!(chain.state.account(contract).unwrap().nonce, 1);
    chain.call(contract, 0, words([1, 5]));
    chain.call(contract, 3, words([2, 6]));
    assert_eq!([1, 2].map(|slot| chain.state.slot(contract, number(slot))), [5, 6].map(number));
    assert_eq!(chain.state.account(contract).unwrap().balance, number(3));
    let before = check(&mut chain.state);
    let _ = chain.state.take_changes();

    chain.call(contract, 0, words([1, 0]));
    chain.call(contract, 0, words([2, 7]));
    chain.call(contract, 0, words([2, 6]));
    let changes = chain.state.take_changes();
    assert_eq!(changes.slots.keys().copied().collect::<Vec<_>>(), [(contract, number(1))]);
    chain.state.undo(&changes).unwrap();
    assert_eq!(check(&mut chain.state), before);
}

#[test]
fn a_call_without_value_makes_no_account() {
    let mut chain = Chain::new();
    chain.call(address(7), 0, Bytes::new());
    assert_eq!(chain.state.account(address(7)), None);
    chain.call(address(7), 1, Bytes::new());
    assert_eq!(chain.state.account(address(7)), Some(&account(0, 1, &Bytecode::default())));
}

/// EIP-6780: in the transaction that creates it, a contract can still go.
#[test]
fn a_contract_that_destroys_itself_at_once_was_never_there() {
    let mut chain = Chain::new();
    let contract = chain.create(9, Bytes::copy_from_slice(&DESTROY));
    let (rows, _) = check(&mut chain.state);
    assert_eq!(chain.state.account(contract), None);
    assert_eq!(rows.accounts.keys().copied().collect::<Vec<_>>(), [address(Chain::SENDER)]);
    assert!(rows.codes.is_empty());
    assert_eq!(chain.state.account(address(Chain::SENDER)).unwrap().balance, number(1_000_000));
}

/// EIP-6780: later, it only gives away what it owns.
#[test]
fn a_contract_that_destroys_itself_later_stays() {
    let mut chain = Chain::new();
    let contract = chain.create(9, deployment(DESTROY));
    chain.call(contract, 0, Bytes::new());
    let left = chain.state.account(contract).unwrap();
    assert_eq!((left.nonce, left.balance), (1, U256::ZERO));
    assert!(chain.state.code(left.code_hash).is_some());
}
