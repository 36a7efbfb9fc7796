//! When a payload has to be begun, and for which view.
//!
//! Too late, and the certificate misses its header and waits until this node leads again; too early, and entries that
//! come a moment later wait for another view. How long views and dispersals take depends on network, disks and load, so
//! it is measured. All nodes measure about the same, so at any moment one leader is on duty for what waits: that of the
//! first view whose header can still carry it.

use chorale_types::{TimestampMs, View};
use std::collections::VecDeque;

/// Durations that are remembered. Their mean counts, because views come in bursts, without the longest, because a single
/// slow one, or the long view of an idle chain, says nothing.
const SAMPLES: usize = 8;

/// A header may be held back for this part of a view, as a divisor, if its payload is being dispersed: what misses its header
/// waits until its leader's next turn, which is several views away.
const WAIT_PART: u64 = 2;

/// But a payload is begun for a header only if it is expected to hold it back for no more than this part of a view.
const LATE_PART: u64 = 4;

/// How much earlier than needed a payload is begun, as a part of a view.
const MARGIN_PART: u64 = 4;

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

    /// 0 if there are none.
    fn mean(&self) -> u64 {
        let longest = self.0.iter().max().copied().unwrap_or(0);
        let others = (self.0.len() as u64).saturating_sub(1);
        (self.0.iter().sum::<u64>() - longest).checked_div(others).unwrap_or(longest)
    }
}

/// Measures views, headers and dispersals.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// From one view to the next.
    views: Recent,
    /// From a view to its header.
    headers: Recent,
    /// From the selection of a payload's entries to its certificate.
    dispersals: Recent,
    /// The view the node is in, since when, and whether its header was proposed.
    current: Option<(View, TimestampMs, bool)>,
}

impl Timing {
    /// The node is in this view now. Whether anything waits to be ordered: views of an idle chain say nothing.
    pub fn entered(&mut self, view: View, busy: bool, now: TimestampMs) {
        if let Some((before, since, _)) = self.current {
            if before == view {
                return;
            }
            // In a new epoch views begin anew.
            if before < view && busy {
                self.views.add(now.0.saturating_sub(since.0) / (view.0 - before.0));
            }
        }
        self.current = Some((view, now, false));
    }

    /// The header of a view was proposed.
    pub fn proposed(&mut self, view: View, busy: bool, now: TimestampMs) {
        if let Some((current, since, proposed @ false)) = &mut self.current
            && *current == view
        {
            *proposed = true;
            if busy {
                let ms = now.0.saturating_sub(since.0);
                self.headers.add(ms);
            }
        }
    }

    /// A payload was dispersed.
    pub fn dispersed(&mut self, began: TimestampMs, now: TimestampMs) {
        self.dispersals.add(now.0.saturating_sub(began.0));
    }

    /// How long a header may be held back for a payload that is being dispersed.
    #[must_use]
    pub fn wait_ms(&self) -> u64 {
        (self.views.mean() / WAIT_PART).max(WAIT_MS_MIN)
    }

    /// How long a header may be held back for a payload that is not begun yet, at most `max` milliseconds.
    #[must_use]
    pub fn hold_ms(&self, max: u64) -> u64 {
        (2 * self.dispersals.mean()).max(self.wait_ms()).min(max)
    }

    /// When the payload for the header of this view should be begun: a dispersal before the header is expected, and a
    /// little earlier, because to be late costs more.
    #[must_use]
    pub fn begin_at(&self, view: View, now: TimestampMs) -> TimestampMs {
        let margin_ms = self.views.mean() / MARGIN_PART;
        TimestampMs(self.header_at(view, now).0.saturating_sub(self.dispersals.mean() + margin_ms))
    }

    /// Until when who should have begun at `begin_at` may wait for those before it to say what they take.
    #[must_use]
    pub fn patient_until(&self, begin_at: TimestampMs) -> TimestampMs {
        TimestampMs(begin_at.0 + self.views.mean() / 2)
    }

    /// Whose leader is on duty: the first view, at most `ahead_max` views from now, whose header can still carry what is
    /// begun now.
    #[must_use]
    pub fn duty(&self, now: TimestampMs, ahead_max: u64) -> View {
        let Some((view, first)) = self.next_header() else { return View(0) };
        let ready = now.0 + self.dispersals.mean();
        let may_be_late_ms = (self.views.mean() / LATE_PART).max(WAIT_MS_MIN);
        let late = ready.saturating_sub(self.header_at(first, now).0 + may_be_late_ms);
        let view_ms = if self.views.0.is_empty() { late } else { self.views.mean() };
        View((first.0 + late.div_ceil(view_ms.max(1))).min(view.0 + ahead_max))
    }

    /// The first view whose header is not proposed.
    #[must_use]
    pub fn next_view(&self) -> Option<View> {
        self.next_header().map(|(_, first)| first)
    }

