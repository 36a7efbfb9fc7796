//! Stateless checks: everything here depends on the object and the epoch alone, so all validators agree on the result.
//!
//! Each check looks at the structure and leaves the signatures as claims, so that one batch verification serves a whole
//! message. What was verified before leaves no claim.

use crate::{invalid::Invalid, mutation::Mutation, rules::Rules, verified::Verified};
use chorale_types::{
    BlockId, BlockReference, Claim, CommitProof, Entry, HEADER_BYTES_MAX, Header, High, QuorumCertificate, Rank,
    RankKind, Reproposal, Scheme, Signatories, Signature, Signers, Statement, Timeout, TimeoutCertificate,
    TimeoutQuorum, Tip, ValidatorIndex, View, codec::EncodeSize,
};

/// No chain reaches such a view or height; what claims to be there is refused before anything is added to it.
const FAR: u64 = u64::MAX >> 2;

/// A check under way.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    rules: &'a Rules,
    verified: &'a Verified,
    claims: Vec<Claim<'a>>,
}

type Result<T = ()> = std::result::Result<T, Invalid>;

fn ensure(holds: bool, invalid: Invalid) -> Result {
    if holds { Ok(()) } else { Err(invalid) }
}

/// What a vote or certificate of a view may name.
pub(crate) fn reference(block: &BlockReference, view: View) -> Result {
    let holds = view.0 < FAR && block.height.0 < FAR && block.view <= view && block.parent < block.view;
    ensure(holds, Invalid::Reference(*block, view))
}

impl<'a> Check<'a> {
    pub(crate) fn new(rules: &'a Rules, verified: &'a Verified) -> Self {
        Self { rules, verified, claims: Vec::new() }
    }

    /// How many signatures are left to verify.
    #[cfg(test)]
    pub(crate) fn claims(&self) -> usize {
        self.claims.len()
    }

    /// Whether all signatures seen so far hold.
    pub(crate) fn verify<S: Scheme>(self, scheme: &S) -> Result {
        let info = &self.rules.info;
        let holds = self.claims.is_empty() || scheme.verify(info.chain, info.epoch, &info.validators, &self.claims);
        ensure(holds, Invalid::Signature)
    }

    fn one(&mut self, author: ValidatorIndex, statement: Statement, signature: &'a Signature) {
        self.claims.push(Claim { signatories: Signatories::One(author), statement, signature });
    }

    fn all(&mut self, signers: &'a Signers, statement: Statement, signature: &'a Signature) {
        self.claims.push(Claim { signatories: Signatories::All(signers), statement, signature });
    }

    pub(crate) fn certificate(&mut self, certificate: &'a QuorumCertificate) -> Result {
        ensure(certificate.epoch == self.rules.info.epoch, Invalid::Epoch)?;
        if *certificate == self.rules.start || self.verified.certificate(certificate) {
            return Ok(());
        }
        reference(&certificate.block, certificate.view)?;
        ensure(self.rules.is_quorum(&certificate.signers), Invalid::Quorum(certificate.view))?;
        let statement = Statement::Vote { view: certificate.view, block: certificate.block };
        self.all(&certificate.signers, statement, &certificate.signature);
        Ok(())
    }

    pub(crate) fn commit(&mut self, proof: &'a CommitProof) -> Result {
        match proof {
            CommitProof::Pair(pair) => {
                self.certificate(&pair.block)?;
                self.certificate(&pair.child)?;
                let holds = commits(&pair.block, &pair.child, self.rules);
                ensure(holds, Invalid::Pair)
            }
            CommitProof::Direct(certificate) => {
                ensure(certificate.epoch == self.rules.info.epoch, Invalid::Epoch)?;
                reference(&certificate.block, certificate.view)?;
                ensure(self.rules.is_quorum(&certificate.signers), Invalid::Quorum(certificate.view))?;
                let statement = Statement::CommitVote { view: certificate.view, block: certificate.block };
                self.all(&certificate.signers, statement, &certificate.signature);
                Ok(())
            }
        }
    }

