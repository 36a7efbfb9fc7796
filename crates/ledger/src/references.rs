//! The commitments that headers referenced: a second reference is void.

use chorale_types::{AvailabilityCertificate, Commitment, Epoch, Header, View, codec_struct};
use std::collections::BTreeMap;

/// A commitment that was referenced, and the last view in which a header may reference it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) commitment: Commitment,
    pub(crate) expiry: View,
}
codec_struct!(Reference { commitment, expiry });

/// The commitments of one epoch that could still be referenced again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    epoch: Epoch,
    expiries: BTreeMap<Commitment, View>,
}

impl References {
    pub(crate) fn new(epoch: Epoch, references: &[Reference]) -> Self {
        let expiries = references.iter().map(|reference| (reference.commitment, reference.expiry)).collect();
        Self { epoch, expiries }
    }

    /// Forgets what no valid header after this one can reference: a commitment binds one epoch and one expiry, and whoever
    /// acknowledged it has checked that its certificate says the same.
    pub(crate) fn advance(&mut self, header: &Header) {
        if header.epoch != self.epoch {
            self.epoch = header.epoch;
            self.expiries.clear();
        }
        self.expiries.retain(|_, expiry| *expiry >= header.view);
    }

    /// Remembers a reference. Whether it is the first one.
    pub(crate) fn insert(&mut self, certificate: &AvailabilityCertificate) -> bool {
        self.expiries.insert(certificate.commitment(), certificate.acknowledged.expiry).is_none()
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Reference> {
        self.expiries.iter().map(|(commitment, expiry)| Reference { commitment: *commitment, expiry: *expiry })
    }

    /// Binds all that is remembered.
    pub(crate) fn write_digest(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.epoch.0.to_be_bytes());
        for Reference { commitment, expiry } in self.iter() {
            buf.extend_from_slice(commitment.as_ref());
            buf.extend_from_slice(&expiry.0.to_be_bytes());
        }
    }
}
