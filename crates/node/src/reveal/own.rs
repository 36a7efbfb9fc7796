//! What this node sealed itself: it needs no chunks to know what that opens to.

use chorale_dispersal::Opened;
use chorale_types::{AvailabilityCertificate, Commitment, Epoch, Manifest, View};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A payload as its builder has it.
#[derive(Clone, Debug)]
struct Own {
    manifest: Manifest,
    opened: Opened,
    /// After this view of this epoch no header may order it.
    expiry: (Epoch, View),
}

/// The payloads of this node that may still be ordered. Clones share them.
///
/// Opening is a function of the commitment, and sealing is its inverse: what was sealed is what everybody opens. So a
/// builder is spared the work; nothing depends on it, and a node that was restarted opens its own payloads as others do.
#[derive(Clone, Debug, Default)]
pub struct OwnPayloads(Arc<Mutex<BTreeMap<Commitment, Own>>>);

impl OwnPayloads {
    /// Remembers a payload that was sealed to `commitment` and may be ordered up to `expiry`.
    pub fn insert(&self, commitment: Commitment, manifest: Manifest, opened: Opened, expiry: (Epoch, View)) {
        self.lock().insert(commitment, Own { manifest, opened, expiry });
    }

    /// What the payload of a certificate opens to, if this node sealed it with the certificate's manifest. Once: who asks
    /// keeps it.
    pub(super) fn take(&self, certificate: &AvailabilityCertificate) -> Option<(Manifest, Opened)> {
        let own = self.lock().remove(&certificate.commitment())?;
        let is_same = own.manifest.digest() == certificate.acknowledged.manifest;
        is_same.then_some((own.manifest, own.opened))
    }

    /// A header of this view is committed: what could not be ordered after it is forgotten.
    pub fn committed(&self, at: (Epoch, View)) {
        self.lock().retain(|_, own| own.expiry > at);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Commitment, Own>> {
        // No change of the map can stop half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::OwnPayloads;
    use chorale_dispersal::Opened;
    use chorale_types::{
        Acknowledged, AvailabilityCertificate, BuilderId, Commitment, Digest, Epoch, Manifest, Payload, PayloadUnit,
        RollupId, Signature, Signers, Transaction, Unit, View, codec::Blob, tagged_hash,
    };

    fn manifest(name: u8) -> Manifest {
        let transaction = Transaction { rollup: RollupId(1), data: Blob::new(vec![name]).unwrap() };
        Payload::build(vec![PayloadUnit::new(Unit::Transaction(transaction))], [name; 32]).unwrap().1
    }

    fn certificate(commitment: Commitment, manifest: Digest) -> AvailabilityCertificate {
        let builder = BuilderId(tagged_hash("test/builder", &[]));
        let acknowledged = Acknowledged { builder, commitment, length: 1, manifest, expiry: View(9) };
        AvailabilityCertificate { acknowledged, signers: Signers::of(1, []), signature: Signature::NONE }
    }

    #[test]
    fn a_builder_knows_what_it_sealed_once_and_until_it_expires() {
        let own = OwnPayloads::default();
        let commitment = Commitment(tagged_hash("test/commitment", &[]));
        let opened = Opened { payload: vec![7].into(), key: [1; 32] };
        let insert = || own.insert(commitment, manifest(1), opened.clone(), (Epoch(0), View(9)));
        let right = certificate(commitment, manifest(1).digest());

        insert();
        assert_eq!(own.take(&right), Some((manifest(1), opened.clone())));
        assert_eq!(own.take(&right), None);
        insert();
        assert_eq!(own.take(&certificate(commitment, manifest(2).digest())), None, "with the manifest that was sealed");
        insert();
        own.committed((Epoch(0), View(8)));
        assert!(own.take(&right).is_some());
        insert();
        own.committed((Epoch(0), View(9)));
        assert_eq!(own.take(&right), None);
    }
}
