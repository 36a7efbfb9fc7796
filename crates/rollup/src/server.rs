//! What all methods of one rollup's interface share.

use crate::{
    blocks::{Blocks, NoState},
    errors::{LIMIT_EXCEEDED, SERVER_ERROR, refused},
    filters::{Filters, Taken},
    published::{Published, Shared},
    questions::Questions,
    store::Store,
    trust::Trust,
};
use alloy_eips::BlockId;
use chorale_client::Nodes;
use chorale_evm::Chain;
use chorale_types::{ChainId, RollupId};
use jsonrpsee::core::RpcResult;
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLockReadGuard},
};
use tokio::sync::{Semaphore, watch};

/// Answers that are being computed at once, or wait for it.
const HEAVY_MAX: usize = 256;
/// Answers that are being read from the disk at once, or wait for it.
const READS_MAX: usize = 4_096;
/// Threads that read from the disk.
const READERS: usize = 4;

/// The interface of one rollup. Clones share everything.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) chain: ChainId,
    /// Where all proofs begin.
    pub(crate) trust: Trust,
    pub(crate) rollup: RollupId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) nodes: Nodes,
    /// What is asked of these nodes for users, beside what they are handed.
    pub(crate) questions: Questions,
    /// The same about bundles that are not executed: anybody can ask for any id.
    pub(crate) questions_of_bundles: Questions,
    /// Whether what is executed is level with the chain.
    pub(crate) level: watch::Receiver<bool>,
    pub(crate) heavy: Heavy,
    /// For what is read from the disk: it has places of its own, as most of it takes microseconds.
    pub(crate) reads: Heavy,
    pub(crate) store: Arc<Store>,
    /// Where the rollups of the domain are served.
    pub(crate) urls: Arc<BTreeMap<RollupId, String>>,
    /// What this node takes from users.
    pub(crate) taken: Taken,
    pub(crate) filters: Filters,
}

/// Bounds what is computed for those who ask, so that it cannot take all processors, nor memory for what waits.
#[derive(Clone, Debug)]
pub(crate) struct Heavy {
    places: Arc<Semaphore>,
    processors: Arc<Semaphore>,
}

impl Heavy {
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        // One is left to execution.
        Self::with(HEAVY_MAX, processors.saturating_sub(1).max(1))
    }

    /// For reading from the disk.
    pub(crate) fn reads() -> Self {
        Self::with(READS_MAX, READERS)
    }

    fn with(places: usize, at_once: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), processors: Arc::new(Semaphore::new(at_once)) }
    }

    /// Computes something on another thread, when its turn comes.
    ///
    /// # Errors
    ///
    /// Too much waits already.
    pub(crate) async fn run<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> RpcResult<T> {
        let busy = || refused(LIMIT_EXCEEDED, "too many requests are being computed on this node: ask again later");
        let stopping = || refused(SERVER_ERROR, "the node is stopping");
        let _place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.processors).acquire_owned().await.map_err(|_| stopping())?;
        let computed = tokio::task::spawn_blocking(move || {
            // Until it is done, even if nobody waits for it any more.
            let _turn = turn;
            compute()
        });
        computed.await.map_err(|_| stopping())
    }
}

impl Server {
    /// Everything that is shown, for as long as the guard is held: only for looking up.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Published> {
        self.shared.read()
    }

    /// This rollup's blocks.
    pub(crate) fn blocks_in<'a>(&self, published: &'a Published) -> &'a Blocks {
        &published.rollups[&self.rollup]
    }

    /// The chain after the last block.
    pub(crate) fn latest(&self) -> Arc<Chain> {
        Arc::clone(self.blocks_in(&self.read()).latest())
    }

    /// The chain as it was after a block; after the last one if none is named.
    pub(crate) fn view(&self, block: Option<BlockId>) -> RpcResult<Arc<Chain>> {
        let view = self.blocks_in(&self.read()).view(block.unwrap_or_default());
        view.map_err(|error: NoState| refused(SERVER_ERROR, error.to_string()))
    }
}
