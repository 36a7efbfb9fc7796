//! Watches nodes through their API, and what their processes use.

use crate::{rpc::Endpoint, system::Usage};
use chorale_api::{ChoraleApiClient as _, MempoolAnswer, NodeAnswer};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Rates are over this long.
const WINDOW: Duration = Duration::from_secs(5);

/// One node at one moment.
#[derive(Clone, Debug)]
pub(crate) struct NodeSample {
    /// What it says of itself; none if it does not answer.
    pub(crate) node: Option<NodeAnswer>,
    /// What it says of its pool.
    pub(crate) pool: Option<MempoolAnswer>,
    /// What its process has used, if it runs on this machine.
    pub(crate) usage: Option<Usage>,
}

/// Rates of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    /// Heights committed per second.
    pub(crate) blocks: f64,
    /// Transactions and bundles settled per second.
    pub(crate) units: f64,
    /// Processors used.
    pub(crate) cpus: f64,
}

/// All nodes at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// When.
    pub(crate) at: Instant,
    /// By node.
    pub(crate) nodes: Vec<NodeSample>,
    /// By node.
    pub(crate) rates: Vec<Rates>,
}

impl Frame {
    /// What the node that is furthest ahead says.
    pub(crate) fn ahead(&self) -> Option<&NodeAnswer> {
        self.nodes.iter().filter_map(|node| node.node.as_ref()).max_by_key(|node| node.committed)
    }
}

/// Remembers enough to say rates.
#[derive(Debug)]
pub(crate) struct Monitor {
    endpoints: Vec<Endpoint>,
    history: VecDeque<(Instant, Vec<NodeSample>)>,
}

impl Monitor {
    /// Watches these nodes.
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints, history: VecDeque::new() }
    }

    /// Looks at all nodes, at the same time.
    pub(crate) async fn look(&mut self, processes: &[Option<u32>]) -> Frame {
        let questions: Vec<_> = self.endpoints.iter().map(|endpoint| tokio::spawn(ask(endpoint.clone()))).collect();
        let mut nodes = Vec::new();
        for (index, question) in questions.into_iter().enumerate() {
            let (node, pool) = question.await.unwrap_or_default();
            let usage = processes.get(index).copied().flatten().and_then(Usage::of);
            nodes.push(NodeSample { node, pool, usage });
        }
        let at = Instant::now();
        self.history.push_back((at, nodes.clone()));
        while self.history.len() > 2 && self.history.get(1).is_some_and(|(next, _)| at - *next >= WINDOW) {
            self.history.pop_front();
        }
        let rates = match self.history.front() {
            Some((then, before)) => {
                nodes.iter().zip(before).map(|(now, before)| rates(before, now, at - *then)).collect()
            }
            None => Vec::new(),
        };
        Frame { at, nodes, rates }
    }
}

async fn ask(endpoint: Endpoint) -> (Option<NodeAnswer>, Option<MempoolAnswer>) {
    let answers = async { (endpoint.client.node().await.ok(), endpoint.client.mempool().await.ok()) };
    tokio::time::timeout(ASK_TIMEOUT, answers).await.unwrap_or_default()
}

/// Counts may fall when a node was started again: then there is no rate.
pub(crate) fn rates(before: &NodeSample, now: &NodeSample, elapsed: Duration) -> Rates {
    let seconds = elapsed.as_secs_f64();
    let rate = |count: Option<u64>| {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let count = count.unwrap_or(0) as f64;
        if seconds > 0.0 { count / seconds } else { 0.0 }
    };
    let both = before.node.as_ref().zip(now.node.as_ref());
    let usage = before.usage.zip(now.usage).and_then(|(before, now)| now.cpu.checked_sub(before.cpu));
    Rates {
        blocks: rate(both.and_then(|(before, now)| now.committed.checked_sub(before.committed))),
        units: rate(both.and_then(|(before, now)| now.units_settled.checked_sub(before.units_settled))),
        cpus: if seconds > 0.0 { usage.unwrap_or_default().as_secs_f64() / seconds } else { 0.0 },
    }
}
