//! The safety record: what a validator must not forget, durable before any message that it allows.
//!
//! One journal holds records and the headers voted for, in the order of writing; the last record counts. Sections are
//! of bounded length: a new one begins with what still counts, and the old ones go once that is on disk.
//!
//! # Damage
//!
//! The journal takes the first bytes that it cannot read for its end: right after a crash, when they are the torn rest of
//! a write that nothing was promised by, and wrong when a disk has lost what was synced before, because then an older
//! record would come back, and with it the right to vote again. So a mark beside the journal says how many items were
//! durable, and fewer than that is damage. The mark follows the journal by at most [`MARK_ITEMS`] items, within which
//! the two cases look the same. A damaged journal is removed: nothing in it may be relied upon.

use super::{is_damage, remove};
use chorale_foundation::{
    runtime::buffer::paged::CacheRef,
    storage::{
        Context,
        journal::{
            Error,
            segmented::variable::{Config, Journal},
        },
        metadata::{self, Metadata},
    },
    utils::{NZU16, NZUsize, futures::rebind, sequence::U64},
};
use chorale_hotstuff::Record;
use chorale_types::{BlockId, Header, Height, codec_enum, codec_struct};
use std::collections::BTreeMap;
use tracing::error;

/// Items of a section.
const SECTION_ITEMS_MAX: u64 = 4096;
/// Items after which the mark follows.
pub const MARK_ITEMS: u64 = 32;
/// Under which the mark is stored.
const MARK: u64 = 0;

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one is alive at a time")]
enum Item {
    Record(Record),
    Header(Header),
}
codec_enum!(Item { 0 => Record, 1 => Header });

/// How far the journal was durable: so many items of this section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    section: u64,
    items: u64,
}
codec_struct!(Mark { section, items });

/// What was on disk.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last record; none if none was ever written, or it is lost.
    pub record: Option<Record>,
    /// Headers voted for that may not be in the store of committed ones yet.
    pub headers: Vec<Header>,
    /// Whether a record was there and is damaged.
    pub is_damaged: bool,
}

/// The safety record on disk. After an error it is unusable and the node has to stop.
pub struct SafetyStore<E: Context> {
    journal: Option<Journal<E, Item>>,
    marks: Option<Metadata<E, U64, Mark>>,
    marked: Mark,
    section: u64,
    items: u64,
    last: Option<Record>,
    headers: BTreeMap<(Height, BlockId), Header>,
    dirty: bool,
}

impl<E: Context> SafetyStore<E> {
    /// Opens, or creates, the store of this name, and reads what counts. Damage is no error, but the end of what was
    /// there: a record that cannot be read may have allowed anything, so the node must not sign.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn open(context: E, partition: &str) -> Result<(Self, Recovered), Error> {
        let (marks, marked) = open_marks(&context, &format!("{partition}-mark")).await?;
        let why = match (Self::replay(context.child("journal"), partition).await, marked) {
            (Ok(mut store), Some(marked)) if store.durable() >= marked => {
                (store.marks, store.marked) = (Some(marks), marked);
                store.mark().await?;
                let headers = store.headers.values().cloned().collect();
                let recovered = Recovered { record: store.last.clone(), headers, is_damaged: false };
                return Ok((store, recovered));
            }
            (Ok(store), marked) => format!("{marked:?} was durable, {:?} is left", store.durable()),
            (Err(failure), _) if is_damage(&failure) => failure.to_string(),
            (Err(failure), _) => return Err(failure),
        };
        error!(partition, why, "the safety record is damaged: it is removed, and nothing is signed without it");
        remove(&context, partition).await?;
        let mut store = Self::replay(context.child("new_journal"), partition).await?;
        (store.marks, store.marked) = (Some(marks), Mark { section: u64::MAX, items: 0 });
        store.mark().await?;
        Ok((store, Recovered { is_damaged: true, ..Recovered::default() }))
    }

    /// Reads the journal up to its end, or what it takes for its end.
    async fn replay(context: E, partition: &str) -> Result<Self, Error> {
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
        let mut store = Self {
            journal: None,
            marks: None,
            marked: Mark::default(),
            section: 0,
            items: 0,
            last: None,
            headers: BTreeMap::new(),
            dirty: false,
        };
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
        Ok(store)
    }

    /// How far the journal goes; all of it is durable after [`SafetyStore::sync`].
    const fn durable(&self) -> Mark {
        Mark { section: self.section, items: self.items }
    }

    async fn mark(&mut self) -> Result<(), Error> {
        let mark = self.durable();
        if mark != self.marked {
            rebind(&mut self.marks, |marks| marks.put_sync(U64::new(MARK), mark)).await?;
            self.marked = mark;
        }
        Ok(())
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
            if section != self.marked.section || self.items >= self.marked.items + MARK_ITEMS {
                self.mark().await?;
            }
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

/// The marks, and the last one; none if that is damaged.
async fn open_marks<E: Context>(context: &E, partition: &str) -> Result<(Metadata<E, U64, Mark>, Option<Mark>), Error> {
    let config = metadata::Config { partition: partition.to_owned(), codec_config: () };
    match Metadata::<E, U64, Mark>::init(context.child("mark"), config.clone()).await {
        Ok(marks) => {
            let marked = marks.get(&U64::new(MARK)).copied().unwrap_or_default();
            Ok((marks, Some(marked)))
        }
        Err(metadata::Error::Corruption(_)) => {
            remove(context, partition).await?;
            Ok((Metadata::init(context.child("new_mark"), config).await?, None))
        }
        Err(failure) => Err(failure.into()),
    }
}
