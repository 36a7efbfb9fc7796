//! Filters: for those who ask again and again what is new, instead of subscribing.
//!
//! Nothing is collected for a filter between two questions: it remembers how far it was answered. Blocks are never taken
//! back, so no log is ever told as removed.

use crate::{
    errors::{INVALID_PARAMETERS, LIMIT_EXCEEDED, SERVER_ERROR, refused},
    logs::{check_filter, matching},
    server::Server,
    subscriptions::HexIds,
};
use alloy_consensus::Header;
use alloy_primitives::{B256, TxHash};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, FilterChanges, Log};
use jsonrpsee::{
    core::{RpcResult, async_trait, traits::IdProvider as _},
    proc_macros::rpc,
    types::SubscriptionId,
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{self, error::TryRecvError};

/// Filters of one rollup. Each is of 50 KB at most.
const FILTERS_MAX: usize = 1_024;
/// A filter that nobody asks for so long is forgotten.
const SILENCE_MAX: Duration = Duration::from_mins(5);
/// Blocks that one answer looks at; those after them come with the next one.
const BLOCKS_MAX: u64 = 10_000;
/// Logs of one answer, if they are of more than one block; those after them come with the next one.
const LOGS_MAX: usize = 10_000;
/// Transactions that whoever watches them may be behind.
const TAKEN_MAX: usize = 4_096;

/// Filters of `eth_`.
#[rpc(server, namespace = "eth")]
pub(crate) trait Filtering {
    /// Logs of blocks from now on. Its range, if it names numbers, leaves out those before and after.
    #[method(name = "newFilter")]
    fn new_filter(&self, filter: Filter) -> RpcResult<String>;

    /// Hashes of blocks from now on.
    #[method(name = "newBlockFilter")]
    fn new_block_filter(&self) -> RpcResult<String>;

    /// Hashes of transactions that this node takes from now on. Of very many between two questions the oldest are left
    /// out.
    #[method(name = "newPendingTransactionFilter")]
    fn new_pending_transaction_filter(&self, full: Option<bool>) -> RpcResult<String>;

    /// What is new since the last question. Of very much only the first part: the rest comes with the next answer.
    #[method(name = "getFilterChanges")]
    async fn filter_changes(&self, id: String) -> RpcResult<FilterChanges>;

    /// All logs of a filter's range, as `eth_getLogs` has them.
    #[method(name = "getFilterLogs")]
    async fn filter_logs(&self, id: String) -> RpcResult<Vec<Log>>;

    /// Whether there was such a filter.
    #[method(name = "uninstallFilter")]
    fn uninstall_filter(&self, id: String) -> RpcResult<bool>;
}

/// Tells of every transaction that this node takes.
#[derive(Clone, Debug)]
pub(crate) struct Taken(broadcast::Sender<TxHash>);

impl Default for Taken {
    fn default() -> Self {
        Self(broadcast::channel(TAKEN_MAX).0)
    }
}

impl Taken {
    pub(crate) fn tell(&self, hash: TxHash) {
        // Nobody has to listen.
        let _ = self.0.send(hash);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<TxHash> {
        self.0.subscribe()
    }
}

/// What a filter is about, and how far it was answered.
#[derive(Debug)]
enum Kind {
    Logs { filter: Box<Filter>, next: u64 },
    Blocks { next: u64 },
    Taken(broadcast::Receiver<TxHash>),
}

/// Locked by those who ask for it, so that none of them is told twice what is new.
type Cursor = Arc<Mutex<Kind>>;

/// The filters of one rollup. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters(Arc<Mutex<BTreeMap<String, (Instant, Cursor)>>>);

impl Filters {
    /// Those that somebody still asks for.
    fn alive(&self, now: Instant) -> MutexGuard<'_, BTreeMap<String, (Instant, Cursor)>> {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filters.retain(|_, (asked, _)| now.saturating_duration_since(*asked) < SILENCE_MAX);
        filters
    }

    fn install(&self, kind: Kind, now: Instant) -> RpcResult<String> {
        let mut filters = self.alive(now);
        if filters.len() >= FILTERS_MAX {
            return Err(refused(LIMIT_EXCEEDED, format!("there are {FILTERS_MAX} filters already: ask again later")));
        }
        // Random, so that nobody finds those of others.
        let id = match HexIds.next_id() {
            SubscriptionId::Str(id) => id.into_owned(),
            SubscriptionId::Num(id) => format!("{id:#x}"),
        };
        filters.insert(id.clone(), (now, Arc::new(Mutex::new(kind))));
        Ok(id)
    }

    fn find(&self, id: &str, now: Instant) -> RpcResult<Cursor> {
        let mut filters = self.alive(now);
        let (asked, cursor) = filters.get_mut(id).ok_or_else(not_found)?;
        *asked = now;
        Ok(Arc::clone(cursor))
    }

    fn uninstall(&self, id: &str, now: Instant) -> bool {
        self.alive(now).remove(id).is_some()
    }
}

fn not_found() -> jsonrpsee::types::ErrorObjectOwned {
    refused(SERVER_ERROR, "filter not found")
}

#[async_trait]
impl FilteringServer for Server {
    fn new_filter(&self, filter: Filter) -> RpcResult<String> {
        check_filter(&filter)?;
        let next = self.latest().head().number + 1;
        self.filters.install(Kind::Logs { filter: Box::new(filter), next }, Instant::now())
    }

    fn new_block_filter(&self) -> RpcResult<String> {
        self.filters.install(Kind::Blocks { next: self.latest().head().number + 1 }, Instant::now())
    }

    fn new_pending_transaction_filter(&self, full: Option<bool>) -> RpcResult<String> {
        if full == Some(true) {
            return Err(refused(
                INVALID_PARAMETERS,
                "there is a filter for hashes only: ask for the transactions by them",
            ));
        }
        self.filters.install(Kind::Taken(self.taken.listen()), Instant::now())
    }

    async fn filter_changes(&self, id: String) -> RpcResult<FilterChanges> {
        let cursor = self.filters.find(&id, Instant::now())?;
        let server = self.clone();
        self.heavy.run(move || server.news_of(&mut cursor.lock().unwrap_or_else(PoisonError::into_inner))).await?
    }

    async fn filter_logs(&self, id: String) -> RpcResult<Vec<Log>> {
        let cursor = self.filters.find(&id, Instant::now())?;
        let server = self.clone();
        let logs = move || {
            let filter = match &*cursor.lock().unwrap_or_else(PoisonError::into_inner) {
                Kind::Logs { filter, .. } => filter.clone(),
                Kind::Blocks { .. } | Kind::Taken(_) => return Err(not_found()),
            };
            server.logs_of(&filter)
        };
        self.heavy.run(logs).await?
    }

    fn uninstall_filter(&self, id: String) -> RpcResult<bool> {
        Ok(self.filters.uninstall(&id, Instant::now()))
    }
}

impl Server {
    fn news_of(&self, kind: &mut Kind) -> RpcResult<FilterChanges> {
        Ok(match kind {
            Kind::Logs { filter, next } => {
                let mut found = Vec::new();
                for number in self.numbers_from(*next) {
                    let is_wanted = |header: &Header| within(header, filter) && filter.matches_bloom(header.logs_bloom);
                    let block = self.block_if(number, is_wanted)?;
                    let logs = block.map_or_else(Vec::new, |block| matching(&block, filter));
                    if !found.is_empty() && found.len() + logs.len() > LOGS_MAX {
                        break;
                    }
                    found.extend(logs);
                    *next = number + 1;
                }
                FilterChanges::Logs(found)
            }
            Kind::Blocks { next } => {
                let numbers = self.numbers_from(*next);
                let hashes = numbers.clone().map(|number| self.hash_here(number)).collect::<RpcResult<Vec<B256>>>()?;
                *next = numbers.end;
                FilterChanges::Hashes(hashes)
            }
            Kind::Taken(receiver) => {
                let mut hashes = Vec::new();
                while hashes.len() < TAKEN_MAX {
                    match receiver.try_recv() {
                        Ok(hash) => hashes.push(hash),
                        Err(TryRecvError::Lagged(_)) => {}
                        Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                    }
                }
                FilterChanges::Hashes(hashes)
            }
        })
    }

    /// Blocks that are shown, from a number on. Not all of them are in memory.
    fn numbers_from(&self, first: u64) -> Range<u64> {
        let head = self.latest().head().number;
        first..(head + 1).min(first.saturating_add(BLOCKS_MAX)).max(first)
    }
}

/// Whether a new block is in the range of a filter. Tags stand for what is newest, so they leave nothing out.
fn within(header: &Header, filter: &Filter) -> bool {
    match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => header.hash_slow() == hash,
        FilterBlockOption::Range { from_block, to_block } => {
            let from = from_block.and_then(|tag| tag.as_number()).unwrap_or(0);
            let to = to_block.and_then(|tag| tag.as_number()).unwrap_or(u64::MAX);
            (from..=to).contains(&header.number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_few_and_forgotten_when_nobody_asks() {
        let (filters, start) = (Filters::default(), Instant::now());
        let first = filters.install(Kind::Blocks { next: 1 }, start).unwrap();
        for _ in 1..FILTERS_MAX {
            filters.install(Kind::Blocks { next: 1 }, start).unwrap();
        }
        assert_eq!(filters.install(Kind::Blocks { next: 1 }, start).unwrap_err().code(), LIMIT_EXCEEDED);
        // Who asks keeps it; the others go, and make room.
        let later = start + SILENCE_MAX / 2;
        filters.find(&first, later).unwrap();
        let end = start + SILENCE_MAX;
        assert!(filters.find(&first, end).is_ok());
        assert_eq!(filters.alive(end).len(), 1);
        assert!(filters.install(Kind::Blocks { next: 1 }, end).is_ok());
        assert!(filters.uninstall(&first, end) && !filters.uninstall(&first, end));
        assert_eq!(filters.find(&first, end).unwrap_err().message(), "filter not found");
    }
}
