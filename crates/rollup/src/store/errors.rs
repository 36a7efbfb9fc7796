//! Why a data folder cannot be used. Each says what to do.

use alloy_primitives::B256;
use chorale_types::{ChainId, DomainId, RollupId};
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// Whose data a folder has: nothing of another chain, domain or genesis can be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The sequencers' chain.
    pub chain: ChainId,
    /// The domain.
    pub domain: DomainId,
    /// Its rollups, each with the hash of its block 0.
    pub rollups: Vec<(RollupId, B256)>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {}, domain {}", self.chain, self.domain)?;
        self.rollups.iter().try_for_each(|(rollup, genesis)| write!(f, ", rollup {rollup} with block 0 {genesis}"))
    }
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be made.
    #[error("making the data folder {path}: {error}; name another with `data` or --data")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{0} is in use by another process: stop that one, or give this one a folder of its own with --data")]
    InUse(PathBuf),
    /// It is another's.
    #[error(
        "{path} has the data of {stored}; this node is of {expected}. Name another folder with --data, or move this one \
         away: all is then executed anew from the first height, if the nodes still have it"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// Whose data it is.
        stored: Box<Identity>,
        /// Who this node is.
        expected: Box<Identity>,
    },
    /// Written by another version.
    #[error(
        "{path} is written in format {found}, and this program reads {expected}. Start the program that wrote it, or name \
         another folder with --data: all is then executed anew from the first height"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The one that is read.
        expected: u32,
    },
    /// What is in it cannot be.
    #[error(
        "{path} is damaged: {what}. Move it away and put a copy from a backup in its place, or start without it: all is then \
         executed anew from the first height, for which `nodes` has to name one that keeps all heights"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk, or what is between.
    #[error("{path}: {error}; nothing that was shown is lost. See to the disk, and start again")]
    Database {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: Box<redb::Error>,
    },
}

impl StoreError {
    pub(super) fn of(path: &Path, error: impl Into<redb::Error>) -> Self {
        let path = path.to_owned();
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse(path),
            redb::Error::Corrupted(what) => Self::Damaged { path, what },
            error => Self::Database { path, error: Box::new(error) },
        }
    }
}
