//! Ether for the accounts of a run, from a development account: on any devnet, also one that runs for long.

use super::{
    Rollup,
    accounts::{Account, Signer},
};
use crate::rpc::answered;
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use anyhow::{Context as _, Result, ensure};
use jsonrpsee::{core::client::ClientT as _, rpc_params};
use serde_json::Value;

/// Accounts that one transaction pays: with what it costs to begin an account, half of a block of 30 million gas.
const PAID_AT_ONCE: usize = 350;
const GAS_BASE: u64 = 100_000;
/// A call with value to an account that begins (9,000, 25,000 and 2,600), its address in the code (320), and the loop.
const GAS_PER_ACCOUNT: u64 = 37_400;
/// Wei for a unit of gas.
pub(super) const FEE_MAX: u128 = 20_000_000_000;
pub(super) const TIP: u128 = 1_000_000;
/// The node waits so long for the receipt, in milliseconds.
const RECEIPT_TIMEOUT_MS: u64 = 15_000;

/// Code of a creation that pays `wei` to each of the accounts that follow it, and leaves a contract without code.
///
/// ```text
///     PUSH1 49                                    the place of the first address
/// 2:  JUMPDEST
///     DUP1 CODESIZE EQ PUSH1 47 JUMPI             after the last one, end
///     PUSH1 20 DUP2 PUSH1 12 CODECOPY             the address, as the word at 0
///     PUSH0 PUSH0 PUSH0 PUSH0 PUSH16 wei PUSH0 MLOAD GAS CALL POP
///     PUSH1 20 ADD PUSH1 2 JUMP                   the next one
/// 47: JUMPDEST STOP
/// ```
fn paying(wei: u128, accounts: &[Address]) -> Bytes {
    let mut code = hex!("6031 5b 80 38 14 602f 57 6014 81 600c 39 5f5f5f5f 6f").to_vec();
    code.extend(wei.to_be_bytes());
    code.extend(hex!("5f 51 5a f1 50 6014 01 6002 56 5b 00"));
    code.extend(accounts.iter().flat_map(|account| account.into_array()));
    code.into()
}

fn payment(chain_id: u64, nonce: u64, wei: u128, accounts: &[Address]) -> TxEip1559 {
    let count = accounts.len() as u64;
    TxEip1559 {
        chain_id,
        nonce,
        gas_limit: GAS_BASE + GAS_PER_ACCOUNT * count,
        max_fee_per_gas: FEE_MAX,
        max_priority_fee_per_gas: TIP,
        to: TxKind::Create,
        value: U256::from(wei) * U256::from(count),
        input: paying(wei, accounts),
        ..TxEip1559::default()
    }
}

/// Gives each of the accounts so much on a rollup.
///
/// # Errors
///
/// The rollup does not take it: the developer has not enough, or somebody else uses the account.
pub(crate) async fn fund(rollup: &Rollup, signer: &Signer, accounts: &[Account], wei: u128) -> Result<()> {
    let developer = signer.developer();
    let client = &rollup.endpoint.client;
    let nonce = client.request("eth_getTransactionCount", rpc_params![developer.address, "pending"]).await;
    let nonce: String = answered(&rollup.endpoint, nonce)?;
    let first = u64::from_str_radix(nonce.trim_start_matches("0x"), 16).context("a nonce that is no number")?;
    // One after the other: two together may be too much for one block, and then the second one has no effect.
    for (nonce, part) in (first..).zip(accounts.chunks(PAID_AT_ONCE)) {
        let addresses: Vec<Address> = part.iter().map(|account| account.address).collect();
        let (raw, hash) = signer.transaction(&developer, payment(rollup.id.0, nonce, wei, &addresses));
        let parameters = rpc_params![hex::encode_prefixed(raw), format!("{RECEIPT_TIMEOUT_MS:#x}")];
        let receipt: Value =
            answered(&rollup.endpoint, client.request("eth_sendRawTransactionSync", parameters).await)?;
        ensure!(receipt["status"] == "0x1", "giving ether to {} accounts failed: {hash}", part.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PAID_AT_ONCE, payment};
    use crate::load::executed::accounts::Signer;
    use alloy_primitives::{Address, B256, Bytes, U256};
    use chorale_evm::{BlockBuilder, Origin, RollupGenesis, recover};
    use chorale_rollup::development_genesis;

    #[test]
    fn all_accounts_are_paid_within_the_gas_of_the_transaction() {
        let (signer, mut rollup) = (Signer::new(), RollupGenesis::new(&development_genesis(1001)).unwrap());
        let accounts: Vec<Address> = (0..PAID_AT_ONCE as u64).map(|number| signer.of_run(1, number).address).collect();
        let (raw, _) = signer.transaction(&signer.developer(), payment(1001, 0, 123, &accounts));
        let origin =
            Origin { timestamp_s: 1, prev_randao: B256::ZERO, sequencer_block: B256::ZERO, extra_data: Bytes::new() };
        let mut builder = BlockBuilder::begin(&rollup.rules, &rollup.header, origin, &mut rollup.state);
        let receipt = builder.execute(recover(&raw, 1001).unwrap()).unwrap().clone();
        drop(builder.finish());
        assert!(receipt.status(), "{receipt:?}");
        for account in accounts {
            assert_eq!(rollup.state.account(account).map(|account| account.balance), Some(U256::from(123)));
        }
    }
}
