//! Snapshots of random stories: made, taken, tampered with.

use super::{Section, SnapshotError, prove, reader, writer};
use crate::{
    record::Executed,
    store::{
        Exported, Store, identity,
        story::{self, Story, domain},
    },
};
use alloy_primitives::keccak256;
use chorale_evm::{BlockTimes, Content, Domain, InTurn, Known};
use chorale_light::{HandOver, Light, ProofFile};
use chorale_types::{
    Attestation, BlockId, Bls, ChainId, ConsensusSecret, DomainId, Epoch, EpochInfo, ExecutionOutcome, Height, NodeKey,
    Outcome, RollupId, Scheme, Signers, Statement, Validator, ValidatorIndex, ValidatorSet,
    codec::{Encode as _, List},
    tagged_hash,
};
use proptest::prelude::*;
use std::path::Path;

/// Heights of the first epoch.
const EPOCH_HEIGHTS: u64 = 12;

fn secret(epoch: u64) -> ConsensusSecret {
    ConsensusSecret::from_seed([u8::try_from(epoch + 1).unwrap(); 32])
}

/// One validator, another one in every epoch, who executes the domain.
fn validators(epoch: u64) -> ValidatorSet {
    let validator = Validator::new(NodeKey([7; 32]), secret(epoch).public(), 1);
    ValidatorSet::new(vec![Validator { domains: List::new(vec![DomainId(1)]).unwrap(), ..validator }]).unwrap()
}

fn light(chain: ChainId) -> Light {
    let first = EpochInfo {
        chain,
        epoch: Epoch(0),
        validators: validators(0),
        start: EpochInfo::start_block(Height(0), BlockId(tagged_hash("test/genesis", &[]))),
        closing: Height(EPOCH_HEIGHTS),
    };
    Light::new(first, EPOCH_HEIGHTS)
}

const fn epoch_of(height: Height) -> Epoch {
    Epoch((height.0 - 1) / EPOCH_HEIGHTS)
}

fn attest(chain: ChainId, statement: Statement) -> Attestation {
    let Statement::Outcome { domain, height, root } = statement else { unreachable!("outcomes are attested") };
    let epoch = epoch_of(height);
    let signature = Bls::signer(secret(epoch.0)).sign(chain, epoch, &statement);
    let signature = Bls::verifier().aggregate(&[signature]).unwrap();
    Attestation { domain, epoch, height, root, signers: Signers::of(1, [ValidatorIndex(0)]), signature }
}

fn attest_execution(outcome: &ExecutionOutcome) -> Attestation {
    attest(outcome.chain, outcome.statement())
}

fn hand_over(chain: ChainId, epoch: u64) -> HandOver {
    let height = (epoch + 1) * EPOCH_HEIGHTS;
    let outcome = Outcome {
        epoch: Epoch(epoch),
        next_validators: Some(validators(epoch + 1).digest()),
        ..story::outcome(chain, height)
    };
    let attestation = attest(chain, outcome.statement());
    HandOver { outcome, attestation, next: Some(validators(epoch + 1)) }
}

fn proof_of(exported: &Exported) -> ProofFile {
    let Exported { executed, attestation, .. } = exported;
    let hand_overs = (0..attestation.epoch.0).map(|epoch| hand_over(executed.outcome.chain, epoch)).collect();
    ProofFile { hand_overs: List::new(hand_overs).unwrap(), proof: prove(executed, attestation) }
}

fn bytes_of(genesis: &Domain, proof: &ProofFile, exported: &Exported) -> Vec<u8> {
    let mut bytes = Vec::new();
    let counted = writer::write(&mut bytes, &identity(genesis), proof, exported).unwrap();
    assert_eq!(counted, bytes.len() as u64);
    bytes
}

fn take(bytes: &[u8], folder: &Path, genesis: &Domain) -> Result<Height, SnapshotError> {
    reader::import(bytes, folder, genesis, &mut light(genesis.chain_id()))
}

/// A node with some heights, of which some are attested.
struct Node {
    folder: tempfile::TempDir,
    store: Store,
    genesis: Domain,
    going: Domain,
    story: Story,
}

