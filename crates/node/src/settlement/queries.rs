//! Questions about settled heights.

use super::{
    Fate, Record,
    recent::{Recent, Registry},
};
use crate::watch;
use chorale_ledger::{Included, Standing};
use chorale_light::{Claim, LaneClaim};
use chorale_types::{
    Height, LaneAbsence, OrderedBundle, Outcome, RegistryProof, RollupId, UnitId, prove_bundle, prove_transaction,
};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait for the actor at most.
const REQUESTS_MAX: usize = 256;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It was kept for as long as the chain says; archive nodes have it.
    #[error("pruned: this node has heights from {first} on; ask an archive node")]
    Pruned {
        /// The first height that is here.
        first: Height,
    },
    /// It is not settled yet.
    #[error("height {height} is not settled yet; the last one is {settled}")]
    NotYet {
        /// The height asked for.
        height: Height,
        /// The last one settled.
        settled: Height,
    },
    /// The chain does not have the rollup.
    #[error("the chain has no rollup {0}")]
    UnknownRollup(RollupId),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// Where a unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where {
    /// The height.
    pub height: Height,
    /// What became of it.
    pub fate: Fate,
    /// Its place in the global order of the height, if it is included.
    pub place: Option<Included>,
}

/// A unit that was ordered.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it stands.
    pub place: Where,
    /// What its height brought.
    pub record: Arc<Record>,
}

/// A rollup's lane at a height, or the proof that it has none.
#[derive(Clone, Debug)]
pub struct LaneAnswer {
    /// What it is proven against.
    pub outcome: Outcome,
    /// The lane with its proof, or its absence.
    pub lane: Result<LaneClaim, LaneAbsence>,
    /// The bundles that have legs in it, in the global order.
    pub bundles: Vec<OrderedBundle>,
}

/// When a rollup last had content, with proof.
#[derive(Clone, Debug)]
pub struct RegistryAnswer {
    /// What it is proven against.
    pub outcome: Outcome,
    /// The proof.
    pub proof: RegistryProof,
}

/// A claim with the outcome that it follows from.
#[derive(Clone, Debug)]
pub struct ProofAnswer {
    /// What it is proven against. With its attestation it makes a [`ProofFile`](chorale_light::ProofFile).
    pub outcome: Outcome,
    /// The claim.
    pub claim: Claim,
}

/// A request to the actor.
pub(super) enum Request {
    Record { height: Height, reply: oneshot::Sender<Result<Arc<Record>, Unavailable>> },
    Outcome { height: Height, reply: oneshot::Sender<Result<Outcome, Unavailable>> },
    Find { id: UnitId, reply: oneshot::Sender<Option<Found>> },
    NextContent { rollup: RollupId, after: Height, reply: oneshot::Sender<Result<Option<Height>, Unavailable>> },
}

/// Where domains stand.
pub type Standings = Arc<Vec<Standing>>;

/// Talks to settlement. Clones share it.
#[derive(Clone)]
pub struct Mailbox {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) settled: watch::Receiver<Height>,
    pub(super) standings: watch::Receiver<Standings>,
    pub(super) recent: Recent,
}

/// The actor's end of a [`Mailbox`].
pub(super) struct Ingress {
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) settled: watch::Sender<Height>,
    pub(super) standings: watch::Sender<Standings>,
}

