//! What blocks promise beyond what other implementations can be asked about.

use super::{
    programs::{self, word_of, words},
    story::{CHAIN, Story, genesis},
    wallets::{Ask, Wallet, raw},
};
use crate::{BlockBuilder, GenesisError, Origin, RollupGenesis, Skipped, TransactionError, recover};
use alloy_consensus::Header;
use alloy_eips::{eip2930::AccessList, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use proptest::prelude::*;

const GWEI: u128 = 1_000_000_000;

fn rollup() -> RollupGenesis {
    RollupGenesis::new(&genesis()).unwrap()
}

fn ask(nonce: u64, to: TxKind, input: Bytes) -> Ask {
    let access_list = AccessList::default();
    Ask { nonce, to, value: U256::ZERO, input, gas_limit: 2_000_000, fee: 20 * GWEI, tip: GWEI, access_list }
}

fn origin(rollup: &RollupGenesis) -> Origin {
    Origin {
        timestamp_s: rollup.header.timestamp,
        prev_randao: keccak256("randao"),
        sequencer_block: keccak256("sequencer"),
        extra_data: Bytes::new(),
    }
}

#[test]
fn a_transaction_that_is_skipped_leaves_no_trace() {
    let one = |with_skipped: bool| {
        let mut rollup = rollup();
        let origin = origin(&rollup);
        let mut builder = BlockBuilder::begin(&rollup.rules, &rollup.header, origin, &mut rollup.state);
        let store = TxKind::Call(Address::repeat_byte(0xc1));
        let send = |builder: &mut BlockBuilder<'_>, ask| {
            builder.execute(recover(&raw(&Wallet::new(0).eip1559(CHAIN, ask)), CHAIN).unwrap()).map(|_| ())
        };
        if with_skipped {
            let early = send(&mut builder, ask(7, store, Bytes::new()));
            assert!(matches!(early, Err(Skipped::Invalid(_))), "{early:?}");
            let huge = send(&mut builder, Ask { gas_limit: 30_000_001, ..ask(0, store, Bytes::new()) });
            assert_eq!(huge, Err(Skipped::BlockGas { limit: 30_000_001, left: 30_000_000 }));
            let poor = Ask { value: U256::from(10u128.pow(24)), ..ask(0, store, Bytes::new()) };
            assert!(send(&mut builder, poor).is_err());
        }
        send(&mut builder, ask(0, store, words(&[U256::from(1), U256::from(2)]))).unwrap();
        builder.finish()
    };
    assert_eq!(one(true), one(false));
}

#[test]
fn a_block_reads_the_sequencers_block_by_its_time() {
    let mut rollup = rollup();
    let origin = origin(&rollup);
    let timestamp = words(&[U256::from(origin.timestamp_s)]);
    let call = [words(&[word_of(BEACON_ROOTS_ADDRESS)]), timestamp].concat();
    let mut builder = BlockBuilder::begin(&rollup.rules, &rollup.header, origin, &mut rollup.state);
    let calling = TxKind::Call(Address::repeat_byte(0xc6));
    let sent = raw(&Wallet::new(0).eip1559(CHAIN, ask(0, calling, call.into())));
    assert!(builder.execute(recover(&sent, CHAIN).unwrap()).unwrap().status());
    drop(builder.finish());
    let noted = |slot| rollup.state.slot(Address::repeat_byte(0xc6), U256::from(slot));
    assert_eq!((noted(1), noted(2)), (U256::from(1), U256::from(32)), "it answered with a word");
}

