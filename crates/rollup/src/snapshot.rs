//! Snapshots of a domain: a node begins from one instead of executing everything from the first height.
//!
//! A snapshot is of the last attested height. Whoever reads one trusts the genesis alone: the proof leads from there to what
//! validators attested, that names the last blocks and the bindings that nobody can have again, and the blocks name all the
//! state. So it does not matter who made it and who handed it on. What nothing can tell is how old it is.
//!
//! # Format
//!
//! Integers are big-endian. Sections come in this order, each with its number before it, and rows in the order of their keys.
//!
//! ```text
//! "CHORALESNAPSHOT" | version (u8 = 1)
//! 1  whose       chain (32) | domain (u64) | count (u8) | per rollup: id (u64), hash of block 0 (32)
//! 2  proof       length (u32) | a proof file: hand-overs, and the first rollup's last block under the attested outcome
//! 3  executed    length (u32) | what the height became: the outcome, last blocks, bundles
//! 4  bindings    count (u64) | each: last height at which it could be ordered (u64), binding (32)
//! per rollup:
//! 5  blocks      rollup (u64) | count (u64) | the last ones, each: length (u32), header, length (u32), body
//! 6  accounts    rollup (u64) | count (u64) | each: address (20), nonce (u64), balance (32), hash of the code (32)
//! 7  slots       rollup (u64) | count (u64) | each: address (20), slot (32), value (32), which is not zero
//! 8  codes       rollup (u64) | count (u64) | each: length (u32), code, by hash
//! 9  hashes      rollup (u64) | count (u64) | each: number (u64), hash (32), of the last 256 blocks before the last one
//! 10 end         Keccak-256 of everything before this section's number (32)
//! ```
//!
//! Proof and executed are in the canonical encoding of the chain. A header is RLP; so is a body: transactions with their
//! senders, receipts without blooms, and requests.
//!
//! | section | what it is checked against |
//! | --- | --- |
//! | whose | the genesis |
//! | proof | the validators of the genesis, hand-over by hand-over |
//! | executed | the proof's outcome: its roots over blocks and bundles |
//! | bindings | the outcome's root over them |
//! | blocks | the hash of the last one, which the outcome names; parent by parent; roots of what is in them; signatures |
//! | accounts, slots, codes | the state root of the last block |
//! | hashes | the contract that has them as well (EIP-2935), which is part of the state |
//! | end | everything: damage is told also where it would make no difference |
//!
//! # Limits
//!
//! A reader holds the state of one rollup in memory, besides what it is reading. States of earlier blocks, old blocks and
//! what became of old bundles are not in a snapshot; a node that began from one answers as if they had been pruned.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use crate::{
    attested::{self, Disagreement},
    run::{Config, RollupError, domain},
    store::{Identity, Store, StoreError, identity},
    trust::{Trust, Untrusted},
};
use chorale_client::Nodes;
use chorale_light::{ExecutionClaim, ExecutionProof, HandOver, Light, LightError, Proof, ProofFile, ProofFileError};
use chorale_types::{Attestation, DomainId, Epoch, ExecutedHeight, Genesis, Height, RollupId, codec::List};
use std::{
    fmt,
    fs::{self, File},
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    time::Duration,
};

const MAGIC: [u8; 15] = *b"CHORALESNAPSHOT";
const VERSION: u8 = 1;
/// How long a node that is asked for hand-overs may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The magic and the version.
    Beginning,
    /// Chain, domain and rollups.
    Whose,
    /// What leads from the genesis to the outcome.
    Proof,
    /// What the attested height became.
    Executed,
    /// Bindings that nobody can have again.
    Bindings,
    /// The last blocks of a rollup.
    Blocks(RollupId),
    /// The accounts of a rollup.
    Accounts(RollupId),
    /// The storage of a rollup.
    Slots(RollupId),
    /// The code of a rollup.
    Codes(RollupId),
    /// What `BLOCKHASH` answers on a rollup.
    Hashes(RollupId),
    /// The checksum.
    End,
}

