//! Looking up what was shown: the last blocks in memory, older ones in the store.
//!
//! What is in the store may not be shown yet, so nothing above the head counts that was shown when the question came.

use crate::{
    errors::{PRUNED, SERVER_ERROR, refused},
    record::BundleRecord,
    server::Server,
    store::StoreError,
};
use alloy_consensus::Header;
use alloy_eips::BlockId;
use alloy_primitives::{B256, TxHash};
use chorale_evm::Block;
use chorale_types::{BundleId, RollupId};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use std::sync::Arc;
use tracing::error;

/// A block, and the index of a transaction in it.
type Place = (Arc<Block>, usize);

impl Server {
    /// A block, if there is one.
    pub(crate) async fn block(&self, id: BlockId) -> RpcResult<Option<Arc<Block>>> {
        let number = match id {
            BlockId::Hash(hash) => {
                let recent = self.blocks_in(&self.read()).number_of(hash.block_hash);
                if recent.is_some() {
                    recent
                } else {
                    let server = self.clone();
                    self.reads.run(move || server.number_here(hash.block_hash)).await??
                }
            }
            BlockId::Number(tag) => Some(self.blocks_in(&self.read()).number(tag)),
        };
        let Some(number) = number else { return Ok(None) };
        if let Some(block) = self.blocks_in(&self.read()).block(number) {
            return Ok(Some(Arc::clone(block)));
        }
        let server = self.clone();
        self.reads.run(move || server.block_if(number, |_| true)).await?
    }

    /// A transaction of this rollup, if it is in a block.
    pub(crate) async fn transaction(&self, hash: TxHash) -> RpcResult<Option<Place>> {
        self.transaction_of(self.rollup, hash).await
    }

    /// A transaction of one of the rollups, if it is in a block.
    pub(crate) async fn transaction_of(&self, rollup: RollupId, hash: TxHash) -> RpcResult<Option<Place>> {
        let head = {
            let published = self.read();
            let Some(blocks) = published.rollups.get(&rollup) else { return Ok(None) };
            if let Some(found) = blocks.transaction(hash) {
                return Ok(Some(found));
            }
            blocks.head().number
        };
        let store = Arc::clone(&self.store);
        let found =
            self.reads.run(move || store.transaction(rollup, hash)).await?.map_err(|error| unreadable(&error))?;
        let found = found.filter(|(block, _)| block.header.number <= head);
        Ok(found.map(|(block, index)| (Arc::new(block), index)))
    }

    /// What became of a bundle, if it was executed.
    pub(crate) async fn bundle(&self, id: BundleId) -> RpcResult<Option<BundleRecord>> {
        let height = {
            let published = self.read();
            if let Some(record) = published.bundles.get(&id) {
                return Ok(Some(record.clone()));
            }
            published.height
        };
        let store = Arc::clone(&self.store);
        let found = self.reads.run(move || store.bundle(id)).await?.map_err(|error| unreadable(&error))?;
        Ok(found.filter(|record| record.height <= height))
    }

    /// A block by its number if what it is about is in its header: that of an old block is read first. Reads from the disk.
    pub(crate) fn block_if(
        &self,
        number: u64,
        is_wanted: impl FnOnce(&Header) -> bool,
    ) -> RpcResult<Option<Arc<Block>>> {
        {
            let published = self.read();
            let blocks = self.blocks_in(&published);
            if let Some(block) = blocks.block(number) {
                return Ok(is_wanted(&block.header).then(|| Arc::clone(block)));
            }
            if number > blocks.head().number {
                return Ok(None);
            }
        }
        let read = || {
            let header = self.store.header(self.rollup, number)?;
            let Some(header) = header else { return Ok(None) };
            let block = if is_wanted(&header) { self.store.block(self.rollup, number)? } else { None };
            Ok(Some(block.map(Arc::new)))
        };
        match read().map_err(|error: StoreError| unreadable(&error))? {
            Some(found) => Ok(found),
            None => Err(self.pruned(number)),
        }
    }

    /// The number of a block. Reads from the disk.
    pub(crate) fn number_here(&self, hash: B256) -> RpcResult<Option<u64>> {
        let head = {
            let published = self.read();
            let blocks = self.blocks_in(&published);
            if let Some(number) = blocks.number_of(hash) {
                return Ok(Some(number));
            }
            blocks.head().number
        };
        let number = self.store.number_of(self.rollup, hash).map_err(|error| unreadable(&error))?;
        Ok(number.filter(|number| *number <= head))
    }

    /// The hash of a block that is shown. Reads from the disk.
    pub(crate) fn hash_here(&self, number: u64) -> RpcResult<B256> {
        if let Some(block) = self.blocks_in(&self.read()).block(number) {
            return Ok(block.header.hash());
        }
        let header = self.store.header(self.rollup, number).map_err(|error| unreadable(&error))?;
        header.map(|header| header.hash()).ok_or_else(|| self.pruned(number))
    }

    fn pruned(&self, number: u64) -> ErrorObjectOwned {
        let first = match self.store.first_block(self.rollup) {
            Ok(first) => first.unwrap_or_default(),
            Err(error) => return unreadable(&error),
        };
        refused(
            PRUNED,
            format!("pruned history unavailable: block {number} is not kept, that of {first} and later ones are"),
        )
    }
}

/// What users are told of an error of the store: not where it is.
pub(crate) fn unreadable(failed: &StoreError) -> ErrorObjectOwned {
    error!(error = %failed, "reading from the store");
    refused(SERVER_ERROR, "this node cannot read its data: see its log")
}
