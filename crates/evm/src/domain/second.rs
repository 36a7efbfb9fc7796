//! Blocks by the second.

use super::{Content, DerivedHeight, Domain, OutOfOrder};
use crate::{BlockTimes, Executor, Known};
use chorale_types::Outcome;

impl Domain {
    /// Makes the blocks of a second, of all heights with content whose chain time is in it. The timestamp of the blocks is
    /// that second; their extra data the height of `closing`; their parent beacon root, and what `PREVRANDAO` is drawn
    /// from, the sequencer's block at the last height with content.
    ///
    /// `closing` is what the first height of a later second brought, with content or without. That it is the first, is for
    /// the caller to know, as that no height with content is missing: an outcome does not tell what was before it.
    ///
    /// # Errors
    ///
    /// These are not the heights of one second, it is not the next one of this domain, or something of it is missing. Nothing
    /// has changed.
    pub fn derive_second(
        &mut self,
        contents: &[Content<'_>],
        closing: &Outcome,
        known: &Known,
        executor: &dyn Executor,
    ) -> Result<DerivedHeight, OutOfOrder> {
        if self.blocks() != BlockTimes::Second {
            return Err(OutOfOrder::Blocks(self.blocks()));
        }
        let (Some(first), Some(last)) = (contents.first(), contents.last()) else {
            return Err(OutOfOrder::Empty(closing.height));
        };
        let second = first.outcome.timestamp.second();
        for pair in contents.windows(2) {
            let (last, given) = (pair[0].outcome.height, pair[1].outcome.height);
            if given <= last {
                return Err(OutOfOrder::Height { given, last });
            }
            if pair[1].outcome.timestamp.second() != second {
                return Err(OutOfOrder::Second(given));
            }
        }
        if closing.height <= last.outcome.height || closing.timestamp.second() <= second {
            return Err(OutOfOrder::Closing(closing.height));
        }
        let mut steps = Vec::new();
        for content in contents {
            steps.extend(self.check(content)?);
        }
        Ok(self.make(contents, steps, closing, (known, executor)))
    }
}
