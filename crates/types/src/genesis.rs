//! The genesis: what all nodes of a chain agree on before the first block.
//!
//! People write TOML ([`GenesisFile`]); what counts is its canonical encoding ([`Genesis`]), whose hash is the chain id.
//! So comments, order and spelling of the file are free, and nothing else is.

use crate::{
    BlockId, BlockReference, ChainId, ConsensusKey, Epoch, EpochInfo, Height, NodeKey, RollupId, Signature,
    TimestampMs, Validator, ValidatorSet, ValidatorSetError,
    codec::{Blob, Encode, List, decode},
    codec_struct,
    limits::{PAYLOAD_BYTES_MAX, PAYLOAD_SECTIONS_MAX, VALIDATORS_MAX},
    quantise, tagged_hash,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
}
codec_struct!(GenesisValidator { name, node, key, stake });

/// One rollup of the genesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisRollup {
    /// Its id; for an EVM rollup its EIP-155 chain id.
    pub id: RollupId,
    /// For people.
    pub name: Name,
    /// Whether its transactions carry nonces of their own, so that it skips repeats by itself.
    pub has_nonces: bool,
}
codec_struct!(GenesisRollup { id, name, has_nonces });

/// Parameters of the protocol. The TOML file names them alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenesisParameters {
    /// `leaders`: votes go to two leaders, blocks commit after five network delays. `all`: votes go to everyone, and
    /// blocks commit after three.
    pub votes: VotesTo,
    /// `committed`: payloads are opened when their order is final. `certified`: one round earlier, at some risk.
    pub reveal: RevealWhen,
    /// The part of a view's timer that does not depend on the network.
    pub timeout_base_ms: u64,
    /// The longest timer of a view.
    pub timeout_ms_max: u64,
    /// How far ahead of a validator's clock a header may be.
    pub clock_drift_ms: u64,
    /// How long the leader of an idle chain waits before it makes an empty block. 0: never.
    pub idle_interval_ms: u64,
    /// The least time between blocks that honest leaders keep. 0: as fast as the network goes.
    pub pace_ms: u64,
    /// How far chain time may advance in one block, below `timeout_base_ms`.
    pub time_step_ms_max: u64,
    /// Bytes of one payload.
    pub payload_bytes_max: u32,
    /// Heights whose payloads validators keep.
    pub retention_heights: u64,
    /// Heights of an epoch.
    pub epoch_heights: u64,
    /// Heights for which a transaction of a rollup without nonces is not ordered again.
    pub dedup_window_heights: u64,
}

impl Default for GenesisParameters {
    fn default() -> Self {
        Self {
            votes: VotesTo::All,
            reveal: RevealWhen::Committed,
            timeout_base_ms: 1_000,
            timeout_ms_max: 20_000,
            clock_drift_ms: 500,
            idle_interval_ms: 1_000,
            pace_ms: 20,
            time_step_ms_max: 900,
            payload_bytes_max: 2 * 1024 * 1024,
            retention_heights: 10_000,
            epoch_heights: 100_000,
            dedup_window_heights: 128,
        }
    }
}

/// To whom votes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VotesTo {
    /// To the leaders of this view and the next.
    Leaders,
    /// To everyone.
    All,
}

/// When payloads are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevealWhen {
    /// When their header is committed.
    Committed,
    /// When it is certified.
    Certified,
}

mod encoding {
    //! Enums of the parameters in the canonical encoding.

    use super::{GenesisParameters, RevealWhen, VotesTo};
    use crate::codec::{Buf, EncodeSize, Error, Read, ReadExt, Write};
    use chorale_foundation::BufMut;

