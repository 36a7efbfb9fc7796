//! What a node does with certificates, wherever they come from: its highest one, its view, its commits.

use crate::{Core, Output, check, check::Check, invalid::Invalid, mutation::Mutation, tree::Path};
use chorale_types::{
    BlockId, CommitPair, CommitProof, Entry, Header, High, QuorumCertificate, Scheme, Statement, TimeoutCertificate,
    Tip, View, codec::Shared,
};
use std::collections::BTreeMap;

/// Headers taken from one answer.
const HEADERS_MAX: usize = 4096;
/// Headers of one view that are kept unasked. An honest leader makes one; what matters of a faulty one's others is voted
/// for, or fetched when it is provably committed.
const VIEW_HEADERS_MAX: usize = 2;

impl<S: Scheme> Core<S> {
    /// Learns from a verified certificate.
    pub(crate) fn learn_certificate(&mut self, certificate: &QuorumCertificate) {
        if certificate.view == View(0) || self.epochs.ended {
            return;
        }
        self.verified.add_certificate(certificate);
        self.may_sign_again(certificate);
        if certificate.view > self.record.high.view || self.has(Mutation::HighNotMonotone) {
            self.record.high = certificate.clone();
            self.dirty = true;
            self.drop_tip();
        }
        if self.tree.certify(certificate) {
            let certified = certificate.is_fresh() || self.has(Mutation::ReproposalCertified);
            if certified && certificate.block.height > self.tree.committed.height {
                self.out.push(Output::Certified(certificate.clone()));
            }
            self.find_commits(certificate);
        }
        if self.epochs.ended {
            return;
        }
        if certificate.view >= self.record.view {
            self.timer.ended(true);
            self.enter(certificate.view.next(), Entry::Certified(certificate.clone()));
        }
        self.vote_to_commit(certificate);
    }

    /// The header last voted for says no more than a certificate of its view or later.
    fn drop_tip(&mut self) {
        let high = self.record.high.view;
        let raised = self.has(Mutation::ReproposalRaisesRank);
        let voted = self.record.vote.as_ref().map_or(View(0), |vote| vote.view);
        if let Some(tip) = &self.record.tip
            && high >= if raised { tip.header.view.max(voted) } else { tip.header.view }
        {
            self.record.tip = None;
        }
    }

    /// Learns from a verified header with its reason.
    pub(crate) fn learn_tip(&mut self, id: BlockId, tip: &Tip) {
        let view = tip.header.view;
        self.verified.add_tip(id, tip);
        self.watch_leader(view, (Statement::Tip { view, id }, tip.signature));
        self.keep(id, &tip.header);
        self.learn_certificate(&tip.header.parent);
        if let Some(quorum) = &tip.entry
            && view > self.record.view
            && quorum.view.next() == view
            && !self.epochs.ended
        {
            self.verified.add_quorum(quorum);
            let high = High::Certified(tip.header.parent.clone());
            self.timer.ended(false);
            self.enter(view, Entry::TimedOut(TimeoutCertificate { quorum: quorum.clone(), high }));
        }
    }

    /// Keeps a valid header, unless it is so far ahead that it is better fetched when it is needed, or one of too many
    /// that its leader made.
    fn keep(&mut self, id: BlockId, header: &Shared<Header>) {
        let ahead = u64::try_from(self.parameters.headers_ahead_max).unwrap_or(u64::MAX);
        let within = header.height.0 <= self.tree.committed.height.0.saturating_add(ahead);
        if !within || self.tree.header(&id).is_some() {
            return;
        }
        let is_wanted = self.fetching.is_some_and(|(wanted, _)| wanted == id);
        let of_view = self.tree.headers().filter(|kept| kept.view == header.view).count();
        if is_wanted || of_view < VIEW_HEADERS_MAX {
            self.tree.insert(id, header.clone(), false);
        }
        if is_wanted {
            self.try_commit();
        }
    }

    /// Learns from a verified timeout certificate; `id` is that of the header which is its best, if one is.
    pub(crate) fn learn_timeouts(&mut self, certificate: &TimeoutCertificate, id: Option<BlockId>) {
        self.verified.add_quorum(&certificate.quorum);
        match (&certificate.high, id) {
            (High::Voted(tip), Some(id)) => self.learn_tip(id, tip),
            (High::Voted(tip), None) => self.learn_tip(tip.header.id(), tip),
            (High::Certified(high), _) => self.learn_certificate(high),
        }
        if certificate.view() >= self.record.view && !self.epochs.ended {
            self.timer.ended(false);
            self.enter(certificate.view().next(), Entry::TimedOut(certificate.clone()));
        }
    }

