//! The builder's side of an acknowledgement: from signatures to an availability certificate.

use chorale_types::{
    Acknowledged, AvailabilityCertificate, Claim, EpochInfo, Scheme, Signatories, Signature, Signers, Statement,
    ValidatorIndex,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Collects the acknowledgements of one payload.
///
/// Signatures are verified on aggregation: one check in the normal case, one each only when it fails.
#[derive(Clone, Debug)]
pub struct Acknowledgements {
    epoch: Arc<EpochInfo>,
    acknowledged: Acknowledged,
    signatures: BTreeMap<ValidatorIndex, Signature>,
    /// Who sent a wrong signature: not listened to again, or it could stall the certificate for ever.
    faulty: BTreeSet<ValidatorIndex>,
}

/// What aggregation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aggregated {
    /// A quorum's signatures hold.
    Certificate(AvailabilityCertificate),
    /// These sent wrong ones; the rest waits for more.
    Faulty(Vec<ValidatorIndex>),
}

impl Acknowledgements {
    /// Starts without signatures.
    #[must_use]
    pub const fn new(epoch: Arc<EpochInfo>, acknowledged: Acknowledged) -> Self {
        Self { epoch, acknowledged, signatures: BTreeMap::new(), faulty: BTreeSet::new() }
    }

    /// What is acknowledged.
    #[must_use]
    pub const fn acknowledged(&self) -> &Acknowledged {
        &self.acknowledged
    }

    /// Takes a signature that its validator sent itself. The first one counts.
    pub fn add(&mut self, from: ValidatorIndex, signature: Signature) {
        if self.epoch.validators.get(from).is_some() && !self.faulty.contains(&from) {
            self.signatures.entry(from).or_insert(signature);
        }
    }

    /// Whether this validator's signature is here.
    #[must_use]
    pub fn contains(&self, validator: ValidatorIndex) -> bool {
        self.signatures.contains_key(&validator)
    }

    /// Whether a quorum's signatures are here, verified or not.
    #[must_use]
    pub fn is_quorum(&self) -> bool {
        self.weight() >= self.epoch.validators.quorum()
    }

    fn weight(&self) -> u64 {
        self.signatures.keys().map(|index| self.epoch.validators.weight(*index)).sum()
    }

    /// Aggregates and verifies. For a quorum only.
    #[must_use]
    pub fn aggregate(&self, scheme: &impl Scheme) -> Aggregated {
        let signers = Signers::of(self.epoch.validators.len(), self.signatures.keys().copied());
        if let Some(signature) = scheme.aggregate(self.signatures.values()) {
            let claim = Claim { signatories: Signatories::All(&signers), ..self.claim(&signature) };
            if self.holds(scheme, claim) {
                let acknowledged = self.acknowledged;
                return Aggregated::Certificate(AvailabilityCertificate { acknowledged, signers, signature });
            }
        }
        let wrong = self.signatures.iter().filter(|(index, signature)| {
            let claim = Claim { signatories: Signatories::One(**index), ..self.claim(signature) };
            !self.holds(scheme, claim)
        });
        Aggregated::Faulty(wrong.map(|(index, _)| *index).collect())
    }

    /// Drops the signatures of validators that sent wrong ones, for good.
    pub fn expel(&mut self, faulty: impl IntoIterator<Item = ValidatorIndex>) {
        for index in faulty {
            self.signatures.remove(&index);
            self.faulty.insert(index);
        }
    }

    fn claim<'a>(&self, signature: &'a Signature) -> Claim<'a> {
        let statement = Statement::Acknowledgement(self.acknowledged);
        // The signatories are the caller's to fill in.
        Claim { signatories: Signatories::One(ValidatorIndex(0)), statement, signature }
    }

    fn holds(&self, scheme: &impl Scheme, claim: Claim<'_>) -> bool {
        scheme.verify(self.epoch.chain, self.epoch.epoch, &self.epoch.validators, &[claim])
    }
}
