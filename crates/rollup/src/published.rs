//! What has been executed, as all servers of the domain's rollups show it.
//!
//! A height is published as a whole: who sees a leg of a bundle on one rollup sees the others on theirs.

use crate::{blocks::Blocks, pending::Pending};
use alloy_primitives::{TxHash, keccak256};
use chorale_evm::{DerivedHeight, Domain, Effect};
use chorale_types::{BundleId, DomainId, Height, Lane, RollupId};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use tokio::sync::broadcast;

/// Heights that a subscriber may be behind.
const NEWS_MAX: usize = 1_024;

/// So many bundles are told to who watches.
const RECENT_MAX: usize = 16;

/// A bundle that was executed.
#[derive(Clone, Debug)]
pub(crate) struct BundleRecord {
    pub(crate) height: Height,
    pub(crate) effect: Effect,
    /// Its legs: rollup, and hash of the transaction.
    pub(crate) legs: Vec<(RollupId, TxHash)>,
}

/// What has been executed so far.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) domain: DomainId,
    pub(crate) height: Height,
    pub(crate) rollups: BTreeMap<RollupId, Blocks>,
    pub(crate) pending: BTreeMap<RollupId, Pending>,
    pub(crate) bundles: BTreeMap<BundleId, BundleRecord>,
    /// The last bundles, the newest at the end.
    pub(crate) recent: VecDeque<BundleId>,
}

/// Shared by all servers. The lock is held for looking things up only, never while something is executed.
#[derive(Debug)]
pub(crate) struct Shared {
    published: RwLock<Published>,
    /// Tells of every height that was published, and which rollups have a block of it.
    news: broadcast::Sender<News>,
}

/// New blocks: number by rollup.
pub(crate) type News = std::sync::Arc<BTreeMap<RollupId, u64>>;

impl Shared {
    pub(crate) fn new(domain: &Domain) -> Self {
        let blocks = |(rollup, chain): (&RollupId, _)| (*rollup, Blocks::new(chain));
        let published = Published {
            domain: domain.id(),
            height: domain.height(),
            rollups: domain.chains().iter().map(blocks).collect(),
            pending: domain.chains().keys().map(|rollup| (*rollup, Pending::default())).collect(),
            bundles: BTreeMap::new(),
            recent: VecDeque::new(),
        };
        Self { published: RwLock::new(published), news: broadcast::channel(NEWS_MAX).0 }
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

    /// Shows a height that was executed.
    pub(crate) fn publish(&self, domain: &Domain, derived: DerivedHeight, lanes: &[Lane]) {
        let height = derived.outcome.height;
        let mut legs = legs_by_bundle(lanes);
        let news = {
            let mut published = self.write();
            let mut news = BTreeMap::new();
            for (rollup, derived) in derived.blocks {
                let chain = domain.chain(rollup).expect("it made the block");
                news.insert(rollup, derived.block.header.number);
                let pending = published.pending.get_mut(&rollup).expect("there is one for each rollup");
                pending.settle(height, chain.state(), derived.skipped.iter().map(|skipped| skipped.hash));
                published.rollups.get_mut(&rollup).expect("likewise").push(derived.block, chain);
            }
            for bundle in derived.bundles {
                let legs = legs.remove(&bundle.id).unwrap_or_default();
                published.recent.push_back(bundle.id);
                if published.recent.len() > RECENT_MAX {
                    published.recent.pop_front();
                }
                published.bundles.insert(bundle.id, BundleRecord { height, effect: bundle.effect, legs });
            }
            published.height = height;
            news
        };
        // Nobody has to listen.
        let _ = self.news.send(news.into());
    }
}

fn legs_by_bundle(lanes: &[Lane]) -> BTreeMap<BundleId, Vec<(RollupId, TxHash)>> {
    let mut legs: BTreeMap<BundleId, Vec<(u8, RollupId, TxHash)>> = BTreeMap::new();
    for lane in lanes {
        for item in lane.items() {
            if let Some(leg) = item.place.leg {
                legs.entry(leg.bundle).or_default().push((leg.position, lane.rollup(), keccak256(&item.data[..])));
            }
        }
    }
    let in_order = |mut legs: Vec<(u8, RollupId, TxHash)>| {
        legs.sort_unstable();
        legs.into_iter().map(|(_, rollup, hash)| (rollup, hash)).collect()
    };
    legs.into_iter().map(|(bundle, legs)| (bundle, in_order(legs))).collect()
}
