//! The ledger: state, and how a height changes it.

use crate::{
    Config, Settled, Standing,
    domains::{Domains, ForTheChain},
    references::References,
    units::Collector,
    window::Window,
};
use chorale_types::{
    Attestation, ChainId, Digest, Epoch, Header, Height, Lane, LaneLeaf, LaneTree, Outcome, Payload, PayloadStatus,
    RegistryLeaf, RegistryTree, RollupId, TimestampMs, codec::List, tagged_hash,
};
use std::collections::BTreeMap;

/// What a commitment opened to.
#[derive(Clone, Debug)]
pub enum Content {
    /// A payload that agrees with its manifest.
    Opened(Payload),
    /// Nothing.
    Malformed,
}

/// The caller gave something that cannot be settled now. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// Heights are settled one after the other.
    #[error("a header of height {actual}, expected height {expected}")]
    Height {
        /// The height after the last one settled.
        expected: Height,
        /// The height given.
        actual: Height,
    },
    /// A header of another chain.
    #[error("a header of chain {actual}, expected chain {expected}")]
    Chain {
        /// The ledger's.
        expected: ChainId,
        /// The header's.
        actual: ChainId,
    },
    /// A header of an epoch that is over.
    #[error("a header of epoch {actual} after one of epoch {last}")]
    Epoch {
        /// Of the last height.
        last: Epoch,
        /// Of the header.
        actual: Epoch,
    },
    /// Content for each payload is needed, and no more.
    #[error("content of {actual} payloads for a header with {expected}")]
    Contents {
        /// Payloads of the header.
        expected: usize,
        /// Contents given.
        actual: usize,
    },
}

/// The state of settlement. See the [crate](crate) for the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub(crate) config: Config,
    pub(crate) height: Height,
    pub(crate) timestamp: TimestampMs,
    pub(crate) registry: BTreeMap<RollupId, Height>,
    pub(crate) window: Window,
    pub(crate) references: References,
    pub(crate) domains: Domains,
}

impl Ledger {
    /// The state at height 0.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let registry = config.rollups.keys().map(|rollup| (*rollup, Height(0))).collect();
        let timestamp = config.start;
        let (window, references) = (Window::new(config.hash_key), References::default());
        let domains = Domains::new(&config);
        Self { config, height: Height(0), timestamp, registry, window, references, domains }
    }

    /// What it was made with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The last height settled.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Chain time of the last height settled.
    #[must_use]
    pub const fn timestamp(&self) -> TimestampMs {
        self.timestamp
    }

    /// The last height with content of a rollup; `None` if the chain does not have it.
    #[must_use]
    pub fn last_content(&self, rollup: RollupId) -> Option<Height> {
        self.registry.get(&rollup).copied()
    }

    /// The last height with content of every rollup, as of the last height settled.
    #[must_use]
    pub fn registry_tree(&self) -> RegistryTree {
        let rows = self.registry.iter().map(|(rollup, last)| RegistryLeaf { rollup: *rollup, last: *last });
        RegistryTree::new(rows.collect())
    }

    /// Where the domains that are attested stand.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        self.domains.standings(&self.config)
    }

    /// Settles the next height where no attestation of executed rollups holds: see [`Ledger::settle_attested`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn settle(
        &mut self,
        header: &Header,
        contents: Vec<Content>,
        next_validators: Option<Digest>,
    ) -> Result<Settled, SettleError> {
        self.settle_attested(header, contents, next_validators, &|_| false)
    }

    /// Settles the next height. `contents` belong to the header's payloads, in their order. `next_validators` is the
    /// digest of the next epoch's set if this is the closing height of an epoch. `attests`: whether an attestation of
    /// executed rollups holds, by the validators of its epoch.
    ///
    /// # Errors
    ///
    /// The header is not the next one, or contents do not belong to it. The state is unchanged.
    pub fn settle_attested(
        &mut self,
        header: &Header,
        contents: Vec<Content>,
        next_validators: Option<Digest>,
        attests: &dyn Fn(&Attestation) -> bool,
    ) -> Result<Settled, SettleError> {
        self.check(header, contents.len())?;
        self.height = header.height;
        self.timestamp = self.chain_time(header.timestamp);
        self.window.forget(header.height, self.config.window_heights());
        self.references.advance(header);

        self.domains.suspend(&self.config, header.height);
        let system = ForTheChain::new(&self.domains, attests);
        let mut collector = Collector::new(&self.config, &self.window, header.height, system);
        let mut statuses = Vec::with_capacity(contents.len());
        for (index, (certificate, content)) in (0u8..).zip(header.payloads.iter().zip(contents)) {
            statuses.push(match (self.references.insert(certificate), content) {
                (false, _) => PayloadStatus::Void,
                (true, Content::Malformed) => PayloadStatus::Malformed,
                (true, Content::Opened(payload)) => {
                    collector.add(index, payload);
                    PayloadStatus::Opened
                }
            });
        }
        let (ordered, lanes) = (collector.ordered(), collector.lanes());
        let Collector { bundles, included, skipped, system, .. } = collector;
        let items = system.taken;
        self.window.insert(header.height, ordered);
        self.domains.apply(&self.config, header.height, items, &lanes);
        let lane_tree = self.register(&lanes);
        let registry_tree = self.registry_tree();
        let outcome = Outcome {
            chain: header.chain,
            epoch: header.epoch,
            height: header.height,
            header: header.id(),
            timestamp: self.timestamp,
            payloads: List::new(statuses).expect("as many as the header has payloads"),
            lanes: lane_tree.root(),
            registry: registry_tree.root(),
            ledger: self.digest(),
            next_validators,
        };
        Ok(Settled { outcome, lanes, lane_tree, registry_tree, bundles, included, skipped })
    }

    fn check(&self, header: &Header, contents: usize) -> Result<(), SettleError> {
        let expected = self.height.next();
        if header.height != expected {
            return Err(SettleError::Height { expected, actual: header.height });
        }
        if header.chain != self.config.chain {
            return Err(SettleError::Chain { expected: self.config.chain, actual: header.chain });
        }
        if header.epoch < self.references.epoch() {
            return Err(SettleError::Epoch { last: self.references.epoch(), actual: header.epoch });
        }
        if header.payloads.len() != contents {
            return Err(SettleError::Contents { expected: header.payloads.len(), actual: contents });
        }
        Ok(())
    }

    fn chain_time(&self, claimed: TimestampMs) -> TimestampMs {
        let earliest = self.timestamp.0.saturating_add(1);
        let latest = self.timestamp.0.saturating_add(self.config.time_step_ms_max.max(1));
        TimestampMs(claimed.0.clamp(earliest, latest))
    }

    /// Links each lane to the one before, and moves the registry on.
    fn register(&mut self, lanes: &BTreeMap<RollupId, Lane>) -> LaneTree {
        let leaves: Vec<LaneLeaf> = lanes
            .values()
            .map(|lane| {
                let previous = self.registry.insert(lane.rollup(), self.height);
                lane.leaf(previous.expect("items of unknown rollups are left out"))
            })
            .collect();
        LaneTree::new(leaves)
    }

    /// Binds what decides about later heights, besides what the outcome itself says.
    pub(crate) fn digest(&self) -> Digest {
        let mut references = Vec::new();
        self.references.write_digest(&mut references);
        let mut window = Vec::new();
        self.window.write_digest(&mut window);
        let length = u64::try_from(references.len()).expect("few megabytes").to_be_bytes();
        tagged_hash("chorale/ledger/v2", &[self.domains.digest().as_ref(), &length, &references, &window])
    }
}
