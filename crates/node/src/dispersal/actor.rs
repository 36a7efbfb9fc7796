//! The dispersal actor: chunks to disk, acknowledgements to builders, certificates to the proposer.

use super::{
    Basis, Config, Request,
    acknowledgements::Aggregated,
    builder::{NotCertified, Own, expired},
    custody::{Custody, stored_bytes},
    keys::{assignment_of, node_key, peer_of},
    manifests::{Known, Manifests},
    message::{Acknowledge, Announce, Message, Refuse},
    offers::{Announcement, check_announced},
    storing::{Checked, Promise, StoredChunks},
    wire::{ForDispersal, Outbox, Received},
};
use crate::{
    ports::{ChainHandle, Peers},
    runtime::Context,
    store::Vault,
};
use chorale_dispersal::Assignment;
use chorale_foundation::{
    cryptography::ed25519::PublicKey, p2p::Sender, runtime::Error as RuntimeError,
    storage::archive::Error as StorageError,
};
use chorale_types::{
    Acknowledged, Commitment, Epoch, EpochInfo, Height, Manifest, Scheme, TimestampMs, ValidatorIndex, View,
    codec::EncodeSize,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tracing::debug;

/// Heights after opening during which chunks are kept for nodes that are a little behind; later ones get the payload.
const CHUNKS_KEPT_HEIGHTS: u64 = 32;

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed: what was promised may not be there any more.
    #[error("storing chunks: {0}")]
    Storage(#[from] StorageError),
    /// A task died.
    #[error("task of the dispersal actor: {0}")]
    Task(#[from] RuntimeError),
}

/// See the [module](super).
pub struct Actor<E: Context, S, N> {
    pub(super) context: E,
    pub(super) config: Config,
    pub(super) scheme: S,
    chain: ChainHandle,
    pub(super) peers: Peers,
    pub(super) outbox: Outbox<N>,
    requests: mpsc::Receiver<Request>,
    incoming: mpsc::UnboundedReceiver<Received<ForDispersal>>,
    manifests: Manifests,
    pub(super) vault: Vault<E, StoredChunks>,
    pub(super) custody: Custody<u64>,
    /// The number of the next chunks on disk.
    pub(super) number: u64,
    /// The last committed height that was looked at.
    pub(super) height: Height,
    pub(super) epoch: Arc<EpochInfo>,
    pub(super) assignment: Assignment,
    pub(super) own: BTreeMap<Commitment, Own>,
    /// Ordered payloads that opened to nothing: only their chunks show it.
    malformed: BTreeMap<Commitment, Height>,
    malformed_vault: Vault<E, Commitment>,
    /// Passed their check, to be written with the next batch.
    pub(super) batch: Vec<Checked>,
    /// Written, but not known to be on disk.
    pub(super) unsynced: BTreeSet<Commitment>,
    /// What was sent for chunks that are held: a builder that asks again costs no signature.
    pub(super) acknowledgements: BTreeMap<Commitment, Acknowledge>,
    pub(super) checks: BTreeMap<PublicKey, usize>,
    pub(super) checking: FuturesUnordered<BoxFuture<'static, Result<Checked, RuntimeError>>>,
    pub(super) syncing: FuturesUnordered<BoxFuture<'static, Result<Vec<Promise>, RuntimeError>>>,
    aggregating: FuturesUnordered<BoxFuture<'static, Result<(Commitment, Aggregated), RuntimeError>>>,
}

/// What the actor is connected to.
pub struct Connections<S, N> {
    /// Signs acknowledgements, verifies those of others.
    pub scheme: S,
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// Who is cut off for misbehaviour.
    pub peers: Peers,
    /// To peers.
    pub outbox: Outbox<N>,
    /// From this node.
    pub requests: mpsc::Receiver<Request>,
    /// From peers.
    pub incoming: mpsc::UnboundedReceiver<Received<ForDispersal>>,
    /// Written here.
    pub manifests: Manifests,
}

impl<E, S, N> Actor<E, S, N>
where
    E: Context,
    S: Scheme + Clone + Send + Sync + 'static,
    N: Sender<PublicKey = PublicKey>,
{
    /// Opens the chunks on disk and takes up what they promise.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn open(context: E, config: Config, connections: Connections<S, N>) -> Result<Self, Stopped> {
        let Connections { scheme, chain, peers, outbox, requests, incoming, manifests } = connections;
        let vault = Vault::open(context.child("chunks"), &format!("{}-chunks", config.partition)).await?;
        let malformed_vault =
            Vault::open(context.child("malformed"), &format!("{}-malformed", config.partition)).await?;
        let epoch = chain.position.borrow().epoch.clone();
        let height = *chain.committed.borrow();
        let mut actor = Self {
            custody: Custody::new(config.limits, epoch.clone()),
            assignment: assignment_of(&epoch),
            height,
            number: 0,
            own: BTreeMap::new(),
            malformed: BTreeMap::new(),
            malformed_vault,
            batch: Vec::new(),
            unsynced: BTreeSet::new(),
            acknowledgements: BTreeMap::new(),
            checks: BTreeMap::new(),
            checking: FuturesUnordered::new(),
            syncing: FuturesUnordered::new(),
            aggregating: FuturesUnordered::new(),
            context,
            config,
            scheme,
            chain,
            peers,
            outbox,
            requests,
            incoming,
            manifests,
            vault,
            epoch,
        };
        actor.restore().await?;
        Ok(actor)
    }

    /// Everything on disk is held again; the headers committed since it came say what may go.
    async fn restore(&mut self) -> Result<(), Stopped> {
        for number in self.vault.numbers() {
            for stored in self.vault.get_all(number).await? {
                self.number = self.number.max(number + 1);
                self.height = self.height.min(stored.height);
                let bytes = stored_bytes(&stored.chunks, stored.manifest.encode_size());
                self.learn(stored.epoch, &stored.acknowledged, stored.manifest);
                self.custody.insert(stored.epoch, stored.acknowledged, number, bytes);
            }
        }
        for number in self.malformed_vault.numbers() {
            for commitment in self.malformed_vault.get_all(number).await? {
                self.malformed.insert(commitment, Height(number));
            }
        }
        self.follow().await
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`].
    pub async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        loop {
            let wake = self.context.sleep(self.pause());
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                Some(promises) = self.syncing.next() => self.acknowledge(promises?),
                Some(checked) = self.checking.next() => self.checked(checked?),
                Some(aggregated) = self.aggregating.next() => {
                    let (commitment, aggregated) = aggregated?;
                    self.aggregated(commitment, aggregated);
                }
                changed = self.chain.committed.changed() => {
                    if changed.is_err() { return Ok(()); }
                    self.follow().await?;
                }
                // An epoch begins before its first block is committed.
                changed = self.chain.position.changed() => {
                    if changed.is_err() { return Ok(()); }
                    self.follow().await?;
                }
                Some(request) = self.requests.recv() => self.serve(request).await?,
                received = self.incoming.recv() => match received {
                    Some(received) => self.receive(received),
                    None => return Ok(()),
                },
                () = wake => {}
            }
            self.send_due();
            self.write_batch().await?;
        }
    }

    fn now(&self) -> TimestampMs {
        self.context.now_ms()
    }

    fn pause(&self) -> Duration {
        let idle = TimestampMs(self.now().0 + self.config.resend_after_ms);
        let due = self.own.values().map(Own::due_at).min().unwrap_or(idle).min(idle);
        Duration::from_millis(due.0.saturating_sub(self.now().0).max(1))
    }

    pub(super) fn view(&self) -> View {
        let position = self.chain.position.borrow();
        // In another epoch nothing of this one can be ordered; `follow` drops it.
        if position.epoch.epoch == self.epoch.epoch { position.view } else { View(u64::MAX) }
    }

    pub(super) fn me(&self) -> Option<ValidatorIndex> {
        let position = self.chain.position.borrow();
        position.index.filter(|_| position.epoch.epoch == self.epoch.epoch)
    }

    async fn serve(&mut self, request: Request) -> Result<(), Stopped> {
        match request {
            Request::Disperse { epoch, sealed, manifest, reply } => {
                // The proposer may have seen an epoch begin that this actor has not looked at yet.
                self.follow().await?;
                match self.me() {
                    Some(me) if epoch == self.epoch.epoch => {
                        let own = Own::new(*sealed, manifest, self.epoch.clone(), reply);
                        self.begin(me, own);
                    }
                    _ => drop(reply.send(Err(NotCertified::Epoch))),
                }
            }
            Request::Announce(announce) => self.announce(announce),
            Request::Chunks { commitment, basis, reply } => {
                // Whoever asks may have seen a header committed that this actor has not looked at yet.
                self.follow().await?;
                let held = match basis {
                    Basis::Ordered => self.custody.ordered(&commitment),
                    Basis::Certified => self.custody.get(&commitment),
                };
                let chunks = match held {
                    Some(_) => self.vault.get(&commitment.0).await?.map(|stored| stored.chunks),
                    None => None,
                };
                let _ = reply.send(chunks);
            }
            Request::Archived { height, malformed } => {
                for commitment in malformed {
                    self.malformed_vault.put(height.0, commitment.0, &commitment).await?;
                    self.malformed_vault.sync().await?.await?;
                    self.malformed.insert(commitment, height);
                }
                self.settle(height).await?;
            }
        }
        Ok(())
    }

    fn announce(&mut self, announce: Announce) {
        if announce.epoch != self.epoch.epoch {
            return;
        }
        let Some(me) = self.me() else { return };
        let message = Message::Announce(announce);
        for index in self.epoch.validators.indices().filter(|index| *index != me) {
            if let Some(key) = peer_of(&self.epoch, index) {
                self.outbox.send(&key, &message);
            }
        }
    }

    fn announced(&self, peer: &PublicKey, from: ValidatorIndex, announce: Announce) {
        let view = self.chain.position.borrow().view;
        let bytes_max = self.config.limits.payload_bytes_max;
        match check_announced(&self.epoch, view, from, &announce, bytes_max) {
            Announcement::Wrong => self.peers.block(peer, "announced a payload that cannot be"),
            Announcement::Ignored => debug!(%from, target = %announce.target, "ignored an announcement"),
            Announcement::Counts => {
                if let Some(validator) = self.epoch.validators.get(from) {
                    let Announce { epoch, target, manifest } = announce;
                    self.manifests.announce(validator.builder(), (epoch, target), manifest, view);
                }
            }
        }
    }

    fn begin(&mut self, me: ValidatorIndex, own: Own) {
        let acknowledged = *own.acknowledged();
        if let Some(message) = own.message_for(me) {
            self.batch.push(Checked { peer: None, acknowledged, message, result: Ok(()), place: None });
        }
        self.own.insert(acknowledged.commitment, own);
    }

    /// Sends chunks that are due, and gives up what has expired.
    fn send_due(&mut self) {
        let view = self.view();
        for commitment in expired(&self.own, &self.epoch, view) {
            if let Some(own) = self.own.remove(&commitment) {
                own.finish(Err(NotCertified::Expired(view)));
            }
        }
        let (Some(me), now, again) = (self.me(), self.now(), self.config.resend_after_ms) else { return };
        for own in self.own.values_mut() {
            for index in own.due(me, now, again) {
                if let (Some(key), Some(message)) = (peer_of(own.epoch(), index), own.message_for(index)) {
                    self.outbox.send(&key, &Message::Disperse(message));
                }
            }
        }
    }

    fn receive(&mut self, received: Received<ForDispersal>) {
        let Received { peer, message, place } = received;
        let Some(from) = self.epoch.validators.index_of(&node_key(&peer)) else {
            debug!(%peer, "ignored a message about dispersal from who is no validator of this epoch");
            return;
        };
        match message {
            ForDispersal::Disperse(message) => self.offered(peer, from, message, place),
            ForDispersal::Announce(announce) => self.announced(&peer, from, announce),
            ForDispersal::Acknowledge(Acknowledge { commitment, signature }) => {
                if let Some(own) = self.own.get_mut(&commitment) {
                    own.acknowledgements().add(from, signature);
                    self.aggregate(&commitment);
                }
            }
            ForDispersal::Refuse(Refuse { commitment, reason }) => {
                debug!(%peer, %commitment, ?reason, "a validator refused the chunks of a payload");
                if let Some(why) = self.own.get_mut(&commitment).and_then(|own| own.refuse(from, reason))
                    && let Some(own) = self.own.remove(&commitment)
                {
                    own.finish(Err(why));
                }
            }
        }
    }

    /// Verifies the signatures of a payload together, beside this loop, once they are a quorum's.
    pub(super) fn aggregate(&mut self, commitment: &Commitment) {
        let Some(own) = self.own.get_mut(commitment) else { return };
        if own.aggregating || !own.acknowledgements().is_quorum() {
            return;
        }
        own.aggregating = true;
        let (collected, scheme, commitment) = (own.acknowledgements().clone(), self.scheme.clone(), *commitment);
        let task = self.context.child("aggregate").shared(true);
        let task = task.spawn(move |_| async move { (commitment, collected.aggregate(&scheme)) });
        self.aggregating.push(task.boxed());
    }

    fn aggregated(&mut self, commitment: Commitment, aggregated: Aggregated) {
        match aggregated {
            Aggregated::Certificate(certificate) => {
                if let Some(own) = self.own.remove(&commitment) {
                    debug!(%commitment, "a quorum acknowledged this node's payload");
                    own.finish(Ok(certificate));
                }
            }
            Aggregated::Faulty(faulty) => {
                let Some(own) = self.own.get_mut(&commitment) else { return };
                own.aggregating = false;
                own.acknowledgements().expel(faulty.iter().copied());
                for index in faulty {
                    if let Some(key) = peer_of(own.epoch(), index) {
                        self.peers.block(&key, "sent a wrong signature as an acknowledgement");
                    }
                }
                self.aggregate(&commitment);
            }
        }
    }

    pub(super) fn learn(&self, epoch: Epoch, acknowledged: &Acknowledged, manifest: Manifest) {
        let known = Known {
            manifest: Arc::new(manifest),
            builder: acknowledged.builder,
            epoch,
            expiry: acknowledged.expiry,
            ordered: false,
        };
        self.manifests.insert(acknowledged.commitment, known);
    }

    /// Looks at every header committed since the last time, then at the epoch.
    async fn follow(&mut self) -> Result<(), Stopped> {
        let tip = *self.chain.committed.borrow_and_update();
        while self.height < tip {
            self.height = self.height.next();
            // A header that is not kept any more ordered nothing that this node still holds unordered.
            let Some(committed) = self.chain.headers.get(self.height).await else { continue };
            self.manifests.committed(&committed.header);
            let gone = self.custody.committed(&committed.header);
            self.forget(&gone).await?;
        }
        let epoch = self.chain.position.borrow_and_update().epoch.clone();
        if epoch.epoch != self.epoch.epoch {
            self.assignment = assignment_of(&epoch);
            self.manifests.enter();
            let gone = self.custody.enter(epoch.clone());
            self.epoch = epoch;
            self.forget(&gone).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, height: Height) -> Result<(), Stopped> {
        let retention = self.config.retention_heights;
        self.malformed.retain(|_, at| at.0 + retention > height.0);
        self.malformed_vault.prune(height.0.saturating_sub(retention)).await?;
        let malformed = &self.malformed;
        let kept = Height(height.0.saturating_sub(CHUNKS_KEPT_HEIGHTS));
        let gone = self.custody.settled(kept, |commitment| malformed.contains_key(commitment));
        self.forget(&gone).await
    }

    async fn forget(&mut self, gone: &[Commitment]) -> Result<(), Stopped> {
        if gone.is_empty() {
            return Ok(());
        }
        self.manifests.forget(gone);
        self.acknowledgements.retain(|commitment, _| !gone.contains(commitment));
        let lowest = self.custody.iter().map(|held| held.location).min().unwrap_or(self.number);
        Ok(self.vault.prune(lowest).await?)
    }
}
