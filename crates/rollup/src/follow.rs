//! Following the order: from one height with content to the next, each verified, executed and told.

use crate::{blocks::Blocks, pending::Pending};
use chorale_client::{FollowFailed, Followed, Follower};
use chorale_evm::OutOfOrder;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::broadcast;
use tracing::{debug, info};

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

/// Follows until it fails.
pub(crate) async fn follow(
    mut follower: Follower,
    blocks: Arc<RwLock<Blocks>>,
    pending: Arc<RwLock<Pending>>,
    news: broadcast::Sender<u64>,
) -> Result<(), FollowError> {
    loop {
        let followed = follower.next().await?;
        let (blocks, pending) = (Arc::clone(&blocks), Arc::clone(&pending));
        // Executing takes a processor, and must not hold the runtime up.
        let executed = tokio::task::spawn_blocking(move || execute(&followed, &blocks, &pending)).await;
        // Nobody has to listen.
        let _ = news.send(executed.unwrap_or_else(|failure| std::panic::resume_unwind(failure.into_panic()))?);
    }
}

/// Executes a height. The number of the block that it made.
fn execute(followed: &Followed, blocks: &RwLock<Blocks>, pending: &RwLock<Pending>) -> Result<u64, OutOfOrder> {
    let mut blocks = blocks.write().unwrap_or_else(PoisonError::into_inner);
    let derived = blocks.chain_mut().derive(followed.attested.outcome(), &followed.lane)?;
    let (number, height) = (derived.block.header.number, derived.height);
    for skipped in &derived.skipped {
        info!(%height, id = %skipped.id, reason = %skipped.reason, "a transaction has no effect");
    }
    debug!(%height, number, hash = %derived.block.header.hash(), transactions = derived.block.transactions.len(), "a block");
    blocks.push(derived);
    pending.write().unwrap_or_else(PoisonError::into_inner).prune(blocks.chain().state());
    Ok(number)
}
