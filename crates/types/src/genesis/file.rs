//! The genesis as people write it, and the checks on the way to what counts.

use super::{
    DomainFile, ExecutedRollup, Genesis, GenesisDomain, GenesisEpoch, GenesisError, GenesisParameters, GenesisRollup,
    GenesisValidator, NAME_BYTES_MAX, Name, domains, set,
};
use crate::{
    AccountId, ConsensusKey, DomainId, Epoch, NodeKey, RollupId, Signature, TimestampMs,
    codec::{List, decode},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    /// The domains whose rollups it executes and attests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<u64>,
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
    /// How it is executed; left out if it is only ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evm: Option<EvmFile>,
}

/// How a rollup is executed, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvmFile {
    /// The domain: rollups of one can have bundles that take effect on all of them or on none. Not 0.
    pub domain: u64,
    /// The hash of its block 0, 64 hexadecimal digits.
    pub genesis: String,
    /// One part of so many is what the base fee changes by at most.
    #[serde(default = "base_fee_change_denominator")]
    pub base_fee_change_denominator: u64,
    /// One part of so many of its gas is what a block uses when the base fee stays.
    #[serde(default = "base_fee_elasticity")]
    pub base_fee_elasticity: u64,
    /// The Ethereum address whose key says that the rollup goes on after it was suspended, 40 hexadecimal digits; left out if
    /// it does so by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Ethereum's.
const fn base_fee_change_denominator() -> u64 {
    8
}

/// Ethereum's.
const fn base_fee_elasticity() -> u64 {
    2
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
    /// The rules of domains; one that is left out has the default ones.
    #[serde(default)]
    pub domains: Vec<DomainFile>,
    /// The validators of epoch 0, and of the epochs after it until another set is given.
    pub validators: Vec<ValidatorFile>,
    /// Validators of later epochs.
    #[serde(default)]
    pub epochs: Vec<EpochFile>,
}

pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> GenesisError {
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
            let execution = rollup.evm.as_ref().map(|evm| executed(&format!("rollups[{index}]"), rollup, evm));
            let (id, has_nonces, execution) = (RollupId(rollup.id), rollup.has_nonces, execution.transpose()?);
            rollups.push(GenesisRollup { id, name, has_nonces, execution });
        }
        rollups.sort_by_key(|rollup| rollup.id);
        if let Some(pair) = rollups.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(field("rollups", format!("name id {} twice; every rollup has an id of its own", pair[0].id)));
        }
        if rollups.first().is_some_and(|rollup| rollup.id == RollupId::SYSTEM) {
            return Err(field("rollups", "use id 0, which is the chain's own; ids of rollups begin with 1"));
        }
        let domains = domains::checked(&self.domains, &rollups, self.parameters.retention_heights)?;
        let mut epochs = vec![epoch_row("validators", 0, &self.validators, &domains)?];
        for (index, row) in self.epochs.iter().enumerate() {
            let name = format!("epochs[{index}]");
            if row.from <= epochs.last().map_or(0, |last| last.from.0) {
                return Err(field(format!("{name}.from"), "must be later than that of the set before".to_owned()));
            }
            epochs.push(epoch_row(&format!("{name}.validators"), row.from, &row.validators, &domains)?);
        }
        domains::check_attested(&domains, &epochs)?;
        Ok(Genesis {
            name: checked_name("name", &self.name)?,
            time: TimestampMs(self.time_ms),
            parameters: self.parameters.clone(),
            rollups: List::new(rollups).map_err(|long| field("rollups", long.to_string()))?,
            domains,
            epochs: List::new(epochs).map_err(|long| field("epochs", long.to_string()))?,
        })
    }
}

fn executed(name: &str, rollup: &RollupFile, evm: &EvmFile) -> Result<ExecutedRollup, GenesisError> {
    if !rollup.has_nonces {
        return Err(field(format!("{name}.has_nonces"), "must be true: Ethereum's transactions have nonces"));
    }
    let range = |what: &str, value: u64, min: u64, max: u64| {
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(field(format!("{name}.evm.{what}"), format!("is {value}; it must be {min} to {max}")))
    };
    Ok(ExecutedRollup {
        domain: DomainId(range("domain", evm.domain, 1, u64::MAX)?),
        genesis: hex_bytes::<32>(&format!("{name}.evm.genesis"), &evm.genesis)?.into(),
        base_fee_change_denominator: range(
            "base_fee_change_denominator",
            evm.base_fee_change_denominator,
            1,
            u64::from(u32::MAX),
        )?,
        base_fee_elasticity: range("base_fee_elasticity", evm.base_fee_elasticity, 1, u64::from(u32::MAX))?,
        owner: match &evm.owner {
            Some(owner) => Some(AccountId(hex_bytes(&format!("{name}.evm.owner"), owner)?)),
            None => None,
        },
    })
}

fn checked_name(name: &str, value: &str) -> Result<Name, GenesisError> {
    if value.is_empty() || value.len() > NAME_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(field(name, format!("must be 1 to {NAME_BYTES_MAX} bytes of printable text")));
    }
    Ok(Name::new(value.as_bytes().to_vec()).expect("its length is checked"))
}

fn epoch_row(
    name: &str,
    from: u64,
    validators: &[ValidatorFile],
    domains: &[GenesisDomain],
) -> Result<GenesisEpoch, GenesisError> {
    let checked = validators.iter().enumerate().map(|(index, validator)| {
        let name = format!("{name}[{index}]");
        validator.check(&name, domains)
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
    fn check(&self, name: &str, domains: &[GenesisDomain]) -> Result<GenesisValidator, GenesisError> {
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
        let domains = domains::opted_in(name, &self.domains, domains)?;
        Ok(GenesisValidator { name: checked_name(&format!("{name}.name"), &self.name)?, node, key, stake, domains })
    }
}

fn hex_bytes<const N: usize>(name: &str, value: &str) -> Result<[u8; N], GenesisError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(value.strip_prefix("0x").unwrap_or(value), &mut bytes)
        .map_err(|_| field(name, format!("must be {} hexadecimal digits", 2 * N)))?;
    Ok(bytes)
}
