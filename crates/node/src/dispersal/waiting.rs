//! How much of one peer may wait for the actors.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Messages of one peer that wait at most. An honest one has a few payloads in the air at a time; one that is behind asks for
/// several parts of each of those of 16 heights.
const MESSAGES_MAX: usize = 256;

/// Counts what of one peer waits. Nobody waits longer because another peer sends too much.
#[derive(Debug)]
pub(super) struct Waiting {
    bytes_max: usize,
    held: Arc<Held>,
}

#[derive(Debug, Default)]
struct Held {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// The place of a message that waits. Dropping it makes room for another one.
#[derive(Debug)]
pub struct Place {
    held: Arc<Held>,
    bytes: usize,
}

impl Waiting {
    /// Room for messages of so many bytes together, or for one.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Arc::default() }
    }

    /// A place for a message; none if there is no room.
    pub(super) fn place(&self, bytes: usize) -> Option<Place> {
        // There is one inbox, so nobody else adds in between.
        let messages = self.held.messages.load(Ordering::Acquire);
        let waiting = self.held.bytes.load(Ordering::Acquire);
        if messages >= MESSAGES_MAX || messages > 0 && waiting + bytes > self.bytes_max {
            return None;
        }
        self.held.messages.fetch_add(1, Ordering::AcqRel);
        self.held.bytes.fetch_add(bytes, Ordering::AcqRel);
        Some(Place { held: self.held.clone(), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held.messages.fetch_sub(1, Ordering::AcqRel);
        self.held.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::{MESSAGES_MAX, Waiting};

    #[test]
    fn a_peer_waits_within_its_messages_and_bytes() {
        let waiting = Waiting::new(1_000);
        let places: Vec<_> = (0..MESSAGES_MAX).map(|_| waiting.place(1).unwrap()).collect();
        assert!(waiting.place(1).is_none(), "too many messages");
        drop(places);
        let half = waiting.place(600).unwrap();
        assert!(waiting.place(600).is_none(), "too many bytes");
        assert!(waiting.place(400).is_some());
        drop(half);
        assert!(waiting.place(10_000).is_some(), "one fits always");
    }
}