#[test]
fn what_could_be_repeated_elsewhere_is_refused() {
    let wallet = Wallet::new(0);
    let to = TxKind::Call(Address::repeat_byte(1));
    let any = raw(&wallet.legacy(None, ask(0, to, Bytes::new())));
    assert_eq!(recover(&any, CHAIN), Err(TransactionError::NoChain { expected: CHAIN }));
    let other = raw(&wallet.eip1559(7, ask(0, to, Bytes::new())));
    assert_eq!(recover(&other, CHAIN), Err(TransactionError::OtherChain { expected: CHAIN, found: 7 }));
    let delegations = vec![wallet.authorize(CHAIN, Address::ZERO, 1), wallet.authorize(0, Address::ZERO, 2)];
    let all = raw(&wallet.eip7702(CHAIN, ask(0, to, Bytes::new()), delegations));
    assert_eq!(recover(&all, CHAIN), Err(TransactionError::AuthorizationForAll { position: 1, expected: CHAIN }));
    let mut trailing = raw(&wallet.eip1559(CHAIN, ask(0, to, Bytes::new())));
    trailing.push(0);
    assert!(matches!(recover(&trailing, CHAIN), Err(TransactionError::Encoding(_))));
}

/// Also of accounts with storage and code, and where the file leaves out what every rollup has.
#[test]
fn the_genesis_for_other_clients_makes_the_same_block_0() {
    let mut genesis = genesis();
    let storage = [(B256::repeat_byte(1), B256::repeat_byte(2))].into();
    let code = Some(Bytes::from_static(&[0x5f]));
    let account = GenesisAccount { code, storage: Some(storage), nonce: Some(1), ..GenesisAccount::default() };
    genesis.alloc.insert(Address::repeat_byte(0x77), account);
    let for_clients = crate::client_genesis(&genesis).unwrap();
    let header = |genesis| RollupGenesis::new(genesis).unwrap().header;
    assert_eq!(header(&for_clients), header(&genesis));
    assert_eq!(for_clients.alloc.len(), genesis.alloc.len() + 5);
    assert_eq!(for_clients.config.prague_time, Some(0));
}

#[test]
fn a_genesis_that_makes_no_rollup_is_refused() {
    let new = |genesis: &Genesis| RollupGenesis::new(genesis).map(|_| ());
    let mut no_chain = genesis();
    no_chain.config.chain_id = 0;
    assert_eq!(new(&no_chain), Err(GenesisError::ChainId));
    let mut no_fee = genesis();
    no_fee.base_fee_per_gas = None;
    assert_eq!(new(&no_fee), Err(GenesisError::BaseFee));
    let mut other = genesis();
    let code = Some(Bytes::from_static(programs::STORE));
    other.alloc.insert(BEACON_ROOTS_ADDRESS, GenesisAccount { code, ..GenesisAccount::default() });
    assert_eq!(new(&other), Err(GenesisError::SystemContract(BEACON_ROOTS_ADDRESS)));
    let somebody = Address::repeat_byte(9);
    let with = |account| {
        let mut given = genesis();
        given.alloc.insert(somebody, account);
        new(&given)
    };
    assert_eq!(with(GenesisAccount::default()), Err(GenesisError::EmptyAccount(somebody)));
    let storage = Some([(B256::ZERO, B256::repeat_byte(1))].into());
    let stored = GenesisAccount { balance: U256::from(1), storage, ..GenesisAccount::default() };
    assert_eq!(with(stored), Err(GenesisError::Storage(somebody)));
    let rich = GenesisAccount { balance: U256::from(u128::MAX), ..GenesisAccount::default() };
    assert_eq!(with(rich), Err(GenesisError::Supply));
    for gas_limit in [0, u64::MAX] {
        assert_eq!(new(&Genesis { gas_limit, ..genesis() }), Err(GenesisError::GasLimit(gas_limit)));
    }
}

/// The examples of EIP-1559, and its ends.
#[test]
fn the_base_fee_follows_the_gas_that_blocks_use() {
    let next = |base_fee, gas_used| {
        let parent = Header { base_fee_per_gas: Some(base_fee), gas_used, gas_limit: 20_000_000, ..Header::default() };
        rollup().rules.next_base_fee(&parent)
    };
    assert_eq!(next(1_000_000_000, 10_000_000), 1_000_000_000);
    assert_eq!(next(1_000_000_000, 20_000_000), 1_125_000_000);
    assert_eq!(next(1_000_000_000, 0), 875_000_000);
    assert_eq!(next(1_000_000_000, 9_000_000), 987_500_000);
    assert_eq!(next(1, 10_000_001), 2, "it always rises");
    assert_eq!(next(0, 0), 0);
    // A sum of 64 bits would overflow, and stop every node for good.
    assert_eq!(next(u64::MAX, 20_000_000), u64::MAX);
    assert_eq!(next(u64::MAX - 1, 20_000_000), u64::MAX);
}

