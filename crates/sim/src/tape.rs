//! What the state machines of a run were told, so that it can be told to them again without the network, the disks and
//! the judge around them: that shows what the pure stepper alone costs.

use crate::{Plan, SimConfig, World, epochs, epochs::Epochs};
use chorale_hotstuff::{Config, Core, Input, mock::MockScheme};
use chorale_types::TimestampMs;

/// One step: which node, what it is told, and what its clock shows.
pub type Step = (usize, Input, TimestampMs);

/// A validator's state machine.
pub type Player = Core<MockScheme>;

/// All steps of a run without crashes, in order.
#[derive(Debug)]
pub struct Tape {
    plan: Plan,
    epochs: Epochs,
    steps: Vec<Step>,
}

impl Tape {
    /// Runs a world and records it. `None` if a rule broke, or if nodes crash in this kind of world: then the inputs
    /// alone do not say what the state machines did.
    #[must_use]
    pub fn record(config: &SimConfig) -> Option<Self> {
        let plan = Plan::draw(config);
        let epochs = Epochs::new(config.seed, plan.weights.clone(), plan.epoch_heights);
        let (report, steps) = World::with_plan(config, plan.clone()).record();
        let is_whole = report.violation.is_none() && report.crashes == 0 && plan.byzantine.is_empty();
        is_whole.then_some(Self { plan, epochs, steps })
    }

    /// The state machines as they were before the first step.
    #[must_use]
    pub fn cores(&self) -> Vec<Player> {
        let core = |node| {
            let info = self.epochs.first().clone();
            let config = Config {
                parameters: self.plan.parameters.clone(),
                index: Some(epochs::index_of(node)),
                committed: info.start,
                may_sign: true,
            };
            Core::new(config, info, epochs::scheme(node), None, Vec::new())
        };
        (0..self.plan.weights.len()).map(core).collect()
    }

    /// All steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many of the steps are messages of other validators.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.steps.iter().filter(|(_, input, _)| matches!(input, Input::Message { .. })).count()
    }
}
