//! Heights of a domain of a few rollups, made from short descriptions of what was ordered.

use super::{
    programs as code,
    story::{self, CHAIN},
};
use crate::{Content, DerivedHeight, Domain, DomainRules, OutOfOrder, RollupGenesis};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::Address;
use chorale_types::{
    Atomicity, BlockId, BundleId, ChainId, Digest, DomainId, Epoch, Height, Lane, LaneItem, Leg, OrderedBundle,
    OrderedLeg, Outcome, Place, RollupId, TimestampMs, Transaction, TxId, bundle_id,
    codec::{Blob, List},
    tagged_hash,
};
use std::collections::BTreeMap;

/// The rollups.
pub(super) const A: u64 = CHAIN;
pub(super) const B: u64 = CHAIN + 1;
pub(super) const C: u64 = CHAIN + 2;
pub(super) const DOMAIN: DomainId = DomainId(7);

/// Contracts that all rollups have besides those of the [stories](story::genesis).
pub(super) const MAILING: Address = Address::repeat_byte(0xd1);
pub(super) const MAILING_TWICE: Address = Address::repeat_byte(0xd2);
pub(super) const MAILING_IN_VAIN: Address = Address::repeat_byte(0xd3);
pub(super) const ENDLESS: Address = Address::repeat_byte(0xd4);
pub(super) const TALKATIVE: Address = Address::repeat_byte(0xd5);
pub(super) const CREATING_SURELY: Address = Address::repeat_byte(0xd6);
pub(super) const SWAPPING: Address = Address::repeat_byte(0xd7);
pub(super) const MAILING_FOR_OTHERS: Address = Address::repeat_byte(0xd8);

pub(super) fn sequencer() -> ChainId {
    ChainId(tagged_hash("test/chain", &[]))
}

pub(super) fn genesis(rollup: u64) -> Genesis {
    let mut genesis = story::genesis();
    genesis.config.chain_id = rollup;
    let programs = [
        (MAILING, code::mailing(1)),
        (MAILING_TWICE, code::mailing(2)),
        (MAILING_IN_VAIN, code::mailing_in_vain()),
        (ENDLESS, code::ENDLESS.into()),
        (TALKATIVE, code::TALKATIVE.into()),
        (CREATING_SURELY, code::CREATING_SURELY.into()),
        (SWAPPING, code::SWAPPING.into()),
        (MAILING_FOR_OTHERS, code::mailing_for_others()),
    ];
    for (address, code) in programs {
        let account = GenesisAccount { code: Some(code), nonce: Some(1), ..GenesisAccount::default() };
        genesis.alloc.insert(address, account);
    }
    genesis
}

pub(super) fn domain_of(rollups: impl IntoIterator<Item = Genesis>) -> Domain {
    let rollups = rollups.into_iter().map(|genesis| RollupGenesis::new(&genesis).unwrap());
    Domain::new(sequencer(), DOMAIN, DomainRules::default(), rollups)
}

/// A domain of these rollups.
pub(super) fn domain(rollups: &[u64]) -> Domain {
    domain_of(rollups.iter().map(|rollup| genesis(*rollup)))
}

pub(super) fn header(height: u64) -> BlockId {
    BlockId(tagged_hash("test/header", &[&height.to_be_bytes()]))
}

pub(super) fn outcome(height: u64, timestamp_ms: u64) -> Outcome {
    let nothing: Digest = tagged_hash("test/nothing", &[]);
    Outcome {
        chain: sequencer(),
        epoch: Epoch(0),
        height: Height(height),
        header: header(height),
        timestamp: TimestampMs(timestamp_ms),
        payloads: List::default(),
        lanes: nothing,
        registry: nothing,
        ledger: nothing,
        next_validators: None,
    }
}

/// Some heights share a second.
pub(super) fn outcome_of(height: u64) -> Outcome {
    outcome(height, 1_700_000_000_000 + 400 * height)
}

/// A unit of the global order: transactions with their rollups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    Transaction(u64, Vec<u8>),
    Bundle { atomicity: Atomicity, expiry: Height, salt: u64, legs: Vec<(u64, Vec<u8>)> },
}

