//! What a height made, on its way to the disk and then to those who ask.

use alloy_primitives::{TxHash, keccak256};
use chorale_evm::{Chain, DerivedHeight, Domain, Effect};
use chorale_light::LegTerms;
use chorale_types::{
    Atomicity, BundleId, ExecutedBundle, ExecutedHeight, Height, Lane, OrderedBundle, RollupId, codec::List,
};
use std::collections::BTreeMap;

/// A height that was executed.
#[derive(Debug)]
pub(crate) struct Executed {
    pub(crate) derived: DerivedHeight,
    /// The rollups that have a block of it, as they are after it.
    pub(crate) chains: BTreeMap<RollupId, Chain>,
    /// Its bundles, in order.
    pub(crate) bundles: Vec<(BundleId, BundleRecord)>,
    /// All that its outcome commits to.
    pub(crate) attested: ExecutedHeight,
}

/// A bundle that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BundleRecord {
    pub(crate) height: Height,
    pub(crate) fate: Fate,
    /// What its id commits to besides the legs.
    pub(crate) terms: LegTerms,
    /// Its legs: rollup, and hash of the transaction.
    pub(crate) legs: Vec<(RollupId, TxHash)>,
}

/// What became of a bundle, as it is told for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Aborted {
        leg: Option<u8>,
        /// The number of the reason, as it is attested.
        code: u8,
        /// Whether its legs can never take effect.
        burns: bool,
        reason: String,
    },
    Unplaced {
        rollup: RollupId,
    },
}

impl Fate {
    /// What those who watch call it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Committed => "executed",
            Self::Aborted { .. } => "aborted",
            Self::Unplaced { .. } => "unplaced",
        }
    }
}

impl From<&Effect> for Fate {
    fn from(effect: &Effect) -> Self {
        match effect {
            Effect::Committed => Self::Committed,
            Effect::Aborted { leg, reason } => {
                Self::Aborted { leg: *leg, code: reason.code(), burns: reason.burns(), reason: reason.to_string() }
            }
            Effect::Unplaced { rollup } => Self::Unplaced { rollup: *rollup },
        }
    }
}

impl Executed {
    /// What a domain made a moment ago of lanes, with the bundles that have legs in them.
    pub(crate) fn new<'a>(
        domain: &Domain,
        derived: DerivedHeight,
        lanes: impl IntoIterator<Item = &'a Lane>,
        ordered: impl IntoIterator<Item = &'a OrderedBundle>,
    ) -> Self {
        let (height, mut legs) = (derived.outcome.height, legs_by_bundle(lanes));
        let terms: BTreeMap<BundleId, LegTerms> = ordered.into_iter().filter_map(terms_of).collect();
        let chain = |rollup: &RollupId| Some((*rollup, domain.chain(*rollup)?.clone()));
        let bundles = derived.bundles.iter().map(|bundle| {
            let legs = legs.remove(&bundle.id).unwrap_or_default();
            let terms = *terms.get(&bundle.id).expect("nothing executes as a whole without terms");
            (bundle.id, BundleRecord { height, fate: Fate::from(&bundle.effect), terms, legs })
        });
        let (chains, bundles) = (derived.blocks.keys().filter_map(chain).collect(), bundles.collect());
        Self { chains, bundles, attested: executed_height(&derived), derived }
    }

    pub(crate) const fn height(&self) -> Height {
        self.derived.outcome.height
    }
}

fn terms_of(bundle: &OrderedBundle) -> Option<(BundleId, LegTerms)> {
    let OrderedBundle { id, atomicity, expiry, salt, .. } = *bundle;
    match atomicity {
        Atomicity::Inclusion => None,
        Atomicity::Execution(execution) => Some((id, LegTerms { execution, expiry, salt })),
    }
}

fn executed_height(derived: &DerivedHeight) -> ExecutedHeight {
    let effects = derived.bundles.iter();
    let effects = effects.map(|bundle| ExecutedBundle { id: bundle.id, effect: bundle.effect.attested() });
    ExecutedHeight {
        outcome: derived.outcome.clone(),
        heads: List::new(derived.heads.clone()).expect("a domain has few rollups"),
        bundles: List::new(effects.collect()).expect("payloads have at most as many"),
    }
}

fn legs_by_bundle<'a>(lanes: impl IntoIterator<Item = &'a Lane>) -> BTreeMap<BundleId, Vec<(RollupId, TxHash)>> {
    let mut legs: BTreeMap<BundleId, Vec<(u8, RollupId, TxHash)>> = BTreeMap::new();
    for lane in lanes {
        for item in lane.items() {
            if let Some(leg) = item.place.leg {
                legs.entry(leg.bundle).or_default().push((leg.position, lane.rollup(), keccak256(&item.data[..])));
            }
        }
    }
    let in_order = |mut legs: Vec<(u8, RollupId, TxHash)>| {
        legs.sort_unstable();
        legs.into_iter().map(|(_, rollup, hash)| (rollup, hash)).collect()
    };
    legs.into_iter().map(|(bundle, legs)| (bundle, in_order(legs))).collect()
}
