//! The genesis file for execution clients of others.

use crate::{GenesisError, RollupGenesis};
use alloy_eips::eip7840::BlobParams;
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, U256};

/// The genesis of a rollup as other clients have to be given it to make the same block 0 and follow the same rules: with the
/// forks that are in force from the beginning, and with all contracts that every rollup has, which a rollup's own file may
/// leave out.
///
/// # Errors
///
/// The file makes no rollup.
pub fn client_genesis(genesis: &Genesis) -> Result<Genesis, GenesisError> {
    let RollupGenesis { state, .. } = RollupGenesis::new(genesis)?;
    let mut alloc: std::collections::BTreeMap<_, _> = state
        .accounts()
        .map(|(address, account)| {
            let code = state.code(account.code_hash).map(|code| code.original_bytes()).filter(|code| !code.is_empty());
            let given =
                GenesisAccount { balance: account.balance, nonce: Some(account.nonce), code, ..Default::default() };
            (address, given)
        })
        .collect();
    for (address, slot, value) in state.slots() {
        let account: &mut GenesisAccount = alloc.get_mut(&address).expect("a slot is an account's");
        account.storage.get_or_insert_default().insert(B256::from(slot), B256::from(value));
    }
    Ok(Genesis { config: prague(genesis.config.chain_id), alloc, ..genesis.clone() })
}

/// Everything from the first block on, up to and with Prague.
fn prague(chain_id: u64) -> ChainConfig {
    let first = Some(0);
    ChainConfig {
        chain_id,
        homestead_block: first,
        eip150_block: first,
        eip155_block: first,
        eip158_block: first,
        byzantium_block: first,
        constantinople_block: first,
        petersburg_block: first,
        istanbul_block: first,
        muir_glacier_block: first,
        berlin_block: first,
        london_block: first,
        arrow_glacier_block: first,
        gray_glacier_block: first,
        merge_netsplit_block: first,
        shanghai_time: first,
        cancun_time: first,
        prague_time: first,
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        // There are no deposits (EIP-6110), and some clients must be told where they would come from: nothing can be there.
        deposit_contract_address: Some(Address::ZERO),
        blob_schedule: [("cancun".to_owned(), BlobParams::cancun()), ("prague".to_owned(), BlobParams::prague())]
            .into(),
        ..ChainConfig::default()
    }
}
