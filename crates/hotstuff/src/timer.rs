//! The timer of a view.

use crate::{Parameters, rules::Rules};
use chorale_types::{TimestampMs, ValidatorIndex, View};

/// Knows how long a view may take.
#[derive(Debug)]
pub(crate) struct Timer {
    base_ms: u64,
    ms_max: u64,
    pace_ms: u64,
    /// Views lost beyond those that were not: the exponent of the backoff.
    lost: u32,
    /// Round trips to the validators, 0 where unknown.
    rtt_ms: Vec<u64>,
    /// The round trip within which validators of a quorum answer.
    quorum_rtt_ms: u64,
}

impl Timer {
    pub(crate) fn new(parameters: &Parameters, validators: usize) -> Self {
        Self {
            base_ms: parameters.timeout_base_ms.max(1),
            ms_max: parameters.timeout_ms_max.max(parameters.timeout_base_ms).max(1),
            pace_ms: parameters.pace_ms.saturating_add(parameters.payload_pace_ms_max()),
            lost: 0,
            rtt_ms: vec![0; validators],
            quorum_rtt_ms: 0,
        }
    }

    /// A view ended with or without a certificate.
    pub(crate) fn ended(&mut self, certified: bool) {
        self.lost = if certified { self.lost.saturating_sub(1) } else { self.lost.saturating_add(1).min(64) };
    }

    /// The round trip to a validator was measured.
    pub(crate) fn round_trip(&mut self, rules: &Rules, to: ValidatorIndex, rtt_ms: u64) {
        let Some(known) = self.rtt_ms.get_mut(to.as_usize()) else { return };
        *known = rtt_ms.min(self.ms_max);
        let mut all: Vec<(u64, ValidatorIndex)> =
            self.rtt_ms.iter().copied().zip((0u16..).map(ValidatorIndex)).collect();
        all.sort_unstable();
        let mut weight = 0;
        self.quorum_rtt_ms = all
            .into_iter()
            .find(|(_, index)| {
                weight += rules.weight(*index);
                weight >= rules.quorum()
            })
            .map_or(0, |(rtt_ms, _)| rtt_ms);
    }

    /// How long a view may take in which nothing is held back.
    ///
    /// The round trips to both leaders count, not only the quorum's, so that validators that are close to each other
    /// do not give up a leader far away.
    pub(crate) fn duration_ms(&self, rules: &Rules, view: View) -> u64 {
        let mut ms = self.plain_ms(rules, view);
        for _ in 0..self.lost {
            if ms >= self.ms_max {
                break;
            }
            ms = ms.saturating_mul(3).div_ceil(2).min(self.ms_max);
        }
        ms.saturating_add(self.pace_ms)
    }

    /// The same without backoff and pace: how long it takes until an answer may be missed.
    pub(crate) fn plain_ms(&self, rules: &Rules, view: View) -> u64 {
        let to = |leader: ValidatorIndex| self.rtt_ms.get(leader.as_usize()).copied().unwrap_or_default();
        let rtt_ms = self.quorum_rtt_ms.max(to(rules.leader(view))).max(to(rules.leader(view.next())));
        self.base_ms.saturating_add(rtt_ms.saturating_mul(3)).min(self.ms_max)
    }

    /// How often something that may have been lost is sent again.
    pub(crate) const fn resend_ms(&self) -> u64 {
        self.base_ms
    }
}

/// A time so many milliseconds after another.
pub(crate) const fn after(time: TimestampMs, ms: u64) -> TimestampMs {
    TimestampMs(time.0.saturating_add(ms))
}
