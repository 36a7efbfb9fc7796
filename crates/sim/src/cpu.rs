//! Processor time of this thread.

use std::time::{Duration, Instant};

/// A moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    cpu: Option<Duration>,
    wall: Instant,
}

impl CpuTime {
    pub(crate) fn now() -> Self {
        Self { cpu: thread_time(), wall: Instant::now() }
    }

    /// Processor time since then, in milliseconds; where the system does not tell, time on the wall.
    pub(crate) fn elapsed_ms(&self) -> f64 {
        let cpu = thread_time().zip(self.cpu).map(|(now, then)| now.saturating_sub(then));
        cpu.unwrap_or_else(|| self.wall.elapsed()).as_secs_f64() * 1000.0
    }
}

/// Linux counts it in nanoseconds, first in this file.
fn thread_time() -> Option<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
