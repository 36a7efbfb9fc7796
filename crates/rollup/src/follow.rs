//! Following the order: from one height with content to the next, each verified, executed, written and shown.
//!
//! Three tasks, so that none waits for another: one fetches, one executes, one writes. What is shown is on the disk: after
//! a crash nothing is gone that anybody saw. Of small blocks most of a write is waiting for the disk, so the writer takes
//! all that were executed while it wrote the last ones.
//!
//! Where blocks are by the second, the heights of a second are executed when it is closed. Until then they are nowhere: a
//! node that starts again fetches the open second anew.

use crate::{
    published::Shared,
    record::Executed,
    senders::known,
    store::{Store, StoreError},
    threads::executor,
};
use chorale_client::{FollowFailed, Followed, FollowedSecond, Follower};
use chorale_evm::{BlockTimes, Content, DerivedHeight, Domain, Effect, OutOfOrder};
use chorale_light::Attested;
use chorale_types::{Lane, OrderedBundle};
use std::{sync::Arc, thread};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

/// Heights, or seconds, that wait to be executed: as many are fetched ahead.
const AHEAD_MAX: usize = 4;
/// Heights, or seconds, that wait to be written: as many are executed ahead.
const WRITTEN_AT_ONCE_MAX: usize = 64;

/// Why following ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The order cannot be followed any more.
    #[error(transparent)]
    Follow(#[from] FollowFailed),
    /// The follower handed on the wrong height: a broken invariant.
    #[error(transparent)]
    Order(#[from] OutOfOrder),
    /// What was executed cannot be written, so it is not shown either.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Ended = Result<(), FollowError>;

/// What makes one block of every rollup that has content in it.
pub(crate) struct Span {
    /// The heights with content, in order: one, or those of a second.
    pub(crate) heights: Vec<Followed>,
    /// Where the blocks are attested: that height, or the first one of a later second.
    pub(crate) closing: Attested,
}

impl Span {
    async fn next(follower: &mut Follower, blocks: BlockTimes) -> Result<Self, FollowFailed> {
        match blocks {
            BlockTimes::Height => {
                let followed = follower.next().await?;
                Ok(Self { closing: followed.attested.clone(), heights: vec![followed] })
            }
            BlockTimes::Second => {
                let FollowedSecond { heights, closing } = follower.next_second().await?;
                Ok(Self { heights, closing })
            }
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.heights.iter().flat_map(|followed| &followed.lanes)
    }

    fn bundles(&self) -> impl Iterator<Item = &OrderedBundle> {
        self.heights.iter().flat_map(|followed| &followed.bundles)
    }

    fn derive(&self, domain: &mut Domain) -> Result<DerivedHeight, OutOfOrder> {
        let contents: Vec<Content<'_>> = self
            .heights
            .iter()
            .map(|Followed { attested, lanes, bundles }| Content { outcome: attested.outcome(), lanes, bundles })
            .collect();
        let (known, executor) = (known(self.lanes()), executor(self.lanes()));
        match domain.blocks() {
            BlockTimes::Height => domain.derive_with(&contents[0], &known, executor),
            BlockTimes::Second => domain.derive_second(&contents, self.closing.outcome(), &known, executor),
        }
    }
}

/// Follows until it fails. Execution has a thread of its own: whatever is asked of this node cannot hold it up.
pub(crate) async fn follow(mut follower: Follower, domain: Domain, store: Arc<Store>, shared: Arc<Shared>) -> Ended {
    let (sender, spans) = mpsc::channel(AHEAD_MAX);
    let blocks = domain.blocks();
    let mut end = start(domain, spans, store, shared);
    loop {
        let span = tokio::select! {
            span = Span::next(&mut follower, blocks) => span?,
            outcome = &mut end => return stopped(outcome),
        };
        if sender.send(span).await.is_err() {
            return stopped(end.await);
        }
    }
}

/// Starts executing and writing. It ends, when all is written, after the last sender of spans is gone.
pub(crate) fn start(
    domain: Domain,
    spans: mpsc::Receiver<Span>,
    store: Arc<Store>,
    shared: Arc<Shared>,
) -> oneshot::Receiver<Ended> {
    let (ended, end) = oneshot::channel();
    let (sender, executed) = mpsc::channel(WRITTEN_AT_ONCE_MAX);
    let executor = spawn("executor", move || execute_all(domain, spans, &sender));
    spawn("writer", move || {
        let written = write_all(executed, &store, &shared);
        // Whoever follows may open it again.
        drop(store);
        let _ = match written {
            // The executor may wait for a height that never comes.
            Err(error) => ended.send(Err(error.into())),
            Ok(()) => match executor.join() {
                Ok(outcome) => ended.send(outcome.map_err(Into::into)),
                // Nothing is sent: that tells.
                Err(_) => return,
            },
        };
    });
    end
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread can be started")
}

/// # Panics
///
/// If the executor or the writer did: a broken invariant, after which nothing here can be believed.
fn stopped(outcome: Result<Ended, oneshot::error::RecvError>) -> Ended {
    outcome.expect("the executor or the writer panicked")
}

fn execute_all(
    mut domain: Domain,
    mut spans: mpsc::Receiver<Span>,
    executed: &mpsc::Sender<Executed>,
) -> Result<(), OutOfOrder> {
    while let Some(span) = spans.blocking_recv() {
        let derived = span.derive(&mut domain)?;
        report(&derived);
        if executed.blocking_send(Executed::new(&domain, derived, span.lanes(), span.bundles())).is_err() {
            // The writer says why.
            return Ok(());
        }
    }
    Ok(())
}

/// Writes, and only then shows.
fn write_all(mut executed: mpsc::Receiver<Executed>, store: &Store, shared: &Shared) -> Result<(), StoreError> {
    let mut batch = Vec::new();
    while executed.blocking_recv_many(&mut batch, WRITTEN_AT_ONCE_MAX) > 0 {
        store.write(&batch)?;
        if batch.len() > 1 {
            debug!(heights = batch.len(), "written at once");
        }
        batch.drain(..).for_each(|executed| shared.publish(executed));
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
        debug!(%height, committed, without_effect = derived.bundles.len() - committed, "bundles");
    }
}
