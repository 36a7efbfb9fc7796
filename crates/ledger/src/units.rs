//! From units to lanes: what is left out, and where the rest goes.

use crate::{
    Config, Included, Refused, SkipReason, Skipped,
    domains::ForTheChain,
    window::{Burnt, Ordered, Window},
};
use chorale_types::{
    Height, Lane, LaneItem, Leg, OrderedBundle, OrderedLeg, Payload, PayloadUnit, Place, RollupId, Table, Transaction,
    TxId, UnitId, codec::List, limits::BUNDLE_LIFETIME_HEIGHTS_MAX,
};
use std::collections::BTreeMap;

/// Collects the units of one height.
pub(crate) struct Collector<'a> {
    config: &'a Config,
    window: &'a Window,
    height: Height,
    here: Table<UnitId, ()>,
    transactions: Vec<TxId>,
    burnt: Vec<Burnt>,
    pub(crate) system: ForTheChain<'a>,
    items: BTreeMap<RollupId, Vec<LaneItem>>,
    pub(crate) bundles: Vec<OrderedBundle>,
    pub(crate) included: Vec<Included>,
    pub(crate) skipped: Vec<Skipped>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(config: &'a Config, window: &'a Window, height: Height, system: ForTheChain<'a>) -> Self {
        Self {
            config,
            window,
            height,
            here: Table::new(config.hash_key),
            transactions: Vec::new(),
            burnt: Vec::new(),
            system,
            items: BTreeMap::new(),
            bundles: Vec::new(),
            included: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Adds the units of the header's payload at this index.
    pub(crate) fn add(&mut self, payload: u8, content: Payload) {
        for (unit, placed) in (0u32..).zip(content.into_units()) {
            let id = placed.id();
            if let Err(reason) = self.admit(payload, &placed) {
                self.skipped.push(Skipped { id, reason });
                continue;
            }
            self.here.insert(id, ());
            self.included.push(Included { id, payload, unit });
            let place = Place { payload, unit, leg: None };
            match placed {
                PayloadUnit::Transaction { id, transaction } => {
                    if !self.config.rollups.get(&transaction.rollup).is_some_and(|rules| rules.has_nonces) {
                        self.transactions.push(id);
                    }
                    self.push(place, id, transaction);
                }
                PayloadUnit::Bundle { id, legs, bundle } => {
                    self.burnt.push(Burnt { id, expiry: bundle.expiry });
                    let ordered = bundle.legs.iter().zip(&legs);
                    let ordered = ordered.map(|(leg, id)| OrderedLeg { rollup: leg.rollup, id: *id }).collect();
                    self.bundles.push(OrderedBundle {
                        id,
                        atomicity: bundle.promise.atomicity(),
                        expiry: bundle.expiry,
                        salt: bundle.salt,
                        legs: List::new(ordered).expect("as many as the bundle has legs"),
                    });
                    for ((position, leg), leg_id) in (0u8..).zip(bundle.legs.into_vec()).zip(legs) {
                        self.push(Place { leg: Some(Leg { position, bundle: id }), ..place }, leg_id, leg);
                    }
                }
            }
        }
    }

    fn push(&mut self, place: Place, id: TxId, Transaction { rollup, data }: Transaction) {
        self.items.entry(rollup).or_default().push(LaneItem { place, id, data });
    }

    /// Whether a unit takes effect.
    fn admit(&mut self, payload: u8, unit: &PayloadUnit) -> Result<(), SkipReason> {
        let unknown = |transaction: &&Transaction| !self.config.rollups.contains_key(&transaction.rollup);
        if let Some(transaction) = unit.transactions().iter().find(unknown) {
            return Err(SkipReason::UnknownRollup(transaction.rollup));
        }
        let suspended = |transaction: &Transaction| {
            let since = self.system.domains().suspended(transaction.rollup)?;
            Some(SkipReason::Suspended { rollup: transaction.rollup, since })
        };
        if let Some(reason) = unit.transactions().iter().find_map(suspended) {
            return Err(reason);
        }
        let here = self.here.contains_key(&unit.id()).then_some(self.height);
        match unit {
            PayloadUnit::Transaction { id, transaction } => match here.or_else(|| self.window.transaction(id)) {
                Some(first) => Err(SkipReason::Repeated { first }),
                None if transaction.rollup == RollupId::SYSTEM => {
                    Ok(self.system.take(self.config, self.height, payload, &transaction.data)?)
                }
                None => Ok(()),
            },
            PayloadUnit::Bundle { bundle, .. } if bundle.legs.iter().any(|leg| leg.rollup == RollupId::SYSTEM) => {
                Err(Refused::Leg.into())
            }
            PayloadUnit::Bundle { id, bundle, .. } => {
                let expiry = bundle.expiry;
                let expiry_max = Height(self.height.0.saturating_add(BUNDLE_LIFETIME_HEIGHTS_MAX));
                match here.or_else(|| self.window.bundle(id)) {
                    Some(first) => Err(SkipReason::Burnt { first }),
                    None if expiry < self.height => Err(SkipReason::Expired { expiry }),
                    None if expiry > expiry_max => Err(SkipReason::ExpiryTooFar { expiry, expiry_max }),
                    // Last, as it takes longest: a payload full of these is read at every height.
                    None => Ok(bundle.promise.check(self.config.chain, *id, &bundle.legs, |rollup| {
                        self.config.rollups.get(&rollup).and_then(|rules| rules.domain)
                    })?),
                }
            }
        }
    }

    /// What later heights have to know.
    pub(crate) fn ordered(&mut self) -> Ordered {
        // They are kept for a while.
        self.transactions.shrink_to_fit();
        Ordered {
            transactions: List::new(std::mem::take(&mut self.transactions)).expect("at most all entries of a header"),
            bundles: List::new(std::mem::take(&mut self.burnt)).expect("at most all entries of a header"),
        }
    }

    /// The lanes.
    pub(crate) fn lanes(&mut self) -> BTreeMap<RollupId, Lane> {
        let lane = |(rollup, items)| {
            let lane = Lane::new(rollup, items).expect("added in the global order, at most all entries of a header");
            (rollup, lane)
        };
        std::mem::take(&mut self.items).into_iter().map(lane).collect()
    }
}
