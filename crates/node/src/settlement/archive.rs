//! Records, what the index is made from, and the ledger's snapshots on disk.

use super::{
    Record,
    index::{Ids, Rollups},
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
use chorale_ledger::{Config as LedgerConfig, Head, Ledger, OrderedTransactions, Snapshot};
use chorale_types::{Digest, Height, Outcome, Payload, codec::List, tagged_hash};

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

/// The one key of the store of heads.
const HEAD: u64 = 0;

pub(super) struct Archive<E: Context> {
    records: Vault<E, Stored>,
    payloads: PayloadReader,
    ids: Vault<E, Ids>,
    rollups: Vault<E, Rollups>,
    /// The parts of snapshots that never change, each written once.
    transactions: Vault<E, OrderedTransactions>,
    head: Option<Metadata<E, U64, Head>>,
}

impl<E: Context> Archive<E> {
    pub(super) async fn open(context: &E, partition: &str, payloads: PayloadReader) -> Result<Self, Error> {
        let config = metadata::Config { partition: format!("{partition}-head"), codec_config: () };
        Ok(Self {
            records: Vault::open(context.child("records"), &format!("{partition}-records")).await?,
            payloads,
            ids: Vault::open(context.child("ids"), &format!("{partition}-ids")).await?,
            rollups: Vault::open(context.child("rollups"), &format!("{partition}-rollups")).await?,
            transactions: Vault::open(context.child("transactions"), &format!("{partition}-transactions")).await?,
            head: Some(Metadata::init(context.child("head"), config).await?),
        })
    }

    /// The last snapshot of a ledger.
    pub(super) async fn snapshot(&self, config: &LedgerConfig) -> Result<Option<Snapshot>, Error> {
        let Some(head) = self.head.as_ref().and_then(|store| store.get(&U64::new(HEAD))).cloned() else {
            return Ok(None);
        };
        let mut transactions = Vec::new();
        for height in config.remembered(head.height()) {
            transactions.extend(self.transactions.get(&key(Height(height))).await?);
        }
        Ok(Some(Snapshot { head, transactions: List::new(transactions).expect("a window is within the limit") }))
    }

    /// Stores a record and what goes with it, unless it is there: after a restart some heights are settled again.
    pub(super) async fn put(
        &mut self,
        record: &Record,
        (ids, rollups): (&Ids, &Rollups),
        transactions: Option<&OrderedTransactions>,
    ) -> Result<(), Error> {
        let (height, key) = (record.height().0, key(record.height()));
        if self.records.get(&key).await?.is_none() {
            self.records.put(height, key, &Stored::new(record)).await?;
        }
        if self.ids.get(&key).await?.is_none() {
            self.ids.put(height, key, ids).await?;
        }
        if self.rollups.get(&key).await?.is_none() {
            self.rollups.put(height, key, rollups).await?;
        }
        if let Some(transactions) = transactions
            && self.transactions.get(&key).await?.is_none()
        {
            self.transactions.put(height, key, transactions).await?;
        }
        Ok(())
    }

    async fn stored(&self, height: Height) -> Result<Option<Stored>, Error> {
        Ok(self.records.get(&key(height)).await?)
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

    /// The heights that are there, newest first.
    pub(super) fn heights(&self) -> impl Iterator<Item = Height> + use<E> {
        self.rollups.numbers().into_iter().rev().map(Height)
    }

    /// The ids of a height.
    pub(super) async fn ids(&self, height: Height) -> Result<Option<Ids>, Error> {
        Ok(self.ids.get(&key(height)).await?)
    }

    /// The rollups with content at a height.
    pub(super) async fn rollups(&self, height: Height) -> Result<Option<Rollups>, Error> {
        Ok(self.rollups.get(&key(height)).await?)
    }

    /// Makes all that was put and the payloads durable, and then a snapshot of the ledger, from which a restart goes on.
    pub(super) async fn write_snapshot(&mut self, ledger: &Ledger) -> Result<(), Error> {
        self.payloads.sync().await?.await?;
        self.records.sync().await?.await?;
        self.ids.sync().await?.await?;
        self.rollups.sync().await?.await?;
        self.transactions.sync().await?.await?;
        rebind(&mut self.head, |store| store.put_sync(U64::new(HEAD), ledger.head())).await?;
        Ok(self.transactions.prune(*ledger.config().remembered(ledger.height()).start()).await?)
    }

    /// Forgets heights below this one, as far as files allow.
    pub(super) async fn prune(&mut self, below: Height) -> Result<(), Error> {
        self.records.prune(below.0).await?;
        self.ids.prune(below.0).await?;
        Ok(self.rollups.prune(below.0).await?)
    }
}

/// What everything of a height is found by.
fn key(height: Height) -> Digest {
    tagged_hash("chorale/settled/v2", &[&height.0.to_be_bytes()])
}
