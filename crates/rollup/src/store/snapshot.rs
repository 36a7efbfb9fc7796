//! What a [snapshot](crate::snapshot) takes from a database, and the making of one from it.

use super::{
    CACHE_BYTES, FILE, Store, StoreError,
    attested::{put, put_executed},
    guarded, identity, make_folder,
    restore::{has_block_hashes, height_of},
    rows::{self, Head},
    tables::ATTESTED,
    write::{begin_empty, put_block, put_burnt, put_head, put_state},
};
use crate::snapshot::SnapshotError;
use alloy_consensus::proofs;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::B256;
use chorale_evm::{Block, Chain, Domain, RollupRules, State, burnt_root, recover};
use chorale_types::{Attestation, Digest, ExecutedHeight, Height, RollupId};
use redb::Database;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// The file while it is made: under its own name there is only what was verified as a whole.
const PARTIAL: &str = "rollups.redb.partial";

/// A domain as it was after the last attested height.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) executed: ExecutedHeight,
    pub(crate) attestation: Attestation,
    /// Bindings that nobody could have again, of those that could still be ordered; they rise.
    pub(crate) burnt: Vec<(Height, Digest)>,
    /// The last blocks of each rollup, and the chain after them.
    pub(crate) rollups: BTreeMap<RollupId, (Vec<Block>, Chain)>,
}

impl Store {
    /// That there is a database, for who must not begin one.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// The domain after the last attested height: what came later is undone.
    ///
    /// # Errors
    ///
    /// Nothing is attested, or so much came later that it cannot be undone; or as [`Store::restore`].
    pub(crate) fn export(&self, genesis: &Domain) -> Result<Exported, SnapshotError> {
        let restored = guarded(&self.path, || self.read_all(genesis))?;
        let executed = restored.attested.ok_or(SnapshotError::NothingAttested(genesis.id()))?;
        let height = executed.outcome.height;
        let attestation = self.attestation(height)?;
        let attestation =
            attestation.ok_or_else(|| self.damaged(format!("the attestation of height {height} is missing")))?;
        let transaction = self.begin_read()?;
        let burnt = guarded(&self.path, || self.burnt(&transaction, genesis.complete_at(height), height))?;
        let mut rollups = BTreeMap::new();
        for ((rollup, restored), head) in restored.rollups.into_iter().zip(executed.heads.iter()) {
            let mut views = restored.views.into_iter();
            let Some(chain) = views.find(|view| view.head().number == head.number) else {
                return Err(SnapshotError::TooFarBehind { height, rollup, block: head.number });
            };
            if rollup != head.rollup || digest(chain.head().hash()) != head.block {
                let what =
                    format!("block {} of rollup {rollup} is not the one of attested height {height}", head.number);
                return Err(self.damaged(what).into());
            }
            let mut blocks = restored.blocks;
            blocks.retain(|block| block.header.number <= head.number);
            rollups.insert(rollup, (blocks, chain));
        }
        if burnt_root(burnt.iter().copied()) != executed.outcome.burnt {
            let what = format!("the bindings of bundles are not those of attested height {height}");
            return Err(self.damaged(what).into());
        }
        Ok(Exported { executed, attestation, burnt, rollups })
    }
}

/// A database that is being made of a snapshot. If it is not finished, nothing is there.
#[derive(Debug)]
pub(crate) struct Importing {
    store: Option<Store>,
    folder: PathBuf,
}

