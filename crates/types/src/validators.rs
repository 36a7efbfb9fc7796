//! The validators of an epoch: keys, weights, thresholds, leaders.

use crate::{
    BlockReference, BuilderId, ChainId, Digest, DomainId, Epoch, Height, QuorumCertificate, Signature, Signers,
    ValidatorIndex, View,
    bls::ConsensusKey,
    codec::{Encode, Error, List, Read, Write},
    codec_struct,
    limits::{DOMAINS_MAX, VALIDATORS_MAX, WEIGHT_TOTAL_MAX},
    tagged_hash,
};
use chorale_foundation::{
    BufMut,
    codec::{Buf, EncodeSize},
};

/// An ed25519 public key: a node's identity on the mesh. Bytes only; the mesh parses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeKey(pub [u8; 32]);
crate::codec_newtype!(NodeKey);

impl std::fmt::Display for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// One validator of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Its identity on the mesh.
    pub node: NodeKey,
    /// Its consensus key, on which a proof of possession has been checked.
    pub key: ConsensusKey,
    /// Its integer weight: voting power, chunk count and weight on L1 alike. Never zero.
    pub weight: u16,
    /// The domains that it executes and attests, besides ordering and ledger. They rise.
    pub domains: List<DomainId, DOMAINS_MAX>,
}
codec_struct!(Validator { node, key, weight, domains });

impl Validator {
    /// A validator that attests ordering and ledger only.
    #[must_use]
    pub fn new(node: NodeKey, key: ConsensusKey, weight: u16) -> Self {
        Self { node, key, weight, domains: List::default() }
    }

    /// Whether it attests a domain: ordering and ledger everybody, others those who opted in.
    #[must_use]
    pub fn attests(&self, domain: DomainId) -> bool {
        domain == DomainId::ORDERING || self.domains.contains(&domain)
    }

    /// The id under which it builds its own payloads.
    #[must_use]
    pub fn builder(&self) -> BuilderId {
        BuilderId::of_validator(&self.key)
    }
}

impl BuilderId {
    /// The id under which the validator with this key builds its own payloads.
    #[must_use]
    pub fn of_validator(key: &ConsensusKey) -> Self {
        Self(tagged_hash("chorale/builder/v1", &[&key.encode()]))
    }
}

/// The validators of an epoch in their fixed order, with the thresholds of their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    validators: List<Validator, VALIDATORS_MAX>,
    total: u16,
}

/// Why a list of validators is not a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorSetError {
    /// Nobody, or too many.
    #[error("a validator set has 1 to {VALIDATORS_MAX} members, not {0}")]
    Count(usize),
    /// A member without weight.
    #[error("validator {0} has weight 0; leave it out")]
    Weightless(usize),
    /// Too much weight in all.
    #[error("weights add up to {0}, at most {WEIGHT_TOTAL_MAX} are allowed")]
    TotalWeight(u64),
    /// Domains in disorder, or ordering among them.
    #[error("the domains of validator {0} have to rise, from 1 on")]
    Domains(usize),
    /// One key twice.
    #[error("validator {0} repeats a key of an earlier one")]
    RepeatedKey(usize),
}

impl ValidatorSet {
    /// Checks and wraps the validators.
    pub fn new(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        let count = validators.len();
        if count == 0 || count > VALIDATORS_MAX {
            return Err(ValidatorSetError::Count(count));
        }
        let mut nodes = std::collections::BTreeSet::new();
        let mut keys = std::collections::BTreeSet::new();
        let mut total = 0u64;
        for (position, validator) in validators.iter().enumerate() {
            if validator.weight == 0 {
                return Err(ValidatorSetError::Weightless(position));
            }
            let rise = validator.domains.is_sorted_by(|a, b| a < b);
            if !rise || validator.domains.first() == Some(&DomainId::ORDERING) {
                return Err(ValidatorSetError::Domains(position));
            }
            if !nodes.insert(validator.node) || !keys.insert(validator.key.encode()) {
                return Err(ValidatorSetError::RepeatedKey(position));
            }
            total += u64::from(validator.weight);
        }
        let total = u16::try_from(total)
            .ok()
            .filter(|total| *total <= WEIGHT_TOTAL_MAX)
            .ok_or(ValidatorSetError::TotalWeight(total))?;
        Ok(Self { validators: List::new(validators).map_err(|long| ValidatorSetError::Count(long.actual))?, total })
    }

