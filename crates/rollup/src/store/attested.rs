//! What heights became, and what is attested of it: the canonical encoding, because that is what is signed and proven.

use super::{
    Store, StoreError, guarded,
    rows::{BadRow, opened, sealed},
    tables::{ATTESTED, EXECUTED},
    write::Failed,
};
use chorale_types::{
    Attestation, ExecutedHeight, Height,
    codec::{Encode, Read, decode},
};
use redb::{ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition, WriteTransaction};
use std::num::NonZeroU64;

type ByHeight = TableDefinition<'static, u64, &'static [u8]>;

impl Store {
    /// What the rollups became at a height, if they have content there and it is kept.
    pub(crate) fn executed(&self, height: Height) -> Result<Option<ExecutedHeight>, StoreError> {
        guarded(&self.path, || self.at(EXECUTED, "executed", height))
    }

    /// What the rollups became at the first heights after one, up to another one; so many at most.
    pub(crate) fn executed_after(
        &self,
        after: Height,
        until: Height,
        max: usize,
    ) -> Result<Vec<ExecutedHeight>, StoreError> {
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(EXECUTED).map_err(|error| self.failed(error))?;
            let first = after.0.saturating_add(1);
            let mut found = Vec::new();
            if first > until.0 {
                return Ok(found);
            }
            for row in table.range(first..=until.0).map_err(|error| self.failed(error))?.take(max) {
                let (height, row) = row.map_err(|error| self.failed(error))?;
                found.push(self.read_at("executed", Height(height.value()), row.value())?);
            }
            Ok(found)
        })
    }

    /// The attestation of a height, if there is one.
    pub(crate) fn attestation(&self, height: Height) -> Result<Option<Attestation>, StoreError> {
        guarded(&self.path, || self.at(ATTESTED, "attested", height))
    }

    /// The last height that is attested, as it is here.
    pub(crate) fn last_attested(&self) -> Result<Option<ExecutedHeight>, StoreError> {
        let last = guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(ATTESTED).map_err(|error| self.failed(error))?;
            let last = table.last().map_err(|error| self.failed(error))?;
            Ok(last.map(|(height, _)| Height(height.value())))
        })?;
        let Some(last) = last else { return Ok(None) };
        let executed = self.executed(last)?;
        executed
            .map(Some)
            .ok_or_else(|| self.damaged(format!("height {last} is attested, and what it became is missing")))
    }

    /// Writes what is attested of heights that are here, all or nothing.
    pub(crate) fn write_attested(&self, attestations: &[Attestation]) -> Result<(), StoreError> {
        self.transact(|transaction| {
            let mut table = transaction.open_table(ATTESTED)?;
            for attestation in attestations {
                put(&mut table, "attested", attestation.height, attestation)?;
            }
            Ok(())
        })
    }

    fn at<T: Read<Cfg = ()>>(&self, table: ByHeight, name: &str, height: Height) -> Result<Option<T>, StoreError> {
        let row = self.get(&self.begin_read()?, table, height.0, <[u8]>::to_vec)?;
        row.map(|row| self.read_at(name, height, &row)).transpose()
    }

    fn read_at<T: Read<Cfg = ()>>(&self, name: &str, height: Height, row: &[u8]) -> Result<T, StoreError> {
        let read = || {
            let payload = opened(name, &height.0.to_be_bytes(), row)?;
            decode(payload.to_vec()).map_err(|error| BadRow::Encoding(error.to_string()))
        };
        read().map_err(|error| self.bad(format!("{name} at height {height}"), &error))
    }
}

pub(super) fn put(
    table: &mut Table<'_, u64, &[u8]>,
    name: &str,
    height: Height,
    value: &impl Encode,
) -> Result<(), Failed> {
    let row = sealed(name, &height.0.to_be_bytes(), &value.encode());
    table.insert(height.0, row.as_slice())?;
    Ok(())
}

/// Writes what a height became, and lets the oldest go if no more than so many are kept.
pub(super) fn put_executed(
    transaction: &WriteTransaction,
    executed: &ExecutedHeight,
    retain: Option<NonZeroU64>,
) -> Result<(), Failed> {
    let mut table = transaction.open_table(EXECUTED)?;
    put(&mut table, "executed", executed.outcome.height, executed)?;
    if retain.is_some_and(|retain| table.len().is_ok_and(|kept| kept > retain.get()))
        && let Some((oldest, _)) = table.pop_first()?
    {
        transaction.open_table(ATTESTED)?.remove(oldest.value())?;
    }
    Ok(())
}
