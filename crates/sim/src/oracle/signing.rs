//! What honest validators signed, over all their lives, and that none contradicts itself.

use super::{Broken, Rule, ensure};
use chorale_types::{BlockReference, Rank, RankKind, Statement, ValidatorIndex, View};
use std::collections::BTreeMap;

/// All statements of the honest validators of an epoch.
#[derive(Debug, Default)]
pub(super) struct Signing {
    by: BTreeMap<ValidatorIndex, Signed>,
    /// Votes by view and block.
    pub(super) votes: BTreeMap<View, BTreeMap<BlockReference, Vec<ValidatorIndex>>>,
    pub(super) commit_votes: BTreeMap<View, BTreeMap<BlockReference, Vec<ValidatorIndex>>>,
    pub(super) timeouts: BTreeMap<View, BTreeMap<ValidatorIndex, Rank>>,
}

#[derive(Debug, Default)]
struct Signed {
    votes: BTreeMap<View, BlockReference>,
    commit_votes: BTreeMap<View, BlockReference>,
    timeouts: BTreeMap<View, Rank>,
    proposals: BTreeMap<View, Statement>,
}

impl Signing {
    /// Takes a statement in. Whether it is new.
    pub(super) fn add(&mut self, by: ValidatorIndex, statement: Statement) -> Result<bool, Broken> {
        let signed = self.by.entry(by).or_default();
        match statement {
            Statement::Tip { view, .. } | Statement::Reproposal { view, .. } => {
                let before = signed.proposals.insert(view, statement);
                ensure(before.is_none_or(|before| before == statement), Rule::HonestSigning, || {
                    format!("{by} proposes {statement:?} after {before:?}")
                })?;
                Ok(before.is_none())
            }
            Statement::Vote { view, block } => {
                if !signed.vote(by, view, block)? {
                    return Ok(false);
                }
                self.votes.entry(view).or_default().entry(block).or_default().push(by);
                Ok(true)
            }
            Statement::CommitVote { view, block } => {
                if !signed.commit_vote(by, view, block)? {
                    return Ok(false);
                }
                self.commit_votes.entry(view).or_default().entry(block).or_default().push(by);
                Ok(true)
            }
            Statement::Timeout { view, rank } => {
                if !signed.timeout(by, view, rank)? {
                    return Ok(false);
                }
                self.timeouts.entry(view).or_default().insert(by, rank);
                Ok(true)
            }
            Statement::Acknowledgement(_) | Statement::Outcome { .. } => Ok(false),
        }
    }

    /// Whether an honest validator voted so.
    pub(super) fn voted(&self, by: ValidatorIndex, view: View, block: &BlockReference) -> bool {
        self.by.get(&by).is_some_and(|signed| signed.votes.get(&view) == Some(block))
    }

    /// Whether an honest validator sent this commit vote.
    pub(super) fn commit_voted(&self, by: ValidatorIndex, view: View, block: &BlockReference) -> bool {
        self.by.get(&by).is_some_and(|signed| signed.commit_votes.get(&view) == Some(block))
    }

    /// Whether an honest validator timed out so.
    pub(super) fn timed_out(&self, by: ValidatorIndex, view: View, rank: Rank) -> bool {
        self.by.get(&by).is_some_and(|signed| signed.timeouts.get(&view) == Some(&rank))
    }
}

impl Signed {
    fn vote(&mut self, by: ValidatorIndex, view: View, block: BlockReference) -> Result<bool, Broken> {
        if let Some(before) = self.votes.get(&view) {
            ensure(*before == block, Rule::HonestSigning, || {
                format!("{by} votes twice in {view}: for {before:?} and {block:?}")
            })?;
            return Ok(false);
        }
        let given_up = self.timeouts.last_key_value();
        ensure(given_up.is_none_or(|(given_up, _)| *given_up < view), Rule::HonestSigning, || {
            format!("{by} votes in {view} after giving up {given_up:?}")
        })?;
        let last = self.votes.last_key_value();
        ensure(last.is_none_or(|(last, _)| *last < view), Rule::HonestSigning, || {
            format!("{by} votes in {view} after voting in {last:?}")
        })?;
        self.votes.insert(view, block);
        Ok(true)
    }

    fn commit_vote(&mut self, by: ValidatorIndex, view: View, block: BlockReference) -> Result<bool, Broken> {
        if let Some(before) = self.commit_votes.get(&view) {
            ensure(*before == block, Rule::HonestSigning, || {
                format!("{by} sends two commit votes for {view}: {before:?} and {block:?}")
            })?;
            return Ok(false);
        }
        let given_up = self.timeouts.last_key_value();
        ensure(given_up.is_none_or(|(given_up, _)| *given_up < view), Rule::HonestSigning, || {
            format!("{by} sends a commit vote for {view} after giving up {given_up:?}")
        })?;
        self.commit_votes.insert(view, block);
        Ok(true)
    }

    fn timeout(&mut self, by: ValidatorIndex, view: View, rank: Rank) -> Result<bool, Broken> {
        if let Some(before) = self.timeouts.get(&view) {
            ensure(*before == rank, Rule::HonestSigning, || {
                format!("{by} gives up {view} twice, with {before:?} and {rank:?}")
            })?;
            return Ok(false);
        }
        let last = self.timeouts.last_key_value();
        ensure(last.is_none_or(|(last, _)| *last < view), Rule::HonestSigning, || {
            format!("{by} gives up {view} after {last:?}")
        })?;
        let hidden = self.votes.get(&view).filter(|block| block.view == view && rank.view < view);
        ensure(hidden.is_none(), Rule::HonestSigning, || {
            format!("{by} gives up {view} with {rank:?} and hides its vote for {hidden:?}")
        })?;
        let promised = self.commit_votes.keys().next_back().copied();
        let kept = promised.is_none_or(|promised| {
            promised < view && rank >= Rank { view: promised, kind: RankKind::Certified, parent: View(0) }
        });
        ensure(kept, Rule::HonestSigning, || {
            format!("{by} gives up {view} with {rank:?} after its commit vote for {promised:?}")
        })?;
        self.timeouts.insert(view, rank);
        Ok(true)
    }
}