impl Node {
    fn new(seed: u64, attested: usize, later: usize) -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), domain("ours"));
        let store = Store::open(folder.path(), &genesis, None).unwrap();
        let mut node = Self { folder, store, going: genesis.clone(), genesis, story: Story::new(seed) };
        for index in 0..attested + later {
            let executed = node.next();
            if index < attested {
                node.store.take_attested(&[attest_execution(&executed.derived.outcome)]).unwrap();
            }
        }
        node
    }

    fn next(&mut self) -> Executed {
        let ordered = self.story.next(&self.going);
        let derived = ordered.derive(&mut self.going);
        let executed = Executed::new(&self.going, derived, &ordered.lanes, &ordered.bundles);
        self.store.write(std::slice::from_ref(&executed)).unwrap();
        executed
    }

    fn export(&self) -> Exported {
        self.store.export(&self.genesis).unwrap()
    }

    fn snapshot(&self) -> Vec<u8> {
        let exported = self.export();
        bytes_of(&self.genesis, &proof_of(&exported), &exported)
    }
}

/// The error of a snapshot that must not be taken: and then nothing is in the folder.
fn refused(bytes: &[u8]) -> SnapshotError {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let error = take(bytes, &data, &domain("ours")).unwrap_err();
    assert!(!data.exists() || data.read_dir().unwrap().next().is_none(), "{error}: something is left");
    error
}

/// The same with a checksum that holds, as whoever wants to be believed would make it.
fn sealed_anew(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 33;
    let checksum = keccak256(&bytes[..end]);
    bytes[end + 1..].copy_from_slice(checksum.as_slice());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn a_node_that_began_from_a_snapshot_goes_on_as_one_that_executed_everything(
        seed: u64,
        attested in 1usize..24,
        later in 0usize..16,
    ) {
        let mut node = Node::new(seed, attested, 0);
        let (heads, height) = (node.going.heads(), node.going.height());
        let mut missed = Vec::new();
        for _ in 0..later {
            let ordered = node.story.next(&node.going);
            let derived = ordered.derive(&mut node.going);
            missed.push((ordered.clone(), derived.outcome.clone()));
            node.store.write(&[Executed::new(&node.going, derived, &ordered.lanes, &ordered.bundles)]).unwrap();
        }
        let snapshot = node.snapshot();
        let folder = tempfile::tempdir().unwrap();
        prop_assert_eq!(take(&snapshot, folder.path(), &node.genesis).unwrap(), height);
        let store = Store::open(folder.path(), &node.genesis, None).unwrap();
        let again = store.export(&node.genesis).unwrap();
        prop_assert_eq!(bytes_of(&node.genesis, &proof_of(&again), &again), snapshot, "it is the same again");
        let restored = store.restore(&node.genesis).unwrap();
        prop_assert_eq!(restored.attested, store.executed(height).unwrap());
        let mut other = restored.domain;
        prop_assert_eq!((other.height(), other.heads()), (height, heads));
        for (ordered, outcome) in missed {
            let derived = ordered.derive(&mut other);
            prop_assert_eq!(&derived.outcome, &outcome);
            store.write(&[Executed::new(&other, derived, &ordered.lanes, &ordered.bundles)]).unwrap();
        }
        for _ in 0..8 {
            let ordered = node.story.next(&node.going);
            let (here, there) = (ordered.derive(&mut node.going), ordered.derive(&mut other));
            prop_assert_eq!((here.outcome, here.bundles), (there.outcome.clone(), there.bundles.clone()));
            store.write(&[Executed::new(&other, there, &ordered.lanes, &ordered.bundles)]).unwrap();
        }
        drop(store);
        let again = Store::open(folder.path(), &node.genesis, None).unwrap().restore(&node.genesis).unwrap();
        prop_assert_eq!(again.domain.heads(), node.going.heads());
    }
}

