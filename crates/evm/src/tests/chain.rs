//! From lanes to blocks.

use super::{
    programs::words,
    story::{CHAIN, genesis},
    wallets::{Ask, Wallet, raw},
};
use crate::{Chain, Derived, MARKER, OutOfOrder, Reason, RollupGenesis, Skipped, TransactionError};
use alloy_consensus::Transaction as _;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use chorale_types::{
    BlockId, BundleId, ChainId, Digest, Epoch, Height, Lane, LaneItem, Leg, Outcome, Place, RollupId, TimestampMs,
    Transaction,
    codec::{Blob, List},
    tagged_hash,
};

const GWEI: u128 = 1_000_000_000;

fn chain() -> Chain {
    Chain::new(RollupGenesis::new(&genesis()).unwrap())
}

fn header(height: u64) -> BlockId {
    BlockId(tagged_hash("test/header", &[&height.to_be_bytes()]))
}

fn outcome(height: u64, timestamp_ms: u64) -> Outcome {
    let nothing: Digest = tagged_hash("test/nothing", &[]);
    Outcome {
        chain: ChainId(nothing),
        epoch: Epoch(0),
        height: Height(height),
        header: header(height),
        timestamp: TimestampMs(timestamp_ms),
        payloads: List::default(),
        lanes: nothing,
        registry: nothing,
        ledger: nothing,
        next_validators: None,
    }
}

/// Payload, unit, and the leg if it is one.
type At = (u8, u32, Option<u8>);

fn lane(rollup: u64, items: &[(At, Vec<u8>)]) -> Lane {
    let item = |((payload, unit, leg), data): &(At, Vec<u8>)| {
        let bundle = BundleId(tagged_hash("test/bundle", &[&unit.to_be_bytes()]));
        let place = Place { payload: *payload, unit: *unit, leg: leg.map(|position| Leg { position, bundle }) };
        let data = Blob::new(data.clone()).unwrap();
        let id = Transaction { rollup: RollupId(rollup), data: data.clone() }.id();
        LaneItem { place, id, data }
    };
    Lane::new(RollupId(rollup), items.iter().map(item).collect()).unwrap()
}

/// A call by a wallet that writes its number to slot 0 of a contract: who came last is seen.
fn write(wallet: u64, nonce: u64, access_list: AccessList) -> Vec<u8> {
    let ask = Ask {
        nonce,
        to: TxKind::Call(Address::repeat_byte(0xc1)),
        value: U256::ZERO,
        input: words(&[U256::ZERO, U256::from(wallet + 1)]),
        gas_limit: 200_000,
        fee: 20 * GWEI,
        tip: GWEI,
        access_list,
    };
    raw(&Wallet::new(wallet).eip1559(CHAIN, ask))
}

fn plain(wallet: u64, nonce: u64) -> Vec<u8> {
    write(wallet, nonce, AccessList::default())
}

fn senders(derived: &Derived) -> Vec<Address> {
    derived.block.transactions.iter().map(|transaction| transaction.signer()).collect()
}

#[test]
fn bundles_come_before_the_transactions_of_their_payload_and_payloads_in_their_order() {
    let items = [
        ((0, 0, None), plain(0, 0)),
        ((0, 1, Some(0)), plain(1, 0)),
        ((0, 1, Some(2)), plain(2, 0)),
        ((0, 2, None), plain(3, 0)),
        ((1, 0, None), plain(4, 0)),
        ((1, 3, Some(0)), plain(5, 0)),
    ];
    let derived = chain().derive(&outcome(1, 0), &lane(CHAIN, &items)).unwrap();
    assert_eq!(senders(&derived), [1, 2, 0, 3, 5, 4].map(|number| Wallet::new(number).address));
    assert_eq!(derived.skipped, []);
}

#[test]
fn a_block_says_where_it_stands() {
    let mut chain = chain();
    let genesis_s = chain.head().timestamp;
    // The sequencer may be older than the rollup, and blocks may share a second.
    let times_ms = [(3, 0), (4, genesis_s * 1000 + 999), (9, genesis_s * 1000 + 1999), (10, genesis_s * 1000 + 1999)];
    let mut seen = Vec::new();
    for (number, (height, time_ms)) in (1..).zip(times_ms) {
        let parent = chain.head().hash();
        let derived = chain.derive(&outcome(height, time_ms), &lane(CHAIN, &[((0, 0, None), plain(0, number - 1))]));
        let block = derived.unwrap().block.header;
        assert_eq!((block.number, block.parent_hash), (number, parent));
        assert_eq!(block.extra_data.as_ref(), height.to_be_bytes());
        assert_eq!(block.parent_beacon_block_root, Some(B256::from_slice(header(height).as_ref())));
        let drawn = keccak256([header(height).as_ref(), &CHAIN.to_be_bytes()].concat());
        assert_eq!(block.mix_hash, drawn);
        assert_eq!((chain.head().hash(), chain.height()), (block.hash(), Height(height)));
        seen.push(block.timestamp - genesis_s);
    }
    assert_eq!(seen, [0, 0, 1, 1]);
}

