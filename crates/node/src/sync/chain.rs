//! Whether headers are the ancestors that were asked for.

use super::message::Ask;
use chorale_types::Header;

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongAnswer {
    /// It begins elsewhere, or a header is not the parent of the one before.
    #[error("header {0} of the answer is not the one that the question, or the header before, names")]
    Unlinked(usize),
    /// It goes on below what was asked for.
    #[error("the answer has {0} headers, at most {1} were asked for")]
    TooMany(usize, u64),
}

/// Checks that headers lead from the one asked for down, parent by parent.
pub(crate) fn check(ask: &Ask, headers: &[Header]) -> Result<(), WrongAnswer> {
    let asked = ask.height.0.saturating_sub(ask.above.0);
    if headers.len() as u64 > asked {
        return Err(WrongAnswer::TooMany(headers.len(), asked));
    }
    let mut expected = ask.id;
    for (position, header) in headers.iter().enumerate() {
        if header.id() != expected {
            return Err(WrongAnswer::Unlinked(position));
        }
        expected = header.parent.block.id;
    }
    Ok(())
}