#[test]
#[should_panic(expected = "begins on the state of another block")]
fn a_block_begins_on_the_state_that_its_parent_left() {
    let mut rollup = rollup();
    let origin = origin(&rollup);
    // Dropped halfway: its system calls are done.
    drop(BlockBuilder::begin(&rollup.rules, &rollup.header, origin.clone(), &mut rollup.state));
    drop(BlockBuilder::begin(&rollup.rules, &rollup.header, origin, &mut rollup.state));
}

/// What was made can be taken back, block by block: a head that turns out wrong, or an answer about the past.
#[test]
fn blocks_can_be_undone() {
    let mut story = Story::new(77);
    let mut heads = vec![(story.rollup.state.root(), None)];
    for _ in 0..20 {
        let (origin, transactions) = (story.origin(), story.transactions());
        let block = story.next(origin, &transactions);
        heads.push((block.header.state_root, Some(story.rollup.state.take_changes())));
    }
    while let Some((root, changes)) = heads.pop() {
        assert_eq!(story.rollup.state.root(), root);
        if let Some(changes) = changes {
            story.rollup.state.undo(&changes).unwrap();
        }
    }
}

/// Inputs that precompiles take for what they are about, and some that nearly are.
fn precompile_input() -> impl Strategy<Value = (u64, Vec<u8>)> {
    let bytes = |len: usize| proptest::collection::vec(any::<u8>(), len);
    let word = |number: u64| U256::from(number).to_be_bytes::<32>().to_vec();
    // Multiples of the generator of BN254, (1, 2), and the point at infinity.
    let point = move |infinity: bool| if infinity { vec![0; 64] } else { [word(1), word(2)].concat() };
    let modexp = (0u64..70, 0u64..70, 0u64..70, bytes(220)).prop_map(move |(base, exponent, modulus, rest)| {
        (5, [word(base), word(exponent), word(modulus), rest].concat())
    });
    let add = (any::<bool>(), any::<bool>()).prop_map(move |(a, b)| (6, [point(a), point(b)].concat()));
    let multiply = (any::<bool>(), bytes(32)).prop_map(move |(a, scalar)| (7, [point(a), scalar].concat()));
    let pairing = (0usize..4).prop_map(move |pairs| (8, vec![0; 192 * pairs]));
    let blake = (0u32..400, bytes(208), 0u8..3)
        .prop_map(|(rounds, state, last)| (9, [rounds.to_be_bytes().to_vec(), state, vec![last]].concat()));
    let infinity =
        (11u64..=17, 0usize..4, prop_oneof![Just(128usize), Just(160), Just(256), Just(288), Just(384), Just(64)])
            .prop_map(|(number, count, size)| (number, vec![0; count * size]));
    let anything = (0u64..=18, 0usize..600).prop_flat_map(move |(number, len)| (Just(number), bytes(len)));
    prop_oneof![modexp, add, multiply, pairing, blake, infinity, anything]
}

proptest! {
    /// A precompile that fails the whole EVM, and not only the call, would let anyone stop a rollup.
    #[test]
    fn no_input_of_a_precompile_stops_the_rollup((number, input) in precompile_input()) {
        let precompile = Address::from_word(U256::from(number).into());
        let mut rollup = rollup();
        let origin = origin(&rollup);
        let mut builder = BlockBuilder::begin(&rollup.rules, &rollup.header, origin, &mut rollup.state);
        let sent = raw(&Wallet::new(0).eip1559(CHAIN, ask(0, TxKind::Call(precompile), input.into())));
        prop_assert!(builder.execute(recover(&sent, CHAIN).unwrap()).is_ok());
    }
}