#[test]
fn what_has_no_effect_is_named_with_its_reason_and_place() {
    let items = [
        ((0, 0, None), b"no transaction".to_vec()),
        ((0, 1, None), plain(0, 5)),
        ((0, 2, None), plain(1, 0)),
        ((0, 3, None), plain(1, 0)),
    ];
    let lane = lane(CHAIN, &items);
    let derived = chain().derive(&outcome(1, 0), &lane).unwrap();
    assert_eq!(senders(&derived), [Wallet::new(1).address]);
    let skipped: Vec<_> = derived.skipped.iter().map(|it| (it.place, it.id)).collect();
    assert_eq!(skipped, [0, 1, 3].map(|index| (lane.items()[index].place, lane.items()[index].id)));
    assert!(matches!(derived.skipped[0].reason, Reason::Transaction(TransactionError::Encoding(_))));
    assert!(matches!(derived.skipped[1].reason, Reason::Skipped(Skipped::Invalid(_))));
    assert!(derived.skipped[2].reason.to_string().contains("nonce"), "{:?}", derived.skipped[2]);
}

/// Or whoever sees a bundle could have one of its legs alone.
#[test]
fn a_leg_has_no_life_of_its_own() {
    let bundle = B256::repeat_byte(7);
    let marked = |keys: Vec<B256>| AccessList(vec![AccessListItem { address: MARKER, storage_keys: keys }]);
    let items = [
        ((0, 0, Some(0)), write(0, 0, marked(vec![bundle]))),
        ((0, 1, None), write(1, 0, marked(vec![bundle]))),
        ((0, 2, None), write(2, 0, marked(vec![]))),
        ((0, 3, None), plain(0, 0)),
    ];
    let derived = chain().derive(&outcome(1, 0), &lane(CHAIN, &items)).unwrap();
    let reasons: Vec<_> = derived.skipped.iter().map(|it| it.reason.clone()).collect();
    assert_eq!(reasons, [Reason::Leg(bundle), Reason::Leg(bundle), Reason::Leg(B256::ZERO)]);
    assert_eq!(senders(&derived), [Wallet::new(0).address], "its nonce was not used up");
    assert!(derived.block.receipts[0].status());
    assert_eq!(derived.block.transactions[0].inner().nonce(), 0);
}

#[test]
fn a_height_that_is_not_the_next_changes_nothing() {
    let mut chain = chain();
    let first = lane(CHAIN, &[((0, 0, None), plain(0, 0))]);
    chain.derive(&outcome(5, 0), &first).unwrap();
    let before = chain.head().hash();
    for given in [5, 4] {
        let refused = chain.derive(&outcome(given, 0), &first).map(|_| ());
        assert_eq!(refused, Err(OutOfOrder::Height { given: Height(given), last: Height(5) }));
    }
    let other = chain.derive(&outcome(6, 0), &lane(CHAIN + 1, &[((0, 0, None), plain(0, 1))])).map(|_| ());
    assert_eq!(other, Err(OutOfOrder::Rollup { given: RollupId(CHAIN + 1), expected: RollupId(CHAIN) }));
    assert_eq!((chain.head().hash(), chain.height()), (before, Height(5)));
}

/// What a node keeps of each block: its state, which proves against its header whatever came after it.
#[test]
fn a_clone_of_the_chain_stays_at_its_block() {
    let (mut chain, contract) = (chain(), Address::repeat_byte(0xc1));
    let mut kept = vec![chain.clone()];
    for height in 1..5 {
        chain.derive(&outcome(height, height * 1000), &lane(CHAIN, &[((0, 0, None), plain(height, 0))])).unwrap();
        kept.push(chain.clone());
    }
    for (number, old) in (0u64..).zip(&kept) {
        assert_eq!((old.head().number, old.height()), (number, Height(number)));
        let proof = old.account_proof(contract, &[U256::ZERO]);
        let account = proof.account.unwrap();
        let leaf = TrieAccount::new(account.nonce, account.balance, proof.storage_hash, account.code_hash);
        let path = Nibbles::unpack(keccak256(contract));
        verify_proof(old.head().state_root, path, Some(alloy_rlp::encode(leaf)), &proof.proof).unwrap();
        // Who came last wrote its number.
        assert_eq!(proof.slots[0].value, if number == 0 { U256::ZERO } else { U256::from(number + 1) });
    }
}
