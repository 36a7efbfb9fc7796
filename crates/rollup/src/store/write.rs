//! Writing: what heights made, and what is not kept any longer.

use super::{
    FORMAT, FORMAT_ROW, HEAD_ROW, IDENTITY_ROW, Identity, Store, StoreError,
    attested::put_executed,
    bytes_of, place,
    rows::{self, BadRow, Head, block_key, burnt_seal, sealed},
    sealed_meta,
    tables::{
        ACCOUNTS, ATTESTED, BLOCK_HASHES, BODIES, BUNDLE_ORDER, BUNDLES, BURNT, CHANGES, CODES, EXECUTED, HEADERS,
        META, NUMBERS, SLOTS, TRANSACTIONS,
    },
};
use crate::{blocks::STATES_MAX, record::Executed};
use alloy_primitives::B256;
use chorale_evm::{Block, Changes, Domain};
use chorale_types::{Digest, Height, RollupHead, RollupId};
use redb::{ReadableTable as _, WriteTransaction};

/// Blocks of one rollup that are deleted in one transaction: more wait for the next ones, so that none takes long.
const DELETED_MAX: usize = 256;

impl Store {
    /// Writes what heights made, all or nothing. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// The disk fails, or what is on it is damaged.
    pub(crate) fn write(&self, heights: &[Executed]) -> Result<(), StoreError> {
        let Some(last) = heights.last() else { return Ok(()) };
        self.transact(|transaction| {
            for executed in heights {
                write_height(transaction, executed)?;
                put_executed(transaction, &executed.attested, self.retain_blocks, self.is_attested)?;
            }
            let rollups = last.derived.heads.iter().map(|head| {
                let RollupHead { rollup, number, block, .. } = head;
                (*rollup, *number, B256::from_slice(block.as_ref()))
            });
            put_head(transaction, &Head { height: last.height(), rollups: rollups.collect() })?;
            if let Some(retain) = self.retain_blocks {
                for (rollup, chain) in &last.chains {
                    let end = (chain.head().number + 1).saturating_sub(retain.get());
                    self.delete_blocks(transaction, *rollup, end)?;
                }
            }
            Ok(())
        })
    }

    /// Writes the domain as it is before its first block.
    pub(super) fn begin(&self, genesis: &Domain, identity: &Identity) -> Result<(), StoreError> {
        self.transact(|transaction| {
            begin_empty(transaction, genesis, identity)?;
            let mut heads = Vec::new();
            for (rollup, chain) in genesis.chains() {
                put_state(transaction, *rollup, chain.state())?;
                heads.push((*rollup, chain.head().number, chain.head().hash()));
            }
            put_head(transaction, &Head { height: genesis.height(), rollups: heads })
        })
    }

