//! Watches blocks of the rollups: when each transaction that was sent is in a block that is `latest`, and then `safe`.

use super::Rollup;
use crate::load::Latencies;
use alloy_primitives::TxHash;
use anyhow::{Context as _, Result};
use jsonrpsee::{
    core::{client::ClientT as _, params::BatchRequestBuilder},
    rpc_params,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often a rollup is asked for its last blocks: the error of a latency.
const ASK_INTERVAL: Duration = Duration::from_millis(5);
/// Transactions whose blocks are waited for: beyond that their latencies are not measured, so that rollups that do not keep
/// up cost the generator no memory.
const OPEN_MAX: usize = 500_000;

/// What became of what was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Executed {
    /// Transactions of this run that are in blocks.
    pub(crate) transactions: u64,
    /// Other transactions in the same blocks.
    pub(crate) others: u64,
    /// Blocks of all rollups.
    pub(crate) blocks: u64,
    /// From submission until the block is `latest`; every transaction.
    pub(crate) latest: Latencies,
    /// From submission until the block is `safe`.
    pub(crate) safe: Latencies,
    /// Answers that failed, by what was wrong.
    pub(crate) failed: BTreeMap<String, u64>,
}

impl Executed {
    /// Forgets the durations of the warm-up.
    pub(crate) fn forget_latencies(&mut self) {
        (self.latest, self.safe) = (Latencies::default(), Latencies::default());
    }
}

#[derive(Debug, Default)]
struct State {
    /// Sent, and in no block yet: by rollup and hash.
    open: HashMap<(usize, TxHash), Instant>,
    executed: Executed,
}

/// Shared by who sends and who watches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched(Arc<Mutex<State>>);

impl Watched {
    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts, or reads.
    pub(crate) fn executed<T>(&self, action: impl FnOnce(&mut Executed) -> T) -> T {
        self.with(|state| action(&mut state.executed))
    }

    /// Transactions that are in no block yet.
    pub(crate) fn open(&self) -> usize {
        self.with(|state| state.open.len())
    }

    /// These are sent at this moment.
    pub(crate) fn sent(&self, hashes: impl Iterator<Item = (usize, TxHash)>, at: Instant) {
        self.with(|state| {
            let room = OPEN_MAX.saturating_sub(state.open.len());
            state.open.extend(hashes.take(room).map(|hash| (hash, at)));
        });
    }

    /// These were not taken.
    pub(crate) fn refused<'a>(&self, hashes: impl Iterator<Item = &'a (usize, TxHash)>) {
        self.with(|state| {
            hashes.for_each(|hash| {
                state.open.remove(hash);
            })
        });
    }

    /// A block was seen to be `latest`; when those of its transactions were sent that are of this run.
    fn latest(&self, rollup: usize, hashes: &[TxHash], seen: Instant) -> Vec<Instant> {
        self.with(|State { open, executed }| {
            let sent: Vec<Instant> = hashes.iter().filter_map(|hash| open.remove(&(rollup, *hash))).collect();
            executed.blocks += 1;
            executed.transactions += sent.len() as u64;
            executed.others += (hashes.len() - sent.len()) as u64;
            sent.iter().for_each(|sent| executed.latest.add(seen - *sent));
            sent
        })
    }
}

/// The block of which only this is looked at.
#[derive(Debug, Deserialize)]
struct BlockAnswer {
    transactions: Vec<TxHash>,
}

/// Watches a rollup, which is the domain's one with this index, for ever.
pub(crate) async fn watch(index: usize, rollup: Rollup, watched: Watched) {
    let mut watcher = Watcher { index, rollup, watched, last: None, unsafe_yet: BTreeMap::new() };
    let mut ticks = tokio::time::interval(ASK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = watcher.look().await {
            let words = format!("{}: {error:#}", watcher.rollup.endpoint.name);
            watcher.watched.executed(|executed| *executed.failed.entry(words).or_insert(0) += 1);
        }
    }
}

struct Watcher {
    index: usize,
    rollup: Rollup,
    watched: Watched,
    /// The last block seen.
    last: Option<u64>,
    /// When the transactions of blocks were sent that are not safe yet, by number.
    unsafe_yet: BTreeMap<u64, Vec<Instant>>,
}

impl Watcher {
    async fn look(&mut self) -> Result<()> {
        let (latest, safe) = self.heads().await?;
        let seen = Instant::now();
        // What was there before the run is none of it.
        for number in self.last.unwrap_or(latest) + 1..=latest {
            let sent = self.block(number).await?;
            self.unsafe_yet.insert(number, self.watched.latest(self.index, &sent, seen));
            self.last = Some(number);
        }
        self.last.get_or_insert(latest);
        let later = self.unsafe_yet.split_off(&(safe + 1));
        let safe = std::mem::replace(&mut self.unsafe_yet, later);
        self.watched.executed(|executed| {
            safe.into_values().flatten().for_each(|sent| executed.safe.add(seen - sent));
        });
        Ok(())
    }

    /// The numbers of the blocks that are `latest` and `safe`. Fees of one block: the shortest answer that names it.
    async fn heads(&self) -> Result<(u64, u64)> {
        let mut batch = BatchRequestBuilder::new();
        batch.insert("eth_blockNumber", rpc_params![])?;
        batch.insert("eth_feeHistory", rpc_params!["0x1", "safe", Vec::<f64>::new()])?;
        let answers = self.rollup.endpoint.client.batch_request::<Value>(batch).await?;
        let answers: Vec<Value> = answers.into_iter().filter_map(Result::ok).collect();
        let [latest, safe] = &answers[..] else { anyhow::bail!("it does not say what its last blocks are") };
        let number = |value: &Value| {
            let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).context("a block without number")?;
            u64::from_str_radix(digits, 16).with_context(|| format!("a block with the number {digits}"))
        };
        Ok((number(latest)?, number(&safe["oldestBlock"])?))
    }

    async fn block(&self, number: u64) -> Result<Vec<TxHash>> {
        let parameters = rpc_params![format!("{number:#x}"), false];
        let block = self.rollup.endpoint.client.request("eth_getBlockByNumber", parameters).await?;
        let block: Option<BlockAnswer> = block;
        Ok(block.with_context(|| format!("block {number} is not there"))?.transactions)
    }
}

#[cfg(test)]
mod tests {
    use super::Watched;
    use alloy_primitives::TxHash;
    use std::time::Instant;

    #[test]
    fn what_is_sent_is_open_until_it_is_in_a_block_or_refused() {
        let (watched, now) = (Watched::default(), Instant::now());
        let hash = |byte| TxHash::repeat_byte(byte);
        watched.sent([(0, hash(1)), (1, hash(1)), (0, hash(2))].into_iter(), now);
        assert_eq!(watched.latest(0, &[hash(1), hash(7)], now), [now]);
        watched.refused([(0, hash(2))].iter());
        assert_eq!(watched.open(), 1);
        let executed = watched.executed(|executed| executed.clone());
        assert_eq!((executed.transactions, executed.others, executed.blocks), (1, 1, 1));
        assert_eq!(executed.latest.percentiles().count, 1);
    }
}
