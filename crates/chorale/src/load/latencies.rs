//! Percentiles of many durations in little memory.

use serde::Serialize;
use std::time::Duration;

/// Buckets of each doubling: a percentile is at most 1/32 too high.
const BUCKETS_PER_DOUBLING: u64 = 32;
/// Doublings above [`BUCKETS_PER_DOUBLING`] microseconds; the last ends after half an hour.
const DOUBLINGS: u64 = 26;

/// A histogram of durations, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Percentiles {
    /// How many durations.
    pub(crate) count: u64,
    /// Half took at most this.
    pub(crate) p50_ms: f64,
    /// 90 of 100 took at most this.
    pub(crate) p90_ms: f64,
    /// 99 of 100 took at most this.
    pub(crate) p99_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
}

impl Default for Latencies {
    fn default() -> Self {
        let buckets = (DOUBLINGS + 1) * BUCKETS_PER_DOUBLING;
        Self { buckets: vec![0; usize::try_from(buckets).unwrap_or_default()], count: 0, max: Duration::ZERO }
    }
}

impl Latencies {
    /// Counts one.
    pub(crate) fn add(&mut self, latency: Duration) {
        let last = self.buckets.len() - 1;
        self.buckets[bucket(latency).min(last)] += 1;
        self.count += 1;
        self.max = self.max.max(latency);
    }

    /// The percentiles.
    pub(crate) fn percentiles(&self) -> Percentiles {
        let at = |per_cent: u64| {
            let rank = (self.count * per_cent).div_ceil(100);
            let mut seen = 0;
            let found = self.buckets.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            let upper = found.map_or(Duration::ZERO, upper_end);
            upper.min(self.max).as_secs_f64() * 1000.0
        };
        if self.count == 0 {
            return Percentiles::default();
        }
        let max_ms = self.max.as_secs_f64() * 1000.0;
        Percentiles { count: self.count, p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms }
    }
}

fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let doubling = u64::from((micros / BUCKETS_PER_DOUBLING).checked_ilog2().map_or(0, |log| log + 1));
    // In the first row a bucket is a microsecond; each further row covers the next doubling.
    let index = if doubling == 0 {
        micros
    } else {
        doubling * BUCKETS_PER_DOUBLING + ((micros >> (doubling - 1)) - BUCKETS_PER_DOUBLING)
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn upper_end(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    let (doubling, step) = (bucket / BUCKETS_PER_DOUBLING, bucket % BUCKETS_PER_DOUBLING);
    let micros = if doubling == 0 { step } else { ((step + 1 + BUCKETS_PER_DOUBLING) << (doubling - 1)) - 1 };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::{Latencies, bucket, upper_end};
    use std::time::Duration;

    #[test]
    fn every_duration_is_in_a_bucket_that_is_not_much_wider() {
        let mut micros = 0;
        while micros < 1_000_000_000 {
            let upper = u64::try_from(upper_end(bucket(Duration::from_micros(micros))).as_micros()).unwrap();
            assert!(upper >= micros && upper <= micros + micros / 32 + 1, "{micros} is up to {upper}");
            micros += micros / 50 + 1;
        }
    }

    #[test]
    fn percentiles_of_one_to_a_thousand() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|ms| latencies.add(Duration::from_millis(ms)));
        let percentiles = latencies.percentiles();
        assert_eq!((percentiles.count, percentiles.max_ms), (1000, 1000.0));
        assert!((500.0..=516.0).contains(&percentiles.p50_ms), "{percentiles:?}");
        assert!((990.0..=1000.0).contains(&percentiles.p99_ms), "{percentiles:?}");
    }

    #[test]
    fn nothing_has_no_percentiles_and_ages_are_counted() {
        assert_eq!(Latencies::default().percentiles().count, 0);
        let mut latencies = Latencies::default();
        latencies.add(Duration::from_secs(1 << 40));
        assert_eq!(latencies.percentiles().count, 1);
    }
}