    pub(super) fn transact(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<(), Failed>,
    ) -> Result<(), StoreError> {
        let begin = || {
            let mut transaction = self.database.begin_write()?;
            // After a crash the start is then as quick as after a proper end, however much there is.
            transaction.set_quick_repair(true);
            write(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        begin().map_err(|failed| match failed {
            Failed::Database(error) => self.failed(*error),
            Failed::Row(place, error) => self.bad(place, &error),
        })
    }

    /// Deletes blocks before `end`, the oldest first: but for block 0, which is asked for by name.
    fn delete_blocks(&self, transaction: &WriteTransaction, rollup: RollupId, end: u64) -> Result<(), Failed> {
        let (mut headers, mut bodies) = (transaction.open_table(HEADERS)?, transaction.open_table(BODIES)?);
        let (mut numbers, mut transactions) = (transaction.open_table(NUMBERS)?, transaction.open_table(TRANSACTIONS)?);
        if end <= 1 {
            return Ok(());
        }
        let old: Vec<u64> = headers
            .range((rollup.0, 1)..(rollup.0, end))?
            .take(DELETED_MAX)
            .map(|row| row.map(|(key, _)| key.value().1))
            .collect::<Result<_, _>>()?;
        for number in old {
            let key = (rollup.0, number);
            let (Some(header), Some(body)) = (headers.remove(key)?, bodies.remove(key)?) else {
                return Err(Failed::Row(place(rollup, number), BadRow::Encoding("half of it is missing".to_owned())));
            };
            let block = Self::block_of(rollup, number, header.value(), body.value())
                .map_err(|error| Failed::Row(place(rollup, number), error))?;
            numbers.remove((rollup.0, &block.header.hash().0))?;
            for transaction in &block.transactions {
                transactions.remove((rollup.0, &transaction.inner().tx_hash().0))?;
            }
        }
        Ok(())
    }
}

/// Writes whose data it is, with the blocks 0 and all tables, but no state.
pub(super) fn begin_empty(transaction: &WriteTransaction, genesis: &Domain, identity: &Identity) -> Result<(), Failed> {
    for (rollup, chain) in genesis.chains() {
        let (header, requests) = (chain.head().clone(), alloy_eips::eip7685::Requests::default());
        let block = Block { header, transactions: Vec::new(), receipts: Vec::new(), requests };
        put_block(transaction, *rollup, &block)?;
    }
    // These are there from the beginning, so that whoever reads finds every table.
    transaction.open_table(BUNDLES)?;
    transaction.open_table(BUNDLE_ORDER)?;
    transaction.open_table(BURNT)?;
    transaction.open_table(EXECUTED)?;
    transaction.open_table(ATTESTED)?;
    transaction.open_table(CHANGES)?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(FORMAT_ROW, FORMAT.to_be_bytes().as_slice())?;
    meta.insert(IDENTITY_ROW, sealed_meta(IDENTITY_ROW, &rows::identity(identity)).as_slice())?;
    Ok(())
}

/// Why a transaction cannot be made.
pub(super) enum Failed {
    Database(Box<redb::Error>),
    Row(String, BadRow),
}

impl<E: Into<redb::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

fn write_height(transaction: &WriteTransaction, executed: &Executed) -> Result<(), Failed> {
    for (rollup, derived) in &executed.derived.blocks {
        put_changes(transaction, *rollup, &derived.changes)?;
        put_block(transaction, *rollup, &derived.block)?;
        let (number, key) = (derived.block.header.number, block_key(*rollup, derived.block.header.number));
        let mut changes = transaction.open_table(CHANGES)?;
        changes.insert((rollup.0, number), sealed("changes", &key, &rows::changes(&derived.changes)).as_slice())?;
        // What leads back to no state that is kept.
        if let Some(old) = number.checked_sub(STATES_MAX as u64) {
            changes.remove((rollup.0, old))?;
        }
    }
    let (mut bundles, mut order) = (transaction.open_table(BUNDLES)?, transaction.open_table(BUNDLE_ORDER)?);
    for (index, (id, record)) in (0u32..).zip(&executed.bundles) {
        let id = bytes_of(id);
        bundles.insert(&id, sealed("bundles", &id, &rows::bundle(record)).as_slice())?;
        order.insert((executed.height().0, index), &id)?;
    }
    put_burnt(transaction, executed.height(), &executed.derived.burnt)
}

/// The bindings that nobody can have again since a height, without those that were over before all that is kept.
pub(super) fn put_burnt(
    transaction: &WriteTransaction,
    height: Height,
    burnt: &[(Height, Digest)],
) -> Result<(), Failed> {
    let first = first_snapshot(transaction)?;
    let mut table = transaction.open_table(BURNT)?;
    let over: Vec<(u64, [u8; 32])> = table
        .range((0, &[0; 32])..(first.min(height).0, &[0; 32]))?
        .map(|row| row.map(|(key, _)| (key.value().0, *key.value().1)))
        .collect::<Result<_, _>>()?;
    for (expiry, binding) in over {
        table.remove((expiry, &binding))?;
    }
    for (expiry, binding) in burnt {
        let binding = bytes_of(binding);
        table.insert((expiry.0, &binding), (height.0, &burnt_seal(expiry.0, &binding, height.0)))?;
    }
    Ok(())
}

/// The first height of which a snapshot can still be made: states go back as many blocks, and so as many heights at least.
fn first_snapshot(transaction: &WriteTransaction) -> Result<Height, Failed> {
    let executed = transaction.open_table(EXECUTED)?;
    let first = match executed.range::<u64>(..)?.rev().nth(STATES_MAX - 1) {
        Some(first) => Some(first?.0.value()),
        None => executed.first()?.map(|(first, _)| first.value()),
    };
    Ok(Height(first.unwrap_or_default()))
}

pub(super) fn put_head(transaction: &WriteTransaction, head: &Head) -> Result<(), Failed> {
    let row = sealed_meta(HEAD_ROW, &rows::head(head));
    transaction.open_table(META)?.insert(HEAD_ROW, row.as_slice())?;
    Ok(())
}

pub(super) fn put_block(transaction: &WriteTransaction, rollup: RollupId, block: &Block) -> Result<(), Failed> {
    let (number, key) = (block.header.number, block_key(rollup, block.header.number));
    let header = sealed("headers", &key, &rows::header(&block.header));
    transaction.open_table(HEADERS)?.insert((rollup.0, number), header.as_slice())?;
    let body = sealed("bodies", &key, &rows::body(block));
    transaction.open_table(BODIES)?.insert((rollup.0, number), body.as_slice())?;
    transaction.open_table(NUMBERS)?.insert((rollup.0, &block.header.hash().0), number)?;
    let mut transactions = transaction.open_table(TRANSACTIONS)?;
    for (index, signed) in (0u32..).zip(&block.transactions) {
        transactions.insert((rollup.0, &signed.inner().tx_hash().0), (number, index))?;
    }
    Ok(())
}

pub(super) fn put_state(
    transaction: &WriteTransaction,
    RollupId(rollup): RollupId,
    state: &chorale_evm::State,
) -> Result<(), Failed> {
    let mut table = transaction.open_table(ACCOUNTS)?;
    for (address, account) in state.accounts() {
        table.insert((rollup, &address.0.0), &rows::account(account))?;
    }
    let mut table = transaction.open_table(SLOTS)?;
    for (address, slot, value) in state.slots() {
        table.insert((rollup, &address.0.0, &slot.to_be_bytes()), &value.to_be_bytes())?;
    }
    let mut table = transaction.open_table(CODES)?;
    for (hash, code) in state.codes() {
        table.insert((rollup, &hash.0), &code[..])?;
    }
    let mut table = transaction.open_table(BLOCK_HASHES)?;
    for (number, hash) in state.block_hashes() {
        table.insert((rollup, number), &hash.0)?;
    }
    Ok(())
}

fn put_changes(transaction: &WriteTransaction, RollupId(rollup): RollupId, changes: &Changes) -> Result<(), Failed> {
    let mut table = transaction.open_table(ACCOUNTS)?;
    for (address, change) in &changes.accounts {
        match &change.after {
            Some(account) => drop(table.insert((rollup, &address.0.0), &rows::account(account))?),
            None => drop(table.remove((rollup, &address.0.0))?),
        }
    }
    let mut table = transaction.open_table(SLOTS)?;
    for ((address, slot), change) in &changes.slots {
        let slot = slot.to_be_bytes();
        if change.after.is_zero() {
            table.remove((rollup, &address.0.0, &slot))?;
        } else {
            table.insert((rollup, &address.0.0, &slot), &change.after.to_be_bytes())?;
        }
    }
    let mut table = transaction.open_table(CODES)?;
    for (hash, change) in &changes.codes {
        match &change.after {
            Some(code) => drop(table.insert((rollup, &hash.0), &code[..])?),
            None => drop(table.remove((rollup, &hash.0))?),
        }
    }
    let mut table = transaction.open_table(BLOCK_HASHES)?;
    for (number, change) in &changes.block_hashes {
        match &change.after {
            Some(hash) => drop(table.insert((rollup, *number), &hash.0)?),
            None => drop(table.remove((rollup, *number))?),
        }
    }
    Ok(())
}
