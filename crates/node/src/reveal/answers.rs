//! Questions and answers between nodes that miss something of an ordered payload.

use super::actor::{Actor, Purpose, Stopped};
use crate::{
    dispersal::{
        Basis,
        keys::peer_of,
        message::{Ask, ManifestOf, Message, OpenedPayload, Wants},
    },
    runtime::Context,
    store::KeptPayload,
};
use chorale_foundation::{cryptography::ed25519::PublicKey, p2p::Sender};
use chorale_types::{AvailabilityCertificate, Commitment, Height, Manifest, codec::EncodeSize};
use tracing::debug;

impl<E, N> Actor<E, N>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
{
    /// Sends the questions that are due.
    pub(super) fn ask_due(&mut self) {
        let now = self.context.now_ms();
        let present = self.chain.position.borrow().clone();
        for collecting in self.collecting.values_mut() {
            // Nobody answers before the header is committed.
            let Some(height) = collecting.height else { continue };
            let commitment = collecting.exchange.commitment();
            for question in collecting.exchange.questions(now, &present) {
                let is_present = question.epoch == present.epoch.epoch;
                let epoch = if is_present { &present.epoch } else { &collecting.epoch };
                let Some(key) = peer_of(epoch, question.to) else { continue };
                debug!(%height, %commitment, to = %question.to, wants = ?question.wants, "asks for what is missing");
                collecting.asked.insert(key.clone());
                self.outbox.send(&key, &Message::Ask(Ask { height, commitment, wants: question.wants }));
            }
        }
    }

    /// A peer asks, of any epoch's validators or of none. What is not ordered is not shown: the dispersal actor holds its
    /// chunks back, and what was opened is looked up by committed headers.
    pub(super) async fn asked(&mut self, peer: PublicKey, ask: Ask) -> Result<(), Stopped> {
        let Ask { height, commitment, wants } = ask;
        if !self.budgets.open(&peer, self.context.now_ms()) {
            debug!(%peer, %commitment, "left a question unanswered: the peer asked for too much in this second");
            return Ok(());
        }
        match wants {
            Wants::Chunks => self.fetch(commitment, Basis::Ordered, Purpose::Answer(peer, height)),
            Wants::Payload => match self.opened(height, commitment).await? {
                Some(opened) => self.answer(&peer, Some(&opened)),
                None => self.fetch(commitment, Basis::Ordered, Purpose::Answer(peer, height)),
            },
            Wants::Manifest => {
                let manifest = self.manifest(height, commitment).await?;
                let answer = manifest.map(|manifest| Message::Manifest(ManifestOf { commitment, manifest }));
                self.answer(&peer, answer.as_ref());
            }
        }
        Ok(())
    }

    /// Answers a question, or leaves it.
    pub(super) fn answer(&mut self, peer: &PublicKey, message: Option<&Message>) {
        self.budgets.close(peer, message.map_or(0, |message| message.encode_size() as u64));
        if let Some(message) = message {
            self.outbox.send(peer, message);
        }
    }

    /// How the header of a height orders a payload, if it does.
    async fn ordered(&mut self, height: Height, commitment: Commitment) -> Option<AvailabilityCertificate> {
        let committed = self.chain.headers.get(height).await?;
        let mut payloads = committed.header.payloads.iter();
        payloads.find(|certificate| certificate.commitment() == commitment).cloned()
    }

    /// What is kept of a payload that the header of a height orders.
    async fn kept(&mut self, height: Height, commitment: Commitment) -> Result<Option<KeptPayload>, Stopped> {
        match self.ordered(height, commitment).await {
            Some(certificate) => Ok(self.payloads.get(&(&certificate).into()).await?),
            None => Ok(None),
        }
    }

    /// The manifest that the header of a height orders a payload with. Its builder may have sent this node another one.
    async fn manifest(&mut self, height: Height, commitment: Commitment) -> Result<Option<Manifest>, Stopped> {
        let Some(certificate) = self.ordered(height, commitment).await else { return Ok(None) };
        let known = self.dispersal.manifests().get(&commitment);
        match known.filter(|manifest| manifest.digest() == certificate.acknowledged.manifest) {
            Some(manifest) => Ok(Some((*manifest).clone())),
            None => Ok(self.payloads.get(&(&certificate).into()).await?.map(|kept| kept.manifest)),
        }
    }

    /// The opened payload as an answer, if there is one.
    pub(super) async fn opened(&mut self, height: Height, commitment: Commitment) -> Result<Option<Message>, Stopped> {
        let Some(KeptPayload { manifest, opened: Ok(opened) }) = self.kept(height, commitment).await? else {
            return Ok(None);
        };
        Ok(Some(Message::Opened(OpenedPayload::new(commitment, manifest, opened))))
    }
}
