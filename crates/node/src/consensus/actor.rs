//! The loop: messages, time and content in; disk, network and ports out.

use super::{Chain, EpochSource, Stopped, Want, chain::proof_of, pings::Pongs, stragglers::Stragglers, wire::Wire};
use crate::{
    evidence::Reporter,
    mesh::Membership,
    ports::{ChainEvent, Committed, Content, ContentSource, Epochs, Peers, Position},
    proposer::Update,
    runtime::Context,
    store::{Farewells, HeaderStore, SafetyStore},
    watch,
};
use chorale_foundation::{
    Bytes,
    codec::DecodeExt as _,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
};
use chorale_hotstuff::{Core, Input, Output, To};
use chorale_types::{
    AvailabilityCertificate, BlockReference, CommitProof, Epoch, EpochInfo, Header, Height, Message, NodeKey, Scheme,
    TimestampMs, ValidatorIndex, View,
    codec::{Encode, List, Shared},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};
use tracing::{debug, error, info};

/// How often round trips are measured.
const PING_INTERVAL_MS: u64 = 1_000;
/// Committed headers between two syncs of their store.
const HEADERS_PER_SYNC: u64 = 256;

/// What the actor is connected to.
pub struct Connections<S, N, R> {
    /// Signs and verifies.
    pub scheme: S,
    /// The channel of consensus.
    pub channel: (N, R),
    /// Cuts off peers.
    pub peers: Peers,
    /// Takes evidence.
    pub reporter: Reporter,
    /// Connects to the validators of an epoch; none where the network is connected already.
    pub membership: Option<Membership>,
    /// What own headers order.
    pub content: Box<dyn ContentSource>,
    /// What the proposer has later.
    pub updates: mpsc::Receiver<Update>,
    /// Who fetches missing headers.
    pub wants: mpsc::Sender<Want>,
    /// What was fetched. Untrusted.
    pub found: mpsc::Receiver<Vec<Header>>,
}

/// See the [module](super).
pub struct Actor<E: Context, S, N, R> {
    context: E,
    core: Core<S>,
    safety: SafetyStore<E>,
    headers: HeaderStore<E>,
    headers_synced: Height,
    me: NodeKey,
    signs: bool,
    pub(super) epoch: Arc<EpochInfo>,
    index: Option<ValidatorIndex>,
    /// The mesh key of each validator of the epoch; none for a key that is no point.
    pub(super) keys: Vec<Option<PublicKey>>,
    epochs: EpochSource,
    pub(super) known: Epochs,
    farewells: Farewells<E>,
    pub(super) stragglers: Stragglers,
    sender: N,
    pub(super) receiver: R,
    pub(super) peers: Peers,
    reporter: Reporter,
    membership: Option<Membership>,
    content: Box<dyn ContentSource>,
    /// The view whose header is held back for a payload that is nearly ready, and until when.
    awaited: Option<(View, TimestampMs)>,
    updates: mpsc::Receiver<Update>,
    wants: mpsc::Sender<Want>,
    found: mpsc::Receiver<Vec<Header>>,
    events: broadcast::Sender<ChainEvent>,
    committed: watch::Sender<Height>,
    position: watch::Sender<Position>,
    ping_at: TimestampMs,
    pub(super) pongs: Pongs,
}

