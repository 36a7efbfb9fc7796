//! What the Byzantine validators know together, and what they can make of it.

use crate::{epochs, random::Random};
use chorale_types::{
    BlockId, BlockReference, CommitVote, Entry, Epoch, EpochInfo, High, Message, Proposal, QuorumCertificate, Rank,
    Scheme, Signature, Signers, Statement, Timeout, TimeoutCertificate, TimeoutGroup, TimeoutQuorum, Tip,
    ValidatorIndex, View, Vote, codec::List,
};
use std::collections::BTreeMap;

/// Views that are remembered.
const VIEWS_KEPT: u64 = 12;

/// A pool of everything heard, for one epoch and the last views.
#[derive(Debug, Default)]
pub struct Coalition {
    /// Who belongs to it.
    pub nodes: Vec<usize>,
    epoch: Epoch,
    newest: View,
    tips: BTreeMap<BlockId, Tip>,
    certificates: BTreeMap<View, QuorumCertificate>,
    timeouts: BTreeMap<View, BTreeMap<ValidatorIndex, Timeout>>,
    votes: BTreeMap<(View, BlockReference), BTreeMap<ValidatorIndex, Signature>>,
    commit_votes: BTreeMap<(View, BlockReference), BTreeMap<ValidatorIndex, Signature>>,
    timeout_certificates: BTreeMap<View, Vec<TimeoutCertificate>>,
}

impl Coalition {
    /// One that knows nothing yet.
    #[must_use]
    pub fn of(nodes: Vec<usize>) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// Remembers what is in a message.
    pub fn learn(&mut self, message: &Message) {
        if message.epoch() > self.epoch {
            *self = Self { nodes: std::mem::take(&mut self.nodes), epoch: message.epoch(), ..Self::default() };
        }
        if message.epoch() != self.epoch {
            return;
        }
        match message {
            Message::Proposal(Proposal::Fresh(tip)) => self.learn_tip(tip),
            Message::Proposal(Proposal::Again(again)) => self.learn_timeouts(&again.timeout),
            Message::Vote(Vote { view, block, author, signature, .. }) => {
                self.votes.entry((*view, *block)).or_default().insert(*author, *signature);
            }
            Message::CommitVote(CommitVote { view, block, author, signature, .. }) => {
                self.commit_votes.entry((*view, *block)).or_default().insert(*author, *signature);
            }
            Message::Timeout(timeout) => {
                self.learn_high(&timeout.high);
                if let Some(entry) = &timeout.entry {
                    self.learn_entry(entry);
                }
                self.timeouts.entry(timeout.view).or_default().insert(timeout.author, timeout.clone());
            }
            Message::Entry(entry) => self.learn_entry(entry),
            Message::Commit(_) | Message::Nudge(_) => {}
        }
    }

