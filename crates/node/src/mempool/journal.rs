//! What the pool writes down, in sections: a new one begins with what still counts, and the old ones go.

use chorale_foundation::{
    runtime::{Handle, ReadOptions, buffer::paged::CacheRef},
    storage::{
        Context,
        journal::{
            Error,
            segmented::variable::{Config, Journal as Segments},
        },
    },
    utils::{NZU16, NZUsize, futures::rebind},
};
use chorale_mempool::Record;

/// Bytes of a section before a new one begins.
const SECTION_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The journal. After an error it is unusable and the node has to stop.
pub(super) struct Journal<E: Context> {
    segments: Option<Segments<E, Record>>,
    section: u64,
    bytes: u64,
}

impl<E: Context> Journal<E> {
    /// Opens, or creates, the journal, and reads all of it.
    pub(super) async fn open(context: E, partition: &str) -> Result<(Self, Vec<Record>), Error> {
        let config = Config {
            partition: partition.to_owned(),
            compression: None,
            codec_config: (),
            page_cache: CacheRef::new(NZU16!(4084), NZUsize!(16)),
            write_buffer: NZUsize!(1024 * 1024),
        };
        let segments = Segments::init(context, config).await?;
        let mut replay = segments.replay(0, 0, NZUsize!(1024 * 1024), ReadOptions::DONT_CACHE).await?;
        let mut records = Vec::new();
        let (mut section, mut bytes) = (0, 0);
        while let Some(item) = replay.next().await {
            let (of, _, size, record) = item?;
            if of != section {
                (section, bytes) = (of, 0);
            }
            bytes += u64::from(size);
            records.push(record);
        }
        Ok((Self { segments: Some(replay.finish()?), section, bytes }, records))
    }

    /// Writes a record; durable after [`Journal::sync`].
    pub(super) async fn append(&mut self, record: &Record) -> Result<(), Error> {
        let section = self.section;
        let (_, size) = rebind(&mut self.segments, |segments| segments.append(section, record)).await?;
        self.bytes += u64::from(size);
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Result<(), Error> {
        let section = self.section;
        rebind(&mut self.segments, |segments| segments.sync(section)).await
    }

    /// Starts to make durable what was appended. The handle completes when it is.
    pub(super) async fn start_sync(&mut self) -> Result<Handle<()>, Error> {
        let section = self.section;
        rebind(&mut self.segments, |segments| segments.start_sync(section)).await
    }

    /// Whether it is time for a new section.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= SECTION_BYTES_MAX
    }

    /// Begins a new section with these records, and drops the old ones once they are durable.
    pub(super) async fn roll(&mut self, records: &[Record]) -> Result<(), Error> {
        self.section += 1;
        self.bytes = 0;
        for record in records {
            self.append(record).await?;
        }
        // Large again at once: wait for as much more before the next one.
        self.bytes = 0;
        self.sync().await?;
        let section = self.section;
        rebind(&mut self.segments, |segments| segments.prune(section)).await?;
        Ok(())
    }
}
