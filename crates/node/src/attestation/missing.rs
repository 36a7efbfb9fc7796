//! Settled heights whose attestation is missing, and whom to ask for it when.

use chorale_types::{Digest, Epoch, Height, TimestampMs, ValidatorIndex};
use std::collections::BTreeMap;

/// Up to so many missing attestations everybody is asked for each. More are an absence that this node catches up with:
/// then one validator is asked for each, another one every time.
const ASKED_OF_ALL_MAX: usize = 16;
/// Attestations that one validator is asked for in a turn while this node catches up.
const ASKED_OF_ONE_MAX: usize = 4;
/// Milliseconds between two turns: well below what one validator answers in a second.
pub(super) const ASK_TURN_MS: u64 = 100;

/// A settled height without attestation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// What this node found.
    pub(super) root: Digest,
    /// Whose validators attest it.
    pub(super) epoch: Epoch,
    /// When to ask for it.
    ask_at: TimestampMs,
    /// How often it was asked for.
    asked: u64,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Everybody.
    All,
    /// This validator of the height's epoch.
    One(ValidatorIndex),
}

/// The validators of an epoch: how many, and which of them this node is.
pub(super) type Others = (usize, Option<ValidatorIndex>);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Missing {
    heights: BTreeMap<Height, Waiting>,
    turn_at: TimestampMs,
}

impl Missing {
    /// A height was settled: its attestation is asked for from `ask_at` on.
    pub(super) fn insert(&mut self, height: Height, root: Digest, epoch: Epoch, ask_at: TimestampMs) {
        self.heights.insert(height, Waiting { root, epoch, ask_at, asked: 0 });
    }

    pub(super) fn get(&self, height: Height) -> Option<&Waiting> {
        self.heights.get(&height)
    }

    /// It is attested.
    pub(super) fn remove(&mut self, height: Height) -> Option<Waiting> {
        self.heights.remove(&height)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heights.is_empty()
    }

    /// The lowest height that is missing.
    pub(super) fn first(&self) -> Option<Height> {
        self.heights.keys().next().copied()
    }

    /// Gives up what nobody keeps any more: heights below this one. Returns them.
    pub(super) fn prune(&mut self, below: Height) -> Vec<Height> {
        if self.first().is_none_or(|first| first >= below) {
            return Vec::new();
        }
        let kept = self.heights.split_off(&below);
        std::mem::replace(&mut self.heights, kept).into_keys().collect()
    }

    /// What is to be asked for now, the oldest first, and of whom. Each comes again `again_after_ms` later. `others`: who
    /// there is in an epoch.
    pub(super) fn due(
        &mut self,
        now: TimestampMs,
        again_after_ms: u64,
        others: impl Fn(Epoch) -> Option<Others>,
    ) -> Vec<(Height, Whom)> {
        if now < self.turn_at {
            return Vec::new();
        }
        self.turn_at = TimestampMs(now.0.saturating_add(ASK_TURN_MS));
        let first = self.heights.first_key_value().and_then(|(_, first)| others(first.epoch));
        let peers = first.map_or(1, |(validators, _)| validators.saturating_sub(1).max(1));
        let due = self.heights.iter().filter(|(_, it)| it.ask_at <= now).map(|(height, _)| *height);
        let due: Vec<Height> = due.take(ASKED_OF_ALL_MAX.max(ASKED_OF_ONE_MAX * peers) + 1).collect();
        let few = due.len() <= ASKED_OF_ALL_MAX;
        let most = if few { ASKED_OF_ALL_MAX } else { ASKED_OF_ONE_MAX * peers };
        let ask = |height: Height| {
            let waiting = self.heights.get_mut(&height)?;
            let whom =
                if few { Whom::All } else { Whom::One(next_to_ask(height, waiting.asked, others(waiting.epoch)?)?) };
            waiting.ask_at = TimestampMs(now.0.saturating_add(again_after_ms));
            waiting.asked += 1;
            Some((height, whom))
        };
        due.into_iter().take(most).filter_map(ask).collect()
    }
}

