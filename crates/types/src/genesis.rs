//! The genesis: what all nodes of a chain agree on before the first block.
//!
//! People write TOML ([`GenesisFile`]); what counts is its canonical encoding ([`Genesis`]), whose hash is the chain id.
//! So comments, order and spelling of the file are free, and nothing else is.

mod comments;
mod domains;
mod file;
mod parameters;
#[cfg(test)]
mod tests;

pub use domains::{BlockTimes, DomainFile, GenesisDomain};
pub use file::{EpochFile, EvmFile, GenesisFile, RollupFile, ValidatorFile};
pub use parameters::{GenesisParameters, RevealWhen, VotesTo};

use crate::{
    AccountId, BlockId, BlockReference, ChainId, ConsensusKey, Digest, DomainId, Epoch, EpochInfo, Height, NodeKey,
    RollupId, TimestampMs, Validator, ValidatorSet, ValidatorSetError,
    codec::{Blob, Encode, List},
    codec_struct,
    limits::{DOMAINS_MAX, PAYLOAD_SECTIONS_MAX, VALIDATORS_MAX},
    quantise, tagged_hash,
};

/// Bytes of a name of a chain, validator or rollup.
pub const NAME_BYTES_MAX: usize = 64;

type Name = Blob<NAME_BYTES_MAX>;

/// One validator of the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisValidator {
    /// For people.
    pub name: Name,
    /// Its identity on the mesh.
    pub node: NodeKey,
    /// Its consensus key, whose possession was proven.
    pub key: ConsensusKey,
    /// Its stake in wei.
    pub stake: u128,
    /// The domains that it executes and attests, by id.
    pub domains: List<DomainId, DOMAINS_MAX>,
}
codec_struct!(GenesisValidator { name, node, key, stake, domains });

/// One rollup of the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisRollup {
    /// Its id; for an EVM rollup its EIP-155 chain id.
    pub id: RollupId,
    /// For people.
    pub name: Name,
    /// Whether its transactions carry nonces of their own, so that it skips repeats by itself.
    pub has_nonces: bool,
    /// How it is executed; none if it is only ordered.
    pub execution: Option<ExecutedRollup>,
}
codec_struct!(GenesisRollup { id, name, has_nonces, execution });

/// What is pinned of a rollup that nodes of its domain execute. Its state, gas limit and the rest are in its own block 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecutedRollup {
    /// The domain.
    pub domain: DomainId,
    /// The hash of its block 0.
    pub genesis: Digest,
    /// The base fee changes by at most one part of so many from block to block (EIP-1559); Ethereum's is 8.
    pub base_fee_change_denominator: u64,
    /// The base fee stays where a block uses one part of so many of its gas (EIP-1559); Ethereum's is 2.
    pub base_fee_elasticity: u64,
    /// Who says that it goes on after it was suspended. If nobody is named it does so by itself, when its domain is attested
    /// again.
    pub owner: Option<AccountId>,
}
codec_struct!(ExecutedRollup { domain, genesis, base_fee_change_denominator, base_fee_elasticity, owner });

/// Validators from an epoch on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisEpoch {
    /// The first epoch with these validators.
    pub from: Epoch,
    /// The validators.
    pub validators: List<GenesisValidator, VALIDATORS_MAX>,
}
codec_struct!(GenesisEpoch { from, validators });

/// Validator sets that a genesis may fix ahead.
pub const EPOCHS_MAX: usize = 256;

/// The genesis, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    name: Name,
    time: TimestampMs,
    parameters: GenesisParameters,
    rollups: List<GenesisRollup, PAYLOAD_SECTIONS_MAX>,
    /// By id: all that rollups are in.
    domains: List<GenesisDomain, DOMAINS_MAX>,
    /// By first epoch, rising; the first is of epoch 0.
    epochs: List<GenesisEpoch, EPOCHS_MAX>,
}
codec_struct!(Genesis { name, time, parameters, rollups, domains, epochs });

/// Why a file is no genesis. Names the field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Not TOML, or a field is missing, unknown, or of another type.
    #[error("the genesis file: {0}")]
    Toml(String),
    /// A field has a value that is not allowed.
    #[error("genesis: {field} {problem}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The validators are not a set.
    #[error("genesis: validators of epoch {epoch}: {error}")]
    Validators {
        /// From which epoch on.
        epoch: Epoch,
        /// What is wrong.
        error: ValidatorSetError,
    },
}

