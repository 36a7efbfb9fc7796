//! Against anvil, block by block: the same transactions on the same state have to make blocks with the same hash.
//!
//! anvil's blocks are those of Ethereum in most cases, and not where an empty account was only looked at, a slot was
//! cleared, or an account that does not exist delegates (1.7.1). The blocks here keep to what it gets right; all else is compared with the executable specification.
//! It makes no call of EIP-4788, so that contract is left out on both sides.

use super::{
    programs::{self, words},
    rpc::Anvil,
    story::{CHAIN, genesis},
    wallets::{Ask, Wallet, raw},
};
use crate::{BlockBuilder, Origin, RollupGenesis, State, recover};
use alloy_consensus::{Header, Sealed};
use alloy_eips::{eip2930::AccessList, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use serde_json::{Value, json};

const GWEI: u128 = 1_000_000_000;
const BLOCKS: u64 = 20;

/// The state of the genesis without the one contract that anvil does not call.
fn without_beacon_roots(state: &State) -> State {
    let accounts: Vec<_> = state.accounts().filter(|(address, _)| *address != BEACON_ROOTS_ADDRESS).collect();
    let accounts = accounts.into_iter().map(|(address, account)| (address, *account));
    State::from_parts(accounts, state.slots(), state.codes().map(|(_, code)| code), []).unwrap()
}

fn alloc(state: &State) -> Value {
    let rows = state.accounts().map(|(address, account)| {
        let code = state.code(account.code_hash).map_or(Bytes::new(), |code| code.original_bytes());
        let row = json!({
            "nonce": format!("{:#x}", account.nonce), "balance": format!("{:#x}", account.balance), "code": code,
        });
        (address.to_string(), row)
    });
    Value::Object(rows.collect())
}

/// What users send in a block: by each wallet something else, in a fixed order.
fn transactions(block: u64, count: usize, nonces: &mut [u64]) -> Vec<Vec<u8>> {
    let to = |number: u8| TxKind::Call(Address::repeat_byte(0xc0 + number));
    let slot = words(&[U256::from(block), U256::from(block + 1)]);
    let fresh = TxKind::Call(Address::with_last_byte(u8::try_from(100 + block).unwrap()));
    let asks = [
        (fresh, Bytes::new(), 7),
        (to(1), slot.clone(), 0),
        (to(2), slot.clone(), 0),
        (TxKind::Create, programs::deploying(programs::LOG), 0),
        (to(2), slot.clone(), 1),
        (to(8), slot, 0),
    ];
    let mut sent = Vec::new();
    for (index, (to, input, value)) in asks.into_iter().take(count).enumerate() {
        let wallet = Wallet::new(index as u64);
        let ask = Ask {
            nonce: nonces[index],
            to,
            value: U256::from(value),
            input,
            gas_limit: 130_000,
            fee: 20 * GWEI,
            tip: GWEI + u128::from(block) * index as u128,
            access_list: AccessList::default(),
        };
        nonces[index] += 1;
        let signed = match index {
            0 => wallet.legacy(Some(CHAIN), ask),
            1 => wallet.eip2930(CHAIN, ask),
            // anvil refunds an authority that does not exist as if it did: one that has sent something it is.
            2 => {
                let authorization = Wallet::new(0).authorize(CHAIN, Address::repeat_byte(0xc2), nonces[0]);
                nonces[0] += 1;
                wallet.eip7702(CHAIN, ask, vec![authorization])
            }
            _ => wallet.eip1559(CHAIN, ask),
        };
        sent.push(raw(&signed));
    }
    sent
}

fn header(block: &Value) -> Sealed<Header> {
    let header: Header = serde_json::from_value(block.clone()).unwrap();
    let hash: B256 = serde_json::from_value(block["hash"].clone()).unwrap();
    assert_eq!(header.hash_slow(), hash, "anvil's own hash: {block}");
    Sealed::new_unchecked(header, hash)
}

#[test]
fn blocks_are_those_of_anvil() {
    let Some(mut file) = Anvil::wanted() else { return };
    // So that full blocks raise the base fee and the others lower it.
    let given = Genesis { gas_limit: 400_000, ..genesis() };
    let RollupGenesis { rules, state, .. } = RollupGenesis::new(&given).unwrap();
    let mut state = without_beacon_roots(&state);
    let anvil = file.start(
        &json!({
            "config": { "chainId": CHAIN }, "alloc": alloc(&state), "coinbase": rules.fee_recipient,
            "timestamp": format!("{:#x}", given.timestamp), "gasLimit": format!("{:#x}", rules.gas_limit),
            "difficulty": "0x0", "extraData": "0x", "nonce": "0x0", "mixHash": B256::ZERO,
            "baseFeePerGas": format!("{GWEI:#x}"),
        }),
        &[
            &["--chain-id", &CHAIN.to_string(), "--hardfork", "prague", "--accounts", "0"][..],
            &["--disable-default-create2-deployer", "--no-mining", "--order", "fifo", "--disable-min-priority-fee"],
            &["--gas-limit", &rules.gas_limit.to_string(), "--timestamp", &given.timestamp.to_string()],
            &["--block-base-fee-per-gas", &GWEI.to_string()],
        ]
        .concat(),
    );
    anvil.call("anvil_setCoinbase", json!([rules.fee_recipient]));
    let mut head = header(&anvil.call("eth_getBlockByNumber", json!(["0x0", false])));
    // It says that the genesis has no state.
    let hash = head.hash();
    head = Sealed::new_unchecked(Header { state_root: state.root(), ..head.into_inner() }, hash);
    let mut nonces = [0; 6];
    for number in 1..=BLOCKS {
        let timestamp_s = head.timestamp + number % 3;
        anvil.call("evm_setNextBlockTimestamp", json!([timestamp_s]));
        if number == 1 {
            // anvil keeps the base fee of the genesis for one block more.
            let base_fee = format!("{:#x}", rules.next_base_fee(&head));
            anvil.call("anvil_setNextBlockBaseFeePerGas", json!([base_fee]));
        }
        let sent = transactions(number, if number % 3 == 0 { 2 } else { 6 }, &mut nonces);
        for transaction in &sent {
            anvil.call("eth_sendRawTransaction", json!([hex::encode_prefixed(transaction)]));
        }
        anvil.call("evm_mine", json!([]));
        let theirs = header(&anvil.call("eth_getBlockByNumber", json!(["latest", false])));
        let origin =
            Origin { timestamp_s, prev_randao: theirs.mix_hash, sequencer_block: B256::ZERO, extra_data: Bytes::new() };
        let mut builder = BlockBuilder::begin(&rules, &head, origin, &mut state);
        for transaction in &sent {
            builder.execute(recover(transaction, CHAIN).unwrap()).unwrap();
        }
        let ours = builder.finish();
        assert_eq!(ours.header.hash(), theirs.hash(), "block {number}: {:#?} {theirs:#?}", ours.header);
        head = ours.header;
    }
}
