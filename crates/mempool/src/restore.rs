//! The pool after a restart: from what was written down.

use crate::{
    entry::Entry,
    pool::Mempool,
    record::{Add, Record, Remove},
    status::{EvictReason, Outcome},
};
use chorale_types::TimestampMs;

impl Mempool {
    /// Takes up what the journal holds, in its order, before anything else happens.
    ///
    /// An entry that no longer fits, or whose rollup is gone, ends with that reason: it was accepted, so whoever asks
    /// for it gets an answer.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>, now: TimestampMs) {
        self.advance(now);
        for record in records {
            match record {
                Record::Add(Add { arrived_at, arrival_height, unit }) => {
                    let entry = Entry::new(unit);
                    if self.store.get(&entry.id()).is_some() {
                        continue;
                    }
                    self.history.remove(&entry.id());
                    self.history_of_peers.remove(&entry.id());
                    self.height = self.height.max(arrival_height);
                    self.insert(entry, None, arrived_at, arrival_height);
                }
                Record::Remove(Remove { id, ended }) => {
                    if let Some(sequence) = self.store.sequence(&id) {
                        self.store.remove(sequence);
                    }
                    self.remember(id, ended, None);
                }
            }
        }
        let (bytes_max, entries_max) = (self.config.bytes_max, self.config.entries_max);
        while self.store.total().bytes > bytes_max || self.store.total().entries > entries_max {
            let Some(newest) = self.store.newest() else { break };
            self.end(newest, Outcome::Evicted(EvictReason::PoolShrunk(bytes_max)));
        }
        let rollups = self.config.rollups.clone();
        self.set_rollups(rollups, now);
    }

    /// What a new journal begins with: how entries ended that were not ordered, and the pooled ones that are written down.
    /// What was ordered is in the chain.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Record> {
        let ended = self.history.iter().map(|(id, ended)| Record::Remove(Remove { id: *id, ended: *ended }));
        let pooled = self.store.slots_from(0).filter(|(_, slot)| self.journals(slot.origin)).map(|(_, slot)| {
            Record::Add(Add {
                arrived_at: slot.arrived_at,
                arrival_height: slot.arrival_height,
                unit: slot.entry.to_unit(),
            })
        });
        ended.chain(pooled).collect()
    }
}
