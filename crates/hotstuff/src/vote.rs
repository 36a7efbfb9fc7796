//! Proposals and votes.

use crate::{Core, Output, To, Votes, ballot::Cast, check, check::Check, invalid::Invalid, mutation::Mutation};
use chorale_types::{
    BlockId, BlockReference, CommitCertificate, CommitProof, CommitVote, Entry, Fault, Header, Message, Proposal,
    QuorumCertificate, Reproposal, Scheme, Statement, TimestampMs, Tip, ValidatorIndex, View, Vote, codec::Shared,
};

impl<S: Scheme> Core<S> {
    pub(crate) fn on_proposal(&mut self, proposal: &Proposal) -> Result<(), Invalid> {
        if proposal.view() <= self.tree.committed.view {
            return Ok(());
        }
        match proposal {
            Proposal::Fresh(tip) => self.on_fresh(tip),
            Proposal::Again(again) => self.on_again(again),
        }
    }

    /// Whether no proposal of a view can lead to a vote any more.
    fn is_over(&self, view: View) -> bool {
        let voted = self.record.vote.as_ref().is_some_and(|vote| vote.view >= view);
        let given_up = self.record.timeout.as_ref().is_some_and(|timeout| timeout.view >= view);
        view < self.record.view || view == self.record.view && (voted || given_up)
    }

    /// Whether a proposal says nothing that this node could use: then it is not verified, or whoever repeats it, or makes
    /// more like it, would keep this node busy.
    fn is_useless(&mut self, view: View, fault: Fault, is_known: impl FnOnce(&mut Self) -> bool) -> bool {
        self.is_over(view) && (self.pools.at(view).is_none() || self.is_accused(view, fault) || is_known(self))
    }

    fn on_fresh(&mut self, tip: &Tip) -> Result<(), Invalid> {
        let is_known = |core: &mut Self| core.tree.header(&tip.header.id()).is_some();
        if self.is_useless(tip.header.view, Fault::DoubleHeader, is_known) {
            return Ok(());
        }
        let mut check = Check::new(&self.rules, &self.verified);
        let id = check.tip(tip)?;
        check.verify(&self.scheme)?;
        self.learn_tip(id, tip);
        let view = tip.header.view;
        if view != self.record.view || self.epochs.ended {
            return Ok(());
        }
        // The timestamp is the only subjective check, so it stays with fresh headers: a reproposal has to pass
        // everywhere, or one bad header would stall the chain.
        if self.due_at(tip) > self.now {
            // Of this view: what is kept of an earlier one, or of another epoch, where views begin anew, has had its time.
            let here = (self.rules.info.epoch, view);
            let is_first = self.early.as_ref().is_none_or(|(_, first)| (first.header.epoch, first.header.view) != here);
            if is_first {
                self.early = Some((id, tip.clone()));
            }
            return Ok(());
        }
        self.out.push(Output::Proposed(Box::new(tip.clone())));
        self.vote(id, tip);
        Ok(())
    }

    /// When a header may be voted for: not while it is ahead of this node's clock by more than clocks differ.
    pub(crate) fn due_at(&self, tip: &Tip) -> TimestampMs {
        TimestampMs(tip.header.timestamp.0.saturating_sub(self.parameters.clock_drift_ms))
    }

    /// Votes for the header that was ahead of the clock, if the view is still its own.
    pub(crate) fn tick_vote(&mut self) {
        let is_due = self.early.as_ref().is_some_and(|(_, tip)| self.due_at(tip) <= self.now);
        let Some((id, tip)) = self.early.take_if(|_| is_due) else { return };
        if tip.header.view == self.record.view && tip.header.epoch == self.rules.info.epoch {
            self.out.push(Output::Proposed(Box::new(tip.clone())));
            self.vote(id, &tip);
        }
    }

    fn on_again(&mut self, again: &Reproposal) -> Result<(), Invalid> {
        let view = again.timeout.quorum.view.next();
        let is_known = |core: &mut Self| {
            let known = core.pools.at(view).and_then(|pool| pool.proposal);
            known.is_some_and(|(statement, signature)| {
                let timeout = again.timeout.digest();
                signature == again.signature
                    && matches!(statement, Statement::Reproposal { timeout: known, .. } if known == timeout)
            })
        };
        if self.is_useless(view, Fault::DoubleProposal, is_known) {
            return Ok(());
        }
        let mut check = Check::new(&self.rules, &self.verified);
        let (id, statement) = check.reproposal(again)?;
        check.verify(&self.scheme)?;
        self.learn_timeouts(&again.timeout, Some(id));
        self.watch_leader(view, (statement, again.signature));
        if view == self.record.view
            && !self.epochs.ended
            && let chorale_types::High::Voted(tip) = &again.timeout.high
        {
            self.vote(id, tip);
        }
        Ok(())
    }

    /// Votes for a valid proposal of the current view, unless this node has voted or given up in it.
    pub(crate) fn vote(&mut self, id: BlockId, tip: &Tip) {
        let Some(author) = self.signer() else { return };
        let view = self.record.view;
        let voted = self.record.vote.as_ref().is_some_and(|vote| vote.view >= view);
        let given_up = self.record.timeout.as_ref().is_some_and(|timeout| timeout.view >= view);
        if voted && !self.has(Mutation::VoteTwice) || given_up && !self.has(Mutation::VoteAfterTimeout) {
            return;
        }
        self.persist_header(id, &tip.header);
        let block = reference(id, &tip.header);
        let vote = self.signed_vote(author, view, block);
        self.record.vote = Some(vote);
        let raised = self.has(Mutation::ReproposalRaisesRank);
        if tip.header.view > self.record.high.view || raised {
            self.record.tip = Some(tip.clone());
        }
        self.dirty = true;
        self.send_vote(vote);
        self.count_vote(&vote);
    }

