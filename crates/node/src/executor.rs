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
use chorale_foundation::runtime::Clock;
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
pub async fn follow(
    clock: impl Clock,
    config: Config,
    client: HttpClient,
    chain: ChainId,
    settlement: settlement::Mailbox,
    feed: Feed,
) {
    let Config { domain, url } = config;
    let mut asking = Asking { clock, chain, domain, settlement, last: feed.after, is_first: true };
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
                asking.clock.sleep(RETRY).await;
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
                asking.clock.sleep(RETRY_DISBELIEVED).await;
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
struct Asking<E> {
    clock: E,
    chain: ChainId,
    domain: DomainId,
    settlement: settlement::Mailbox,
    last: Height,
    /// The height before the first one is not known here.
    is_first: bool,
}

impl<E: Clock> Asking<E> {
    /// What is to be attested of outcomes that the executor gave: of all before the first one that is not believed, or not
    /// settled here yet. That one is asked for again.
    async fn check(&mut self, outcomes: Vec<Vec<u8>>) -> Result<Vec<Computed>, Disbelief> {
        let mut computed = Vec::new();
        for bytes in outcomes {
            match self.check_one(bytes, computed.is_empty()).await {
                Ok(Checked::Attest(one)) => computed.push(one),
                Ok(Checked::Pruned) => {}
                Ok(Checked::Later | Checked::Stopping) => break,
                Err(disbelief) if computed.is_empty() => return Err(disbelief),
                Err(_) => break,
            }
        }
        Ok(computed)
    }

    /// `waits`: for this node to settle the height.
    async fn check_one(&mut self, bytes: Vec<u8>, waits: bool) -> Result<Checked, Disbelief> {
        let outcome: ExecutionOutcome = decode(bytes)?;
        let (height, previous, last) = (outcome.height, outcome.previous, self.last);
        if (outcome.chain, outcome.domain) != (self.chain, self.domain) {
            return Err(Disbelief::Other { chain: outcome.chain, domain: outcome.domain });
        }
        if height <= last || (previous != last && !self.is_first) {
            return Err(Disbelief::Order { height, previous, last });
        }
        // It follows through any node, and may be a little ahead of this one.
        let mut settled = self.settlement.settled();
        if !waits && *settled.borrow() < height {
            return Ok(Checked::Later);
        }
        tokio::select! {
            biased;
            reached = settled.wait_for(|settled| *settled >= height) => if reached.is_err() {
                return Ok(Checked::Stopping);
            },
            () = self.clock.sleep(SETTLED_WITHIN) => {
                let settled = *self.settlement.settled().borrow();
                return Err(Disbelief::Ahead { height, settled });
            }
        }
        let checked = match self.settlement.outcome(height).await {
            Ok(order) if order.root() == outcome.order => {
                Checked::Attest(Computed { height, epoch: order.epoch, root: outcome.root() })
            }
            Ok(_) => return Err(Disbelief::OtherOrder(height)),
            // Too old for anybody to wait for a signature.
            Err(Unavailable::Pruned { .. }) => Checked::Pruned,
            Err(_) => return Ok(Checked::Stopping),
        };
        if self.is_first && previous > last {
            warn!(domain = %self.domain, %last, %previous, "the executor does not keep what was before: it is not signed");
        }
        // Only now: what is refused is asked for again.
        (self.last, self.is_first) = (height, false);
        Ok(checked)
    }
}

/// What is made of an outcome that is believed.
enum Checked {
    /// It is attested.
    Attest(Computed),
    /// This node does not know its height any more.
    Pruned,
    /// This node has not settled its height yet.
    Later,
    /// This node is being shut down, so it is not known.
    Stopping,
}

#[cfg(test)]
mod tests {
    use super::{Asking, Computed, Disbelief, SETTLED_WITHIN};
    use crate::settlement::tests::{Context, Node, chain, config, revealed, run, single};
    use chorale_foundation::runtime::{Clock as _, Spawner as _, Supervisor as _};
    use chorale_types::{ChainId, Digest, DomainId, Epoch, ExecutionOutcome, Height, codec::Encode as _, tagged_hash};
    use std::time::Duration;

    const DOMAIN: DomainId = DomainId(7);

    /// A node that settled some heights, and asks after height 1.
    struct World {
        node: Node,
        asking: Asking<Context>,
    }

    impl World {
        async fn new(context: &Context, heights: u64) -> Self {
            let node = Node::start(context, config("s")).await;
            for height in 1..=heights {
                node.settle(revealed(height, vec![single(1, &height.to_string())])).await;
            }
            let (clock, settlement) = (context.child("asking"), node.mailbox.clone());
            let asking = Asking { clock, chain: chain(), domain: DOMAIN, settlement, last: Height(1), is_first: true };
            Self { node, asking }
        }

        async fn outcome(&self, height: u64, previous: u64) -> ExecutionOutcome {
            let order = self.node.mailbox.outcome(Height(height)).await.unwrap().root();
            outcome(height, previous, order)
        }

        async fn check(&mut self, outcomes: &[ExecutionOutcome]) -> Result<Vec<Computed>, Disbelief> {
            self.asking.check(outcomes.iter().map(|outcome| outcome.encode().to_vec()).collect()).await
        }
    }

    fn outcome(height: u64, previous: u64, order: Digest) -> ExecutionOutcome {
        let [rollups, bundles, burnt] = ["rollups", "bundles", "burnt"].map(|name| tagged_hash(name, &[]));
        let (height, previous) = (Height(height), Height(previous));
        ExecutionOutcome { chain: chain(), domain: DOMAIN, height, previous, order, rollups, bundles, burnt }
    }

    #[test]
    fn what_was_executed_of_the_settled_order_is_attested() {
        run(41, async |context| {
            let mut world = World::new(&context, 4).await;
            // The first one may follow whatever it does: the executor may not keep what was before.
            let (first, second) = (world.outcome(3, 2).await, world.outcome(4, 3).await);
            let computed = world.check(&[first.clone(), second.clone()]).await.unwrap();
            let expected = [&first, &second].map(|outcome| Computed {
                height: outcome.height,
                epoch: Epoch(0),
                root: outcome.root(),
            });
            assert_eq!(computed, expected);
            assert_eq!(world.asking.last, Height(4));
            assert!(matches!(world.check(&[second]).await, Err(Disbelief::Order { height: Height(4), .. })), "again");
        });
    }

    #[test]
    fn what_is_no_outcome_of_this_domain_or_leaves_something_out_is_not_believed() {
        run(42, async |context| {
            let mut world = World::new(&context, 4).await;
            let (second, fourth) = (world.outcome(2, 1).await, world.outcome(4, 3).await);
            let other_domain = ExecutionOutcome { domain: DomainId(8), ..second.clone() };
            assert!(matches!(world.check(&[other_domain]).await, Err(Disbelief::Other { domain: DomainId(8), .. })));
            let other_chain = ExecutionOutcome { chain: ChainId(tagged_hash("test/other", &[])), ..second.clone() };
            assert!(matches!(world.check(&[other_chain]).await, Err(Disbelief::Other { .. })));
            assert!(matches!(world.asking.check(vec![vec![0; 3]]).await, Err(Disbelief::Encoding(_))));
            // What held before it was taken for said, and never signed.
            let computed = world.check(&[second, fourth.clone()]).await.unwrap();
            assert_eq!(computed.iter().map(|computed| computed.height).collect::<Vec<_>>(), [Height(2)]);
            let skips = world.check(&[fourth]).await;
            assert!(
                matches!(skips, Err(Disbelief::Order { height: Height(4), previous: Height(3), last: Height(2) })),
                "{skips:?}"
            );
        });
    }

    #[test]
    fn who_executed_another_order_is_not_believed() {
        run(43, async |context| {
            let mut world = World::new(&context, 2).await;
            let forged = outcome(2, 1, tagged_hash("test/another-order", &[]));
            assert!(matches!(world.check(&[forged]).await, Err(Disbelief::OtherOrder(Height(2)))));
            assert_eq!(world.asking.last, Height(1), "it is asked for again");
        });
    }

    /// An executor follows the order through any node, so it may know a height before this one has settled it.
    #[test]
    fn an_executor_that_is_ahead_is_waited_for_so_long_and_no_longer() {
        run(44, async |context| {
            let mut world = World::new(&context, 2).await;
            let order = {
                let there = Node::start(&context.child("elsewhere"), config("e")).await;
                for height in 1..=3 {
                    there.settle(revealed(height, vec![single(1, &height.to_string())])).await;
                }
                there.mailbox.outcome(Height(3)).await.unwrap().root()
            };
            let (second, third) = (world.outcome(2, 1).await, outcome(3, 2, order));
            let begun = context.current();
            let computed = world.check(&[second, third.clone()]).await.unwrap();
            assert_eq!(computed.iter().map(|computed| computed.height).collect::<Vec<_>>(), [Height(2)]);
            let waited = context.current().duration_since(begun).unwrap();
            assert!(waited < SETTLED_WITHIN, "what is settled is signed at once");
            let alone = world.check(std::slice::from_ref(&third)).await;
            assert!(context.current().duration_since(begun).unwrap() >= SETTLED_WITHIN);
            assert!(matches!(alone, Err(Disbelief::Ahead { height: Height(3), settled: Height(2) })), "{alone:?}");

            let World { node, mut asking } = world;
            let later = context.child("later").spawn(async move |context| {
                context.sleep(Duration::from_secs(2)).await;
                node.settle(revealed(3, vec![single(1, "3")])).await;
                node
            });
            let computed = asking.check(vec![third.encode().to_vec()]).await.unwrap();
            assert_eq!(computed.len(), 1);
            drop(later.await.unwrap());
        });
    }
}
