//! As a validator: what builders send, checked, stored, and acknowledged.

use super::{
    actor::{Actor, Stopped},
    custody::{Admission, stored_bytes},
    message::{Acknowledge, Disperse, Message, Refuse, RefusedFor},
    offers::check_addressed,
    waiting::Place,
};
use crate::runtime::Context;
use chorale_dispersal::{ChunkError, ValidatorChunks};
use chorale_foundation::{cryptography::ed25519::PublicKey, p2p::Sender};
use chorale_types::{
    Acknowledged, Commitment, Epoch, Height, Manifest, Scheme, Statement, ValidatorIndex, codec::EncodeSize,
    codec_struct,
};
use futures::FutureExt;
use tracing::{debug, warn};

/// Chunks of one sender that are checked at a time; what comes on top is dropped, and sent again by an honest sender.
const CHECKS_PER_PEER_MAX: usize = 4;

/// Chunks on disk, with what was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredChunks {
    pub(super) epoch: Epoch,
    /// The last committed height when they came.
    pub(super) height: Height,
    pub(super) acknowledged: Acknowledged,
    pub(super) manifest: Manifest,
    pub(super) chunks: ValidatorChunks,
}
codec_struct!(StoredChunks { epoch, height, acknowledged, manifest, chunks });

/// Chunks that passed their check, or are this node's own.
pub(super) struct Checked {
    /// To whom the acknowledgement goes; none if the payload is this node's own.
    pub(super) peer: Option<PublicKey>,
    pub(super) acknowledged: Acknowledged,
    pub(super) message: Disperse,
    pub(super) result: Result<(), ChunkError>,
    /// Of its message among those of its sender that wait: taken until it is written.
    pub(super) place: Option<Place>,
}

/// An acknowledgement that may be sent once the chunks are on disk.
pub(super) struct Promise {
    pub(super) peer: Option<PublicKey>,
    pub(super) epoch: Epoch,
    pub(super) acknowledged: Acknowledged,
}

impl<E, S, N> Actor<E, S, N>
where
    E: Context,
    S: Scheme + Clone + Send + Sync + 'static,
    N: Sender<PublicKey = PublicKey>,
{
    /// A builder offers chunks: cheap checks here, the hash over the chunks beside this loop.
    pub(super) fn offered(&mut self, peer: PublicKey, from: ValidatorIndex, message: Disperse, place: Place) {
        let Some(me) = self.me() else { return };
        let commitment = message.chunks.reference.commitment;
        if message.epoch != self.epoch.epoch {
            self.refuse(&peer, commitment, RefusedFor::Epoch);
            return;
        }
        if let Err(reason) = check_addressed(&self.epoch, from, me, &message) {
            self.peers.block(&peer, &reason);
            return;
        }
        let acknowledged = message.acknowledged();
        let more = stored_bytes(&message.chunks, message.manifest.encode_size());
        match self.custody.admit(message.epoch, &acknowledged, more, self.view()) {
            Ok(Admission::Held) if self.unsynced.contains(&commitment) => {}
            Ok(Admission::Held) => {
                self.acknowledge(vec![Promise { peer: Some(peer), epoch: message.epoch, acknowledged }]);
            }
            Ok(Admission::New) => self.check(peer, acknowledged, message, place),
            Err(refusal) => {
                debug!(%peer, %commitment, %refusal, "refused the chunks of a payload");
                self.refuse(&peer, commitment, refusal.into());
            }
        }
    }

    fn check(&mut self, peer: PublicKey, acknowledged: Acknowledged, message: Disperse, place: Place) {
        let checks = self.checks.entry(peer.clone()).or_default();
        if *checks >= CHECKS_PER_PEER_MAX {
            debug!(%peer, "dropped chunks: too many of this builder are being checked");
            return;
        }
        *checks += 1;
        let assignment = self.assignment.clone();
        let task = self.context.child("check").shared(true).spawn(move |_| async move {
            let result = message.chunks.check(&message.chunks.reference, &assignment);
            Checked { peer: Some(peer), acknowledged, message, result, place: Some(place) }
        });
        self.checking.push(task.boxed());
    }

    pub(super) fn checked(&mut self, checked: Checked) {
        let Some(peer) = &checked.peer else { return };
        if let Some(checks) = self.checks.get_mut(peer) {
            *checks -= 1;
            if *checks == 0 {
                self.checks.remove(peer);
            }
        }
        match checked.result {
            Ok(()) => self.batch.push(checked),
            Err(error) => self.peers.block(peer, &format!("sent wrong chunks: {error}")),
        }
    }

    /// Writes what has passed its check, as one batch with one sync. The next batch waits for that sync.
    pub(super) async fn write_batch(&mut self) -> Result<(), Stopped> {
        if self.batch.is_empty() || !self.syncing.is_empty() {
            return Ok(());
        }
        let mut promises = Vec::new();
        for checked in std::mem::take(&mut self.batch) {
            let Checked { peer, acknowledged, message, place: _place, .. } = checked;
            let Disperse { epoch, manifest, chunks, .. } = message;
            let more = stored_bytes(&chunks, manifest.encode_size());
            // Asked again: since the first time other chunks of this builder may have been taken.
            match self.custody.admit(epoch, &acknowledged, more, self.view()) {
                Ok(Admission::New) => {}
                Ok(Admission::Held) => continue,
                Err(refusal) => {
                    debug!(commitment = %acknowledged.commitment, %refusal, "refused the chunks of a payload");
                    match &peer {
                        Some(peer) => self.refuse(peer, acknowledged.commitment, refusal.into()),
                        None => warn!(%refusal, "this node cannot store the chunks of its own payload"),
                    }
                    continue;
                }
            }
            let stored = StoredChunks { epoch, height: self.height, acknowledged, manifest, chunks };
            self.vault.put(self.number, acknowledged.commitment.0, &stored).await?;
            self.custody.insert(epoch, acknowledged, self.number, more);
            self.learn(epoch, &acknowledged, stored.manifest);
            self.number += 1;
            self.unsynced.insert(acknowledged.commitment);
            promises.push(Promise { peer, epoch, acknowledged });
        }
        if !promises.is_empty() {
            let durable = self.vault.sync().await?;
            self.syncing.push(durable.map(|done| done.map(|()| promises)).boxed());
        }
        Ok(())
    }

    /// Signs for chunks that are on disk.
    pub(super) fn acknowledge(&mut self, promises: Vec<Promise>) {
        for Promise { peer, epoch, acknowledged } in promises {
            let commitment = acknowledged.commitment;
            self.unsynced.remove(&commitment);
            let (Some(me), true) = (self.me(), epoch == self.epoch.epoch) else { continue };
            let acknowledge = *self.acknowledgements.entry(commitment).or_insert_with(|| {
                let statement = Statement::Acknowledgement(acknowledged);
                Acknowledge { commitment, signature: self.scheme.sign(self.epoch.chain, epoch, &statement) }
            });
            match peer {
                Some(peer) => self.outbox.send(&peer, &Message::Acknowledge(acknowledge)),
                None => {
                    if let Some(own) = self.own.get_mut(&commitment) {
                        own.acknowledgements().add(me, acknowledge.signature);
                        self.aggregate(&commitment);
                    }
                }
            }
        }
    }

    fn refuse(&mut self, peer: &PublicKey, commitment: Commitment, reason: RefusedFor) {
        self.outbox.send(peer, &Message::Refuse(Refuse { commitment, reason }));
    }
}