impl Mailbox {
    pub(super) fn new(recent: Recent) -> (Self, Ingress) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let (sender, settled) = watch::channel(Height(0));
        let (standings_sender, standings) = watch::channel(Standings::default());
        let ingress = Ingress { requests: receiver, settled: sender, standings: standings_sender };
        (Self { requests, settled, standings, recent }, ingress)
    }

    /// The last height settled. [`Mailbox::record`] has it.
    #[must_use]
    pub fn settled(&self) -> watch::Receiver<Height> {
        self.settled.clone()
    }

    /// Where the domains that are attested stand, as of the last height settled or the next one.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standings> {
        self.standings.clone()
    }

    /// Whether there is a lane of rollup 0: only if a domain is attested.
    #[must_use]
    pub fn has_system_lane(&self) -> bool {
        !self.standings.borrow().is_empty()
    }

    /// Transactions and bundles settled since the node was started, with and without effect.
    #[must_use]
    pub fn units_settled(&self) -> u64 {
        self.recent.units()
    }

    /// What a height brought: for the last heights from memory, without asking the actor.
    ///
    /// # Errors
    ///
    /// Not settled, or pruned.
    pub async fn record(&self, height: Height) -> Result<Arc<Record>, Unavailable> {
        if let Some(record) = self.recent.get(height) {
            return Ok(record);
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Record { height, reply }).await?;
        answer.await.map_err(|_| Unavailable::Stopping)?
    }

    /// The outcome of a height.
    ///
    /// # Errors
    ///
    /// Not settled, or pruned.
    pub async fn outcome(&self, height: Height) -> Result<Outcome, Unavailable> {
        if let Some(record) = self.recent.get(height) {
            return Ok(record.outcome().clone());
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Outcome { height, reply }).await?;
        answer.await.map_err(|_| Unavailable::Stopping)?
    }

    /// A rollup's lane at a height with its proof, or the proof that it has none there.
    ///
    /// # Errors
    ///
    /// Not settled, or pruned.
    pub async fn lane(&self, rollup: RollupId, height: Height) -> Result<LaneAnswer, Unavailable> {
        let record = self.record(height).await?;
        let tree = record.lane_tree();
        let lane = match (record.lane(rollup), tree.prove(rollup)) {
            (Some(lane), Some(proof)) => Ok(LaneClaim { lane: lane.clone(), proof }),
            _ => Err(tree.prove_absence(rollup).expect("a tree proves a leaf or its absence")),
        };
        let bundles = record.bundles().iter().filter(|bundle| bundle.legs.iter().any(|leg| leg.rollup == rollup));
        Ok(LaneAnswer { outcome: record.outcome().clone(), lane, bundles: bundles.cloned().collect() })
    }

    /// The first height after `after` at which a rollup has content; none if there is none yet.
    ///
    /// # Errors
    ///
    /// Heights after `after` are pruned, so there may have been content that is not known here.
    pub async fn next_content(&self, rollup: RollupId, after: Height) -> Result<Option<Height>, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::NextContent { rollup, after, reply }).await?;
        answer.await.map_err(|_| Unavailable::Stopping)?
    }

    /// When a rollup last had content as of one of the last 64 heights, with proof.
    ///
    /// # Errors
    ///
    /// Not settled, or too old.
    pub fn registry(&self, rollup: RollupId, height: Height) -> Result<RegistryAnswer, Unavailable> {
        let settled = *self.settled.borrow();
        let Some(Registry { outcome, tree }) = self.recent.registry(height) else {
            return Err(if height > settled {
                Unavailable::NotYet { height, settled }
            } else {
                Unavailable::Pruned { first: settled }
            });
        };
        let proof = tree.prove(rollup).ok_or(Unavailable::UnknownRollup(rollup))?;
        Ok(RegistryAnswer { outcome, proof })
    }

    /// Where a unit stands, if it was ordered within the heights that are kept. If it was ordered more than once, the
    /// time that it had effect.
    ///
    /// # Errors
    ///
    /// The node is stopping.
    pub async fn find(&self, id: UnitId) -> Result<Option<Found>, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Find { id, reply }).await?;
        answer.await.map_err(|_| Unavailable::Stopping)
    }

    /// Proves that a transaction or a bundle stands in the lanes; none if it does not, within the heights that are
    /// kept.
    ///
    /// # Errors
    ///
    /// The node is stopping.
    pub async fn prove(&self, id: UnitId) -> Result<Option<ProofAnswer>, Unavailable> {
        let Some(Found { record, .. }) = self.find(id).await? else { return Ok(None) };
        let tree = record.lane_tree();
        let claim = match &id {
            UnitId::Transaction(id) => {
                record.transaction(id).and_then(|(lane, _)| prove_transaction(&tree, lane, id)).map(Claim::Transaction)
            }
            UnitId::Bundle(id) => record
                .bundle(id)
                .and_then(|(bundle, _)| prove_bundle(&tree, &record.lanes_of(bundle), bundle))
                .map(Claim::Bundle),
        };
        Ok(claim.map(|claim| ProofAnswer { outcome: record.outcome().clone(), claim }))
    }

    async fn ask(&self, request: Request) -> Result<(), Unavailable> {
        self.requests.send(request).await.map_err(|_| Unavailable::Stopping)
    }
}

/// Where a unit stands in a record, if it does.
pub(super) fn place(record: &Record, id: &UnitId) -> Option<Where> {
    let height = record.height();
    let included = match id {
        UnitId::Transaction(id) => record.transaction(id).map(|(_, place)| place),
        UnitId::Bundle(id) => record.bundle(id).map(|(_, place)| place),
    };
    if let Some(place) = included {
        return Some(Where { height, fate: Fate::Included, place: Some(place) });
    }
    let skipped = record.skipped().iter().find(|skipped| skipped.id == *id)?;
    Some(Where { height, fate: Fate::Skipped(skipped.reason), place: None })
}
