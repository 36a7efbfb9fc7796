//! What is different for a call from how the chain is: asked "what if", nothing of it stays.

use crate::State;
use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    context::BlockEnv,
    context_interface::block::BlobExcessGasAndPrice,
    database::CacheDB,
    state::{AccountInfo, Bytecode},
};
use std::{collections::BTreeMap, convert::Infallible};

/// All that is different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Accounts.
    pub accounts: BTreeMap<Address, AccountOverride>,
    /// The block.
    pub block: BlockOverride,
}

/// What is different about an account; all else is as it is, or as of one that does not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// What it owns, in wei.
    pub balance: Option<U256>,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Its code.
    pub code: Option<Bytes>,
    /// Its storage.
    pub storage: StorageOverride,
}

/// What is different about storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageOverride {
    /// It is these slots, and all others are zero.
    All(BTreeMap<U256, U256>),
    /// These slots are different.
    Some(BTreeMap<U256, U256>),
}

impl Default for StorageOverride {
    fn default() -> Self {
        Self::Some(BTreeMap::new())
    }
}

/// What is different about the block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverride {
    /// Its number.
    pub number: Option<U256>,
    /// Its time, in seconds since 1970.
    pub timestamp_s: Option<u64>,
    /// Its gas.
    pub gas_limit: Option<u64>,
    /// Who gets the priority fees.
    pub fee_recipient: Option<Address>,
    /// What `PREVRANDAO` is.
    pub prev_randao: Option<B256>,
    /// Its base fee, also for a call that pays nothing.
    pub base_fee: Option<u64>,
    /// What `BLOBBASEFEE` is.
    pub blob_base_fee: Option<u128>,
    /// Hashes of blocks before it, by number.
    pub hashes: BTreeMap<u64, B256>,
}

/// Why there can be no such account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the code of {address} begins as a delegation (EIP-7702) and is none: {reason}")]
pub struct OverrideError {
    /// Which.
    pub address: Address,
    /// Why.
    pub reason: String,
}

impl BlockOverride {
    pub(crate) fn apply(&self, block: &mut BlockEnv) {
        let BlockEnv { number, beneficiary, timestamp, gas_limit, basefee, prevrandao, .. } = &mut *block;
        *number = self.number.unwrap_or(*number);
        *timestamp = self.timestamp_s.map_or(*timestamp, U256::from);
        *gas_limit = self.gas_limit.unwrap_or(*gas_limit);
        *beneficiary = self.fee_recipient.unwrap_or(*beneficiary);
        *basefee = self.base_fee.unwrap_or(*basefee);
        *prevrandao = self.prev_randao.or(*prevrandao);
        if let Some(blob_gasprice) = self.blob_base_fee {
            block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice });
        }
    }
}

/// Puts what is different over a state.
pub(crate) fn apply(overrides: &Overrides, state: &mut CacheDB<&State>) -> Result<(), OverrideError> {
    for (address, account) in &overrides.accounts {
        account.apply(*address, state)?;
    }
    state.cache.block_hashes.extend(overrides.block.hashes.iter().map(|(number, hash)| (U256::from(*number), *hash)));
    Ok(())
}

impl AccountOverride {
    fn apply(&self, address: Address, state: &mut CacheDB<&State>) -> Result<(), OverrideError> {
        let mut info: AccountInfo = never(state.load_account(address)).info.clone();
        info.balance = self.balance.unwrap_or(info.balance);
        info.nonce = self.nonce.unwrap_or(info.nonce);
        if let Some(code) = &self.code {
            let code = Bytecode::new_raw_checked(code.clone())
                .map_err(|error| OverrideError { address, reason: error.to_string() })?;
            info.code_hash = code.hash_slow();
            info.code = Some(code);
        }
        state.insert_account_info(address, info);
        match &self.storage {
            StorageOverride::All(slots) => {
                never(
                    state.replace_account_storage(address, slots.iter().map(|(slot, value)| (*slot, *value)).collect()),
                );
            }
            StorageOverride::Some(slots) => {
                slots.iter().for_each(|(slot, value)| never(state.insert_account_storage(address, *slot, *value)));
            }
        }
        Ok(())
    }
}

fn never<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
