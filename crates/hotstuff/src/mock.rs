//! A signature scheme without cryptography, for search: deterministic, a few nanoseconds, and as strict as the real one
//! about who signed what.
//!
//! A validator's key is four odd numbers that follow from its index, a statement hashes to four odd numbers, and a
//! signature is their products modulo 2^64. So aggregates add up and verify as they do with BLS. Whoever wants to can
//! forge; the adversaries of the simulator are not allowed to.

use chorale_types::{
    Acknowledged, BlockReference, ChainId, Claim, Epoch, Scheme, Signatories, Signature, Statement, ValidatorIndex,
    ValidatorSet,
};

const LANES: usize = 4;
/// Follows the lanes in a valid signature: other bytes are "no point of the group".
const MARK: [u8; Signature::BYTES - 8 * LANES] = *b"mock signature 1";

/// Signs as one validator, verifies for all.
#[derive(Clone, Debug)]
pub struct MockScheme {
    index: ValidatorIndex,
}

impl MockScheme {
    /// A scheme that signs as the validator of this index.
    #[must_use]
    pub const fn new(index: ValidatorIndex) -> Self {
        Self { index }
    }
}

#[cfg(test)]
std::thread_local! {
    /// Signatures that this thread has verified.
    pub(crate) static VERIFIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

type Lanes = [u64; LANES];

fn mix(state: u64, word: u64) -> u64 {
    let mixed = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29) ^ mixed.rotate_left(31)
}

fn absorb(mut state: u64, bytes: &[u8]) -> u64 {
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state, u64::from_le_bytes(word));
    }
    state
}

fn lanes(seed: u64) -> Lanes {
    let mut lane = seed;
    std::array::from_fn(|position| {
        lane = mix(lane, position as u64 + 1);
        lane | 1
    })
}

fn key(index: ValidatorIndex) -> Lanes {
    lanes(mix(0x6b65_7900, u64::from(index.0) + 1))
}

fn reference(state: u64, block: &BlockReference) -> u64 {
    absorb(mix(mix(mix(state, block.view.0), block.parent.0), block.height.0), block.id.as_ref())
}

fn acknowledged(state: u64, all: &Acknowledged) -> u64 {
    let state = absorb(absorb(state, all.builder.0.as_ref()), all.commitment.as_ref());
    mix(mix(absorb(state, all.manifest.as_ref()), u64::from(all.length)), all.expiry.0)
}

fn hash(chain: ChainId, epoch: Epoch, statement: &Statement) -> Lanes {
    let start = mix(absorb(0, chain.as_ref()), epoch.0);
    lanes(match statement {
        Statement::Tip { view, id } => absorb(mix(mix(start, 1), view.0), id.as_ref()),
        Statement::Reproposal { view, id, timeout } => {
            absorb(absorb(mix(mix(start, 2), view.0), id.as_ref()), timeout.as_ref())
        }
        Statement::Vote { view, block } => reference(mix(mix(start, 3), view.0), block),
        Statement::CommitVote { view, block } => reference(mix(mix(start, 4), view.0), block),
        Statement::Timeout { view, rank } => {
            let state = mix(mix(mix(start, 5), view.0), rank.view.0);
            mix(mix(state, rank.kind as u64), rank.parent.0)
        }
        Statement::Acknowledgement(all) => acknowledged(mix(start, 6), all),
        Statement::Outcome { domain, height, root } => {
            absorb(mix(mix(mix(start, 7), domain.0), height.0), root.as_ref())
        }
    })
}

fn encode(lanes: Lanes) -> Signature {
    let mut bytes = [0; Signature::BYTES];
    for (chunk, lane) in bytes.chunks_mut(8).zip(lanes) {
        chunk.copy_from_slice(&lane.to_le_bytes());
    }
    bytes[8 * LANES..].copy_from_slice(&MARK);
    Signature(bytes)
}

fn decode(signature: &Signature) -> Option<Lanes> {
    let (lanes, mark) = signature.0.split_at(8 * LANES);
    (mark == MARK).then(|| {
        std::array::from_fn(|lane| {
            let mut word = [0; 8];
            word.copy_from_slice(&lanes[8 * lane..8 * lane + 8]);
            u64::from_le_bytes(word)
        })
    })
}

fn add(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
}

fn sign(key: Lanes, message: Lanes) -> Lanes {
    std::array::from_fn(|lane| key[lane].wrapping_mul(message[lane]))
}

impl Scheme for MockScheme {
    fn sign(&self, chain: ChainId, epoch: Epoch, statement: &Statement) -> Signature {
        encode(sign(key(self.index), hash(chain, epoch, statement)))
    }

    fn aggregate<'a>(&self, signatures: impl IntoIterator<Item = &'a Signature>) -> Option<Signature> {
        let mut sum = [0; LANES];
        for signature in signatures {
            sum = add(sum, decode(signature)?);
        }
        Some(encode(sum))
    }

    fn verify(&self, chain: ChainId, epoch: Epoch, validators: &ValidatorSet, claims: &[Claim<'_>]) -> bool {
        #[cfg(test)]
        VERIFIED.set(VERIFIED.get() + claims.len());
        claims.iter().all(|claim| {
            let keys = match &claim.signatories {
                Signatories::One(index) => validators.get(*index).map(|_| key(*index)),
                Signatories::All(signers) => (signers.validators() == validators.len() && signers.count() > 0)
                    .then(|| signers.iter().map(key).fold([0; LANES], add)),
            };
            let message = hash(chain, epoch, &claim.statement);
            keys.is_some_and(|keys| decode(claim.signature) == Some(sign(keys, message)))
        })
    }
}
