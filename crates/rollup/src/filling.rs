//! `eth_fillTransaction`: a transaction that needs nothing but a signature, from what a wallet says of it.

use crate::{
    calls::{Asked, check, estimate},
    errors::{INVALID_PARAMETERS, refused},
    fees::TIP,
    server::Server,
};
use alloy_consensus::{EthereumTypedTransaction, SignableTransaction as _, TxEip4844Variant, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Bytes, Signature, TxKind, U256};
use alloy_rpc_types_eth::{FillTransaction, TransactionRequest};
use jsonrpsee::core::RpcResult;

/// The transaction as others see it, its signature zero.
pub(crate) type Filled = FillTransaction<TxEnvelope>;

impl Server {
    /// What is given stays; nonce, fees, gas, chain and type are added where they are not.
    pub(crate) async fn filled(&self, mut request: TransactionRequest) -> RpcResult<Filled> {
        let wrong = |message: String| refused(INVALID_PARAMETERS, message);
        check(&request, self.rollup.0)?;
        let from = request.from.unwrap_or_default();
        let base_fee = {
            let published = self.read();
            let chain = self.blocks_in(&published).latest();
            let next_nonce = || published.pending[&self.rollup].next_nonce(from, chain.state());
            request.nonce = Some(request.nonce.unwrap_or_else(next_nonce));
            u128::from(chain.next_base_fee())
        };
        fill_fees(&mut request, base_fee)?;
        request.chain_id = Some(self.rollup.0);
        request.value = Some(request.value.unwrap_or(U256::ZERO));
        if request.to.is_none_or(|to| to == TxKind::Create) {
            if request.input.input().is_none_or(|code| code.is_empty()) {
                return Err(wrong("contract creation without any data provided".to_owned()));
            }
            request.to = Some(TxKind::Create);
        }
        if request.gas.is_none() {
            let gas = self.on_ground(request.clone(), None, Asked::default(), estimate).await?;
            request.gas = Some(gas);
        }
        let typed = request.build_typed_tx().map_err(|_| wrong("these fields make no transaction".to_owned()))?;
        let envelope = unsigned(typed).ok_or_else(|| wrong("blob transactions (type 3) are not taken".to_owned()))?;
        Ok(FillTransaction { raw: Bytes::from(envelope.encoded_2718()), tx: envelope })
    }
}

/// Adds fees where no price is given. Wei for a unit of gas: whatever the next blocks cost, as it is taken or left at once.
pub(crate) fn fill_fees(request: &mut TransactionRequest, base_fee: u128) -> RpcResult<()> {
    if request.gas_price.is_none() {
        let tip = request.max_priority_fee_per_gas.unwrap_or(TIP);
        let fee = request.max_fee_per_gas.unwrap_or_else(|| tip.saturating_add(2 * base_fee));
        if fee < tip {
            return Err(refused(INVALID_PARAMETERS, format!("maxFeePerGas ({fee}) < maxPriorityFeePerGas ({tip})")));
        }
        (request.max_fee_per_gas, request.max_priority_fee_per_gas) = (Some(fee), Some(tip));
    }
    Ok(())
}

fn unsigned(typed: EthereumTypedTransaction<TxEip4844Variant>) -> Option<TxEnvelope> {
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    Some(match typed {
        EthereumTypedTransaction::Legacy(it) => it.into_signed(signature).into(),
        EthereumTypedTransaction::Eip2930(it) => it.into_signed(signature).into(),
        EthereumTypedTransaction::Eip1559(it) => it.into_signed(signature).into(),
        EthereumTypedTransaction::Eip7702(it) => it.into_signed(signature).into(),
        EthereumTypedTransaction::Eip4844(_) => return None,
    })
}
