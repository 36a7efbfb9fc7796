//! Settlement: from revealed payloads to lanes and outcomes, in the order of heights, kept for those who ask.
//!
//! The rules are those of [`chorale_ledger`]. This actor decodes payloads against their manifests, settles one height
//! after the other, keeps a [`Record`] of each for `retention_heights`, and answers questions about them.
//!
//! # Durability
//!
//! Settlement is a function of what reveal has on disk, so nothing of it has to be durable before anything else is done.
//! A record on disk is without the data of transactions, which is in the [payloads](crate::store::PayloadStore) already.
//! Every [`Config::snapshot_heights`] heights the records and payloads are synced and then a snapshot of the ledger is
//! written, the ids of its window once a height and only the rest each time. After a restart, [`Actor::restart`] is the
//! height of the snapshot, reveal hands on everything after it again, and the same records come out. What was signed is
//! compared: see [`attestation`](crate::attestation).
//!
//! # Who follows
//!
//! [`Mailbox::settled`] says how far it is; whoever needs every height ([the pool](crate::proposer::Pool), attestation,
//! subscribers of the gateway) asks for [`Mailbox::record`] from its own last height on. The last heights are answered from
//! memory, without the actor. So settlement waits for nobody.

mod actor;
mod archive;
mod index;
mod queries;
mod recent;
mod record;
mod stored;
#[cfg(test)]
pub(crate) mod tests;

pub use actor::{Actor, Connections, Stopped};
pub use queries::{Found, LaneAnswer, Mailbox, ProofAnswer, RegistryAnswer, Standings, Unavailable, Where};
pub use record::Record;
pub use stored::Damaged;

use chorale_ledger::SkipReason;
use chorale_types::{Attestation, Bls, Digest, Genesis, Header, Height};
use std::sync::Arc;

/// The digest of the next validators, if a header closes its epoch.
pub type NextValidators = Arc<dyn Fn(&Header) -> Option<Digest> + Send + Sync>;

/// Whether an attestation of executed rollups holds, by the validators of its epoch.
pub type Attests = Arc<dyn Fn(&Attestation) -> bool + Send + Sync>;

/// What the actor is told once.
#[derive(Clone)]
pub struct Config {
    /// The parameters of the chain.
    pub ledger: chorale_ledger::Config,
    /// Who validates after the epoch of a closing header.
    pub next_validators: NextValidators,
    /// What attestations hold.
    pub attests: Attests,
    /// Heights whose records are kept.
    pub retention_heights: u64,
    /// Heights between snapshots of the ledger; below the heights whose payloads reveal keeps.
    pub snapshot_heights: u64,
    /// Bytes of records that are kept in memory at most, so that those who follow closely do not read the disk.
    pub recent_bytes_max: usize,
    /// Transactions by whose id the height can be found, at most; 8 bytes of memory each.
    pub index_ids_max: usize,
    /// What the names of its files begin with.
    pub partition: String,
}

impl Config {
    /// Settings that fit a chain; files are named after `partition`.
    #[must_use]
    pub fn new(genesis: &Genesis, partition: &str) -> Self {
        let parameters = genesis.parameters();
        Self {
            ledger: genesis.into(),
            next_validators: next_validators(genesis.clone()),
            attests: attests(genesis.clone()),
            retention_heights: parameters.retention_heights,
            snapshot_heights: (parameters.retention_heights / 2).clamp(1, 64),
            recent_bytes_max: 16 * 1024 * 1024,
            // 32 MiB.
            index_ids_max: 4 * 1024 * 1024,
            partition: partition.to_owned(),
        }
    }
}

/// The next validators by the genesis, which fixes those of all epochs.
#[must_use]
pub fn next_validators(genesis: Genesis) -> NextValidators {
    Arc::new(move |header: &Header| {
        let start = chorale_types::EpochInfo::start_block(header.height, header.id());
        // All epochs have the same number of heights, so the closing height of this one follows from its number.
        let closing = header.epoch.0.checked_add(1)?.checked_mul(genesis.parameters().epoch_heights)?;
        (header.height == Height(closing)).then(|| genesis.epoch(header.epoch.next(), start).validators.digest())
    })
}

/// What attestations hold by the genesis, which fixes the validators of all epochs.
#[must_use]
pub fn attests(genesis: Genesis) -> Attests {
    Arc::new(move |attestation: &Attestation| {
        attestation.verify(&Bls::verifier(), &genesis.attesting(attestation.epoch)).is_ok()
    })
}

/// What became of a unit that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the lanes of its rollups.
    Included,
    /// It is without effect.
    Skipped(SkipReason),
}
