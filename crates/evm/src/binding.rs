//! What binds legs to their bundle.
//!
//! Every leg is signed with the same 32 bytes in its access list, the *binding*: a hash over the terms of the bundle and
//! over every leg as it is signed, but for that entry of its access list. So a leg says in which bundle it wants to be, at
//! which place, and next to what; whoever takes it out of there has a transaction without any effect.
//!
//! ```text
//! binding = H("chorale/binding/v1": chain (32) | domain (u64) | payer (20) | max fee (u128) | expiry (u64) | salt (u64)
//!             | count (u8) | per leg: rollup (u64) | sender (20) | signing hash without the entry (32))
//! entry   = (MAILBOX, [BUNDLE_SLOT, binding]), the last one of the access list, and the only one of this address
//! ```

use crate::{BUNDLE_SLOT, MAILBOX, SignedTransaction};
use alloy_consensus::{SignableTransaction as _, Transaction as _, TxEnvelope};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256};
use chorale_types::{AccountId, ChainId, Digest, DomainId, Height, RollupId, codec::Encode as _, tagged_hash};

/// The terms of a bundle that its legs are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The sequencers' chain.
    pub chain: ChainId,
    /// The domain.
    pub domain: DomainId,
    /// Who pays.
    pub payer: AccountId,
    /// Wei that the payer pays at most.
    pub max_fee: u128,
    /// The last height at which it may be ordered.
    pub expiry: Height,
    /// Makes equal content distinct.
    pub salt: u64,
}

/// A leg as its signer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundLeg {
    /// The rollup it is for.
    pub rollup: RollupId,
    /// Who signs it.
    pub sender: Address,
    /// The hash that would be signed if its access list had not the entry that names the binding.
    pub unmarked: B256,
}

/// What an access list says of the bundle that its transaction belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Nothing: a transaction of its own.
    None,
    /// It is a leg of the bundle with this binding.
    Leg(Digest),
    /// It names the mailbox otherwise than a leg does: it can have no effect anywhere.
    Malformed,
}

impl Marker {
    /// What an access list says.
    #[must_use]
    pub fn of(access_list: Option<&AccessList>) -> Self {
        let entries = access_list.map_or(&[][..], |list| &list.0);
        let Some(first) = entries.iter().position(|entry| entry.address == MAILBOX) else { return Self::None };
        match &entries[first..] {
            [AccessListItem { storage_keys, .. }] => match storage_keys[..] {
                [BUNDLE_SLOT, binding] => Self::Leg(binding.0.into()),
                _ => Self::Malformed,
            },
            _ => Self::Malformed,
        }
    }

    /// The entry that marks a leg.
    #[must_use]
    pub fn entry(binding: Digest) -> AccessListItem {
        AccessListItem { address: MAILBOX, storage_keys: vec![BUNDLE_SLOT, B256::new(binding.0)] }
    }
}

impl BoundLeg {
    /// Whether a transaction is of a type that legs can be of.
    #[must_use]
    pub const fn is_possible(transaction: &TxEnvelope) -> bool {
        matches!(transaction, TxEnvelope::Eip1559(_) | TxEnvelope::Eip2930(_))
    }

    /// How the binding knows a signed leg; `None` for transactions that can be no legs: those without an access list, and
    /// those that delegate accounts, which take effect even if the rest of them does not.
    #[must_use]
    pub fn of(rollup: RollupId, transaction: &SignedTransaction) -> Option<Self> {
        let unmarked = match transaction.inner() {
            TxEnvelope::Eip1559(signed) => {
                let mut unsigned = signed.tx().clone();
                unsigned.access_list.0.pop();
                unsigned.signature_hash()
            }
            TxEnvelope::Eip2930(signed) => {
                let mut unsigned = signed.tx().clone();
                unsigned.access_list.0.pop();
                unsigned.signature_hash()
            }
            TxEnvelope::Legacy(_) | TxEnvelope::Eip4844(_) | TxEnvelope::Eip7702(_) => return None,
        };
        Some(Self { rollup, sender: transaction.signer(), unmarked })
    }
}

/// The binding of a bundle.
///
/// # Panics
///
/// With more than 255 legs, which no bundle has.
#[must_use]
pub fn binding(terms: &Terms, legs: &[BoundLeg]) -> Digest {
    let Terms { chain, domain, payer, max_fee, expiry, salt } = terms;
    let mut bytes = Vec::with_capacity(96 + 60 * legs.len());
    bytes.extend_from_slice(chain.as_ref());
    bytes.extend_from_slice(&domain.encode());
    bytes.extend_from_slice(&payer.0);
    bytes.extend_from_slice(&max_fee.to_be_bytes());
    bytes.extend_from_slice(&expiry.0.to_be_bytes());
    bytes.extend_from_slice(&salt.to_be_bytes());
    bytes.push(u8::try_from(legs.len()).expect("a bundle has at most 16 legs"));
    for leg in legs {
        bytes.extend_from_slice(&leg.rollup.0.to_be_bytes());
        bytes.extend_from_slice(leg.sender.as_slice());
        bytes.extend_from_slice(leg.unmarked.as_slice());
    }
    tagged_hash("chorale/binding/v1", &[&bytes])
}

impl SignedTransaction {
    /// What it says of the bundle that it belongs to.
    #[must_use]
    pub fn marker(&self) -> Marker {
        Marker::of(self.inner().access_list())
    }
}
