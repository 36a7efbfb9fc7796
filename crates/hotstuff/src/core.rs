//! The driver: one step per input.

use crate::{Config, Input, Output, Record, mutations::Mutations};
use chorale_types::{BlockReference, EpochInfo, Header, QuorumCertificate, Scheme, TimestampMs, View};

/// One node's consensus.
#[derive(Debug)]
pub struct Core<S> {
    scheme: S,
    config: Config,
    info: EpochInfo,
    record: Record,
    mutations: Mutations,
}

impl<S: Scheme> Core<S> {
    /// A state machine that goes on where `record` says. `headers`: those persisted and not yet committed. Nothing
    /// happens before [`Input::Start`].
    #[must_use]
    pub fn new(config: Config, epoch: EpochInfo, scheme: S, record: Option<Record>, headers: Vec<Header>) -> Self {
        let _ = headers;
        let record = record.unwrap_or_else(|| Record::start(&epoch, config.committed));
        Self { scheme, config, info: epoch, record, mutations: Mutations::default() }
    }

    /// Plants a mistake; before [`Input::Start`], so that it also governs the restart.
    #[cfg(feature = "mutants")]
    pub fn set_mutation(&mut self, mutation: crate::mutation::Mutation) {
        self.mutations = Mutations::of(mutation);
    }

    /// Takes an input in, at this time of the node's clock. The outputs are to be carried out in order.
    pub fn step(&mut self, input: Input, now: TimestampMs) -> Vec<Output> {
        let _ = (input, now, &self.scheme, self.mutations);
        Vec::new()
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<TimestampMs> {
        None
    }

    /// The view the node is in.
    #[must_use]
    pub fn view(&self) -> View {
        self.record.view
    }

    /// The epoch the node is in.
    #[must_use]
    pub const fn epoch(&self) -> &EpochInfo {
        &self.info
    }

    /// The last committed block.
    #[must_use]
    pub const fn committed(&self) -> BlockReference {
        self.config.committed
    }

    /// The highest certificate known.
    #[must_use]
    pub const fn high(&self) -> &QuorumCertificate {
        &self.record.high
    }
}
