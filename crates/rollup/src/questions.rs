//! What is asked of the sequencer's nodes because a user asks where a bundle is, to build one, or for a proof: bounded,
//! because these nodes count this node's questions, and it has to go on following them.

use crate::errors::{LIMIT_EXCEEDED, refused};
use jsonrpsee::core::RpcResult;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Questions that are asked at once.
const QUESTIONS_MAX: usize = 32;
/// How long a question counts at least: so many in that time, and no more. A node answers a thousand per second to one who
/// asks.
const COUNTS_FOR: Duration = Duration::from_millis(100);

/// Places for questions. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Questions {
    places: Arc<Semaphore>,
    counts_for: Duration,
}

impl Questions {
    pub(crate) fn new() -> Self {
        Self::with(QUESTIONS_MAX, COUNTS_FOR)
    }

    fn with(places: usize, counts_for: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), counts_for }
    }

    /// Asks, if there is a place.
    ///
    /// # Errors
    ///
    /// Too much is asked already.
    pub(crate) async fn ask<T>(&self, question: impl Future<Output = T>) -> RpcResult<T> {
        let busy = || refused(LIMIT_EXCEEDED, "this node asks the sequencer as much as it may: ask again later");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let place = Arc::new(place);
        let (counts_for, _asked) = (self.counts_for, Arc::clone(&place));
        tokio::spawn(async move {
            tokio::time::sleep(counts_for).await;
            drop(place);
        });
        Ok(question.await)
    }
}

#[cfg(test)]
mod tests {
    use super::Questions;
    use crate::errors::LIMIT_EXCEEDED;
    use std::{future::ready, time::Duration};

    /// Whoever asked for bundles that nobody knows used up what the sequencer's nodes allow, and the node fell behind.
    #[tokio::test]
    async fn questions_count_also_when_they_are_answered() {
        let questions = Questions::with(2, Duration::from_secs(3_600));
        for number in 0..2 {
            assert_eq!(questions.ask(ready(number)).await.unwrap(), number);
        }
        assert_eq!(questions.ask(ready(2)).await.unwrap_err().code(), LIMIT_EXCEEDED);
        let soon = Questions::with(1, Duration::ZERO);
        soon.ask(ready(0)).await.unwrap();
        // The place is free when the time is over.
        drop(soon.places.acquire().await.unwrap());
        soon.ask(ready(1)).await.unwrap();
    }
}