    macro_rules! tags {
        ($name:ident { $($tag:literal => $variant:ident),* }) => {
            impl Write for $name {
                fn write(&self, buf: &mut impl BufMut) {
                    let tag: u8 = match self { $(Self::$variant => $tag,)* };
                    tag.write(buf);
                }
            }

            impl EncodeSize for $name {
                fn encode_size(&self) -> usize {
                    1
                }
            }

            impl Read for $name {
                type Cfg = ();

                fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
                    match u8::read(buf)? {
                        $($tag => Ok(Self::$variant),)*
                        tag => Err(Error::InvalidEnum(tag)),
                    }
                }
            }
        };
    }

    tags!(VotesTo { 0 => Leaders, 1 => All });
    tags!(RevealWhen { 0 => Committed, 1 => Certified });
    crate::codec_struct!(GenesisParameters {
        votes,
        reveal,
        timeout_base_ms,
        timeout_ms_max,
        clock_drift_ms,
        idle_interval_ms,
        pace_ms,
        time_step_ms_max,
        payload_bytes_max,
        retention_heights,
        epoch_heights,
        dedup_window_heights,
    });
}

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
    /// By first epoch, rising; the first is of epoch 0.
    epochs: List<GenesisEpoch, EPOCHS_MAX>,
}
codec_struct!(Genesis { name, time, parameters, rollups, epochs });

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
        ChainId(tagged_hash("chorale/genesis/v1", &[&self.encode()]))
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
    let validator =
        |(validator, weight): (&GenesisValidator, u16)| Validator { node: validator.node, key: validator.key, weight };
    ValidatorSet::new(members.map(validator).collect())
}

/// A validator as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorFile {
    /// For people.
    pub name: String,
    /// The ed25519 key of its mesh identity, 64 hexadecimal digits.
    pub node: String,
    /// Its BLS12-381 consensus key, 192 hexadecimal digits.
    pub key: String,
    /// The proof of possession of that key, 96 hexadecimal digits.
    pub possession: String,
    /// Its stake in wei, in decimal digits.
    pub stake: String,
}

/// A rollup as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollupFile {
    /// Its id.
    pub id: u64,
    /// For people.
    pub name: String,
    /// Whether its transactions carry nonces of their own.
    #[serde(default)]
    pub has_nonces: bool,
}

/// A later validator set as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochFile {
    /// The first epoch with these validators.
    pub from: u64,
    /// The validators.
    pub validators: Vec<ValidatorFile>,
}

/// The genesis as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisFile {
    /// The chain's name.
    pub name: String,
    /// When the chain starts, in milliseconds since 1970.
    pub time_ms: u64,
    /// Parameters; what is left out has its default.
    #[serde(default)]
    pub parameters: GenesisParameters,
    /// The rollups.
    #[serde(default)]
    pub rollups: Vec<RollupFile>,
    /// The validators of epoch 0, and of the epochs after it until another set is given.
    pub validators: Vec<ValidatorFile>,
    /// Validators of later epochs.
    #[serde(default)]
    pub epochs: Vec<EpochFile>,
}

fn field(field: impl Into<String>, problem: impl Into<String>) -> GenesisError {
    GenesisError::Field { field: field.into(), problem: problem.into() }
}

impl GenesisFile {
    /// Checks everything in it.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn check(&self) -> Result<Genesis, GenesisError> {
        self.parameters.check()?;
        let mut rollups = Vec::new();
        for (index, rollup) in self.rollups.iter().enumerate() {
            let name = checked_name(&format!("rollups[{index}].name"), &rollup.name)?;
            rollups.push(GenesisRollup { id: RollupId(rollup.id), name, has_nonces: rollup.has_nonces });
        }
        rollups.sort_by_key(|rollup| rollup.id);
        if let Some(pair) = rollups.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(field("rollups", format!("name id {} twice; every rollup has an id of its own", pair[0].id)));
        }
        let mut epochs = vec![epoch_row("validators", 0, &self.validators)?];
        for (index, row) in self.epochs.iter().enumerate() {
            let name = format!("epochs[{index}]");
            if row.from <= epochs.last().map_or(0, |last| last.from.0) {
                return Err(field(format!("{name}.from"), "must be later than that of the set before".to_owned()));
            }
            epochs.push(epoch_row(&format!("{name}.validators"), row.from, &row.validators)?);
        }
        Ok(Genesis {
            name: checked_name("name", &self.name)?,
            time: TimestampMs(self.time_ms),
            parameters: self.parameters.clone(),
            rollups: List::new(rollups).map_err(|long| field("rollups", long.to_string()))?,
            epochs: List::new(epochs).map_err(|long| field("epochs", long.to_string()))?,
        })
    }
}

