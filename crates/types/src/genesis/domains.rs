//! Domains of the genesis: their rules, and who executes and attests them.

use super::{GenesisEpoch, GenesisError, GenesisRollup, GenesisValidator, file::field, set};
use crate::{
    DomainId,
    codec::{Buf, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_struct,
    limits::{ATTESTATION_LAG_HEIGHTS_MAX, DOMAIN_ROLLUPS_MAX, DOMAINS_MAX},
};
use chorale_foundation::BufMut;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// When the rollups of a domain have blocks: a rule of all of them, or the legs of a bundle would be seen at different
/// heights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockTimes {
    /// One for each height with content. Those within a second have the same timestamp, as on other chains that are faster
    /// than that: clients other than this one refuse them.
    #[default]
    Height,
    /// One for all heights of a second with content, closed by the first height of a later second: what unmodified
    /// execution clients accept.
    Second,
}

impl Write for BlockTimes {
    fn write(&self, buf: &mut impl BufMut) {
        let tag: u8 = match self {
            Self::Height => 0,
            Self::Second => 1,
        };
        tag.write(buf);
    }
}

impl EncodeSize for BlockTimes {
    fn encode_size(&self) -> usize {
        1
    }
}

impl Read for BlockTimes {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Height),
            1 => Ok(Self::Second),
            tag => Err(Error::InvalidEnum(tag)),
        }
    }
}

/// The rules of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisDomain {
    /// Which.
    pub id: DomainId,
    /// When its rollups have blocks.
    pub blocks: BlockTimes,
    /// Whether a leg of a bundle may call a contract of another rollup and use what it returns.
    pub synchronous_calls: bool,
    /// Its rollups are suspended when content that old, in heights, is not covered by an attestation that was ordered.
    pub attestation_lag_max: u64,
}
codec_struct!(GenesisDomain { id, blocks, synchronous_calls, attestation_lag_max });

/// The rules of a domain as people write them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainFile {
    /// Which.
    pub id: u64,
    /// When its rollups have blocks.
    #[serde(default = "by_height")]
    pub blocks: BlockTimes,
    /// Whether a leg of a bundle may call a contract of another rollup and use what it returns.
    #[serde(default)]
    pub synchronous_calls: bool,
    /// Its rollups are suspended when content that old, in heights, is not covered by an attestation that was ordered.
    #[serde(default = "attestation_lag_max")]
    pub attestation_lag_max: u64,
}

const fn by_height() -> BlockTimes {
    BlockTimes::Height
}

const fn attestation_lag_max() -> u64 {
    1_024
}

impl DomainFile {
    /// A domain with the rules that it has if none are written.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self { id, blocks: by_height(), synchronous_calls: false, attestation_lag_max: attestation_lag_max() }
    }

    fn check(&self, name: &str, retention_heights: u64) -> Result<GenesisDomain, GenesisError> {
        let Self { id, blocks, synchronous_calls, attestation_lag_max } = *self;
        if !(16..=ATTESTATION_LAG_HEIGHTS_MAX).contains(&attestation_lag_max) {
            let problem = format!("is {attestation_lag_max}; it must be 16 to {ATTESTATION_LAG_HEIGHTS_MAX}");
            return Err(field(format!("{name}.attestation_lag_max"), problem));
        }
        if attestation_lag_max >= retention_heights {
            let problem = format!(
                "is {attestation_lag_max}; it must be below parameters.retention_heights, {retention_heights}: what waits to be \
                 attested has to be kept"
            );
            return Err(field(format!("{name}.attestation_lag_max"), problem));
        }
        if synchronous_calls && blocks == BlockTimes::Second {
            let problem = "must be false where blocks = \"second\": those are for execution clients that cannot make such \
                           calls";
            return Err(field(format!("{name}.synchronous_calls"), problem));
        }
        Ok(GenesisDomain { id: DomainId(id), blocks, synchronous_calls, attestation_lag_max })
    }
}

/// The domains that rollups are in, by id, with the rules that are written or those that need not be.
pub(super) fn checked(
    files: &[DomainFile],
    rollups: &[GenesisRollup],
    retention_heights: u64,
) -> Result<List<GenesisDomain, DOMAINS_MAX>, GenesisError> {
    let mut members: BTreeMap<DomainId, usize> = BTreeMap::new();
    for execution in rollups.iter().filter_map(|rollup| rollup.execution) {
        let count = members.entry(execution.domain).or_default();
        *count += 1;
        if *count > DOMAIN_ROLLUPS_MAX {
            let domain = execution.domain;
            let problem = format!(
                "put more than {DOMAIN_ROLLUPS_MAX} into domain {domain}; every node of a domain runs all of it"
            );
            return Err(field("rollups", problem));
        }
    }
    let mut rules: BTreeMap<DomainId, GenesisDomain> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let (name, id) = (format!("domains[{index}]"), DomainId(file.id));
        if !members.contains_key(&id) {
            return Err(field(format!("{name}.id"), format!("is {id}, and no rollup is in that domain")));
        }
        if rules.insert(id, file.check(&name, retention_heights)?).is_some() {
            return Err(field(format!("{name}.id"), format!("is {id} again; every domain has one row")));
        }
    }
    let row = |id: &DomainId| match rules.get(id) {
        Some(rules) => Ok(*rules),
        None => DomainFile::new(id.0).check("domains", retention_heights),
    };
    let rows = members.keys().map(row).collect::<Result<Vec<_>, _>>()?;
    List::new(rows).map_err(|long| field("rollups", format!("are in too many domains: {long}")))
}

/// The domains that a validator executes, by id.
pub(super) fn opted_in(
    name: &str,
    domains: &[u64],
    known: &[GenesisDomain],
) -> Result<List<DomainId, DOMAINS_MAX>, GenesisError> {
    let name = format!("{name}.domains");
    let rising: BTreeSet<DomainId> = domains.iter().map(|id| DomainId(*id)).collect();
    if rising.len() != domains.len() {
        return Err(field(name, "name a domain twice"));
    }
    if let Some(id) = rising.iter().find(|id| known.iter().all(|domain| domain.id != **id)) {
        return Err(field(name, format!("name {id}, and no rollup is in that domain")));
    }
    List::new(rising.into_iter().collect()).map_err(|long| field(name, long.to_string()))
}

/// Checks that a domain is attested by nobody ever, or at all times by so much of the stake that a quorum of it has more than
/// a third of all: then one of that quorum is honest, as long as less than a third of the stake is not.
pub(super) fn check_attested(domains: &[GenesisDomain], epochs: &[GenesisEpoch]) -> Result<(), GenesisError> {
    let names = |validator: &GenesisValidator, id| validator.domains.contains(&id);
    for GenesisDomain { id, .. } in domains {
        if !epochs.iter().flat_map(|row| row.validators.iter()).any(|validator| names(validator, *id)) {
            continue;
        }
        for row in epochs {
            let validators = set(row).map_err(|error| GenesisError::Validators { epoch: row.from, error })?;
            let (weight, quorum, least) = (validators.total_of(*id), validators.quorum_of(*id), validators.honest());
            if weight == 0 || quorum < least {
                let (total, from) = (validators.total(), row.from);
                let problem = format!(
                    "of epoch {from} that execute domain {id} have weight {weight} of {total}, and a quorum of them {quorum}: \
                     {least} is what one honest validator is sure to be in. Let more of them name it in `domains`, or none"
                );
                return Err(field("validators", problem));
            }
        }
    }
    Ok(())
}