    /// The view the node is in, and the first whose header is not proposed.
    fn next_header(&self) -> Option<(View, View)> {
        self.current.map(|(view, _, proposed)| (view, if proposed { view.next() } else { view }))
    }

    /// When the header of this view is expected; never before now.
    fn header_at(&self, view: View, now: TimestampMs) -> TimestampMs {
        let (Some((current, since, _)), Some((_, first))) = (self.current, self.next_header()) else { return now };
        let view_ms = self.views.mean();
        let next = since.0 + self.headers.mean() + (first.0 - current.0) * view_ms;
        TimestampMs(next.max(now.0) + view.0.saturating_sub(first.0) * view_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::Timing;
    use chorale_types::{TimestampMs, View};

    const AHEAD_MAX: u64 = 8;

    /// In view 10 since 10 s, after views of `view_ms` with a header after `header_ms`, and dispersals of `dispersal_ms`.
    fn timing(view_ms: u64, header_ms: u64, dispersal_ms: u64) -> Timing {
        let mut timing = Timing::default();
        for view in 0..=10 {
            let at = 10_000 - (10 - view) * view_ms;
            timing.entered(View(view), true, TimestampMs(at));
            if view < 10 {
                timing.proposed(View(view), true, TimestampMs(at + header_ms));
            }
            timing.dispersed(TimestampMs(0), TimestampMs(dispersal_ms));
        }
        timing
    }

    fn duty(timing: &Timing, after_ms: u64) -> u64 {
        timing.duty(TimestampMs(10_000 + after_ms), AHEAD_MAX).0
    }

    fn begin_at(timing: &Timing, view: u64, after_ms: u64) -> u64 {
        timing.begin_at(View(view), TimestampMs(10_000 + after_ms)).0 - 10_000
    }

    #[test]
    fn the_leader_of_the_first_header_that_a_dispersal_can_still_make_is_on_duty() {
        let timing = timing(40, 30, 20);
        assert_eq!((begin_at(&timing, 10, 0), begin_at(&timing, 11, 0)), (0, 40), "headers at 30 and 70 ms");
        assert_eq!((duty(&timing, 0), duty(&timing, 20)), (10, 10), "a header waits for 10 ms");
        assert_eq!(duty(&timing, 21), 11);
    }

    #[test]
    fn slow_dispersals_are_begun_views_ahead() {
        let timing = timing(40, 10, 200);
        assert_eq!(duty(&timing, 0), 15, "ready after 200 ms; headers at 10, 50, 90, 130, 170 and 210 ms");
        assert_eq!(begin_at(&timing, 15, 0), 0);
        assert_eq!(timing.duty(TimestampMs(10_000), 3), View(13), "as far as payloads are made ahead");
    }

    #[test]
    fn a_header_that_is_proposed_carries_nothing_more() {
        let mut timing = timing(40, 30, 5);
        assert_eq!(duty(&timing, 0), 10);
        timing.proposed(View(10), true, TimestampMs(10_001));
        assert_eq!(duty(&timing, 2), 11);
    }

    #[test]
    fn a_late_header_is_expected_at_any_moment_and_the_next_a_view_after_it() {
        let timing = timing(40, 30, 20);
        assert_eq!(duty(&timing, 500), 11, "of an idle chain, or after a pause");
        assert_eq!(begin_at(&timing, 11, 500), 510);
    }

    #[test]
    fn views_that_come_in_bursts_count_with_their_mean_and_idle_ones_not_at_all() {
        let mut timing = Timing::default();
        for round in 0..4 {
            timing.entered(View(2 * round), true, TimestampMs(round * 80));
            timing.entered(View(2 * round + 1), true, TimestampMs(round * 80));
        }
        for view in 8..20 {
            timing.entered(View(view), false, TimestampMs(view * 1_000));
        }
        assert!((20..=40).contains(&timing.views.mean()), "{}", timing.views.mean());
    }

    #[test]
    fn a_header_waits_for_a_whole_dispersal_where_much_waits_but_not_for_ever() {
        assert_eq!(timing(40, 30, 20).hold_ms(400), 40);
        assert_eq!(timing(40, 30, 500).hold_ms(400), 400);
        assert_eq!(Timing::default().hold_ms(400), 10, "nothing is known yet");
    }

    #[test]
    fn nothing_measured_is_no_reason_to_wait() {
        let mut timing = Timing::default();
        assert_eq!(timing.duty(TimestampMs(5), AHEAD_MAX), View(0));
        timing.entered(View(7), true, TimestampMs(5));
        assert_eq!(timing.duty(TimestampMs(5), AHEAD_MAX), View(7));
        assert_eq!(timing.begin_at(View(7), TimestampMs(5)), TimestampMs(5));
        timing.dispersed(TimestampMs(0), TimestampMs(100));
        assert_eq!(timing.duty(TimestampMs(5), AHEAD_MAX), View(8));
        timing.entered(View(1), true, TimestampMs(9));
        assert_eq!(timing.views.mean(), 0, "views that begin anew in an epoch are no duration");
    }
}
