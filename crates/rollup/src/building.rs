//! `chorale_buildBundle`: a bundle that needs nothing but signatures, from what a wallet says of its legs.

use crate::{
    bundles::check_count,
    calls::check,
    errors::{INVALID_PARAMETERS, REVERTED, SERVER_ERROR, refused},
    filling::fill_fees,
    reverts,
    server::Server,
};
use alloy_consensus::{TxEip1559, TxEip2930};
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U128, hex};
use alloy_rpc_types_eth::{TransactionRequest, transaction::TransactionInput};
use chorale_api::ChoraleApiClient as _;
use chorale_evm::{AbortReason, BoundLeg, Chain, LegTransaction, MAILBOX, Terms, UnsignedLeg, binding, fill_gas};
use chorale_types::{
    AccountId, Digest, Height, RollupId,
    limits::{BUNDLE_LIFETIME_HEIGHTS_MAX, TRANSACTION_BYTES_MAX},
};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Heights until a bundle expires, if nothing else is said: half of what is allowed, as people have to look at it and sign.
const LIFETIME_HEIGHTS: u64 = BUNDLE_LIFETIME_HEIGHTS_MAX / 2;

/// A bundle, as far as a wallet knows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AskedBundle {
    /// The legs, in the order in which they are to execute.
    legs: Vec<AskedLeg>,
    /// Who pays.
    payer: Address,
    /// Wei that the payer pays at most.
    max_fee: U128,
    /// The last height of the sequencer at which it may be ordered.
    #[serde(default)]
    expiry: Option<u64>,
    /// Makes equal content distinct.
    #[serde(default)]
    salt: Option<U64>,
}

/// A leg, as far as a wallet knows it: a transaction with its sender.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AskedLeg {
    /// The rollup, if the transaction has no `chainId`.
    #[serde(default)]
    rollup: Option<u64>,
    #[serde(flatten)]
    transaction: TransactionRequest,
}

/// What is to be signed, and then sent with the signatures.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuiltBundle {
    /// The sequencers' chain.
    chain: String,
    domain: u64,
    payer: Address,
    max_fee: U128,
    expiry: u64,
    salt: U64,
    /// 0: it was never found unplaced.
    attempt: u32,
    /// What binds the legs to each other.
    binding: B256,
    legs: Vec<BuiltLeg>,
}

/// A leg that needs nothing but a signature.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BuiltLeg {
    rollup: u64,
    from: Address,
    /// All its fields, the mailbox's entry of the access list included.
    transaction: TransactionRequest,
    /// Gas that it would use now.
    gas_used: U64,
    /// The hash to sign.
    signing_hash: B256,
    /// What it is the hash of: the transaction without a signature (EIP-2718).
    unsigned: Bytes,
}

/// The chains after their last blocks.
type Chains = BTreeMap<RollupId, Arc<Chain>>;
/// The next nonces of the senders of a bundle.
type Nonces = BTreeMap<(RollupId, Address), u64>;

fn invalid(message: impl Into<String>) -> ErrorObjectOwned {
    refused(INVALID_PARAMETERS, message)
}

/// The same error, with the leg that it is about.
fn of_leg(position: usize, error: &ErrorObjectOwned) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.code(), format!("legs[{position}]: {}", error.message()), error.data())
}

impl Server {
    /// Completes a bundle. What is given stays, or is refused.
    pub(crate) async fn built(&self, asked: AskedBundle) -> RpcResult<BuiltBundle> {
        check_count(asked.legs.len())?;
        if !*self.level.borrow() {
            return Err(refused(SERVER_ERROR, "this node is still catching up with the chain: ask again later"));
        }
        let expiry = self.expiry(asked.expiry).await?;
        let AskedBundle { legs, payer, max_fee, salt, .. } = asked;
        let terms = Terms {
            chain: self.chain,
            domain: self.read().domain,
            payer: AccountId(payer.into_array()),
            max_fee: max_fee.to(),
            expiry,
            salt: salt.map_or_else(salt_of_now, |salt| salt.to()),
        };
        let (chains, legs) = self.completed(legs)?;
        self.heavy.run(move || build(&terms, &chains, legs)).await?
    }

