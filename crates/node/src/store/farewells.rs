//! What shows the end of past epochs to nodes that are still in them.

use super::Log;
use chorale_foundation::storage::{Context, journal::Error};
use chorale_types::{Epoch, Height, Message, codec::List, codec_struct};

/// Messages of one farewell. More are needed only if the network lost a thousand views at the end of an epoch; then the
/// last, which is the proof, is kept.
const MESSAGES_MAX: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Farewell {
    messages: List<Message, MESSAGES_MAX>,
}
codec_struct!(Farewell { messages });

/// Farewells by epoch, on disk: a peer may come back long after this node was restarted.
pub struct Farewells<E: Context>(Log<E, Farewell>);

impl<E: Context + 'static> Farewells<E> {
    /// Opens, or creates, the store of this name.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn open(context: E, partition: &str) -> Result<Self, Error> {
        Ok(Self(Log::open(context, partition).await?))
    }

    /// The first epoch whose farewell is not here.
    #[must_use]
    pub const fn next(&self) -> Epoch {
        Epoch(self.0.tip().0)
    }

    /// Keeps the farewell of the next epoch, durably. One that is here already stays.
    ///
    /// # Errors
    ///
    /// The disk's; the store is unusable after one.
    pub async fn keep(&mut self, epoch: Epoch, mut messages: Vec<Message>) -> Result<(), Error> {
        if epoch != self.next() {
            return Ok(());
        }
        let unneeded = messages.len().saturating_sub(MESSAGES_MAX);
        messages.drain(..unneeded);
        let messages = List::new(messages).expect("cut to the bound");
        self.0.append(&Farewell { messages }).await?;
        self.0.sync().await
    }

    /// The farewell of an epoch; empty if it is not known.
    ///
    /// # Errors
    ///
    /// The disk's, or damage.
    pub async fn get(&self, epoch: Epoch) -> Result<Vec<Message>, Error> {
        let kept = self.0.get(Height(epoch.0.saturating_add(1))).await?;
        Ok(kept.map_or_else(Vec::new, |farewell| farewell.messages.into_vec()))
    }
}
