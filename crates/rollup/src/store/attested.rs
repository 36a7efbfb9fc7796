//! What heights became, and what is attested of it: the canonical encoding, because that is what is signed and proven.

use super::{
    Store, StoreError, guarded,
    rows::{BadRow, opened, sealed},
    tables::{ATTESTED, BUNDLE_ORDER, BUNDLES, EXECUTED},
    write::Failed,
};
use chorale_types::{
    Attestation, ExecutedHeight, ExecutionOutcome, Height,
    codec::{Encode, Read, ReadExt as _, decode},
};
use redb::{ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition, WriteTransaction};
use std::num::NonZeroU64;

/// What came of attestations.
pub(crate) enum Taken {
    /// They are of what this node found; the last one of this.
    Agreed(Option<Box<ExecutedHeight>>),
    /// This one is not: with what this node found, if it found content there.
    Disagreed(Box<(Option<ExecutedHeight>, Attestation)>),
}

/// Heights that are deleted at once.
const DELETED_MAX: u64 = 256;

type ByHeight = TableDefinition<'static, u64, &'static [u8]>;

impl Store {
    /// What the rollups became at a height, if they have content there and it is kept.
    pub(crate) fn executed(&self, height: Height) -> Result<Option<ExecutedHeight>, StoreError> {
        guarded(&self.path, || self.at(EXECUTED, "executed", height))
    }

    /// The outcomes of the first heights after one, up to another one; so many at most.
    pub(crate) fn executed_after(
        &self,
        after: Height,
        until: Height,
        max: usize,
    ) -> Result<Vec<ExecutionOutcome>, StoreError> {
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
                let height = Height(height.value());
                let outcome =
                    outcome(height, row.value()).map_err(|error| self.bad(place("executed", height), &error))?;
                found.push(outcome);
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

    /// Writes what is attested, all or nothing, if it is what the rollups became here; of heights that are executed, and
    /// not older than what is kept. Returns what the last one is of.
    pub(crate) fn take_attested(&self, attestations: &[Attestation]) -> Result<Taken, StoreError> {
        let mut taken = Taken::Agreed(None);
        self.transact(|transaction| {
            // One transaction, so that nothing goes meanwhile that is compared.
            let executed = transaction.open_table(EXECUTED)?;
            let first = executed.first()?.map_or(0, |(first, _)| first.value());
            let mut kept = Vec::new();
            for attestation in attestations.iter().filter(|attestation| attestation.height.0 >= first) {
                let height = attestation.height;
                let ours: Option<ExecutedHeight> = match executed.get(height.0)? {
                    Some(row) => {
                        Some(read("executed", height, row.value()).map_err(|error| bad("executed", height, error))?)
                    }
                    None => None,
                };
                if ours.as_ref().map(|ours| ours.outcome.root()) != Some(attestation.root) {
                    taken = Taken::Disagreed(Box::new((ours, attestation.clone())));
                    return Ok(());
                }
                taken = Taken::Agreed(ours.map(Box::new));
                kept.push(attestation);
            }
            let mut table = transaction.open_table(ATTESTED)?;
            for attestation in kept {
                put(&mut table, "attested", attestation.height, attestation)?;
            }
            Ok(())
        })?;
        Ok(taken)
    }

    fn at<T: Read<Cfg = ()>>(&self, table: ByHeight, name: &str, height: Height) -> Result<Option<T>, StoreError> {
        let row = self.get(&self.begin_read()?, table, height.0, <[u8]>::to_vec)?;
        row.map(|row| self.read_at(name, height, &row)).transpose()
    }

    fn read_at<T: Read<Cfg = ()>>(&self, name: &str, height: Height, row: &[u8]) -> Result<T, StoreError> {
        read(name, height, row).map_err(|error| self.bad(place(name, height), &error))
    }
}

fn read<T: Read<Cfg = ()>>(name: &str, height: Height, row: &[u8]) -> Result<T, BadRow> {
    let payload = opened(name, &height.0.to_be_bytes(), row)?;
    decode(payload.to_vec()).map_err(|error| BadRow::Encoding(error.to_string()))
}

/// The outcome alone, with which a row begins: there may be many bundles behind it.
fn outcome(height: Height, row: &[u8]) -> Result<ExecutionOutcome, BadRow> {
    let payload = opened("executed", &height.0.to_be_bytes(), row)?;
    ExecutionOutcome::read(&mut alloy_primitives::bytes::Bytes::copy_from_slice(payload))
        .map_err(|error| BadRow::Encoding(error.to_string()))
}

fn place(name: &str, height: Height) -> String {
    format!("{name} at height {height}")
}

fn bad(name: &str, height: Height, error: BadRow) -> Failed {
    Failed::Row(place(name, height), error)
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

/// Writes what a height became, and lets the oldest go if more than so many are kept, with what became of their bundles.
/// What is not attested yet stays, if the domain is attested at all: it has to be compared.
pub(super) fn put_executed(
    transaction: &WriteTransaction,
    executed: &ExecutedHeight,
    retain: Option<NonZeroU64>,
    is_attested: bool,
) -> Result<(), Failed> {
    let mut table = transaction.open_table(EXECUTED)?;
    put(&mut table, "executed", executed.outcome.height, executed)?;
    let Some(retain) = retain else { return Ok(()) };
    let mut attested = transaction.open_table(ATTESTED)?;
    let last_attested = attested.last()?.map_or(0, |(last, _)| last.value());
    let excess = table.len()?.saturating_sub(retain.get()).min(DELETED_MAX);
    for _ in 0..excess {
        let Some(oldest) = table.first()?.map(|(oldest, _)| oldest.value()) else { break };
        // The last attestation stays as well: it says what is final.
        if is_attested && oldest >= last_attested {
            break;
        }
        table.remove(oldest)?;
        attested.remove(oldest)?;
        delete_bundles(transaction, oldest)?;
    }
    Ok(())
}

/// Deletes what became of bundles up to a height.
fn delete_bundles(transaction: &WriteTransaction, height: u64) -> Result<(), Failed> {
    let (mut bundles, mut order) = (transaction.open_table(BUNDLES)?, transaction.open_table(BUNDLE_ORDER)?);
    for row in order.extract_from_if((0, 0)..=(height, u32::MAX), |_, _| true)? {
        bundles.remove(row?.1.value())?;
    }
    Ok(())
}
