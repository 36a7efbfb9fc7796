//! What executes the rollups of a domain beside this node: a node of the domain, which this validator believes, and should
//! therefore run itself.
//!
//! It is asked for outcomes, one height with content after the other, and they are handed to
//! [`attestation`](crate::attestation), which signs them. What it executed is compared with what this node settled: an
//! executor that follows another order is not believed, and the reason is in the log. Nothing else of this node waits for
//! it.

use crate::{
    attestation::Computed,
    settlement::{self, Unavailable},
};
use chorale_api::ExecutorApiClient as _;
use chorale_types::{
    ChainId, DomainId, ExecutionOutcome, Height,
    codec::{Error as DecodeError, decode},
};
use jsonrpsee::{core::client::Error as CallError, http_client::HttpClient};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Outcomes that are asked for at once.
const OUTCOMES_MAX: u32 = 64;
/// How long the executor waits for something to answer with.
const WAIT_MS: u64 = 5_000;
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How far an executor may be ahead of this node, in time.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// The pause after the executor did not answer.
const RETRY: Duration = Duration::from_millis(500);
/// The pause after it said what cannot be: it may be exchanged meanwhile.
const RETRY_DISBELIEVED: Duration = Duration::from_secs(15);
/// Batches that wait to be attested.
const BATCHES_MAX: usize = 4;

/// An executor.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it executes.
    pub domain: DomainId,
    /// The address of one of the rollups at a node of the domain.
    pub url: String,
}

/// What is to be attested of a domain: where it comes from, and where it goes.
pub struct Feed {
    /// The domain.
    pub domain: DomainId,
    /// Heights after this one.
    pub after: Height,
    /// To attestation.
    pub computed: mpsc::Sender<Vec<Computed>>,
}

impl Feed {
    /// What attestation reads from.
    #[must_use]
    pub fn channel() -> (mpsc::Sender<Vec<Computed>>, mpsc::Receiver<Vec<Computed>>) {
        mpsc::channel(BATCHES_MAX)
    }
}

/// Why an executor is not believed.
#[derive(Debug, thiserror::Error)]
enum Disbelief {
    #[error("its answer is no outcome: {0}")]
    Encoding(#[from] DecodeError),
    #[error("it executes domain {domain} of chain {chain}")]
    Other { chain: ChainId, domain: DomainId },
    #[error("height {height} follows height {previous} there, and the last one that it gave is {last}")]
    Order { height: Height, previous: Height, last: Height },
    #[error("it executed another order at height {0} than this node settled")]
    OtherOrder(Height),
    #[error(
        "it executed height {height}, and this node has settled height {settled}: one of them follows another chain, or this one is far behind"
    )]
    Ahead { height: Height, settled: Height },
}

/// Asks an executor until the node is shut down, or it says what cannot be.
pub async fn follow(config: Config, client: HttpClient, chain: ChainId, settlement: settlement::Mailbox, feed: Feed) {
    let Config { domain, url } = config;
    let mut asking = Asking { chain, domain, settlement, last: feed.after, is_first: true };
    let mut answered = None;
    info!(%domain, url, after = %feed.after, "asking the executor");
    while !feed.computed.is_closed() {
        let outcomes = match client.executed(asking.last.0, OUTCOMES_MAX, WAIT_MS).await {
            Ok(outcomes) => outcomes,
            Err(failed) => {
                if answered != Some(false) {
                    warn!(%domain, url, error = %reason(&failed), "the executor does not answer: nothing of the domain is signed until it does");
                }
                answered = Some(false);
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        if answered == Some(false) {
            info!(%domain, url, "the executor answers again");
        }
        answered = Some(true);
        match asking.check(outcomes.into_iter().map(|outcome| outcome.0).collect()).await {
            Ok(computed) if computed.is_empty() => {}
            Ok(computed) => {
                if feed.computed.send(computed).await.is_err() {
                    return;
                }
            }
            Err(disbelief) => {
                error!(%domain, url, %disbelief, "the executor is not believed: nothing of what it says is signed");
                // One that began anew, from a snapshot for example, may not have what was before.
                asking.is_first = true;
                tokio::time::sleep(RETRY_DISBELIEVED).await;
            }
        }
    }
}

fn reason(error: &CallError) -> String {
    match error {
        CallError::Call(error) => error.message().to_owned(),
        other => other.to_string(),
    }
}

/// The client for an executor.
///
/// # Errors
///
/// The URL is none.
pub fn client(url: &str) -> Result<HttpClient, chorale_client::UrlError> {
    let mut nodes = chorale_client::Nodes::new([url.to_owned()], ANSWER_TIMEOUT)?;
    Ok(nodes.remove_current().expect("one was named").client)
}

/// Where asking is.
struct Asking {
    chain: ChainId,
    domain: DomainId,
    settlement: settlement::Mailbox,
    last: Height,
    /// The height before the first one is not known here.
    is_first: bool,
}

impl Asking {
    /// What is to be attested of outcomes that the executor gave.
    async fn check(&mut self, outcomes: Vec<Vec<u8>>) -> Result<Vec<Computed>, Disbelief> {
        let (mut computed, mut last, mut is_first) = (Vec::new(), self.last, self.is_first);
        for bytes in outcomes {
            let outcome: ExecutionOutcome = decode(bytes)?;
            let (height, previous) = (outcome.height, outcome.previous);
            if (outcome.chain, outcome.domain) != (self.chain, self.domain) {
                return Err(Disbelief::Other { chain: outcome.chain, domain: outcome.domain });
            }
            if height <= last || (previous != last && !is_first) {
                return Err(Disbelief::Order { height, previous, last });
            }
            if is_first && previous > last {
                warn!(domain = %self.domain, %last, %previous, "the executor does not keep what was before: it is not signed");
            }
            (last, is_first) = (height, false);
            // It follows through any node, and may be a little ahead of this one.
            let mut settled = self.settlement.settled();
            let there = tokio::time::timeout(SETTLED_WITHIN, settled.wait_for(|settled| *settled >= height)).await;
            match there {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Ok(Vec::new()),
                Err(_) if computed.is_empty() => return Err(Disbelief::Ahead { height, settled: *settled.borrow() }),
                // The rest is asked for again.
                Err(_) => return Ok(computed),
            }
            match self.settlement.outcome(height).await {
                Ok(order) if order.root() == outcome.order => {
                    computed.push(Computed { height, epoch: order.epoch, root: outcome.root() });
                }
                Ok(_) => return Err(Disbelief::OtherOrder(height)),
                // Too old for anybody to wait for a signature.
                Err(Unavailable::Pruned { .. }) => {}
                Err(_) => return Ok(Vec::new()),
            }
            // Only now: what is refused is asked for again.
            (self.last, self.is_first) = (last, is_first);
        }
        Ok(computed)
    }
}
