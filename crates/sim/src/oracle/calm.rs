//! What may be expected of a network without faults.

use super::{Rule, Verdict, ensure};
use chorale_types::{Epoch, EpochInfo, ValidatorIndex, View};
use std::collections::{BTreeMap, BTreeSet};

/// How views ended.
#[derive(Debug, Default)]
pub(super) struct Calm {
    entered: BTreeMap<Epoch, View>,
    timed_out: BTreeSet<(Epoch, View)>,
}

impl Calm {
    pub(super) fn entered(&mut self, epoch: Epoch, view: View) {
        let highest = self.entered.entry(epoch).or_default();
        *highest = (*highest).max(view);
    }

    pub(super) fn timed_out(&mut self, epoch: Epoch, view: View) {
        self.timed_out.insert((epoch, view));
    }

    pub(super) fn timeouts(&self) -> u64 {
        self.timed_out.len() as u64
    }

    pub(super) fn views(&self) -> u64 {
        self.entered.values().map(|view| view.0).sum()
    }

    /// Every view of a dead leader is lost, by one timeout, and no other.
    pub(super) fn check(&self, info: &EpochInfo, dead: &BTreeSet<ValidatorIndex>) -> Verdict {
        let last = self.entered.get(&info.epoch).map_or(0, |view| view.0);
        for view in (1..last).map(View) {
            let lost = self.timed_out.contains(&(info.epoch, view));
            let leader = info.leader(view);
            ensure(!lost || dead.contains(&leader), Rule::NoHonestViewLost, || {
                format!("view {view} of honest leader {leader} timed out")
            })?;
            ensure(lost || !dead.contains(&leader), Rule::OneTimeoutPerDeadLeader, || {
                format!("view {view} of dead leader {leader} did not time out")
            })?;
        }
        Ok(())
    }
}
