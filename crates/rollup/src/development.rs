//! Genesis files for development.

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, U256, address};
use chorale_evm::{GenesisError, RollupGenesis};

/// A genesis for development: the ten accounts of the well-known mnemonic "test test test test test test test test test
/// test test junk" with 10,000 ether each, blocks of 120 million gas: a second of 3,000 payments fits.
#[must_use]
pub fn development_genesis(chain_id: u64) -> alloy_genesis::Genesis {
    let mut genesis = alloy_genesis::Genesis {
        gas_limit: 120_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        coinbase: FEE_RECIPIENT,
        ..alloy_genesis::Genesis::default()
    };
    genesis.config.chain_id = chain_id;
    let balance = U256::from(10_000u64) * U256::from(10u64).pow(U256::from(18u64));
    let rich = GenesisAccount { balance, ..GenesisAccount::default() };
    genesis.alloc = DEVELOPERS.into_iter().map(|developer| (developer, rich.clone())).collect();
    genesis
}

/// Nobody has its key: development needs no fees.
const FEE_RECIPIENT: Address = address!("000000000000000000000000000000000000fee5");
const DEVELOPERS: [Address; 10] = [
    address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
];

/// The hash of the block 0 that a genesis makes: what the genesis of a chain names.
///
/// # Errors
///
/// It makes none.
pub fn genesis_hash(genesis: &alloy_genesis::Genesis) -> Result<B256, GenesisError> {
    Ok(RollupGenesis::new(genesis)?.header.hash())
}
