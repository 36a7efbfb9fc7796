//! A node as the simulator holds it: state machine, disk, clock, and what is still to be carried out.

use crate::{
    adversary::Adversary,
    clock::Clock,
    disk::{Disk, Write},
    epochs::{self, Epochs},
    plan::Plan,
    queue::Micros,
};
use chorale_hotstuff::{Config, Core, Input, Output, mock::MockScheme};
use chorale_types::{Epoch, EpochInfo, View};
use std::collections::VecDeque;

/// One instance of a node. Twins are two instances of one node.
#[derive(Debug)]
pub(crate) struct Host {
    /// Its index in every epoch's set.
    pub(crate) node: usize,
    /// None while it is down.
    pub(crate) core: Option<Core<MockScheme>>,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    /// Outputs not carried out yet, in order.
    pub(crate) outbox: VecDeque<Output>,
    /// How many of them wait for a sync that is under way.
    pub(crate) syncing: usize,
    /// Counts its lives: what was meant for an earlier one is void.
    pub(crate) life: u64,
    /// When the next tick is scheduled.
    pub(crate) tick: Option<Micros>,
    /// Whether it lost its record in this epoch, and so must not sign.
    pub(crate) silent: bool,
    /// Whether it is down for good.
    pub(crate) dead: bool,
    pub(crate) adversary: Option<Box<dyn Adversary>>,
}

impl Host {
    pub(crate) fn new(node: usize, epochs: &Epochs, clock: Clock, adversary: Option<Box<dyn Adversary>>) -> Self {
        Self {
            node,
            core: None,
            disk: Disk::new(epochs.first().start),
            clock,
            outbox: VecDeque::new(),
            syncing: 0,
            life: 0,
            tick: None,
            silent: false,
            dead: false,
            adversary,
        }
    }

    /// Whether it is to be held to the rules.
    pub(crate) fn is_honest(&self) -> bool {
        self.adversary.is_none()
    }

    /// Starts the state machine from the disk.
    pub(crate) fn start(&mut self, epochs: &Epochs, plan: &Plan) {
        let record = self.disk.record().cloned();
        let tip = self.disk.tip();
        let info = match &record {
            Some(record) => epochs.get(record.epoch),
            None => (0..)
                .map_while(|epoch| epochs.get(Epoch(epoch)))
                .take_while(|info| info.start.height <= tip.height)
                .last(),
        };
        let info: EpochInfo = info.unwrap_or_else(|| epochs.first()).clone();
        let config = Config {
            parameters: plan.parameters.clone(),
            index: Some(epochs::index_of(self.node)),
            committed: if tip.height == info.start.height { info.start } else { tip },
            may_sign: !self.silent,
        };
        #[cfg_attr(not(test), expect(unused_mut, reason = "tests plant mistakes"))]
        let mut core = Core::new(config, info, epochs::scheme(self.node), record, self.disk.uncommitted());
        #[cfg(test)]
        if let Some(mutation) = plan.mutation.filter(|_| self.is_honest()) {
            core.set_mutation(mutation);
        }
        self.core = Some(core);
    }

    /// Everything in memory is gone, and of the unsynced writes all but the first `kept`.
    pub(crate) fn crash(&mut self, kept: usize) {
        self.core = None;
        self.outbox.clear();
        self.syncing = 0;
        self.life += 1;
        self.tick = None;
        self.disk.crash(kept);
    }

    /// Gives the state machine an input; its outputs are to be carried out.
    pub(crate) fn step(&mut self, input: Input, now: Micros) {
        let time = self.clock.read(now);
        if let Some(core) = &mut self.core {
            let outputs = core.step(input, time);
            self.outbox.extend(outputs);
        }
    }

    /// Writes everything to disk that the outbox wants written, without making it durable. How many outputs the next
    /// sync is going to release.
    pub(crate) fn write(&mut self) -> usize {
        let mut covered = 0;
        for (position, output) in self.outbox.iter().enumerate() {
            match output {
                Output::Persist(record) => self.disk.write(Write::Record(record.clone())),
                Output::PersistHeader(header) => self.disk.write(Write::Header(header.clone())),
                _ => continue,
            }
            covered = position + 1;
        }
        self.syncing = covered;
        covered
    }

    pub(crate) fn view(&self) -> View {
        self.core.as_ref().map_or(View(0), Core::view)
    }
}