    /// How many validators.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.validators.len()
    }

    /// The validator at an index.
    #[must_use]
    pub fn get(&self, index: ValidatorIndex) -> Option<&Validator> {
        self.validators.get(index.as_usize())
    }

    /// All validators with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (ValidatorIndex, &Validator)> {
        (0u16..).map(ValidatorIndex).zip(self.validators.iter())
    }

    /// All indices.
    pub fn indices(&self) -> impl Iterator<Item = ValidatorIndex> + use<> {
        let count = u16::try_from(self.validators.len()).expect("a set holds at most 1024");
        (0..count).map(ValidatorIndex)
    }

    /// The weights, in order.
    #[must_use]
    pub fn weights(&self) -> Vec<u16> {
        self.validators.iter().map(|validator| validator.weight).collect()
    }

    /// The index of the validator with this identity on the mesh.
    #[must_use]
    pub fn index_of(&self, node: &NodeKey) -> Option<ValidatorIndex> {
        self.iter().find(|(_, validator)| validator.node == *node).map(|(index, _)| index)
    }

    /// Total weight S.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total as u64
    }

    /// Quorum Q = floor(2S/3) + 1: two of them share an honest validator.
    #[must_use]
    pub const fn quorum(&self) -> u64 {
        2 * self.total() / 3 + 1
    }

    /// Honest share H = floor(S/3) + 1: at least one honest validator is in it.
    #[must_use]
    pub const fn honest(&self) -> u64 {
        self.total() / 3 + 1
    }

    /// The weight of one validator; 0 if it is not of the set.
    #[must_use]
    pub fn weight(&self, index: ValidatorIndex) -> u64 {
        self.get(index).map_or(0, |validator| u64::from(validator.weight))
    }

    /// The weight of all who signed, or `None` if the bitmap is of another set size.
    #[must_use]
    pub fn weight_of(&self, signers: &Signers) -> Option<u64> {
        (signers.validators() == self.len()).then(|| signers.iter().map(|index| self.weight(index)).sum())
    }

    /// Total weight of those who attest a domain.
    #[must_use]
    pub fn total_of(&self, domain: DomainId) -> u64 {
        let attesting = self.validators.iter().filter(|validator| validator.attests(domain));
        attesting.map(|validator| u64::from(validator.weight)).sum()
    }

    /// Quorum of those who attest a domain, as [`ValidatorSet::quorum`]; more than there is if nobody does.
    #[must_use]
    pub fn quorum_of(&self, domain: DomainId) -> u64 {
        2 * self.total_of(domain) / 3 + 1
    }

    /// The weight of all who signed, or `None` if the bitmap is of another set size, or one of them does not attest the
    /// domain.
    #[must_use]
    pub fn weight_in(&self, domain: DomainId, signers: &Signers) -> Option<u64> {
        let attest = |index| self.get(index).is_some_and(|validator| validator.attests(domain));
        self.weight_of(signers).filter(|_| signers.iter().all(attest))
    }

    /// Whether these signers are of this set and carry a quorum.
    #[must_use]
    pub fn is_quorum(&self, signers: &Signers) -> bool {
        self.weight_of(signers).is_some_and(|weight| weight >= self.quorum())
    }

    /// The hash that an outcome names the next set by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        tagged_hash("chorale/validators/v2", &[&self.encode()])
    }
}

impl Write for ValidatorSet {
    fn write(&self, buf: &mut impl BufMut) {
        self.validators.write(buf);
    }
}

