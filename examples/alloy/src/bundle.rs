//! Every hash and signature of a bundle, made on this side: no server needs to be trusted with any.
//!
//! A bundle is a list of legs, a leg is an ordinary signed EIP-1559 transaction for one rollup, and a rollup's id is its
//! chain id. All legs are executed in their order, or none has any effect.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::{eip2718::Encodable2718 as _, eip2930::AccessListItem};
use alloy_network::TxSignerSync as _;
use alloy_primitives::{Address, B256, Bytes, U64, U128, address, hex};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The contract through which legs send each other messages, on every rollup.
pub const MAILBOX: Address = address!("b0dd1e0000000000000000000000000000000000");
/// The slot of the mailbox that is in the access list of every leg.
pub const BUNDLE_SLOT: B256 = B256::ZERO;
/// Legs of a bundle at most.
pub const LEGS_MAX: usize = 16;

/// What the legs of a bundle are bound to, beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The sequencers' chain.
    pub chain: B256,
    /// The domain of the rollups.
    pub domain: u64,
    /// Who pays.
    pub payer: Address,
    /// Wei that the payer pays at most.
    pub max_fee: u128,
    /// The last height at which the bundle may be ordered.
    pub expiry: u64,
    /// Makes this bundle another one than any before it.
    pub salt: u64,
}

/// A leg before it is signed. Whether its transaction has its mailbox entry already makes no difference: that holds the
/// binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// Who signs it.
    pub sender: Address,
    /// For the rollup that its chain id names.
    pub transaction: TxEip1559,
}

/// A leg as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedLeg {
    /// The rollup that it is for.
    pub rollup: u64,
    /// The signed transaction.
    pub data: Bytes,
    /// Its hash, by which its receipt is found.
    #[serde(skip)]
    pub hash: B256,
}

/// A bundle as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its id, the same on every node.
    pub id: B256,
    /// What its legs are bound to.
    pub terms: Terms,
    /// Its legs, in order.
    pub legs: Vec<SignedLeg>,
    /// Tells it from the same bundle, sent before.
    pub attempt: u32,
    /// The payer's, of [`pay_message`].
    pub signature: Bytes,
}

/// SHA-256 of the tag with its length before it, and of the parts.
fn tagged_hash(tag: &str, parts: &[&[u8]]) -> B256 {
    let length = u8::try_from(tag.len()).expect("tags are short");
    let mut hash = Sha256::new().chain_update([length]).chain_update(tag);
    for part in parts {
        hash.update(part);
    }
    B256::new(hash.finalize().into())
}

/// The id of a transaction of a rollup: of its signed bytes.
pub fn transaction_id(rollup: u64, signed: &[u8]) -> B256 {
    tagged_hash("chorale/transaction/v1", &[&rollup.to_be_bytes(), signed])
}

/// The transaction without its mailbox entry.
///
/// # Errors
///
/// It names the mailbox where no leg does.
pub fn without_binding(transaction: &TxEip1559) -> Result<TxEip1559> {
    let mut plain = transaction.clone();
    plain.access_list.0.pop_if(|entry| entry.address == MAILBOX);
    ensure!(
        plain.access_list.0.iter().all(|entry| entry.address != MAILBOX),
        "the access list of a leg names the mailbox, {MAILBOX}, before its last entry"
    );
    Ok(plain)
}

/// The transaction as a leg: with the mailbox entry as the last of its access list.
///
/// # Errors
///
/// As [`without_binding`].
pub fn with_binding(transaction: &TxEip1559, binding: B256) -> Result<TxEip1559> {
    let mut bound = without_binding(transaction)?;
    bound.access_list.0.push(AccessListItem { address: MAILBOX, storage_keys: vec![BUNDLE_SLOT, binding] });
    Ok(bound)
}

