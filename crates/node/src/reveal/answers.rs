//! Questions and answers between nodes that miss something of an ordered payload.

use super::{
    Request, Revealed,
    actor::{Actor, Purpose, Stopped},
};
use crate::{
    dispersal::{
        Basis,
        keys::peer_of,
        message::{Ask, ManifestOf, Message, Wants},
    },
    runtime::Context,
};
use chorale_foundation::{cryptography::ed25519::PublicKey, p2p::Sender};
use chorale_types::{Commitment, Height, codec::EncodeSize};
use tracing::debug;

impl<E, N> Actor<E, N>
where
    E: Context,
    N: Sender<PublicKey = PublicKey>,
{
    /// Sends the questions that are due.
    pub(super) fn ask_due(&mut self) {
        let now = self.context.now_ms();
        for collecting in self.collecting.values_mut() {
            // Nobody answers before the header is committed.
            let Some(height) = collecting.height else { continue };
            let commitment = collecting.exchange.commitment();
            for question in collecting.exchange.questions(now) {
                let Some(key) = peer_of(&collecting.epoch, question.to) else { continue };
                debug!(%height, %commitment, to = %question.to, wants = ?question.wants, "asks for what is missing");
                collecting.asked.insert(key.clone());
                self.outbox.send(&key, &Message::Ask(Ask { height, commitment, wants: question.wants }));
            }
        }
    }

    /// A peer asks. What is not ordered is not shown: the dispersal actor holds its chunks back, and nothing of it is in
    /// the archive.
    pub(super) async fn asked(&mut self, peer: PublicKey, ask: Ask) -> Result<(), Stopped> {
        let Ask { commitment, wants, .. } = ask;
        if !self.budgets.allows(&peer, self.context.now_ms()) {
            debug!(%peer, %commitment, "left a question unanswered: the peer asked for too much in this second");
            return Ok(());
        }
        match wants {
            Wants::Chunks => self.fetch(commitment, Basis::Ordered, Purpose::Answer(peer)),
            Wants::Payload => {
                if !self.answer_archived(&peer, commitment).await? {
                    self.fetch(commitment, Basis::Ordered, Purpose::Answer(peer));
                }
            }
            Wants::Manifest => {
                let known = self.dispersal.manifests().get(&commitment).map(|manifest| (*manifest).clone());
                let manifest = match known {
                    Some(manifest) => Some(manifest),
                    None => self.archive.answer(commitment).await?.map(|(manifest, _)| manifest),
                };
                if let Some(manifest) = manifest {
                    self.answer(&peer, &Message::Manifest(ManifestOf { commitment, manifest }));
                }
            }
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, peer: &PublicKey, message: &Message) {
        self.budgets.spend(peer, message.encode_size() as u64);
        self.outbox.send(peer, message);
    }

    /// Answers with the opened payload, if there is one.
    pub(super) async fn answer_archived(&mut self, peer: &PublicKey, commitment: Commitment) -> Result<bool, Stopped> {
        match self.archive.answer(commitment).await? {
            Some((_, Some(opened))) => {
                self.answer(peer, &Message::Opened(opened));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub(super) async fn serve(&mut self, request: Request) -> Result<(), Stopped> {
        match request {
            Request::Get { height, reply } => {
                // Nobody waits any more if settlement was shut down.
                let _ = reply.send(self.get(height).await?);
            }
        }
        Ok(())
    }

    async fn get(&mut self, height: Height) -> Result<Option<Revealed>, Stopped> {
        let Some(committed) = self.chain.headers.get(height).await else { return Ok(None) };
        let mut payloads = Vec::new();
        for certificate in committed.header.payloads.iter() {
            let Some(payload) = self.archive.get(certificate).await? else { return Ok(None) };
            payloads.push(payload);
        }
        Ok(Some(Revealed { header: committed.header, payloads }))
    }
}
