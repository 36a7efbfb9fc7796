//! Long messages in short frames.
//!
//! A validator with half the weight gets half a payload in one message. Sent as one piece it would keep everything
//! behind it on the same connection waiting, and the mesh would have to allow such pieces from everybody. So messages
//! travel in frames of at most [`FRAME_BODY_BYTES_MAX`], numbered by the sender, and are put together per peer within
//! fixed bounds. A lost frame loses its message; whoever misses it asks again.

use chorale_foundation::{Bytes, BytesMut};
use chorale_types::{codec::Blob, codec_struct};
use std::collections::BTreeMap;

/// Bytes of a message that one frame carries.
pub const FRAME_BODY_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a frame on the wire.
pub const FRAME_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX + 16;

/// Messages of one peer that may be incomplete at a time. Honest peers send the frames of a message in one go, so more
/// than one is incomplete only when frames were lost. Together they have at most the bytes of the longest message.
const PARTIAL_MESSAGES_MAX: usize = 4;

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The sender's number of the message, rising.
    pub message: u64,
    /// Which piece, from 0.
    pub index: u16,
    /// How many pieces the message has.
    pub count: u16,
    /// The piece: full, except the last.
    pub body: Blob<FRAME_BODY_BYTES_MAX>,
}
codec_struct!(Frame { message, index, count, body });

/// Cuts an encoded message into frames that share its memory.
///
/// # Panics
///
/// If the message needs more than 65,535 frames; messages are bounded far below.
pub fn split(message: u64, bytes: &Bytes) -> impl Iterator<Item = Frame> {
    let count = u16::try_from(frames_of(bytes.len())).expect("messages are at most a few dozen megabytes");
    (0..count).map(move |index| {
        let start = usize::from(index) * FRAME_BODY_BYTES_MAX;
        let end = bytes.len().min(start + FRAME_BODY_BYTES_MAX);
        let body = Blob::new(bytes.slice(start..end)).expect("cut to this length");
        Frame { message, index, count, body }
    })
}

fn frames_of(bytes: usize) -> usize {
    bytes.div_ceil(FRAME_BODY_BYTES_MAX).max(1)
}

/// Why a frame is refused. No honest sender makes such a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The piece is none of the message's.
    #[error("frame {index} of a message of {count}")]
    Index {
        /// The index in the frame.
        index: u16,
        /// The count in the frame.
        count: u16,
    },
    /// The message would be too long.
    #[error("a message of {count} frames is above the limit of {bytes_max} bytes")]
    Message {
        /// The count in the frame.
        count: u16,
        /// What a message may have.
        bytes_max: usize,
    },
    /// The count differs from that of an earlier frame of the message.
    #[error("a frame says that its message has {actual} frames, an earlier one said {expected}")]
    Count {
        /// What came first.
        expected: u16,
        /// What came now.
        actual: u16,
    },
    /// A piece that is not the last is not full, or the last is empty.
    #[error("frame {index} of {count} has {actual} bytes")]
    Length {
        /// The index in the frame.
        index: u16,
        /// The count in the frame.
        count: u16,
        /// Bytes of its body.
        actual: usize,
    },
}

/// Puts the frames of one peer together.
#[derive(Debug)]
pub struct Assembler {
    message_bytes_max: usize,
    partial: BTreeMap<u64, Partial>,
}

#[derive(Debug)]
struct Partial {
    count: u16,
    bodies: BTreeMap<u16, Bytes>,
}

impl Assembler {
    /// For messages of at most `message_bytes_max` bytes.
    #[must_use]
    pub const fn new(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, partial: BTreeMap::new() }
    }

    /// Takes a frame, and returns the message that it completes.
    ///
    /// # Errors
    ///
    /// A frame that no honest peer sends; see [`FrameError`].
    pub fn add(&mut self, frame: Frame) -> Result<Option<Bytes>, FrameError> {
        self.check(&frame)?;
        let Frame { message, index, count, body } = frame;
        if count == 1 {
            return Ok(Some(body.bytes().clone()));
        }
        let partial = self.partial.entry(message).or_insert(Partial { count, bodies: BTreeMap::new() });
        if partial.count != count {
            return Err(FrameError::Count { expected: partial.count, actual: count });
        }
        partial.bodies.insert(index, body.bytes().clone());
        if partial.bodies.len() == usize::from(count) {
            return Ok(self.partial.remove(&message).map(|partial| partial.join()));
        }
        while self.partial.len() > PARTIAL_MESSAGES_MAX
            || self.partial.len() > 1 && self.bytes() > self.message_bytes_max
        {
            self.partial.pop_first();
        }
        Ok(None)
    }

    fn bytes(&self) -> usize {
        self.partial.values().flat_map(|partial| partial.bodies.values()).map(Bytes::len).sum()
    }

    fn check(&self, frame: &Frame) -> Result<(), FrameError> {
        let Frame { index, count, .. } = *frame;
        if index >= count {
            return Err(FrameError::Index { index, count });
        }
        if usize::from(count) > frames_of(self.message_bytes_max) {
            return Err(FrameError::Message { count, bytes_max: self.message_bytes_max });
        }
        let actual = frame.body.len();
        let last = index + 1 == count;
        let right = if last { actual > 0 || count == 1 } else { actual == FRAME_BODY_BYTES_MAX };
        if right { Ok(()) } else { Err(FrameError::Length { index, count, actual }) }
    }
}

impl Partial {
    fn join(self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.bodies.values().map(Bytes::len).sum());
        for body in self.bodies.values() {
            all.extend_from_slice(body);
        }
        all.freeze()
    }
}
