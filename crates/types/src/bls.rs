//! The production signature scheme: BLS12-381 min-sig multi-signatures.
//!
//! Multi-signatures, not threshold signatures, because who signed must be known to slash. Rogue keys are kept out by
//! proofs of possession, which [`ConsensusKey::verify_possession`] checks when a genesis or an L1 registration brings a
//! key in.

use crate::{
    ChainId, Claim, Epoch, Scheme, Signatories, Signature, Statement, ValidatorSet,
    codec::{Encode, Error, Read, ReadExt, Write},
    tagged_hash,
};
use chorale_foundation::{
    BufMut, Bytes,
    codec::{Buf, DecodeExt, FixedSize},
    cryptography::{
        Additive, Sequential,
        bls12381::primitives::{
            group::Private,
            ops,
            variant::{MinSig, Variant},
        },
    },
};
use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng};
use std::fmt;

type Point = <MinSig as Variant>::Public;
type SignaturePoint = <MinSig as Variant>::Signature;

const POSSESSION: &[u8] = b"chorale/possession/v1";

/// A validator's public consensus key: a point of G2, 96 bytes compressed, checked to be in the group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ConsensusKey(Point);

impl ConsensusKey {
    /// Whether `proof` shows that somebody holds the private key of this public key (rogue-key attacks).
    #[must_use]
    pub fn verify_possession(&self, proof: &Signature) -> bool {
        decode_signature(proof)
            .is_some_and(|point| ops::verify_proof_of_possession::<MinSig>(&self.0, POSSESSION, &point).is_ok())
    }
}

impl fmt::Debug for ConsensusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsensusKey({})", hex::encode(&self.encode()[..4]))
    }
}

impl Write for ConsensusKey {
    fn write(&self, buf: &mut impl BufMut) {
        self.0.write(buf);
    }
}

impl FixedSize for ConsensusKey {
    const SIZE: usize = Point::SIZE;
}

impl Read for ConsensusKey {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        Ok(Self(Point::read(buf)?))
    }
}

/// A validator's private consensus key. Zeroised on drop, and never printed.
#[derive(Clone)]
pub struct ConsensusSecret(Private);

impl fmt::Debug for ConsensusSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsensusSecret(..)")
    }
}

impl ConsensusSecret {
    /// Derives a key from 32 bytes of entropy.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        use chorale_foundation::cryptography::Random;
        Self(Private::random(ChaCha12Rng::from_seed(seed)))
    }

    /// Reads a key back from its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, Error> {
        Ok(Self(Private::decode(Bytes::copy_from_slice(&bytes))?))
    }

    /// The 32 bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(&self.0.encode());
        bytes
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> ConsensusKey {
        ConsensusKey(ops::compute_public::<MinSig>(&self.0))
    }

    /// The proof of possession that goes with the public key.
    #[must_use]
    pub fn prove_possession(&self) -> Signature {
        encode_signature(&ops::sign_proof_of_possession::<MinSig>(&self.0, POSSESSION))
    }
}

/// Signs with one validator's key, if there is one, and verifies for all.
#[derive(Clone, Debug)]
pub struct Bls {
    secret: Option<ConsensusSecret>,
}

impl Bls {
    /// A scheme that signs.
    #[must_use]
    pub const fn signer(secret: ConsensusSecret) -> Self {
        Self { secret: Some(secret) }
    }

    /// A scheme that only verifies: signing with it is a broken invariant.
    #[must_use]
    pub const fn verifier() -> Self {
        Self { secret: None }
    }
}

impl Scheme for Bls {
    fn sign(&self, chain: ChainId, epoch: Epoch, statement: &Statement) -> Signature {
        let secret = self.secret.as_ref().expect("only a node with a consensus key signs");
        encode_signature(&ops::sign_message::<MinSig>(&secret.0, statement.tag(), &statement.body(chain, epoch)))
    }

    fn aggregate<'a>(&self, signatures: impl IntoIterator<Item = &'a Signature>) -> Option<Signature> {
        let mut sum = SignaturePoint::zero();
        for signature in signatures {
            sum += &decode_signature(signature)?;
        }
        Some(encode_signature(&sum))
    }

    fn verify(&self, chain: ChainId, epoch: Epoch, validators: &ValidatorSet, claims: &[Claim<'_>]) -> bool {
        let mut keys = Vec::with_capacity(claims.len());
        let mut messages = Vec::with_capacity(claims.len());
        let mut signatures = Vec::with_capacity(claims.len());
        // The coefficients of the batch depend on everything that is checked, so whoever chose the signatures could
        // not know them; and they are the same on every run.
        let mut transcript = Vec::with_capacity(claims.len() * 300);
        for claim in claims {
            let Some(key) = key_of(validators, &claim.signatories) else { return false };
            let Some(signature) = decode_signature(claim.signature) else { return false };
            let body = claim.statement.body(chain, epoch);
            ConsensusKey(key).write(&mut transcript);
            transcript.extend_from_slice(claim.statement.tag());
            transcript.extend_from_slice(&body);
            transcript.extend_from_slice(&claim.signature.0);
            messages.push(ops::hash_with_namespace::<MinSig>(MinSig::MESSAGE, claim.statement.tag(), &body));
            keys.push(key);
            signatures.push(signature);
        }
        match claims.len() {
            0 => true,
            1 => MinSig::verify(&keys[0], &messages[0], &signatures[0]).is_ok(),
            _ => {
                let seed = tagged_hash("chorale/batch/v1", &[&transcript]);
                let mut coefficients = ChaCha12Rng::from_seed(seed.0);
                MinSig::batch_verify(&mut coefficients, &keys, &messages, &signatures, &Sequential).is_ok()
            }
        }
    }
}

/// The key that the signatories' (aggregate) signature verifies under; `None` if there are none, or strangers.
fn key_of(validators: &ValidatorSet, signatories: &Signatories<'_>) -> Option<Point> {
    match signatories {
        Signatories::One(index) => Some(validators.get(*index)?.key.0),
        Signatories::All(signers) => {
            if signers.validators() != validators.len() || signers.count() == 0 {
                return None;
            }
            let mut sum = Point::zero();
            for (_, validator) in validators.iter().filter(|(index, _)| signers.contains(*index)) {
                sum += &validator.key.0;
            }
            Some(sum)
        }
    }
}

fn decode_signature(signature: &Signature) -> Option<SignaturePoint> {
    SignaturePoint::decode(Bytes::copy_from_slice(&signature.0)).ok()
}

fn encode_signature(point: &SignaturePoint) -> Signature {
    let mut bytes = [0; Signature::BYTES];
    bytes.copy_from_slice(&point.encode());
    Signature(bytes)
}