impl EncodeSize for ValidatorSet {
    fn encode_size(&self) -> usize {
        self.validators.encode_size()
    }
}

impl Read for ValidatorSet {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let validators = List::<Validator, VALIDATORS_MAX>::read_cfg(buf, &())?;
        Self::new(validators.into_vec())
            .map_err(|_| Error::Invalid("ValidatorSet", "weights, count or keys are invalid"))
    }
}

/// Integer weights of stakes: exact if their ratios fit into a total of 1024, else by largest remainder (ties to the
/// lower index). Equal stakes get weight 1 each. A stake too small for one unit gets weight 0: it is no member.
#[must_use]
pub fn quantise(stakes: &[u128]) -> Vec<u16> {
    const TOTAL: u128 = WEIGHT_TOTAL_MAX as u128;
    let divisor = stakes.iter().copied().fold(0, gcd);
    if divisor == 0 {
        return vec![0; stakes.len()];
    }
    // Scaled down so that the products below cannot overflow; 2^64 of precision is far finer than 1/1024.
    let reduced: Vec<u128> = stakes.iter().map(|stake| stake / divisor).collect();
    let shift = (128 - reduced.iter().fold(0, |all, stake| all | stake).leading_zeros()).saturating_sub(64);
    let reduced: Vec<u128> = reduced.iter().map(|stake| stake >> shift).collect();
    let sum: u128 = reduced.iter().sum();
    let narrow = |weight: u128| u16::try_from(weight).expect("a weight is at most 1024");
    if sum <= TOTAL {
        return reduced.into_iter().map(narrow).collect();
    }
    let mut weights: Vec<u128> = reduced.iter().map(|stake| stake * TOTAL / sum).collect();
    let missing = TOTAL - weights.iter().sum::<u128>();
    let mut by_remainder: Vec<usize> = (0..reduced.len()).collect();
    by_remainder.sort_by_key(|&index| (std::cmp::Reverse(reduced[index] * TOTAL % sum), index));
    for &index in by_remainder.iter().take(usize::try_from(missing).expect("fewer than the members")) {
        weights[index] += 1;
    }
    let divisor = weights.iter().copied().fold(0, gcd);
    weights.into_iter().map(|weight| narrow(weight / divisor)).collect()
}

const fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// All that consensus needs to know of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// The chain.
    pub chain: ChainId,
    /// Which epoch.
    pub epoch: Epoch,
    /// Its validators.
    pub validators: ValidatorSet,
    /// The closing block of the epoch before (of the genesis: height 0), as the block of the fixed certificate.
    pub start: BlockReference,
    /// The last height of the epoch.
    pub closing: Height,
}

impl EpochInfo {
    /// The block that the first header of an epoch extends.
    #[must_use]
    pub const fn start_block(height: Height, id: crate::BlockId) -> BlockReference {
        BlockReference { view: View(0), parent: View(0), height, id }
    }

    /// The fixed certificate for view 0.
    #[must_use]
    pub fn start_certificate(&self) -> QuorumCertificate {
        QuorumCertificate {
            epoch: self.epoch,
            view: View(0),
            block: self.start,
            signers: Signers::none(self.validators.len()),
            signature: Signature::NONE,
        }
    }

    /// The leader of a view: a stake-weighted draw from a hash of chain, epoch and view, so that nobody's block
    /// contents can influence it.
    #[must_use]
    pub fn leader(&self, view: View) -> ValidatorIndex {
        let draw = tagged_hash(
            "chorale/leader/v1",
            &[self.chain.as_ref(), &self.epoch.0.to_be_bytes(), &view.0.to_be_bytes()],
        );
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&draw[..8]);
        let mut ticket = u64::from_be_bytes(bytes) % self.validators.total();
        for (index, validator) in self.validators.iter() {
            match ticket.checked_sub(u64::from(validator.weight)) {
                Some(rest) => ticket = rest,
                None => return index,
            }
        }
        unreachable!("the ticket is below the total weight")
    }
}
