//! The runtime that actors run on: tokio in production, a deterministic scheduler with simulated disk in tests.

use chorale_foundation::runtime::{Clock, Metrics, Spawner, Storage};
use chorale_types::TimestampMs;
use rand_core::CryptoRng;
use std::time::UNIX_EPOCH;

/// All that an actor may use of the world. Network channels are handed to it apart.
pub trait Context: Spawner + Clock + Metrics + Storage + CryptoRng {
    /// The node's clock.
    fn now_ms(&self) -> TimestampMs {
        now_ms(self)
    }
}

/// The time of a clock.
pub(crate) fn now_ms(clock: &(impl Clock + ?Sized)) -> TimestampMs {
    let since = clock.current().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl<T: Spawner + Clock + Metrics + Storage + CryptoRng> Context for T {}
