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
pub(crate) fn executor(lanes: &[Lane]) -> &'static dyn Executor {
    let items: usize = lanes.iter().map(|lane| lane.items().len()).sum();
    if items < ITEMS_MIN { &InTurn } else { &Threads }
}

#[cfg(test)]
mod tests {
    use super::Threads;
    use chorale_evm::{Executor, Part};
    use std::sync::Barrier;

    #[test]
    fn all_parts_run_at_the_same_time() {
        let (barrier, mut done) = (Barrier::new(3), [0u8; 3]);
        let wait = |done: &'_ mut u8| {
            // Nobody comes through who is alone.
            barrier.wait();
            *done += 1;
        };
        Threads.run(done.iter_mut().map(|done| Box::new(|| wait(done)) as Part<'_>).collect());
        assert_eq!(done, [1; 3]);
        Threads.run(Vec::new());
    }
}