impl Section {
    /// The number before it, and the rollup that it is of.
    const fn number(self) -> (u8, Option<RollupId>) {
        match self {
            Self::Beginning => (0, None),
            Self::Whose => (1, None),
            Self::Proof => (2, None),
            Self::Executed => (3, None),
            Self::Bindings => (4, None),
            Self::Blocks(rollup) => (5, Some(rollup)),
            Self::Accounts(rollup) => (6, Some(rollup)),
            Self::Slots(rollup) => (7, Some(rollup)),
            Self::Codes(rollup) => (8, Some(rollup)),
            Self::Hashes(rollup) => (9, Some(rollup)),
            Self::End => (10, None),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Beginning => "the beginning",
            Self::Whose => "whose it is",
            Self::Proof => "the proof",
            Self::Executed => "what the height became",
            Self::Bindings => "the bindings of bundles",
            Self::Blocks(_) => "the last blocks",
            Self::Accounts(_) => "the accounts",
            Self::Slots(_) => "the storage",
            Self::Codes(_) => "the code",
            Self::Hashes(_) => "the hashes of blocks",
            Self::End => "the end",
        };
        f.write_str(name)?;
        self.number().1.map_or(Ok(()), |rollup| write!(f, " of rollup {rollup}"))
    }
}

/// Why a snapshot is not made or taken. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The configuration does not fit the chain.
    #[error(transparent)]
    Config(#[from] Box<RollupError>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This node and the validators disagreed.
    #[error(transparent)]
    Disagreement(#[from] Box<Disagreement>),
    /// The file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// It would replace one.
    #[error("{0} is there already: name another file, or move it away")]
    Exists(PathBuf),
    /// There is nothing to make one of.
    #[error("{0} has no data of a node: name the folder of one that has run and was stopped, with `data` or --data")]
    NoData(PathBuf),
    /// Nobody vouches for anything.
    #[error(
        "nothing of domain {0} is attested here, and nobody could believe a snapshot of what is not: let the node run until \
         `finalized` moves. If no validator executes the domain (`domains` in the chain's genesis), there are no snapshots of it"
    )]
    NothingAttested(DomainId),
    /// States do not go back so far.
    #[error(
        "the last attested height is {height}, with block {block} of rollup {rollup}, whose state is not kept any more: let \
         the node run until more is attested"
    )]
    TooFarBehind {
        /// The last attested height.
        height: Height,
        /// A rollup.
        rollup: RollupId,
        /// Its block.
        block: u64,
    },
    /// Nobody gives what leads to the epoch.
    #[error(
        "no node of `nodes` gives the hand-over of epoch {epoch}, without which nobody can check the snapshot: start one that \
         has it, and try again{}", .last.as_ref().map_or_else(String::new, |last| format!(" (the last one gave a wrong one: {last})"))
    )]
    HandOver {
        /// The epoch.
        epoch: Epoch,
        /// Why the last one that was given is not believed.
        last: Option<LightError>,
    },
    /// More epochs than a proof holds.
    #[error("from the genesis to epoch {0} there are more hand-overs than a proof file holds")]
    HandOvers(Epoch),
    /// What this node has is not proven by what others gave.
    #[error("what this node has of the last attested height does not follow from the genesis: {0}")]
    Unproven(Box<ProofFileError>),
    /// The folder is not empty.
    #[error(
        "{0} is not empty: a snapshot is taken into a folder of its own; name another with --data, or move this one away"
    )]
    NotEmpty(PathBuf),
    /// No snapshot, or one that ends too early.
    #[error("the snapshot ends within {0}: get all of it again")]
    Truncated(Section),
    /// Of another program.
    #[error(
        "a snapshot of version {found}, and this program reads {VERSION}: use the program that made it, or get another one"
    )]
    Version {
        /// Its version.
        found: u8,
    },
    /// Of others.
    #[error(
        "the snapshot is of {found}; this node is of {expected}. Get one of this domain, or name the right configuration"
    )]
    Other {
        /// Whose it is.
        found: Box<Identity>,
        /// Who this node is.
        expected: Box<Identity>,
    },
    /// The proof proves nothing.
    #[error(
        "the snapshot is not to be believed: its proof does not lead from this genesis to it: {0}. Get another one"
    )]
    Proof(Box<ProofFileError>),
    /// Something in it is not what was attested.
    #[error("the snapshot is not to be believed: {section}: {what}. Get another one")]
    Wrong {
        /// Where.
        section: Section,
        /// What is wrong.
        what: String,
    },
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> SnapshotError {
    move |error| SnapshotError::File { path: path.to_owned(), error }
}

