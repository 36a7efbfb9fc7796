//! Calls as they are asked about in JSON: what they are, and what is to be different for them.

use crate::{
    errors::{INVALID_PARAMETERS, SERVER_ERROR, failed, refused},
    server::Server,
};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, map::B256HashMap};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionRequest,
    state::{AccountOverride as AccountAsked, StateOverride},
};
use chorale_evm::{
    AccountOverride, BlockOverride, Call, Called, Chain, Ground, InvalidTransaction, Overrides, StorageOverride,
};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is to be different about the block. What is not understood is refused: it would be ignored otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(crate) struct BlockAsked(BlockOverrides);

/// All names that fields have here or in other clients.
const BLOCK_FIELDS: [&str; 18] = [
    "number",
    "blockNumber",
    "difficulty",
    "time",
    "timestamp",
    "gasLimit",
    "coinbase",
    "feeRecipient",
    "random",
    "prevRandao",
    "baseFee",
    "baseFeePerGas",
    "blobBaseFee",
    "beaconRoot",
    "parentBeaconBlockRoot",
    "blockHash",
    "withdrawals",
    "requestsHash",
];

impl TryFrom<serde_json::Value> for BlockAsked {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        for field in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
            match field.as_str() {
                unsupported @ ("difficulty"
                | "beaconRoot"
                | "parentBeaconBlockRoot"
                | "withdrawals"
                | "requestsHash") => {
                    return Err(format!("block override \"{unsupported}\" is not supported for calls"));
                }
                field if BLOCK_FIELDS.contains(&field) => {}
                field => return Err(format!("there is no block override {field:?}")),
            }
        }
        serde_json::from_value(value).map(Self).map_err(|error| error.to_string())
    }
}

/// What is to be different for a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) state: Option<StateOverride>,
    pub(crate) block: Option<BlockAsked>,
}

impl Asked {
    fn understood(self) -> RpcResult<Overrides> {
        let mut accounts = BTreeMap::new();
        for (address, asked) in self.state.unwrap_or_default() {
            accounts.insert(address, account(address, asked)?);
        }
        let block = self.block.map(|asked| block(asked.0)).transpose()?.unwrap_or_default();
        Ok(Overrides { accounts, block })
    }
}

fn account(address: Address, asked: AccountAsked) -> RpcResult<AccountOverride> {
    let AccountAsked { balance, nonce, code, state, state_diff, move_precompile_to } = asked;
    if move_precompile_to.is_some() {
        return Err(wrong(format!("account {address}: movePrecompileToAddress is not supported")));
    }
    let slots = |slots: B256HashMap<B256>| slots.into_iter().map(|(slot, value)| (slot.into(), value.into())).collect();
    let storage = match (state, state_diff) {
        (Some(_), Some(_)) => return Err(wrong(format!("account {address} has both 'state' and 'stateDiff'"))),
        (Some(all), None) => StorageOverride::All(slots(all)),
        (None, some) => StorageOverride::Some(slots(some.unwrap_or_default())),
    };
    Ok(AccountOverride { balance, nonce, code, storage })
}

fn block(asked: BlockOverrides) -> RpcResult<BlockOverride> {
    let large = |name| wrong(format!("{name} is too large"));
    Ok(BlockOverride {
        number: asked.number,
        timestamp_s: asked.time,
        gas_limit: asked.gas_limit,
        fee_recipient: asked.coinbase,
        prev_randao: asked.random,
        base_fee: asked.base_fee.map(u64::try_from).transpose().map_err(|_| large("baseFeePerGas"))?,
        blob_base_fee: asked.blob_base_fee.map(u128::try_from).transpose().map_err(|_| large("blobBaseFee"))?,
        hashes: asked.block_hash.unwrap_or_default(),
    })
}

fn wrong(message: String) -> ErrorObjectOwned {
    refused(INVALID_PARAMETERS, message)
}

