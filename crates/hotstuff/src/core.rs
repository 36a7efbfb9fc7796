//! The state machine: its state, and one step per input.

use crate::{
    Config, Input, Output, Parameters, Record, To, accuse::Watch, check::Check, epochs::Epochs, invalid::Invalid,
    lead::Stage, mutation::Mutation, mutations::Mutations, pools::Pools, rules::Rules, signs::Signs, timer::Timer,
    tree::Tree, verified::Verified,
};
use chorale_types::{
    BlockId, BlockReference, Entry, EpochInfo, Header, High, Message, QuorumCertificate, Scheme, Statement,
    TimestampMs, Tip, ValidatorIndex, View,
};

/// One node's consensus.
#[derive(Debug)]
pub struct Core<S> {
    pub(crate) scheme: S,
    pub(crate) parameters: Parameters,
    /// This node's place in the epoch's validators.
    pub(crate) index: Option<ValidatorIndex>,
    /// In which epochs this node may sign.
    pub(crate) signs: Signs,
    pub(crate) rules: Rules,
    pub(crate) record: Record,
    /// Whether the record has changed since it was last handed out.
    pub(crate) dirty: bool,
    pub(crate) tree: Tree,
    pub(crate) verified: Verified,
    pub(crate) pools: Pools,
    pub(crate) watch: Watch,
    pub(crate) timer: Timer,
    pub(crate) epochs: Epochs,
    /// How far this node is with its proposal of the view.
    pub(crate) stage: Stage,
    /// Whether this node has something to order.
    pub(crate) pending: bool,
    pub(crate) now: TimestampMs,
    /// When the view is given up, or its timeout sent again.
    pub(crate) view_deadline: TimestampMs,
    /// When the leader is told that something is pending.
    pub(crate) nudge_at: Option<TimestampMs>,
    /// The first header of the view, if it is ahead of this node's clock: voted for when the clock is there.
    pub(crate) early: Option<(BlockId, Tip)>,
    /// The header asked for, and when to ask again.
    pub(crate) fetching: Option<(BlockId, TimestampMs)>,
    /// Peers answered lately, so that a stale message is not worth many answers.
    pub(crate) answered: Vec<Option<(View, TimestampMs)>>,
    pub(crate) halted: bool,
    pub(crate) out: Vec<Output>,
    /// How many of the outputs are in their final order.
    pub(crate) flushed: usize,
    /// Signed messages of this step: they leave after the record.
    pub(crate) signed: Vec<(To, Message)>,
}

impl<S: Scheme> Core<S> {
    /// A state machine that goes on where `record` says. `headers`: those persisted and not yet committed. Nothing
    /// happens before [`Input::Start`].
    ///
    /// A record of an earlier epoch is ignored: nothing was signed in this one. With a record of a later epoch, the
    /// node follows and signs nothing before it is past that epoch.
    #[must_use]
    pub fn new(config: Config, epoch: EpochInfo, scheme: S, record: Option<Record>, headers: Vec<Header>) -> Self {
        let Config { parameters, index, committed, may_sign } = config;
        let committed = if committed.height > epoch.start.height { committed } else { epoch.start };
        let future = record.as_ref().map(|record| record.epoch).filter(|known| *known > epoch.epoch);
        let signs = match future {
            Some(known) => Signs::From(known.next()),
            None if may_sign => Signs::From(epoch.epoch),
            None => Signs::Lost { started: TimestampMs(u64::MAX) },
        };
        let record =
            record.filter(|record| record.epoch == epoch.epoch).unwrap_or_else(|| Record::start(&epoch, committed));
        let rules = Rules::new(epoch, Mutations::default());
        let validators = rules.validators();
        let mut tree = Tree::new(committed, rules.info.closing);
        for header in headers.into_iter().filter(|header| header.epoch == rules.info.epoch) {
            tree.insert(header.id(), header.into(), true);
        }
        Self {
            scheme,
            index: index.filter(|index| rules.is_member(*index)),
            signs,
            record,
            dirty: false,
            tree,
            verified: Verified::default(),
            pools: Pools::default(),
            watch: Watch::new(validators),
            timer: Timer::new(&parameters, validators),
            epochs: Epochs::default(),
            stage: Stage::Off,
            pending: false,
            now: TimestampMs(0),
            view_deadline: TimestampMs(u64::MAX),
            nudge_at: None,
            early: None,
            fetching: None,
            answered: vec![None; validators],
            halted: false,
            out: Vec::new(),
            flushed: 0,
            signed: Vec::new(),
            rules,
            parameters,
        }
    }

