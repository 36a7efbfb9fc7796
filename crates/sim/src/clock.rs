//! Clocks of nodes: each is wrong in its own way.

use crate::queue::Micros;
use chorale_types::TimestampMs;

/// The wall-clock time at which every run starts, before the nodes' errors.
const START_US: i128 = 1_800_000_000_000_000;

/// One node's clock: an offset and a drift against virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// How far ahead it is at the start, in microseconds.
    pub offset_us: i64,
    /// How much faster it runs, in millionths.
    pub drift_ppm: i64,
}

impl Clock {
    /// What it shows.
    #[must_use]
    pub fn read(&self, now: Micros) -> TimestampMs {
        TimestampMs(u64::try_from(self.micros(now).div_euclid(1000)).unwrap_or_default())
    }

    /// The first moment at which it shows `time` or more.
    #[must_use]
    pub fn when(&self, time: TimestampMs) -> Micros {
        let target = i128::from(time.0).saturating_mul(1000);
        let elapsed = target - START_US - i128::from(self.offset_us);
        let estimate = elapsed.saturating_mul(1_000_000) / (1_000_000 + i128::from(self.drift_ppm));
        let mut at = u64::try_from(estimate.max(0)).unwrap_or(u64::MAX / 4);
        // Rounding is off by a few microseconds at most.
        at = at.saturating_sub(2);
        while self.micros(at) < target && at < u64::MAX / 4 {
            at += 1;
        }
        at
    }

    fn micros(&self, now: Micros) -> i128 {
        let now = i128::from(now);
        START_US + i128::from(self.offset_us) + now + now * i128::from(self.drift_ppm) / 1_000_000
    }
}
