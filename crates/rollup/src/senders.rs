//! Finding the senders of a height, or a second, on all processors: it takes longer than to execute a payment.

use chorale_evm::{Known, SignedTransaction, recover};
use chorale_types::{Lane, LaneItem, RollupId, TxId};
use std::thread;

/// Fewer are found where they are executed: starting threads would take as long.
const ITEMS_MIN: usize = 32;

/// The transactions of a height with their senders. What is none is left out: why, is found again where it is told.
pub(crate) fn known<'a>(lanes: impl IntoIterator<Item = &'a Lane>) -> Known {
    let items: Vec<(RollupId, &LaneItem)> =
        lanes.into_iter().flat_map(|lane| lane.items().iter().map(|item| (lane.rollup(), item))).collect();
    let mut known = Known::default();
    if items.len() < ITEMS_MIN {
        return known;
    }
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<(TxId, SignedTransaction)> = thread::scope(|scope| {
        let parts: Vec<_> =
            items.chunks(items.len().div_ceil(processors)).map(|part| scope.spawn(|| recovered(part))).collect();
        let join = |part: thread::ScopedJoinHandle<'_, _>| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    for (id, transaction) in found {
        known.insert(id, transaction);
    }
    known
}

fn recovered(items: &[(RollupId, &LaneItem)]) -> Vec<(TxId, SignedTransaction)> {
    items.iter().filter_map(|(rollup, item)| Some((item.id, recover(&item.data, rollup.0).ok()?))).collect()
}
