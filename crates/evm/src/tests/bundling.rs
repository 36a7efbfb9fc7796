//! Bundles with their signed legs, made from short descriptions.

use super::{
    heights::{A, B, DOMAIN, Given, Ordered, assert_same, derive, sequencer},
    programs::words,
    wallets::{Ask, Wallet, raw},
};
use crate::{BoundLeg, DerivedBundle, DerivedHeight, Domain, Effect, MAILBOX, Marker, Reason, Terms, binding, recover};
use alloy_consensus::TxEnvelope;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use chorale_types::{AccountId, Atomicity, Digest, Execution, Height, RollupId};

pub(super) const GWEI: u128 = 1_000_000_000;

/// The wallet whose transactions are beside all bundles: none of their legs is its.
pub(super) const BYSTANDER: u64 = 5;

/// The type of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Legacy,
    AccessList,
    DynamicFee,
    SetCode,
}

/// A leg that nobody has signed yet.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) rollup: u64,
    /// The chain id that is signed.
    pub(super) chain_id: u64,
    pub(super) wallet: u64,
    pub(super) kind: Kind,
    pub(super) ask: Ask,
}

impl Leg {
    /// A call by a wallet.
    pub(super) fn call(rollup: u64, wallet: u64, nonce: u64, to: Address, input: Bytes) -> Self {
        let ask = Ask {
            nonce,
            to: TxKind::Call(to),
            value: U256::ZERO,
            input,
            gas_limit: 300_000,
            fee: 20 * GWEI,
            tip: GWEI,
            access_list: AccessList::default(),
        };
        Self { rollup, chain_id: rollup, wallet, kind: Kind::DynamicFee, ask }
    }

    /// One that writes a value to slot 0 of a contract.
    pub(super) fn write(rollup: u64, wallet: u64, nonce: u64, value: u64) -> Self {
        Self::call(rollup, wallet, nonce, Address::repeat_byte(0xc1), words(&[U256::ZERO, U256::from(value)]))
    }

    /// One that reverts with what it is given.
    pub(super) fn reverting(rollup: u64, wallet: u64, nonce: u64) -> Self {
        Self::call(rollup, wallet, nonce, Address::repeat_byte(0xc3), Bytes::from_static(b"because"))
    }

    /// One whose sender sends a message itself.
    pub(super) fn sending(from: u64, wallet: u64, nonce: u64, message: &Message) -> Self {
        Self::call(from, wallet, nonce, MAILBOX, message.send())
    }

    /// One whose sender consumes a message itself.
    pub(super) fn consuming(at: u64, wallet: u64, nonce: u64, message: &Message) -> Self {
        Self::call(at, wallet, nonce, MAILBOX, message.consume())
    }

    pub(super) fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// With another question.
    pub(super) fn with(mut self, change: impl FnOnce(&mut Ask)) -> Self {
        change(&mut self.ask);
        self
    }

    pub(super) fn sender(&self) -> Address {
        Wallet::new(self.wallet).address
    }

    /// Signs it with more entries in its access list.
    pub(super) fn sign(&self, entries: &[AccessListItem]) -> TxEnvelope {
        let mut ask = self.ask.clone();
        ask.access_list.0.extend_from_slice(entries);
        let wallet = Wallet::new(self.wallet);
        match self.kind {
            Kind::Legacy => wallet.legacy(Some(self.chain_id), ask),
            Kind::AccessList => wallet.eip2930(self.chain_id, ask),
            Kind::DynamicFee => wallet.eip1559(self.chain_id, ask),
            Kind::SetCode => {
                let delegation = Wallet::new(4).authorize(self.chain_id, Address::repeat_byte(0xc1), 0);
                wallet.eip7702(self.chain_id, ask, vec![delegation])
            }
        }
    }

    /// As a transaction of its own.
    pub(super) fn alone(&self) -> Ordered {
        Ordered::Transaction(self.rollup, raw(&self.sign(&[])))
    }
}

/// A message between two rollups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) sender: Address,
    pub(super) receiver: Address,
    pub(super) data: &'static [u8],
}

impl Message {
    fn encode(signature: &str, chain: u64, party: Address, data: &[u8]) -> Bytes {
        let head = words(&[U256::from(chain), super::programs::word_of(party), U256::from(96), U256::from(data.len())]);
        let mut call = [&keccak256(signature)[..4], &head, data].concat();
        call.resize(call.len() + data.len().next_multiple_of(32) - data.len(), 0);
        call.into()
    }

    /// The call that sends it.
    pub(super) fn send(&self) -> Bytes {
        Self::encode("send(uint256,address,bytes)", self.to, self.receiver, self.data)
    }

    /// The call that consumes it.
    pub(super) fn consume(&self) -> Bytes {
        Self::encode("consume(uint256,address,bytes)", self.from, self.sender, self.data)
    }
}

/// Terms that nothing is wrong with.
pub(super) fn terms() -> Terms {
    Terms {
        chain: sequencer(),
        domain: DOMAIN,
        payer: AccountId([0x9a; 20]),
        max_fee: 1_000_000,
        expiry: Height(50),
        salt: 1,
    }
}