impl Importing {
    /// Begins one in a folder.
    ///
    /// # Errors
    ///
    /// There is something else in it, or the disk fails.
    pub(crate) fn begin(folder: &Path, genesis: &Domain) -> Result<Self, SnapshotError> {
        let failed = |error| StoreError::Folder { path: folder.to_owned(), error };
        make_folder(folder).map_err(failed)?;
        for entry in fs::read_dir(folder).map_err(failed)? {
            if entry.map_err(failed)?.file_name() != PARTIAL {
                return Err(SnapshotError::NotEmpty(folder.to_owned()));
            }
        }
        let path = folder.join(PARTIAL);
        let create = || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE_BYTES).create(&path).map_err(|error| StoreError::of(&path, error))
        };
        if path.exists() {
            // Of one that was stopped; of one that runs the file is locked.
            if let Err(error @ StoreError::InUse(_)) = guarded(&path, create) {
                return Err(error.into());
            }
            fs::remove_file(&path).map_err(failed)?;
        }
        let database = guarded(&path, create)?;
        let store = Store { database, path, retain_blocks: None, is_attested: true };
        store.transact(|transaction| begin_empty(transaction, genesis, &identity(genesis)))?;
        Ok(Self { store: Some(store), folder: folder.to_owned() })
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is there until it is finished")
    }

    /// Writes a rollup that was verified.
    pub(crate) fn write(&self, rollup: RollupId, blocks: &[Block], state: &State) -> Result<(), StoreError> {
        self.store().transact(|transaction| {
            put_state(transaction, rollup, state)?;
            blocks.iter().try_for_each(|block| put_block(transaction, rollup, block))
        })
    }

    /// Writes what all rollups share, and gives the file its name.
    pub(crate) fn finish(
        mut self,
        executed: &ExecutedHeight,
        attestation: &Attestation,
        burnt: &[(Height, Digest)],
    ) -> Result<(), StoreError> {
        let height = executed.outcome.height;
        self.store().transact(|transaction| {
            put_executed(transaction, executed, None, true)?;
            put(&mut transaction.open_table(ATTESTED)?, "attested", height, attestation)?;
            put_burnt(transaction, height, burnt)?;
            let rollups = executed.heads.iter();
            let rollups = rollups.map(|head| (head.rollup, head.number, B256::from_slice(head.block.as_ref())));
            put_head(transaction, &Head { height, rollups: rollups.collect() })
        })?;
        drop(self.store.take());
        let failed = |error| StoreError::Folder { path: self.folder.clone(), error };
        let sync = || -> io::Result<()> {
            fs::rename(self.folder.join(PARTIAL), self.folder.join(FILE))?;
            File::open(&self.folder)?.sync_all()
        };
        sync().map_err(failed)
    }
}

impl Drop for Importing {
    fn drop(&mut self) {
        if self.store.take().is_some() {
            // If it stays, the next one deletes it.
            let _ = fs::remove_file(self.folder.join(PARTIAL));
        }
    }
}

/// A block as it stands in a snapshot: as in the database, without the seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockBytes {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl BlockBytes {
    pub(crate) fn of(block: &Block) -> Self {
        Self { header: rows::header(&block.header), body: rows::body(block) }
    }

    /// The block, if the body is the one that its header names, senders are those that signed, and it follows its parent:
    /// block 0 is the genesis, and has none.
    pub(crate) fn open(&self, rollup: RollupId, parent: Option<&Block>, genesis: B256) -> Result<Block, String> {
        let header = rows::read_header(&self.header).map_err(|error| format!("a header: {error}"))?;
        let number = header.number;
        if let Some(parent) = parent
            && (parent.header.number.checked_add(1), parent.header.hash()) != (Some(number), header.parent_hash)
        {
            return Err(format!("block {number} does not follow block {}", parent.header.number));
        }
        let block = rows::read_body(&self.body, rollup, header).map_err(|error| format!("block {number}: {error}"))?;
        let is_whole = if number == 0 {
            block.header.hash() == genesis && block.transactions.is_empty() && block.requests.is_empty()
        } else {
            let transactions: Vec<_> = block.transactions.iter().map(|signed| signed.inner()).collect();
            proofs::calculate_transaction_root(&transactions) == block.header.transactions_root
                && proofs::calculate_receipt_root(&block.receipts) == block.header.receipts_root
                && Some(block.requests.requests_hash()) == block.header.requests_hash
        };
        if !is_whole {
            return Err(format!("what is said to be in block {number} is not what its header names"));
        }
        for signed in &block.transactions {
            if recover(&signed.inner().encoded_2718(), rollup.0).ok().as_ref() != Some(signed) {
                let hash = signed.inner().tx_hash();
                return Err(format!("transaction {hash} of block {number} was not signed by {}", signed.signer()));
            }
        }
        Ok(block)
    }
}

/// The chain after its last block, if the state is the one that it left. If not, whether that is by its root, and what is
/// wrong.
pub(crate) fn chain_after(rules: RollupRules, state: State, last: &Block) -> Result<Chain, (bool, String)> {
    let height = height_of(&last.header);
    let chain = Chain::restore(rules, state, last.header.clone(), height);
    let chain = chain.map_err(|error| (true, format!("with storage and code: {error}")))?;
    if !has_block_hashes(&chain) {
        return Err((false, "they are not those that the contract of EIP-2935 has in the state".to_owned()));
    }
    Ok(chain)
}

pub(crate) fn digest(hash: B256) -> Digest {
    hash.0.into()
}
