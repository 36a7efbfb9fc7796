//! Where an entry is, and why it is no longer in the pool.

use crate::rejected::Rejected;
use chorale_foundation::BufMut;
use chorale_types::{
    Height, RollupId, TimestampMs,
    codec::{Buf, EncodeSize, Error, Read, ReadExt, Write},
    codec_enum, codec_struct,
};

/// The state of an entry as far as the pool of this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits to be ordered.
    Pending,
    /// A payload in flight carries it, says the manifest.
    Proposed,
    /// The block of such a payload is certified.
    Certified,
    /// The block of such a payload is committed; content and position are not known yet.
    Committed,
    /// Left the pool.
    Ended(Ended),
    /// Was never in the pool: the last submission was refused.
    Rejected {
        /// Why.
        reason: Rejected,
        /// When.
        at: TimestampMs,
    },
}

/// How and when an entry left the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How, with the reason.
    pub outcome: Outcome,
    /// When.
    pub at: TimestampMs,
}

codec_struct!(Ended { outcome, at });

/// How an entry left the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    /// Its position and content are known in a block of this height.
    #[error("revealed at height {0}")]
    Revealed(Height),
    /// Removed to keep a promise to others.
    #[error("evicted: {0}")]
    Evicted(EvictReason),
    /// Nobody ordered it in time.
    #[error("expired: {0}")]
    Expired(ExpireReason),
    /// Ordered, but without effect.
    #[error("skipped: {0}")]
    Skipped(Skipped),
}

codec_enum!(Outcome { 0 => Revealed, 1 => Evicted, 2 => Expired, 3 => Skipped });

/// Why an entry was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvictReason {
    /// The rollup is no longer registered.
    #[error("rollup {0} is no longer registered")]
    RollupRemoved(RollupId),
    /// The rollup was above its share and another one claimed its own.
    #[error("{0}")]
    ShareReclaimed(ShareReclaimed),
    /// After a restart with a smaller pool there was no room for it.
    #[error("the pool restarted with room for {0} bytes only")]
    PoolShrunk(u64),
}

codec_enum!(EvictReason { 0 => RollupRemoved, 1 => ShareReclaimed, 2 => PoolShrunk });

/// The numbers of an eviction for another rollup's guaranteed share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rollup {rollup} held {bytes} bytes in {entries} entries, above its share of {share_bytes} bytes and \
         {share_entries} entries, and rollup {claimant} claimed its own share"
)]
pub struct ShareReclaimed {
    /// The rollup of the evicted entry.
    pub rollup: RollupId,
    /// What it held, in bytes.
    pub bytes: u64,
    /// What it held, in entries.
    pub entries: u64,
    /// A rollup's guaranteed bytes.
    pub share_bytes: u64,
    /// A rollup's guaranteed entries.
    pub share_entries: u64,
    /// The rollup that needed the room.
    pub claimant: RollupId,
}

codec_struct!(ShareReclaimed { rollup, bytes, entries, share_bytes, share_entries, claimant });

/// Why an entry expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpireReason {
    /// It waited longer than this, in milliseconds.
    #[error("not ordered within {0} ms")]
    Age(u64),
    /// It waited for more than this many heights.
    #[error("not ordered within {0} heights")]
    Heights(u64),
    /// The bundle may only be ordered up to this height.
    #[error("the bundle's last height, {0}, is past")]
    Bundle(Height),
}

codec_enum!(ExpireReason { 0 => Age, 1 => Heights, 2 => Bundle });

/// An entry that was ordered without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at height {height}")]
pub struct Skipped {
    /// Where it was ordered.
    pub height: Height,
    /// Why it has no effect.
    pub reason: SkipReason,
}

codec_struct!(Skipped { height, reason });

/// Why an ordered entry has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum SkipReason {
    /// It had been ordered before.
    #[error("a repeat of what was ordered before")]
    Duplicate = 0,
    /// The payload that carried it is void.
    #[error("its payload is void")]
    Void = 1,
    /// The rules of its rollup or of bundles refuse it.
    #[error("invalid")]
    Invalid = 2,
}

impl Write for SkipReason {
    fn write(&self, buf: &mut impl BufMut) {
        (*self as u8).write(buf);
    }
}

impl EncodeSize for SkipReason {
    fn encode_size(&self) -> usize {
        1
    }
}

impl Read for SkipReason {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Duplicate),
            1 => Ok(Self::Void),
            2 => Ok(Self::Invalid),
            tag => Err(Error::InvalidEnum(tag)),
        }
    }
}
