//! What validators said, by view: bounded, so that nobody can fill a memory.

use crate::{ballot::Ballot, timeouts::Timeouts};
use chorale_types::{Signature, Statement, View};
use std::collections::BTreeMap;

/// Views after the current one for which votes are kept: they may overtake the proposal.
const VIEWS_AHEAD: u64 = 8;
/// Views before the current one for which anything is kept.
const VIEWS_BEHIND: u64 = 64;

/// What was said in one view: one thing of each kind by each validator.
#[derive(Debug, Default)]
pub(crate) struct ViewPool {
    pub(crate) votes: Ballot,
    pub(crate) commit_votes: Ballot,
    pub(crate) timeouts: Timeouts,
    /// The first thing that the leader signed in it.
    pub(crate) proposal: Option<(Statement, Signature)>,
    /// Whether the commit votes have made a certificate.
    pub(crate) committed: bool,
}

/// The pools of all views that matter.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    views: BTreeMap<View, ViewPool>,
    /// Views up to this one are decided.
    floor: View,
    current: View,
}

impl Pools {
    /// The pool of a view, unless it is decided or out of reach.
    pub(crate) fn at(&mut self, view: View) -> Option<&mut ViewPool> {
        let reach = self.current.0.saturating_add(VIEWS_AHEAD);
        let depth = self.current.0.saturating_sub(VIEWS_BEHIND);
        if view <= self.floor || view.0 > reach || view.0 < depth {
            return None;
        }
        Some(self.views.entry(view).or_default())
    }

    /// The pools of a view and those after it.
    pub(crate) fn from(&self, view: View) -> impl Iterator<Item = (View, &ViewPool)> {
        self.views.range(view..).map(|(view, pool)| (*view, pool))
    }

    /// Forgets what is decided or out of reach.
    pub(crate) fn prune(&mut self, committed: View, current: View) {
        self.floor = committed;
        self.current = current;
        let depth = View(current.0.saturating_sub(VIEWS_BEHIND));
        while self.views.first_key_value().is_some_and(|(view, _)| *view <= committed || *view < depth) {
            self.views.pop_first();
        }
    }
}
