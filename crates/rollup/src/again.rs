//! Ordering again what came too early, or found no room.
//!
//! The order of two transactions of one sender is that of the payloads that carry them, and leaders make those beside each
//! other: the later one may come first, has no effect, and nobody holds it back in the order. What users sent through this
//! node it remembers, so it hands such a transaction to the pool once more when what comes before it is there.

use crate::{
    admission::submit,
    pending::Pending,
    published::{Published, Shared},
};
use alloy_eips::eip2718::Encodable2718 as _;
use chorale_client::Nodes;
use chorale_evm::SignedTransaction;
use chorale_types::RollupId;
use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::debug;

/// The pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Never ends.
pub(crate) async fn order_again(shared: Arc<Shared>, nodes: Nodes) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        for (rollup, transaction) in due(&shared, Instant::now()) {
            let hash = *transaction.inner().tx_hash();
            // If not now, it is tried once more.
            let taken = submit(&nodes, rollup, &transaction.inner().encoded_2718()).await.is_ok();
            debug!(%rollup, %hash, taken, "ordered in vain, and submitted again");
        }
    }
}

/// What is to be submitted again now.
pub(crate) fn due(shared: &Shared, now: Instant) -> Vec<(RollupId, SignedTransaction)> {
    let mut published = shared.write();
    let Published { pending, rollups, .. } = &mut *published;
    let of = |(rollup, pending): (&RollupId, &mut Pending)| {
        let chain = rollups[rollup].latest();
        let again = pending.again(chain.state(), chain.next_base_fee(), now);
        again.into_iter().map(|transaction| (*rollup, transaction)).collect::<Vec<_>>()
    };
    pending.iter_mut().flat_map(of).collect()
}
