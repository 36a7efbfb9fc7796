//! Legs that are not signed yet: how much gas each needs, and what their senders sign.

use crate::{
    AbortReason, BoundLeg, Chain, Ground, Marker, SignedTransaction,
    bundle::{SignedLeg, fits, limits, step},
    ground::least_gas,
    mailbox::Messages,
};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use chorale_types::{Digest, RollupId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A leg gets one part of so many more gas than it needs now: others may change what it finds before it executes.
const MARGIN_DIVISOR: u64 = 8;
/// What every transaction costs; with less not even the reason would be found why a leg fails.
const TRANSACTION_GAS: u64 = 21_000;

/// A transaction of a type that legs can be of, without a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegTransaction {
    /// With one price ([EIP-2930](https://eips.ethereum.org/EIPS/eip-2930)).
    Eip2930(TxEip2930),
    /// With a tip of its own ([EIP-1559](https://eips.ethereum.org/EIPS/eip-1559)).
    Eip1559(TxEip1559),
}

/// A leg before its sender has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedLeg {
    /// The rollup it is for.
    pub rollup: RollupId,
    /// Who will sign it.
    pub sender: Address,
    /// What it is, without the entry of the mailbox.
    pub transaction: LegTransaction,
    /// Whether its gas limit is left to [`fill_gas`].
    pub needs_gas: bool,
}

impl LegTransaction {
    const fn gas_limit(&self) -> u64 {
        match self {
            Self::Eip2930(it) => it.gas_limit,
            Self::Eip1559(it) => it.gas_limit,
        }
    }

    fn with_gas_limit(mut self, limit: u64) -> Self {
        match &mut self {
            Self::Eip2930(it) => it.gas_limit = limit,
            Self::Eip1559(it) => it.gas_limit = limit,
        }
        self
    }

    /// As a leg of the bundle with this binding.
    #[must_use]
    pub fn bound(mut self, binding: Digest) -> Self {
        match &mut self {
            Self::Eip2930(it) => it.access_list.0.push(Marker::entry(binding)),
            Self::Eip1559(it) => it.access_list.0.push(Marker::entry(binding)),
        }
        self
    }

    /// The hash that is signed.
    #[must_use]
    pub fn signing_hash(&self) -> B256 {
        match self {
            Self::Eip2930(it) => it.signature_hash(),
            Self::Eip1559(it) => it.signature_hash(),
        }
    }

    /// The bytes that are hashed for that: type and fields (EIP-2718), but no signature.
    #[must_use]
    pub fn unsigned_bytes(&self) -> Bytes {
        match self {
            Self::Eip2930(it) => it.encoded_for_signing().into(),
            Self::Eip1559(it) => it.encoded_for_signing().into(),
        }
    }

    /// Most wei for a unit of gas, and wei that go with it.
    const fn costs(&self) -> (u128, U256) {
        match self {
            Self::Eip2930(it) => (it.gas_price, it.value),
            Self::Eip1559(it) => (it.max_fee_per_gas, it.value),
        }
    }

    fn by_sender(self, sender: Address) -> SignedTransaction {
        let nobody = Signature::new(U256::ZERO, U256::ZERO, false);
        let envelope: TxEnvelope = match self {
            Self::Eip2930(it) => it.into_signed(nobody).into(),
            Self::Eip1559(it) => it.into_signed(nobody).into(),
        };
        SignedTransaction::not_yet(envelope, sender)
    }
}

impl UnsignedLeg {
    /// How the binding knows it.
    #[must_use]
    pub fn to_bind(&self) -> BoundLeg {
        BoundLeg { rollup: self.rollup, sender: self.sender, unmarked: self.transaction.signing_hash() }
    }

    /// As it would execute: what the binding is makes no difference to gas, only that there is one.
    fn executable(&self, gas_limit: u64) -> SignedTransaction {
        let transaction = self.transaction.clone().with_gas_limit(gas_limit).bound([1; 32].into());
        transaction.by_sender(self.sender)
    }
}

/// The domain in the middle of a bundle.
#[derive(Clone)]
struct Standing<'a> {
    overlays: BTreeMap<RollupId, Ground<'a>>,
    messages: Messages,
}

