//! A node's disk: what survives a crash.

use chorale_hotstuff::Record;
use chorale_types::{BlockId, BlockReference, Epoch, Header, Height, Message, codec::Shared};
use std::collections::BTreeMap;

/// One write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Replaces the safety record.
    Record(Box<Record>),
    /// Adds a header.
    Header(Shared<Header>),
    /// Appends to the committed chain.
    Committed(Shared<Header>),
}

/// The durable state, and the writes that no sync has made durable yet.
#[derive(Clone, Debug)]
pub struct Disk {
    record: Option<Box<Record>>,
    headers: BTreeMap<BlockId, Shared<Header>>,
    chain: Vec<BlockReference>,
    start: BlockReference,
    unsynced: Vec<Write>,
    farewells: BTreeMap<Epoch, Vec<Message>>,
}

impl Disk {
    /// An empty disk of a node that starts from this block.
    #[must_use]
    pub const fn new(start: BlockReference) -> Self {
        Self {
            record: None,
            headers: BTreeMap::new(),
            chain: Vec::new(),
            start,
            unsynced: Vec::new(),
            farewells: BTreeMap::new(),
        }
    }

    /// Writes without making durable.
    pub fn write(&mut self, write: Write) {
        self.unsynced.push(write);
    }

    /// Makes everything written durable.
    pub fn sync(&mut self) {
        for write in std::mem::take(&mut self.unsynced) {
            self.apply(write);
        }
    }

    /// Power fails: only the first `kept` of the unsynced writes made it.
    pub fn crash(&mut self, kept: usize) {
        self.unsynced.truncate(kept);
        self.sync();
    }

    /// How many writes are not durable yet.
    #[must_use]
    pub const fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Loses the safety record.
    pub fn wipe_record(&mut self) {
        self.record = None;
    }

    /// Keeps what shows the end of an epoch to whoever is behind.
    pub fn keep_farewell(&mut self, epoch: Epoch, messages: Vec<Message>) {
        self.farewells.insert(epoch, messages);
    }

    /// What shows the end of an epoch.
    #[must_use]
    pub fn farewell(&self, epoch: Epoch) -> &[Message] {
        self.farewells.get(&epoch).map_or(&[], Vec::as_slice)
    }

    /// The durable record.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
    }

    /// A header, durable or just written, by id.
    #[must_use]
    pub fn header(&self, id: &BlockId) -> Option<&Shared<Header>> {
        self.headers.get(id)
    }

    /// The last durably committed block.
    #[must_use]
    pub fn tip(&self) -> BlockReference {
        self.chain.last().copied().unwrap_or(self.start)
    }

    /// The durable headers above the last committed one.
    #[must_use]
    pub fn uncommitted(&self) -> Vec<Header> {
        let height = self.tip().height;
        self.headers.values().filter(|header| header.height > height).map(|header| Header::clone(header)).collect()
    }

    /// A header and its ancestors above a height, newest first, at most `max` of them.
    #[must_use]
    pub fn ancestry(&self, id: BlockId, above: Height, max: usize) -> Vec<Header> {
        let mut found = Vec::new();
        let mut next = id;
        while let Some(header) = self.headers.get(&next)
            && header.height > above
            && found.len() < max
        {
            next = header.parent.block.id;
            found.push(Header::clone(header));
        }
        found
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Record(record) => self.record = Some(record),
            Write::Header(header) => {
                self.headers.insert(header.id(), header);
            }
            Write::Committed(header) => {
                let reference = header.reference();
                // A conflicting header of this height has lost; nobody will ask for it.
                self.headers.retain(|id, other| other.height != reference.height || *id == reference.id);
                self.headers.insert(reference.id, header);
                self.chain.push(reference);
            }
        }
    }
}
