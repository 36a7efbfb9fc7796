//! The attestation actor.

use super::{
    Ask, Closing, Computed, Config, Event, Ingress, Input, Mailbox, Message, Messages,
    input::Batch,
    missing::{ASK_TURN_MS, Missing, Whom},
    stopped::Stopped,
    store::{Attestations, Error as StorageError, Signed},
    votes::{HEIGHTS_BEHIND_MAX, Quorum, Votes},
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
    p2p::{Recipients, Sender},
};
use chorale_types::{
    Attestation, Digest, DomainId, Epoch, EpochInfo, Height, NodeKey, OutcomeVote, Scheme, Statement, TimestampMs,
    ValidatorIndex, codec::Encode,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tracing::{debug, error, warn};

/// Heights behind the last committed one whose signatures are sent unasked.
const RECENT_HEIGHTS: u64 = 64;
/// Heights of executed rollups below the last attested one that are looked at again after a restart: one of them may be
/// neither signed nor attested.
const REOPENED_HEIGHTS: u64 = 1_024;
/// Heights between syncs of attestations.
const SYNC_HEIGHTS: u64 = 64;
/// Why a validator whose signature does not hold is cut off.
pub(super) const SIGNED_FALSELY: &str = "signed an outcome falsely";

/// What the actor is connected to.
pub struct Connections<S, N> {
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
    /// To [`channel::ATTEST`](crate::mesh::channel::ATTEST), and from it what is about the domain.
    pub channel: (N, Messages),
}

/// See the [module](super).
pub struct Actor<E: Context, S, N> {
    pub(super) context: E,
    config: Config,
    pub(super) input: Input,
    me: NodeKey,
    signs: bool,
    pub(super) scheme: S,
    pub(super) chain: ChainHandle,
    pub(super) peers: Peers,
    pub(super) reporter: Reporter,
    settlement: settlement::Mailbox,
    pub(super) sender: N,
    messages: Messages,
    ingress: Ingress,
    pub(super) signed: Signed<E>,
    pub(super) attestations: Attestations<E>,
    pub(super) votes: Votes,
    /// The last height that was looked at.
    pub(super) last: Height,
    /// The last height that was computed before the node was started.
    restart: Height,
    pub(super) missing: Missing,
    /// Attestations of heights that are not settled here yet, not verified.
    pub(super) early: BTreeMap<Height, Attestation>,
    pub(super) answers: BTreeMap<PublicKey, (TimestampMs, u32)>,
    synced: Height,
    /// The height whose attestation settlement waits for, and since when, or when it was asked for last.
    waiting: Option<(Height, TimestampMs)>,
}

impl<E, S, N> Actor<E, S, N>
where
    E: Context,
    S: Scheme + Send + Sync + 'static,
    N: Sender<PublicKey = PublicKey>,
{
    /// Reads what was signed and attested. What comes from `input` below [`Actor::last`] is looked at if it is not attested.
    ///
    /// # Errors
    ///
    /// The disk's: without what it signed before, the node must not sign.
    pub async fn open(
        context: E,
        config: Config,
        input: Input,
        connections: Connections<S, N>,
    ) -> Result<(Self, Mailbox), Stopped> {
        let Connections { me, signs, scheme, chain, peers, reporter, settlement, channel } = connections;
        let signed = Signed::open(context.child("signed"), &config.partition).await?;
        let attestations = Attestations::open(context.child("attestations"), &config.partition).await?;
        let (mailbox, ingress) = Mailbox::new();
        let (sender, messages) = channel;
        let domain = config.domain;
        let restart = match &input {
            Input::Settlement(settled) => settled.restart(),
            Input::Executor(_) | Input::Nobody(_) => attestations.last(),
        };
        let mut actor = Self {
            context,
            config,
            input,
            me,
            signs,
            scheme,
            chain,
            peers,
            reporter,
            settlement,
            sender,
            messages,
            ingress,
            signed,
            attestations,
            votes: Votes::new(domain),
            last: restart,
            restart,
            missing: Missing::default(),
            early: BTreeMap::new(),
            answers: BTreeMap::new(),
            synced: restart,
            waiting: None,
        };
        actor.reopen();
        Ok((actor, mailbox))
    }

    /// Goes on with the first height that was settled before a restart and is not attested here: it may not even be signed.
    fn reopen(&mut self) {
        let attested: BTreeSet<u64> = self.attestations.heights().into_iter().collect();
        let oldest = self.restart.0.saturating_sub(self.config.retention_heights).max(1);
        self.last = match &self.input {
            Input::Settlement(_) => {
                let missing = (oldest..=self.restart.0).find(|height| !attested.contains(height));
                missing.map_or(self.restart, |height| Height(height - 1))
            }
            // Which heights there are only the executor knows.
            Input::Executor(_) => Height(self.restart.0.saturating_sub(REOPENED_HEIGHTS)),
            Input::Nobody(_) => self.restart,
        };
        self.input.begin_after(self.last);
        self.publish(self.last);
    }

    /// What comes after this height is wanted from the [`Input`].
    #[must_use]
    pub const fn last(&self) -> Height {
        self.last
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`]. After any of them the node has to stop.
    pub async fn run(mut self) -> Result<(), Stopped> {
        let mut stopped = self.context.stopped();
        loop {
            while let Some(batch) = self.input.ready().await? {
                self.take(batch).await?;
            }
            let pause_ms = if self.missing.is_empty() { self.config.ask_after_ms.max(1) } else { ASK_TURN_MS };
            let wake = self.context.sleep(Duration::from_millis(pause_ms));
            tokio::select! {
                biased;
                _ = &mut stopped => return self.shut_down().await,
                more = self.input.changed() => if !more { return self.shut_down().await },
                Some(request) = self.ingress.requests.recv() => self.attestations.answer(request).await?,
                message = self.messages.recv() => match message {
                    Some((peer, message)) => self.receive(&peer, message).await?,
                    None => return self.shut_down().await,
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

    /// Takes what this node computed: signs it, and checks what others say about it.
    async fn take(&mut self, Batch { computed, until }: Batch) -> Result<(), Stopped> {
        let mut fresh = Vec::new();
        for Computed { height, epoch, root } in &computed {
            if (*height <= self.restart || self.is_executed())
                && let Some(known) = self.attestations.get(*height).await?
            {
                self.agree(&known, *root)?;
                continue;
            }
            fresh.extend(self.sign(*height, *epoch, *root).await?);
            self.wait_for(*height, *root, *epoch);
        }
        // Durable before sent: one write for the whole batch.
        self.signed.sync().await?;
        self.last = self.last.max(until);
        // What is long settled elsewhere is attested there. If it is not, this node's signature is asked for; but of executed
        // rollups not by those who do not execute them.
        let recent = self.chain.committed.borrow().0.saturating_sub(RECENT_HEIGHTS);
        for vote in fresh {
            if vote.height.0 >= recent || self.is_executed() {
                self.broadcast(&Message::Vote(vote));
            }
            self.votes.insert(vote);
        }
        for computed in &computed {
            self.conclude(computed.height).await?;
        }
        let first = self.missing.first().map_or(until, |missing| missing.min(until));
        if self.is_executed() {
            self.forget();
        } else {
            self.votes.prune(Height(first.0.saturating_sub(HEIGHTS_BEHIND_MAX)), |_| false);
        }
        self.early = self.early.split_off(&first);
        self.publish(self.last);
        Ok(())
    }

    /// This node's signature on a root; the one from before if it was signed before a restart.
    async fn sign(&mut self, height: Height, epoch: Epoch, root: Digest) -> Result<Option<OutcomeVote>, Stopped> {
        if let Some(vote) = self.signed.get(height) {
            if vote.root != root {
                let stopped =
                    Stopped::Inconsistent { domain: self.config.domain, height, now: root, signed: vote.root };
                error!(%stopped, "stopping");
                return Err(stopped);
            }
            return Ok(Some(*vote));
        }
        // Whether it was signed is not known any more.
        if height < self.signed.floor() {
            return Ok(None);
        }
        let Some(info) = self.chain.epoch(epoch).filter(|_| self.signs) else { return Ok(None) };
        let Some(author) = info.validators.index_of(&self.me) else { return Ok(None) };
        let domain = self.config.domain;
        if !info.validators.get(author).is_some_and(|validator| validator.attests(domain)) {
            return Ok(None);
        }
        let statement = Statement::Outcome { domain, height, root };
        let signature = self.scheme.sign(info.chain, epoch, &statement);
        let vote = OutcomeVote { domain, epoch, height, root, author, signature };
        self.signed.append(vote).await?;
        Ok(Some(vote))
    }

    fn wait_for(&mut self, height: Height, root: Digest, epoch: Epoch) {
        let ask_at = TimestampMs(self.context.now_ms().0.saturating_add(self.config.ask_after_ms));
        self.missing.insert(height, root, epoch, ask_at);
        if self.is_executed() {
            // See `forget`.
            return;
        }
        // What is not kept any more cannot be had from anybody.
        for height in self.missing.prune(Height(height.0.saturating_sub(self.config.retention_heights))) {
            self.votes.remove(height);
        }
    }

    /// Whose validators attest a height that is not attested yet; none if nothing is computed of it that others could
    /// attest, or not yet.
    pub(super) fn expected(&self, height: Height) -> Option<Arc<EpochInfo>> {
        if self.is_executed() {
            // Also before it is computed here, if it ever is: it is compared then.
            return self.chain.epochs.at(height);
        }
        self.chain.epoch(self.missing.get(height)?.epoch)
    }

    /// Attests a height if there are enough signatures, or somebody sent the attestation early.
    pub(super) async fn conclude(&mut self, height: Height) -> Result<(), Stopped> {
        let Some(info) = self.expected(height) else { return Ok(()) };
        if let Some(known) = self.attestations.get(height).await? {
            return self.attested(known, false).await;
        }
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

    /// A verified attestation of a height that was expected.
    pub(super) async fn attested(&mut self, attestation: Attestation, is_new: bool) -> Result<(), Stopped> {
        let height = attestation.height;
        let (waiting, domain) = (self.missing.remove(height), self.config.domain);
        self.votes.remove(height);
        self.early.remove(&height);
        if let Some(waiting) = waiting {
            self.agree(&attestation, waiting.root)?;
        }
        if domain == DomainId::ORDERING {
            self.close(&attestation).await?;
        }
        self.attestations.put(&attestation).await?;
        if is_new {
            debug!(%domain, %height, signers = attestation.signers.count(), "attested");
        }
        let _ = self.ingress.events.send(Event::Attested(Arc::new(attestation)));
        self.publish(self.last);
        // Also while no executor goes on: attestations come all the same.
        let reached = if self.is_executed() { self.last.max(height) } else { self.last };
        if reached.0.saturating_sub(self.synced.0) >= SYNC_HEIGHTS {
            self.synced = reached;
            // Completes by itself; what a crash loses is asked for again.
            drop(self.attestations.sync().await?);
            let below = if self.is_executed() {
                self.kept()
            } else {
                Height(self.last.0.saturating_sub(self.config.retention_heights))
            };
            self.attestations.prune(below).await?;
            // What is not attested may be computed again: its signature is kept.
            self.signed.prune(below.min(self.attestations.last())).await?;
        }
        Ok(())
    }

    /// Whether this is about executed rollups.
    pub(super) fn is_executed(&self) -> bool {
        self.config.domain != DomainId::ORDERING
    }

    /// Stops if a quorum attested another root than this node found.
    fn agree(&self, attestation: &Attestation, ours: Digest) -> Result<(), Stopped> {
        let Attestation { domain, height, root: attested, .. } = *attestation;
        if attested == ours {
            return Ok(());
        }
        let stopped = Stopped::Diverged { domain, height, ours, attested };
        error!(%stopped, "stopping");
        Err(stopped)
    }

    /// Keeps the outcome of a closing height with its attestation.
    async fn close(&mut self, attestation: &Attestation) -> Result<(), Stopped> {
        let height = attestation.height;
        if self.chain.epoch(attestation.epoch).is_none_or(|info| info.closing != height) {
            return Ok(());
        }
        // It was settled before it was waited for; kept longer than attestations take, unless the chain was stuck.
        let Ok(outcome) = self.settlement.outcome(height).await else {
            warn!(%height, "the closing outcome is attested, and its record is pruned");
            return Ok(());
        };
        Ok(self.attestations.close(&Closing { outcome, attestation: attestation.clone() }).await?)
    }

    /// Says up to where everything is attested; of executed rollups, the last attested height.
    fn publish(&self, last: Height) {
        let first_missing = self.missing.first();
        let up_to = if self.is_executed() {
            // Each is of all that the rollups became until then: one that is missing does not matter.
            self.attestations.last()
        } else {
            first_missing.map_or(last, |height| Height(height.0.saturating_sub(1)))
        };
        self.ingress.attested.send_if_modified(|attested| {
            let advanced = up_to > *attested;
            *attested = up_to.max(*attested);
            advanced
        });
    }

    /// Asks for the oldest attestations that are overdue, and says again what this node signed.
    fn ask_due(&mut self) {
        let now = self.context.now_ms();
        if self.is_executed() {
            self.forget();
            self.ask_for_waiting(now);
        }
        let (chain, me) = (&self.chain, self.me);
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
            let _ = self.sender.send(of, Message::Ask(Ask { domain: self.config.domain, height }).encode(), false);
        }
    }

    /// Forgets what lies too far behind the order, whether or not the executor goes on: signatures come for every height,
    /// also for those without content.
    fn forget(&mut self) {
        let kept = self.kept();
        for height in self.missing.prune(kept) {
            self.votes.remove(height);
        }
        self.early = self.early.split_off(&kept);
        let (behind, waiting) = (Height(self.tip().0.saturating_sub(HEIGHTS_BEHIND_MAX)), self.waiting_in_order());
        let missing = &self.missing;
        self.votes.prune(behind, |height| missing.get(height).is_some() || waiting == Some(height));
    }

    /// How far the order is, or what is computed of it.
    pub(super) fn tip(&self) -> Height {
        self.last.max(*self.chain.committed.borrow())
    }

    /// The first height of executed rollups that is kept. What the order waits for is, however long that takes: a domain
    /// that is suspended goes on with nothing else.
    pub(super) fn kept(&self) -> Height {
        let retained = Height(self.tip().0.saturating_sub(self.config.retention_heights));
        self.waiting_in_order().map_or(retained, |waiting| waiting.min(retained))
    }

    /// The first height of executed rollups whose attestation the order lacks.
    pub(super) fn waiting_in_order(&self) -> Option<Height> {
        let standings = self.settlement.standings();
        let standings = standings.borrow();
        standings.iter().find(|standing| standing.domain == self.config.domain)?.waiting
    }

    /// Asks for the attestation that settlement waits for in the order: who does not execute the domain, or whose executor is
    /// away, has nothing else to know by that it lacks one.
    fn ask_for_waiting(&mut self, now: TimestampMs) {
        let Some(height) = self.waiting_in_order().filter(|waiting| *waiting > self.attestations.last()) else {
            self.waiting = None;
            return;
        };
        let since = self.waiting.filter(|(of, _)| *of == height).map_or(now, |(_, since)| since);
        let due = now.0.saturating_sub(since.0) >= self.config.ask_after_ms;
        self.waiting = Some((height, if due { now } else { since }));
        if due {
            self.broadcast(&Message::Ask(Ask { domain: self.config.domain, height }));
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
