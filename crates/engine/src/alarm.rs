//! A client that finds something else than the node.

use alloy_primitives::B256;
use serde::Serialize;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The node and a client disagree: one of them is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// The rollup's chain id.
    pub rollup: u64,
    /// Where the client is.
    pub url: String,
    /// Its name and version.
    pub client: String,
    /// When, in seconds since 1970.
    pub time_s: u64,
    /// The block's number.
    pub number: u64,
    /// Its hash, as the node has it.
    pub hash: B256,
    /// What they disagree about.
    pub reason: Reason,
    /// What the client was asked.
    pub method: String,
    /// With which parameters: the block is in them, whole, as the node has it.
    pub params: Vec<Value>,
    /// The block's header, as the node has it.
    pub ours: Value,
    /// What the client answered.
    pub theirs: Value,
}

/// What they disagree about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Reason {
    /// The client finds the block invalid.
    #[error("the client finds it invalid: {}", error.as_deref().unwrap_or("it does not say why"))]
    Invalid {
        /// Its words.
        error: Option<String>,
    },
    /// The client finds the block valid, and calls another one so.
    #[error("the client names {found:?} as the last valid block")]
    OtherHash {
        /// What it names.
        found: Option<B256>,
    },
    /// The client made another block than it was told to.
    #[error("the client was told to make a block, and its {field} is another")]
    OtherBlock {
        /// What differs first.
        field: &'static str,
    },
}

impl Alarm {
    /// Writes it down in a folder, so that it outlives the process. Of the same disagreement there is one file.
    ///
    /// # Errors
    ///
    /// The disk.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let hash = self.hash.to_string();
        let path = folder.join(format!("engine-alarm-{}-{}-{}.json", self.rollup, self.number, &hash[..10]));
        let unfinished = path.with_extension("tmp");
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(folder)?.sync_all()?;
        Ok(path)
    }
}
