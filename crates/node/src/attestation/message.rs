//! What nodes say to each other about outcomes.

use chorale_types::{Attestation, DomainId, Height, OutcomeVote, codec_enum, codec_struct};

/// A message. A few hundred bytes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The sender's signature.
    Vote(OutcomeVote),
    /// A quorum's.
    Attestation(Attestation),
    /// Answered with the attestation, or else with the own signature.
    Ask(Ask),
}
codec_enum!(Message { 0 => Vote, 1 => Attestation, 2 => Ask });

/// "I computed this height of this domain and miss its attestation."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The domain.
    pub domain: DomainId,
    /// The height.
    pub height: Height,
}
codec_struct!(Ask { domain, height });

impl Message {
    /// The domain that it is about.
    #[must_use]
    pub const fn domain(&self) -> DomainId {
        match self {
            Self::Vote(vote) => vote.domain,
            Self::Attestation(attestation) => attestation.domain,
            Self::Ask(ask) => ask.domain,
        }
    }
}
