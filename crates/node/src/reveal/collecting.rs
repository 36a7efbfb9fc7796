//! From chunks and answers of peers to opened payloads.

use super::{
    RevealedPayload,
    actor::{Actor, Outcome, Ready, Stopped},
    exchange::reference_of,
};
use crate::{
    dispersal::{
        keys::{assignment_of, node_key},
        message::{ManifestOf, OpenedPayload},
        wire::ForReveal,
    },
    runtime::Context,
};
use chorale_dispersal::{OpenError, ValidatorChunks, verify_opened};
use chorale_foundation::{cryptography::ed25519::PublicKey, p2p::Sender};
use chorale_types::Commitment;
use futures::FutureExt;
use std::sync::Arc;
use tracing::{debug, warn};

impl<E, N> Actor<E, N>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
{
    pub(super) async fn receive(&mut self, peer: PublicKey, message: ForReveal) -> Result<(), Stopped> {
        match message {
            ForReveal::Release(chunks) => {
                let commitment = chunks.reference.commitment;
                if self.collecting.contains_key(&commitment) {
                    self.released(&peer, &chunks);
                } else if !self.opened.contains_key(&commitment) && !self.done.contains_key(&commitment) {
                    self.keep_early(peer, chunks);
                }
            }
            ForReveal::Manifest(ManifestOf { commitment, manifest }) => {
                if let Some(collecting) = self.collecting.get_mut(&commitment) {
                    if !collecting.exchange.add_manifest(manifest) {
                        self.peers.block(&peer, "sent another manifest than the certificate names");
                    }
                    self.open_complete(commitment);
                }
            }
            ForReveal::Opened(opened) => self.offered(peer, opened),
            ForReveal::Ask(ask) => self.asked(peer, ask).await?,
        }
        Ok(())
    }

    /// Chunks of a payload that is not known to be ordered yet. Only from their own validator, and no more bytes than it
    /// has of the longest payload.
    fn keep_early(&mut self, peer: PublicKey, chunks: ValidatorChunks) {
        let epoch = self.chain.position.borrow().epoch.clone();
        let is_own = epoch.validators.index_of(&node_key(&peer)) == Some(chunks.validator);
        let fits = chunks.reference.length <= self.config.payload_bytes_max;
        if is_own && fits && chunks.check_shape(&assignment_of(&epoch)).is_ok() {
            self.early.keep(peer, chunks);
        } else {
            // At the turn of an epoch an honest node may be ahead of this one.
            debug!(%peer, "ignored chunks of a payload that is not ordered here, and cannot be one of this epoch");
        }
    }

    /// Chunks of a payload that is being collected. Only from their own validator: so what is wrong with them is its
    /// fault, and it can spoil nobody else's.
    pub(super) fn released(&mut self, peer: &PublicKey, chunks: &ValidatorChunks) {
        let commitment = chunks.reference.commitment;
        let Some(collecting) = self.collecting.get_mut(&commitment) else { return };
        let Some(sender) = collecting.epoch.validators.index_of(&node_key(peer)) else {
            debug!(%peer, "ignored chunks from who is no validator of their epoch");
            return;
        };
        if sender != chunks.validator {
            self.peers.block(peer, &format!("sent the chunks of validator {} as {sender}", chunks.validator));
            return;
        }
        match collecting.exchange.add(sender, chunks) {
            Ok(_) => self.open_complete(commitment),
            Err(refused) => self.peers.block(peer, &refused.to_string()),
        }
    }

    /// Opens a payload beside the loop, once enough of it is here.
    pub(super) fn open_complete(&mut self, commitment: Commitment) {
        let Some(collecting) = self.collecting.get_mut(&commitment) else { return };
        if collecting.busy || !collecting.exchange.is_complete() {
            return;
        }
        collecting.busy = true;
        let opening = collecting.exchange.opening().clone();
        let task = self.context.child("open").shared(true);
        let task = task.spawn(move |_| async move { (commitment, Outcome::Opened(opening.open())) });
        self.opening.push(task.boxed());
    }

    /// An opened payload, asked for. Sealing it again, beside the loop, shows whether it is the right one.
    fn offered(&mut self, peer: PublicKey, offered: OpenedPayload) {
        let Some(collecting) = self.collecting.get_mut(&offered.commitment) else { return };
        if collecting.busy || !collecting.asked.remove(&peer) {
            return;
        }
        let certificate = collecting.exchange.certificate();
        if offered.manifest.digest() != certificate.acknowledged.manifest {
            self.peers.block(&peer, "sent another manifest than the certificate names");
            return;
        }
        collecting.busy = true;
        let (reference, assignment) = (reference_of(certificate), collecting.exchange.assignment().clone());
        let task = self.context.child("verify").shared(true).spawn(move |_| async move {
            let right = verify_opened(&offered.opened(), &reference, &assignment);
            (offered.commitment, Outcome::Checked(peer, Box::new(offered), right))
        });
        self.opening.push(task.boxed());
    }

    pub(super) async fn concluded(&mut self, commitment: Commitment, outcome: Outcome) -> Result<(), Stopped> {
        let Some(collecting) = self.collecting.get_mut(&commitment) else { return Ok(()) };
        collecting.busy = false;
        let (manifest, opened) = match outcome {
            Outcome::Opened(Err(OpenError::NotYet { .. })) => return Ok(()),
            Outcome::Opened(Err(OpenError::Malformed(malformed))) => (None, Err(malformed)),
            Outcome::Opened(Ok(opened)) => (None, Ok(opened)),
            Outcome::Checked(peer, _, false) => {
                self.peers.block(&peer, "sent a payload that is not the one asked for");
                self.open_complete(commitment);
                return Ok(());
            }
            Outcome::Checked(_, offered, true) => (Some(offered.manifest.clone()), Ok(offered.opened())),
            Outcome::Own(manifest, opened) => (Some(manifest), Ok(opened)),
        };
        let Some(manifest) = manifest.or_else(|| collecting.exchange.manifest().cloned()) else { return Ok(()) };
        let certificate = collecting.exchange.certificate().clone();
        for index in collecting.exchange.withheld(self.context.now_ms()) {
            self.withheld.inc();
            debug!(%commitment, %index, "a validator acknowledged chunks and did not show them when asked");
        }
        if let Err(malformed) = &opened {
            warn!(%commitment, builder = ?certificate.builder(), %malformed, "an ordered payload is malformed");
        }
        let (height, position) = (collecting.height, collecting.position);
        let payload = RevealedPayload { certificate, manifest: Arc::new(manifest), opened };
        self.collecting.remove(&commitment);
        self.opened.insert(commitment, Ready { payload, archived: false, position });
        self.store_opened(commitment, height).await
    }
}
