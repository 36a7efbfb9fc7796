//! The attestation actor.

use super::{
    Closing, Config, Event, Ingress, Mailbox, Message, Request,
    missing::{ASK_TURN_MS, Missing, Whom},
    store::{Attestations, Error as StorageError, Signed},
    votes::{Quorum, Votes},
};
use crate::{
    dispersal::keys::{node_key, peer_of},
    evidence::Reporter,
    ports::{ChainHandle, Peers},
    runtime::Context,
    settlement,
};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
};
use chorale_types::{
    Attestation, DOMAIN_ORDERING, Digest, Epoch, Height, NodeKey, OutcomeVote, Scheme, Statement, TimestampMs,
    ValidatorIndex, codec::Encode,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tracing::{debug, error, warn};

/// Heights that are signed together at most: one write to disk for all of them.
const BATCH_MAX: u64 = 64;
/// Heights behind the last committed one whose signatures are sent unasked.
const RECENT_HEIGHTS: u64 = 64;
/// Heights between syncs of attestations.
const SYNC_HEIGHTS: u64 = 64;
/// Why a validator whose signature does not hold is cut off.
pub(super) const SIGNED_FALSELY: &str = "signed an outcome falsely";

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Settlement has no record of a height that it says is settled.
    #[error("the record of height {height}: {error}")]
    Record {
        /// The height.
        height: Height,
        /// Why.
        error: settlement::Unavailable,
    },
    /// This node found another outcome than a quorum.
    #[error(
        "at height {height} this node found the outcome {ours}, and a quorum attested {attested}: this node, or a \
         quorum, is wrong. It stops; do not delete its data before you know which"
    )]
    Diverged {
        /// The height.
        height: Height,
        /// The root that this node computed.
        ours: Digest,
        /// The root that is attested.
        attested: Digest,
    },
    /// This node found another outcome than it did before.
    #[error(
        "at height {height} this node found the outcome {now}, and signed {signed} before: one history, two outcomes"
    )]
    Inconsistent {
        /// The height.
        height: Height,
        /// The root computed now.
        now: Digest,
        /// The root signed before.
        signed: Digest,
    },
}

/// What the actor is connected to.
pub struct Connections<S, N, R> {
    /// This node on the mesh.
    pub me: NodeKey,
    /// Whether it has a consensus key to sign with.
    pub signs: bool,
    /// Signs and verifies.
    pub scheme: S,
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// Who is cut off for misbehaviour.
    pub peers: Peers,
    /// Takes evidence of two outcomes.
    pub reporter: Reporter,
    /// What was settled.
    pub settlement: settlement::Mailbox,
    /// [`channel::ATTEST`](crate::mesh::channel::ATTEST).
    pub channel: (N, R),
}

/// See the [module](super).
pub struct Actor<E: Context, S, N, R> {
    pub(super) context: E,
    config: Config,
    me: NodeKey,
    signs: bool,
    pub(super) scheme: S,
    pub(super) chain: ChainHandle,
    pub(super) peers: Peers,
    pub(super) reporter: Reporter,
    settlement: settlement::Mailbox,
    pub(super) sender: N,
    receiver: R,
    ingress: Ingress,
    pub(super) signed: Signed<E>,
    pub(super) attestations: Attestations<E>,
    pub(super) votes: Votes,
    /// The last settled height that was looked at.
    pub(super) last: Height,
    /// The last height that was settled before the node was started.
    restart: Height,
    pub(super) missing: Missing,
    /// Attestations of heights that are not settled here yet, not verified.
    pub(super) early: BTreeMap<Height, Attestation>,
    pub(super) answers: BTreeMap<PublicKey, (TimestampMs, u32)>,
    synced: Height,
}