/// Whose turn it is to be asked for a height, if this node is not the only validator.
fn next_to_ask(height: Height, asked: u64, (validators, me): Others) -> Option<ValidatorIndex> {
    let turns = (0..validators as u64).map(|more| height.0.wrapping_add(asked).wrapping_add(more));
    let mut turns = turns.filter_map(|turn| u16::try_from(turn % validators as u64).ok().map(ValidatorIndex));
    turns.find(|index| Some(*index) != me)
}

#[cfg(test)]
mod tests {
    use super::{ASK_TURN_MS, ASKED_OF_ALL_MAX, ASKED_OF_ONE_MAX, Missing, Whom};
    use chorale_types::{Digest, Epoch, Height, TimestampMs, ValidatorIndex, tagged_hash};
    use std::collections::{BTreeMap, BTreeSet};

    const AGAIN_MS: u64 = 1_000;
    const ME: ValidatorIndex = ValidatorIndex(2);

    fn root() -> Digest {
        tagged_hash("test/root", &[])
    }

    fn missing(heights: u64) -> Missing {
        let mut missing = Missing::default();
        (1..=heights).for_each(|height| missing.insert(Height(height), root(), Epoch(0), TimestampMs(500)));
        missing
    }

    fn due(missing: &mut Missing, now: u64, validators: usize) -> Vec<(Height, Whom)> {
        missing.due(TimestampMs(now), AGAIN_MS, |_| Some((validators, Some(ME))))
    }

    #[test]
    fn everybody_is_asked_for_the_few_that_are_missing() {
        let mut missing = missing(3);
        assert!(due(&mut missing, 499, 4).is_empty());
        let all: Vec<_> = (1..=3).map(|height| (Height(height), Whom::All)).collect();
        assert_eq!(due(&mut missing, 600, 4), all);
        assert!(due(&mut missing, 600 + AGAIN_MS - 1, 4).is_empty());
        assert_eq!(due(&mut missing, 600 + AGAIN_MS + ASK_TURN_MS, 4), all);
    }

    #[test]
    fn an_absence_is_caught_up_with_at_a_rate_that_each_validator_answers() {
        let mut missing = missing(1_000);
        let mut asked: BTreeMap<ValidatorIndex, usize> = BTreeMap::new();
        for turn in 0..10 {
            let asked_now = due(&mut missing, 1_000 + turn * ASK_TURN_MS, 4);
            assert_eq!(asked_now.len(), ASKED_OF_ONE_MAX * 3);
            for (_, whom) in asked_now {
                let Whom::One(validator) = whom else { panic!("more than {ASKED_OF_ALL_MAX} are missing") };
                assert_ne!(validator, ME);
                *asked.entry(validator).or_default() += 1;
            }
        }
        // Those whose turn would be this node's go to the one after it.
        assert!(asked.len() == 3 && asked.values().all(|count| *count <= 10 * 2 * ASKED_OF_ONE_MAX), "{asked:?}");
    }

    #[test]
    fn for_one_height_another_validator_is_asked_every_time() {
        let mut missing = missing(100);
        let mut whom = BTreeSet::new();
        for turn in 0..8 {
            let now = 1_000 + turn * (AGAIN_MS + ASK_TURN_MS);
            whom.extend(due(&mut missing, now, 4).into_iter().filter(|(height, _)| *height == Height(1)).map(|it| {
                let Whom::One(validator) = it.1 else { panic!("many are missing") };
                validator
            }));
        }
        assert_eq!(whom.len(), 3);
    }

    #[test]
    fn what_nobody_keeps_is_given_up() {
        let mut missing = missing(10);
        assert_eq!(missing.prune(Height(4)), [Height(1), Height(2), Height(3)]);
        assert_eq!(missing.first(), Some(Height(4)));
        assert!(missing.remove(Height(4)).is_some() && missing.get(Height(4)).is_none());
        assert!(due(&mut missing, 1_000, 1).iter().all(|(_, whom)| *whom == Whom::All) && !missing.is_empty());
    }
}