    fn header(&mut self, header: &'a Header) -> Result {
        let info = &self.rules.info;
        ensure(header.chain == info.chain, Invalid::Chain)?;
        ensure(header.epoch == info.epoch, Invalid::Epoch)?;
        ensure(header.view.0 < FAR && header.view.0 > 0, Invalid::View(header.view))?;
        self.certificate(&header.parent)?;
        let (view, parent) = (header.view, header.parent.view);
        ensure(parent < view, Invalid::ParentView { view, parent })?;
        ensure(header.height == header.parent.block.height.next(), Invalid::Height)?;
        ensure(header.author == self.rules.leader(view), Invalid::Author { view, author: header.author })?;
        let size = header.encode_size();
        ensure(size <= HEADER_BYTES_MAX, Invalid::Size(size))?;
        ensure(header.height <= info.closing || header.payloads.is_empty(), Invalid::PayloadAboveClosing)?;
        for (position, payload) in header.payloads.iter().enumerate() {
            let repeated = header.payloads[..position].iter().any(|other| other.commitment() == payload.commitment());
            ensure(!repeated && self.rules.admits(payload, view, header.author), Invalid::Payload)?;
            self.all(&payload.signers, Statement::Acknowledgement(payload.acknowledged), &payload.signature);
        }
        Ok(())
    }

    /// A header that proves by itself that it may be voted for. Its id.
    pub(crate) fn tip(&mut self, tip: &'a Tip) -> Result<BlockId> {
        if let Some(id) = self.verified.tip(tip) {
            return Ok(id);
        }
        self.header(&tip.header)?;
        self.entry_of(tip)?;
        let id = tip.header.id();
        self.one(tip.header.author, Statement::Tip { view: tip.header.view, id }, &tip.signature);
        Ok(id)
    }

    /// A header extends the certificate of the view before, or proves that this view was given up and that nobody knew
    /// better than what it extends.
    fn entry_of(&mut self, tip: &'a Tip) -> Result {
        let view = tip.header.view;
        let mutations = self.rules.mutations;
        if mutations.has(Mutation::EntryUnchecked) {
            return Ok(());
        }
        let Some(quorum) = &tip.entry else {
            return ensure(tip.header.parent.view.next() == view, Invalid::Entry(view));
        };
        ensure(
            tip.header.parent.view.next() < view && quorum.view.0.saturating_add(1) == view.0,
            Invalid::Entry(view),
        )?;
        let best = self.quorum(quorum)?;
        let holds = best == tip.header.parent.rank() || mutations.has(Mutation::NoReproposal);
        ensure(holds, Invalid::Entry(view))
    }

    /// Timeouts of a quorum. The highest rank among them.
    fn quorum(&mut self, quorum: &'a TimeoutQuorum) -> Result<Rank> {
        let view = quorum.view;
        ensure(quorum.epoch == self.rules.info.epoch, Invalid::Epoch)?;
        let Some(first) = quorum.groups.first() else { return Err(Invalid::Groups(view)) };
        if self.verified.quorum(quorum) {
            return Ok(first.rank);
        }
        ensure(view.0 > 0 && view.0 < FAR, Invalid::View(view))?;
        ensure(quorum.groups.len() <= self.rules.validators(), Invalid::Groups(view))?;
        ensure(quorum.groups.windows(2).all(|pair| pair[0].rank > pair[1].rank), Invalid::Groups(view))?;
        let mut all = Signers::none(self.rules.validators());
        for group in quorum.groups.iter() {
            rank_in_range(group.rank, view)?;
            let fits = group.signers.validators() == all.validators() && group.signers.is_disjoint(&all);
            ensure(fits && group.signers.count() > 0, Invalid::Groups(view))?;
            group.signers.iter().for_each(|signer| all.insert(signer));
            self.all(&group.signers, Statement::Timeout { view, rank: group.rank }, &group.signature);
        }
        ensure(self.rules.is_quorum(&all), Invalid::Quorum(view))?;
        Ok(first.rank)
    }

