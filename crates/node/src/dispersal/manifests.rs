//! The manifests that this node knows, for everybody in it who asks what a payload carries.

use chorale_types::{BuilderId, Commitment, Epoch, Header, Manifest, View};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The manifest of a payload whose chunks this node holds.
#[derive(Clone, Debug)]
pub struct Known {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Who built the payload.
    pub builder: BuilderId,
    /// The epoch it is sealed for.
    pub epoch: Epoch,
    /// The last view that may order it.
    pub expiry: View,
    /// Whether a committed header references it.
    pub ordered: bool,
}

/// All manifests known, written by the dispersal actor. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Manifests(Arc<Mutex<BTreeMap<Commitment, Known>>>);

impl Manifests {
    /// The manifest of a payload.
    #[must_use]
    pub fn get(&self, commitment: &Commitment) -> Option<Arc<Manifest>> {
        self.lock().get(commitment).map(|known| known.manifest.clone())
    }

    /// The payloads of a builder that are not ordered.
    #[must_use]
    pub fn unordered_of(&self, builder: &BuilderId) -> Vec<Known> {
        self.lock().values().filter(|known| !known.ordered && known.builder == *builder).cloned().collect()
    }

    pub(super) fn insert(&self, commitment: Commitment, known: Known) {
        self.lock().insert(commitment, known);
    }

    pub(super) fn committed(&self, header: &Header) {
        let mut all = self.lock();
        for certificate in header.payloads.iter() {
            if let Some(known) = all.get_mut(&certificate.commitment()) {
                known.ordered = true;
            }
        }
    }

    pub(super) fn forget(&self, commitments: &[Commitment]) {
        let mut all = self.lock();
        for commitment in commitments {
            all.remove(commitment);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Commitment, Known>> {
        // Every change is a single insertion or removal: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
