//! What is remembered of what left.

use super::{at, entry};
use crate::{
    Outcome, SkipReason, Skipped,
    history::{History, Ordered},
};
use chorale_types::Height;

#[test]
fn a_history_forgets_the_oldest_writes_first() {
    let mut history = History::new(3);
    let id = |number| entry(1, number, 100).id();
    for number in 0..5 {
        history.insert(id(number), number);
    }
    assert_eq!((history.get(&id(1)), history.get(&id(2)), history.len()), (None, Some(&2), 3));
    // Written again, it is among the newest.
    history.insert(id(2), 22);
    history.insert(id(5), 5);
    assert_eq!((history.get(&id(3)), history.get(&id(2))), (None, Some(&22)));
    let order: Vec<u64> = history.iter().map(|(_, value)| *value).collect();
    assert_eq!(order, [4, 22, 5]);
}

#[test]
fn removals_and_overwrites_do_not_grow_a_history() {
    let mut history = History::new(4);
    let id = |number| entry(1, number, 100).id();
    for round in 0..1_000 {
        history.insert(id(round % 3), round);
        if round % 2 == 0 {
            history.remove(&id(round % 3));
        }
        assert!(history.len() <= 4);
    }
    assert!(history.iter().count() <= 4);
}

#[test]
fn ordered_entries_are_remembered_with_height_time_and_fate() {
    let mut ordered = Ordered::new(100, [1; 16]);
    let fates = [None, Some(SkipReason::Duplicate), Some(SkipReason::Void), Some(SkipReason::Invalid)];
    for (number, fate) in (0..).zip(fates) {
        ordered.insert(&entry(1, number, 100).id(), Height(number + 10), fate, at(number));
    }
    for (number, fate) in (0..).zip(fates) {
        let ended = ordered.get(&entry(1, number, 100).id()).unwrap();
        let height = Height(number + 10);
        let outcome = fate.map_or(Outcome::Revealed(height), |reason| Outcome::Skipped(Skipped { height, reason }));
        assert_eq!((ended.outcome, ended.at), (outcome, at(number)));
    }
    assert!(ordered.get(&entry(1, 9, 100).id()).is_none());
}

#[test]
fn at_least_the_last_half_of_the_ordered_entries_is_remembered_and_never_more_than_all() {
    let mut ordered = Ordered::new(100, [1; 16]);
    for number in 0..1_000 {
        ordered.insert(&entry(1, number, 100).id(), Height(number), None, at(0));
        assert!(ordered.len() <= 100);
        for recent in number.saturating_sub(49)..=number {
            assert!(ordered.get(&entry(1, recent, 100).id()).is_some(), "{recent} of {number}");
        }
    }
}
