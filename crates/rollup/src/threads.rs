//! Rollups of a height beside each other, each on a thread.

use chorale_evm::{Executor, InTurn, Part};
use chorale_types::Lane;
use std::thread;

/// With less to do, starting a thread would take as long.
const ITEMS_MIN: usize = 32;

/// Runs every part on a thread of its own, the last one where it is called. There are at most as many as a domain has
/// rollups.
#[derive(Clone, Copy, Debug)]
struct Threads;

impl Executor for Threads {
    fn run(&self, mut parts: Vec<Part<'_>>) {
        let last = parts.pop();
        thread::scope(|scope| {
            for part in parts {
                scope.spawn(part);
            }
            if let Some(part) = last {
                part();
            }
        });
    }
}

/// Who should run the parts of a height with these lanes. What is made of it is the same.
pub(crate) fn executor<'a>(lanes: impl IntoIterator<Item = &'a Lane>) -> &'static dyn Executor {
    let items: usize = lanes.into_iter().map(|lane| lane.items().len()).sum();
    if items < ITEMS_MIN { &InTurn } else { &Threads }
}