impl Server {
    /// What comes of a call after a block.
    pub(crate) async fn called(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        asked: Asked,
    ) -> RpcResult<Bytes> {
        let call = |ground: &mut Ground<'_>, call: Call| match ground.call(&call) {
            Ok(Called::Success { output, .. }) => Ok(output),
            Ok(called) => Err(failed(called)),
            Err(invalid) => Err(refused(SERVER_ERROR, words(&invalid))),
        };
        self.on_ground(request, block, asked, call).await
    }

    /// How much gas it needs.
    pub(crate) async fn estimated(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        asked: Asked,
    ) -> RpcResult<U64> {
        self.on_ground(request, block, asked, |ground, call| estimate(ground, call).map(U64::from)).await
    }

    /// Computes something about a call where it stands.
    pub(crate) async fn on_ground<T: Send + 'static>(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        asked: Asked,
        compute: impl FnOnce(&mut Ground<'_>, Call) -> RpcResult<T> + Send + 'static,
    ) -> RpcResult<T> {
        let view = self.view(block)?;
        self.heavy
            .run(move || {
                let overrides = asked.understood()?;
                let mut ground = view.ground(&overrides).map_err(|error| wrong(error.to_string()))?;
                let call = as_call(&view, &ground, request)?;
                compute(&mut ground, call)
            })
            .await?
    }
}

/// How much gas a call needs: no more than its sender can pay for, if it pays.
pub(crate) fn estimate(ground: &mut Ground<'_>, call: Call) -> RpcResult<u64> {
    let mut limit = call.gas_limit;
    if call.gas_price != 0 {
        let gas = ground.balance(call.from).saturating_sub(call.value) / U256::from(call.gas_price);
        limit = limit.min(gas.saturating_to());
    }
    match ground.estimate_gas(&Call { gas_limit: limit, ..call }) {
        Ok(Ok(gas)) => Ok(gas),
        Ok(Err(Called::Halt { out_of_gas: true, .. })) => {
            Err(refused(SERVER_ERROR, format!("gas required exceeds allowance ({limit})")))
        }
        Ok(Err(called)) => Err(failed(called)),
        Err(invalid) => Err(refused(SERVER_ERROR, words(&invalid))),
    }
}

/// What a request is as a call. A gas limit that is left out is that of a block.
fn as_call(view: &Chain, ground: &Ground<'_>, request: TransactionRequest) -> RpcResult<Call> {
    check(&request, view.rules().chain_id)?;
    // Whatever the block is said to be, nobody is given more of the processor than for one as it is.
    let limit = view.rules().gas_limit.min(ground.block().gas_limit);
    Ok(Call {
        from: request.from.unwrap_or_default(),
        to: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        input: request.input.into_input().unwrap_or_default(),
        gas_limit: request.gas.unwrap_or(limit).min(limit),
        gas_price: request.max_fee_per_gas.or(request.gas_price).unwrap_or_default(),
        access_list: request.access_list.unwrap_or_default(),
        authorizations: request.authorization_list.unwrap_or_default(),
    })
}

/// What no transaction of this rollup could be.
pub(crate) fn check(request: &TransactionRequest, chain_id: u64) -> RpcResult<()> {
    if let Some(other) = request.chain_id.filter(|it| *it != chain_id) {
        return Err(wrong(format!("chainId does not match node's (have={other}, want={chain_id})")));
    }
    if request.gas_price.is_some() && (request.max_fee_per_gas.or(request.max_priority_fee_per_gas)).is_some() {
        return Err(wrong("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".to_owned()));
    }
    if request.blob_versioned_hashes.is_some() || request.sidecar.is_some() || request.max_fee_per_blob_gas.is_some() {
        return Err(wrong("blob transactions (type 3) are not taken; send the data as calldata".to_owned()));
    }
    if let (Some(input), Some(data)) = (&request.input.input, &request.input.data)
        && input != data
    {
        return Err(wrong("both \"data\" and \"input\" are set and not equal".to_owned()));
    }
    Ok(())
}

/// An invalid transaction, in the words that wallets look for.
pub(crate) fn words(invalid: &InvalidTransaction) -> String {
    match invalid {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: balance {balance}, tx cost {fee}")
        }
        other => other.to_string(),
    }
}
