//! This node's own payloads until a quorum has acknowledged them.

use super::{
    acknowledgements::Acknowledgements,
    message::{Disperse, RefusedFor},
};
use chorale_dispersal::Sealed;
use chorale_types::{
    Acknowledged, AvailabilityCertificate, Commitment, EpochInfo, Manifest, TimestampMs, ValidatorIndex, View,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::oneshot;

/// Why a payload got no certificate. Its entries can be put into another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCertified {
    /// This node is no validator of the epoch that the payload is sealed for.
    #[error("this node is no validator of the epoch that the payload is sealed for")]
    Epoch,
    /// So many refused that a quorum is impossible.
    #[error("validators with {weight} of {total} refused it, the last one because of {last:?}")]
    Refused {
        /// The weight of those who refused.
        weight: u64,
        /// All weight.
        total: u64,
        /// The last reason given.
        last: RefusedFor,
    },
    /// Too few acknowledged in time.
    #[error("no quorum acknowledged it before view {0}")]
    Expired(View),
    /// The node is being shut down.
    #[error("the node stops")]
    Stopped,
}

/// One payload of this node on its way to a certificate.
pub(super) struct Own {
    sealed: Sealed,
    manifest: Manifest,
    epoch: Arc<EpochInfo>,
    acknowledgements: Acknowledgements,
    refused: BTreeMap<ValidatorIndex, RefusedFor>,
    /// A check of the signatures so far is under way.
    pub(super) aggregating: bool,
    send_at: TimestampMs,
    reply: oneshot::Sender<Result<AvailabilityCertificate, NotCertified>>,
}

impl Own {
    pub(super) fn new(
        sealed: Sealed,
        manifest: Manifest,
        epoch: Arc<EpochInfo>,
        reply: oneshot::Sender<Result<AvailabilityCertificate, NotCertified>>,
    ) -> Self {
        let reference = sealed.reference();
        let acknowledged = Acknowledged {
            builder: reference.builder,
            commitment: reference.commitment,
            length: reference.length,
            manifest: manifest.digest(),
            expiry: reference.expiry,
        };
        let acknowledgements = Acknowledgements::new(epoch.clone(), acknowledged);
        Self {
            sealed,
            manifest,
            epoch,
            acknowledgements,
            refused: BTreeMap::new(),
            aggregating: false,
            send_at: TimestampMs(0),
            reply,
        }
    }

    pub(super) const fn epoch(&self) -> &Arc<EpochInfo> {
        &self.epoch
    }

    pub(super) const fn acknowledged(&self) -> &Acknowledged {
        self.acknowledgements.acknowledged()
    }

    pub(super) const fn acknowledgements(&mut self) -> &mut Acknowledgements {
        &mut self.acknowledgements
    }

    /// What a validator is to be sent.
    pub(super) fn message_for(&self, validator: ValidatorIndex) -> Option<Disperse> {
        let chunks = self.sealed.chunks_of(validator)?;
        let epoch = self.epoch.epoch;
        Some(Disperse { epoch, manifest: self.manifest.clone(), chunks })
    }

    /// Whom to send chunks now: at first everybody, later whoever has not answered.
    pub(super) fn due(&mut self, me: ValidatorIndex, now: TimestampMs, again_after_ms: u64) -> Vec<ValidatorIndex> {
        if now < self.send_at {
            return Vec::new();
        }
        self.send_at = TimestampMs(now.0 + again_after_ms);
        let answered = |index: &ValidatorIndex| {
            self.acknowledgements.contains(*index) || self.refused.contains_key(index) || *index == me
        };
        self.epoch.validators.indices().filter(|index| !answered(index)).collect()
    }

    pub(super) const fn due_at(&self) -> TimestampMs {
        self.send_at
    }

    /// Notes a refusal. Returns why the payload is lost, if it is by this one.
    pub(super) fn refuse(&mut self, from: ValidatorIndex, reason: RefusedFor) -> Option<NotCertified> {
        self.refused.insert(from, reason);
        let validators = &self.epoch.validators;
        let weight = self.refused.keys().map(|index| validators.weight(*index)).sum();
        let total = validators.total();
        (total - weight < validators.quorum()).then_some(NotCertified::Refused { weight, total, last: reason })
    }

    pub(super) fn finish(self, result: Result<AvailabilityCertificate, NotCertified>) {
        // Nobody waits any more if the proposer was shut down.
        let _ = self.reply.send(result);
    }
}

/// The commitments of payloads that no longer can be ordered, of those in `all`.
pub(super) fn expired(all: &BTreeMap<Commitment, Own>, epoch: &EpochInfo, view: View) -> BTreeSet<Commitment> {
    let gone = |own: &Own| own.epoch.epoch != epoch.epoch || own.acknowledged().expiry < view;
    all.iter().filter(|(_, own)| gone(own)).map(|(commitment, _)| *commitment).collect()
}
