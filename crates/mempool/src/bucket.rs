//! A token bucket on the caller's clock.

use chorale_types::TimestampMs;

/// Allows `per_second` tokens a second, and at once no more than those of `burst_s` seconds.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    per_second: u64,
    milli_max: u64,
    /// Thousandths of tokens, so that a millisecond refills exactly `per_second` of them.
    milli: u64,
    refilled_at: TimestampMs,
}

impl Bucket {
    /// A full bucket.
    pub(crate) const fn new(per_second: u64, burst_s: u64, now: TimestampMs) -> Self {
        let milli_max = per_second.saturating_mul(1000).saturating_mul(burst_s);
        Self { per_second, milli_max, milli: milli_max, refilled_at: now }
    }

    /// Takes `tokens` if they are there, or nothing.
    pub(crate) fn take(&mut self, tokens: u64, now: TimestampMs) -> bool {
        self.refill(now);
        match self.milli.checked_sub(tokens.saturating_mul(1000)) {
            Some(left) => {
                self.milli = left;
                true
            }
            None => false,
        }
    }

    /// The tokens that are there.
    pub(crate) fn available(&mut self, now: TimestampMs) -> u64 {
        self.refill(now);
        self.milli / 1000
    }

    pub(crate) const fn per_second(&self) -> u64 {
        self.per_second
    }

    fn refill(&mut self, now: TimestampMs) {
        let elapsed_ms = now.0.saturating_sub(self.refilled_at.0);
        self.refilled_at = self.refilled_at.max(now);
        let refill = elapsed_ms.saturating_mul(self.per_second);
        self.milli = self.milli.saturating_add(refill).min(self.milli_max);
    }
}
