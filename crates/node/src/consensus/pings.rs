//! Measuring round trips with peers that may lie about them.

use chorale_types::{TimestampMs, ValidatorIndex};
use std::collections::BTreeMap;

/// The longest round trip that is believed, about twice around the world: a validator that answers late on purpose would
/// stretch the timers of the views that it leads.
const RTT_MS_MAX: u64 = 1_000;
/// Pings of one peer that are answered in one second. Honest ones send one; after a pause of this node several may wait.
pub(crate) const PONGS_PER_SECOND_MAX: u32 = 8;

/// The round trip that an answer to a ping of `at` shows, as far as it is believed; none for a ping of the future.
pub(super) fn believed_rtt_ms(at: u64, now: TimestampMs) -> Option<u64> {
    now.0.checked_sub(at).map(|rtt_ms| rtt_ms.min(RTT_MS_MAX))
}

/// Counts answers to pings, so that a flood of them is not answered by another.
#[derive(Default)]
pub(super) struct Pongs {
    second: u64,
    sent: BTreeMap<ValidatorIndex, u32>,
}

impl Pongs {
    /// Whether one more ping of this peer is answered now.
    pub(super) fn allow(&mut self, peer: ValidatorIndex, now: TimestampMs) -> bool {
        let second = now.0 / 1_000;
        if second != self.second {
            self.second = second;
            self.sent.clear();
        }
        let sent = self.sent.entry(peer).or_default();
        *sent += 1;
        *sent <= PONGS_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::{PONGS_PER_SECOND_MAX, Pongs, RTT_MS_MAX, believed_rtt_ms};
    use chorale_types::{TimestampMs, ValidatorIndex};

    #[test]
    fn round_trips_are_believed_up_to_a_second() {
        let now = TimestampMs(100_000);
        assert_eq!(believed_rtt_ms(99_750, now), Some(250));
        assert_eq!(believed_rtt_ms(0, now), Some(RTT_MS_MAX));
        assert_eq!(believed_rtt_ms(100_001, now), None);
    }

    #[test]
    fn a_flood_of_pings_of_one_peer_is_not_answered_and_takes_nothing_from_others() {
        let mut pongs = Pongs::default();
        let mut answered = |peer, now| (0..100).filter(|_| pongs.allow(ValidatorIndex(peer), TimestampMs(now))).count();
        let most = usize::try_from(PONGS_PER_SECOND_MAX).unwrap();
        assert_eq!(
            [answered(0, 1_000), answered(0, 1_999), answered(1, 1_999), answered(0, 2_000)],
            [most, 0, most, most]
        );
    }
}