    /// The last height at which it may be ordered: the given one, if there still is time and not too much.
    async fn expiry(&self, given: Option<u64>) -> RpcResult<Height> {
        let height = self.chain_height().await;
        let latest = height.saturating_add(BUNDLE_LIFETIME_HEIGHTS_MAX);
        match given {
            None => Ok(Height(height.saturating_add(LIFETIME_HEIGHTS))),
            Some(expiry) if (height..=latest).contains(&expiry) => Ok(Height(expiry)),
            Some(expiry) => Err(invalid(format!(
                "expiry: {expiry} is not from {height}, the chain's height, to {latest}; leave it out for {LIFETIME_HEIGHTS} \
                 heights from now"
            ))),
        }
    }

    /// The last committed height that any node tells, as heights without content are not executed here. Whoever tells a
    /// wrong one can only make a bundle expire too early or be refused as too late.
    async fn chain_height(&self) -> u64 {
        let executed = self.read().height.0;
        for node in self.nodes.iter() {
            if let Ok(Ok(status)) = self.questions.ask(node.client.node()).await {
                return status.committed.max(executed);
            }
        }
        executed
    }

    /// The legs with nonces and fees, and the chains that they are for.
    fn completed(&self, legs: Vec<AskedLeg>) -> RpcResult<(Chains, Vec<UnsignedLeg>)> {
        let published = self.read();
        let (mut chains, mut nonces, mut drafts) = (Chains::new(), Nonces::new(), Vec::with_capacity(legs.len()));
        for (position, AskedLeg { rollup, transaction }) in legs.into_iter().enumerate() {
            let wrong = |message: String| of_leg(position, &invalid(message));
            let named = rollup.or(transaction.chain_id);
            let rollup = RollupId(named.ok_or_else(|| wrong("rollup: must be given, here or as chainId".to_owned()))?);
            let Some(blocks) = published.rollups.get(&rollup) else {
                return Err(wrong(format!("rollup {rollup} is none of this domain")));
            };
            let chain = Arc::clone(blocks.latest());
            let from =
                transaction.from.ok_or_else(|| wrong("from: must be given, as the binding names it".to_owned()))?;
            let account = chain.state().account(from).map_or(0, |account| account.nonce);
            let pending = || published.pending[&rollup].next_nonce(from, chain.state());
            let nonce =
                nonce(transaction.nonce, nonces.get(&(rollup, from)).copied(), account, pending).map_err(wrong)?;
            let after = nonce.checked_add(1).ok_or_else(|| wrong("nonce: there is none after it".to_owned()))?;
            nonces.insert((rollup, from), after);
            let draft = draft(rollup, from, TransactionRequest { nonce: Some(nonce), ..transaction }, &chain);
            drafts.push(draft.map_err(|error| of_leg(position, &error))?);
            chains.insert(rollup, chain);
        }
        Ok((chains, drafts))
    }
}

/// The nonce of a leg: the given one if it can be; `next` is that after the sender's leg before.
fn nonce(given: Option<u64>, next: Option<u64>, account: u64, pending: impl FnOnce() -> u64) -> Result<u64, String> {
    match (given, next) {
        (None, next) => Ok(next.unwrap_or_else(pending)),
        (Some(nonce), None) if nonce < account => Err(format!("nonce: {nonce} is used; the next one is {account}")),
        (Some(nonce), Some(next)) if nonce != next => {
            Err(format!("nonce: must be {next}, one above that of the sender's leg before, not {nonce}"))
        }
        (Some(nonce), _) => Ok(nonce),
    }
}

