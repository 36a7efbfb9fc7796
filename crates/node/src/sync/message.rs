//! What travels on the channel.

use chorale_types::{BlockId, Header, Height, codec::List, codec_enum, codec_struct};

/// Headers of one answer at most.
pub(crate) const HEADERS_MAX: usize = 256;
/// Bytes of the headers of one answer at most, so that it stays a small frame on the connection.
pub(crate) const ANSWER_BYTES_MAX: usize = 192 * 1024;

/// Asks for a committed header and its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Names the question in the answer.
    pub(crate) number: u64,
    /// The newest header wanted.
    pub(crate) id: BlockId,
    /// Its height.
    pub(crate) height: Height,
    /// The height below which (and at which) nothing is wanted.
    pub(crate) above: Height,
}
codec_struct!(Ask { number, id, height, above });

/// Answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The question's.
    pub(crate) number: u64,
    /// The header asked for, its parent, and so on as far as fits. Empty: it is not known (yet).
    pub(crate) headers: List<Header, HEADERS_MAX>,
}
codec_struct!(Answer { number, headers });

/// A message of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// See [`Ask`].
    Ask(Ask),
    /// See [`Answer`].
    Answer(Answer),
}
codec_enum!(Message { 0 => Ask, 1 => Answer });
