//! What goes wrong, and when it stops.

use super::{Event, World};
use crate::oracle::Verdict;

impl World {
    /// Whether the node crashes at this point, between two outputs. What is written and not synced may be lost.
    pub(super) fn crashes_here(&mut self, slot: usize) -> bool {
        if self.calm || self.plan.crash == 0 || !self.hosts[slot].is_honest() || !self.random.chance(self.plan.crash) {
            return false;
        }
        self.crash(slot);
        true
    }

    fn crash(&mut self, slot: usize) {
        let now = self.queue.now();
        let kept = self.random.index(self.hosts[slot].disk.unsynced() + 1);
        let (node, lost) = (self.hosts[slot].node, self.hosts[slot].disk.unsynced() - kept);
        self.hosts[slot].crash(kept);
        self.figures.crashes += 1;
        self.story.tell(now, || format!("node {node} crashes and loses {lost} writes"));
        if self.plan.forgetful.remove(&node) {
            self.hosts[slot].disk.wipe_record();
            self.hosts[slot].silent = true;
            self.oracle.wiped(node);
            self.story.tell(now, || format!("node {node} loses its safety record"));
        }
        self.queue.at(now + self.random.below(self.plan.down + 1), Event::Start { slot });
    }

    /// Links break, or heal.
    pub(super) fn break_links(&mut self) {
        if self.calm {
            return;
        }
        let now = self.queue.now();
        if self.random.chance(350) {
            self.network.heal();
            self.story.tell(now, || "all links are whole".into());
        } else {
            let what = self.network.partition();
            self.story.tell(now, || what);
        }
        self.queue.at(now + self.random.between(1000, self.plan.partition_every), Event::Partition);
    }

    /// From now on there are no faults but the adversaries'.
    pub(super) fn calm_down(&mut self) -> Verdict {
        let now = self.queue.now();
        self.calm = true;
        self.grown = true;
        self.network.heal();
        self.network.set_weather(crate::network::Weather::default());
        self.network.set_latency(self.plan.calm_latency);
        let reached = self.correct().map(|host| self.oracle.height_of(host.node)).max().unwrap_or_default();
        self.goal = reached + self.config.heights;
        let goal = self.goal;
        self.story.tell(now, || format!("all faults end; height {goal} is to be reached"));
        for slot in 0..self.hosts.len() {
            self.start(slot)?;
        }
        Ok(())
    }
}
