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