/// What a leg's sender signs with its transaction: this transaction, with exactly these others, in this order, paid for by
/// this payer, until this height.
///
/// # Errors
///
/// There are too many legs, or one names the mailbox where no leg does.
pub fn binding(terms: &Terms, legs: &[Leg]) -> Result<B256> {
    ensure!(legs.len() <= LEGS_MAX, "{} legs, and at most {LEGS_MAX} are allowed", legs.len());
    let Terms { chain, domain, payer, max_fee, expiry, salt } = terms;
    let mut bytes = Vec::new();
    bytes.extend(chain);
    bytes.extend(domain.to_be_bytes());
    bytes.extend(payer);
    bytes.extend(max_fee.to_be_bytes());
    bytes.extend(expiry.to_be_bytes());
    bytes.extend(salt.to_be_bytes());
    bytes.push(u8::try_from(legs.len())?);
    for Leg { sender, transaction } in legs {
        bytes.extend(transaction.chain_id.to_be_bytes());
        bytes.extend(sender);
        bytes.extend(without_binding(transaction)?.signature_hash());
    }
    Ok(tagged_hash("chorale/binding/v1", &[&bytes]))
}

/// The id of a bundle, which is of its signed legs.
pub fn bundle_id(terms: &Terms, attempt: u32, legs: &[SignedLeg]) -> B256 {
    let Terms { chain: _, domain, payer, max_fee, expiry, salt } = terms;
    let ids: Vec<u8> = legs.iter().flat_map(|leg| transaction_id(leg.rollup, &leg.data)).collect();
    let (domain, max_fee, attempt) = (domain.to_be_bytes(), max_fee.to_be_bytes(), attempt.to_be_bytes());
    let (expiry, salt) = (expiry.to_be_bytes(), salt.to_be_bytes());
    let parts: [&[u8]; 8] = [&[1], &domain, payer.as_slice(), &max_fee, &attempt, &expiry, &salt, &ids];
    tagged_hash("chorale/bundle/v1", &parts)
}

/// What the payer of a bundle signs, as a message of 32 bytes (EIP-191).
pub fn pay_message(chain: B256, bundle: B256) -> B256 {
    tagged_hash("chorale/pay/v1", &[chain.as_slice(), bundle.as_slice()])
}

/// Signs a leg.
///
/// # Errors
///
/// As [`without_binding`], or the signer fails.
pub fn sign_leg(signer: &PrivateKeySigner, transaction: &TxEip1559, binding: B256) -> Result<SignedLeg> {
    let mut bound = with_binding(transaction, binding)?;
    let signature = signer.sign_transaction_sync(&mut bound)?;
    let signed = TxEnvelope::from(bound.into_signed(signature));
    Ok(SignedLeg { rollup: transaction.chain_id, data: signed.encoded_2718().into(), hash: *signed.tx_hash() })
}

/// Puts signed legs together and signs for the fee. The terms are those that the legs are bound to.
///
/// # Errors
///
/// The signer is not the payer, or fails.
pub fn pay_bundle(signer: &PrivateKeySigner, terms: Terms, legs: Vec<SignedLeg>, attempt: u32) -> Result<Bundle> {
    let account = signer.address();
    ensure!(account == terms.payer, "{account} cannot pay: the legs are bound to the payer {}", terms.payer);
    let id = bundle_id(&terms, attempt, &legs);
    let signature = signer.sign_message_sync(pay_message(terms.chain, id).as_slice())?;
    Ok(Bundle { id, terms, legs, attempt, signature: signature.as_bytes().into() })
}

impl Bundle {
    /// What `chorale_sendBundle` takes.
    pub fn to_json(&self) -> serde_json::Value {
        let Terms { chain: _, domain, payer, max_fee, expiry, salt } = self.terms;
        json!({
            "domain": domain,
            "legs": self.legs,
            "payer": payer,
            "maxFee": U128::from(max_fee),
            "expiry": expiry,
            "salt": U64::from(salt),
            "attempt": self.attempt,
            "signature": hex::encode_prefixed(&self.signature),
        })
    }
}
