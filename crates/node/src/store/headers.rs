//! Committed headers by height, and those voted for above them by id.

use super::{Log, LogReader};
use crate::ports::Committed;
use chorale_foundation::storage::{Context, journal::Error};
use chorale_types::{BlockId, Header, Height, codec::Shared, codec_struct};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tracing::error;

/// Headers that are kept in memory, so that the actors that follow closely do not read the disk.
const RECENT_MAX: usize = 256;

codec_struct!(Committed { header, proof });

/// Reads committed headers. Clones share the store.
#[derive(Clone)]
pub struct Headers {
    log: LogReader<Committed>,
    recent: Recent,
    uncommitted: Uncommitted,
}

impl Headers {
    /// The committed header of a height, if this node has it (still).
    pub async fn get(&self, height: Height) -> Option<Committed> {
        if let Some(committed) = self.recent.get(height) {
            return Some(committed);
        }
        // An error is in the log with the height; whoever asks can do no more about it than about a missing header.
        self.log.get(height).await.unwrap_or_else(|failure| {
            error!(%height, %failure, "reading a committed header");
            None
        })
    }

    /// A header above the committed ones that this node holds for good, because it may be certified: one that it voted
    /// for.
    #[must_use]
    pub fn uncommitted(&self, height: Height, id: &BlockId) -> Option<Shared<Header>> {
        self.uncommitted.get(height, id)
    }
}

type ByHeight = BTreeMap<(Height, BlockId), Shared<Header>>;

#[derive(Clone, Default)]
struct Uncommitted(Arc<Mutex<ByHeight>>);

impl Uncommitted {
    fn lock(&self) -> MutexGuard<'_, ByHeight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, height: Height, id: &BlockId) -> Option<Shared<Header>> {
        self.lock().get(&(height, *id)).cloned()
    }

    fn insert(&self, header: Shared<Header>) {
        self.lock().insert((header.height, header.id()), header);
    }

    fn prune(&self, committed: Height) {
        let mut headers = self.lock();
        while headers.first_key_value().is_some_and(|((height, _), _)| *height <= committed) {
            headers.pop_first();
        }
    }
}

#[derive(Clone, Default)]
struct Recent(Arc<Mutex<BTreeMap<Height, Committed>>>);

impl Recent {
    fn get(&self, height: Height) -> Option<Committed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&height).cloned()
    }

    fn insert(&self, height: Height, committed: Committed) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.insert(height, committed);
        while recent.len() > RECENT_MAX {
            recent.pop_first();
        }
    }
}

/// Writes committed headers: one owner, the consensus actor.
///
/// Appending is not durable by itself: headers that a validator voted for are in its safety record until
/// [`HeaderStore::sync`], and all can be fetched again from others.
pub struct HeaderStore<E: Context> {
    log: Log<E, Committed>,
    headers: Headers,
}

impl<E: Context + 'static> HeaderStore<E> {
    /// Opens, or creates, the store of this name.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn open(context: E, partition: &str) -> Result<Self, Error> {
        let log = Log::open(context, partition).await?;
        let headers = Headers { log: log.reader(), recent: Recent::default(), uncommitted: Uncommitted::default() };
        Ok(Self { log, headers })
    }

    /// Removes the store of this name, which must not be open.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn remove(context: &E, partition: &str) -> Result<(), Error> {
        Log::<E, Committed>::remove(context, partition).await
    }

    /// The height of the last header in it; 0 if it has none.
    #[must_use]
    pub const fn tip(&self) -> Height {
        self.log.tip()
    }

    /// For those who read.
    #[must_use]
    pub fn headers(&self) -> Headers {
        self.headers.clone()
    }

    /// Adds the next header.
    ///
    /// # Errors
    ///
    /// The disk's; the store is unusable after one.
    ///
    /// # Panics
    ///
    /// If it is not the next.
    pub async fn append(&mut self, committed: Committed) -> Result<(), Error> {
        let height = committed.header.height;
        assert_eq!(height, self.tip().next(), "headers are committed in order, without gaps");
        self.log.append(&committed).await?;
        self.headers.recent.insert(height, committed);
        // After it is found by its height: there is no moment in which it is not found at all.
        self.headers.uncommitted.prune(height);
        Ok(())
    }

    /// Lets others find a header that was voted for, until one of its height is committed. Whoever keeps it durably is
    /// the safety record.
    pub fn offer(&self, header: Shared<Header>) {
        if header.height > self.tip() {
            self.headers.uncommitted.insert(header);
        }
    }

    /// Makes durable all that was appended.
    ///
    /// # Errors
    ///
    /// The disk's; the store is unusable after one.
    pub async fn sync(&mut self) -> Result<(), Error> {
        self.log.sync().await
    }
}