    /// Plants a mistake; before [`Input::Start`], so that it also governs the restart.
    #[cfg(feature = "mutants")]
    pub fn set_mutation(&mut self, mutation: Mutation) {
        self.rules.mutations = Mutations::of(mutation);
    }

    /// Takes an input in, at this time of the node's clock. The outputs are to be carried out in order.
    pub fn step(&mut self, input: Input, now: TimestampMs) -> Vec<Output> {
        // A clock that is set back must not hold timers up for ever: they are set anew by what happens next.
        self.now = now;
        match input {
            Input::Start => self.start(),
            Input::Message { from, message } => self.on_message(from, message),
            Input::Tick => self.on_tick(),
            Input::Content { view, payloads } => self.on_content(view, payloads),
            Input::Pending(pending) => self.on_pending(pending),
            Input::RoundTrip { to, rtt_ms } => self.timer.round_trip(&self.rules, to, rtt_ms),
            Input::Headers(headers) => self.on_headers(headers),
            Input::Epoch { info, index } => self.on_epoch(info, index),
        }
        self.flush();
        self.flushed = 0;
        std::mem::take(&mut self.out)
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<TimestampMs> {
        if self.epochs.ended {
            return None;
        }
        let fetching = self.fetching.map(|(_, at)| at);
        let early = self.early.as_ref().map(|(_, tip)| self.due_at(tip));
        let others = [self.stage.deadline(), self.nudge_at, fetching, early].into_iter().flatten();
        Some(others.fold(self.view_deadline, |min, at| min.min(at)))
    }

    /// The view the node is in.
    #[must_use]
    pub fn view(&self) -> View {
        self.record.view
    }

    /// The epoch the node is in.
    #[must_use]
    pub const fn epoch(&self) -> &EpochInfo {
        &self.rules.info
    }

    /// The last committed block.
    #[must_use]
    pub const fn committed(&self) -> BlockReference {
        self.tree.committed
    }

    /// The highest certificate known.
    #[must_use]
    pub const fn high(&self) -> &QuorumCertificate {
        &self.record.high
    }

    pub(crate) fn on_message(&mut self, from: ValidatorIndex, message: Message) {
        if message.epoch() != self.rules.info.epoch || self.epochs.ended {
            return self.on_other_epoch(from, message);
        }
        if !self.rules.is_member(from) {
            return;
        }
        let result = match message {
            Message::Proposal(proposal) => self.on_proposal(&proposal),
            Message::Vote(vote) => self.on_vote(from, &vote),
            Message::CommitVote(vote) => self.on_commit_vote(from, &vote),
            Message::Timeout(timeout) => self.on_timeout(from, &timeout),
            Message::Entry(entry) => self.on_entry(from, &entry),
            Message::Commit(proof) => self.on_commit(proof),
            Message::Nudge(nudge) => {
                self.on_nudge(nudge.view);
                Ok(())
            }
        };
        if let Err(invalid) = result {
            self.blame(from, &invalid);
        }
    }

    fn on_tick(&mut self) {
        if self.epochs.ended {
            return;
        }
        self.tick_lead();
        self.tick_vote();
        if self.nudge_at.is_some_and(|at| at <= self.now) {
            self.nudge();
        }
        if self.fetching.is_some_and(|(_, at)| at <= self.now) {
            self.try_commit();
        }
        if self.view_deadline <= self.now && !self.epochs.ended {
            self.give_up();
        }
    }

    fn on_entry(&mut self, from: ValidatorIndex, entry: &Entry) -> Result<(), Invalid> {
        match entry {
            Entry::Certified(certificate) => self.take_certificate(certificate)?,
            Entry::TimedOut(certificate) if certificate.view() >= self.record.view => {
                let mut check = Check::new(&self.rules, &self.verified);
                let id = check.timeout_certificate(certificate)?;
                check.verify(&self.scheme)?;
                self.learn_timeouts(certificate, id);
            }
            // What is over still tells what was certified before.
            Entry::TimedOut(certificate) => {
                if let High::Certified(high) = &certificate.high {
                    self.take_certificate(high)?;
                }
            }
        }
        // A leader that says how it entered its view, instead of proposing, holds an empty proposal back.
        let holds =
            entry.view().0.saturating_add(1) == self.record.view.0 && from == self.rules.leader(self.record.view);
        if holds && self.pending && self.parameters.idle_interval_ms > 0 {
            self.nudge();
        }
        Ok(())
    }

    /// Verifies a certificate, if it is not known yet, and learns from it.
    pub(crate) fn take_certificate(&mut self, certificate: &QuorumCertificate) -> Result<(), Invalid> {
        if certificate.view < self.tree.committed.view || self.tree.certificate(certificate.view).is_some() {
            return Ok(());
        }
        let mut check = Check::new(&self.rules, &self.verified);
        check.certificate(certificate)?;
        check.verify(&self.scheme)?;
        self.learn_certificate(certificate);
        Ok(())
    }

    /// Whether this node signs anything in this epoch.
    pub(crate) fn signer(&self) -> Option<ValidatorIndex> {
        self.index.filter(|_| self.signs.may_in(self.rules.info.epoch) && !self.epochs.ended)
    }

    pub(crate) fn sign(&self, statement: &Statement) -> chorale_types::Signature {
        self.scheme.sign(self.rules.info.chain, self.rules.info.epoch, statement)
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.rules.mutations.has(mutation)
    }

    /// Sends what promises nothing.
    pub(crate) fn send(&mut self, to: To, message: Message) {
        if let To::One(peer) = to
            && self.index == Some(peer)
        {
            return;
        }
        self.out.push(Output::Send { to, message });
    }

    pub(crate) fn blame(&mut self, peer: ValidatorIndex, invalid: &Invalid) {
        self.out.push(Output::Misbehaviour { peer, what: invalid.to_string() });
    }

    /// Hands the record out.
    pub(crate) fn persist(&mut self) {
        self.record.committed = self.tree.committed;
        self.out.push(Output::Persist(Box::new(self.record.clone())));
        self.dirty = false;
    }

    /// Lets signed messages go once what they promise is durable.
    ///
    /// Everything else of the step comes after the record too: a certificate or a commit may count this node's own vote,
    /// and if that were forgotten in a crash, so would be the promise. Headers come before the record that says that
    /// they were voted for.
    pub(crate) fn flush(&mut self) {
        if self.signed.is_empty() {
            self.flushed = self.out.len();
            return;
        }
        let step = self.out.split_off(self.flushed);
        let (headers, others): (Vec<Output>, Vec<Output>) =
            step.into_iter().partition(|output| matches!(output, Output::PersistHeader(_)));
        self.out.extend(headers);
        let early = self.has(Mutation::SendBeforePersist);
        if self.dirty && !early {
            self.persist();
        }
        self.out.extend(others);
        let signed = std::mem::take(&mut self.signed);
        self.out.extend(signed.into_iter().map(|(to, message)| Output::Send { to, message }));
        if self.dirty {
            self.persist();
        }
        self.flushed = self.out.len();
    }
}
