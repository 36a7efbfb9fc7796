//! Proof files: a claim about the order or about executed rollups, with everything between it and the genesis.
//!
//! ```text
//! "CHORALEPROOF" | version (u8 = 4) | count (u32) | hand-overs | kind (u8) | outcome | attestation | claim
//! ```
//!
//! Kind 0 is about the order, kind 1 about what executed rollups became.

use crate::{Attested, Executed, ExecutionClaim, ExecutionProofError, HandOver, Light, LightError, ProvenExecution};
use chorale_foundation::BufMut;
use chorale_types::{
    Attestation, BundleId, BundleProof, ExecutionOutcome, Height, Lane, LaneAbsence, LaneProof, Outcome, ProofError,
    RegistryProof, RollupId, TransactionProof, TxId,
    codec::{Buf, EncodeSize, Error, List, Read, ReadExt, Write, decode},
    codec_enum, codec_struct,
};

const MAGIC: [u8; 12] = *b"CHORALEPROOF";
const VERSION: u8 = 4;
/// Hand-overs of one file. A verifier that has followed further starts from where it is.
const HAND_OVERS_MAX: usize = 4096;

/// A whole lane with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneClaim {
    /// The items.
    pub lane: Lane,
    /// That these are all.
    pub proof: LaneProof,
}
codec_struct!(LaneClaim { lane, proof });

/// What is claimed of a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A transaction was ordered.
    Transaction(TransactionProof),
    /// A bundle was ordered with all its legs.
    Bundle(BundleProof),
    /// This is all that a rollup was given.
    Lane(LaneClaim),
    /// A rollup was given nothing.
    Absence(LaneAbsence),
    /// When a rollup was given something last.
    Registry(RegistryProof),
}
codec_enum!(Claim { 0 => Transaction, 1 => Bundle, 2 => Lane, 3 => Absence, 4 => Registry });

/// What a proof file proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// The transaction was ordered for this rollup.
    Transaction {
        /// Which.
        id: TxId,
        /// For whom.
        rollup: RollupId,
    },
    /// The bundle was ordered, with this many legs.
    Bundle {
        /// Which.
        id: BundleId,
        /// How many legs.
        legs: usize,
    },
    /// The rollup was given exactly these many items.
    Lane {
        /// Who.
        rollup: RollupId,
        /// How many.
        items: usize,
        /// The height with content before.
        previous: Height,
    },
    /// The rollup was given nothing.
    Absence {
        /// Who.
        rollup: RollupId,
    },
    /// The rollup was given something last at this height.
    Registry {
        /// Who.
        rollup: RollupId,
        /// When.
        last: Height,
    },
}

/// A claim about the order of a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderProof {
    /// The outcome of the height.
    pub outcome: Outcome,
    /// Its attestation.
    pub attestation: Attestation,
    /// The claim.
    pub claim: Claim,
}
codec_struct!(OrderProof { outcome, attestation, claim });

/// A claim about what executed rollups became at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionProof {
    /// The outcome of the height.
    pub outcome: ExecutionOutcome,
    /// Its attestation, by those who execute the domain.
    pub attestation: Attestation,
    /// The claim.
    pub claim: ExecutionClaim,
}
codec_struct!(ExecutionProof { outcome, attestation, claim });

/// What is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// About the order.
    Order(OrderProof),
    /// About executed rollups.
    Execution(ExecutionProof),
}
codec_enum!(Proof { 0 => Order, 1 => Execution });

/// A claim and what it takes to believe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// From the first epoch, or from one that the verifier knows, to the one of the outcome.
    pub hand_overs: List<HandOver, HAND_OVERS_MAX>,
    /// The claim.
    pub proof: Proof,
}

/// What a proof file proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Of the order.
    Order(Proven, Attested),
    /// Of executed rollups.
    Execution(ProvenExecution, Executed),
}