    fn learn_entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Certified(certificate) => self.learn_certificate(certificate),
            Entry::TimedOut(certificate) => self.learn_timeouts(certificate),
        }
    }

    fn learn_high(&mut self, high: &High) {
        match high {
            High::Certified(certificate) => self.learn_certificate(certificate),
            High::Voted(tip) => self.learn_tip(tip),
        }
    }

    fn learn_tip(&mut self, tip: &Tip) {
        self.learn_certificate(&tip.header.parent);
        self.tips.insert(tip.header.id(), tip.clone());
        self.seen(tip.header.view);
    }

    pub(super) fn learn_certificate(&mut self, certificate: &QuorumCertificate) {
        self.certificates.entry(certificate.view).or_insert_with(|| certificate.clone());
        self.seen(certificate.view);
    }

    pub(super) fn learn_timeouts(&mut self, certificate: &TimeoutCertificate) {
        self.learn_high(&certificate.high);
        let known = self.timeout_certificates.entry(certificate.view()).or_default();
        if known.len() < 4 && !known.contains(certificate) {
            known.push(certificate.clone());
        }
    }

    /// Forgets what is old, so that the pool stays small.
    fn seen(&mut self, view: View) {
        if view <= self.newest {
            return;
        }
        self.newest = view;
        let oldest = View(view.0.saturating_sub(VIEWS_KEPT));
        self.tips.retain(|_, tip| tip.header.view >= oldest);
        self.certificates.retain(|view, _| *view >= oldest);
        self.timeouts.retain(|view, _| *view >= oldest);
        self.votes.retain(|(view, _), _| *view >= oldest);
        self.commit_votes.retain(|(view, _), _| *view >= oldest);
        self.timeout_certificates.retain(|view, _| *view >= oldest);
    }

    /// Some header with its signature.
    #[must_use]
    pub fn any_tip(&self, random: &mut Random) -> Option<Tip> {
        self.tips.values().nth(random.index(self.tips.len())).cloned()
    }

    /// All headers known.
    pub(super) fn tips(&self) -> impl Iterator<Item = &Tip> {
        self.tips.values()
    }

    /// The certificate of a view; every epoch starts from a fixed one.
    pub(super) fn certificate(&self, info: &EpochInfo, view: View) -> Option<QuorumCertificate> {
        if view == View(0) { Some(info.start_certificate()) } else { self.certificates.get(&view).cloned() }
    }

    /// Certificates of views below this one.
    pub(super) fn certificates_below(&self, info: &EpochInfo, view: View) -> Vec<QuorumCertificate> {
        let mut found = vec![info.start_certificate()];
        found.extend(self.certificates.range(View(1)..view.max(View(1))).map(|(_, certificate)| certificate.clone()));
        found
    }

    /// Timeout certificates of a view.
    pub(super) fn timeout_certificates(&self, view: View) -> &[TimeoutCertificate] {
        self.timeout_certificates.get(&view).map_or(&[], Vec::as_slice)
    }

    /// A certificate for a block, if the votes heard and those the coalition adds make a quorum.
    pub(super) fn certify(&self, info: &EpochInfo, view: View, block: BlockReference) -> Option<QuorumCertificate> {
        let statement = Statement::Vote { view, block };
        let heard = self.votes.get(&(view, block));
        let (signers, signature) = self.aggregate(info, &statement, heard)?;
        Some(QuorumCertificate { epoch: info.epoch, view, block, signers, signature })
    }

    /// The same for commit votes.
    pub(super) fn commit(&self, info: &EpochInfo, view: View, block: BlockReference) -> Option<(Signers, Signature)> {
        self.aggregate(info, &Statement::CommitVote { view, block }, self.commit_votes.get(&(view, block)))
    }

    /// Blocks that somebody voted for, with the views they were voted for in.
    pub(super) fn voted(&self) -> Vec<(View, BlockReference)> {
        self.votes.keys().copied().collect()
    }

    fn aggregate(
        &self,
        info: &EpochInfo,
        statement: &Statement,
        heard: Option<&BTreeMap<ValidatorIndex, Signature>>,
    ) -> Option<(Signers, Signature)> {
        let mut all: BTreeMap<ValidatorIndex, Signature> = heard.cloned().unwrap_or_default();
        for node in &self.nodes {
            let signature = epochs::scheme(*node).sign(info.chain, info.epoch, statement);
            all.insert(epochs::index_of(*node), signature);
        }
        let signers = Signers::of(info.validators.len(), all.keys().copied());
        let signature = epochs::scheme(0).aggregate(all.values())?;
        info.validators.is_quorum(&signers).then_some((signers, signature))
    }

    /// A timeout certificate of a view from a random choice of the timeouts heard, and any that the coalition likes to
    /// add.
    pub(super) fn time_out(&self, info: &EpochInfo, view: View, random: &mut Random) -> Option<TimeoutCertificate> {
        let mut heard: Vec<(ValidatorIndex, High, Signature)> = self
            .timeouts
            .get(&view)?
            .values()
            .filter(|timeout| !self.nodes.contains(&timeout.author.as_usize()))
            .map(|timeout| (timeout.author, timeout.high.clone(), timeout.signature))
            .collect();
        random.shuffle(&mut heard);
        let low = High::Certified(self.certificates_below(info, view).into_iter().next()?);
        let mut chosen: Vec<(ValidatorIndex, High, Signature)> = Vec::new();
        for node in &self.nodes {
            let statement = Statement::Timeout { view, rank: low.rank() };
            let signature = epochs::scheme(*node).sign(info.chain, info.epoch, &statement);
            chosen.push((epochs::index_of(*node), low.clone(), signature));
        }
        // Lowest first, if the dice say so: a certificate that knows as little as it may.
        if random.chance(700) {
            heard.sort_by_key(|(_, high, _)| high.rank());
        }
        let mut weight: u64 = chosen.iter().map(|(index, ..)| info.validators.weight(*index)).sum();
        for timeout in heard {
            if weight >= info.validators.quorum() {
                break;
            }
            weight += info.validators.weight(timeout.0);
            chosen.push(timeout);
        }
        certificate_of(info, view, chosen)
    }
}

fn certificate_of(
    info: &EpochInfo,
    view: View,
    chosen: Vec<(ValidatorIndex, High, Signature)>,
) -> Option<TimeoutCertificate> {
    let mut high: Option<High> = None;
    let mut groups: BTreeMap<Rank, (Signers, Vec<Signature>)> = BTreeMap::new();
    for (index, reported, signature) in chosen {
        let rank = reported.rank();
        let none = || (Signers::none(info.validators.len()), Vec::new());
        let group = groups.entry(rank).or_insert_with(none);
        group.0.insert(index);
        group.1.push(signature);
        if high.as_ref().is_none_or(|high| high.rank() < rank) {
            high = Some(reported);
        }
    }
    let mut all = Signers::none(info.validators.len());
    let mut list = Vec::new();
    for (rank, (signers, signatures)) in groups.into_iter().rev() {
        signers.iter().for_each(|index| all.insert(index));
        list.push(TimeoutGroup { rank, signers, signature: epochs::scheme(0).aggregate(&signatures)? });
    }
    if !info.validators.is_quorum(&all) {
        return None;
    }
    let quorum = TimeoutQuorum { epoch: info.epoch, view, groups: List::new(list).ok()? };
    Some(TimeoutCertificate { quorum, high: high? })
}
