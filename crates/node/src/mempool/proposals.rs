//! Which payloads a proposed block references, until it is certified.

use chorale_types::{BlockId, Commitment, Header};
use std::collections::VecDeque;

/// Blocks that are remembered: an honest chain has a handful between proposal and certificate.
const BLOCKS_MAX: usize = 64;

/// The last blocks that were proposed with payloads.
#[derive(Default)]
pub(super) struct Proposals(VecDeque<(BlockId, Vec<Commitment>)>);

impl Proposals {
    pub(super) fn insert(&mut self, header: &Header) {
        if header.payloads.is_empty() {
            return;
        }
        if self.0.len() == BLOCKS_MAX {
            self.0.pop_front();
        }
        let commitments = header.payloads.iter().map(|certificate| certificate.commitment()).collect();
        self.0.push_back((header.id(), commitments));
    }

    pub(super) fn take(&mut self, block: &BlockId) -> Vec<Commitment> {
        let position = self.0.iter().rposition(|(id, _)| id == block);
        position.and_then(|position| self.0.remove(position)).map(|(_, commitments)| commitments).unwrap_or_default()
    }
}
