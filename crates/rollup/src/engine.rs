//! Execution clients that follow the rollups: what they are handed is what is shown here.

use crate::{
    config::{EngineConfig, EngineKind},
    figures::EngineStates,
    published::Shared,
    run::Config,
    store::Store,
};
use alloy_eips::BlockNumberOrTag;
use chorale_engine::{Blocks, Heads, Kind, Pace, State, drive};
use chorale_evm::Block;
use chorale_types::RollupId;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinSet,
};

/// Heads may move without a new block.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The clients that are driven, until this is dropped.
#[derive(Debug)]
pub(crate) struct Engines {
    /// How they are.
    pub(crate) states: EngineStates,
    #[expect(dead_code, reason = "what it holds ends with it")]
    tasks: JoinSet<()>,
}

/// The blocks of a rollup on the disk.
struct Stored {
    store: Arc<Store>,
    rollup: RollupId,
}

impl Blocks for Stored {
    fn block(&self, number: u64) -> Result<Option<Block>, String> {
        self.store.block(self.rollup, number).map_err(|error| error.to_string())
    }
}

impl Engines {
    pub(crate) fn start(config: &Config, store: &Arc<Store>, shared: &Arc<Shared>) -> Self {
        let (mut tasks, mut states) = (JoinSet::new(), EngineStates::new());
        for (rollup, EngineConfig { url, jwt, kind }) in &config.engines {
            let driven = chorale_engine::Config {
                rollup: *rollup,
                url: url.clone(),
                secret: jwt.clone(),
                kind: match kind {
                    EngineKind::Ethereum => Kind::Ethereum,
                    EngineKind::OpStack => Kind::OpStack,
                },
                alarms: config.data.clone(),
                pace: Pace::default(),
            };
            let rollup = RollupId(*rollup);
            let (sender, heads) = watch::channel(heads_of(shared, rollup));
            tasks.spawn(watch_heads(Arc::clone(shared), rollup, sender));
            let blocks = Arc::new(Stored { store: Arc::clone(store), rollup });
            let (state, watched) = watch::channel(State::default());
            states.insert(rollup, watched);
            tasks.spawn(drive(driven, blocks, heads, state));
        }
        Self { states, tasks }
    }
}

/// Tells of every change of a rollup's heads: of what is shown, which is on the disk.
async fn watch_heads(shared: Arc<Shared>, rollup: RollupId, heads: watch::Sender<Heads>) {
    let mut news = shared.news();
    loop {
        let now = heads_of(&shared, rollup);
        heads.send_if_modified(|heads| std::mem::replace(heads, now) != now);
        let heard = tokio::time::timeout(LOOK_INTERVAL, news.recv()).await;
        if matches!(heard, Ok(Err(RecvError::Closed))) {
            return;
        }
    }
}

fn heads_of(shared: &Shared, rollup: RollupId) -> Heads {
    let published = shared.read();
    let number = |tag| published.rollups.get(&rollup).map_or(0, |blocks| blocks.number(tag));
    Heads {
        latest: number(BlockNumberOrTag::Latest),
        safe: number(BlockNumberOrTag::Safe),
        finalized: number(BlockNumberOrTag::Finalized),
    }
}
