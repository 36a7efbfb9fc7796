//! No quorum of timeouts can hide what may have been certified or committed.
//!
//! Every block that could be certified or committed sets a *floor*: from some view on, honest validators must report at
//! least its rank, so many of them that no quorum of timeouts does without one that does (S2 and S3 of the design).
//! Whether the Byzantine validators did sign does not matter: they can at any later time.

use super::{Rule, Verdict, ensure, signing::Signing};
use chorale_types::{BlockReference, EpochInfo, Rank, RankKind, Statement, TimeoutQuorum, ValidatorIndex, View};
use std::collections::{BTreeMap, BTreeSet};

/// The floors of an epoch.
#[derive(Debug)]
pub(super) struct Hiding {
    weights: BTreeMap<ValidatorIndex, u64>,
    /// What honest validators have to add to the Byzantine ones to make a quorum.
    needed: u64,
    votes: BTreeMap<View, BTreeMap<BlockReference, u64>>,
    commit_votes: BTreeMap<View, BTreeMap<BlockReference, u64>>,
    /// The lowest rank that a quorum of timeouts may report, by the first view that it holds for.
    floors: BTreeMap<View, Rank>,
    /// Blocks that may be committed, by the first view whose timeouts have to respect it.
    committed: BTreeMap<View, BlockReference>,
}

impl Hiding {
    pub(super) fn new(info: &EpochInfo, byzantine: &BTreeSet<ValidatorIndex>) -> Self {
        let validators = &info.validators;
        let faulty: u64 = byzantine.iter().map(|index| validators.weight(*index)).sum();
        Self {
            weights: validators.indices().map(|index| (index, validators.weight(index))).collect(),
            needed: validators.quorum().saturating_sub(faulty),
            votes: BTreeMap::new(),
            commit_votes: BTreeMap::new(),
            floors: BTreeMap::new(),
            committed: BTreeMap::new(),
        }
    }

    /// Takes an honest statement in. The fresh block that has become certifiable by it, if any.
    pub(super) fn add(
        &mut self,
        signing: &Signing,
        by: ValidatorIndex,
        statement: Statement,
    ) -> Result<Option<BlockReference>, super::Broken> {
        let weight = self.weights.get(&by).copied().unwrap_or_default();
        match statement {
            Statement::Vote { view, block } => {
                let rivals = self.votes.entry(view).or_default();
                let voted = rivals.entry(block).or_default();
                let before = *voted;
                *voted += weight;
                if before >= self.needed || *voted < self.needed {
                    return Ok(None);
                }
                let certifiable = rivals.values().filter(|voted| **voted >= self.needed).count();
                ensure(certifiable == 1, Rule::OneCertificatePerView, || {
                    format!("{certifiable} blocks of view {view} can be certified")
                })?;
                if block.view != view {
                    // A vote on a reproposal promises nothing by itself.
                    return Ok(None);
                }
                let floor = Rank { view, kind: RankKind::Voted, parent: block.parent };
                self.raise(signing, view, floor)?;
                Ok(Some(block))
            }
            Statement::CommitVote { view, block } => {
                let voted = self.commit_votes.entry(view).or_default().entry(block).or_default();
                *voted += weight;
                if *voted >= self.needed {
                    self.committed.insert(view, block);
                    self.raise(signing, view, Rank { view, kind: RankKind::Certified, parent: View(0) })?;
                }
                Ok(None)
            }
            Statement::Timeout { view, .. } => self.check(signing, view).map(|()| None),
            _ => Ok(None),
        }
    }

    fn raise(&mut self, signing: &Signing, view: View, floor: Rank) -> Verdict {
        let before = self.floors.entry(view).or_insert(floor);
        *before = (*before).max(floor);
        signing.timeouts.range(view..).try_for_each(|(view, _)| self.check(signing, *view))
    }

    /// Whether the timeouts of a view could make a quorum below the floor.
    fn check(&self, signing: &Signing, view: View) -> Verdict {
        let (Some(floor), Some(timeouts)) = (self.floor(view), signing.timeouts.get(&view)) else { return Ok(()) };
        let below = timeouts.iter().filter(|(_, rank)| **rank < floor);
        let weight: u64 = below.map(|(by, _)| self.weights.get(by).copied().unwrap_or_default()).sum();
        ensure(weight < self.needed, Rule::NothingHidden, || {
            format!("timeouts of view {view} could report less than {floor:?}, which may be certified: {timeouts:?}")
        })
    }

    /// A floor names its own view first, so later ones are higher.
    fn floor(&self, view: View) -> Option<Rank> {
        self.floors.range(..=view).next_back().map(|(_, floor)| *floor)
    }

    /// Judges a quorum of timeouts that was formed.
    pub(super) fn check_certificate(&self, quorum: &TimeoutQuorum) -> Verdict {
        let floor = self.floor(quorum.view);
        ensure(floor.is_none_or(|floor| quorum.rank() >= Some(floor)), Rule::NothingHidden, || {
            format!("the timeouts of {} report {:?}, below {floor:?}", quorum.view, quorum.rank())
        })
    }

    /// Blocks that the timeouts of a view have to respect: the last one is on top of the others.
    pub(super) fn committed_before(&self, view: View) -> Option<BlockReference> {
        self.committed.range(..=view).next_back().map(|(_, block)| *block)
    }

    /// A block is, or can be, committed by certificates of two views, of which this is the second.
    pub(super) fn committed(&mut self, second: View, block: BlockReference) {
        self.committed.insert(second, block);
    }
}