/// The height that closes a second is part of the next one: bindings that end there are still of use.
#[test]
fn a_domain_by_the_second_goes_on_from_a_snapshot_as_well() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = domain("ours").with_blocks(BlockTimes::Second);
    let store = Store::open(folders[0].path(), &genesis, None).unwrap();
    let (mut going, mut story) = (genesis.clone(), Story::new(3));
    let mut next = |going: &mut Domain, other: Option<&mut Domain>| {
        let ordered = loop {
            let ordered = story.next(going);
            if ordered.outcome.height > going.complete() {
                break ordered;
            }
        };
        let closing = story::outcome(going.chain_id(), ordered.outcome.height.0 + 2);
        let content = Content { outcome: &ordered.outcome, lanes: &ordered.lanes, bundles: &ordered.bundles };
        let derive = |domain: &mut Domain| {
            let contents = std::slice::from_ref(&content);
            domain.derive_second(contents, &closing, &Known::default(), &InTurn).unwrap()
        };
        let derived = derive(going);
        if let Some(there) = other.map(derive) {
            assert_eq!((&there.outcome, &there.bundles), (&derived.outcome, &derived.bundles));
        }
        Executed::new(going, derived, &ordered.lanes, &ordered.bundles)
    };
    for index in 0..16 {
        let executed = next(&mut going, None);
        store.write(std::slice::from_ref(&executed)).unwrap();
        if index < 13 {
            store.take_attested(&[attest_execution(&executed.derived.outcome)]).unwrap();
        }
    }
    let exported = store.export(&genesis).unwrap();
    let snapshot = bytes_of(&genesis, &proof_of(&exported), &exported);
    let height = take(&snapshot, folders[1].path(), &genesis).unwrap();
    assert_eq!(
        (Some(height), height < going.height()),
        (store.last_attested().unwrap().map(|it| it.outcome.height), true)
    );
    let there = Store::open(folders[1].path(), &genesis, None).unwrap();
    let mut other = there.restore(&genesis).unwrap().domain;
    assert_eq!(other.complete().next(), height);
    // What was executed after it here is not there: both go on from the snapshot, this one by another way.
    let mut undone = Domain::restore(
        genesis.chain_id(),
        genesis.id(),
        exported.rollups.values().map(|(_, chain)| chain.clone()),
        height,
        exported.burnt.iter().copied(),
    )
    .with_blocks(BlockTimes::Second);
    for _ in 0..8 {
        let _ = next(&mut undone, Some(&mut other));
    }
    assert_eq!(undone.heads(), other.heads());
}

/// Where the sections begin, in order, with what each is.
fn sections(exported: &Exported, snapshot: &[u8]) -> Vec<(Section, usize)> {
    let mut all = vec![(Section::Beginning, 0), (Section::Whose, 16)];
    let mut at = 16 + 1 + 32 + 8 + 1 + exported.rollups.len() * 40;
    let long = |at: usize| u32::from_be_bytes(snapshot[at..at + 4].try_into().unwrap()) as usize + 4;
    for section in [Section::Proof, Section::Executed] {
        all.push((section, at));
        at += 1 + long(at + 1);
    }
    all.push((Section::Bindings, at));
    at += 9 + exported.burnt.len() * 40;
    for (rollup, (blocks, chain)) in &exported.rollups {
        all.push((Section::Blocks(*rollup), at));
        at += 17;
        for _ in 0..2 * blocks.len() {
            at += long(at);
        }
        let state = chain.state();
        for (section, bytes) in [
            (Section::Accounts(*rollup), state.accounts().count() * 92),
            (Section::Slots(*rollup), state.slots().count() * 84),
            (Section::Codes(*rollup), state.codes().map(|(_, code)| code.len() + 4).sum()),
            (Section::Hashes(*rollup), state.block_hashes().count() * 40),
        ] {
            all.push((section, at));
            at += 17 + bytes;
        }
    }
    all.push((Section::End, at));
    assert_eq!(at + 33, snapshot.len());
    all
}

/// A snapshot in which every section has rows.
fn full() -> (Node, Exported, Vec<u8>) {
    let node = (0..).map(|seed| Node::new(seed, 14, 3)).find(|node| !node.export().burnt.is_empty()).unwrap();
    let exported = node.export();
    let bytes = node.snapshot();
    (node, exported, bytes)
}

