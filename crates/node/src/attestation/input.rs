//! What is attested: where the actor learns what this node computed.

use super::stopped::Stopped;
use crate::{settlement, watch};
use chorale_types::{Digest, Epoch, Height};
use tokio::sync::mpsc;

/// Heights that are signed together at most: one write to disk for all of them.
const BATCH_MAX: u64 = 64;

/// What this node computed of a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Computed {
    /// The height.
    pub height: Height,
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of the outcome.
    pub root: Digest,
}

/// Where what this node computed comes from.
pub enum Input {
    /// Ordering and ledger: every height.
    Settlement(Settled),
    /// The rollups of a domain: heights with content, from what executes them here.
    Executor(Executed),
    /// The rollups of a domain that this node does not execute: it believes the quorum.
    Nobody(Watched),
}

/// What settlement computed.
pub struct Settled {
    mailbox: settlement::Mailbox,
    settled: watch::Receiver<Height>,
    last: Height,
    restart: Height,
}

/// What an executor computed.
pub struct Executed {
    computed: mpsc::Receiver<Vec<Computed>>,
    next: Option<Vec<Computed>>,
}

/// How far the order is that somebody else executes.
pub struct Watched {
    committed: watch::Receiver<Height>,
    last: Height,
}

/// What there is to attest now.
pub(super) struct Batch {
    /// Heights that rise.
    pub(super) computed: Vec<Computed>,
    /// All up to here is in this batch or an earlier one, or is kept no more.
    pub(super) until: Height,
}

impl Input {
    /// What settlement computed, which had settled all up to `restart` when the node was started.
    #[must_use]
    pub fn settlement(mailbox: settlement::Mailbox, restart: Height) -> Self {
        Self::Settlement(Settled { settled: mailbox.settled(), mailbox, last: restart, restart })
    }

    /// What an executor computed: heights that rise.
    #[must_use]
    pub const fn executor(computed: mpsc::Receiver<Vec<Computed>>) -> Self {
        Self::Executor(Executed { computed, next: None })
    }

    /// Nothing is computed here.
    #[must_use]
    pub const fn nobody(committed: watch::Receiver<Height>) -> Self {
        Self::Nobody(Watched { committed, last: Height(0) })
    }

    /// Goes back, or ahead, to after a height.
    pub(super) const fn begin_after(&mut self, height: Height) {
        if let Self::Settlement(settled) = self {
            settled.last = height;
        }
    }

    /// What is there by now.
    pub(super) async fn ready(&mut self) -> Result<Option<Batch>, Stopped> {
        match self {
            Self::Settlement(settled) => settled.ready().await,
            Self::Executor(executed) => {
                let computed = executed.next.take().or_else(|| executed.computed.try_recv().ok());
                let batch = |computed: Vec<Computed>| Some(Batch { until: computed.last()?.height, computed });
                Ok(computed.and_then(batch))
            }
            Self::Nobody(watched) => {
                let until = *watched.committed.borrow_and_update();
                let is_new = until > watched.last;
                watched.last = until;
                Ok(is_new.then_some(Batch { computed: Vec::new(), until }))
            }
        }
    }

    /// Completes when there may be more; false if there never will be. May be dropped at any time.
    pub(super) async fn changed(&mut self) -> bool {
        match self {
            Self::Settlement(settled) => settled.settled.changed().await.is_ok(),
            Self::Executor(executed) => match executed.computed.recv().await {
                Some(computed) => {
                    executed.next = Some(computed);
                    true
                }
                None => false,
            },
            Self::Nobody(watched) => watched.committed.changed().await.is_ok(),
        }
    }
}

impl Settled {
    /// The last height that was settled before the node was started.
    pub(super) const fn restart(&self) -> Height {
        self.restart
    }

    async fn ready(&mut self) -> Result<Option<Batch>, Stopped> {
        let settled = *self.settled.borrow_and_update();
        if self.last >= settled {
            return Ok(None);
        }
        let until = Height(settled.0.min(self.last.0.saturating_add(BATCH_MAX)));
        let mut computed = Vec::new();
        for height in (self.last.0 + 1..=until.0).map(Height) {
            match self.mailbox.record(height).await {
                // Below retention nobody asks this node any more: it is late, which is no reason to stop.
                Err(settlement::Unavailable::Pruned { first }) if height <= self.restart || height < first => {}
                Err(error) => return Err(Stopped::Record { height, error }),
                Ok(record) => {
                    let outcome = record.outcome();
                    computed.push(Computed { height, epoch: outcome.epoch, root: outcome.root() });
                }
            }
        }
        self.last = until;
        Ok(Some(Batch { computed, until }))
    }
}
