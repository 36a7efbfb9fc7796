//! The last records in memory, shared with all who ask.

use super::Record;
use chorale_types::{Height, Outcome, RegistryTree};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Registry trees that are kept, so that one of an attested height is among them.
const REGISTRIES_MAX: usize = 64;

/// The registry as of a height.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    pub(super) outcome: Outcome,
    pub(super) tree: Arc<RegistryTree>,
}

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<Height, Arc<Record>>,
    bytes: usize,
    units: u64,
    registries: BTreeMap<Height, Registry>,
}

/// Shares the last records. Clones share them too.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    bytes_max: usize,
    inner: Arc<Mutex<Inner>>,
}

impl Recent {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inner: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, record: Arc<Record>) {
        let mut inner = self.lock();
        inner.bytes += record.bytes();
        if let Some(replaced) = inner.records.insert(record.height(), record) {
            inner.bytes -= replaced.bytes();
        }
        // The last one stays, however large it is.
        while inner.bytes > self.bytes_max && inner.records.len() > 1 {
            let Some((_, record)) = inner.records.pop_first() else { break };
            inner.bytes -= record.bytes();
        }
    }

    /// Counts units that were settled.
    pub(super) fn count(&self, units: usize) {
        self.lock().units += units as u64;
    }

    pub(super) fn units(&self) -> u64 {
        self.lock().units
    }

    pub(super) fn get(&self, height: Height) -> Option<Arc<Record>> {
        self.lock().records.get(&height).cloned()
    }

    pub(super) fn insert_registry(&self, registry: Registry) {
        let mut inner = self.lock();
        inner.registries.insert(registry.outcome.height, registry);
        while inner.registries.len() > REGISTRIES_MAX {
            inner.registries.pop_first();
        }
    }

    /// The registry of a height, if it is one of the last.
    pub(super) fn registry(&self, height: Height) -> Option<Registry> {
        self.lock().registries.get(&height).cloned()
    }
}