/// Why a proof file proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofFileError {
    /// The bytes are no proof file.
    #[error("not a proof file of version {VERSION}: {0}")]
    Encoding(#[from] Error),
    /// A hand-over or the attestation does not hold.
    #[error(transparent)]
    Light(#[from] LightError),
    /// The claim does not follow from the outcome.
    #[error("the claim does not follow from the outcome of height {height}: {error}")]
    Claim {
        /// The height.
        height: Height,
        /// Why.
        error: ProofError,
    },
    /// The claim does not follow from what executed rollups became.
    #[error("the claim does not follow from what was executed at height {height}: {error}")]
    ExecutionClaim {
        /// The height.
        height: Height,
        /// Why.
        error: ExecutionProofError,
    },
}

impl ProofFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The bytes are no proof file.
    pub fn read_file(bytes: Vec<u8>) -> Result<Self, ProofFileError> {
        Ok(decode(bytes)?)
    }

    /// Checks everything, from the genesis to the claim. Returns what is proven, and the outcome it is proven of.
    ///
    /// Hand-overs that `light` has behind it are not looked at, and it learns the others.
    ///
    /// # Errors
    ///
    /// The first thing that does not hold.
    pub fn verify(&self, light: &mut Light) -> Result<Verified, ProofFileError> {
        for hand_over in self.hand_overs.iter() {
            if hand_over.outcome.epoch >= light.last().epoch {
                light.hand_over(hand_over.clone())?;
            }
        }
        match &self.proof {
            Proof::Order(OrderProof { outcome, attestation, claim }) => {
                let attested = light.verify(outcome, attestation)?;
                let height = outcome.height;
                let proven = claim.verify(&attested).map_err(|error| ProofFileError::Claim { height, error })?;
                Ok(Verified::Order(proven, attested))
            }
            Proof::Execution(ExecutionProof { outcome, attestation, claim }) => {
                let executed = light.verify_execution(outcome, attestation)?;
                let height = outcome.height;
                let proven = claim.verify(&executed);
                let proven = proven.map_err(|error| ProofFileError::ExecutionClaim { height, error })?;
                Ok(Verified::Execution(proven, executed))
            }
        }
    }
}

impl Claim {
    /// Checks the claim against an attested outcome.
    ///
    /// # Errors
    ///
    /// It does not follow from it.
    pub fn verify(&self, attested: &Attested) -> Result<Proven, ProofError> {
        let outcome = attested.outcome();
        Ok(match self {
            Self::Transaction(proof) => {
                proof.verify(outcome)?;
                Proven::Transaction { id: proof.id(), rollup: proof.lane.leaf.rollup }
            }
            Self::Bundle(proof) => {
                proof.verify(outcome)?;
                Proven::Bundle { id: proof.id(), legs: proof.legs.len() }
            }
            Self::Lane(LaneClaim { lane, proof }) => {
                proof.verify(outcome)?;
                proof.covers(lane)?;
                let (rollup, items) = (lane.rollup(), lane.items().len());
                Proven::Lane { rollup, items, previous: proof.leaf.previous }
            }
            Self::Absence(proof) => {
                proof.verify(outcome)?;
                Proven::Absence { rollup: proof.rollup }
            }
            Self::Registry(proof) => {
                proof.verify(outcome)?;
                Proven::Registry { rollup: proof.leaf.rollup, last: proof.leaf.last }
            }
        })
    }
}

impl Write for ProofFile {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_slice(&MAGIC);
        VERSION.write(buf);
        self.hand_overs.write(buf);
        self.proof.write(buf);
    }
}

impl EncodeSize for ProofFile {
    fn encode_size(&self) -> usize {
        MAGIC.len() + 1 + self.hand_overs.encode_size() + self.proof.encode_size()
    }
}

impl Read for ProofFile {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        if buf.remaining() < MAGIC.len() {
            return Err(Error::EndOfBuffer);
        }
        let mut magic = [0; MAGIC.len()];
        buf.copy_to_slice(&mut magic);
        if magic != MAGIC {
            return Err(Error::Invalid("ProofFile", "it does not begin with CHORALEPROOF"));
        }
        match u8::read(buf)? {
            VERSION => {}
            version => return Err(Error::InvalidEnum(version)),
        }
        Ok(Self { hand_overs: ReadExt::read(buf)?, proof: ReadExt::read(buf)? })
    }
}
