//! What is going to happen, in virtual time.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Virtual time: microseconds since the start of the run.
pub type Micros = u64;

/// Events by time; those of the same time in the order they were scheduled, so that a run is determined by its seed.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Scheduled<T>>>,
    sequence: u64,
    now: Micros,
}

#[derive(Debug)]
struct Scheduled<T> {
    at: Micros,
    sequence: u64,
    event: T,
}

impl<T> PartialEq for Scheduled<T> {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl<T> Eq for Scheduled<T> {}

impl<T> PartialOrd for Scheduled<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Scheduled<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl<T> Queue<T> {
    /// Nothing scheduled, time zero.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, now: 0 }
    }

    /// The time of the event taken last.
    #[must_use]
    pub const fn now(&self) -> Micros {
        self.now
    }

    /// Schedules an event; one in the past happens now.
    pub fn at(&mut self, at: Micros, event: T) {
        self.sequence += 1;
        self.heap.push(Reverse(Scheduled { at: at.max(self.now), sequence: self.sequence, event }));
    }

    /// Takes the next event and moves time to it.
    pub fn take(&mut self) -> Option<T> {
        let Reverse(next) = self.heap.pop()?;
        self.now = next.at;
        Some(next.event)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}