/// What an error names.
fn named(error: &SnapshotError) -> Section {
    match error {
        SnapshotError::Truncated(section) | SnapshotError::Wrong { section, .. } => *section,
        SnapshotError::Version { .. } => Section::Beginning,
        SnapshotError::Other { .. } => Section::Whose,
        SnapshotError::Proof(_) => Section::Proof,
        other => panic!("{other}"),
    }
}

#[test]
fn whatever_byte_is_changed_the_snapshot_is_refused_and_the_section_named() {
    let (_node, exported, snapshot) = full();
    let sections = sections(&exported, &snapshot);
    let ends = sections.iter().skip(1).map(|(_, begin)| *begin).chain([snapshot.len()]);
    for ((section, begin), end) in sections.iter().copied().zip(ends) {
        // The first ones are number and length; of the rest a sample, and the last one.
        let step = ((end - begin) / 6).max(1);
        let places = (begin..end.min(begin + 17)).step_by(3).chain((begin..end).step_by(step)).chain([end - 1]);
        for place in places {
            let mut tampered = snapshot.clone();
            tampered[place] ^= 1 << (place % 8);
            let tampered = if section == Section::End { tampered } else { sealed_anew(tampered) };
            let error = refused(&tampered);
            let found = named(&error);
            // A count, a length or a root that is wrong may be seen in the sections after it.
            let is_state = matches!(section, Section::Accounts(_) | Section::Slots(_) | Section::Codes(_));
            let is_later = found.number().0 >= section.number().0;
            assert!(found == section || is_state && found.number().0 == 6 || is_later, "{section}, {place}: {error}");
            assert!(error.to_string().contains("et "), "what to do: {error}");
        }
    }
}

#[test]
fn a_snapshot_that_ends_early_or_goes_on_is_refused() {
    let (_node, exported, snapshot) = full();
    for (section, begin) in sections(&exported, &snapshot) {
        // Within a section, and right before its number.
        for end in [begin + 1, begin] {
            let error = refused(&snapshot[..end]);
            assert!(matches!(error, SnapshotError::Truncated(_)), "{section}: {error}");
            assert!(error.to_string().contains("ends within"), "{error}");
        }
    }
    assert!(matches!(refused(&snapshot[..snapshot.len() - 1]), SnapshotError::Truncated(Section::End)));
    let error = refused(&[&snapshot[..], &[0]].concat());
    assert!(error.to_string().contains("bytes follow"), "{error}");
    let error = refused(b"it is a text, and a long one");
    assert!(error.to_string().contains("it is no snapshot"), "{error}");
}

