//! How much a peer may ask this node to send.

use chorale_foundation::cryptography::ed25519::PublicKey;
use chorale_types::TimestampMs;
use std::collections::BTreeMap;

/// Bytes that a question costs its peer at least. Also what is not found is looked for, on the disk.
const QUESTION_BYTES_MIN: u64 = 32 * 1024;

/// All peers together are sent what so many may be each: however many ask, chunks and votes need a part of the line.
const FULL_BUDGETS_MAX: u64 = 4;

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
    /// By all of them.
    together: Spent,
}

#[derive(Debug, Default)]
struct Spent {
    bytes: u64,
    open: u64,
}

impl Spent {
    /// Whether one more question fits.
    const fn allows(&self, answer_bytes_max: u64, bytes_per_second: u64) -> bool {
        self.bytes + (self.open + 1) * answer_bytes_max <= bytes_per_second
    }

    const fn close(&mut self, bytes: u64) {
        self.open = self.open.saturating_sub(1);
        self.bytes += bytes;
    }
}

impl Budgets {
    /// For answers of at most `answer_bytes_max`. Each peer gets `bytes_per_second`.
    pub(super) const fn new(bytes_per_second: u64, answer_bytes_max: u64) -> Self {
        let together = Spent { bytes: 0, open: 0 };
        Self { bytes_per_second, answer_bytes_max, second: 0, peers: BTreeMap::new(), together }
    }

    /// Whether the peer may ask for more in this second. If so, the question is open until [`Budgets::close`].
    pub(super) fn open(&mut self, peer: &PublicKey, now: TimestampMs) -> bool {
        let second = now.0 / 1000;
        if second != self.second {
            self.second = second;
            self.together.bytes = 0;
            self.peers.values_mut().for_each(|spent| spent.bytes = 0);
            self.peers.retain(|_, spent| spent.open > 0);
        }
        let spent = self.peers.entry(peer.clone()).or_default();
        let (max, each) = (self.answer_bytes_max, self.bytes_per_second);
        // One answer at a time, up to half of its budget, each peer gets whatever others ask for.
        let is_modest = spent.open == 0 && spent.bytes + max <= each / 2;
        let fits = self.together.allows(max, each * FULL_BUDGETS_MAX);
        let is_allowed = spent.allows(max, each) && (fits || is_modest);
        spent.open += u64::from(is_allowed);
        self.together.open += u64::from(is_allowed);
        is_allowed
    }

    /// A question is answered, by so many bytes: none if there was nothing to find.
    pub(super) fn close(&mut self, peer: &PublicKey, bytes: u64) {
        let bytes = bytes.max(QUESTION_BYTES_MIN);
        self.peers.entry(peer.clone()).or_default().close(bytes);
        self.together.close(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Budgets, FULL_BUDGETS_MAX, QUESTION_BYTES_MIN};
    use crate::tests::cluster::identity;
    use chorale_foundation::cryptography::{Signer as _, ed25519::PublicKey};
    use chorale_types::TimestampMs;

    const ANSWER_BYTES_MAX: u64 = 25 * QUESTION_BYTES_MIN;
    const BYTES_PER_SECOND: u64 = 4 * ANSWER_BYTES_MAX;

    /// How many of ten questions may be asked at once.
    fn asks(budgets: &mut Budgets, peer: &PublicKey, ms: u64) -> usize {
        (0..10).filter(|_| budgets.open(peer, TimestampMs(ms))).count()
    }

    #[test]
    fn questions_count_before_they_are_answered() {
        let mut budgets = Budgets::new(BYTES_PER_SECOND, ANSWER_BYTES_MAX);
        let [peer, other] = [0, 1].map(|i| identity(i).public_key());
        assert_eq!(asks(&mut budgets, &peer, 0), 4);
        assert_eq!(asks(&mut budgets, &other, 0), 4, "each has a budget of its own");
        assert_eq!(asks(&mut budgets, &peer, 1_000), 0, "open questions do not end with the second");
        for answers in [0, 0, 50, 30] {
            budgets.close(&peer, answers * QUESTION_BYTES_MIN);
        }
        assert_eq!(asks(&mut budgets, &peer, 1_500), 0, "82 of 100 parts are spent");
        assert_eq!(asks(&mut budgets, &peer, 2_000), 4);
    }

    #[test]
    fn questions_that_find_nothing_are_bounded_too() {
        let mut budgets = Budgets::new(BYTES_PER_SECOND, ANSWER_BYTES_MAX);
        let peer = identity(0).public_key();
        let mut asked = 0;
        while budgets.open(&peer, TimestampMs(0)) {
            budgets.close(&peer, 0);
            asked += 1;
        }
        assert_eq!(asked, 76, "with 75 of 100 parts spent the last one fits");
    }

    #[test]
    fn all_peers_together_are_answered_what_a_few_may_be() {
        let mut budgets = Budgets::new(BYTES_PER_SECOND, ANSWER_BYTES_MAX);
        let few = usize::try_from(FULL_BUDGETS_MAX).unwrap();
        let peers: Vec<PublicKey> = (0..=few).map(|i| identity(i).public_key()).collect();
        let (last, others) = peers.split_last().unwrap();
        for peer in others {
            assert_eq!(asks(&mut budgets, peer, 0), 4);
        }
        assert_eq!(asks(&mut budgets, last, 0), 1, "one at a time, whatever others ask for");
        for _ in 0..4 {
            budgets.close(&peers[0], ANSWER_BYTES_MAX);
        }
        assert_eq!(asks(&mut budgets, last, 500), 0, "what was answered counts for the rest of the second");
        budgets.close(last, 0);
        assert_eq!(asks(&mut budgets, last, 1_000), 4);
    }
}
