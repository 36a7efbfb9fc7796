//! Lanes: what one rollup is given at one height, as its followers read and prove it.
//!
//! ```text
//! lane:  rollup (u64) | count (u32) | per item: payload (u8) | unit index (u32) | 0 or 1 + leg (u8)
//!                                   | id of the bundle (32, legs only) | length (u32) | data
//! ```
//!
//! Items rise by their place. Places are those of the global order, so whoever holds the lanes of several rollups can
//! merge them; and they say which items came from the leader's own payload, on which the order of execution depends.

use crate::{
    BundleId, Digest, Height, RollupId, Transaction, TxId,
    codec::{Blob, Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_struct,
    limits::{BUNDLE_LEGS_MAX, LANE_ITEMS_MAX, TRANSACTION_BYTES_MAX},
    merkle::MerkleTree,
    tagged_hash,
};
use chorale_foundation::BufMut;

/// That an item is a leg of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Which of its legs, from 0.
    pub position: u8,
    /// The bundle.
    pub bundle: BundleId,
}

/// Where an item stands in the global order of its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which of the header's payloads, from 0.
    pub payload: u8,
    /// Index of its unit in the payload.
    pub unit: u32,
    /// None for a transaction of its own.
    pub leg: Option<Leg>,
}

impl Place {
    /// What items of one lane strictly rise by.
    #[must_use]
    pub fn order(&self) -> (u8, u32, u8) {
        (self.payload, self.unit, self.leg.map_or(0, |leg| leg.position))
    }
}

impl Write for Place {
    fn write(&self, buf: &mut impl BufMut) {
        self.payload.write(buf);
        self.unit.write(buf);
        match &self.leg {
            None => 0u8.write(buf),
            Some(leg) => {
                (leg.position + 1).write(buf);
                leg.bundle.write(buf);
            }
        }
    }
}

impl EncodeSize for Place {
    fn encode_size(&self) -> usize {
        1 + 4 + 1 + if self.leg.is_some() { 32 } else { 0 }
    }
}

impl Read for Place {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let payload = ReadExt::read(buf)?;
        let unit = ReadExt::read(buf)?;
        let leg = match u8::read(buf)?.checked_sub(1) {
            None => None,
            Some(position) if usize::from(position) < BUNDLE_LEGS_MAX => {
                Some(Leg { position, bundle: ReadExt::read(buf)? })
            }
            Some(_) => return Err(Error::Invalid("Place", "a leg beyond the last one of every bundle")),
        };
        Ok(Self { payload, unit, leg })
    }
}

/// What a lane commits to for each item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemLeaf {
    /// Where it stands.
    pub place: Place,
    /// The transaction.
    pub id: TxId,
}
codec_struct!(ItemLeaf { place, id });

impl ItemLeaf {
    /// Its digest in the lane's tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        tagged_hash("chorale/lane-item/v1", &[&self.encode()])
    }
}

/// One item of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneItem {
    /// Where it stands.
    pub place: Place,
    /// The transaction's id: computed when the item is read, not sent.
    pub id: TxId,
    /// The transaction's data.
    pub data: Blob<TRANSACTION_BYTES_MAX>,
}

impl LaneItem {
    /// What the lane commits to.
    #[must_use]
    pub const fn leaf(&self) -> ItemLeaf {
        ItemLeaf { place: self.place, id: self.id }
    }
}

/// All that one rollup is given at one height. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    rollup: RollupId,
    items: Vec<LaneItem>,
}

/// Why items are no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// Nothing, or too much.
    #[error("a lane has 1 to {LANE_ITEMS_MAX} items, not {0}")]
    Count(usize),
    /// Items do not rise by place.
    #[error("item {0} stands before the one in front of it")]
    Order(usize),
}

