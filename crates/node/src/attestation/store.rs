//! Own signatures and attestations on disk.

use super::{Closing, Request};
use crate::{runtime::Context, store::Vault};
use chorale_foundation::{
    runtime::{Error as RuntimeError, Handle, ReadOptions, buffer::paged::CacheRef},
    storage::{
        archive::Error as ArchiveError,
        journal::{
            Error as JournalError,
            segmented::variable::{Config, Journal},
        },
    },
    utils::{NZU16, NZUsize, futures::rebind},
};
use chorale_types::{Attestation, Digest, Epoch, Height, OutcomeVote, tagged_hash};
use std::collections::BTreeMap;

/// Heights of one section of signatures.
const SECTION_HEIGHTS: u64 = 4096;

/// The disk failed, or what is on it is damaged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Signatures.
    #[error("own signatures on disk: {0}")]
    Signatures(#[from] JournalError),
    /// Attestations.
    #[error("attestations on disk: {0}")]
    Attestations(#[from] ArchiveError),
    /// Syncing.
    #[error("syncing attestations: {0}")]
    Sync(#[from] RuntimeError),
}

/// What this node signed: durable before it is sent, and read back at every start.
pub(super) struct Signed<E: Context> {
    journal: Option<Journal<E, OutcomeVote>>,
    votes: BTreeMap<Height, OutcomeVote>,
    unsynced: Option<u64>,
}

impl<E: Context> Signed<E> {
    pub(super) async fn open(context: E, partition: &str) -> Result<Self, Error> {
        let config = Config {
            partition: format!("{partition}-signed"),
            compression: None,
            codec_config: (),
            page_cache: CacheRef::new(NZU16!(4084), NZUsize!(16)),
            write_buffer: NZUsize!(64 * 1024),
        };
        let journal: Journal<E, OutcomeVote> = Journal::init(context, config).await?;
        let mut replay = journal.replay(0, 0, NZUsize!(256 * 1024), ReadOptions::DONT_CACHE).await?;
        let mut votes = BTreeMap::new();
        while let Some(item) = replay.next().await {
            let (_, _, _, vote) = item?;
            votes.insert(vote.height, vote);
        }
        Ok(Self { journal: Some(replay.finish()?), votes, unsynced: None })
    }

    /// What was signed for a height.
    pub(super) fn get(&self, height: Height) -> Option<&OutcomeVote> {
        self.votes.get(&height)
    }

    /// Writes a signature; it must not be sent before [`Signed::sync`].
    ///
    /// # Panics
    ///
    /// If the height was signed before: a broken invariant, and slashable.
    pub(super) async fn append(&mut self, vote: OutcomeVote) -> Result<(), Error> {
        assert!(!self.votes.contains_key(&vote.height), "height {} is signed already", vote.height);
        let section = vote.height.0 / SECTION_HEIGHTS;
        if self.unsynced.is_some_and(|other| other != section) {
            self.sync().await?;
        }
        rebind(&mut self.journal, |journal| journal.append(section, &vote)).await?;
        self.votes.insert(vote.height, vote);
        self.unsynced = Some(section);
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Result<(), Error> {
        if let Some(section) = self.unsynced.take() {
            rebind(&mut self.journal, |journal| journal.sync(section)).await?;
        }
        Ok(())
    }

    /// Below this height signatures may be forgotten.
    pub(super) fn floor(&self) -> Height {
        self.votes.first_key_value().map_or(Height(0), |(first, _)| Height(first.0 / SECTION_HEIGHTS * SECTION_HEIGHTS))
    }

    /// Forgets signatures below a height, in whole sections, on disk and in memory alike. The last one stays: it says which
    /// are forgotten.
    pub(super) async fn prune(&mut self, below: Height) -> Result<(), Error> {
        let last = self.votes.last_key_value().map_or(Height(0), |(last, _)| *last);
        let section = below.min(last).0 / SECTION_HEIGHTS;
        let kept = self.votes.split_off(&Height(section * SECTION_HEIGHTS));
        if !std::mem::replace(&mut self.votes, kept).is_empty() {
            rebind(&mut self.journal, |journal| journal.prune(section)).await?;
        }
        Ok(())
    }
}

/// Attestations by height. Not durable at once: what is lost is asked for again.
pub(super) struct Attestations<E: Context> {
    vault: Vault<E, Attestation>,
    closings: Vault<E, Closing>,
}

impl<E: Context> Attestations<E> {
    pub(super) async fn open(context: E, partition: &str) -> Result<Self, Error> {
        Ok(Self {
            vault: Vault::open(context.child("heights"), &format!("{partition}-attestations")).await?,
            closings: Vault::open(context.child("closings"), &format!("{partition}-closings")).await?,
        })
    }

    /// Stores the first attestation of a height.
    pub(super) async fn put(&mut self, attestation: &Attestation) -> Result<(), Error> {
        if self.get(attestation.height).await?.is_none() {
            self.vault.put(attestation.height.0, key(attestation.height), attestation).await?;
        }
        Ok(())
    }

    pub(super) async fn get(&self, height: Height) -> Result<Option<Attestation>, Error> {
        Ok(self.vault.get(&key(height)).await?)
    }

    /// Stores how an epoch ended: durable when this returns, and never pruned.
    pub(super) async fn close(&mut self, closing: &Closing) -> Result<(), Error> {
        let epoch = closing.outcome.epoch;
        if self.closing(epoch).await?.is_none() {
            self.closings.put(epoch.0, key(Height(epoch.0)), closing).await?;
            self.closings.sync().await?.await?;
        }
        Ok(())
    }

    /// How an epoch ended.
    pub(super) async fn closing(&self, epoch: Epoch) -> Result<Option<Closing>, Error> {
        Ok(self.closings.get(&key(Height(epoch.0))).await?)
    }

    /// Starts to make durable what was stored.
    pub(super) async fn sync(&mut self) -> Result<Handle<()>, Error> {
        Ok(self.vault.sync().await?)
    }

    pub(super) async fn prune(&mut self, below: Height) -> Result<(), Error> {
        Ok(self.vault.prune(below.0).await?)
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Result<(), Error> {
        match request {
            Request::Get { height, reply } => drop(reply.send(self.get(height).await?)),
            Request::After { height, max, reply } => drop(reply.send(self.after(height, max).await?)),
            Request::Latest { reply } => drop(reply.send(match self.vault.last_number() {
                Some(last) => self.get(Height(last)).await?,
                None => None,
            })),
            Request::Closing { epoch, reply } => drop(reply.send(self.closing(epoch).await?)),
        }
        Ok(())
    }

    async fn after(&self, height: Height, max: usize) -> Result<Vec<Attestation>, Error> {
        let mut found = Vec::new();
        for height in self.vault.numbers_above(height.0).take(max) {
            found.extend(self.get(Height(height)).await?);
        }
        Ok(found)
    }

    /// The last height that is attested.
    pub(super) fn last(&self) -> Height {
        Height(self.vault.last_number().unwrap_or_default())
    }

    /// All heights that are attested.
    pub(super) fn heights(&self) -> Vec<u64> {
        self.vault.numbers()
    }
}

fn key(height: Height) -> Digest {
    tagged_hash("chorale/attested/v1", &[&height.0.to_be_bytes()])
}