impl<E, S, N, R> Actor<E, S, N, R>
where
    E: Context,
    S: Scheme,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// An actor that goes on where the chain on disk ends.
    #[must_use]
    pub fn new(context: E, chain: Chain<E>, connections: Connections<S, N, R>) -> Self {
        let Connections { scheme, channel, peers, reporter, membership, content, updates, wants, found } = connections;
        let config = chorale_hotstuff::Config {
            parameters: chain.config.parameters,
            index: chain.index,
            committed: chain.block,
            may_sign: chain.may_sign,
        };
        let record = chain.recovered.record.map(|mut record| {
            // The store of headers may lag behind the record; what is missing there is committed again.
            if record.epoch == chain.epoch.epoch {
                record.committed = chain.block;
            }
            record
        });
        for header in &chain.recovered.headers {
            chain.headers.offer(header.clone().into());
        }
        let core = Core::new(config, (*chain.epoch).clone(), scheme, record, chain.recovered.headers);
        let (sender, receiver) = channel;
        Self {
            context,
            core,
            safety: chain.safety,
            headers_synced: chain.headers.tip(),
            headers: chain.headers,
            me: chain.config.me,
            signs: chain.config.signs,
            keys: keys(&chain.epoch),
            index: chain.index,
            epoch: chain.epoch,
            epochs: chain.epochs,
            known: chain.handle.epochs,
            farewells: chain.farewells,
            stragglers: Stragglers::default(),
            sender,
            receiver,
            peers,
            reporter,
            membership,
            content,
            awaited: None,
            updates,
            wants,
            found,
            events: chain.handle.events,
            committed: chain.committed,
            position: chain.position,
            ping_at: TimestampMs(0),
            pongs: Pongs::default(),
        }
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`].
    pub async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        if let Some(membership) = &mut self.membership {
            membership.track(&self.epoch);
        }
        let outputs = self.step(Input::Start);
        self.carry_out(outputs).await?;
        loop {
            let wake = self.context.sleep(self.pause());
            let outputs = tokio::select! {
                biased;
                _ = &mut stopped => break,
                // Before peers, who may always have more: this comes from this node's own actors, a few at a time.
                Some(headers) = self.found.recv() => self.step(Input::Headers(headers)),
                Some(update) = self.updates.recv() => self.update(update),
                received = self.receiver.recv() => match received {
                    Ok((peer, bytes)) => self.receive_batch(&peer, bytes.into()),
                    Err(_) => break,
                },
                () = wake => Vec::new(),
            };
            self.carry_out(outputs).await?;
            self.tick().await?;
        }
        // So that a graceful stop loses nothing that would have to be fetched again.
        self.safety.sync().await?;
        Ok(self.headers.sync().await?)
    }

    pub(super) fn now(&self) -> TimestampMs {
        self.context.now_ms()
    }

    fn pause(&self) -> Duration {
        let deadlines = [self.core.deadline(), self.awaited.map(|(_, until)| until)];
        let due = deadlines.into_iter().flatten().fold(self.ping_at, TimestampMs::min);
        Duration::from_millis(due.0.saturating_sub(self.now().0))
    }

    pub(super) fn step(&mut self, input: Input) -> Vec<Output> {
        let now = self.now();
        self.core.step(input, now)
    }

    /// What is due by time alone. A flood of messages cannot keep it from being looked at.
    async fn tick(&mut self) -> Result<(), Stopped> {
        let now = self.now();
        if now >= self.ping_at {
            self.ping_at = TimestampMs(now.0 + PING_INTERVAL_MS);
            self.send(Recipients::All, &Wire::Ping(now.0));
        }
        if let Some((view, _)) = self.awaited.take_if(|(_, until)| *until <= now) {
            let outputs = self.step(Input::Content { view, payloads: List::default() });
            self.carry_out(outputs).await?;
        }
        if self.core.deadline().is_some_and(|deadline| deadline <= now) {
            let outputs = self.step(Input::Tick);
            self.carry_out(outputs).await?;
        }
        for (peer, epoch) in self.stragglers.due(now) {
            self.say_farewell(Recipients::One(peer), epoch).await;
        }
        Ok(())
    }

    fn update(&mut self, update: Update) -> Vec<Output> {
        let input = match update {
            Update::Content { view, payloads } => {
                // Content for a view that is over says nothing about the one that is waited for now.
                self.awaited.take_if(|(awaited, _)| *awaited == view);
                Input::Content { view, payloads: content(payloads) }
            }
            Update::Pending(pending) => Input::Pending(pending),
        };
        self.step(input)
    }

    /// Carries outputs out: first all that has to be durable, with one sync, then the rest in order.
    async fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), Stopped> {
        let mut turns = VecDeque::from([outputs]);
        while let Some(outputs) = turns.pop_front() {
            self.persist(&outputs).await?;
            let mut ended = None;
            for output in outputs {
                if let Output::EpochEnded { start, farewell } = output {
                    // What else comes of this turn is for the peers of the epoch that ends.
                    ended = Some((start, farewell));
                    continue;
                }
                let more = self.carry_out_one(output).await?;
                if !more.is_empty() {
                    turns.push_back(more);
                }
            }
            if let Some((start, farewell)) = ended {
                turns.push_back(self.next_epoch(start, farewell).await?);
            }
        }
        Ok(())
    }

    async fn persist(&mut self, outputs: &[Output]) -> Result<(), Stopped> {
        let last = outputs.iter().rposition(|output| matches!(output, Output::Persist(_)));
        let committed = outputs.iter().filter_map(|output| match output {
            Output::Committed { headers, .. } => headers.last().map(|header| header.height),
            _ => None,
        });
        let committed = committed.max().unwrap_or_default();
        for (position, output) in outputs.iter().enumerate() {
            match output {
                Output::PersistHeader(header) => {
                    self.safety.header(header.unshared()).await?;
                    // What is committed in the same turn is found by its height.
                    if header.height > committed {
                        self.headers.offer(header.clone());
                    }
                }
                // A record replaces the ones before it as a whole.
                Output::Persist(record) if Some(position) == last => self.safety.record((**record).clone()).await?,
                _ => {}
            }
        }
        self.safety.sync().await?;
        if self.safety.is_full() {
            self.sync_headers().await?;
            self.safety.roll(self.headers_synced).await?;
        }
        Ok(())
    }

    async fn carry_out_one(&mut self, output: Output) -> Result<Vec<Output>, Stopped> {
        match output {
            // The end of an epoch is the end of a turn.
            Output::Persist(_) | Output::PersistHeader(_) | Output::EpochEnded { .. } => {}
            Output::Send { to, message } => self.send_to(to, message),
            Output::WantContent { view, parent, .. } => return Ok(self.propose(view, &parent)),
            Output::WantHeaders { id, height, above } => {
                // Whoever fetches is asked again if it is busy now.
                let _ = self.wants.try_send(Want { id, height, above });
            }
            Output::Proposed(tip) => {
                if self.index == Some(tip.header.author) {
                    self.content.proposed(tip.header.epoch, tip.header.view);
                }
                let Header { view, height, payloads, .. } = &*tip.header;
                debug!(%view, %height, payloads = payloads.len(), "a header is proposed");
                self.tell(ChainEvent::Proposed { tip: Arc::new(*tip) });
            }
            Output::Certified(certificate) => self.tell(ChainEvent::Certified { certificate }),
            Output::Committed { headers, proof } => self.commit(headers, proof).await?,
            Output::Entered(view) => self.enter(view),
            Output::Behind { peer, epoch } => {
                if let Some(key) = self.keys.get(peer.as_usize()).cloned().flatten() {
                    self.say_farewell(Recipients::One(key), epoch).await;
                }
            }
            Output::Conflict { committed, proof } => {
                return Err(Stopped::Conflict { committed, proof: Box::new(proof) });
            }
            Output::Evidence(evidence) => self.reporter.report(*evidence),
            Output::Misbehaviour { peer, what } => {
                if let Some(key) = self.keys.get(peer.as_usize()).cloned().flatten() {
                    self.peers.block(&key, &format!("validator {peer}: {what}"));
                }
            }
        }
        Ok(Vec::new())
    }

    fn tell(&self, event: ChainEvent) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    fn send_to(&mut self, to: To, message: Message) {
        let recipients = match to {
            To::All => Recipients::Some(
                self.keys
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| !self.is_me(*index))
                    .filter_map(|(_, key)| key.clone())
                    .collect(),
            ),
            To::One(index) => match self.keys.get(index.as_usize()).cloned().flatten() {
                Some(key) => Recipients::One(key),
                None => return,
            },
        };
        self.send(recipients, &Wire::Consensus(message));
    }

    fn is_me(&self, index: usize) -> bool {
        self.index.is_some_and(|me| me.as_usize() == index)
    }

    pub(super) fn send(&mut self, recipients: Recipients<PublicKey>, wire: &Wire) {
        let sent = self.sender.send(recipients, wire.encode(), true);
        if sent.is_empty() {
            debug!("a message of consensus reaches nobody: peers are away");
        }
    }

    fn propose(&mut self, view: View, parent: &BlockReference) -> Vec<Output> {
        let taken = self.content.take(self.epoch.epoch, view, parent);
        let pending = self.content.pending();
        let mut outputs = self.step(Input::Pending(pending));
        match taken {
            Content::Ready(payloads) => {
                outputs.extend(self.step(Input::Content { view, payloads: content(payloads) }));
            }
            // Answered when the payload is ready, or time is up.
            Content::Soon { wait_ms } => self.awaited = Some((view, TimestampMs(self.now().0 + wait_ms))),
        }
        outputs
    }

    async fn commit(&mut self, headers: Vec<Shared<Header>>, proof: CommitProof) -> Result<(), Stopped> {
        let last = headers.len().saturating_sub(1);
        for (position, header) in headers.into_iter().enumerate() {
            let proof = (position == last).then(|| proof.clone());
            self.headers.append(Committed { header: header.clone(), proof }).await?;
            self.committed.send_replace(header.height);
            debug!(height = %header.height, view = %header.view, "a block is committed");
            self.tell(ChainEvent::Committed { height: header.height, header });
        }
        if self.headers.tip().0 >= self.headers_synced.0 + HEADERS_PER_SYNC {
            self.sync_headers().await?;
        }
        Ok(())
    }

    async fn sync_headers(&mut self) -> Result<(), Stopped> {
        self.headers.sync().await?;
        self.headers_synced = self.headers.tip();
        Ok(())
    }

    fn enter(&mut self, view: View) {
        let (epoch, index) = (self.epoch.clone(), self.index);
        let leader = epoch.leader(view);
        debug!(%view, %leader, "enters a view");
        self.tell(ChainEvent::Entered { epoch: epoch.epoch, view, leader });
        self.position.send_replace(Position { epoch, view, index });
    }

    async fn next_epoch(&mut self, start: BlockReference, farewell: Vec<Message>) -> Result<Vec<Output>, Stopped> {
        let next = self.epoch.epoch.next();
        let info = (self.epochs)(next, start).ok_or(Stopped::NoEpoch(next))?;
        // Durable before the header that ends the epoch: who restarts behind it finds the farewell.
        let farewell = if farewell.is_empty() { proof_of(&self.headers, self.epoch.closing).await } else { farewell };
        self.farewells.keep(self.epoch.epoch, farewell).await?;
        self.sync_headers().await?;
        self.index = info.validators.index_of(&self.me).filter(|_| self.signs);
        self.epoch = Arc::new(info);
        self.keys = keys(&self.epoch);
        self.stragglers.clear();
        self.known.insert(self.epoch.clone());
        if let Some(membership) = &mut self.membership {
            membership.track(&self.epoch);
        }
        info!(epoch = %next, height = %start.height, index = ?self.index, "an epoch begins");
        self.tell(ChainEvent::EpochStarted { info: self.epoch.clone() });
        Ok(self.step(Input::Epoch { info: (*self.epoch).clone(), index: self.index }))
    }

    async fn say_farewell(&mut self, to: Recipients<PublicKey>, epoch: Epoch) {
        let farewell = self.farewells.get(epoch).await.unwrap_or_else(|failure| {
            // Nothing that this node promises depends on it, and others have it too.
            error!(%epoch, %failure, "reading how an epoch ended, for a peer that missed it");
            Vec::new()
        });
        for message in farewell {
            self.send(to.clone(), &Wire::Consensus(message));
        }
    }
}

fn content(
    payloads: Vec<AvailabilityCertificate>,
) -> List<AvailabilityCertificate, { chorale_types::limits::HEADER_PAYLOADS_MAX }> {
    let mut payloads = payloads;
    payloads.truncate(chorale_types::limits::HEADER_PAYLOADS_MAX);
    List::new(payloads).expect("cut to the bound")
}

/// The mesh keys of an epoch's validators.
fn keys(info: &EpochInfo) -> Vec<Option<PublicKey>> {
    info.validators
        .iter()
        .map(|(_, validator)| PublicKey::decode(Bytes::copy_from_slice(&validator.node.0)).ok())
        .collect()
}
