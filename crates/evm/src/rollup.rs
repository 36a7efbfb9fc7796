//! What a rollup's genesis fixes.

use crate::{
    BlockTimes,
    precompiles::{Calls, Precompiles},
};
use alloy_consensus::Header;
use alloy_primitives::Address;
use revm::{context::CfgEnv, primitives::hardfork::SpecId};
use std::cmp::Ordering;

/// The rules of a rollup that its genesis chooses. The rest is Ethereum's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRules {
    /// Its chain id ([EIP-155](https://eips.ethereum.org/EIPS/eip-155)), which is its id in the shared order.
    pub chain_id: u64,
    /// Gas of a block: all that the transactions of one block may use together.
    pub gas_limit: u64,
    /// The base fee changes by at most one part of so many from block to block
    /// ([EIP-1559](https://eips.ethereum.org/EIPS/eip-1559)); not 0, Ethereum's is 8.
    pub base_fee_change_denominator: u64,
    /// The base fee stays where a block uses one part of so many of its gas; not 0, Ethereum's is 2.
    pub base_fee_elasticity: u64,
    /// Who gets the priority fees. Fixed, because what a block contains must not depend on who ordered it.
    pub fee_recipient: Address,
    /// Whether contracts of the rollups of its domain can call each other: [`DomainRules::synchronous_calls`].
    pub synchronous_calls: bool,
}

/// The rules that all rollups of a domain share, and that its genesis chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainRules {
    /// Whether a contract can call one of another rollup from inside a leg of a bundle: see
    /// [`SYNCHRONOUS_CALL`](crate::SYNCHRONOUS_CALL). No other execution client can follow such a domain.
    pub synchronous_calls: bool,
    /// What makes a block.
    pub blocks: BlockTimes,
}

impl RollupRules {
    /// The base fee of the block after `parent`, in wei for a unit of gas (EIP-1559).
    ///
    /// Computed here, because libraries add in 64 bits: whoever owns enough could raise the fee until the sum overflows,
    /// and with it every node. It stops at the most that a header can say.
    #[must_use]
    pub fn next_base_fee(&self, parent: &Header) -> u64 {
        let base_fee = u128::from(parent.base_fee_per_gas.unwrap_or_default());
        let target = u128::from((parent.gas_limit / self.base_fee_elasticity).max(1));
        let used = u128::from(parent.gas_used);
        let denominator = u128::from(self.base_fee_change_denominator);
        // Both factors are below 2^64.
        let change = base_fee * used.abs_diff(target) / target / denominator;
        let next = match used.cmp(&target) {
            Ordering::Equal => base_fee,
            Ordering::Greater => base_fee + change.max(1),
            Ordering::Less => base_fee - change.min(base_fee),
        };
        u64::try_from(next).unwrap_or(u64::MAX)
    }

    /// How the EVM is set up: Prague, with all of Ethereum's checks.
    pub(crate) fn configuration(&self) -> CfgEnv {
        let mut configuration = CfgEnv::new_with_spec(SpecId::PRAGUE);
        configuration.chain_id = self.chain_id;
        configuration
    }

    /// The precompiled contracts of a transaction that is in no bundle.
    pub(crate) fn precompiles(&self) -> Precompiles {
        Precompiles::new(if self.synchronous_calls { Calls::Outside } else { Calls::Off })
    }
}
