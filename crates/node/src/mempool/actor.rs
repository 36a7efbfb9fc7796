//! The loop: submissions, peers and the chain in; journal, gossip and statuses out.

use super::{
    Changed, EVENTS_MAX, Mailbox, REQUESTS_MAX, Request, SELECTS_MAX, Select, Submitted, journal::Journal,
    proposals::Proposals, roster::Roster,
};
use crate::{
    dispersal::Manifests,
    ports::{ChainEvent, ChainHandle, Peers},
    proposer::Selection,
    runtime::Context,
    settlement, watch,
};
use chorale_foundation::{
    Bytes,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
    runtime::Error as RuntimeError,
    storage::journal::Error as StorageError,
};
use chorale_ledger::SkipReason as Reason;
use chorale_mempool::{
    Carrier, Config, ConfigError, Entry, Incoming, Mempool, Message, Output, PeerId, Record, Reveal, SkipReason,
    Source, Standing,
};
use chorale_types::{
    Commitment, Epoch, EpochInfo, Header, Height, NodeKey, PayloadUnit, PromiseError, RollupId, TimestampMs, UnitId,
    codec::Encode,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{debug, warn};

/// Submissions that are taken in one turn, with one sync for all.
const BATCH_MAX: usize = 64;
/// How often the pool looks at what is due by time.
const TICK_MS: u64 = 50;
/// How long a submission waits at most for others, to go to peers in one message with them. The first after a pause goes at
/// once.
const FLUSH_MS: u64 = 10;
/// What no submitter waits for is synced after so many ticks: how much of what left the pool a crash may bring back into
/// it, to be recognised as ordered or to wait again.
const SYNC_TICKS: u32 = 20;
/// Heights whose content is taken out in one turn: after a pause there may be many, and others wait meanwhile.
const HEIGHTS_PER_TURN: u64 = 8;
/// Heights that are looked at again after a restart: the disk may not know that what they brought has left the pool, and
/// peers that lag behind may announce it.
const REPLAY_HEIGHTS: u64 = 128;

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed: what was accepted may not be there any more.
    #[error("the journal of the mempool: {0}")]
    Storage(#[from] StorageError),
    /// The disk failed while it was synced.
    #[error("syncing the journal of the mempool: {0}")]
    Sync(#[from] RuntimeError),
    /// Limits that cannot hold together.
    #[error("the limits of the mempool: {0}")]
    Config(#[from] ConfigError),
}

/// What the actor is connected to.
pub struct Connections<N, R> {
    /// This node.
    pub me: NodeKey,
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// What heights brought.
    pub settlement: settlement::Mailbox,
    /// [`channel::MEMPOOL`](crate::mesh::channel::MEMPOOL).
    pub channel: (N, R),
    /// Cuts off peers.
    pub peers: Peers,
}

/// See the [module](super).
pub struct Actor<E: Context, N, R> {
    context: E,
    pool: Mempool,
    journal: Journal<E>,
    chain: ChainHandle,
    manifests: Manifests,
    settlement: settlement::Mailbox,
    sender: N,
    receiver: R,
    peers: Peers,
    roster: Roster,
    proposals: Proposals,
    requests: mpsc::Receiver<Request>,
    selects: mpsc::Receiver<Select>,
    waiting: watch::Sender<usize>,
    events: broadcast::Sender<Changed>,
    /// The last height whose content the pool knows.
    height: Height,
    known: watch::Sender<Height>,
    unsynced: bool,
    /// Whose validators it gossips with.
    epoch: Epoch,
    /// Something was accepted that peers have not been told of.
    unflushed: bool,
    /// When they may be told next.
    flush_at: SystemTime,
    ticks: u32,
    /// Wait for the next sync.
    answers: Vec<Answer>,
    /// The sync under way, and who waits for it.
    syncing: FuturesUnordered<BoxFuture<'static, Result<Vec<Answer>, RuntimeError>>>,
}

/// An answer to a submission, to be given once it is durable.
type Answer = (oneshot::Sender<Submitted>, Submitted);

impl<E, N, R> Actor<E, N, R>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// Takes up what was accepted before a restart. Also returns the last height whose content the pool knows.
    ///
    /// # Errors
    ///
    /// The disk's, or limits that cannot hold together.
    pub async fn open(
        mut context: E,
        mut config: Config,
        partition: &str,
        connections: Connections<N, R>,
    ) -> Result<(Self, Mailbox, watch::Receiver<Height>), Stopped> {
        let Connections { me, chain, settlement, channel: (sender, receiver), peers } = connections;
        let (journal, records) = Journal::open(context.child("journal"), &format!("{partition}-journal")).await?;
        let now = context.now_ms();
        context.fill_bytes(&mut config.hash_key);
        let height = *settlement.settled().borrow();
        let mut pool = Mempool::new(config, height, now)?;
        pool.restore(records, now);
        let (requests, receiver_of_requests) = mpsc::channel(REQUESTS_MAX);
        let (waiting, waiting_port) = watch::channel(0);
        let (known, known_port) = watch::channel(height);
        let events = broadcast::Sender::new(EVENTS_MAX);
        let (selects, receiver_of_selects) = mpsc::channel(SELECTS_MAX);
        let mailbox = Mailbox { requests, selects, waiting: waiting_port, events: events.clone() };
        let epoch = chain.position.borrow().epoch.clone();
        let mut actor = Self {
            context,
            pool,
            journal,
            chain,
            manifests: Manifests::default(),
            settlement,
            sender,
            receiver,
            peers,
            roster: Roster::new(me),
            proposals: Proposals::default(),
            requests: receiver_of_requests,
            selects: receiver_of_selects,
            waiting,
            events,
            height: Height(height.0.saturating_sub(REPLAY_HEIGHTS)),
            known,
            unsynced: false,
            unflushed: false,
            epoch: epoch.epoch,
            flush_at: UNIX_EPOCH,
            ticks: 0,
            answers: Vec::new(),
            syncing: FuturesUnordered::new(),
        };
        actor.enter(&epoch);
        actor.suspend();
        Ok((actor, mailbox, known_port))
    }

    /// Runs until the node is shut down. `manifests`: of payloads whose chunks this node holds.
    ///
    /// # Errors
    ///
    /// See [`Stopped`].
    pub async fn run(mut self, manifests: Manifests) -> Result<(), Stopped> {
        self.manifests = manifests;
        let mut stopped = self.context.stopped();
        let mut events = self.chain.events.subscribe();
        let mut settled = self.settlement.settled();
        // Once for all that is settled, also if no height follows for a while.
        settled.mark_changed();
        let mut tick_at = self.context.current();
        let mut is_behind = false;
        loop {
            let wake = self.context.sleep_until(tick_at);
            let flush = self.context.sleep_until(self.flush_at);
            let flushes = self.unflushed;
            self.pool.set_status_events(self.events.receiver_count() > 0);
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(self.journal.sync().await?),
                event = events.recv() => match event {
                    Ok(event) => self.observe(event),
                    // Statuses lag; the content of heights tells all in the end. But for an epoch that began.
                    Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up(),
                    Err(broadcast::error::RecvError::Closed) => return Ok(()),
                },
                Some(durable) = self.syncing.next() => answer(durable?),
                Some(Select { selection, reply }) = self.selects.recv() => drop(reply.send(self.select(&selection))),
                changed = settled.changed(), if !is_behind => {
                    if changed.is_err() { return Ok(()); }
                    is_behind = true;
                }
                // Before those who may always have more.
                () = wake => {
                    self.tick().await?;
                    tick_at = self.context.current() + Duration::from_millis(TICK_MS);
                }
                () = flush, if flushes => self.flush(),
                Some(request) = self.requests.recv() => {
                    self.serve_batch(request);
                    // Between batches, or who submits without a pause would keep this node out of gossip.
                    let waiting = self.receiver.recv().now_or_never();
                    match waiting {
                        Some(Ok((peer, bytes))) => self.receive(&peer, bytes.into()),
                        Some(Err(_)) => return Ok(()),
                        None => {}
                    }
                }
                received = self.receiver.recv() => match received {
                    Ok((peer, bytes)) => self.receive(&peer, bytes.into()),
                    Err(_) => return Ok(()),
                },
                () = std::future::ready(()), if is_behind => {}
            }
            if is_behind {
                let settled = *settled.borrow();
                is_behind = self.follow(settled).await;
            }
            self.carry_out().await?;
        }
    }

    fn now(&self) -> TimestampMs {
        self.context.now_ms()
    }

    /// An event may have been missed that said that an epoch began.
    fn catch_up(&mut self) {
        let epoch = self.chain.position.borrow().epoch.clone();
        if epoch.epoch != self.epoch {
            self.pool.epoch_ended(self.now());
            self.enter(&epoch);
        }
    }

    /// Gossips with the validators of this epoch from now on.
    fn enter(&mut self, epoch: &EpochInfo) {
        self.epoch = epoch.epoch;
        let now = self.now();
        let peers = self.roster.enter(epoch);
        self.pool.set_peers(peers, now);
    }

    async fn tick(&mut self) -> Result<(), Stopped> {
        let now = self.now();
        self.pool.tick(now);
        self.ticks += 1;
        if self.ticks >= SYNC_TICKS {
            self.ticks = 0;
            self.sync().await?;
        }
        Ok(())
    }

    /// What consensus saw: statuses, and what to leave out of payloads.
    fn observe(&mut self, event: ChainEvent) {
        let now = self.now();
        match event {
            ChainEvent::Proposed { tip } => {
                self.proposals.insert(&tip.header);
                self.claim(&tip.header);
            }
            ChainEvent::Certified { certificate } => {
                for payload in self.proposals.take(&certificate.block.id) {
                    self.pool.certified(&payload, now);
                }
            }
            ChainEvent::Committed { header, .. } => {
                // The proposal, or the manifest until then, may have been missed.
                self.claim(&header);
                for certificate in header.payloads.iter() {
                    self.pool.committed(&certificate.commitment(), now);
                }
                self.pool.manifests_dropped_below(header.view, now);
            }
            ChainEvent::EpochStarted { info } => {
                self.pool.epoch_ended(now);
                self.enter(&info);
            }
            ChainEvent::Entered { .. } => {}
        }
    }

    /// Marks what the payloads of a header claim to carry.
    fn claim(&mut self, header: &Header) {
        let now = self.now();
        for certificate in header.payloads.iter() {
            let commitment = certificate.commitment();
            // Without chunks of its own this node has no manifest. What is ordered twice for that is a repeat.
            if let Some(manifest) = self.manifests.get(&commitment) {
                let carrier = Carrier { height: header.height, view: header.view };
                self.pool.manifest_seen(commitment, &manifest, carrier, now);
            }
        }
    }

    /// Takes out what heights brought, a few at a time. Whether there are more.
    async fn follow(&mut self, settled: Height) -> bool {
        let last = settled.min(Height(self.height.0.saturating_add(HEIGHTS_PER_TURN)));
        while self.height < last {
            let height = self.height.next();
            match self.settlement.record(height).await {
                Ok(record) => {
                    let included: Vec<UnitId> = record.included().into_iter().map(|it| it.id).collect();
                    let skipped: Vec<(UnitId, SkipReason)> =
                        record.skipped().iter().filter_map(|it| Some((it.id, skip_reason(it.reason)?))).collect();
                    let payloads: Vec<Commitment> = record.payloads().iter().map(|name| name.commitment).collect();
                    let reveal = Reveal { height, payloads: &payloads, included: &included, skipped: &skipped };
                    let now = self.now();
                    self.pool.revealed(&reveal, now);
                }
                Err(reason) => debug!(%height, %reason, "the pool does not learn what a height brought"),
            }
            self.height = height;
        }
        self.suspend();
        self.known.send_if_modified(|known| std::mem::replace(known, self.height) != self.height);
        self.height < settled
    }

    /// Takes nothing for rollups that are suspended, and again for those that are not any more.
    fn suspend(&mut self) {
        let standings = self.settlement.standings().borrow().clone();
        let suspended = |rollup: &RollupId| standings.iter().any(|it| it.suspended.iter().any(|(it, _)| it == rollup));
        let standing = |rollup: &RollupId| if suspended(rollup) { Standing::Suspended } else { Standing::Active };
        let now: BTreeMap<RollupId, Standing> =
            self.pool.rollups().keys().map(|rollup| (*rollup, standing(rollup))).collect();
        if now != *self.pool.rollups() {
            self.pool.set_rollups(now, self.now());
        }
    }

    /// Takes a request, and what else waits already.
    fn serve_batch(&mut self, first: Request) {
        self.serve(first);
        for _ in 1..BATCH_MAX {
            let Ok(request) = self.requests.try_recv() else { break };
            self.serve(request);
        }
        self.unflushed = true;
        if self.context.current() >= self.flush_at {
            self.flush();
        }
    }

    /// Tells peers what was accepted.
    fn flush(&mut self) {
        let now = self.now();
        self.pool.flush(now);
        self.unflushed = false;
        self.flush_at = self.context.current() + Duration::from_millis(FLUSH_MS);
    }

    fn serve(&mut self, request: Request) {
        let now = self.now();
        match request {
            Request::Submit { units, reply } => {
                // Of a batch, each gets a buffer of its own: one that is kept would keep the whole request in memory.
                let entries = units.into_iter().map(|unit| Entry::new(unit).detached());
                let submitted = entries.map(|entry| self.pool.submit(entry, Source::Local, now)).collect();
                self.answers.push((reply, submitted));
            }
            Request::Status { id, reply } => {
                let status = self.pool.status(&id);
                let _ = reply.send(status.map(|status| (status, self.pool.carrier(&id))));
            }
            Request::Figures { reply } => drop(reply.send(self.pool.figures())),
        }
    }

    fn select(&mut self, selection: &Selection) -> Vec<PayloadUnit> {
        let Selection { bytes_max, overdue_bytes_max, revealed, entries_max, height, exclude, leave } = selection;
        let own = |entry: &Entry| exclude.own.contains(&entry.id());
        let claimed = |entry: &Entry| exclude.overdue_too && exclude.claims(entry.unit());
        let mut entries = self.pool.overdue(*overdue_bytes_max, *entries_max, *revealed, *height, own, claimed);

        let taken: BTreeSet<UnitId> = entries.iter().map(Entry::id).collect();
        let excluded = |entry: &Entry| taken.contains(&entry.id()) || exclude.excludes(entry.unit());
        let left_bytes = bytes_max.saturating_sub(entries.iter().map(Entry::bytes).sum()) + leave.bytes;
        let mut others = self.pool.select(left_bytes, entries_max - entries.len(), *height, excluded);
        let mut left = 0;
        others.retain(|entry| {
            let leaves = left < leave.bytes && self.pool.arrived_at(&entry.id()).is_some_and(|at| at < leave.before);
            left += if leaves { entry.bytes() } else { 0 };
            !leaves
        });
        entries.append(&mut others);
        entries.into_iter().map(Entry::into_unit).collect()
    }

    fn receive(&mut self, peer: &PublicKey, bytes: Bytes) {
        let Some(from) = self.roster.number_of(peer) else { return };
        match Incoming::decode(bytes) {
            Ok(incoming) => {
                let now = self.now();
                self.pool.receive(from, incoming, now);
            }
            Err(error) => self.peers.block(peer, &format!("sent the mempool {error}")),
        }
    }

    /// Carries out what the pool wants done; then answers whose submissions are durable.
    async fn carry_out(&mut self) -> Result<(), Stopped> {
        for output in self.pool.drain_outputs() {
            match output {
                Output::Journal(record) => self.write(&record).await?,
                Output::Send { to, message } => self.send(&to, &message),
                // Nobody may be listening.
                Output::Status { id, status } => drop(self.events.send(Changed { id, status })),
                Output::Misbehaviour { peer, what } => self.accuse(peer, &what.to_string()),
            }
        }
        if !self.answers.is_empty() && self.syncing.is_empty() {
            let answers = std::mem::take(&mut self.answers);
            let durable = self.journal.start_sync().await?;
            self.unsynced = false;
            self.syncing.push(durable.map(|done| done.map(|()| answers)).boxed());
        }
        if self.journal.is_full() {
            let snapshot = self.pool.snapshot();
            self.journal.roll(&snapshot).await?;
        }
        let waiting = self.pool.waiting();
        self.waiting.send_if_modified(|before| std::mem::replace(before, waiting) != waiting);
        Ok(())
    }

    async fn write(&mut self, record: &Record) -> Result<(), Stopped> {
        self.journal.append(record).await?;
        self.unsynced = true;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Stopped> {
        if self.unsynced {
            self.journal.sync().await?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn send(&mut self, to: &[PeerId], message: &Message) {
        let keys = to.iter().filter_map(|peer| self.roster.key(*peer).cloned()).collect();
        // What is lost is announced later.
        let _ = self.sender.send(Recipients::Some(keys), message.encode(), false);
    }

    fn accuse(&self, peer: PeerId, what: &str) {
        match self.roster.key(peer) {
            Some(key) => self.peers.block(key, &format!("the mempool: {what}")),
            None => warn!(%peer, what, "an unknown peer misbehaved"),
        }
    }
}

/// Tells that submissions are durable.
fn answer(answers: Vec<Answer>) {
    for (reply, submitted) in answers {
        // Who does not wait any more can ask for the status.
        let _ = reply.send(submitted);
    }
}

/// The pool's word for why an ordered unit has no effect; none if that says nothing about the unit in the pool.
const fn skip_reason(reason: Reason) -> Option<SkipReason> {
    match reason {
        Reason::Repeated { .. } | Reason::Burnt { .. } => Some(SkipReason::Duplicate),
        // The signature is the one thing in a bundle that its id does not bind: somebody ordered it with another one, and
        // must not take the true one out of the pool by that.
        Reason::Promise(PromiseError::Signature { .. }) => None,
        Reason::Expired { .. }
        | Reason::ExpiryTooFar { .. }
        | Reason::UnknownRollup(_)
        | Reason::Suspended { .. }
        | Reason::System(_)
        | Reason::Promise(_) => Some(SkipReason::Invalid),
    }
}
