//! How much a peer may ask this node to send.

use chorale_foundation::cryptography::ed25519::PublicKey;
use chorale_types::TimestampMs;
use std::collections::BTreeMap;

/// Bytes that each peer has been sent as answers in the current second.
#[derive(Debug)]
pub(super) struct Budgets {
    bytes_per_second: u64,
    second: u64,
    spent: BTreeMap<PublicKey, u64>,
}

impl Budgets {
    pub(super) const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, second: 0, spent: BTreeMap::new() }
    }

    /// Whether the peer may ask for more in this second.
    pub(super) fn allows(&mut self, peer: &PublicKey, now: TimestampMs) -> bool {
        let second = now.0 / 1000;
        if second != self.second {
            self.second = second;
            self.spent.clear();
        }
        self.spent.get(peer).is_none_or(|spent| *spent < self.bytes_per_second)
    }

    /// Notes what it was sent.
    pub(super) fn spend(&mut self, peer: &PublicKey, bytes: u64) {
        *self.spent.entry(peer.clone()).or_default() += bytes;
    }
}
