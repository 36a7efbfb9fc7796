//! What has been executed, as all servers of the domain's rollups show it.
//!
//! A height is published as a whole: who sees a leg of a bundle on one rollup sees the others on theirs.

use crate::{
    blocks::Blocks,
    pending::Pending,
    record::{BundleRecord, Executed},
    store::Restored,
};
use chorale_types::{BundleId, DomainId, ExecutedHeight, Height, RollupId};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};
use tokio::sync::{broadcast, watch};

/// Heights that a subscriber may be behind.
const NEWS_MAX: usize = 1_024;

/// So many of the last bundles are in memory; older ones are in the store.
pub(crate) const BUNDLES_MAX: usize = 1_024;

/// What has been executed so far.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) domain: DomainId,
    pub(crate) height: Height,
    /// The last height of which it is attested what it became.
    pub(crate) attested: Height,
    pub(crate) rollups: BTreeMap<RollupId, Blocks>,
    pub(crate) pending: BTreeMap<RollupId, Pending>,
    /// The last bundles.
    pub(crate) bundles: BTreeMap<BundleId, BundleRecord>,
    /// Their order, the newest at the end.
    pub(crate) recent: VecDeque<BundleId>,
    pub(crate) totals: Totals,
}

/// What was made since the node was started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) rollups: BTreeMap<RollupId, Made>,
    /// Bundles, by what became of them.
    pub(crate) bundles: BTreeMap<&'static str, u64>,
}

/// What was made of one rollup.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) transactions: u64,
    pub(crate) skipped: u64,
    pub(crate) gas: u64,
}

impl Totals {
    fn add(&mut self, executed: &Executed) {
        for (rollup, derived) in &executed.derived.blocks {
            let made = self.rollups.entry(*rollup).or_default();
            made.transactions += derived.block.transactions.len() as u64;
            made.skipped += derived.skipped.len() as u64;
            made.gas += derived.block.header.gas_used;
        }
        for (_, record) in &executed.bundles {
            *self.bundles.entry(record.fate.name()).or_default() += 1;
        }
    }
}

impl Published {
    fn finalize(&mut self, executed: &ExecutedHeight) {
        self.attested = executed.outcome.height;
        for head in executed.heads.iter() {
            if let Some(blocks) = self.rollups.get_mut(&head.rollup) {
                blocks.finalize(head.number);
            }
        }
    }
}

/// Shared by all servers. The lock is held for looking things up only, never while something is executed.
#[derive(Debug)]
pub(crate) struct Shared {
    published: RwLock<Published>,
    height: watch::Sender<Height>,
    /// Tells of every height that was published, and which rollups have a block of it.
    news: broadcast::Sender<News>,
}

/// New blocks: number by rollup.
pub(crate) type News = std::sync::Arc<BTreeMap<RollupId, u64>>;

impl Shared {
    /// Shows what was written, and gives the domain to go on with.
    pub(crate) fn new(restored: Restored) -> (Self, chorale_evm::Domain) {
        let Restored { domain, rollups, bundles, attested } = restored;
        let mut published = Published {
            attested: Height(0),
            domain: domain.id(),
            height: domain.height(),
            pending: rollups.keys().map(|rollup| (*rollup, Pending::default())).collect(),
            rollups: rollups.into_iter().map(|(rollup, it)| (rollup, Blocks::new(it.blocks, it.views))).collect(),
            recent: bundles.iter().map(|(id, _)| *id).collect(),
            bundles: bundles.into_iter().collect(),
            totals: Totals::default(),
        };
        if let Some(attested) = attested {
            published.finalize(&attested);
        }
        let height = watch::Sender::new(published.height);
        (Self { published: RwLock::new(published), height, news: broadcast::channel(NEWS_MAX).0 }, domain)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.published.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Published> {
        self.published.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// The last height that is shown.
    pub(crate) fn height(&self) -> watch::Receiver<Height> {
        self.height.subscribe()
    }

    /// Shows that it is attested what a height became: that is on the disk.
    pub(crate) fn finalize(&self, executed: &ExecutedHeight) {
        self.write().finalize(executed);
    }

    /// Shows a height that was executed, and written.
    pub(crate) fn publish(&self, executed: Executed) {
        let (height, now) = (executed.height(), Instant::now());
        let news = {
            let mut published = self.write();
            published.totals.add(&executed);
            let Executed { derived, mut chains, bundles, .. } = executed;
            let mut news = BTreeMap::new();
            for (rollup, derived) in derived.blocks {
                let chain = chains.remove(&rollup).expect("it made the block");
                news.insert(rollup, derived.block.header.number);
                let pending = published.pending.get_mut(&rollup).expect("there is one for each rollup");
                let skipped = derived.skipped.iter().map(|skipped| (skipped.hash, skipped.reason.is_passing()));
                pending.settle((height, now), chain.state(), skipped);
                published.rollups.get_mut(&rollup).expect("likewise").push(derived.block, chain);
            }
            for (id, record) in bundles {
                published.recent.push_back(id);
                published.bundles.insert(id, record);
                if published.recent.len() > BUNDLES_MAX
                    && let Some(oldest) = published.recent.pop_front()
                {
                    published.bundles.remove(&oldest);
                }
            }
            published.height = height;
            news
        };
        self.height.send_replace(height);
        // Nobody has to listen.
        let _ = self.news.send(news.into());
    }
}