fn id_of(rollup: u64, data: &[u8]) -> TxId {
    Transaction { rollup: RollupId(rollup), data: Blob::new(data.to_vec()).unwrap() }.id()
}

impl Ordered {
    pub(super) fn inclusion(salt: u64, legs: Vec<(u64, Vec<u8>)>) -> Self {
        Self::Bundle { atomicity: Atomicity::Inclusion, expiry: Height(1_000), salt, legs }
    }

    /// Its transactions, each with its rollup.
    pub(super) fn parts(&self) -> Vec<(u64, Vec<u8>)> {
        match self {
            Self::Transaction(rollup, data) => vec![(*rollup, data.clone())],
            Self::Bundle { legs, .. } => legs.clone(),
        }
    }

    /// Of a bundle.
    pub(super) fn id(&self) -> BundleId {
        self.bundle().unwrap().id
    }

    pub(super) fn bundle(&self) -> Option<OrderedBundle> {
        let Self::Bundle { atomicity, expiry, salt, legs } = self else { return None };
        let ids: Vec<TxId> = legs.iter().map(|(rollup, data)| id_of(*rollup, data)).collect();
        let ordered = legs.iter().zip(&ids).map(|((rollup, _), id)| OrderedLeg { rollup: RollupId(*rollup), id: *id });
        Some(OrderedBundle {
            id: bundle_id(*atomicity, *expiry, *salt, &ids),
            atomicity: *atomicity,
            expiry: *expiry,
            salt: *salt,
            legs: List::new(ordered.collect()).unwrap(),
        })
    }
}

/// What a domain is given of a height.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) lanes: Vec<Lane>,
    pub(super) bundles: Vec<OrderedBundle>,
}

impl Given {
    /// What these payloads bring, each with its units.
    pub(super) fn new(payloads: &[Vec<Ordered>]) -> Self {
        let mut items: BTreeMap<u64, Vec<LaneItem>> = BTreeMap::new();
        let mut bundles = Vec::new();
        for (payload, units) in (0u8..).zip(payloads) {
            for (unit, ordered) in (0u32..).zip(units) {
                let bundle = ordered.bundle();
                for (position, (rollup, data)) in (0u8..).zip(ordered.parts()) {
                    let leg = bundle.as_ref().map(|bundle| Leg { position, bundle: bundle.id });
                    let (place, id) = (Place { payload, unit, leg }, id_of(rollup, &data));
                    items.entry(rollup).or_default().push(LaneItem { place, id, data: Blob::new(data).unwrap() });
                }
                bundles.extend(bundle);
            }
        }
        let lanes = items.into_iter().map(|(rollup, items)| Lane::new(RollupId(rollup), items).unwrap());
        Self { lanes: lanes.collect(), bundles }
    }

    pub(super) fn try_derive(&self, domain: &mut Domain, height: u64) -> Result<DerivedHeight, OutOfOrder> {
        domain.derive(&Content { outcome: &outcome_of(height), lanes: &self.lanes, bundles: &self.bundles })
    }
}

/// Makes the blocks of a height with these payloads.
pub(super) fn derive(domain: &mut Domain, height: u64, payloads: &[Vec<Ordered>]) -> DerivedHeight {
    Given::new(payloads).try_derive(domain, height).unwrap()
}

/// That two domains are the same in all that can be seen of them.
#[track_caller]
pub(super) fn assert_same(left: &Domain, right: &Domain) {
    assert_eq!((left.height(), left.heads()), (right.height(), right.heads()));
    for (rollup, chain) in left.chains() {
        let other = right.chain(*rollup).unwrap();
        assert_eq!((chain.head(), chain.height()), (other.head(), other.height()));
        let (one, two) = (chain.state(), other.state());
        assert!(one.accounts().eq(two.accounts()), "accounts of {rollup}");
        assert!(one.slots().eq(two.slots()), "slots of {rollup}");
        assert!(one.codes().eq(two.codes()), "codes of {rollup}");
        assert!(one.block_hashes().eq(two.block_hashes()), "block hashes of {rollup}");
    }
}
