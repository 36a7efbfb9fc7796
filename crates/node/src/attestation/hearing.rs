//! What peers say about outcomes.

use super::{
    Message,
    actor::{Actor, SIGNED_FALSELY},
    stopped::Stopped,
    votes::{HEIGHTS_AHEAD_MAX, HEIGHTS_BEHIND_MAX, evidence, holds},
};
use crate::{dispersal::keys::node_key, runtime::Context};
use chorale_foundation::{
    cryptography::ed25519::PublicKey,
    p2p::{Recipients, Sender},
};
use chorale_types::{Attestation, EpochInfo, Height, OutcomeVote, Scheme, codec::Encode};

/// Answers to one peer in a second.
const ANSWERS_PER_SECOND_MAX: u32 = 64;

impl<E, S, N> Actor<E, S, N>
where
    E: Context,
    S: Scheme + Send + Sync + 'static,
    N: Sender<PublicKey = PublicKey>,
{
    pub(super) async fn receive(&mut self, peer: &PublicKey, message: Message) -> Result<(), Stopped> {
        match message {
            Message::Vote(vote) => self.vote(peer, vote).await,
            Message::Attestation(attestation) => self.offered(peer, attestation).await,
            Message::Ask(ask) => self.asked(peer, ask.height).await,
        }
    }

    fn is_wanted(&self, height: Height) -> bool {
        if self.missing.get(height).is_some() || self.waiting_in_order() == Some(height) {
            return true;
        }
        if !self.is_executed() {
            return height > self.last && height.0 <= self.last.0.saturating_add(HEIGHTS_AHEAD_MAX);
        }
        // What is executed lies behind the order, on some nodes far.
        let tip = self.tip().0;
        let behind = Height(tip.saturating_sub(HEIGHTS_BEHIND_MAX) + 1);
        height >= self.kept().max(behind) && height.0 <= tip.saturating_add(HEIGHTS_AHEAD_MAX)
    }

    async fn vote(&mut self, peer: &PublicKey, vote: OutcomeVote) -> Result<(), Stopped> {
        if !self.is_wanted(vote.height) {
            return Ok(());
        }
        let Some(info) = self.chain.epoch(vote.epoch) else { return Ok(()) };
        if info.validators.index_of(&node_key(peer)) != Some(vote.author) {
            self.peers.block(peer, "sent another validator's signature on an outcome");
            return Ok(());
        }
        if !info.validators.get(vote.author).is_some_and(|validator| validator.attests(vote.domain)) {
            self.peers.block(peer, "signed an outcome of a domain that it does not attest");
            return Ok(());
        }
        if self.is_done(vote.height).await? {
            return Ok(());
        }
        if let Some(first) = self.votes.insert(vote) {
            self.contradicted(peer, &first, &vote, &info);
        }
        self.conclude(vote.height).await
    }

    /// Whether a height is attested, so that nothing more about it is looked at: who repeats it would make this node verify it
    /// again. Of ordering only what is not attested is waited for anyway.
    async fn is_done(&self, height: Height) -> Result<bool, Stopped> {
        Ok(self.is_executed() && self.attestations.get(height).await?.is_some())
    }

    /// Two roots of one validator, which sent both itself: either they are evidence, or it signed falsely. Were it not cut
    /// off for the latter, it could make this node verify for every height, and never be named.
    fn contradicted(&mut self, peer: &PublicKey, first: &OutcomeVote, second: &OutcomeVote, info: &EpochInfo) {
        if !holds(second, info, &self.scheme) {
            self.peers.block(peer, SIGNED_FALSELY);
        } else if let Some(evidence) = evidence(first, second, info, &self.scheme) {
            self.reporter.report(evidence);
        } else {
            self.votes.replace(*second);
            self.peers.block(peer, SIGNED_FALSELY);
        }
    }

    async fn offered(&mut self, peer: &PublicKey, attestation: Attestation) -> Result<(), Stopped> {
        let height = attestation.height;
        if !self.is_wanted(height) || self.is_done(height).await? {
            return Ok(());
        }
        let Some(info) = self.expected(height) else {
            // Verified once the height is computed here; nothing is done with it before.
            self.early.insert(height, attestation);
            return Ok(());
        };
        if let Err(reason) = attestation.verify(&self.scheme, &info) {
            self.peers.block(peer, &format!("sent an attestation that does not hold: {reason}"));
            return Ok(());
        }
        self.attested(attestation, true).await
    }

    async fn asked(&mut self, peer: &PublicKey, height: Height) -> Result<(), Stopped> {
        if !self.may_answer(peer) {
            return Ok(());
        }
        let answer = match self.attestations.get(height).await? {
            Some(attestation) => Some(Message::Attestation(attestation)),
            // What is journaled and not synced yet has not been sent before either.
            None => self.signed.get(height).filter(|_| height <= self.last).copied().map(Message::Vote),
        };
        if let Some(answer) = answer {
            let _ = self.sender.send(Recipients::One(peer.clone()), answer.encode(), false);
        }
        Ok(())
    }

    fn may_answer(&mut self, peer: &PublicKey) -> bool {
        let now = self.context.now_ms();
        let (since, count) = self.answers.entry(peer.clone()).or_insert((now, 0));
        if now.0.saturating_sub(since.0) >= 1_000 {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= ANSWERS_PER_SECOND_MAX
    }
}
