//! The settlement actor.

use super::{
    Config, Fate, Record,
    archive::{self, Archive},
    index::{Ids, Index, Rollups},
    queries::{Found, Ingress, Mailbox, Request, Unavailable, place},
    recent::{Recent, Registry},
};
use crate::{
    reveal::{Revealed, RevealedPayload},
    runtime::Context,
    store::PayloadReader,
};
use chorale_ledger::{Content, Ledger, RestoreError, SettleError, Standing};
use chorale_types::{Height, Payload, RollupId, UnitId};
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

/// Questions that are answered between two heights while more heights wait.
const ANSWERS_PER_HEIGHT: usize = 8;

/// Why the actor ended before the node was shut down.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] archive::Error),
    /// What is on disk is not of this chain.
    #[error("the ledger on disk: {0}; it is of another chain, or damaged: start with an empty directory")]
    Restore(#[from] RestoreError),
    /// Reveal handed on something out of order: a broken invariant.
    #[error("settling: {0}")]
    Order(#[from] SettleError),
}

/// What the actor is connected to.
pub struct Connections {
    /// From reveal, in the order of heights, from the one after [`Actor::restart`] on.
    pub revealed: mpsc::Receiver<Revealed>,
}

/// See the [module](super).
pub struct Actor<E: Context> {
    context: E,
    config: Config,
    ledger: Ledger,
    archive: Archive<E>,
    index: Index,
    recent: Recent,
    ingress: Ingress,
    restart: Height,
}

impl<E: Context> Actor<E> {
    /// Reads what is on disk. `payloads`: where the data of transactions is kept.
    ///
    /// # Errors
    ///
    /// The disk's, or it is of another chain.
    pub async fn open(mut context: E, mut config: Config, payloads: PayloadReader) -> Result<(Self, Mailbox), Stopped> {
        context.fill_bytes(&mut config.ledger.hash_key);
        let archive = Archive::open(&context, &config.partition, payloads).await?;
        let ledger = match archive.snapshot(&config.ledger).await? {
            Some(snapshot) => Ledger::restore(config.ledger.clone(), snapshot)?,
            None => Ledger::new(config.ledger.clone()),
        };
        let restart = ledger.height();
        let recent = Recent::new(config.recent_bytes_max);
        let (mailbox, ingress) = Mailbox::new(recent.clone());
        let index = Index::new(config.index_ids_max);
        let mut actor = Self { context, config, ledger, archive, index, recent, ingress, restart };
        actor.read_index().await?;
        if let Some(record) = actor.archive.record(restart).await? {
            let tree = Arc::new(actor.ledger.registry_tree());
            actor.recent.insert_registry(Registry { outcome: record.outcome().clone(), tree });
            actor.recent.insert(Arc::new(record));
        }
        actor.show_standings();
        actor.ingress.settled.send_replace(restart);
        Ok((actor, mailbox))
    }

    /// The last height that needs not be revealed again.
    #[must_use]
    pub const fn restart(&self) -> Height {
        self.restart
    }

    /// Reads the index of all heights that are kept.
    async fn read_index(&mut self) -> Result<(), Stopped> {
        let kept = Height(self.first_kept())..=self.restart;
        self.index.prune(*kept.start());
        // Newest first: ids are read only as far as they fit, which is a small part of what an archive keeps.
        for height in self.archive.heights().filter(|height| kept.contains(height)) {
            if let Some(rollups) = self.archive.rollups(height).await? {
                self.index.insert_rollups(&rollups);
            }
            if self.index.wants_ids(height)
                && let Some(ids) = self.archive.ids(height).await?
            {
                self.index.insert_ids(ids);
            }
        }
        Ok(())
    }

    /// Runs until the node is shut down.
    ///
    /// # Errors
    ///
    /// See [`Stopped`].
    pub async fn run(mut self, connections: Connections) -> Result<(), Stopped> {
        let Connections { mut revealed } = connections;
        let mut stopped = self.context.stopped();
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => return self.shut_down().await,
                next = revealed.recv() => match next {
                    Some(next) => {
                        self.settle(next).await?;
                        self.answer_waiting().await?;
                    }
                    None => return self.shut_down().await,
                },
                Some(request) = self.ingress.requests.recv() => self.answer(request).await?,
            }
        }
    }

    /// Spares the next start the work of settling the last heights again.
    async fn shut_down(&mut self) -> Result<(), Stopped> {
        if self.ledger.height() > self.restart {
            self.archive.write_snapshot(&self.ledger).await?;
        }
        Ok(())
    }

    async fn settle(&mut self, revealed: Revealed) -> Result<(), Stopped> {
        let Revealed { header, payloads } = revealed;
        let contents = payloads.into_iter().map(content).collect();
        let next_validators = (self.config.next_validators)(&header);
        let attests = Arc::clone(&self.config.attests);
        let settled = self.ledger.settle_attested(&header, contents, next_validators, &*attests)?;
        self.show_standings();
        let height = header.height;
        self.recent.count(settled.included.len() + settled.skipped.len());
        debug!(%height, included = settled.included.len(), skipped = settled.skipped.len(), "settled");
        if settled.outcome.next_validators.is_some() {
            info!(%height, epoch = %header.epoch, "settled the closing height of the epoch");
        }
        let tree = Arc::new(settled.registry_tree.clone());
        self.recent.insert_registry(Registry { outcome: settled.outcome.clone(), tree });
        let record = Arc::new(Record::new(&header, settled));
        let (ids, rollups) = (Ids::new(&record), Rollups::new(&record));
        self.archive.put(&record, (&ids, &rollups), self.ledger.transactions_of(height)).await?;
        self.index.insert_ids(ids);
        self.index.insert_rollups(&rollups);
        self.recent.insert(record);
        if height.0.is_multiple_of(self.config.snapshot_heights.max(1)) {
            self.archive.write_snapshot(&self.ledger).await?;
            self.prune().await?;
        }
        self.ingress.settled.send_replace(height);
        Ok(())
    }

    /// Tells where domains stand, if that has changed.
    fn show_standings(&self) {
        let now = self.ledger.standings();
        self.ingress.standings.send_if_modified(|standings| {
            let changed = **standings != now;
            if changed {
                for suspended in newly_suspended(standings, &now) {
                    warn!(rollup = %suspended, "suspended: what its domain became is not attested in time");
                }
                *standings = Arc::new(now);
            }
            changed
        });
    }

    async fn prune(&mut self) -> Result<(), Stopped> {
        let below = Height(self.first_kept());
        self.index.prune(below);
        Ok(self.archive.prune(below).await?)
    }

    fn first_kept(&self) -> u64 {
        self.ledger.height().0.saturating_sub(self.config.retention_heights).max(1)
    }

    /// Answers a few of those who ask. While the node catches up there is always a next height, and they would wait
    /// until there is none.
    async fn answer_waiting(&mut self) -> Result<(), Stopped> {
        for _ in 0..ANSWERS_PER_HEIGHT {
            let Ok(request) = self.ingress.requests.try_recv() else { break };
            self.answer(request).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, request: Request) -> Result<(), Stopped> {
        match request {
            Request::Record { height, reply } => {
                let record = self.record(height).await?;
                let _ = reply.send(record);
            }
            Request::Outcome { height, reply } => {
                let settled = self.ledger.height();
                let outcome = if height > settled {
                    Err(Unavailable::NotYet { height, settled })
                } else {
                    let outcome = self.archive.outcome(height).await?;
                    outcome.ok_or(Unavailable::Pruned { first: Height(self.first_kept()) })
                };
                let _ = reply.send(outcome);
            }
            Request::Find { id, reply } => {
                let found = self.find(&id).await?;
                let _ = reply.send(found);
            }
            Request::NextContent { rollup, after, reply } => {
                let next = self.next_content(rollup, after).await?;
                let _ = reply.send(next);
            }
        }
        Ok(())
    }

    async fn record(&self, height: Height) -> Result<Result<Arc<Record>, Unavailable>, Stopped> {
        let settled = self.ledger.height();
        if height > settled {
            return Ok(Err(Unavailable::NotYet { height, settled }));
        }
        if let Some(record) = self.recent.get(height) {
            return Ok(Ok(record));
        }
        // Files reach back further than what is promised; what is asked for is answered as long as it is there.
        let record = self.archive.record(height).await?;
        Ok(record.map(Arc::new).ok_or(Unavailable::Pruned { first: Height(self.first_kept()) }))
    }

    async fn find(&self, id: &UnitId) -> Result<Option<Found>, Stopped> {
        let mut skipped = None;
        for height in self.index.heights_of(id) {
            let Ok(record) = self.record(height).await? else { continue };
            let Some(place) = place(&record, id) else { continue };
            let found = Found { place, record };
            match place.fate {
                Fate::Included => return Ok(Some(found)),
                Fate::Skipped(_) => skipped = skipped.or(Some(found)),
            }
        }
        Ok(skipped)
    }

    async fn next_content(
        &self,
        rollup: RollupId,
        after: Height,
    ) -> Result<Result<Option<Height>, Unavailable>, Stopped> {
        match self.ledger.last_content(rollup) {
            None => return Ok(Err(Unavailable::UnknownRollup(rollup))),
            Some(last) if last <= after => return Ok(Ok(None)),
            Some(_) => {}
        }
        let floor = self.index.floor();
        let next = self.index.next_content(rollup, after.max(floor));
        if after >= floor {
            return Ok(Ok(next));
        }
        // A rollup may have been quiet for longer than heights are kept: its lane says what was before it.
        let pruned = Err(Unavailable::Pruned { first: floor.next() });
        let Some(height) = next else { return Ok(pruned) };
        let Ok(record) = self.record(height).await? else { return Ok(pruned) };
        let follows = record.lane_tree().prove(rollup).is_some_and(|proof| proof.leaf.previous <= after);
        Ok(if follows { Ok(Some(height)) } else { pruned })
    }
}