impl<E, S, N, R> Actor<E, S, N, R>
where
    E: Context,
    S: Scheme + Send + Sync + 'static,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// Reads what was signed and attested. `restart` is settlement's: up to there, only what is not attested is looked at
    /// again.
    ///
    /// # Errors
    ///
    /// The disk's: without what it signed before, the node must not sign.
    pub async fn open(
        context: E,
        config: Config,
        restart: Height,
        connections: Connections<S, N, R>,
    ) -> Result<(Self, Mailbox), Stopped> {
        let Connections { me, signs, scheme, chain, peers, reporter, settlement, channel } = connections;
        let signed = Signed::open(context.child("signed"), &config.partition).await?;
        let attestations = Attestations::open(context.child("attestations"), &config.partition).await?;
        let (mailbox, ingress) = Mailbox::new();
        let (sender, receiver) = channel;
        let mut actor = Self {
            context,
            config,
            me,
            signs,
            scheme,
            chain,
            peers,
            reporter,
            settlement,
            sender,
            receiver,
            ingress,
            signed,
            attestations,
            votes: Votes::default(),
            last: restart,
            restart,
            missing: Missing::default(),
            early: BTreeMap::new(),
            answers: BTreeMap::new(),
            synced: restart,
        };
        actor.reopen();
        Ok((actor, mailbox))
    }

    /// Goes on with the first height that was settled before a restart and is not attested here: it may not even be signed.
    fn reopen(&mut self) {
        let attested: BTreeSet<u64> = self.attestations.heights().into_iter().collect();
        let oldest = self.restart.0.saturating_sub(self.config.retention_heights).max(1);
        let missing = (oldest..=self.restart.0).find(|height| !attested.contains(height));
        self.last = missing.map_or(self.restart, |height| Height(height - 1));
        self.publish(self.last);
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`]. After any of them the node has to stop.
    pub async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        let mut settled = self.settlement.settled();
        loop {
            let last = *settled.borrow_and_update();
            self.look(last).await?;
            let pause_ms = if self.missing.is_empty() { self.config.ask_after_ms.max(1) } else { ASK_TURN_MS };
            let wake = self.context.sleep(Duration::from_millis(pause_ms));
            tokio::select! {
                biased;
                _ = &mut stopped => return self.shut_down().await,
                changed = settled.changed() => if changed.is_err() { return self.shut_down().await },
                Some(request) = self.ingress.requests.recv() => match request {
                    Request::Get { height, reply } => drop(reply.send(self.attestations.get(height).await?)),
                    Request::Closing { epoch, reply } => drop(reply.send(self.attestations.closing(epoch).await?)),
                },
                message = self.receiver.recv() => match message {
                    Ok((peer, bytes)) => self.receive(peer, bytes.into()).await?,
                    Err(_) => return self.shut_down().await,
                },
                () = wake => {}
            }
            self.ask_due();
        }
    }

    async fn shut_down(&mut self) -> Result<(), Stopped> {
        self.signed.sync().await?;
        Ok(self.attestations.sync().await?.await.map_err(StorageError::from)?)
    }

    /// Looks at heights that were settled since the last time: signs them, and checks what others say about them.
    async fn look(&mut self, settled: Height) -> Result<(), Stopped> {
        while self.last < settled {
            let from = self.last.next();
            let until = Height(settled.0.min(self.last.0.saturating_add(BATCH_MAX)));
            let mut fresh = Vec::new();
            while self.last < until {
                let height = self.last.next();
                if height <= self.restart && self.attestations.get(height).await?.is_some() {
                    self.last = height;
                    continue;
                }
                let record = match self.settlement.record(height).await {
                    // Below retention nobody asks this node any more: it is late, which is no reason to stop.
                    Err(settlement::Unavailable::Pruned { first }) if height <= self.restart || height < first => {
                        self.last = height;
                        self.votes.remove(height);
                        self.early.remove(&height);
                        continue;
                    }
                    record => record.map_err(|error| Stopped::Record { height, error })?,
                };
                self.last = height;
                let outcome = record.outcome();
                if let Some(vote) = self.sign(height, outcome.epoch, outcome.root()).await? {
                    fresh.push(vote);
                }
                self.wait_for(height, outcome.root(), outcome.epoch);
            }
            // Durable before sent: one write for the whole batch.
            self.signed.sync().await?;
            // What is long settled elsewhere is attested there. If it is not, this node's signature is asked for.
            let recent = self.chain.committed.borrow().0.saturating_sub(RECENT_HEIGHTS);
            for vote in fresh {
                if vote.height.0 >= recent {
                    self.broadcast(&Message::Vote(vote));
                }
                self.votes.insert(vote);
            }
            for height in from.0..=until.0 {
                self.conclude(Height(height)).await?;
            }
        }
        Ok(())
    }

    /// This node's signature on a root; the one from before if it was signed before a restart.
    async fn sign(&mut self, height: Height, epoch: Epoch, root: Digest) -> Result<Option<OutcomeVote>, Stopped> {
        if let Some(vote) = self.signed.get(height) {
            if vote.root != root {
                let stopped = Stopped::Inconsistent { height, now: root, signed: vote.root };
                error!(%stopped, "stopping");
                return Err(stopped);
            }
            return Ok(Some(*vote));
        }
        let Some(info) = self.chain.epoch(epoch).filter(|_| self.signs) else { return Ok(None) };
        let Some(author) = info.validators.index_of(&self.me) else { return Ok(None) };
        let statement = Statement::Outcome { domain: DOMAIN_ORDERING, height, root };
        let signature = self.scheme.sign(info.chain, epoch, &statement);
        let vote = OutcomeVote { epoch, height, root, author, signature };
        self.signed.append(vote).await?;
        Ok(Some(vote))
    }

    fn wait_for(&mut self, height: Height, root: Digest, epoch: Epoch) {
        let ask_at = TimestampMs(self.context.now_ms().0.saturating_add(self.config.ask_after_ms));
        self.missing.insert(height, root, epoch, ask_at);
        // What is not kept any more cannot be had from anybody.
        for height in self.missing.prune(Height(height.0.saturating_sub(self.config.retention_heights))) {
            self.votes.remove(height);
        }
    }

    /// Attests a settled height if there are enough signatures, or somebody sent the attestation early.
    pub(super) async fn conclude(&mut self, height: Height) -> Result<(), Stopped> {
        let Some(waiting) = self.missing.get(height) else { return Ok(()) };
        if let Some(known) = self.attestations.get(height).await? {
            return self.attested(known, false).await;
        }
        let Some(info) = self.chain.epoch(waiting.epoch) else { return Ok(()) };
        let early = self.early.remove(&height);
        if let Some(early) = early.filter(|early| early.verify(&self.scheme, &info).is_ok()) {
            return self.attested(early, false).await;
        }
        let mut bad = Vec::new();
        let quorum = self.votes.attest(height, &info, &self.scheme, &mut bad);
        for author in bad {
            match peer_of(&info, author) {
                // Signatures come from their authors only, so a bad one is its author's doing.
                Some(peer) if node_key(&peer) != self.me => self.peers.block(&peer, SIGNED_FALSELY),
                _ => error!(%height, "this node's own signature does not hold"),
            }
        }
        match quorum {
            Quorum::Attestation(attestation) => self.attested(attestation, true).await,
            Quorum::NotYet => Ok(()),
        }
    }

    /// A verified attestation of a settled height.
    pub(super) async fn attested(&mut self, attestation: Attestation, is_new: bool) -> Result<(), Stopped> {
        let height = attestation.height;
        let Some(waiting) = self.missing.remove(height) else { return Ok(()) };
        self.votes.remove(height);
        self.early.remove(&height);
        if attestation.root != waiting.root {
            let stopped = Stopped::Diverged { height, ours: waiting.root, attested: attestation.root };
            error!(%stopped, "stopping");
            return Err(stopped);
        }
        self.close(&attestation, waiting.epoch).await?;
        self.attestations.put(&attestation).await?;
        if is_new {
            debug!(%height, signers = attestation.signers.count(), "attested");
        }
        let _ = self.ingress.events.send(Event::Attested(Arc::new(attestation)));
        self.publish(self.last);
        if self.last.0.saturating_sub(self.synced.0) >= SYNC_HEIGHTS {
            self.synced = self.last;
            // Completes by itself; what a crash loses is asked for again.
            drop(self.attestations.sync().await?);
            let below = Height(self.last.0.saturating_sub(self.config.retention_heights));
            self.attestations.prune(below).await?;
            self.signed.prune(below).await?;
        }
        Ok(())
    }

    /// Keeps the outcome of a closing height with its attestation.
    async fn close(&mut self, attestation: &Attestation, epoch: Epoch) -> Result<(), Stopped> {
        let height = attestation.height;
        if self.chain.epoch(epoch).is_none_or(|info| info.closing != height) {
            return Ok(());
        }
        // It was settled before it was waited for; kept longer than attestations take, unless the chain was stuck.
        let Ok(outcome) = self.settlement.outcome(height).await else {
            warn!(%height, "the closing outcome is attested, and its record is pruned");
            return Ok(());
        };
        Ok(self.attestations.close(&Closing { outcome, attestation: attestation.clone() }).await?)
    }

    /// Says up to where everything is attested.
    fn publish(&self, last: Height) {
        let first_missing = self.missing.first();
        let up_to = first_missing.map_or(last, |height| Height(height.0.saturating_sub(1)));
        self.ingress.attested.send_if_modified(|attested| {
            let advanced = up_to > *attested;
            *attested = up_to.max(*attested);
            advanced
        });
    }

    /// Asks for the oldest attestations that are overdue, and says again what this node signed.
    fn ask_due(&mut self) {
        let (now, chain, me) = (self.context.now_ms(), &self.chain, self.me);
        let others = |epoch| {
            let info = chain.epoch(epoch)?;
            Some((info.validators.len(), info.validators.index_of(&me)))
        };
        for (height, whom) in self.missing.due(now, self.config.ask_after_ms, others) {
            let of = match whom {
                Whom::All => Recipients::All,
                Whom::One(validator) => match self.key_of(height, validator) {
                    Some(peer) => Recipients::One(peer),
                    None => continue,
                },
            };
            if let Some(vote) = self.signed.get(height).copied() {
                let _ = self.sender.send(of.clone(), Message::Vote(vote).encode(), false);
            }
            let _ = self.sender.send(of, Message::Ask(height).encode(), false);
        }
    }

    fn key_of(&self, height: Height, validator: ValidatorIndex) -> Option<PublicKey> {
        let info = self.chain.epoch(self.missing.get(height)?.epoch)?;
        peer_of(&info, validator)
    }

    fn broadcast(&mut self, message: &Message) {
        let _ = self.sender.send(Recipients::All, message.encode(), false);
    }
}