impl Genesis {
    /// Reads a genesis from TOML.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, GenesisError> {
        let file: GenesisFile = toml::from_str(text).map_err(|error| GenesisError::Toml(error.to_string()))?;
        file.check()
    }

    /// The chain id: H of the canonical encoding.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        ChainId(tagged_hash("chorale/genesis/v3", &[&self.encode()]))
    }

    /// The chain's name.
    #[must_use]
    pub fn name(&self) -> String {
        text(&self.name)
    }

    /// The time that the chain starts at.
    #[must_use]
    pub const fn time(&self) -> TimestampMs {
        self.time
    }

    /// The protocol's parameters.
    #[must_use]
    pub const fn parameters(&self) -> &GenesisParameters {
        &self.parameters
    }

    /// The rollups, by id.
    #[must_use]
    pub fn rollups(&self) -> &[GenesisRollup] {
        &self.rollups
    }

    /// A rollup, if the chain has it.
    #[must_use]
    pub fn rollup(&self, id: RollupId) -> Option<&GenesisRollup> {
        let position = self.rollups.binary_search_by_key(&id, |rollup| rollup.id).ok()?;
        self.rollups.get(position)
    }

    /// The domains that rollups are executed in, by id.
    #[must_use]
    pub fn domains(&self) -> &[GenesisDomain] {
        &self.domains
    }

    /// The rules of a domain, if a rollup is in it.
    #[must_use]
    pub fn domain(&self, id: DomainId) -> Option<&GenesisDomain> {
        self.domains.iter().find(|domain| domain.id == id)
    }

    /// Whether validators attest a domain.
    #[must_use]
    pub fn is_attested(&self, id: DomainId) -> bool {
        let rows = self.epochs.iter().flat_map(|row| row.validators.iter());
        rows.into_iter().any(|validator| validator.domains.contains(&id))
    }

    /// The rollups that are executed in a domain, by id.
    pub fn rollups_of(&self, domain: DomainId) -> impl Iterator<Item = (RollupId, &ExecutedRollup)> {
        let executed = self.rollups.iter().filter_map(|rollup| Some((rollup.id, rollup.execution.as_ref()?)));
        executed.filter(move |(_, execution)| execution.domain == domain)
    }

    /// The id of the block of height 0, which carries nothing.
    #[must_use]
    pub fn block(&self) -> BlockId {
        BlockId(tagged_hash("chorale/genesis-block/v1", &[self.chain().as_ref()]))
    }

    /// The first epoch.
    #[must_use]
    pub fn first_epoch(&self) -> EpochInfo {
        let start = EpochInfo::start_block(Height(0), self.block());
        self.epoch(Epoch(0), start)
    }

    /// An epoch, given the block it starts from: the closing block of the one before.
    #[must_use]
    pub fn epoch(&self, epoch: Epoch, start: BlockReference) -> EpochInfo {
        let rows = self.epochs.iter().rfind(|row| row.from <= epoch).expect("the first row is of epoch 0");
        let validators = set(rows).expect("checked when it was read");
        let closing = Height(start.height.0.saturating_add(self.parameters.epoch_heights));
        EpochInfo { chain: self.chain(), epoch, validators, start, closing }
    }

    /// An epoch as far as attestations are checked against it: its validators and its heights. The block it starts from is
    /// none.
    #[must_use]
    pub fn attesting(&self, epoch: Epoch) -> EpochInfo {
        let start = Height(epoch.0.saturating_mul(self.parameters.epoch_heights));
        self.epoch(epoch, EpochInfo::start_block(start, self.block()))
    }

    /// The name of a validator in an epoch.
    #[must_use]
    pub fn validator_name(&self, epoch: Epoch, node: &NodeKey) -> Option<String> {
        let rows = self.epochs.iter().rfind(|row| row.from <= epoch)?;
        rows.validators.iter().find(|validator| validator.node == *node).map(|validator| text(&validator.name))
    }
}

fn text(name: &Name) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn set(row: &GenesisEpoch) -> Result<ValidatorSet, ValidatorSetError> {
    let stakes: Vec<u128> = row.validators.iter().map(|validator| validator.stake).collect();
    let members = row.validators.iter().zip(quantise(&stakes)).filter(|(_, weight)| *weight > 0);
    let validator = |(validator, weight): (&GenesisValidator, u16)| {
        let GenesisValidator { node, key, domains, .. } = validator;
        Validator { node: *node, key: *key, weight, domains: domains.clone() }
    };
    ValidatorSet::new(members.map(validator).collect())
}