impl<'a> Standing<'a> {
    /// What a leg leaves behind, and the gas that it used.
    fn after(
        mut self,
        position: u8,
        (rollup, leg): (RollupId, &SignedTransaction),
        later: &BTreeSet<RollupId>,
    ) -> Result<(Self, u64), AbortReason> {
        let done = step(&mut self.overlays, rollup, leg, later)?.result;
        self.messages.follow(position, rollup, done.logs()).map_err(|_| AbortReason::Unsent)?;
        Ok((self, done.tx_gas_used()))
    }
}

/// Gives each leg that has none a gas limit: the least with which it succeeds after the legs before it, on what the last
/// blocks left, and an eighth more. Returns the gas that each uses. Nonces are not looked at, as transactions that wait may
/// come before.
///
/// # Errors
///
/// Why the bundle would abort, and by which leg.
///
/// # Panics
///
/// If a rollup of a leg is not among the chains, or there are more than 255 legs.
pub fn fill_gas(
    chains: &BTreeMap<RollupId, Arc<Chain>>,
    legs: &mut [UnsignedLeg],
) -> Result<Vec<u64>, (Option<u8>, AbortReason)> {
    let rollups: Vec<RollupId> = legs.iter().map(|leg| leg.rollup).collect();
    let ground = |rollup: &RollupId| (*rollup, Ground::after(&chains[rollup]).with_any_nonce());
    let mut standing = Standing { overlays: rollups.iter().map(ground).collect(), messages: Messages::default() };
    let mut all_used = Vec::with_capacity(legs.len());
    let mut executed: Vec<SignedLeg> = Vec::with_capacity(legs.len());
    for (position, leg) in legs.iter_mut().enumerate() {
        let number = u8::try_from(position).expect("a bundle has at most 16 legs");
        let later: BTreeSet<RollupId> = rollups[position + 1..].iter().copied().collect();
        let block_gas = chains[&leg.rollup].rules().gas_limit;
        let limit = find_limit(&standing, number, leg, &later, block_gas).map_err(|reason| (Some(number), reason))?;
        leg.transaction = leg.transaction.clone().with_gas_limit(limit);
        let signed = leg.executable(limit);
        let after = standing.after(number, (leg.rollup, &signed), &later);
        let (next, gas_used) = after.map_err(|reason| (Some(number), reason))?;
        executed.push((leg.rollup, signed));
        all_used.push(gas_used);
        standing = next;
    }
    if let Some(leg) = standing.messages.unread() {
        return Err((Some(leg), AbortReason::Unread));
    }
    let can_call = chains.values().any(|chain| chain.rules().synchronous_calls);
    fits(&limits(&executed, can_call), |rollup| chains[&rollup].rules().gas_limit).map_err(|reason| (None, reason))?;
    Ok(all_used)
}

/// The gas limit of a leg: its own, or one that is enough.
fn find_limit(
    standing: &Standing<'_>,
    number: u8,
    leg: &UnsignedLeg,
    later: &BTreeSet<RollupId>,
    block_gas: u64,
) -> Result<u64, AbortReason> {
    if !leg.needs_gas {
        return Ok(leg.transaction.gas_limit());
    }
    let used = |limit: u64| {
        let signed = leg.executable(limit);
        standing.clone().after(number, (leg.rollup, &signed), later).map(|(_, gas_used)| gas_used)
    };
    let (price, value) = leg.transaction.costs();
    let mut most = block_gas;
    if price != 0 {
        let funds = standing.overlays[&leg.rollup].balance(leg.sender).saturating_sub(value);
        most = most.min((funds / U256::from(price)).saturating_to()).max(TRANSACTION_GAS);
    }
    let gas_used = used(most).map_err(|reason| match reason {
        // With more gas than it can pay for it is said what is missing.
        AbortReason::Invalid(_) | AbortReason::Halted(_) if most < block_gas => used(block_gas).err().unwrap_or(reason),
        reason => reason,
    })?;
    let least = least_gas(gas_used, most, |limit| used(limit).is_ok());
    Ok(least.saturating_add(least / MARGIN_DIVISOR).min(most))
}
