//! What the node writes down so that the pool survives a restart.

use crate::status::Ended;
use chorale_types::{Height, TimestampMs, Unit, UnitId, codec_enum, codec_struct};

/// One durable operation, in the order of [`Output::Journal`](crate::Output::Journal). Only what was submitted to this
/// node is written down: its submitter was told that it is accepted. What came from peers is on their disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An entry entered the pool.
    Add(Add),
    /// An entry left the pool, or ended without having been in it.
    Remove(Remove),
}

codec_enum!(Record { 0 => Add, 1 => Remove });

/// An entry that entered the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// When.
    pub arrived_at: TimestampMs,
    /// The newest revealed height then.
    pub arrival_height: Height,
    /// The entry itself.
    pub unit: Unit,
}

codec_struct!(Add { arrived_at, arrival_height, unit });

/// An entry that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remove {
    /// Which.
    pub id: UnitId,
    /// How and when.
    pub ended: Ended,
}

codec_struct!(Remove { id, ended });
