//! What travels on the channel.

use chorale_types::{BlockId, Header, Height, codec::List, codec_enum, codec_struct};

/// Headers of one answer at most.
pub(super) const HEADERS_MAX: usize = 256;
/// Bytes of the headers of one answer at most, so that it stays a small frame on the connection.
pub(super) const ANSWER_BYTES_MAX: usize = 192 * 1024;

/// Asks for a committed header and its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// Names the question in the answer.
    pub(super) number: u64,
    /// The newest header wanted.
    pub(super) id: BlockId,
    /// Its height.
    pub(super) height: Height,
    /// The height below which (and at which) nothing is wanted.
    pub(super) above: Height,
}
codec_struct!(Ask { number, id, height, above });

/// Answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The question's.
    pub(super) number: u64,
    /// The header asked for, its parent, and so on as far as fits. Empty: it is not known (yet).
    pub(super) headers: List<Header, HEADERS_MAX>,
}
codec_struct!(Answer { number, headers });

/// A message of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// See [`Ask`].
    Ask(Ask),
    /// See [`Answer`].
    Answer(Answer),
}
codec_enum!(Message { 0 => Ask, 1 => Answer });
