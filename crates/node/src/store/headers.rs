//! Committed headers by height.

use crate::ports::Committed;
use chorale_foundation::{
    BufMut,
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
use chorale_types::{
    Height,
    codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt, Write},
};
use futures::{FutureExt, future::BoxFuture};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::RwLock;
use tracing::error;

/// Headers that are kept in memory, so that the actors that follow closely do not read the disk.
const RECENT_MAX: usize = 256;

impl Write for Committed {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.proof.write(buf);
    }
}

impl EncodeSize for Committed {
    fn encode_size(&self) -> usize {
        self.header.encode_size() + self.proof.encode_size()
    }
}

impl Read for Committed {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { header: Arc::new(ReadExt::read(buf)?), proof: ReadExt::read(buf)? })
    }
}

/// Reads committed headers. Clones share the store.
#[derive(Clone)]
pub struct Headers {
    store: Arc<dyn Source>,
    recent: Recent,
}

impl Headers {
    /// The committed header of a height, if this node has it (still).
    pub async fn get(&self, height: Height) -> Option<Committed> {
        if let Some(committed) = self.recent.get(height) {
            return Some(committed);
        }
        self.store.get(height).await
    }
}

trait Source: Send + Sync {
    fn get(&self, height: Height) -> BoxFuture<'_, Option<Committed>>;
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

struct Disk<E: Context>(RwLock<Option<Journal<E, Committed>>>);

impl<E: Context> Source for Disk<E> {
    fn get(&self, height: Height) -> BoxFuture<'_, Option<Committed>> {
        async move {
            let position = height.0.checked_sub(1)?;
            let guard = self.0.read().await;
            let journal = guard.as_ref()?;
            match journal.read(position).await {
                Ok(committed) => Some(committed),
                Err(Error::ItemOutOfRange(_) | Error::ItemPruned(_)) => None,
                Err(failure) => {
                    error!(%height, %failure, "reading a committed header");
                    None
                }
            }
        }
        .boxed()
    }
}

/// Writes committed headers: one owner, the consensus actor. The header of height h is item h - 1 of a journal.
///
/// Appending is not durable by itself: headers that a validator voted for are in its safety record until
/// [`HeaderStore::sync`], and all can be fetched again from others.
pub struct HeaderStore<E: Context> {
    disk: Arc<Disk<E>>,
    headers: Headers,
    tip: Height,
}

impl<E: Context + 'static> HeaderStore<E> {
    /// Opens, or creates, the store of this name.
    ///
    /// # Errors
    ///
    /// The disk's.
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
        let disk = Arc::new(Disk(RwLock::new(Some(journal))));
        let headers = Headers { store: disk.clone(), recent: Recent::default() };
        Ok(Self { disk, headers, tip })
    }

    /// The height of the last header in it; 0 if it has none.
    #[must_use]
    pub const fn tip(&self) -> Height {
        self.tip
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
        assert_eq!(height, self.tip.next(), "headers are committed in order, without gaps");
        let mut journal = self.disk.0.write().await;
        rebind(&mut *journal, |journal| journal.append(&committed)).await?;
        self.tip = height;
        self.headers.recent.insert(height, committed);
        Ok(())
    }

    /// Makes durable all that was appended.
    ///
    /// # Errors
    ///
    /// The disk's; the store is unusable after one.
    pub async fn sync(&mut self) -> Result<(), Error> {
        let mut journal = self.disk.0.write().await;
        rebind(&mut *journal, |journal| journal.sync()).await
    }
}
