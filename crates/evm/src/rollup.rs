//! What a rollup's genesis fixes.

use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::Address;
use revm::{context::CfgEnv, primitives::hardfork::SpecId};

/// The rules of a rollup that its genesis chooses. The rest is Ethereum's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRules {
    /// Its chain id ([EIP-155](https://eips.ethereum.org/EIPS/eip-155)), which is its id in the shared order.
    pub chain_id: u64,
    /// Gas of a block: all that the transactions of one block may use together.
    pub gas_limit: u64,
    /// How the base fee follows the use of gas ([EIP-1559](https://eips.ethereum.org/EIPS/eip-1559)).
    pub base_fee: BaseFeeParams,
    /// Who gets the priority fees. Fixed, because what a block contains must not depend on who ordered it.
    pub fee_recipient: Address,
}

impl RollupRules {
    /// How the EVM is set up: Prague, with all of Ethereum's checks.
    pub(crate) fn configuration(&self) -> CfgEnv {
        let mut configuration = CfgEnv::new_with_spec(SpecId::PRAGUE);
        configuration.chain_id = self.chain_id;
        configuration
    }
}
