//! What nodes say to each other about outcomes.

use chorale_types::{Attestation, Height, OutcomeVote, codec_enum};

/// A message. A few hundred bytes at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The sender's signature.
    Vote(OutcomeVote),
    /// A quorum's.
    Attestation(Attestation),
    /// "I settled this height and miss its attestation." Answered with it, or else with the own signature.
    Ask(Height),
}
codec_enum!(Message { 0 => Vote, 1 => Attestation, 2 => Ask });