    fn signed_vote(&self, author: ValidatorIndex, view: View, block: BlockReference) -> Vote {
        let epoch = self.rules.info.epoch;
        let signature = self.sign(&Statement::Vote { view, block });
        Vote { epoch, view, block, author, signature }
    }

    /// Has a header made durable before it is voted for: a certificate proves that honest validators hold it for good.
    pub(crate) fn persist_header(&mut self, id: BlockId, header: &Shared<Header>) {
        if self.tree.header(&id).is_none() {
            self.tree.insert(id, header.clone(), false);
        }
        if let Some(header) = self.tree.persist(&id) {
            self.out.push(Output::PersistHeader(header));
        }
    }

    /// Sends this node's vote to those who certify it.
    pub(crate) fn send_vote(&mut self, vote: Vote) {
        let message = Message::Vote(vote);
        match self.parameters.votes {
            Votes::All => self.signed.push((To::All, message)),
            Votes::Leaders => {
                let (this, next) = (self.rules.leader(vote.view), self.rules.leader(vote.view.next()));
                for leader in [Some(this), (this != next).then_some(next)].into_iter().flatten() {
                    if self.index != Some(leader) {
                        self.signed.push((To::One(leader), message.clone()));
                    }
                }
            }
        }
    }

    pub(crate) fn on_vote(&mut self, from: ValidatorIndex, vote: &Vote) -> Result<(), Invalid> {
        if vote.author != from {
            return Err(Invalid::Sender { from, author: vote.author });
        }
        check::reference(&vote.block, vote.view)?;
        self.count_vote(vote);
        Ok(())
    }

    /// Counts a vote; with a quorum, certifies.
    pub(crate) fn count_vote(&mut self, vote: &Vote) {
        let Vote { view, block, author, signature, .. } = *vote;
        let Some(pool) = self.pools.at(view) else { return };
        let statement = Statement::Vote { view, block };
        match pool.votes.add(&self.rules, author, block, signature) {
            Cast::Known => {}
            Cast::Conflict(before, signed) => {
                self.accuse(author, (Statement::Vote { view, block: before }, signed), (statement, signature));
            }
            Cast::Counted(weight) => {
                self.watch_vote(author, view, (statement, signature));
                if weight >= self.rules.quorum() && self.tree.certificate(view).is_none() {
                    self.certify(view, block);
                }
            }
        }
    }

    fn certify(&mut self, view: View, block: BlockReference) {
        let Some(pool) = self.pools.at(view) else { return };
        let mut liars = Vec::new();
        let statement = Statement::Vote { view, block };
        let sum = pool.votes.certify(&self.rules, &self.scheme, block, statement, &mut liars);
        self.blame_liars(&liars);
        let Some((signers, signature)) = sum else { return };
        let certificate = QuorumCertificate { epoch: self.rules.info.epoch, view, block, signers, signature };
        if self.index == Some(self.rules.leader(view)) {
            self.send(To::All, Message::Entry(Entry::Certified(certificate.clone())));
        }
        self.learn_certificate(&certificate);
    }

    pub(crate) fn blame_liars(&mut self, liars: &[ValidatorIndex]) {
        for liar in liars {
            self.blame(*liar, &Invalid::Signature);
        }
    }

    /// Promises never to forget a certificate, unless its view or a later one was given up.
    pub(crate) fn vote_to_commit(&mut self, certificate: &QuorumCertificate) {
        let Some(author) = self.signer() else { return };
        let QuorumCertificate { epoch, view, block, .. } = *certificate;
        let promised = self.record.commit_vote.as_ref().is_some_and(|vote| vote.view >= view);
        let given_up = self.record.timeout.as_ref().is_some_and(|timeout| timeout.view >= view);
        let useless = self.parameters.votes != Votes::All || block.height <= self.tree.committed.height;
        if useless || promised || given_up && !self.has(Mutation::CommitVoteAfterTimeout) {
            return;
        }
        let signature = self.sign(&Statement::CommitVote { view, block });
        let vote = CommitVote { epoch, view, block, author, signature };
        self.record.commit_vote = Some(vote);
        self.dirty = true;
        self.signed.push((To::All, Message::CommitVote(vote)));
        self.count_commit_vote(&vote);
    }

    pub(crate) fn on_commit_vote(&mut self, from: ValidatorIndex, vote: &CommitVote) -> Result<(), Invalid> {
        if vote.author != from {
            return Err(Invalid::Sender { from, author: vote.author });
        }
        check::reference(&vote.block, vote.view)?;
        self.count_commit_vote(vote);
        Ok(())
    }

    pub(crate) fn count_commit_vote(&mut self, vote: &CommitVote) {
        let CommitVote { epoch, view, block, author, signature } = *vote;
        let Some(pool) = self.pools.at(view) else { return };
        let statement = Statement::CommitVote { view, block };
        let Cast::Counted(weight) = pool.commit_votes.add(&self.rules, author, block, signature) else { return };
        self.watch_commit_vote(author, view, (statement, signature));
        let Some(pool) = self.pools.at(view) else { return };
        if weight < self.rules.quorum() || pool.committed {
            return;
        }
        let mut liars = Vec::new();
        let sum = pool.commit_votes.certify(&self.rules, &self.scheme, block, statement, &mut liars);
        pool.committed = sum.is_some();
        self.blame_liars(&liars);
        if let Some((signers, signature)) = sum {
            self.aim(CommitProof::Direct(CommitCertificate { epoch, view, block, signers, signature }));
        }
    }
}

/// What votes name a header by, its id being known.
pub(crate) const fn reference(id: BlockId, header: &Header) -> BlockReference {
    BlockReference { view: header.view, parent: header.parent.view, height: header.height, id }
}