/// Lies that are consistent in themselves, each of somebody who can sign nothing.
#[test]
fn what_was_not_attested_is_refused_in_words() {
    let (node, exported, _) = full();
    let lie = |change: fn(&mut Exported)| {
        let mut lie = Exported {
            executed: exported.executed.clone(),
            attestation: exported.attestation.clone(),
            burnt: exported.burnt.clone(),
            rollups: exported.rollups.clone(),
        };
        change(&mut lie);
        refused(&bytes_of(&node.genesis, &proof_of(&exported), &lie)).to_string()
    };
    let forgotten = lie(|lie| lie.burnt.truncate(lie.burnt.len() - 1));
    assert!(forgotten.contains("the bindings of bundles: their root is"), "{forgotten}");
    let invented = lie(|lie| lie.burnt.push((Height(u64::MAX), tagged_hash("test/binding", &[]))));
    assert!(invented.contains("the bindings of bundles: their root is"), "{invented}");
    let moved = lie(|lie| lie.executed.heads = List::new(lie.executed.heads.iter().copied().rev().collect()).unwrap());
    assert!(moved.contains("what the height became: it is not what was attested"), "{moved}");
    let shortened = lie(|lie| drop(lie.rollups.get_mut(&RollupId(1001)).unwrap().0.pop()));
    assert!(shortened.contains("the last blocks of rollup 1001: the last one is not block"), "{shortened}");
    let elsewhere = lie(|lie| {
        let (first, second) = (lie.rollups[&RollupId(1001)].1.clone(), lie.rollups[&RollupId(1002)].1.clone());
        lie.rollups.get_mut(&RollupId(1001)).unwrap().1 = second;
        lie.rollups.get_mut(&RollupId(1002)).unwrap().1 = first;
    });
    assert!(elsewhere.contains("the accounts of rollup 1001: with storage and code: the state root"), "{elsewhere}");
    let unsigned = lie(|lie| {
        let transactions = &mut lie.rollups.get_mut(&RollupId(1001)).unwrap().0.last_mut().unwrap().transactions;
        let bytes = alloy_eips::eip2718::Encodable2718::encoded_2718(transactions[0].inner());
        let stranger = alloy_primitives::Address::repeat_byte(9);
        transactions[0] = chorale_evm::recovered_before(&bytes, 1001, stranger).unwrap();
    });
    assert!(unsigned.contains("was not signed by 0x0909"), "{unsigned}");
    let Exported { executed, attestation, .. } = &exported;
    let attestation = Attestation { height: Height(attestation.height.0 + 1), ..attestation.clone() };
    let proof = ProofFile { proof: prove(executed, &attestation), ..proof_of(&exported) };
    let unproven = refused(&bytes_of(&node.genesis, &proof, &exported)).to_string();
    assert!(unproven.contains("its proof does not lead from this genesis to it"), "{unproven}");
}

#[test]
fn a_snapshot_of_others_is_refused_and_so_is_a_folder_with_something_in_it() {
    let (node, _, snapshot) = full();
    let folder = tempfile::tempdir().unwrap();
    let theirs = domain("theirs");
    let error = take(&snapshot, folder.path(), &theirs).unwrap_err().to_string();
    for chain in [node.genesis.chain_id(), theirs.chain_id()] {
        assert!(error.contains(&chain.to_string()), "{error}");
    }
    // The same chain by name, of other validators.
    let mut others = Light::new(
        EpochInfo { validators: validators(5), ..light(node.genesis.chain_id()).last().clone() },
        EPOCH_HEIGHTS,
    );
    let error = reader::import(&snapshot[..], folder.path(), &node.genesis, &mut others).unwrap_err();
    assert!(matches!(error, SnapshotError::Proof(_)), "{error}");
    take(&snapshot, folder.path(), &node.genesis).unwrap();
    for data in [folder.path(), node.folder.path()] {
        let error = take(&snapshot, data, &node.genesis).unwrap_err();
        assert!(matches!(error, SnapshotError::NotEmpty(_)) && error.to_string().contains("--data"), "{error}");
    }
}

#[test]
fn there_is_no_snapshot_of_what_is_not_attested_or_too_long_ago() {
    let node = Node::new(1, 0, 3);
    let error = node.store.export(&node.genesis).unwrap_err();
    assert!(matches!(error, SnapshotError::NothingAttested(DomainId(1))), "{error}");
    let node = Node::new(1, 2, 2 * crate::blocks::STATES_MAX);
    let error = node.store.export(&node.genesis).unwrap_err();
    assert!(matches!(error, SnapshotError::TooFarBehind { .. }), "{error}");
    assert!(error.to_string().contains("let the node run"), "{error}");
}

/// The format. Written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-rollup`.
#[test]
fn the_format_is_as_it_was() {
    let node = Node::new(5, 4, 0);
    let snapshot = node.snapshot();
    let path = Path::new("fixtures/snapshot.hex");
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::create_dir_all("fixtures").unwrap();
        std::fs::write(path, hex::encode(&snapshot) + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(golden.trim() == hex::encode(&snapshot), "the format of snapshots changed");
    let folder = tempfile::tempdir().unwrap();
    let height = take(&hex::decode(golden.trim()).unwrap(), folder.path(), &node.genesis).unwrap();
    assert_eq!(height, node.going.height());
    assert_eq!(node.export().executed.outcome.encode(), node.store.executed(height).unwrap().unwrap().outcome.encode());
}