impl Lane {
    /// Checks the order of items. Ids are the caller's to know.
    ///
    /// # Errors
    ///
    /// No item, too many, or a wrong order.
    pub fn new(rollup: RollupId, items: Vec<LaneItem>) -> Result<Self, LaneError> {
        if items.is_empty() || items.len() > LANE_ITEMS_MAX {
            return Err(LaneError::Count(items.len()));
        }
        match items.windows(2).position(|pair| pair[0].place.order() >= pair[1].place.order()) {
            Some(position) => Err(LaneError::Order(position + 1)),
            None => Ok(Self { rollup, items }),
        }
    }

    /// The rollup.
    #[must_use]
    pub const fn rollup(&self) -> RollupId {
        self.rollup
    }

    /// Its items in order.
    #[must_use]
    pub fn items(&self) -> &[LaneItem] {
        &self.items
    }

    /// Bytes of all data.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        let bytes: usize = self.items.iter().map(|item| item.data.len()).sum();
        u32::try_from(bytes).expect("items of two payloads of 8 MiB each")
    }

    /// How the lane tree knows it. Hashes every item's leaf.
    #[must_use]
    pub fn leaf(&self, previous: Height) -> LaneLeaf {
        LaneLeaf {
            rollup: self.rollup,
            previous,
            items: u32::try_from(self.items.len()).expect("lanes are bounded"),
            bytes: self.bytes(),
            root: self.tree().root(),
        }
    }

    /// The tree over its items.
    pub(crate) fn tree(&self) -> MerkleTree {
        MerkleTree::new(self.items.iter().map(|item| item.leaf().digest()))
    }
}

impl Write for Lane {
    fn write(&self, buf: &mut impl BufMut) {
        self.rollup.write(buf);
        u32::try_from(self.items.len()).expect("lanes are bounded").write(buf);
        for item in &self.items {
            item.place.write(buf);
            item.data.write(buf);
        }
    }
}

impl EncodeSize for Lane {
    fn encode_size(&self) -> usize {
        8 + 4 + self.items.iter().map(|item| item.place.encode_size() + item.data.encode_size()).sum::<usize>()
    }
}

/// An item as it is sent: without its id.
struct Sent {
    place: Place,
    data: Blob<TRANSACTION_BYTES_MAX>,
}

impl Read for Sent {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(Self { place: ReadExt::read(buf)?, data: ReadExt::read(buf)? })
    }
}

impl Read for Lane {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let rollup = RollupId::read(buf)?;
        let items = List::<Sent, LANE_ITEMS_MAX>::read(buf)?.into_vec().into_iter().map(|Sent { place, data }| {
            let transaction = Transaction { rollup, data };
            LaneItem { place, id: transaction.id(), data: transaction.data }
        });
        let items: Vec<LaneItem> = items.collect();
        if items.iter().map(|item| item.data.len()).sum::<usize>() > crate::limits::LANE_BYTES_MAX {
            return Err(Error::Invalid("Lane", "more data than the payloads of one header hold"));
        }
        Self::new(rollup, items).map_err(|error| match error {
            LaneError::Count(count) => Error::InvalidLength(count),
            LaneError::Order(_) => Error::Invalid("Lane", "items do not rise by place"),
        })
    }
}

/// A leaf of the lane tree: one rollup's lane at one height. 56 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneLeaf {
    /// The rollup.
    pub rollup: RollupId,
    /// The height before this one at which it had content; 0 if there was none. A follower that knows all up to there
    /// skipped nothing.
    pub previous: Height,
    /// Items.
    pub items: u32,
    /// Bytes of their data.
    pub bytes: u32,
    /// Merkle root over the items.
    pub root: Digest,
}
codec_struct!(LaneLeaf { rollup, previous, items, bytes, root });

impl LaneLeaf {
    /// Its digest in the lane tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        tagged_hash("chorale/lane/v1", &[&self.encode()])
    }
}

/// A leaf of the registry tree: when a rollup last had content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryLeaf {
    /// The rollup.
    pub rollup: RollupId,
    /// The last height at which it had content; 0 if it never had.
    pub last: Height,
}
codec_struct!(RegistryLeaf { rollup, last });

impl RegistryLeaf {
    /// Its digest in the registry tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        tagged_hash("chorale/registry/v1", &[&self.encode()])
    }
}
