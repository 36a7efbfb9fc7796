//! When this node saw what become of each height, for the statuses of what stands in it.

use crate::{
    ports::{ChainEvent, ChainHandle},
    runtime::Context,
    watch,
};
use chorale_api::{Passed, State};
use chorale_types::{Height, TimestampMs, View};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::broadcast;

/// Heights that are remembered, the newest.
const HEIGHTS_MAX: usize = 16 * 1024;

/// The states of a height that are seen, in order.
const STATES: [State; 5] = [State::Proposed, State::Certified, State::Committed, State::Revealed, State::OrderAttested];

/// One height: when each of [`STATES`] was seen first.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Of its header; none if no header of it was seen, as after an absence.
    view: Option<View>,
    at: [Option<TimestampMs>; STATES.len()],
}

/// What was seen since the node was started. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Arc<RwLock<BTreeMap<Height, Seen>>>);

impl Timeline {
    /// The states that a height has passed, in order, as far as this node saw it happen.
    pub(super) fn passed(&self, height: Height) -> Vec<Passed> {
        let heights = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = heights.get(&height) else { return Vec::new() };
        let times = STATES.into_iter().zip(seen.at);
        let passed = |(state, at): (State, Option<TimestampMs>)| {
            Some(Passed { state, height: height.0, view: seen.view.map(|view| view.0), time_ms: at?.0 })
        };
        times.filter_map(passed).collect()
    }

    /// Notes a state of a height; of a header of `view`, if that is known by it.
    fn note(&self, height: Height, view: Option<View>, state: State, now: TimestampMs) {
        let Some(number) = STATES.iter().position(|known| *known == state) else { return };
        let mut heights = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let seen = heights.entry(height).or_default();
        if let Some(view) = view {
            if seen.view.is_some_and(|known| known != view) {
                // Another header of this height: what was seen of the one before has come to nothing.
                *seen = Seen::default();
            }
            seen.view = Some(view);
        }
        seen.at[number].get_or_insert(now);
        if heights.len() > HEIGHTS_MAX {
            heights.pop_first();
        }
    }

    fn observe(&self, event: &ChainEvent, now: TimestampMs) {
        match event {
            ChainEvent::Proposed { tip } => {
                self.note(tip.header.height, Some(tip.header.view), State::Proposed, now);
            }
            ChainEvent::Certified { certificate } => {
                let block = certificate.block;
                self.note(block.height, Some(block.view), State::Certified, now);
            }
            ChainEvent::Committed { height, header } => {
                self.note(*height, Some(header.view), State::Committed, now);
            }
            _ => {}
        }
    }

    /// Watches until the node is shut down.
    pub(crate) async fn record(
        self,
        context: impl Context,
        chain: ChainHandle,
        mut settled: watch::Receiver<Height>,
        mut attested: watch::Receiver<Height>,
    ) {
        let mut events = chain.events.subscribe();
        let (mut last_settled, mut last_attested) = (*settled.borrow_and_update(), *attested.borrow_and_update());
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => self.observe(&event, context.now_ms()),
                    // Its times are missing then.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                changed = settled.changed() => {
                    if changed.is_err() { return; }
                    let until = *settled.borrow_and_update();
                    self.note_all(&mut last_settled, until, State::Revealed, context.now_ms());
                }
                changed = attested.changed() => {
                    if changed.is_err() { return; }
                    let until = *attested.borrow_and_update();
                    self.note_all(&mut last_attested, until, State::OrderAttested, context.now_ms());
                }
            }
        }
    }

    /// Every height after `last`, as far back as heights are remembered.
    fn note_all(&self, last: &mut Height, until: Height, state: State, now: TimestampMs) {
        let from = last.0.max(until.0.saturating_sub(HEIGHTS_MAX as u64));
        (from + 1..=until.0).for_each(|height| self.note(Height(height), None, state, now));
        *last = until.max(*last);
    }
}

#[cfg(test)]
mod tests {
    use super::{HEIGHTS_MAX, Timeline};
    use chorale_api::State;
    use chorale_types::{Height, TimestampMs, View};

    fn note(timeline: &Timeline, height: u64, view: Option<u64>, state: State, now: u64) {
        timeline.note(Height(height), view.map(View), state, TimestampMs(now));
    }

    fn passed(timeline: &Timeline, height: u64) -> Vec<(State, u64, u64)> {
        let view = |it: &chorale_api::Passed| it.view.unwrap_or_default();
        timeline.passed(Height(height)).iter().map(|it| (it.state, view(it), it.time_ms)).collect()
    }

    #[test]
    fn a_height_is_told_with_the_first_time_of_every_state() {
        let timeline = Timeline::default();
        note(&timeline, 7, Some(9), State::Proposed, 100);
        note(&timeline, 7, Some(9), State::Committed, 150);
        note(&timeline, 7, Some(9), State::Committed, 160);
        note(&timeline, 7, None, State::Revealed, 170);
        let expected = [(State::Proposed, 9, 100), (State::Committed, 9, 150), (State::Revealed, 9, 170)];
        assert_eq!(passed(&timeline, 7), expected);
        assert!(passed(&timeline, 8).is_empty());
    }

    #[test]
    fn a_header_that_comes_in_the_place_of_another_has_its_own_times() {
        let timeline = Timeline::default();
        note(&timeline, 7, Some(9), State::Proposed, 100);
        note(&timeline, 7, Some(11), State::Proposed, 300);
        note(&timeline, 7, Some(11), State::Committed, 350);
        assert_eq!(passed(&timeline, 7), [(State::Proposed, 11, 300), (State::Committed, 11, 350)]);
    }

    /// What settlement says of a height may be heard before what consensus says.
    #[test]
    fn the_order_in_which_states_are_heard_takes_none_away() {
        let timeline = Timeline::default();
        note(&timeline, 7, None, State::Revealed, 170);
        assert_eq!(timeline.passed(Height(7))[0].view, None, "no header of it was seen");
        note(&timeline, 7, Some(9), State::Committed, 175);
        assert_eq!(passed(&timeline, 7), [(State::Committed, 9, 175), (State::Revealed, 9, 170)]);
    }

    #[test]
    fn old_heights_are_forgotten() {
        let timeline = Timeline::default();
        let mut last = Height(0);
        timeline.note_all(&mut last, Height(10 * HEIGHTS_MAX as u64), State::Revealed, TimestampMs(1));
        assert_eq!(timeline.0.read().unwrap().len(), HEIGHTS_MAX);
        assert!(passed(&timeline, 1).is_empty());
        assert_eq!(passed(&timeline, 10 * HEIGHTS_MAX as u64).len(), 1);
    }
}
