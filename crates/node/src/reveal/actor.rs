//! The reveal actor.

use super::{
    Config, RevealAt, Revealed, RevealedPayload, budget::Budgets, early::Early, exchange::Exchange, own::OwnPayloads,
};
use crate::{
    dispersal::{
        self, Basis,
        keys::{assignment_of, peer_of},
        message::{Message, OpenedPayload},
        wire::{ForReveal, Outbox, Received},
    },
    ports::{ChainEvent, ChainHandle, Peers},
    runtime::Context,
    store::{KeptPayload, PayloadStore},
};
use chorale_dispersal::{OpenError, Opened, Rotation, ValidatorChunks};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::Sender,
    runtime::{
        Error as RuntimeError,
        telemetry::metrics::{Counter, MetricsExt as _},
    },
    storage::archive::Error as StorageError,
};
use chorale_types::{
    AvailabilityCertificate, BlockId, Commitment, Epoch, EpochInfo, Header, Height, Manifest, NodeKey, TimestampMs,
    View, codec::Shared,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tracing::warn;

/// A height so far behind the last committed one that nobody sends its chunks unasked any more.
const LATE_HEIGHTS: u64 = 16;

/// Proposed headers of which the certificate is awaited.
const PROPOSED_MAX: usize = 16;

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed.
    #[error("payloads on disk: {0}")]
    Storage(#[from] StorageError),
    /// A task died.
    #[error("task of the reveal actor: {0}")]
    Task(#[from] RuntimeError),
}

/// A payload that is being collected.
pub(super) struct Collecting {
    pub(super) exchange: Exchange,
    pub(super) epoch: Arc<EpochInfo>,
    /// Where it is ordered. None while its header is certified only.
    pub(super) height: Option<Height>,
    /// The view of its header.
    pub(super) position: (Epoch, View),
    /// It is being opened, or an opened one is being checked.
    pub(super) busy: bool,
    /// Who was asked, and so may answer with the whole payload.
    pub(super) asked: BTreeSet<PublicKey>,
}

/// A payload that is opened.
pub(super) struct Ready {
    pub(super) payload: RevealedPayload,
    pub(super) archived: bool,
    /// The view of its header.
    pub(super) position: (Epoch, View),
}

/// What came of opening, beside the loop.
pub(super) enum Outcome {
    /// From chunks.
    Opened(Result<Opened, OpenError>),
    /// An opened payload from this peer, and whether it is the right one.
    Checked(PublicKey, Box<OpenedPayload>, bool),
    /// This node sealed it.
    Own(Manifest, Opened),
}

/// For what this node's chunks were fetched.
pub(super) enum Purpose {
    /// To send them to those of the epoch whose turn it is, and to open the payload here.
    Reveal(Arc<EpochInfo>),
    /// To open the payload here. Everybody else has it already.
    Open,
    /// To answer this peer about a payload of this height.
    Answer(PublicKey, Height),
}

pub(super) type Task<T> = FuturesUnordered<BoxFuture<'static, T>>;

/// See the [module](super).
pub struct Actor<E: Context, N> {
    pub(super) context: E,
    pub(super) config: Config,
    me: NodeKey,
    pub(super) chain: ChainHandle,
    pub(super) peers: Peers,
    pub(super) outbox: Outbox<N>,
    pub(super) dispersal: dispersal::Mailbox,
    incoming: mpsc::UnboundedReceiver<Received<ForReveal>>,
    settlement: mpsc::Sender<Revealed>,
    pub(super) payloads: PayloadStore<E>,
    /// The last height handed on.
    pub(super) handed_on: Height,
    epochs: BTreeMap<Epoch, Arc<EpochInfo>>,
    /// The next height to begin with.
    next: Height,
    /// Heights begun and not handed on.
    pub(super) window: BTreeMap<Height, Shared<Header>>,
    pub(super) collecting: BTreeMap<Commitment, Collecting>,
    /// Opened, and not handed on.
    pub(super) opened: BTreeMap<Commitment, Ready>,
    pub(super) done: BTreeMap<Commitment, Height>,
    pub(super) early: Early,
    own: OwnPayloads,
    proposed: BTreeMap<(View, BlockId), Shared<Header>>,
    pub(super) budgets: Budgets,
    /// How often a validator that acknowledged chunks did not show them when asked.
    pub(super) withheld: Counter,
    fetching: Task<(Commitment, Purpose, Option<ValidatorChunks>)>,
    pub(super) opening: Task<Result<(Commitment, Outcome), RuntimeError>>,
    /// Completes when all that was archived before is durable, with the last height handed on at that time.
    pub(super) archiving: Task<Result<Height, RuntimeError>>,
}

/// What the actor is connected to.
pub struct Connections<E: Context, N> {
    /// This node.
    pub me: NodeKey,
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// Who is cut off for misbehaviour.
    pub peers: Peers,
    /// To peers.
    pub outbox: Outbox<N>,
    /// Who keeps the chunks.
    pub dispersal: dispersal::Mailbox,
    /// What this node sealed.
    pub own: OwnPayloads,
    /// From peers.
    pub incoming: mpsc::UnboundedReceiver<Received<ForReveal>>,
    /// Where opened payloads are kept.
    pub payloads: PayloadStore<E>,
    /// To settlement, in the order of heights.
    pub settlement: mpsc::Sender<Revealed>,
    /// The last height that settlement has made durable; it gets all after it.
    pub settled: Height,
}

impl<E, N> Actor<E, N>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
{
    /// An actor that begins after what settlement has made durable.
    #[must_use]
    pub fn new(context: E, config: Config, connections: Connections<E, N>) -> Self {
        let Connections { me, chain, peers, outbox, dispersal, own, incoming, payloads, settlement, settled } =
            connections;
        let budgets = Budgets::new(config.answer_bytes_per_second, config.answer_bytes_max);
        let withheld =
            context.counter("chunks_withheld", "Chunks that their validator acknowledged and did not show when asked");
        Self {
            withheld,
            context,
            config,
            me,
            chain,
            peers,
            outbox,
            dispersal,
            incoming,
            settlement,
            payloads,
            handed_on: settled,
            epochs: BTreeMap::new(),
            next: settled.next(),
            window: BTreeMap::new(),
            collecting: BTreeMap::new(),
            opened: BTreeMap::new(),
            done: BTreeMap::new(),
            early: Early::default(),
            own,
            proposed: BTreeMap::new(),
            budgets,
            fetching: FuturesUnordered::new(),
            opening: FuturesUnordered::new(),
            archiving: FuturesUnordered::new(),
        }
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`].
    pub async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        let mut events = self.chain.events.subscribe();
        let settlement = self.settlement.clone();
        loop {
            self.advance().await?;
            let ready = self.is_ready();
            let wake = self.context.sleep(self.pause());
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                permit = settlement.reserve(), if ready => match permit {
                    Ok(permit) => {
                        if let Some(revealed) = self.hand_on() { permit.send(revealed); }
                    }
                    Err(_) => return Ok(()),
                },
                Some(outcome) = self.opening.next() => {
                    let (commitment, outcome) = outcome?;
                    self.concluded(commitment, outcome).await?;
                }
                Some(height) = self.archiving.next() => self.archived(height?).await?,
                Some((commitment, purpose, chunks)) = self.fetching.next() => {
                    self.fetched(commitment, purpose, chunks).await?;
                }
                changed = self.chain.committed.changed() => if changed.is_err() { return Ok(()) },
                event = events.recv() => match event {
                    Ok(event) => self.observe(event).await?,
                    // What is missed costs this node a round of questions, and nothing else.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                received = self.incoming.recv() => match received {
                    Some(Received { peer, message, place: _place }) => self.receive(peer, message).await?,
                    None => return Ok(()),
                },
                () = wake => {}
            }
            self.ask_due();
        }
    }

    fn now(&self) -> TimestampMs {
        self.context.now_ms()
    }

    fn pause(&self) -> Duration {
        let idle = TimestampMs(self.now().0 + self.config.patience.ask_interval_ms_max);
        // For what is only certified nobody is asked, so it has no deadline either.
        let waiting = self.collecting.values().filter(|it| it.height.is_some() && !it.exchange.is_complete());
        let due = waiting.map(|it| it.exchange.deadline()).min().unwrap_or(idle).min(idle);
        Duration::from_millis(due.0.saturating_sub(self.now().0).max(1))
    }

    /// Begins with committed heights as far as the window goes.
    async fn advance(&mut self) -> Result<(), Stopped> {
        let tip = *self.chain.committed.borrow_and_update();
        while self.next <= tip && (self.window.len() as u64) < self.config.window_heights {
            let Some(committed) = self.chain.headers.get(self.next).await else {
                // It is there as soon as `committed` says so; if not, another turn will find it.
                warn!(height = %self.next, "a committed header is not stored");
                return Ok(());
            };
            let header = committed.header;
            let late = tip.0 - header.height.0 > LATE_HEIGHTS;
            for certificate in header.payloads.iter() {
                self.begin(certificate, &header, Some(header.height), late).await?;
            }
            self.forget_lost(&header);
            self.window.insert(header.height, header);
            self.next = self.next.next();
        }
        Ok(())
    }

    /// Begins to collect a payload, unless it is here already.
    async fn begin(
        &mut self,
        certificate: &AvailabilityCertificate,
        header: &Header,
        height: Option<Height>,
        late: bool,
    ) -> Result<(), Stopped> {
        let commitment = certificate.commitment();
        if let Some(collecting) = self.collecting.get_mut(&commitment) {
            collecting.height = collecting.height.or(height);
            return Ok(());
        }
        let position = (header.epoch, header.view);
        if self.opened.contains_key(&commitment) {
            return self.store_opened(commitment, height).await;
        }
        if let Some(KeptPayload { manifest, opened }) = self.payloads.get(&certificate.into()).await? {
            // Kept before a restart, which may have come before dispersal was told.
            if let (Some(height), Err(_)) = (height, &opened) {
                self.dispersal.archived(height, vec![commitment]).await;
            }
            let payload = RevealedPayload { certificate: certificate.clone(), manifest: manifest.into(), opened };
            self.opened.insert(commitment, Ready { payload, archived: true, position });
            return Ok(());
        }
        let Some(epoch) = self.epoch(header.epoch) else {
            warn!(epoch = %header.epoch, "the validators of a committed header are not known");
            return Ok(());
        };
        let assignment = assignment_of(&epoch);
        let me = epoch.validators.index_of(&self.me);
        let (now, patience) = (self.now(), self.config.patience);
        let mut exchange = Exchange::new(certificate.clone(), &epoch, assignment, me, late, now, patience);
        if let Some(manifest) = self.dispersal.manifests().get(&commitment) {
            exchange.add_manifest((*manifest).clone());
        }
        let purpose = if late { Purpose::Open } else { Purpose::Reveal(epoch.clone()) };
        let collecting = Collecting { exchange, epoch, height, position, busy: false, asked: BTreeSet::new() };
        self.collecting.insert(commitment, collecting);
        let early = self.early.take(&commitment);
        let basis = if height.is_some() { Basis::Ordered } else { Basis::Certified };
        self.fetch(commitment, basis, purpose);
        if let Some((manifest, opened)) = self.own.take(certificate) {
            return self.concluded(commitment, Outcome::Own(manifest, opened)).await;
        }
        for (peer, chunks) in early {
            self.released(&peer, &chunks);
        }
        Ok(())
    }

    fn epoch(&mut self, epoch: Epoch) -> Option<Arc<EpochInfo>> {
        if let Some(known) = self.epochs.get(&epoch) {
            return Some(known.clone());
        }
        let info = self.chain.epoch(epoch)?;
        self.epochs.insert(epoch, info.clone());
        Some(info)
    }

    pub(super) fn fetch(&mut self, commitment: Commitment, basis: Basis, purpose: Purpose) {
        let dispersal = self.dispersal.clone();
        let fetch = async move {
            let chunks = dispersal.chunks(commitment, basis).await;
            (commitment, purpose, chunks)
        };
        self.fetching.push(fetch.boxed());
    }

    async fn fetched(
        &mut self,
        commitment: Commitment,
        purpose: Purpose,
        chunks: Option<ValidatorChunks>,
    ) -> Result<(), Stopped> {
        match (purpose, chunks) {
            (Purpose::Reveal(epoch), Some(chunks)) => {
                self.spread(&epoch, &chunks);
                self.use_own(commitment, &chunks);
            }
            (Purpose::Open, Some(chunks)) => self.use_own(commitment, &chunks),
            // Not among those who acknowledged: the others have enough.
            (Purpose::Reveal(_) | Purpose::Open, None) => {}
            (Purpose::Answer(peer, _), Some(chunks)) => self.answer(&peer, Some(&Message::Release(chunks))),
            (Purpose::Answer(peer, height), None) => {
                let opened = self.opened(height, commitment).await?;
                self.answer(&peer, opened.as_ref());
            }
        }
        Ok(())
    }

    /// Sends this node's chunks to those whose turn it is, also if the payload is open here already: others may not have
    /// got theirs yet.
    fn spread(&mut self, epoch: &EpochInfo, chunks: &ValidatorChunks) {
        let rotation = Rotation::new(&chunks.reference.commitment, &assignment_of(epoch));
        let message = Message::Release(chunks.clone());
        for receiver in rotation.receivers_of(chunks.validator) {
            if let Some(key) = peer_of(epoch, receiver) {
                self.outbox.send(&key, &message);
            }
        }
    }

    /// This node's chunks, towards the payload.
    fn use_own(&mut self, commitment: Commitment, chunks: &ValidatorChunks) {
        let Some(collecting) = self.collecting.get_mut(&commitment) else { return };
        if let Err(refused) = collecting.exchange.add(chunks.validator, chunks) {
            // They were checked before they were stored.
            warn!(%commitment, %refused, "this node's own chunks do not pass their check");
        }
        self.open_complete(commitment);
    }

    /// On a chain that reveals at certification: a header that is certified in its own view is begun with.
    async fn observe(&mut self, event: ChainEvent) -> Result<(), Stopped> {
        if self.config.at == RevealAt::Committed {
            return Ok(());
        }
        match event {
            ChainEvent::Proposed { tip } => {
                let header = &tip.header;
                self.proposed.insert((header.view, header.id()), header.clone());
                if self.proposed.len() > PROPOSED_MAX {
                    self.proposed.pop_first();
                }
            }
            ChainEvent::Certified { certificate } if certificate.is_fresh() => {
                let key = (certificate.block.view, certificate.block.id);
                let Some(header) = self.proposed.remove(&key) else { return Ok(()) };
                for payload in header.payloads.iter() {
                    self.begin(payload, &header, None, false).await?;
                }
            }
            ChainEvent::EpochStarted { .. } => self.proposed.clear(),
            _ => {}
        }
        Ok(())
    }
}