    /// A timeout certificate. The id of the header, if that is the best known.
    pub(crate) fn timeout_certificate(&mut self, certificate: &'a TimeoutCertificate) -> Result<Option<BlockId>> {
        let best = self.quorum(&certificate.quorum)?;
        let id = self.high(&certificate.high, certificate.quorum.view)?;
        ensure(self.rules.rank(&certificate.high) == best, Invalid::High(certificate.quorum.view))?;
        Ok(id)
    }

    /// The best that somebody knows who gives up this view. The id of the header, if it is one.
    pub(crate) fn high(&mut self, high: &'a High, view: View) -> Result<Option<BlockId>> {
        rank_in_range(self.rules.rank(high), view)?;
        match high {
            High::Certified(certificate) => self.certificate(certificate).map(|()| None),
            High::Voted(tip) => self.tip(tip).map(Some),
        }
    }

    pub(crate) fn entry(&mut self, entry: &'a Entry) -> Result {
        match entry {
            Entry::Certified(certificate) => self.certificate(certificate),
            Entry::TimedOut(certificate) => self.timeout_certificate(certificate).map(|_| ()),
        }
    }

    /// A header proposed again. Its id.
    pub(crate) fn reproposal(&mut self, again: &'a Reproposal) -> Result<(BlockId, Statement)> {
        let Some(id) = self.timeout_certificate(&again.timeout)? else { return Err(Invalid::Reproposal) };
        let view = again.timeout.quorum.view.next();
        let statement = Statement::Reproposal { view, id, timeout: again.timeout.digest() };
        self.one(self.rules.leader(view), statement, &again.signature);
        Ok((id, statement))
    }

    /// The signature of a timeout, whose best is checked apart.
    pub(crate) fn timeout(&mut self, timeout: &'a Timeout, rank: Rank) {
        let statement = Statement::Timeout { view: timeout.view, rank };
        self.one(timeout.author, statement, &timeout.signature);
    }

    /// That the author of a timeout has entered its view, and how. None if its best says so itself.
    pub(crate) fn entered(&mut self, timeout: &'a Timeout) -> Result {
        let view = timeout.view;
        ensure(view.0 > 0 && view.0 < FAR, Invalid::View(view))?;
        if says_how_entered(&timeout.high, view) {
            return self.high(&timeout.high, view).map(|_| ());
        }
        let Some(entry) = &timeout.entry else { return Err(Invalid::Entry(view)) };
        ensure(entry.view().0.saturating_add(1) == view.0, Invalid::Entry(view))?;
        self.entry(entry)
    }
}

/// Whether the best that is known proves by itself how the view was entered: the certificate of the view before, or a
/// header of this view. View 1 needs no proof.
pub(crate) fn says_how_entered(high: &High, view: View) -> bool {
    match high {
        _ if view == View(1) => true,
        High::Certified(certificate) => certificate.view.0.saturating_add(1) == view.0,
        High::Voted(tip) => tip.header.view == view,
    }
}

/// Whether a rank is one that a validator can report when it gives up this view.
pub(crate) fn rank_in_range(rank: Rank, view: View) -> Result {
    let holds = view.0 < FAR
        && match rank.kind {
            RankKind::Certified => rank.view < view && rank.parent == View(0),
            RankKind::Voted => rank.view <= view && rank.parent < rank.view,
        };
    ensure(holds, Invalid::Rank(view))
}

/// Whether two certificates commit the block of the first one: of consecutive views, the second on a child of the
/// first one's block. A view has one certificate, so the child's reference is enough to see that.
pub(crate) fn commits(block: &QuorumCertificate, child: &QuorumCertificate, rules: &Rules) -> bool {
    let consecutive = block.view.next() == child.view || rules.mutations.has(Mutation::CommitOverGap);
    let same = rules.mutations.has(Mutation::ReproposalFinal) && block.same(child) && child.view > child.block.view;
    same || consecutive
        && child.block.parent == block.view
        && child.block.height == block.block.height.next()
        && block.view > View(0)
}