/// Rollups that are suspended now and were not before.
fn newly_suspended<'a>(before: &'a [Standing], now: &'a [Standing]) -> impl Iterator<Item = RollupId> + 'a {
    let was = |rollup: &RollupId| before.iter().any(|standing| standing.suspended.iter().any(|(it, _)| it == rollup));
    let now = now.iter().flat_map(|standing| standing.suspended.iter().map(|(rollup, _)| *rollup));
    now.filter(move |rollup| !was(rollup))
}

/// What a payload is to the ledger: its content, if it opened and is what its manifest says.
fn content(payload: RevealedPayload) -> Content {
    let commitment = payload.certificate.commitment();
    let Ok(opened) = payload.opened else { return Content::Malformed };
    match Payload::decode(opened.payload, &payload.manifest) {
        Ok(payload) => Content::Opened(payload),
        Err(malformed) => {
            warn!(%commitment, builder = ?payload.certificate.builder(), %malformed, "an ordered payload is malformed");
            Content::Malformed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Actor, Connections};
    use crate::{
        settlement::{
            Unavailable,
            tests::{config, revealed, run},
        },
        store::PayloadStore,
    };
    use chorale_foundation::runtime::{Spawner as _, Supervisor as _};
    use chorale_types::Height;
    use tokio::sync::mpsc;

    /// There is always a next height then, and nobody was answered until there was none.
    #[test]
    fn who_asks_is_answered_while_the_node_catches_up() {
        run(21, async |context| {
            let payloads = PayloadStore::open(context.child("payloads"), "s").await.unwrap();
            let (actor, mailbox) =
                Actor::open(context.child("settlement"), config("s"), payloads.reader()).await.unwrap();
            let (sender, waiting) = mpsc::channel(40);
            for height in 1..=40 {
                sender.try_send(revealed(height, Vec::new())).unwrap();
            }
            context.child("run").spawn(move |_| actor.run(Connections { revealed: waiting }));
            // The answer says how far it was when it was given.
            let last = mailbox.outcome(Height(40)).await;
            assert!(matches!(last, Err(Unavailable::NotYet { settled, .. }) if settled < Height(40)), "{last:?}");
            mailbox.settled().wait_for(|settled| *settled == Height(40)).await.unwrap();
        });
    }
}