/// The binding of legs; those that can be none are left out, and so are garbage and legs for other chains.
pub(super) fn binding_of(terms: &Terms, legs: &[Leg]) -> Digest {
    let bound = |leg: &Leg| {
        let signed = recover(&raw(&leg.sign(&[Marker::entry(terms.chain.0)])), leg.rollup).ok()?;
        BoundLeg::of(RollupId(leg.rollup), &signed)
    };
    binding(terms, &legs.iter().filter_map(bound).collect::<Vec<_>>())
}

/// All legs, signed as those of one bundle.
pub(super) fn sign(terms: &Terms, legs: &[Leg]) -> Vec<(u64, Vec<u8>)> {
    let entry = [Marker::entry(binding_of(terms, legs))];
    legs.iter().map(|leg| (leg.rollup, raw(&leg.sign(&entry)))).collect()
}

/// Signed legs as a bundle with these terms.
pub(super) fn bundle_of(terms: &Terms, attempt: u32, legs: Vec<(u64, Vec<u8>)>) -> Ordered {
    let Terms { domain, payer, max_fee, expiry, salt, .. } = *terms;
    let atomicity = Atomicity::Execution(Execution { domain, payer, max_fee, attempt });
    Ordered::Bundle { atomicity, expiry, salt, legs }
}

/// Legs signed and bundled under the same terms.
pub(super) fn bundle(legs: &[Leg]) -> Ordered {
    bundle_of(&terms(), 0, sign(&terms(), legs))
}

/// Two legs that nothing is wrong with.
pub(super) fn pair() -> [Leg; 2] {
    [Leg::write(A, 0, 0, 11), Leg::write(B, 1, 0, 22)]
}

pub(super) fn nonce(domain: &Domain, rollup: u64, wallet: u64) -> u64 {
    let chain = domain.chain(RollupId(rollup)).unwrap();
    chain.state().account(Wallet::new(wallet).address).map_or(0, |account| account.nonce)
}

pub(super) fn slot(domain: &Domain, rollup: u64, contract: Address, slot: u64) -> U256 {
    domain.chain(RollupId(rollup)).unwrap().state().slot(contract, U256::from(slot))
}

/// What [`Leg::write`] wrote last.
pub(super) fn written(domain: &Domain, rollup: u64) -> u64 {
    slot(domain, rollup, Address::repeat_byte(0xc1), 0).to()
}

/// What became of the bundles of a height.
pub(super) fn effects(derived: &DerivedHeight) -> Vec<Effect> {
    derived.bundles.iter().map(|bundle| bundle.effect.clone()).collect()
}

/// Something of a bystander on every rollup, so that all have a block.
pub(super) fn bystanders(domain: &Domain) -> Vec<Ordered> {
    let write = |rollup: &RollupId| {
        let leg = Leg::write(rollup.0, BYSTANDER, nonce(domain, rollup.0, BYSTANDER), 99);
        leg.with(|ask| {
            ask.input = words(&[U256::from(7), U256::from(99)]);
            ask.gas_limit = 60_000;
        })
        .alone()
    };
    domain.chains().keys().map(write).collect()
}

/// Makes a height of these payloads, with bystanders, and asserts that the last unit of the last payload, a bundle, has
/// no effect: that every rollup is exactly as at the same height without it, blocks and all. Gives what was said of it.
#[track_caller]
pub(super) fn effect_without_trace(domain: &mut Domain, height: u64, payloads: &[Vec<Ordered>]) -> Effect {
    let mut with = payloads.to_vec();
    let last = with.last_mut().unwrap();
    let bundle = last.pop().unwrap();
    let others = bystanders(domain);
    last.splice(0..0, others);
    let without = with.clone();
    with.last_mut().unwrap().push(bundle.clone());

    let mut spared = domain.clone();
    let expected = derive(&mut spared, height, &without);
    let derived = derive(domain, height, &with);
    let DerivedBundle { id, effect } = derived.bundles.last().unwrap().clone();
    assert_eq!(id, bundle.id());
    assert_ne!(effect, Effect::Committed);
    assert_eq!(derived.bundles[..derived.bundles.len() - 1], expected.bundles);
    assert_same(domain, &spared);
    assert_eq!(derived.heads, expected.heads);
    let items = Given::new(&with);
    for (rollup, made) in &derived.blocks {
        let same = &expected.blocks[rollup];
        assert_eq!((&made.block, &made.changes), (&same.block, &same.changes));
        // Whoever sent a leg is told why it is in no block.
        let lane = items.lanes.iter().find(|lane| lane.rollup() == *rollup).unwrap();
        let legs = lane.items().iter().filter(|item| item.place.leg.is_some_and(|leg| leg.bundle == id));
        let legs: Vec<_> = legs.map(|item| (item.place, item.id, Reason::Bundle(id))).collect();
        let skipped = made.skipped.iter().filter(|skipped| skipped.reason == Reason::Bundle(id));
        assert_eq!(skipped.map(|it| (it.place, it.id, it.reason.clone())).collect::<Vec<_>>(), legs);
        assert_eq!(made.skipped.len(), same.skipped.len() + legs.len());
    }
    effect
}

/// [`effect_without_trace`] for a bundle alone at height 1 of two fresh rollups.
#[track_caller]
pub(super) fn aborted(bundle: Ordered) -> Effect {
    effect_without_trace(&mut super::heights::domain(&[A, B]), 1, &[vec![bundle]])
}
