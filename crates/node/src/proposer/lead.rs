//! How many views before its header a payload has to be begun.
//!
//! Too late, and the certificate misses its header and waits until this node leads again; too early, and entries wait
//! for views that were not needed. Both durations depend on network, disks and load, so they are measured.

use chorale_types::{TimestampMs, View};
use std::collections::VecDeque;

/// Durations that are remembered. Their mean counts, because views come in bursts, without the longest, because a single
/// slow one, or the long view of an idle chain, says nothing.
const SAMPLES: usize = 8;

/// A header may be held back for this part of a view, as a divisor, if its payload is nearly ready.
const WAIT_PART: u64 = 4;

/// What a header may be held back for at least: about what a disk needs for a sync.
const WAIT_MS_MIN: u64 = 10;

/// Recent durations, in milliseconds.
#[derive(Clone, Debug, Default)]
struct Recent(VecDeque<u64>);

impl Recent {
    fn add(&mut self, ms: u64) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(ms);
    }

    fn mean(&self) -> Option<u64> {
        let longest = self.0.iter().max()?;
        let others = self.0.len() as u64 - 1;
        let sum = self.0.iter().sum::<u64>() - longest;
        Some(sum.checked_div(others).unwrap_or(*longest))
    }
}

/// Measures views and dispersals.
#[derive(Clone, Debug, Default)]
pub struct Lead {
    views: Recent,
    dispersals: Recent,
    entered: Option<(View, TimestampMs)>,
}

impl Lead {
    /// The node is in this view now.
    pub fn entered(&mut self, view: View, now: TimestampMs) {
        let Some((before, at)) = self.entered else {
            self.entered = Some((view, now));
            return;
        };
        if before == view {
            return;
        }
        if before < view {
            self.views.add(now.0.saturating_sub(at.0) / (view.0 - before.0));
        }
        self.entered = Some((view, now));
    }

    /// From the selection of a payload's entries to its certificate.
    pub fn dispersed(&mut self, began: TimestampMs, now: TimestampMs) {
        self.dispersals.add(now.0.saturating_sub(began.0));
    }

    /// How many views ahead to begin, from 1 to `max`: as many as a dispersal takes, less what a header may wait.
    #[must_use]
    pub fn views_ahead(&self, max: u64) -> u64 {
        let (Some(view), Some(dispersal)) = (self.views.mean(), self.dispersals.mean()) else { return 1 };
        dispersal.saturating_sub(self.wait_ms()).div_ceil(view.max(1)).clamp(1, max.max(1))
    }

    /// How long a header may be held back for a payload that is being dispersed.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        (self.views.mean().unwrap_or(0) / WAIT_PART).max(WAIT_MS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::Lead;
    use chorale_types::{TimestampMs, View};

    fn lead(view_ms: u64, dispersal_ms: u64) -> Lead {
        let mut lead = Lead::default();
        for view in 0..10 {
            lead.entered(View(view), TimestampMs(1_000 + view * view_ms));
            lead.dispersed(TimestampMs(0), TimestampMs(dispersal_ms));
        }
        lead
    }

    #[test]
    fn a_payload_is_begun_as_many_views_ahead_as_its_dispersal_takes() {
        assert_eq!(Lead::default().views_ahead(3), 1, "nothing measured");
        assert_eq!(lead(30, 12).views_ahead(3), 1);
        assert_eq!(lead(100, 120).views_ahead(3), 1, "a header waits for a quarter of a view");
        assert_eq!(lead(100, 130).views_ahead(3), 2);
        assert_eq!(lead(100, 900).views_ahead(3), 3, "at most");
        assert_eq!(lead(0, 50).views_ahead(3), 3, "views shorter than a millisecond");
    }

    #[test]
    fn views_that_come_in_bursts_count_with_their_mean() {
        let mut lead = lead(30, 40);
        for view in 5..10 {
            let at = TimestampMs(2_000 + view * 80);
            lead.entered(View(2 * view), at);
            lead.entered(View(2 * view + 1), at);
        }
        assert_eq!(lead.views_ahead(3), 1, "views of 80 and 0 ms in turn, dispersals of 40");
    }

    #[test]
    fn one_long_view_of_an_idle_chain_changes_nothing() {
        let mut lead = lead(30, 60);
        assert_eq!(lead.views_ahead(3), 2);
        lead.entered(View(10), TimestampMs(60_000));
        lead.dispersed(TimestampMs(0), TimestampMs(5_000));
        assert_eq!(lead.views_ahead(3), 2);
    }

    #[test]
    fn views_that_begin_anew_in_an_epoch_are_no_duration() {
        let mut lead = lead(30, 60);
        lead.entered(View(0), TimestampMs(90_000));
        lead.entered(View(1), TimestampMs(90_030));
        assert_eq!(lead.views_ahead(3), 2);
    }
}