/// A leg that lacks at most its gas limit.
fn draft(rollup: RollupId, sender: Address, mut asked: TransactionRequest, chain: &Chain) -> RpcResult<UnsignedLeg> {
    check(&asked, rollup.0)?;
    fill_fees(&mut asked, u128::from(chain.next_base_fee()))?;
    if asked.authorization_list.is_some() {
        return Err(invalid("authorizationList: a leg delegates no accounts"));
    }
    let kind = if asked.max_fee_per_gas.is_some() { 2 } else { 1 };
    if let Some(other) = asked.transaction_type.filter(|it| *it != kind) {
        let message = format!("type: must be 2, or 1 with gasPrice, for a leg with these fields, not {other}");
        return Err(invalid(message));
    }
    let access_list = asked.access_list.unwrap_or_default();
    if access_list.iter().any(|entry| entry.address == MAILBOX) {
        return Err(invalid("accessList: names the mailbox, whose entry is added when the legs are bound"));
    }
    let input = asked.input.into_input().unwrap_or_default();
    if input.len() > TRANSACTION_BYTES_MAX {
        return Err(invalid(format!("data: a transaction has at most {TRANSACTION_BYTES_MAX} bytes")));
    }
    let to = asked.to.unwrap_or(TxKind::Create);
    if to == TxKind::Create && input.is_empty() {
        return Err(invalid("contract creation without any data provided"));
    }
    let (chain_id, nonce) = (rollup.0, asked.nonce.unwrap_or_default());
    let (gas_limit, value) = (asked.gas.unwrap_or_default(), asked.value.unwrap_or_default());
    let transaction = match asked.max_fee_per_gas {
        Some(max_fee_per_gas) => {
            let max_priority_fee_per_gas = asked.max_priority_fee_per_gas.unwrap_or_default();
            LegTransaction::Eip1559(TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            })
        }
        None => {
            let gas_price = asked.gas_price.unwrap_or_default();
            LegTransaction::Eip2930(TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input })
        }
    };
    Ok(UnsignedLeg { rollup, sender, transaction, needs_gas: asked.gas.is_none() })
}

fn build(terms: &Terms, chains: &BTreeMap<RollupId, Arc<Chain>>, mut legs: Vec<UnsignedLeg>) -> RpcResult<BuiltBundle> {
    let gas_used = fill_gas(chains, &mut legs).map_err(|(leg, reason)| would_abort(leg, reason))?;
    let to_bind: Vec<BoundLeg> = legs.iter().map(UnsignedLeg::to_bind).collect();
    let binding = binding(terms, &to_bind);
    Ok(BuiltBundle {
        chain: terms.chain.to_string(),
        domain: terms.domain.0,
        payer: Address::new(terms.payer.0),
        max_fee: U128::from(terms.max_fee),
        expiry: terms.expiry.0,
        salt: U64::from(terms.salt),
        attempt: 0,
        binding: B256::new(binding.0),
        legs: legs.into_iter().zip(gas_used).map(|(leg, gas_used)| built_leg(leg, gas_used, binding)).collect(),
    })
}

fn built_leg(UnsignedLeg { rollup, sender, transaction, .. }: UnsignedLeg, gas_used: u64, binding: Digest) -> BuiltLeg {
    let transaction = transaction.bound(binding);
    let (signing_hash, unsigned) = (transaction.signing_hash(), transaction.unsigned_bytes());
    let mut fields: TransactionRequest = match transaction {
        LegTransaction::Eip2930(it) => it.into(),
        LegTransaction::Eip1559(it) => it.into(),
    };
    fields.from = Some(sender);
    // By the name that newer libraries know.
    fields.input = TransactionInput::new(fields.input.into_input().unwrap_or_default());
    let gas_used = U64::from(gas_used);
    BuiltLeg { rollup: rollup.0, from: sender, transaction: fields, gas_used, signing_hash, unsigned }
}

/// The error of a bundle that would have no effect.
fn would_abort(leg: Option<u8>, reason: AbortReason) -> ErrorObjectOwned {
    let error = match reason {
        AbortReason::Reverted { output } => {
            let why = reverts::reason(&output).map(|reason| format!(": {reason}")).unwrap_or_default();
            let data = Some(hex::encode_prefixed(output));
            ErrorObjectOwned::owned(REVERTED, format!("execution reverted{why}"), data)
        }
        AbortReason::Invalid(invalid) => refused(SERVER_ERROR, crate::calls::words(&invalid)),
        other => refused(SERVER_ERROR, other.to_string()),
    };
    match leg {
        Some(leg) => of_leg(usize::from(leg), &error),
        None => refused(error.code(), format!("legs: {}", error.message())),
    }
}

/// Differs from call to call, so that a bundle that was burnt can be built again.
fn salt_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
