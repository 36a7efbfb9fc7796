//! One item per height, on disk.

use super::remove;
use chorale_foundation::{
    codec::{Encode, Read},
    runtime::buffer::paged::CacheRef,
    storage::{
        Context,
        journal::{
            Error,
            contiguous::{
                Contiguous as _,
                variable::{Config, Journal},
            },
        },
    },
    utils::{NZU16, NZU64, NZUsize, futures::rebind},
};
use chorale_types::Height;
use futures::{FutureExt, future::BoxFuture};
use std::sync::Arc;
use tokio::sync::RwLock;

/// What a log can hold: anything with the canonical codec.
pub trait Item: Encode + Read<Cfg = ()> + Send + Sync + 'static {}

impl<T: Encode + Read<Cfg = ()> + Send + Sync + 'static> Item for T {}

/// Writes a log: one owner. The item of height h is number h - 1 of a journal; heights follow each other without gaps.
///
/// Appending is not durable by itself: see [`Log::sync`]. After an error the log is unusable and the node has to stop;
/// what was synced is there when it starts again.
pub struct Log<E: Context, T: Item> {
    disk: Arc<Disk<E, T>>,
    tip: Height,
}

/// Reads a log. Clones share it.
pub struct LogReader<T>(Arc<dyn Source<T>>);

impl<T> Clone for LogReader<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> LogReader<T> {
    /// The item of a height; none if it is not there yet, or no longer.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn get(&self, height: Height) -> Result<Option<T>, Error> {
        self.0.get(height).await
    }
}

trait Source<T>: Send + Sync {
    fn get(&self, height: Height) -> BoxFuture<'_, Result<Option<T>, Error>>;
}

struct Disk<E: Context, T: Item>(RwLock<Option<Journal<E, T>>>);

impl<E: Context, T: Item> Source<T> for Disk<E, T> {
    fn get(&self, height: Height) -> BoxFuture<'_, Result<Option<T>, Error>> {
        async move {
            let Some(position) = height.0.checked_sub(1) else { return Ok(None) };
            let guard = self.0.read().await;
            // None after an error that its owner has been told of.
            let Some(journal) = guard.as_ref() else { return Ok(None) };
            match journal.read(position).await {
                Ok(item) => Ok(Some(item)),
                Err(Error::ItemOutOfRange(_) | Error::ItemPruned(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

impl<E: Context + 'static, T: Item> Log<E, T> {
    /// Opens, or creates, the log of this name.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn open(context: E, partition: &str) -> Result<Self, Error> {
        let config = Config {
            partition: partition.to_owned(),
            items_per_section: NZU64!(4096),
            compression: None,
            codec_config: (),
            page_cache: CacheRef::new(NZU16!(4084), NZUsize!(64)),
            write_buffer: NZUsize!(256 * 1024),
            replay_buffer: NZUsize!(256 * 1024),
        };
        let journal = Journal::init(context, config).await?;
        let tip = Height(journal.size());
        Ok(Self { disk: Arc::new(Disk(RwLock::new(Some(journal)))), tip })
    }

    /// Removes the log of this name, which must not be open.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn remove(context: &E, partition: &str) -> Result<(), Error> {
        // The journal's own partitions: items, where each one is, and how far they were durable.
        for part in ["data", "offsets", "offsets-blobs", "offsets-metadata"] {
            remove(context, &format!("{partition}_{part}")).await?;
        }
        Ok(())
    }

    /// The height of the last item; 0 if there is none.
    #[must_use]
    pub const fn tip(&self) -> Height {
        self.tip
    }

    /// For those who read.
    #[must_use]
    pub fn reader(&self) -> LogReader<T> {
        LogReader(self.disk.clone())
    }

    /// The item of a height; none if it is not there yet, or no longer.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn get(&self, height: Height) -> Result<Option<T>, Error> {
        self.disk.get(height).await
    }

    /// Adds the item of the next height.
    ///
    /// # Errors
    ///
    /// The disk's; the log is unusable after one.
    pub async fn append(&mut self, item: &T) -> Result<Height, Error> {
        let mut journal = self.disk.0.write().await;
        rebind(&mut *journal, |journal| journal.append(item)).await?;
        self.tip = self.tip.next();
        Ok(self.tip)
    }

    /// Makes durable all that was appended.
    ///
    /// # Errors
    ///
    /// The disk's; the log is unusable after one.
    pub async fn sync(&mut self) -> Result<(), Error> {
        let mut journal = self.disk.0.write().await;
        rebind(&mut *journal, |journal| journal.sync()).await
    }

    /// Lets go of items below a height, in whole files: some of them may stay.
    ///
    /// # Errors
    ///
    /// The disk's; the log is unusable after one.
    pub async fn prune(&mut self, below: Height) -> Result<(), Error> {
        let position = below.0.saturating_sub(1).min(self.tip.0);
        let mut journal = self.disk.0.write().await;
        rebind(&mut *journal, |journal| journal.prune(position)).await?;
        Ok(())
    }
}
