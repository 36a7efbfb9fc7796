//! What the generator submits.

use chorale_types::{RollupId, Transaction, Unit, codec::Blob};

/// Bytes that make a transaction unique: the run and a number.
const LABEL_BYTES: usize = 16;

/// Makes transactions of one size, each different from all others, of this run and of others.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    run: u64,
    next: u64,
    noise: u64,
    bytes: usize,
    rollups: Vec<RollupId>,
}

impl Content {
    /// `run` is random; `bytes` is at least [`LABEL_BYTES`].
    pub(crate) fn new(run: u64, bytes: usize, rollups: Vec<RollupId>) -> Self {
        Self { run, next: 0, noise: run | 1, bytes: bytes.max(LABEL_BYTES), rollups }
    }

    /// The next transaction, for each rollup in turn. Its bytes do not compress.
    pub(crate) fn next_unit(&mut self) -> Unit {
        let number = self.next;
        self.next += 1;
        let mut data = Vec::with_capacity(self.bytes + 8);
        data.extend(self.run.to_be_bytes());
        data.extend(number.to_be_bytes());
        while data.len() < self.bytes {
            // Xorshift (Marsaglia 2003): fast, so that the generator takes little from what it measures.
            self.noise ^= self.noise << 13;
            self.noise ^= self.noise >> 7;
            self.noise ^= self.noise << 17;
            data.extend(self.noise.to_be_bytes());
        }
        data.truncate(self.bytes);
        let turn = usize::try_from(number % self.rollups.len().max(1) as u64).unwrap_or_default();
        let rollup = self.rollups.get(turn).copied().unwrap_or_default();
        Unit::Transaction(Transaction { rollup, data: Blob::new(data).expect("the plan bounds the bytes") })
    }
}

#[cfg(test)]
mod tests {
    use super::Content;
    use chorale_types::{RollupId, Unit};
    use std::collections::BTreeSet;

    #[test]
    fn no_two_are_the_same_and_every_rollup_has_its_turn() {
        let content = |run| Content::new(run, 512, vec![RollupId(7), RollupId(8)]);
        let (mut first, mut second) = (content(1), content(2));
        let units: Vec<_> = (0..100).flat_map(|_| [first.next_unit(), second.next_unit()]).collect();
        let transactions = || units.iter().flat_map(Unit::transactions);
        assert!(transactions().all(|transaction| transaction.data.len() == 512));
        assert_eq!(transactions().filter(|transaction| transaction.rollup == RollupId(7)).count(), 100);
        assert_eq!(transactions().map(|transaction| &*transaction.data).collect::<BTreeSet<_>>().len(), 200);
    }
}
