//! The ends of epochs, and the start of a node.

use crate::{
    Core, Output, Record, To,
    accuse::Watch,
    lead::Stage,
    mutation::Mutation,
    pools::Pools,
    rules::Rules,
    timer::{Timer, after},
    tree::Tree,
    verified::Verified,
};
use chorale_types::{
    BlockReference, CommitProof, Entry, Epoch, EpochInfo, Message, Nudge, QuorumCertificate, Scheme, TimestampMs,
    ValidatorIndex,
};
use std::collections::BTreeMap;

/// Farewells of past epochs that are held in memory; those before are in the driver's archive.
const FAREWELLS_MAX: usize = 256;
/// Messages of the next epoch that are kept until it starts here, and how many of one peer.
const EARLY_MAX: usize = 1024;
const EARLY_PER_PEER_MAX: usize = 4;
/// Peers in earlier epochs that are remembered as answered lately.
const ANSWERED_MAX: usize = 1024;

/// What connects a node to epochs other than its own.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    /// Whether the closing block is committed and the next epoch not known yet.
    pub(crate) ended: bool,
    /// What shows the end of past epochs.
    farewells: BTreeMap<Epoch, Vec<Message>>,
    /// Messages of the next epoch that came too early.
    early: Vec<(ValidatorIndex, Message)>,
    /// A peer that is in a later epoch.
    ahead: Option<(Epoch, ValidatorIndex)>,
    /// When this node last asked one.
    asked: Option<TimestampMs>,
    answered: BTreeMap<ValidatorIndex, TimestampMs>,
}

impl<S: Scheme> Core<S> {
    /// The first step of all.
    pub(crate) fn start(&mut self) {
        self.forget_by_mistake();
        self.signs.start(self.now);
        if self.tree.committed.height >= self.rules.info.closing {
            self.epochs.ended = true;
            let start = EpochInfo::start_block(self.tree.committed.height, self.tree.committed.id);
            self.out.push(Output::EpochEnded { start, farewell: Vec::new() });
            return;
        }
        self.pools.prune(self.tree.committed.view, self.record.view);
        self.trust_record();
        self.resend();
        self.begin_view();
        self.count_own();
        let mut known: Vec<QuorumCertificate> = self.tree.headers().map(|header| header.parent.clone()).collect();
        known.push(self.record.high.clone());
        known.sort_by_key(|certificate| certificate.view);
        for certificate in known {
            self.learn_certificate(&certificate);
        }
    }

    fn forget_by_mistake(&mut self) {
        if self.has(Mutation::TipForgotten) {
            self.record.tip = None;
        }
        if self.has(Mutation::TimeoutForgotten) {
            self.record.timeout = None;
        }
        if self.has(Mutation::VoteForgotten) {
            self.record.vote = None;
        }
        self.open_by_mistake();
    }

    fn open_by_mistake(&mut self) {
        if self.has(Mutation::CommitBeyondClosing) {
            self.tree.closing = chorale_types::Height(u64::MAX);
        }
    }

    /// What is in the record was verified before it came in.
    fn trust_record(&mut self) {
        self.verified.add_certificate(&self.record.high);
        match &self.record.entry {
            Some(Entry::Certified(certificate)) => self.verified.add_certificate(certificate),
            Some(Entry::TimedOut(certificate)) => {
                self.verified.add_quorum(&certificate.quorum);
                match &certificate.high {
                    chorale_types::High::Certified(high) => self.verified.add_certificate(high),
                    chorale_types::High::Voted(tip) => self.verified.add_tip(tip.header.id(), tip),
                }
            }
            None => {}
        }
        if let Some(tip) = &self.record.tip {
            let id = tip.header.id();
            self.verified.add_tip(id, tip);
            self.tree.insert(id, tip.header.clone(), true);
        }
    }

    /// Says again what this node last said, unchanged: it may not have arrived. A proposal goes last, because the
    /// certificate in it may count the rest.
    fn resend(&mut self) {
        if self.signer().is_none() {
            return;
        }
        if let Some(timeout) = self.record.timeout.clone() {
            self.signed.push((To::All, Message::Timeout(timeout)));
        }
        if let Some(vote) = self.record.vote {
            self.send_vote(vote);
        }
        if let Some(vote) = self.record.commit_vote {
            self.signed.push((To::All, Message::CommitVote(vote)));
        }
        if let Some(proposal) = self.record.proposal.clone() {
            self.signed.push((To::All, Message::Proposal(proposal)));
        }
    }

    /// Counts what this node last said.
    fn count_own(&mut self) {
        if self.signer().is_none() {
            return;
        }
        if let Some(timeout) = self.record.timeout.clone() {
            self.count_own_timeout(&timeout);
            // A validator with the weight of a quorum waits for nobody.
            self.add_up_timeouts(timeout.view);
        }
        if let Some(vote) = self.record.commit_vote {
            self.count_commit_vote(&vote);
        }
        if let Some(vote) = self.record.vote {
            self.count_vote(&vote);
        }
    }

    /// The certificates that connect the block being committed with the closing block below it, newest first.
    pub(crate) fn trail(&self) -> Vec<QuorumCertificate> {
        let mut trail = Vec::new();
        let Some(mut at) = self.tree.target().map(CommitProof::block) else { return trail };
        while at.height > self.rules.info.closing {
            let certificate = match self.tree.header(&at.id) {
                Some(header) => Some(&header.parent),
                None => self.tree.certificate(at.parent),
            };
            let Some(certificate) = certificate else { break };
            at = certificate.block;
            trail.push(certificate.clone());
        }
        trail
    }