    /// Enters a view. Views never go back.
    fn enter(&mut self, view: View, entry: Entry) {
        // What was signed in the view that ends leaves with a record of its own.
        self.flush();
        self.record.view = view;
        self.record.entry = Some(entry);
        self.dirty = true;
        self.begin_view();
    }

    /// Sets everything up that lasts for one view.
    pub(crate) fn begin_view(&mut self) {
        self.pools.prune(self.tree.committed.view, self.record.view);
        self.out.push(Output::Entered(self.record.view));
        self.set_timer();
        self.lead();
    }

    /// Looks for a pair of certificates that commits, of which this is one.
    fn find_commits(&mut self, certificate: &QuorumCertificate) {
        let mut pairs = Vec::new();
        if let Some(block) = self.tree.certificate(certificate.block.parent) {
            pairs.push((block.clone(), certificate.clone()));
        }
        if let Some(child) = self.tree.certificate_after(certificate.view) {
            pairs.push((certificate.clone(), child.clone()));
        }
        if self.has(Mutation::ReproposalFinal) && !certificate.is_fresh() {
            pairs.push((certificate.clone(), certificate.clone()));
        }
        for (block, child) in pairs {
            if check::commits(&block, &child, &self.rules) {
                self.aim(CommitProof::Pair(CommitPair { block, child }));
            }
        }
    }

    pub(crate) fn on_commit(&mut self, proof: CommitProof) -> Result<(), Invalid> {
        let tells_view = match &proof {
            CommitProof::Pair(pair) => pair.child.view > self.record.high.view,
            CommitProof::Direct(_) => false,
        };
        // What is no news is not verified: a node that is behind could be kept busy with it.
        if proof.block().height <= self.tree.committed.height || !tells_view && !self.tree.is_news(proof.block().height)
        {
            return Ok(());
        }
        let mut check = Check::new(&self.rules, &self.verified);
        check.commit(&proof)?;
        check.verify(&self.scheme)?;
        if let CommitProof::Pair(pair) = &proof {
            self.learn_certificate(&pair.block);
            self.learn_certificate(&pair.child);
        }
        if !self.epochs.ended {
            self.aim(proof);
        }
        Ok(())
    }

    /// A block is provably committed: commit it as soon as its ancestors are known.
    pub(crate) fn aim(&mut self, proof: CommitProof) {
        self.tree.aim(proof);
        self.try_commit();
    }

    /// Commits what is proven and known.
    pub(crate) fn try_commit(&mut self) {
        while let Some(proof) = self.tree.target() {
            if self.halted || self.epochs.ended {
                return;
            }
            let block = proof.block();
            match self.tree.path(block) {
                Path::Whole(path) => self.commit(&path),
                Path::Missing(id, height) => return self.fetch(id, height),
                Path::Conflict => {
                    self.halted = true;
                    let proof = proof.clone();
                    self.out.push(Output::Conflict { committed: self.tree.committed, proof });
                }
            }
        }
        self.fetching = None;
    }

    fn fetch(&mut self, id: BlockId, height: chorale_types::Height) {
        let due = self.fetching.is_none_or(|(wanted, at)| wanted != id || at <= self.now);
        if due {
            self.out.push(Output::WantHeaders { id, height, above: self.tree.committed.height });
            self.fetching = Some((id, crate::timer::after(self.now, self.timer.resend_ms())));
        }
    }

    fn commit(&mut self, path: &[BlockId]) {
        let trail = self.trail();
        let mut headers = Vec::with_capacity(path.len());
        for id in path {
            if let Some(header) = self.tree.persist(id) {
                self.out.push(Output::PersistHeader(header));
            }
            headers.extend(self.tree.commit(*id));
        }
        self.tree.prune();
        self.verified.prune(self.tree.committed.view);
        self.pools.prune(self.tree.committed.view, self.record.view);
        self.dirty = true;
        let Some(proof) = self.tree.drop_target() else { return };
        if !headers.is_empty() {
            self.out.push(Output::Committed { headers, proof: proof.clone() });
        }
        if self.tree.committed.height >= self.rules.info.closing {
            self.end_epoch(trail, proof);
        }
    }

    /// Takes headers in that were fetched. Only those are taken that a proven block descends from: their hashes say
    /// that they are the right ones.
    pub(crate) fn on_headers(&mut self, headers: Vec<Header>) {
        let mut offered: BTreeMap<BlockId, Header> =
            headers.into_iter().take(HEADERS_MAX).map(|header| (header.id(), header)).collect();
        while let Some(proof) = self.tree.target() {
            let Path::Missing(missing, _) = self.tree.path(proof.block()) else { break };
            let mut next = missing;
            while let Some(header) = offered.remove(&next) {
                let id = std::mem::replace(&mut next, header.parent.block.id);
                self.tree.insert(id, Shared::new(header), false);
            }
            if next == missing {
                break;
            }
        }
        self.try_commit();
    }
}
