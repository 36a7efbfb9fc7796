//! The first block of a rollup, from the genesis file that Ethereum's clients read.

use crate::{Account, PartsError, RollupRules, State, system};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Sealable as _, Sealed};
use alloy_eips::{eip1559::BaseFeeParams, eip7685::EMPTY_REQUESTS_HASH};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use std::collections::BTreeMap;

/// The least gas of a block that Ethereum's clients accept.
const GAS_LIMIT_MIN: u64 = 5_000;
/// The most that a header's extra data may be.
const EXTRA_DATA_BYTES_MAX: usize = 32;

/// A rollup before its first block.
#[derive(Clone, Debug)]
pub struct RollupGenesis {
    /// Its rules.
    pub rules: RollupRules,
    /// Its state.
    pub state: State,
    /// Block 0.
    pub header: Sealed<Header>,
}

/// Why a genesis file makes no rollup. Names the field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Too little gas.
    #[error("gasLimit is {0}, and must be at least {GAS_LIMIT_MIN}")]
    GasLimit(u64),
    /// Too much extra data.
    #[error("extraData has {0} bytes, and at most {EXTRA_DATA_BYTES_MAX} are allowed")]
    ExtraData(usize),
    /// The base fee is missing or too high.
    #[error("baseFeePerGas must be given, as a number of wei below 2^64")]
    BaseFee,
    /// A chain id is missing.
    #[error("config.chainId must be the rollup's id, not 0")]
    ChainId,
    /// The chain begins at 0.
    #[error("number is {0}: the genesis of a rollup is its block 0")]
    Number(u64),
    /// A fee rule that divides by zero.
    #[error("the base fee's change denominator and elasticity must not be 0")]
    BaseFeeRule,
    /// Another contract where Ethereum's rules call one.
    #[error("alloc has something at {0}, which is the place of a system contract; leave it out")]
    SystemContract(Address),
    /// Code or storage that fits to no account.
    #[error("alloc: {0}")]
    Alloc(#[from] PartsError),
}

impl RollupGenesis {
    /// Reads a genesis. Of `config` only the chain id counts: a rollup starts with the rules of Prague. The contracts that
    /// these rules call are added if they are not in it.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn new(genesis: &Genesis, base_fee: BaseFeeParams) -> Result<Self, GenesisError> {
        let rules = RollupRules {
            chain_id: genesis.config.chain_id,
            gas_limit: genesis.gas_limit,
            base_fee,
            fee_recipient: genesis.coinbase,
        };
        let base_fee_per_gas = genesis.base_fee_per_gas.and_then(|fee| u64::try_from(fee).ok());
        let base_fee_per_gas = base_fee_per_gas.ok_or(GenesisError::BaseFee)?;
        check(genesis, base_fee)?;
        let mut state = allocate(&genesis.alloc)?;
        let header = Header {
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: genesis.coinbase,
            state_root: state.root(),
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            gas_limit: genesis.gas_limit,
            timestamp: genesis.timestamp,
            extra_data: genesis.extra_data.clone(),
            mix_hash: genesis.mix_hash,
            difficulty: genesis.difficulty,
            nonce: genesis.nonce.into(),
            base_fee_per_gas: Some(base_fee_per_gas),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        Ok(Self { rules, state, header: header.seal_slow() })
    }
}

fn check(genesis: &Genesis, base_fee: BaseFeeParams) -> Result<(), GenesisError> {
    if genesis.config.chain_id == 0 {
        return Err(GenesisError::ChainId);
    }
    if genesis.gas_limit < GAS_LIMIT_MIN {
        return Err(GenesisError::GasLimit(genesis.gas_limit));
    }
    if genesis.extra_data.len() > EXTRA_DATA_BYTES_MAX {
        return Err(GenesisError::ExtraData(genesis.extra_data.len()));
    }
    if let Some(number) = genesis.number.filter(|number| *number != 0) {
        return Err(GenesisError::Number(number));
    }
    if base_fee.max_change_denominator == 0 || base_fee.elasticity_multiplier == 0 {
        return Err(GenesisError::BaseFeeRule);
    }
    Ok(())
}

fn allocate(alloc: &BTreeMap<Address, GenesisAccount>) -> Result<State, GenesisError> {
    let mut accounts = BTreeMap::new();
    let mut slots = Vec::new();
    let mut codes = Vec::new();
    for (address, given) in alloc {
        let code = given.code.clone().filter(|code| !code.is_empty());
        let code_hash = code.as_ref().map_or(KECCAK256_EMPTY, |code: &Bytes| keccak256(code));
        codes.extend(code);
        let account = Account { nonce: given.nonce.unwrap_or_default(), balance: given.balance, code_hash };
        let storage = given.storage.iter().flatten().filter(|(_, value)| !value.is_zero());
        slots
            .extend(storage.map(|(slot, value)| (*address, U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0))));
        // An account that is as good as none would be a leaf that no client has after its first touch (EIP-161).
        if !account.is_empty() {
            accounts.insert(*address, account);
        }
    }
    for (address, account, code) in system::contracts() {
        let given = *accounts.entry(address).or_insert(account);
        if given.code_hash != account.code_hash {
            return Err(GenesisError::SystemContract(address));
        }
        codes.push(code);
    }
    Ok(State::from_parts(accounts, slots, codes, [])?)
}
