//! What users send: Ethereum transactions, checked as far as no state is needed.

use alloy_consensus::{
    Transaction as _, TxEnvelope, Typed2718 as _,
    transaction::{Recovered, SignerRecoverable as _},
};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::Address;
use chorale_types::{LaneItem, RollupId, TxId};
use revm::context::TxEnv;
use std::{collections::BTreeMap, ops::Deref};

/// A transaction with its sender, whose signature holds, and which nobody can repeat on another rollup: [`recover`] makes
/// one, and [`recovered_before`] makes it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction(Recovered<TxEnvelope>);

impl SignedTransaction {
    /// One that nobody has signed yet, to see what would come of it. It never leaves this crate.
    pub(crate) const fn not_yet(transaction: TxEnvelope, sender: Address) -> Self {
        Self(Recovered::new_unchecked(transaction, sender))
    }

    /// As the Ethereum libraries have it.
    #[must_use]
    pub const fn recovered(&self) -> &Recovered<TxEnvelope> {
        &self.0
    }
}

impl Deref for SignedTransaction {
    type Target = Recovered<TxEnvelope>;

    fn deref(&self) -> &Recovered<TxEnvelope> {
        &self.0
    }
}

/// Why bytes are no transaction of a rollup, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Not an [EIP-2718](https://eips.ethereum.org/EIPS/eip-2718) transaction, or bytes follow it.
    #[error("these bytes are no Ethereum transaction (EIP-2718): {0}")]
    Encoding(String),
    /// A blob transaction: rollups have no blobs.
    #[error("blob transactions (type 3) are not taken; send the data as calldata")]
    Blob,
    /// Signed for every chain.
    #[error(
        "the transaction names no chain (EIP-155), so anyone could repeat it on other rollups; sign it for {expected}"
    )]
    NoChain {
        /// The rollup's chain id.
        expected: u64,
    },
    /// Signed for another chain.
    #[error("the transaction is for chain {found}, and this rollup is {expected}")]
    OtherChain {
        /// The rollup's chain id.
        expected: u64,
        /// What it names.
        found: u64,
    },
    /// It delegates an account on every chain at once.
    #[error(
        "authorization {position} names no chain (EIP-7702 with chain id 0), so anyone could repeat it on other rollups; \
         sign it for {expected}"
    )]
    AuthorizationForAll {
        /// Which of the transaction's authorizations, from 0.
        position: usize,
        /// The rollup's chain id.
        expected: u64,
    },
    /// The signature is of nobody.
    #[error("the signature is not one (or its s is in the upper half, EIP-2)")]
    Signature,
}

/// Decodes a transaction of this chain, without looking at its signature.
///
/// # Errors
///
/// What is wrong with it; see [`TransactionError`].
pub fn decode(bytes: &[u8], chain_id: u64) -> Result<TxEnvelope, TransactionError> {
    let transaction =
        TxEnvelope::decode_2718_exact(bytes).map_err(|error| TransactionError::Encoding(error.to_string()))?;
    if transaction.is_eip4844() {
        return Err(TransactionError::Blob);
    }
    match transaction.chain_id() {
        Some(found) if found == chain_id => {}
        Some(found) => return Err(TransactionError::OtherChain { expected: chain_id, found }),
        None => return Err(TransactionError::NoChain { expected: chain_id }),
    }
    let authorizations = transaction.authorization_list().unwrap_or_default();
    if let Some(position) = authorizations.iter().position(|authorization| authorization.chain_id.is_zero()) {
        return Err(TransactionError::AuthorizationForAll { position, expected: chain_id });
    }
    Ok(transaction)
}

/// Decodes a transaction of this chain and finds its sender: about 40 microseconds, nearly all of it for the signature.
///
/// # Errors
///
/// What is wrong with it; see [`TransactionError`].
pub fn recover(bytes: &[u8], chain_id: u64) -> Result<SignedTransaction, TransactionError> {
    let transaction = decode(bytes, chain_id)?;
    let sender = transaction.recover_signer().map_err(|_| TransactionError::Signature)?;
    Ok(SignedTransaction(Recovered::new_unchecked(transaction, sender)))
}

/// Transactions whose senders were found before they are executed: on other cores, or when they came in.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<TxId, SignedTransaction>);

impl Known {
    /// Notes what [`recover`] made of the item with this id, for the rollup whose lane it is in.
    pub fn insert(&mut self, id: TxId, transaction: SignedTransaction) {
        self.0.insert(id, transaction);
    }

    /// What [`recover`] makes of an item.
    pub(crate) fn recover(&self, rollup: RollupId, item: &LaneItem) -> Result<SignedTransaction, TransactionError> {
        match self.0.get(&item.id) {
            Some(known) => Ok(known.clone()),
            None => recover(&item.data, rollup.0),
        }
    }
}

/// A transaction that [`recover`] made, and that was written down together with its sender: whoever calls this answers for
/// the bytes being the same. The signature is not looked at again, which is most of the work.
///
/// # Errors
///
/// What is wrong with it; see [`TransactionError`].
pub fn recovered_before(bytes: &[u8], chain_id: u64, sender: Address) -> Result<SignedTransaction, TransactionError> {
    Ok(SignedTransaction(Recovered::new_unchecked(decode(bytes, chain_id)?, sender)))
}

/// What the EVM is told of a transaction.
pub(crate) fn environment(transaction: &SignedTransaction) -> TxEnv {
    let inner = transaction.inner();
    let mut environment = TxEnv {
        tx_type: inner.ty(),
        caller: transaction.signer(),
        gas_limit: inner.gas_limit(),
        gas_price: inner.max_fee_per_gas(),
        kind: inner.kind(),
        value: inner.value(),
        data: inner.input().clone(),
        nonce: inner.nonce(),
        chain_id: inner.chain_id(),
        access_list: inner.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: inner.max_priority_fee_per_gas(),
        ..TxEnv::default()
    };
    environment.set_signed_authorization(inner.authorization_list().unwrap_or_default().to_vec());
    environment
}
