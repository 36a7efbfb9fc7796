//! What leaders have ordered for the chain itself: attestations of executed rollups, before their lag suspends anybody.
//!
//! Only leaders do it, and no pool carries attestations: whoever could submit them could make everybody check signatures.

use crate::{attestation, settlement::Standings, watch};
use chorale_ledger::Standing;
use chorale_types::{DomainId, Height, PayloadUnit, SystemItem, Unit};
use std::{collections::BTreeMap, sync::Arc};

/// Content that waits for this part of the lag that is allowed has its attestation ordered.
const LAG_PART: u64 = 4;
/// Heights after which an attestation that was put into a payload is put into another one, if it had no effect.
const AGAIN_AFTER_HEIGHTS: u64 = 8;

/// An attested domain.
#[derive(Clone)]
pub struct Attested {
    /// By how many heights its attestations may lag.
    pub lag_max: u64,
    /// Its attestations.
    pub attestations: attestation::Mailbox,
}

/// Attestations that may have to be ordered.
#[derive(Clone)]
pub struct DueAttestations {
    standings: watch::Receiver<Standings>,
    domains: Arc<BTreeMap<DomainId, Attested>>,
    /// When a domain's attestation was put into a payload last.
    tried: BTreeMap<DomainId, Height>,
}

impl DueAttestations {
    /// What the domains that stand so need.
    #[must_use]
    pub fn new(standings: watch::Receiver<Standings>, domains: BTreeMap<DomainId, Attested>) -> Self {
        Self { standings, domains: Arc::new(domains), tried: BTreeMap::new() }
    }

    /// Whether there is something, after this height.
    #[must_use]
    pub fn is_due(&self, height: Height) -> bool {
        !self.due(height).is_empty()
    }

    /// What to put into a payload now.
    pub async fn take(&mut self, height: Height) -> Vec<PayloadUnit> {
        let mut units = Vec::new();
        for (domain, after) in self.due(height) {
            let Some(attested) = self.domains.get(&domain) else { continue };
            self.tried.insert(domain, height);
            let latest = attested.attestations.latest().await;
            let Some(attestation) = latest.filter(|latest| latest.height > after) else { continue };
            let item = SystemItem::Attestation(attestation).to_transaction();
            units.push(PayloadUnit::new(Unit::Transaction(item)));
        }
        units
    }

    /// Domains, and what their attestations have to be later than.
    fn due(&self, height: Height) -> Vec<(DomainId, Height)> {
        let standings = self.standings.borrow();
        let due = |standing: &&Standing| {
            let (Some(waiting), Some(attested)) = (standing.waiting, self.domains.get(&standing.domain)) else {
                return false;
            };
            let is_old = waiting.0.saturating_add(attested.lag_max / LAG_PART) <= height.0;
            let tried = self.tried.get(&standing.domain);
            let again = tried.is_none_or(|tried| tried.0.saturating_add(AGAIN_AFTER_HEIGHTS) <= height.0);
            is_old && again && *attested.attestations.attested().borrow() >= waiting
        };
        standings.iter().filter(due).map(|standing| (standing.domain, standing.attested)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    /// Of a domain that may lag by 40 heights: what is ordered of it, what waits, and what is attested here.
    fn due(ordered: u64, waiting: Option<u64>, attested: u64) -> DueAttestations {
        let domain = DomainId(7);
        let standing =
            Standing { domain, attested: Height(ordered), waiting: waiting.map(Height), suspended: Vec::new() };
        let attested = Attested { lag_max: 40, attestations: attestation::Mailbox::stopped_at(Height(attested)) };
        DueAttestations::new(watch::channel(Arc::new(vec![standing])).1, BTreeMap::from([(domain, attested)]))
    }

    #[test]
    fn an_attestation_is_ordered_when_a_quarter_of_the_lag_is_over() {
        let due = due(90, Some(100), 100);
        assert!(!due.is_due(Height(109)));
        assert!(due.is_due(Height(110)));
    }

    #[test]
    fn nothing_is_ordered_that_nobody_waits_for_or_that_is_not_attested() {
        assert!(!due(90, None, 200).is_due(Height(200)));
        assert!(!due(90, Some(100), 99).is_due(Height(200)));
    }

    /// A payload with it may have lost: then another one has to carry it.
    #[test]
    fn an_attestation_that_had_no_effect_is_ordered_again_after_a_while() {
        let mut due = due(90, Some(100), 100);
        assert!(block_on(due.take(Height(110))).is_empty(), "the actor is no more");
        assert!(!due.is_due(Height(111)));
        assert!(!due.is_due(Height(117)));
        assert!(due.is_due(Height(118)));
    }
}
