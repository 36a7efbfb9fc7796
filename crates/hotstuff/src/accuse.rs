//! Evidence: detected from whatever arrives, handed out once per validator and fault.

use crate::{Core, Output, invalid::Invalid, pools::Pools};
use chorale_types::{Evidence, Fault, Rank, RankKind, Scheme, Signature, Statement, ValidatorIndex, View};
use std::collections::BTreeSet;

/// A statement with its signature.
pub(crate) type Signed = (Statement, Signature);

/// What is remembered of validators for the sake of evidence, beyond the pools.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The last commit vote of each: it binds in all later views.
    commit_votes: Vec<Option<(View, Signed)>>,
    accused: BTreeSet<(ValidatorIndex, Fault)>,
}

impl Watch {
    pub(crate) fn new(validators: usize) -> Self {
        Self { commit_votes: vec![None; validators], accused: BTreeSet::new() }
    }

    fn commit_vote(&mut self, author: ValidatorIndex, view: View, signed: Signed) {
        if let Some(last) = self.commit_votes.get_mut(author.as_usize())
            && last.is_none_or(|(before, _)| before < view)
        {
            *last = Some((view, signed));
        }
    }
}

impl<S: Scheme> Core<S> {
    /// Holds a vote against what its author said before in the view.
    pub(crate) fn watch_vote(&mut self, author: ValidatorIndex, view: View, vote: Signed) {
        let Some(pool) = self.pools.at(view) else { return };
        if let Some((rank, signature)) = pool.timeouts.of(author).copied() {
            self.accuse(author, vote, (Statement::Timeout { view, rank }, signature));
        }
    }

    /// Holds a timeout against the votes of its author.
    pub(crate) fn watch_timeout(&mut self, author: ValidatorIndex, view: View, timeout: Signed) {
        if let Some(pool) = self.pools.at(view)
            && let Some((block, signature)) = pool.votes.of(author).copied()
        {
            self.accuse(author, (Statement::Vote { view, block }, signature), timeout);
        }
        if let Some(Some((_, promise))) = self.watch.commit_votes.get(author.as_usize()) {
            let promise = *promise;
            self.accuse(author, promise, timeout);
        }
    }

    /// Holds a commit vote against the timeouts of its author.
    pub(crate) fn watch_commit_vote(&mut self, author: ValidatorIndex, view: View, vote: Signed) {
        self.watch.commit_vote(author, view, vote);
        if let Some(broken) = broken_promise(&self.pools, author, view) {
            self.accuse(author, vote, broken);
        }
    }

    /// Remembers what the leader of a view signed, and holds anything else against it. Both are verified.
    pub(crate) fn watch_leader(&mut self, view: View, signed: Signed) {
        let leader = self.rules.leader(view);
        let Some(pool) = self.pools.at(view) else { return };
        match pool.proposal {
            None => pool.proposal = Some(signed),
            Some(before) if before.0 != signed.0 => self.accuse(leader, before, signed),
            Some(_) => {}
        }
    }

    /// Hands evidence out, if two statements contradict each other and are really signed.
    pub(crate) fn accuse(&mut self, offender: ValidatorIndex, first: Signed, second: Signed) {
        let evidence = Evidence {
            epoch: self.rules.info.epoch,
            offender,
            first: first.0,
            first_signature: first.1,
            second: second.0,
            second_signature: second.1,
        };
        let Some(fault) = evidence.fault() else { return };
        if self.index == Some(offender) || self.watch.accused.contains(&(offender, fault)) {
            return;
        }
        if evidence.proves(&self.scheme, &self.rules.info).is_some() {
            self.watch.accused.insert((offender, fault));
            self.out.push(Output::Evidence(Box::new(evidence)));
        } else {
            // Both came from itself: who may send contradictions that prove nothing keeps everybody busy with them.
            self.blame(offender, &Invalid::Signature);
        }
    }

    /// Whether it is proven that the leader of a view signed several of these.
    pub(crate) fn is_accused(&self, view: View, fault: Fault) -> bool {
        self.watch.accused.contains(&(self.rules.leader(view), fault))
    }
}

/// The first timeout of a validator, of this view or later, that reports less than the certificate it promised by.
fn broken_promise(pools: &Pools, author: ValidatorIndex, promised: View) -> Option<Signed> {
    let certificate = Rank { view: promised, kind: RankKind::Certified, parent: View(0) };
    pools.from(promised).find_map(|(view, pool)| {
        let (rank, signature) = pool.timeouts.of(author)?;
        let broken = view == promised || *rank < certificate;
        broken.then_some((Statement::Timeout { view, rank: *rank }, *signature))
    })
}
