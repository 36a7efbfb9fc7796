//! How far the node of the rollups is behind the order that the stake has attested.

use super::domain::executed_height;
use crate::rpc::Endpoint;
use chorale_api::ChoraleApiClient as _;
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// Moments that are remembered, the last ones: of an hour.
const MOMENTS_MAX: usize = 36_000;

/// The lag at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Lag {
    /// Heights that are attested, and not executed yet.
    pub(crate) heights: u64,
    /// For how long the first of them has been attested, in milliseconds.
    pub(crate) ms: u64,
}

/// The lags of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct LagHandle(Arc<Mutex<VecDeque<Lag>>>);

impl LagHandle {
    fn push(&self, lag: Lag) {
        let mut lags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lags.push_back(lag);
        if lags.len() > MOMENTS_MAX {
            lags.pop_front();
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Lag> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Forgets those of the warm-up.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// When heights were seen to be attested.
#[derive(Debug, Default)]
struct Seen(VecDeque<(u64, Instant)>);

impl Seen {
    fn lag(&mut self, attested: u64, executed: u64, now: Instant) -> Lag {
        if self.0.back().is_none_or(|(last, _)| attested > *last) {
            self.0.push_back((attested, now));
        }
        while self.0.front().is_some_and(|(height, _)| *height <= executed) {
            self.0.pop_front();
        }
        let waiting = self.0.front().filter(|_| attested > executed);
        let ms = waiting.map_or(0, |(_, since)| u64::try_from((now - *since).as_millis()).unwrap_or(u64::MAX));
        Lag { heights: attested.saturating_sub(executed), ms }
    }
}

/// Watches how far the rollups are behind a node of the sequencer, for ever. Heights without content for them count as well,
/// until the next one that has some.
pub(crate) async fn watch_lag(sequencer: Endpoint, rollup: Endpoint, lags: LagHandle) {
    let mut seen = Seen::default();
    let mut ticks = tokio::time::interval(ASK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // The order first: what is executed meanwhile is not behind.
        let Ok(node) = sequencer.client.node().await else { continue };
        let now = Instant::now();
        if let Ok(executed) = executed_height(&rollup).await {
            lags.push(seen.lag(node.attested, executed, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lag, Seen};
    use std::time::{Duration, Instant};

    #[test]
    fn the_lag_is_the_age_of_the_first_height_that_is_not_executed() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(seen.lag(10, 10, at(0)), Lag { heights: 0, ms: 0 });
        assert_eq!(seen.lag(12, 10, at(100)), Lag { heights: 2, ms: 0 });
        assert_eq!(seen.lag(15, 10, at(200)), Lag { heights: 5, ms: 100 });
        assert_eq!(seen.lag(15, 12, at(300)), Lag { heights: 3, ms: 100 });
        assert_eq!(seen.lag(15, 15, at(400)), Lag { heights: 0, ms: 0 });
    }
}
