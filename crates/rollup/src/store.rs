//! The domain on disk: one database in a folder, for all its rollups together.
//!
//! A height is written in one transaction, so after any crash all of it is there or nothing: never one leg of a bundle
//! without the others. What is written is on the disk before anybody sees it; see [`crate::follow`].
//!
//! State is flat: a row for each account, slot and code, as it is now, and what the last blocks changed of them. It proves
//! itself at every start by its root, which the last header names. Everything else has a seal, or is looked at again when
//! it is read.

mod attested;
mod errors;
mod read;
mod restore;
mod rows;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use attested::Taken;
pub use errors::{Identity, StoreError};
pub(crate) use restore::Restored;
pub(crate) use snapshot::{BlockBytes, Exported, Importing, chain_after, digest};
#[cfg(test)]
pub(crate) use tests::story;

use alloy_primitives::B256;
use chorale_evm::Domain;
use chorale_types::RollupId;
use redb::{Database, ReadableDatabase as _};
use rows::{BadRow, opened, sealed};
use std::{
    fs::{self, File},
    io,
    num::NonZeroU64,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// The one format there is. What an older program wrote with another one is refused.
const FORMAT: u32 = 3;
/// The file in the data folder.
const FILE: &str = "rollups.redb";
/// Memory for pages that were read or written; the operating system keeps more.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

const FORMAT_ROW: &str = "format";
const IDENTITY_ROW: &str = "identity";
const HEAD_ROW: &str = "head";

/// The database of a domain.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    path: PathBuf,
    /// So many of the last blocks of each rollup are kept; all if none.
    retain_blocks: Option<NonZeroU64>,
    /// Validators attest what heights became: that is kept until it is compared.
    is_attested: bool,
}

impl Store {
    /// Opens the database in a folder, or makes it with the domain as it is before its first block.
    ///
    /// # Errors
    ///
    /// It is in use, another's, damaged, or the disk fails.
    pub(crate) fn open(folder: &Path, genesis: &Domain, retain_blocks: Option<NonZeroU64>) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Folder { path: folder.to_owned(), error };
        make_folder(folder).map_err(failed)?;
        let path = folder.join(FILE);
        let opened = guarded(&path, || {
            Database::builder().set_cache_size(CACHE_BYTES).create(&path).map_err(|error| StoreError::of(&path, error))
        })?;
        // The name of a new file is to outlive a crash, as what is in it.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let store = Self { database: opened, path, retain_blocks, is_attested: false };
        guarded(&store.path, || store.check(genesis))?;
        Ok(store)
    }

    /// Of a domain that validators attest, or that nobody does.
    #[must_use]
    pub(crate) const fn with_attestations(mut self, is_attested: bool) -> Self {
        self.is_attested = is_attested;
        self
    }

    /// That the data is this node's; if there is none yet, there is after it.
    fn check(&self, genesis: &Domain) -> Result<(), StoreError> {
        let expected = identity(genesis);
        let Some(format) = self.meta(FORMAT_ROW)? else { return self.begin(genesis, &expected) };
        let found = format.as_slice().try_into().map(u32::from_be_bytes);
        match found {
            Ok(FORMAT) => {}
            Ok(found) => return Err(StoreError::Format { path: self.path.clone(), found, expected: FORMAT }),
            Err(_) => return Err(self.damaged("its format is no number")),
        }
        let stored = self.sealed_meta(IDENTITY_ROW)?;
        let stored = rows::read_identity(&stored).map_err(|error| self.bad(IDENTITY_ROW, &error))?;
        if stored != expected {
            let (stored, expected) = (Box::new(stored), Box::new(expected));
            return Err(StoreError::Other { path: self.path.clone(), stored, expected });
        }
        Ok(())
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.failed(error))?;
        let table = match transaction.open_table(tables::META) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let row = redb::ReadableTable::get(&table, name).map_err(|error| self.failed(error))?;
        Ok(row.map(|row| row.value().to_vec()))
    }

    fn sealed_meta(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let row = self.meta(name)?.ok_or_else(|| self.damaged(format!("it has no {name}")))?;
        let payload = opened("meta", name.as_bytes(), &row).map_err(|error| self.bad(name, &error))?;
        Ok(payload.to_vec())
    }

    fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::of(&self.path, error)
    }

    fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.into() }
    }

    fn bad(&self, row: impl std::fmt::Display, error: &BadRow) -> StoreError {
        self.damaged(format!("{row}: {error}"))
    }
}

/// The database does not expect damage everywhere, and panics where it does not.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        let what = words.unwrap_or_else(|| "its pages make no sense".to_owned());
        Err(StoreError::Damaged { path: path.to_owned(), what })
    })
}

pub(crate) fn identity(genesis: &Domain) -> Identity {
    let rollups = genesis.chains().iter().map(|(rollup, chain)| (*rollup, chain.head().hash()));
    Identity { chain: genesis.chain_id(), domain: genesis.id(), rollups: rollups.collect() }
}

/// Makes a folder so that its name outlives a crash.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    match folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The rows of an identity and of a head.
fn sealed_meta(name: &str, payload: &[u8]) -> Vec<u8> {
    sealed("meta", name.as_bytes(), payload)
}

fn bytes_of(id: impl AsRef<[u8]>) -> [u8; 32] {
    B256::from_slice(id.as_ref()).0
}

fn place(rollup: RollupId, number: u64) -> String {
    format!("block {number} of rollup {rollup}")
}
