//! What transactions cost: proposals, and the history that wallets make their own from.

use crate::{
    errors::{INVALID_PARAMETERS, SERVER_ERROR, refused},
    server::Server,
};
use alloy_consensus::Transaction as _;
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::FeeHistory;
use chorale_evm::Block;
use jsonrpsee::core::RpcResult;
use std::sync::Arc;

/// Blocks of one fee history.
const BLOCKS_MAX: u64 = 1_024;
/// Percentiles of one fee history.
const PERCENTILES_MAX: usize = 100;
/// What is proposed as a tip, in wei: something above nothing, as nobody competes by it yet.
pub(crate) const TIP: u128 = 1_000_000;

impl Server {
    /// What a transaction without a separate tip should offer: it is taken or left at once, so it has to pay whatever the
    /// next blocks cost.
    pub(crate) fn proposed_gas_price(&self) -> u128 {
        2 * u128::from(self.latest().next_base_fee()) + TIP
    }

    pub(crate) fn history_of_fees(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> RpcResult<FeeHistory> {
        let percentiles = percentiles.unwrap_or_default();
        if percentiles.len() > PERCENTILES_MAX {
            return Err(refused(INVALID_PARAMETERS, format!("at most {PERCENTILES_MAX} percentiles can be asked for")));
        }
        if !percentiles.iter().all(|it| (0.0..=100.0).contains(it)) || !percentiles.is_sorted() {
            return Err(refused(INVALID_PARAMETERS, "percentiles must be from 0 to 100, and rise"));
        }
        let (first, last, rules) = {
            let published = self.read();
            let blocks = self.blocks_in(&published);
            let (last, head) = (blocks.number(newest), blocks.head().number);
            if last > head {
                return Err(refused(SERVER_ERROR, format!("request beyond head block: requested {last}, head {head}")));
            }
            let count = count.min(BLOCKS_MAX).min(last + 1);
            let first = last + 1 - count;
            (first, last, blocks.latest().rules().clone())
        };
        let looked_at = (first..=last).map(|number| self.block_if(number, |_| true));
        let looked_at: Vec<Arc<Block>> = looked_at.filter_map(RpcResult::transpose).collect::<RpcResult<_>>()?;
        let base_fee = |block: &Arc<Block>| u128::from(block.header.base_fee_per_gas.unwrap_or_default());
        let mut base_fees: Vec<u128> = looked_at.iter().map(base_fee).collect();
        base_fees.extend(looked_at.last().map(|block| u128::from(rules.next_base_fee(&block.header))));
        #[expect(clippy::cast_precision_loss, reason = "gas is far below 2^52")]
        let ratio = |block: &Arc<Block>| block.header.gas_used as f64 / block.header.gas_limit as f64;
        Ok(FeeHistory {
            base_fee_per_blob_gas: vec![1; base_fees.len()],
            blob_gas_used_ratio: vec![0.0; looked_at.len()],
            base_fee_per_gas: base_fees,
            gas_used_ratio: looked_at.iter().map(ratio).collect(),
            oldest_block: first,
            reward: (!percentiles.is_empty())
                .then(|| looked_at.iter().map(|block| rewards(block, &percentiles)).collect()),
        })
    }
}

/// What was paid above the base fee at each percentile of the gas that a block used, by whoever paid least first.
fn rewards(block: &Block, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let mut paid: Vec<(u128, u64)> = Vec::with_capacity(block.transactions.len());
    for (transaction, receipt) in block.transactions.iter().zip(&block.receipts) {
        let gas_used = receipt.cumulative_gas_used() - before;
        before = receipt.cumulative_gas_used();
        paid.push((transaction.effective_tip_per_gas(base_fee).unwrap_or_default(), gas_used));
    }
    paid.sort_unstable();
    // Percentiles rise, so one walk finds all.
    let mut left = paid.iter();
    let (mut gas, mut tip) = (0_u64, 0);
    let mut found = Vec::with_capacity(percentiles.len());
    for percentile in percentiles {
        #[expect(clippy::cast_precision_loss, reason = "gas is far below 2^52")]
        let is_below = |gas: u64| (gas as f64) < block.header.gas_used as f64 * percentile / 100.0 || gas == 0;
        while is_below(gas)
            && let Some((next_tip, gas_used)) = left.next()
        {
            gas += gas_used;
            tip = *next_tip;
        }
        found.push(tip);
    }
    found
}
