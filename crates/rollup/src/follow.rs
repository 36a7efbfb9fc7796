//! Following the order: from one height with content to the next, each verified, executed and shown.

use crate::published::Shared;
use chorale_client::{FollowFailed, Followed, Follower};
use chorale_evm::{Content, DerivedHeight, Domain, Effect, OutOfOrder};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info};

/// Heights that wait to be executed: as many are fetched ahead.
const AHEAD_MAX: usize = 4;

/// Why following ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The order cannot be followed any more.
    #[error(transparent)]
    Follow(#[from] FollowFailed),
    /// The follower handed on the wrong height: a broken invariant.
    #[error(transparent)]
    Order(#[from] OutOfOrder),
}

/// Follows until it fails. Execution has a thread of its own: whatever is asked of this node cannot hold it up.
pub(crate) async fn follow(mut follower: Follower, domain: Domain, shared: Arc<Shared>) -> Result<(), FollowError> {
    let (sender, heights) = mpsc::channel(AHEAD_MAX);
    let (ended, mut end) = oneshot::channel();
    let executor = move || ended.send(execute_all(domain, heights, &shared));
    std::thread::Builder::new().name("executor".to_owned()).spawn(executor).expect("a thread can be started");
    loop {
        let followed = tokio::select! {
            followed = follower.next() => followed?,
            outcome = &mut end => return stopped(outcome),
        };
        if sender.send(followed).await.is_err() {
            return stopped(end.await);
        }
    }
}

/// # Panics
///
/// If the executor did: a broken invariant, after which nothing here can be believed.
fn stopped(outcome: Result<Result<(), OutOfOrder>, oneshot::error::RecvError>) -> Result<(), FollowError> {
    Ok(outcome.expect("the executor panicked")?)
}

fn execute_all(mut domain: Domain, mut heights: mpsc::Receiver<Followed>, shared: &Shared) -> Result<(), OutOfOrder> {
    while let Some(Followed { attested, lanes, bundles }) = heights.blocking_recv() {
        let derived = domain.derive(&Content { outcome: attested.outcome(), lanes: &lanes, bundles: &bundles })?;
        report(&derived);
        shared.publish(&domain, derived, &lanes);
    }
    Ok(())
}

/// One line for a height: what anyone can order must not fill logs.
fn report(derived: &DerivedHeight) {
    let height = derived.outcome.height;
    for (rollup, made) in &derived.blocks {
        let (number, hash) = (made.block.header.number, made.block.header.hash());
        let (transactions, skipped) = (made.block.transactions.len(), made.skipped.len());
        debug!(%height, %rollup, number, %hash, transactions, skipped, "a block");
        for skipped in &made.skipped {
            debug!(%height, %rollup, hash = %skipped.hash, reason = %skipped.reason, "no effect");
        }
    }
    if !derived.bundles.is_empty() {
        let committed = derived.bundles.iter().filter(|bundle| bundle.effect == Effect::Committed).count();
        info!(%height, committed, without_effect = derived.bundles.len() - committed, "bundles");
    }
}
