//! What pools say to each other.
//!
//! | tag | message | meaning |
//! | --- | --- | --- |
//! | 0 | [`Push`] | here are new entries, submitted to me |
//! | 1 | [`Announce`] | I hold these; ask if you miss any |
//! | 2 | [`Request`] | send me these |
//! | 3 | [`Bodies`] | the answer: a prefix of what request `number` asked for, in its order |

use crate::entry::Entry;
use chorale_foundation::Bytes;
use chorale_types::{
    Unit, UnitId,
    codec::{self, List},
    codec_enum, codec_struct,
};

/// Bytes of an encoded message: small enough that a vote never waits long behind one on the same connection.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Entries of one [`Push`].
pub const PUSH_UNITS_MAX: usize = 1024;
/// Ids of one [`Announce`].
pub const ANNOUNCE_IDS_MAX: usize = 4096;
/// Ids of one [`Request`], and so answers of one [`Bodies`].
pub const REQUEST_IDS_MAX: usize = 256;

/// A message between two pools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// New entries, unasked.
    Push(Push),
    /// Ids of entries that the sender holds.
    Announce(Announce),
    /// Asks for announced entries.
    Request(Request),
    /// Answers a request.
    Bodies(Bodies),
}

codec_enum!(Message { 0 => Push, 1 => Announce, 2 => Request, 3 => Bodies });

/// Entries that were submitted to the sender, sent to everybody once without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// In the order of their submission.
    pub units: List<Unit, PUSH_UNITS_MAX>,
}

codec_struct!(Push { units });

/// Ids of entries that the sender holds and will send on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Oldest first.
    pub ids: List<UnitId, ANNOUNCE_IDS_MAX>,
}

codec_struct!(Announce { ids });

/// Asks for the bodies of announced entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The requester's count of its requests to this peer, from 0.
    pub number: u64,
    /// What is asked for.
    pub ids: List<UnitId, REQUEST_IDS_MAX>,
}

codec_struct!(Request { number, ids });

/// Answers a [`Request`] for the first of its ids, as many as fit a message and the sender's budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bodies {
    /// The request's.
    pub number: u64,
    /// For each id, in the request's order, its body, or none if the sender does not hold it (any more).
    pub units: List<Option<Unit>, REQUEST_IDS_MAX>,
}

codec_struct!(Bodies { number, units });

/// Bytes that are not a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than any message.
    #[error("a message of {bytes} bytes; at most {MESSAGE_BYTES_MAX} are allowed")]
    Oversize {
        /// What arrived.
        bytes: usize,
    },
    /// Not the encoding of a message.
    #[error("not a message: {0}")]
    Malformed(#[from] codec::Error),
}

/// A message from a peer, decoded, with the ids of all bodies computed here and not taken from the peer.
///
/// Decoding hashes every body. It needs nothing of the pool, so a node does it on the threads that read from peers.
#[derive(Clone, Debug)]
pub struct Incoming(pub(crate) Identified);

#[derive(Clone, Debug)]
pub(crate) enum Identified {
    Push { entries: Vec<Entry>, frame_bytes: u64 },
    Announce(Vec<UnitId>),
    Request { number: u64, ids: Vec<UnitId> },
    Bodies { number: u64, entries: Vec<Option<Entry>>, frame_bytes: u64 },
}

impl Incoming {
    /// Decodes one message.
    ///
    /// # Errors
    ///
    /// More than [`MESSAGE_BYTES_MAX`] bytes, or not a message: misbehaviour of the peer in both cases.
    pub fn decode(bytes: Bytes) -> Result<Self, MessageError> {
        let len = bytes.len();
        if len > MESSAGE_BYTES_MAX {
            return Err(MessageError::Oversize { bytes: len });
        }
        Ok(Self::identify(codec::decode(bytes)?, len as u64))
    }

    fn identify(message: Message, frame_bytes: u64) -> Self {
        Self(match message {
            Message::Push(Push { units }) => {
                Identified::Push { entries: units.into_vec().into_iter().map(Entry::new).collect(), frame_bytes }
            }
            Message::Announce(Announce { ids }) => Identified::Announce(ids.into_vec()),
            Message::Request(Request { number, ids }) => Identified::Request { number, ids: ids.into_vec() },
            Message::Bodies(Bodies { number, units }) => {
                let entries = units.into_vec().into_iter().map(|unit| unit.map(Entry::new)).collect();
                Identified::Bodies { number, entries, frame_bytes }
            }
        })
    }
}
