//! The first block of a rollup, from the genesis file that Ethereum's clients read.

use crate::{Account, PartsError, RollupRules, State, block::EXTRA_DATA_BYTES_MAX, system};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Sealable as _, Sealed};
use alloy_eips::{
    eip1559::{DEFAULT_BASE_FEE_MAX_CHANGE_DENOMINATOR, DEFAULT_ELASTICITY_MULTIPLIER},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use std::{collections::BTreeMap, num::NonZeroU64};

/// The least gas of a block that Ethereum's clients accept.
const GAS_LIMIT_MIN: u64 = 5_000;
/// Gas of a block at most. With it the memory that a transaction can pay for is bounded too.
const GAS_LIMIT_MAX: u64 = 1_000_000_000;

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
    /// Too little gas, or so much that a block could take minutes.
    #[error("gasLimit is {0}, and must be {GAS_LIMIT_MIN} to {GAS_LIMIT_MAX}")]
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
    /// A parent or blobs.
    #[error("parentHash, excessBlobGas and blobGasUsed must be 0 or left out")]
    Header,
    /// More ether than the EVM can count.
    #[error("alloc has balances of more than 2^128 - 1 wei in all")]
    Supply,
    /// An account with nothing.
    #[error("alloc has {0} without balance, nonce or code; leave it out")]
    EmptyAccount(Address),
    /// Storage of what is no contract.
    #[error("alloc gives {0} storage, but neither code nor a nonce; give it one of them")]
    Storage(Address),
    /// Another contract where Ethereum's rules call one.
    #[error("alloc has something at {0}, which is the place of a system contract; leave it out")]
    SystemContract(Address),
    /// Code or storage that fits to no account.
    #[error("alloc: {0}")]
    Alloc(#[from] PartsError),
}

impl RollupGenesis {
    /// With another rule for the base fee than Ethereum's.
    #[must_use]
    pub fn with_base_fee(mut self, change_denominator: NonZeroU64, elasticity: NonZeroU64) -> Self {
        self.rules.base_fee_change_denominator = change_denominator.get();
        self.rules.base_fee_elasticity = elasticity.get();
        self
    }

    /// Reads a genesis. Of `config` only the chain id counts: a rollup has the rules of Prague, whatever forks are named, and
    /// no deposit contract. The contracts that these rules call and the [mailbox](crate::MAILBOX) are added if they are not in
    /// it: other clients have to be given them in their file.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn new(genesis: &Genesis) -> Result<Self, GenesisError> {
        let rules = RollupRules {
            chain_id: genesis.config.chain_id,
            gas_limit: genesis.gas_limit,
            base_fee_change_denominator: DEFAULT_BASE_FEE_MAX_CHANGE_DENOMINATOR,
            base_fee_elasticity: DEFAULT_ELASTICITY_MULTIPLIER,
            fee_recipient: genesis.coinbase,
            // For its domain to say.
            synchronous_calls: false,
        };
        let base_fee_per_gas = check(genesis)?;
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

/// The base fee, if everything else is right too.
fn check(genesis: &Genesis) -> Result<u64, GenesisError> {
    if genesis.config.chain_id == 0 {
        return Err(GenesisError::ChainId);
    }
    if !(GAS_LIMIT_MIN..=GAS_LIMIT_MAX).contains(&genesis.gas_limit) {
        return Err(GenesisError::GasLimit(genesis.gas_limit));
    }
    if genesis.extra_data.len() > EXTRA_DATA_BYTES_MAX {
        return Err(GenesisError::ExtraData(genesis.extra_data.len()));
    }
    if let Some(number) = genesis.number.filter(|number| *number != 0) {
        return Err(GenesisError::Number(number));
    }
    if genesis.parent_hash.is_some_and(|hash| !hash.is_zero())
        || genesis.excess_blob_gas.is_some_and(|gas| gas != 0)
        || genesis.blob_gas_used.is_some_and(|gas| gas != 0)
    {
        return Err(GenesisError::Header);
    }
    let supply = genesis.alloc.values().try_fold(U256::ZERO, |sum, account| sum.checked_add(account.balance));
    if supply.is_none_or(|supply| supply > U256::from(u128::MAX)) {
        return Err(GenesisError::Supply);
    }
    let base_fee = genesis.base_fee_per_gas.and_then(|fee| u64::try_from(fee).ok());
    base_fee.ok_or(GenesisError::BaseFee)
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
        // Clients differ in whether such an account is part of the state.
        if account.is_empty() {
            return Err(GenesisError::EmptyAccount(*address));
        }
        // With neither, a contract could be created over the storage; clients differ in whether it may (EIP-7610).
        if account.code_hash == KECCAK256_EMPTY
            && account.nonce == 0
            && given.storage.as_ref().is_some_and(|it| !it.is_empty())
        {
            return Err(GenesisError::Storage(*address));
        }
        accounts.insert(*address, account);
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
