//! Reading what is asked for. All of it may be newer than what is shown: who asks leaves out what is.

use super::{
    Store, StoreError, bytes_of, guarded, place,
    rows::{self, BadRow, block_key, opened},
    tables::{BODIES, BUNDLE_ORDER, BUNDLES, HEADERS, NUMBERS, TRANSACTIONS},
};
use crate::record::BundleRecord;
use alloy_consensus::{Header, Sealed};
use alloy_primitives::{B256, TxHash};
use chorale_evm::Block;
use chorale_types::{BundleId, Height, RollupId};
use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition};

impl Store {
    /// The header of a block, if it is kept.
    pub(crate) fn header(&self, rollup: RollupId, number: u64) -> Result<Option<Sealed<Header>>, StoreError> {
        guarded(&self.path, || {
            let row = self.get(&self.begin_read()?, HEADERS, (rollup.0, number), <[u8]>::to_vec)?;
            let header = row.map(|row| header_of(rollup, number, &row)).transpose();
            header.map_err(|error| self.bad(place(rollup, number), &error))
        })
    }

    /// A block, if it is kept.
    pub(crate) fn block(&self, rollup: RollupId, number: u64) -> Result<Option<Block>, StoreError> {
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let key = (rollup.0, number);
            let Some(header) = self.get(&transaction, HEADERS, key, <[u8]>::to_vec)? else { return Ok(None) };
            let body = self.get(&transaction, BODIES, key, <[u8]>::to_vec)?;
            let body = body.ok_or_else(|| self.damaged(format!("the body of {} is missing", place(rollup, number))))?;
            let block = Self::block_of(rollup, number, &header, &body);
            block.map(Some).map_err(|error| self.bad(place(rollup, number), &error))
        })
    }

    /// The block that two rows are.
    pub(super) fn block_of(rollup: RollupId, number: u64, header: &[u8], body: &[u8]) -> Result<Block, BadRow> {
        let header = header_of(rollup, number, header)?;
        rows::read_body(opened("bodies", &block_key(rollup, number), body)?, rollup, header)
    }

    /// The number of a block, if it is kept.
    pub(crate) fn number_of(&self, rollup: RollupId, hash: B256) -> Result<Option<u64>, StoreError> {
        guarded(&self.path, || {
            let Some(number) = self.get(&self.begin_read()?, NUMBERS, (rollup.0, &hash.0), |number| number)? else {
                return Ok(None);
            };
            // The row has no seal: what it leads to tells.
            match self.header(rollup, number)? {
                Some(header) if header.hash() != hash => Err(self.damaged(format!(
                    "block {hash} of rollup {rollup} is said to be number {number}, which it is not"
                ))),
                // It was deleted a moment ago.
                None => Ok(None),
                Some(_) => Ok(Some(number)),
            }
        })
    }

    /// The block of a transaction, and its index there, if it is kept.
    pub(crate) fn transaction(&self, rollup: RollupId, hash: TxHash) -> Result<Option<(Block, usize)>, StoreError> {
        guarded(&self.path, || {
            let found = self.get(&self.begin_read()?, TRANSACTIONS, (rollup.0, &hash.0), |place| place)?;
            let Some((number, index)) = found else { return Ok(None) };
            let Some(block) = self.block(rollup, number)? else { return Ok(None) };
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            match block.transactions.get(index) {
                Some(signed) if *signed.inner().tx_hash() == hash => Ok(Some((block, index))),
                _ => {
                    Err(self
                        .damaged(format!("transaction {hash} is said to be in {}, and is not", place(rollup, number))))
                }
            }
        })
    }

    /// The first block after block 0 that is kept; one after the last if there is none.
    pub(crate) fn first_block(&self, rollup: RollupId) -> Result<Option<u64>, StoreError> {
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let headers = transaction.open_table(HEADERS).map_err(|error| self.failed(error))?;
            let mut range = headers.range((rollup.0, 1)..=(rollup.0, u64::MAX)).map_err(|error| self.failed(error))?;
            let first = range.next().transpose().map_err(|error| self.failed(error))?;
            Ok(first.map(|(key, _)| key.value().1))
        })
    }

    /// What became of a bundle.
    pub(crate) fn bundle(&self, id: BundleId) -> Result<Option<BundleRecord>, StoreError> {
        guarded(&self.path, || self.bundle_in(&self.begin_read()?, &bytes_of(id)))
    }

    fn bundle_in(&self, transaction: &ReadTransaction, id: &[u8; 32]) -> Result<Option<BundleRecord>, StoreError> {
        let row = self.get(transaction, BUNDLES, id, <[u8]>::to_vec)?;
        let record = row.map(|row| rows::read_bundle(opened("bundles", id, &row)?)).transpose();
        record.map_err(|error| self.bad(format!("bundle {}", B256::new(*id)), &error))
    }

    /// What became of the bundles of a height, in their order.
    pub(crate) fn bundles_of(&self, height: Height) -> Result<Vec<BundleRecord>, StoreError> {
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let order = transaction.open_table(BUNDLE_ORDER).map_err(|error| self.failed(error))?;
            let rows = order.range((height.0, 0)..=(height.0, u32::MAX)).map_err(|error| self.failed(error))?;
            let mut found = Vec::new();
            for row in rows {
                let id = *row.map_err(|error| self.failed(error))?.1.value();
                found.push(self.known_bundle(&transaction, &id)?);
            }
            Ok(found)
        })
    }

    fn known_bundle(&self, transaction: &ReadTransaction, id: &[u8; 32]) -> Result<BundleRecord, StoreError> {
        let record = self.bundle_in(transaction, id)?;
        record.ok_or_else(|| self.damaged(format!("bundle {} is missing", B256::new(*id))))
    }

    /// The last bundles, the newest at the end.
    pub(crate) fn last_bundles(&self, max: usize) -> Result<Vec<(BundleId, BundleRecord)>, StoreError> {
        let transaction = self.begin_read()?;
        let order = transaction.open_table(BUNDLE_ORDER).map_err(|error| self.failed(error))?;
        let mut last = Vec::new();
        for row in order.iter().map_err(|error| self.failed(error))?.rev().take(max) {
            let id = *row.map_err(|error| self.failed(error))?.1.value();
            last.push((BundleId(id.into()), self.known_bundle(&transaction, &id)?));
        }
        last.reverse();
        Ok(last)
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        self.database.begin_read().map_err(|error| self.failed(error))
    }

    /// One row of a table.
    pub(super) fn get<K: redb::Key + 'static, V: redb::Value + 'static, T>(
        &self,
        transaction: &ReadTransaction,
        table: TableDefinition<'_, K, V>,
        key: K::SelfType<'_>,
        read: impl FnOnce(V::SelfType<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let table = transaction.open_table(table).map_err(|error| self.failed(error))?;
        let row = table.get(key).map_err(|error| self.failed(error))?;
        Ok(row.map(|row| read(row.value())))
    }
}

fn header_of(rollup: RollupId, number: u64, row: &[u8]) -> Result<Sealed<Header>, BadRow> {
    rows::read_header(opened("headers", &block_key(rollup, number), row)?)
}