impl GenesisParameters {
    fn check(&self) -> Result<(), GenesisError> {
        let range = |name: &str, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            Err(field(format!("parameters.{name}"), format!("is {value}; it must be {min} to {max}")))
        };
        range("timeout_base_ms", self.timeout_base_ms, 10, 600_000)?;
        range("timeout_ms_max", self.timeout_ms_max, self.timeout_base_ms, 3_600_000)?;
        range("clock_drift_ms", self.clock_drift_ms, 1, 600_000)?;
        range("idle_interval_ms", self.idle_interval_ms, 0, 600_000)?;
        range("pace_ms", self.pace_ms, 0, self.timeout_base_ms / 2)?;
        range("time_step_ms_max", self.time_step_ms_max, 1, self.timeout_base_ms - 1)?;
        let bytes_max = u64::try_from(PAYLOAD_BYTES_MAX).expect("8 MiB");
        range("payload_bytes_max", self.payload_bytes_max.into(), 256 * 1024, bytes_max)?;
        range("retention_heights", self.retention_heights, 64, u64::MAX)?;
        range("epoch_heights", self.epoch_heights, 8, u64::MAX / 2)?;
        range("dedup_window_heights", self.dedup_window_heights, 1, 4_096)
    }
}

fn checked_name(name: &str, value: &str) -> Result<Name, GenesisError> {
    if value.is_empty() || value.len() > NAME_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(field(name, format!("must be 1 to {NAME_BYTES_MAX} bytes of printable text")));
    }
    Ok(Name::new(value.as_bytes().to_vec()).expect("its length is checked"))
}

fn epoch_row(name: &str, from: u64, validators: &[ValidatorFile]) -> Result<GenesisEpoch, GenesisError> {
    let checked = validators.iter().enumerate().map(|(index, validator)| {
        let name = format!("{name}[{index}]");
        validator.check(&name)
    });
    let checked = checked.collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<&Name> = checked.iter().map(|validator| &validator.name).collect();
    if names.len() != checked.len() {
        return Err(field(name, "use a name twice; every validator has a name of its own"));
    }
    let row = GenesisEpoch {
        from: Epoch(from),
        validators: List::new(checked).map_err(|long| field(name, long.to_string()))?,
    };
    set(&row).map_err(|error| GenesisError::Validators { epoch: Epoch(from), error })?;
    Ok(row)
}

impl ValidatorFile {
    fn check(&self, name: &str) -> Result<GenesisValidator, GenesisError> {
        let node = NodeKey(hex_bytes(&format!("{name}.node"), &self.node)?);
        let key: [u8; 96] = hex_bytes(&format!("{name}.key"), &self.key)?;
        let key: ConsensusKey = decode(key.to_vec())
            .map_err(|_| field(format!("{name}.key"), "is no BLS12-381 public key (a point of G2, compressed)"))?;
        let possession = Signature(hex_bytes(&format!("{name}.possession"), &self.possession)?);
        if !key.verify_possession(&possession) {
            let problem = "does not prove possession of the key; make both with `chorale keys new`";
            return Err(field(format!("{name}.possession"), problem));
        }
        let problem = || field(format!("{name}.stake"), "must be a number of wei in decimal digits, as text");
        let stake = self.stake.parse::<u128>().map_err(|_| problem())?;
        Ok(GenesisValidator { name: checked_name(&format!("{name}.name"), &self.name)?, node, key, stake })
    }
}

fn hex_bytes<const N: usize>(name: &str, value: &str) -> Result<[u8; N], GenesisError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(value.strip_prefix("0x").unwrap_or(value), &mut bytes)
        .map_err(|_| field(name, format!("must be {} hexadecimal digits", 2 * N)))?;
    Ok(bytes)
}
