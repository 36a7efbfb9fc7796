//! Chunks of payloads that this node does not know to be ordered yet.
//!
//! Others may learn of a commit a moment before this node does, and send their chunks at once. Dropping them would cost
//! a round of questions for nearly every payload; so a few of every validator are kept, unchecked.

use chorale_dispersal::ValidatorChunks;
use chorale_foundation::cryptography::ed25519::PublicKey;
use chorale_types::Commitment;
use std::collections::{BTreeMap, VecDeque};

/// Sets of chunks kept per sender: those of the blocks that are committed within a few network delays.
const PER_SENDER_MAX: usize = 4;

/// The latest chunks of every sender.
#[derive(Debug, Default)]
pub(super) struct Early(BTreeMap<PublicKey, VecDeque<ValidatorChunks>>);

impl Early {
    /// Keeps chunks, at the cost of the sender's oldest.
    pub(super) fn keep(&mut self, sender: PublicKey, chunks: ValidatorChunks) {
        let kept = self.0.entry(sender).or_default();
        if kept.iter().any(|other| other.reference.commitment == chunks.reference.commitment) {
            return;
        }
        if kept.len() == PER_SENDER_MAX {
            kept.pop_front();
        }
        kept.push_back(chunks);
    }

    /// Takes out all chunks of one payload, with their senders.
    pub(super) fn take(&mut self, commitment: &Commitment) -> Vec<(PublicKey, ValidatorChunks)> {
        let mut taken = Vec::new();
        self.0.retain(|sender, kept| {
            if let Some(at) = kept.iter().position(|chunks| chunks.reference.commitment == *commitment) {
                taken.extend(kept.remove(at).map(|chunks| (sender.clone(), chunks)));
            }
            !kept.is_empty()
        });
        taken
    }
}
