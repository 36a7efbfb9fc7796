//! Ordering again what came too early, or found no room.
//!
//! The order of two transactions of one sender is that of the payloads that carry them, and leaders make those beside each
//! other: the later one may come first, has no effect, and nobody holds it back in the order. What users sent through this
//! node it remembers, so it hands such a transaction to the pool once more as soon as what comes before it is there.

use crate::{
    admission::submit,
    published::{Published, Shared},
};
use alloy_eips::eip2718::Encodable2718 as _;
use chorale_client::Nodes;
use chorale_evm::SignedTransaction;
use chorale_types::RollupId;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tracing::debug;

/// Runs until nothing is published any more.
pub(crate) async fn order_again(shared: Arc<Shared>, nodes: Nodes) {
    let mut news = shared.news();
    while !matches!(news.recv().await, Err(RecvError::Closed)) {
        for (rollup, transaction) in due(&shared) {
            let hash = *transaction.inner().tx_hash();
            let submitted = submit(&nodes, rollup, &transaction.inner().encoded_2718()).await;
            debug!(%rollup, %hash, taken = submitted.is_ok(), "ordered in vain, and submitted again");
            if submitted.is_err()
                && let Some(pending) = shared.write().pending.get_mut(&rollup)
            {
                pending.not_again(hash);
            }
        }
    }
}

fn due(shared: &Shared) -> Vec<(RollupId, SignedTransaction)> {
    let mut published = shared.write();
    let Published { pending, rollups, .. } = &mut *published;
    let of = |(rollup, pending): (&RollupId, &mut crate::pending::Pending)| {
        let chain = rollups[rollup].latest();
        let again = pending.again(chain.state(), chain.next_base_fee());
        again.into_iter().map(|transaction| (*rollup, transaction)).collect::<Vec<_>>()
    };
    pending.iter_mut().flat_map(of).collect()
}
