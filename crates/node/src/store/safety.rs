//! The safety record: what a validator must not forget, durable before any message that it allows.
//!
//! One journal holds records and the headers voted for, in the order of writing; the last record counts. Sections are
//! of bounded length: a new one begins with what still counts, and the old ones go once that is on disk.

use chorale_foundation::{
    runtime::buffer::paged::CacheRef,
    storage::{
        Context,
        journal::{
            Error,
            segmented::variable::{Config, Journal},
        },
    },
    utils::{NZU16, NZUsize, futures::rebind},
};
use chorale_hotstuff::Record;
use chorale_types::{BlockId, Header, Height, codec_enum};
use std::collections::BTreeMap;

/// Items of a section.
const SECTION_ITEMS_MAX: u64 = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one is alive at a time")]
enum Item {
    Record(Record),
    Header(Header),
}
codec_enum!(Item { 0 => Record, 1 => Header });

/// What was on disk.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last record; none if none was ever written, or it is lost.
    pub record: Option<Record>,
    /// Headers voted for that may not be in the store of committed ones yet.
    pub headers: Vec<Header>,
}

/// The safety record on disk. After an error it is unusable and the node has to stop.
pub struct SafetyStore<E: Context> {
    journal: Option<Journal<E, Item>>,
    section: u64,
    items: u64,
    last: Option<Record>,
    headers: BTreeMap<(Height, BlockId), Header>,
    dirty: bool,
}

impl<E: Context> SafetyStore<E> {
    /// Opens, or creates, the store of this name, and reads what counts.
    ///
    /// # Errors
    ///
    /// The disk's, or damage: a record that cannot be read may have allowed anything, so the node must not sign.
    pub async fn open(context: E, partition: &str) -> Result<(Self, Recovered), Error> {
        let config = Config {
            partition: partition.to_owned(),
            compression: None,
            codec_config: (),
            page_cache: CacheRef::new(NZU16!(4084), NZUsize!(16)),
            write_buffer: NZUsize!(64 * 1024),
        };
        let journal = Journal::init(context, config).await?;
        let mut replay =
            journal.replay(0, 0, NZUsize!(256 * 1024), chorale_foundation::runtime::ReadOptions::DONT_CACHE).await?;
        let mut store =
            Self { journal: None, section: 0, items: 0, last: None, headers: BTreeMap::new(), dirty: false };
        while let Some(item) = replay.next().await {
            let (section, _, _, item) = item?;
            if section != store.section {
                (store.section, store.items) = (section, 0);
            }
            store.items += 1;
            match item {
                Item::Record(record) => store.last = Some(record),
                Item::Header(header) => {
                    store.headers.insert((header.height, header.id()), header);
                }
            }
        }
        store.journal = Some(replay.finish()?);
        let recovered = Recovered { record: store.last.clone(), headers: store.headers.values().cloned().collect() };
        Ok((store, recovered))
    }

    /// Writes a record; durable after [`SafetyStore::sync`].
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn record(&mut self, record: Record) -> Result<(), Error> {
        self.append(Item::Record(record.clone())).await?;
        self.last = Some(record);
        Ok(())
    }

    /// Writes a header; durable after [`SafetyStore::sync`].
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn header(&mut self, header: Header) -> Result<(), Error> {
        self.append(Item::Header(header.clone())).await?;
        self.headers.insert((header.height, header.id()), header);
        Ok(())
    }

    async fn append(&mut self, item: Item) -> Result<(), Error> {
        let section = self.section;
        rebind(&mut self.journal, |journal| journal.append(section, &item)).await?;
        self.items += 1;
        self.dirty = true;
        Ok(())
    }

    /// Makes durable all that was written since the last time.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn sync(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.dirty) {
            let section = self.section;
            rebind(&mut self.journal, |journal| journal.sync(section)).await?;
        }
        Ok(())
    }

    /// Whether it is time to call [`SafetyStore::roll`].
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.items >= SECTION_ITEMS_MAX
    }

    /// Begins a new section with what still counts, and drops the old ones. Headers up to `stored`, which are durable
    /// in the store of committed headers, no longer count.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn roll(&mut self, stored: Height) -> Result<(), Error> {
        self.headers.retain(|(height, _), _| *height > stored);
        self.section += 1;
        self.items = 0;
        let items: Vec<Item> =
            self.headers.values().cloned().map(Item::Header).chain(self.last.clone().map(Item::Record)).collect();
        for item in items {
            self.append(item).await?;
        }
        self.sync().await?;
        let section = self.section;
        rebind(&mut self.journal, |journal| journal.prune(section)).await?;
        Ok(())
    }
}
