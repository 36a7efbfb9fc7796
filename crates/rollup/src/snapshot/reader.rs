//! Reading a snapshot: nothing is believed before it is checked, and nothing has its name in the folder before all is.

use super::{MAGIC, Section, SnapshotError, VERSION};
use crate::{
    blocks::STATES_MAX,
    store::{BlockBytes, Identity, Importing, chain_after, digest, identity},
};
use alloy_primitives::{Address, B256, Bytes, Keccak256, U256, keccak256};
use chorale_evm::{Account, BLOCK_HASHES_MAX, Block, Chain, Domain, State, burnt_root};
use chorale_light::{Light, Proof, ProofFile, Verified};
use chorale_types::{
    Attestation, ChainId, Digest, DomainId, ExecutedHeight, ExecutionOutcome, Height, RollupHead, RollupId,
    codec::decode, limits::DOMAIN_ROLLUPS_MAX,
};
use std::{
    cell::{Cell, RefCell},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Of a proof file with 4096 hand-overs between 1024 validators that all change; nobody has one.
const PROOF_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Of what a height became: as many bundles as there can be.
const EXECUTED_BYTES_MAX: u32 = 512 * 1024 * 1024;
/// Of a header, a body or a code: all that a height brings a rollup is less.
const LONG_BYTES_MAX: u32 = 64 * 1024 * 1024;

fn wrong(section: Section, what: impl Into<String>) -> SnapshotError {
    SnapshotError::Wrong { section, what: what.into() }
}

/// Hashes what is read, and knows where that is.
struct Source<R> {
    input: R,
    hash: Keccak256,
    section: Section,
}

impl<R: Read> Source<R> {
    fn failed(&self, error: io::Error) -> SnapshotError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => SnapshotError::Truncated(self.section),
            _ => SnapshotError::File { path: PathBuf::new(), error },
        }
    }

    fn wrong(&self, what: impl Into<String>) -> SnapshotError {
        wrong(self.section, what)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Bytes with their length before them. Memory is taken as they come: a length alone takes none.
    fn long(&mut self, max: u32) -> Result<Vec<u8>, SnapshotError> {
        let length = u32::from_be_bytes(self.array()?);
        if length > max {
            return Err(self.wrong(format!("something of {length} bytes, where {max} are the most")));
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(length.into()).read_to_end(&mut bytes).map_err(|error| self.failed(error))?;
        if bytes.len() as u64 != u64::from(length) {
            return Err(SnapshotError::Truncated(self.section));
        }
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn begin(&mut self, section: Section) -> Result<(), SnapshotError> {
        self.section = section;
        let (number, rollup) = section.number();
        let [found] = self.array()?;
        if found != number {
            return Err(self.wrong(format!("section {found} is where section {number} should be")));
        }
        if let Some(RollupId(rollup)) = rollup {
            let found = self.number()?;
            if found != rollup {
                return Err(self.wrong(format!("it is of rollup {found}")));
            }
        }
        Ok(())
    }

    /// How many rows follow; of those that are few, that they are.
    fn count(&mut self, max: u64) -> Result<u64, SnapshotError> {
        let count = self.number()?;
        if count > max {
            return Err(self.wrong(format!("{count} of them, where {max} are the most")));
        }
        Ok(count)
    }
}

/// Checks all of a snapshot, and makes the data of a node in a folder from it.
pub(super) fn import(
    input: impl Read,
    folder: &Path,
    genesis: &Domain,
    light: &mut Light,
) -> Result<Height, SnapshotError> {
    let mut source = Source { input, hash: Keccak256::new(), section: Section::Beginning };
    if source.array()? != MAGIC {
        return Err(source.wrong("it is no snapshot: it does not begin with CHORALESNAPSHOT"));
    }
    let [found] = source.array()?;
    if found != VERSION {
        return Err(SnapshotError::Version { found });
    }
    let (found, expected) = (read_identity(&mut source)?, identity(genesis));
    if found != expected {
        return Err(SnapshotError::Other { found: Box::new(found), expected: Box::new(expected) });
    }
    let (outcome, attestation) = read_proof(&mut source, genesis, light)?;
    let executed = read_executed(&mut source, genesis, &outcome)?;
    let burnt = read_bindings(&mut source, genesis.complete_at(outcome.height), &outcome.burnt)?;
    let importing = Importing::begin(folder, genesis)?;
    for (head, begun) in executed.heads.iter().zip(genesis.chains().values()) {
        let blocks = read_blocks(&mut source, head, begun.head().hash())?;
        let last = blocks.last().expect("there is one that is the head");
        let chain = read_state(&mut source, head.rollup, begun, last)?;
        importing.write(head.rollup, &blocks, chain.state())?;
    }
    read_end(&mut source)?;
    importing.finish(&executed, &attestation, &burnt)?;
    Ok(outcome.height)
}

fn read_identity(source: &mut Source<impl Read>) -> Result<Identity, SnapshotError> {
    source.begin(Section::Whose)?;
    let (chain, domain) = (ChainId(source.array::<32>()?.into()), DomainId(source.number()?));
    let [count] = source.array()?;
    if usize::from(count) > DOMAIN_ROLLUPS_MAX {
        return Err(source.wrong(format!("{count} rollups, where a domain has at most {DOMAIN_ROLLUPS_MAX}")));
    }
    let mut rollups = Vec::new();
    for _ in 0..count {
        rollups.push((RollupId(source.number()?), B256::new(source.array()?)));
    }
    Ok(Identity { chain, domain, rollups })
}

fn read_proof(
    source: &mut Source<impl Read>,
    genesis: &Domain,
    light: &mut Light,
) -> Result<(ExecutionOutcome, Attestation), SnapshotError> {
    source.begin(Section::Proof)?;
    let proof = ProofFile::read_file(source.long(PROOF_BYTES_MAX)?);
    let proof = proof.and_then(|proof| proof.verify(light).map(|verified| (verified, proof.proof)));
    let (verified, proof) = proof.map_err(|error| SnapshotError::Proof(Box::new(error)))?;
    let (Verified::Execution(_, executed), Proof::Execution(proof)) = (verified, proof) else {
        return Err(source.wrong("it is about the order, and not about what executed rollups became"));
    };
    let outcome = executed.outcome().clone();
    if outcome.domain != genesis.id() {
        return Err(source.wrong(format!("it is of domain {}, and this is domain {}", outcome.domain, genesis.id())));
    }
    Ok((outcome, proof.attestation))
}

fn read_executed(
    source: &mut Source<impl Read>,
    genesis: &Domain,
    outcome: &ExecutionOutcome,
) -> Result<ExecutedHeight, SnapshotError> {
    source.begin(Section::Executed)?;
    let executed: ExecutedHeight =
        decode(source.long(EXECUTED_BYTES_MAX)?).map_err(|error| source.wrong(error.to_string()))?;
    let holds = executed.outcome == *outcome
        && ExecutionOutcome::rollups_root(&executed.heads) == outcome.rollups
        && ExecutionOutcome::bundles_root(&executed.bundles) == outcome.bundles
        && executed.heads.iter().map(|head| &head.rollup).eq(genesis.chains().keys());
    if holds { Ok(executed) } else { Err(source.wrong("it is not what was attested")) }
}

fn read_bindings(
    source: &mut Source<impl Read>,
    complete: Height,
    expected: &Digest,
) -> Result<Vec<(Height, Digest)>, SnapshotError> {
    source.begin(Section::Bindings)?;
    let mut burnt: Vec<(Height, Digest)> = Vec::new();
    for _ in 0..source.number()? {
        let row = (Height(source.number()?), source.array::<32>()?.into());
        if row.0 <= complete || burnt.last().is_some_and(|last| *last >= row) {
            return Err(source.wrong("they do not rise, or one of them is over"));
        }
        burnt.push(row);
    }
    let found = burnt_root(burnt.iter().copied());
    if found == *expected {
        return Ok(burnt);
    }
    Err(source.wrong(format!("their root is {found}, and {expected} is attested")))
}

fn read_blocks(source: &mut Source<impl Read>, head: &RollupHead, genesis: B256) -> Result<Vec<Block>, SnapshotError> {
    source.begin(Section::Blocks(head.rollup))?;
    let mut blocks: Vec<Block> = Vec::new();
    for _ in 0..source.count(STATES_MAX as u64)? {
        let block = BlockBytes { header: source.long(LONG_BYTES_MAX)?, body: source.long(LONG_BYTES_MAX)? };
        let block = block.open(head.rollup, blocks.last(), genesis).map_err(|what| source.wrong(what))?;
        blocks.push(block);
    }
    let is_head = |last: &Block| {
        let header = &last.header;
        (header.number, digest(header.hash()), digest(header.state_root)) == (head.number, head.block, head.state)
    };
    if blocks.last().is_some_and(is_head) {
        return Ok(blocks);
    }
    Err(source
        .wrong(format!("the last one is not block {} with the hash {}, which is attested", head.number, head.block)))
}

/// Rows of a section, which a state is made of while they are read.
struct Rows<'a, 's, R, K, T, F> {
    source: &'a RefCell<&'s mut Source<R>>,
    failed: &'a Cell<Option<SnapshotError>>,
    section: Section,
    max: u64,
    /// How many are left; none before the first one is asked for.
    left: Option<u64>,
    last: Option<K>,
    read: F,
    row: std::marker::PhantomData<T>,
}

impl<R: Read, K: Ord + Copy, T, F: Fn(&mut Source<R>) -> Result<(K, T), SnapshotError>> Rows<'_, '_, R, K, T, F> {
    fn try_next(&mut self) -> Result<Option<T>, SnapshotError> {
        let mut source = self.source.borrow_mut();
        let left = match self.left {
            Some(left) => left,
            None => {
                source.begin(self.section)?;
                source.count(self.max)?
            }
        };
        self.left = left.checked_sub(1);
        if self.left.is_none() {
            self.left = Some(0);
            return Ok(None);
        }
        let (key, row) = (self.read)(&mut source)?;
        if self.last.replace(key).is_some_and(|last| last >= key) {
            return Err(source.wrong("they do not rise"));
        }
        Ok(Some(row))
    }
}

impl<R: Read, K: Ord + Copy, T, F: Fn(&mut Source<R>) -> Result<(K, T), SnapshotError>> Iterator
    for Rows<'_, '_, R, K, T, F>
{
    type Item = T;

    /// After an error there is no row any more, of no section.
    fn next(&mut self) -> Option<T> {
        let before = self.failed.take();
        let row = if before.is_some() { Ok(None) } else { self.try_next() };
        self.failed.set(before);
        row.unwrap_or_else(|error| {
            self.failed.set(Some(error));
            None
        })
    }
}

fn read_state(
    source: &mut Source<impl Read>,
    rollup: RollupId,
    begun: &Chain,
    last: &Block,
) -> Result<Chain, SnapshotError> {
    let (codes_given, failed, source) = (Cell::new(0), Cell::new(None), RefCell::new(source));
    let accounts = rows(&source, &failed, Section::Accounts(rollup), u64::MAX, |source| {
        let address = Address::new(source.array()?);
        let (nonce, balance) = (source.number()?, U256::from_be_bytes(source.array::<32>()?));
        Ok((address, (address, Account { nonce, balance, code_hash: B256::new(source.array()?) })))
    });
    let slots = rows(&source, &failed, Section::Slots(rollup), u64::MAX, |source| {
        let (address, slot) = (Address::new(source.array()?), U256::from_be_bytes(source.array::<32>()?));
        let value = U256::from_be_bytes(source.array::<32>()?);
        if value.is_zero() {
            return Err(source.wrong(format!("slot {slot} of {address} is zero")));
        }
        Ok(((address, slot), (address, slot, value)))
    });
    let codes = rows(&source, &failed, Section::Codes(rollup), u64::MAX, |source| {
        let code = Bytes::from(source.long(LONG_BYTES_MAX)?);
        codes_given.set(codes_given.get() + 1);
        Ok((keccak256(&code), code))
    });
    let hashes = rows(&source, &failed, Section::Hashes(rollup), BLOCK_HASHES_MAX, |source| {
        let number = source.number()?;
        Ok((number, (number, B256::new(source.array()?))))
    });
    let state = State::from_parts(accounts, slots, codes, hashes);
    if let Some(error) = failed.take() {
        return Err(error);
    }
    let source = source.into_inner();
    let state = state.map_err(|error| source.wrong(error.to_string()))?;
    if state.codes().count() != codes_given.get() {
        return Err(wrong(Section::Codes(rollup), "there is code that no account has"));
    }
    let chain = chain_after(begun.rules().clone(), state, last);
    chain.map_err(|(is_root, what)| {
        // Which of its rows is wrong, a root does not tell.
        wrong(if is_root { Section::Accounts(rollup) } else { Section::Hashes(rollup) }, what)
    })
}

fn rows<'a, 's, R, K, T, F>(
    source: &'a RefCell<&'s mut Source<R>>,
    failed: &'a Cell<Option<SnapshotError>>,
    section: Section,
    max: u64,
    read: F,
) -> Rows<'a, 's, R, K, T, F>
where
    F: Fn(&mut Source<R>) -> Result<(K, T), SnapshotError>,
{
    Rows { source, failed, section, max, left: None, last: None, read, row: std::marker::PhantomData }
}

fn read_end(source: &mut Source<impl Read>) -> Result<(), SnapshotError> {
    let expected = source.hash.clone().finalize();
    source.begin(Section::End)?;
    if source.array::<32>()? != expected {
        return Err(source.wrong("its checksum is that of other bytes: it was damaged on its way"));
    }
    match source.input.read(&mut [0]).map_err(|error| source.failed(error))? {
        0 => Ok(()),
        _ => Err(source.wrong("bytes follow it")),
    }
}
