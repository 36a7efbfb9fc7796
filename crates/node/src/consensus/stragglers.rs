//! Peers that left the set with an epoch whose end they missed.

use chorale_foundation::cryptography::ed25519::PublicKey;
use chorale_types::{Epoch, TimestampMs};
use std::collections::BTreeMap;

/// How long one waits for its next answer.
const PAUSE_MS: u64 = 500;

/// Who waits for a farewell, and who was sent one lately. As many as the mesh connects at most.
#[derive(Debug, Default)]
pub(super) struct Stragglers(BTreeMap<PublicKey, Straggler>);

#[derive(Debug)]
struct Straggler {
    /// The epoch that it is in; none once it was answered.
    waits: Option<Epoch>,
    answered: Option<TimestampMs>,
}

impl Stragglers {
    /// It speaks in this epoch, which is over.
    pub(super) fn note(&mut self, peer: &PublicKey, epoch: Epoch) {
        let straggler = self.0.entry(peer.clone()).or_insert(Straggler { waits: None, answered: None });
        straggler.waits = Some(epoch);
    }

    /// Who is to be answered now; counts as answered.
    pub(super) fn due(&mut self, now: TimestampMs) -> Vec<(PublicKey, Epoch)> {
        let mut due = Vec::new();
        for (peer, straggler) in &mut self.0 {
            let lately = |at: TimestampMs| now.0 < at.0.saturating_add(PAUSE_MS) && now >= at;
            if straggler.answered.is_some_and(lately) {
                continue;
            }
            if let Some(epoch) = straggler.waits.take() {
                straggler.answered = Some(now);
                due.push((peer.clone(), epoch));
            }
        }
        due
    }

    /// Another epoch begins, with other peers.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Stragglers;
    use chorale_foundation::cryptography::{Signer as _, ed25519::PrivateKey};
    use chorale_types::{Epoch, TimestampMs};

    #[test]
    fn each_is_answered_at_a_pace_whatever_it_says() {
        let [one, two] = [1, 2].map(|seed| PrivateKey::from_seed(seed).public_key());
        let mut stragglers = Stragglers::default();
        assert_eq!(stragglers.due(TimestampMs(1_000)), []);
        stragglers.note(&one, Epoch(3));
        stragglers.note(&one, Epoch(4));
        assert_eq!(stragglers.due(TimestampMs(1_000)), [(one.clone(), Epoch(4))]);
        stragglers.note(&one, Epoch(3));
        stragglers.note(&two, Epoch(3));
        assert_eq!(stragglers.due(TimestampMs(1_499)), [(two, Epoch(3))], "one was answered");
        assert_eq!(stragglers.due(TimestampMs(1_500)), [(one, Epoch(3))], "and is again");
        assert_eq!(stragglers.due(TimestampMs(9_000)), [], "nobody who said nothing");
    }
}
