//! How much a peer may ask this node to send.

use chorale_foundation::cryptography::ed25519::PublicKey;
use chorale_types::TimestampMs;
use std::collections::BTreeMap;

/// Bytes that each peer has been sent as answers in the current second, and may be for questions that are open.
///
/// A question is charged with the longest answer before anything is read for it, or a peer could ask a hundred at once
/// before the first answer counts.
#[derive(Debug)]
pub(super) struct Budgets {
    bytes_per_second: u64,
    answer_bytes_max: u64,
    second: u64,
    peers: BTreeMap<PublicKey, Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    bytes: u64,
    open: u64,
}

impl Budgets {
    /// For answers of at most `answer_bytes_max`.
    pub(super) const fn new(bytes_per_second: u64, answer_bytes_max: u64) -> Self {
        Self { bytes_per_second, answer_bytes_max, second: 0, peers: BTreeMap::new() }
    }

    /// Whether the peer may ask for more in this second. If so, the question is open until [`Budgets::close`].
    pub(super) fn open(&mut self, peer: &PublicKey, now: TimestampMs) -> bool {
        let second = now.0 / 1000;
        if second != self.second {
            self.second = second;
            self.peers.values_mut().for_each(|spent| spent.bytes = 0);
            self.peers.retain(|_, spent| spent.open > 0);
        }
        let spent = self.peers.entry(peer.clone()).or_default();
        let is_allowed = spent.bytes + (spent.open + 1) * self.answer_bytes_max <= self.bytes_per_second;
        spent.open += u64::from(is_allowed);
        is_allowed
    }

    /// A question is answered, by so many bytes.
    pub(super) fn close(&mut self, peer: &PublicKey, bytes: u64) {
        let spent = self.peers.entry(peer.clone()).or_default();
        spent.open = spent.open.saturating_sub(1);
        spent.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::Budgets;
    use crate::tests::cluster::identity;
    use chorale_foundation::cryptography::Signer as _;
    use chorale_types::TimestampMs;

    #[test]
    fn questions_count_before_they_are_answered() {
        let mut budgets = Budgets::new(100, 25);
        let [peer, other] = [0, 1].map(|i| identity(i).public_key());
        let mut asks = |peer, ms| (0..10).filter(|_| budgets.open(peer, TimestampMs(ms))).count();
        assert_eq!(asks(&peer, 0), 4);
        assert_eq!(asks(&other, 0), 4, "each has a budget of its own");
        assert_eq!(asks(&peer, 1_000), 0, "open questions do not end with the second");
        for bytes in [0, 0, 50, 30] {
            budgets.close(&peer, bytes);
        }
        let mut asks = |ms| (0..10).filter(|_| budgets.open(&peer, TimestampMs(ms))).count();
        assert_eq!(asks(1_500), 0, "80 of 100 bytes are spent");
        assert_eq!(asks(2_000), 4);
    }
}