/// Writes the domain as it is after the last attested height to a new file, from the data of a node that does not run.
/// Returns that height, and the bytes of the file.
///
/// # Errors
///
/// The node runs, nothing is attested, hand-overs are needed and no node of the sequencer gives them, or the disk fails.
pub async fn export(config: &Config, file: &Path) -> Result<(Height, u64), SnapshotError> {
    let genesis = domain(config).map_err(Box::new)?;
    if !Store::is_in(&config.data) {
        return Err(SnapshotError::NoData(config.data.clone()));
    }
    attested::check(&config.data).map_err(Box::new)?;
    let failed = file_error(file);
    if file.try_exists().map_err(&failed)? {
        return Err(SnapshotError::Exists(file.to_owned()));
    }
    let exported = Store::open(&config.data, &genesis, config.retain_blocks)?.export(&genesis)?;
    let hand_overs = hand_overs(config, exported.attestation.epoch).await?;
    let proof = ProofFile { hand_overs, proof: prove(&exported.executed, &exported.attestation) };
    proof.verify(&mut light(&config.genesis)).map_err(|error| SnapshotError::Unproven(Box::new(error)))?;
    let partial = file.with_added_extension("partial");
    let write = || -> io::Result<u64> {
        let mut out = BufWriter::new(File::create(&partial)?);
        let bytes = writer::write(&mut out, &identity(&genesis), &proof, &exported)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, file)?;
        Ok(bytes)
    };
    let bytes = write().map_err(failed)?;
    Ok((exported.executed.outcome.height, bytes))
}

/// Makes the data of a node from a snapshot, in a folder that is empty or not there yet. Returns the height that it is of.
///
/// # Errors
///
/// Whatever is wrong with the snapshot; then nothing was made. Or the disk fails.
pub fn import(config: &Config, file: &Path) -> Result<Height, SnapshotError> {
    let genesis = domain(config).map_err(Box::new)?;
    let failed = file_error(file);
    let input = BufReader::new(File::open(file).map_err(&failed)?);
    reader::import(input, &config.data, &genesis, &mut light(&config.genesis)).map_err(|error| match error {
        SnapshotError::File { error, .. } => failed(error),
        error => error,
    })
}

fn light(genesis: &Genesis) -> Light {
    Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights)
}

/// What leads from the genesis to an attested outcome.
fn prove(executed: &ExecutedHeight, attestation: &Attestation) -> Proof {
    let head = executed.prove_head(executed.heads[0].rollup).expect("it is one of the heads");
    let (outcome, attestation, claim) = (executed.outcome.clone(), attestation.clone(), ExecutionClaim::Head(head));
    Proof::Execution(ExecutionProof { outcome, attestation, claim })
}

/// The hand-overs from the genesis to an epoch: only who follows the order has them.
async fn hand_overs<const MAX: usize>(config: &Config, to: Epoch) -> Result<List<HandOver, MAX>, SnapshotError> {
    let nodes = Nodes::new(config.nodes.clone(), ANSWER_TIMEOUT).map_err(|error| Box::new(RollupError::from(error)))?;
    Trust::new(&config.genesis).hand_overs(&nodes, Epoch(0), to).await.map_err(|untrusted| match untrusted {
        Untrusted::Missing { epoch, last } => SnapshotError::HandOver { epoch, last },
        Untrusted::TooMany => SnapshotError::HandOvers(to),
    })
}
