//! Records, index rows and the ledger's snapshot on disk.

use super::{
    Record,
    index::Row,
    stored::{Damaged, Stored},
};
use crate::{
    runtime::Context,
    store::{PayloadReader, Vault},
};
use chorale_foundation::{
    runtime::Error as RuntimeError,
    storage::{
        archive::Error as ArchiveError,
        metadata::{self, Metadata},
    },
    utils::{futures::rebind, sequence::U64},
};
use chorale_ledger::Snapshot;
use chorale_types::{Height, Outcome, Payload, tagged_hash};

/// The disk failed, or what is on it is damaged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Records.
    #[error("settled heights on disk: {0}")]
    Archive(#[from] ArchiveError),
    /// The snapshot.
    #[error("the ledger's snapshot on disk: {0}")]
    Snapshot(#[from] metadata::Error),
    /// A record and its payloads.
    #[error("settled heights on disk: {0}")]
    Damaged(#[from] Damaged),
    /// Syncing.
    #[error("syncing settled heights: {0}")]
    Sync(#[from] RuntimeError),
}

/// The one key of the store of snapshots.
const SNAPSHOT: u64 = 0;

pub(super) struct Archive<E: Context> {
    records: Vault<E, Stored>,
    payloads: PayloadReader,
    rows: Vault<E, Row>,
    snapshot: Option<Metadata<E, U64, Snapshot>>,
}

impl<E: Context> Archive<E> {
    pub(super) async fn open(context: &E, partition: &str, payloads: PayloadReader) -> Result<Self, Error> {
        let config = metadata::Config { partition: format!("{partition}-snapshot"), codec_config: () };
        Ok(Self {
            records: Vault::open(context.child("records"), &format!("{partition}-records")).await?,
            payloads,
            rows: Vault::open(context.child("rows"), &format!("{partition}-rows")).await?,
            snapshot: Some(Metadata::init(context.child("snapshot"), config).await?),
        })
    }

    /// The last snapshot.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.as_ref()?.get(&U64::new(SNAPSHOT)).cloned()
    }

    /// Stores a record, unless it is there: after a restart some heights are settled again.
    pub(super) async fn put(&mut self, record: &Record, row: &Row) -> Result<(), Error> {
        let height = record.height().0;
        let key = tagged_hash("chorale/settled/v2", &[&height.to_be_bytes()]);
        if self.records.get(&key).await?.is_none() {
            self.records.put(height, key, &Stored::new(record)).await?;
        }
        if self.rows.get(&key).await?.is_none() {
            self.rows.put(height, key, row).await?;
        }
        Ok(())
    }

    async fn stored(&self, height: Height) -> Result<Option<Stored>, Error> {
        Ok(self.records.get(&tagged_hash("chorale/settled/v2", &[&height.0.to_be_bytes()])).await?)
    }

    /// The outcome of a height, which needs none of its payloads.
    pub(super) async fn outcome(&self, height: Height) -> Result<Option<Outcome>, Error> {
        Ok(self.stored(height).await?.map(Stored::into_outcome))
    }

    /// A record; none if it, or a payload that its lanes are in, is not here any more.
    pub(super) async fn record(&self, height: Height) -> Result<Option<Record>, Error> {
        let Some(stored) = self.stored(height).await? else { return Ok(None) };
        let mut contents = Vec::new();
        for (index, name) in stored.sources() {
            let Some(kept) = self.payloads.get(&name).await? else { return Ok(None) };
            // It was decoded when it was settled; if that fails now, the lanes miss it.
            let payload = kept.opened.ok().and_then(|opened| Payload::decode(opened.payload, &kept.manifest).ok());
            contents.extend(payload.map(|payload| (index, payload)));
        }
        Ok(Some(stored.restore(&contents)?))
    }

    /// The heights that have index rows, newest first.
    pub(super) fn indexed(&self) -> impl Iterator<Item = Height> + use<E> {
        self.rows.numbers().into_iter().rev().map(Height)
    }

    /// An index row.
    pub(super) async fn row(&self, height: Height) -> Result<Option<Row>, Error> {
        Ok(self.rows.get(&tagged_hash("chorale/settled/v2", &[&height.0.to_be_bytes()])).await?)
    }

    /// Makes all records and their payloads durable, and then the snapshot, from which a restart goes on.
    pub(super) async fn write_snapshot(&mut self, snapshot: Snapshot) -> Result<(), Error> {
        self.payloads.sync().await?.await?;
        self.records.sync().await?.await?;
        self.rows.sync().await?.await?;
        Ok(rebind(&mut self.snapshot, |store| store.put_sync(U64::new(SNAPSHOT), snapshot)).await?)
    }

    /// Forgets heights below this one, as far as files allow.
    pub(super) async fn prune(&mut self, below: Height) -> Result<(), Error> {
        self.records.prune(below.0).await?;
        Ok(self.rows.prune(below.0).await?)
    }
}