    /// The closing block is committed: tells everybody, and waits for the next epoch.
    ///
    /// What is proven may be a descendant of the closing block, and headers above it are dropped. So the certificates
    /// in between go first: they show whoever is behind how it descends.
    pub(crate) fn end_epoch(&mut self, trail: Vec<QuorumCertificate>, proof: CommitProof) {
        let mut farewell: Vec<Message> =
            trail.into_iter().map(|certificate| Message::Entry(Entry::Certified(certificate))).collect();
        farewell.push(Message::Commit(proof));
        for message in &farewell {
            self.send(To::All, message.clone());
        }
        self.epochs.ended = true;
        self.epochs.farewells.insert(self.rules.info.epoch, farewell.clone());
        if self.epochs.farewells.len() > FAREWELLS_MAX {
            self.epochs.farewells.pop_first();
        }
        self.stage = Stage::Off;
        let BlockReference { height, id, .. } = self.tree.committed;
        self.out.push(Output::EpochEnded { start: EpochInfo::start_block(height, id), farewell });
    }

    /// A message of another epoch, or of this one when it is over.
    pub(crate) fn on_other_epoch(&mut self, from: ValidatorIndex, message: Message) {
        let epoch = message.epoch();
        if epoch <= self.rules.info.epoch {
            // Farewells are not answered, or two nodes would exchange them for ever.
            if !matches!(message, Message::Entry(_) | Message::Commit(_)) {
                self.bid_farewell(from, epoch);
            }
            return;
        }
        if self.epochs.ahead.is_none_or(|(known, _)| known < epoch) {
            self.epochs.ahead = Some((epoch, from));
        }
        let of_peer = self.epochs.early.iter().filter(|(peer, _)| *peer == from).count();
        if epoch == self.rules.info.epoch.next() && self.epochs.early.len() < EARLY_MAX && of_peer < EARLY_PER_PEER_MAX
        {
            self.epochs.early.push((from, message));
        }
        let due = self.epochs.asked.is_none_or(|at| self.now >= after(at, self.timer.resend_ms() / 4) || self.now < at);
        if due && !self.epochs.ended {
            self.ask_for_farewell(from);
        }
    }

    /// Shows a peer that is in a later epoch that this node is not: anything said in an epoch that is over is answered
    /// with its farewell.
    fn ask_for_farewell(&mut self, peer: ValidatorIndex) {
        self.epochs.asked = Some(self.now);
        let nudge = Nudge { epoch: self.rules.info.epoch, view: self.record.view };
        self.send(To::One(peer), Message::Nudge(nudge));
    }

    fn bid_farewell(&mut self, peer: ValidatorIndex, epoch: Epoch) {
        let pause_ms = self.timer.resend_ms() / 4;
        // Whatever epoch it names: who names many would have each answered.
        let lately = |at: &TimestampMs| self.now < after(*at, pause_ms) && self.now >= *at;
        if self.epochs.answered.get(&peer).is_some_and(lately) {
            return;
        }
        if self.epochs.answered.len() >= ANSWERED_MAX {
            self.epochs.answered.clear();
        }
        self.epochs.answered.insert(peer, self.now);
        match self.epochs.farewells.get(&epoch).cloned() {
            Some(farewell) => farewell.into_iter().for_each(|message| self.send(To::One(peer), message)),
            None => self.out.push(Output::Behind { peer, epoch }),
        }
    }

    /// Those who spoke early stand at other places of the next set, or at none.
    fn follow_senders(&mut self, next: &EpochInfo) {
        let before = &self.rules.info.validators;
        let place = |old: ValidatorIndex| next.validators.index_of(&before.get(old)?.node);
        self.epochs.ahead = self.epochs.ahead.and_then(|(epoch, peer)| Some((epoch, place(peer)?)));
        let early = std::mem::take(&mut self.epochs.early);
        self.epochs.early = early.into_iter().filter_map(|(from, message)| Some((place(from)?, message))).collect();
        // Whom farewells were sent is known by the old places.
        self.epochs.answered.clear();
    }

    /// The next epoch starts.
    pub(crate) fn on_epoch(&mut self, info: EpochInfo, index: Option<ValidatorIndex>) {
        if info.epoch <= self.rules.info.epoch {
            return;
        }
        let rules = Rules::new(info, self.rules.mutations);
        let validators = rules.validators();
        self.follow_senders(&rules.info);
        self.index = index.filter(|index| rules.is_member(*index));
        self.record = Record::start(&rules.info, rules.info.start);
        self.tree = Tree::new(rules.info.start, rules.info.closing);
        self.verified = Verified::default();
        self.pools = Pools::default();
        self.watch = Watch::new(validators);
        self.timer = Timer::new(&self.parameters, validators);
        self.answered = vec![None; validators];
        self.fetching = None;
        self.rules = rules;
        self.open_by_mistake();
        self.epochs.ended = false;
        if self.signer().is_some() {
            self.persist();
            self.flushed = self.out.len();
        }
        self.begin_view();
        if let Some((ahead, peer)) = self.epochs.ahead
            && ahead > self.rules.info.epoch
        {
            self.ask_for_farewell(peer);
        }
        for (from, message) in std::mem::take(&mut self.epochs.early) {
            self.on_message(from, message);
        }
    }
}
