//! Legs of a bundle in the blocks of their rollups.

use super::{proof_files::file_of, *};
use crate::{
    EncodedBlock, ExecutionClaim, ExecutionProofError, LegPlace, LegTerms, LegsProof, ProofFile, ProofFileError,
    ProvenExecution, ProvenLeg, Verified, trie,
};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader};
use chorale_types::{
    AccountId, Atomicity, BundleEffect, BundleId, Digest, ExecutedBundle, ExecutedHeight, Execution, ExecutionOutcome,
    RollupHead, TxId, bundle_id, codec::Encode as _,
};
use std::collections::{BTreeMap, BTreeSet};

/// The block of each rollup has so many transactions: keys get longer at 128.
const TRANSACTIONS: u32 = 131;

fn list(items: &[&dyn Encodable]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::encode_list::<_, dyn Encodable>(items, &mut out);
    out
}

fn of_items(items: usize, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    RlpHeader { list: true, payload_length: items * payload.len() }.encode(&mut out);
    out.extend(payload.repeat(items));
    out
}

/// RLP that is ready.
struct Raw(Vec<u8>);

impl Encodable for Raw {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        out.put_slice(&self.0);
    }

    fn length(&self) -> usize {
        self.0.len()
    }
}

fn signed(rollup: u64, index: u32) -> Vec<u8> {
    let content = keccak256([rollup.to_be_bytes().as_slice(), &index.to_be_bytes()].concat());
    [&[2], list(&[&content, &content, &index]).as_slice()].concat()
}

/// Transaction `i` uses `21,000 + i` gas and has `i % 3` logs.
fn receipt(index: u32, is_success: bool) -> Vec<u8> {
    let gas: u64 = (0..=u64::from(index)).map(|index| 21_000 + index).sum();
    let log = list(&[&Bytes::from(vec![7; 20]), &Raw(of_items(0, &[])), &Bytes::from(vec![index as u8; 40])]);
    let logs = Raw(of_items(index as usize % 3, &log));
    let body = list(&[&is_success, &gas, &Bytes::from(vec![0; 256]), &logs]);
    // The first one is of the type that has none.
    if index == 0 { body } else { [&[2], body.as_slice()].concat() }
}

/// The block of a rollup in which one transaction may have failed.
fn block(rollup: u64, failed: Option<u32>) -> EncodedBlock {
    let transactions: Vec<Vec<u8>> = (0..TRANSACTIONS).map(|index| signed(rollup, index)).collect();
    let receipts: Vec<Vec<u8>> = (0..TRANSACTIONS).map(|index| receipt(index, failed != Some(index))).collect();
    let root = |values: &[Vec<u8>]| trie::prove(values, &BTreeSet::new()).0;
    let (hash, bloom, number) = (B256::repeat_byte(rollup as u8), Bytes::from(vec![0; 256]), 5 * rollup);
    let (address, nothing) = (Bytes::from(vec![9; 20]), Bytes::new());
    let (of_transactions, of_receipts) = (root(&transactions), root(&receipts));
    let header = list(&[
        &hash,
        &hash,
        &address,
        &hash,
        &of_transactions,
        &of_receipts,
        &bloom,
        &0u8,
        &number,
        &30_000_000u64,
        &0u64,
        &1_800_000_000u64,
        &nothing,
        &hash,
        &0u64,
        &7u64,
        &hash,
        &0u64,
        &0u64,
        &hash,
        &hash,
    ]);
    EncodedBlock { header, transactions, receipts }
}

fn terms() -> LegTerms {
    let execution = Execution { domain: DOMAIN, payer: AccountId([4; 20]), max_fee: 1_000, attempt: 2 };
    LegTerms { execution, expiry: Height(77), salt: 9 }
}

fn place(rollup: u64, index: u32) -> LegPlace {
    LegPlace { rollup: RollupId(rollup), index }
}

/// A rollup twice, first and last transactions, and around where keys get longer.
fn places() -> Vec<LegPlace> {
    vec![place(1, 127), place(2, 0), place(1, 128), place(3, 130)]
}

fn id_of(legs: &[LegPlace]) -> BundleId {
    let id = |leg: &LegPlace| -> TxId {
        let data = Blob::new(signed(leg.rollup.0, leg.index)).unwrap();
        Transaction { rollup: leg.rollup, data }.id()
    };
    let LegTerms { execution, expiry, salt } = terms();
    bundle_id(Atomicity::Execution(execution), expiry, salt, &legs.iter().map(id).collect::<Vec<_>>())
}

struct World {
    blocks: BTreeMap<RollupId, EncodedBlock>,
    executed: ExecutedHeight,
}

impl World {
    /// Blocks of rollups 1 to 3 after which a bundle of these legs had this effect.
    fn new(legs: &[LegPlace], effect: BundleEffect, failed: Option<u32>) -> Self {
        let blocks: BTreeMap<RollupId, EncodedBlock> =
            [1, 2, 3].map(|rollup| (RollupId(rollup), block(rollup, failed))).into();
        let head = |(rollup, block): (&RollupId, &EncodedBlock)| RollupHead {
            rollup: *rollup,
            number: 5 * rollup.0,
            block: keccak256(&block.header).0.into(),
            state: B256::repeat_byte(rollup.0 as u8).0.into(),
        };
        let heads: Vec<RollupHead> = blocks.iter().map(head).collect();
        let other = ExecutedBundle { id: BundleId(tagged_hash("test/bundle", &[])), effect: BundleEffect::Unplaced };
        let bundles = vec![other, ExecutedBundle { id: id_of(legs), effect }];
        let nothing: Digest = tagged_hash("test/order", &[]);
        let outcome = ExecutionOutcome {
            chain: chain(),
            domain: DOMAIN,
            height: Height(2 * EPOCH_HEIGHTS),
            previous: Height(3),
            order: nothing,
            rollups: ExecutionOutcome::rollups_root(&heads),
            bundles: ExecutionOutcome::bundles_root(&bundles),
            burnt: nothing,
        };
        let (heads, bundles) = (List::new(heads).unwrap(), List::new(bundles).unwrap());
        Self { blocks, executed: ExecutedHeight { outcome, heads, bundles } }
    }

    fn committed() -> Self {
        Self::new(&places(), BundleEffect::Committed, None)
    }

    /// A proof that the legs at these places are those of the bundle with this id.
    fn prove(&self, id: BundleId, legs: Vec<LegPlace>) -> LegsProof {
        LegsProof::new(&self.executed, id, terms(), &self.blocks, legs).unwrap()
    }

    fn file(&self, proof: LegsProof) -> ProofFile {
        file_of(self.executed.outcome.clone(), ExecutionClaim::Legs(proof), &[0, 1, 2])
    }

    /// Why it is refused.
    fn refused(&self, proof: LegsProof) -> ExecutionProofError {
        match self.file(proof).verify(&mut light()).unwrap_err() {
            ProofFileError::ExecutionClaim { error, .. } => error,
            other => panic!("{other}"),
        }
    }
}

/// The world where only rollups 1 to 3 that have legs have blocks in the proof.
fn proof() -> (World, LegsProof) {
    let world = World::committed();
    let proof = world.prove(id_of(&places()), places());
    (world, proof)
}

fn expected(leg: &LegPlace) -> ProvenLeg {
    ProvenLeg {
        rollup: leg.rollup,
        block: 5 * leg.rollup.0,
        transaction: keccak256(signed(leg.rollup.0, leg.index)).0.into(),
        gas_used: 21_000 + u64::from(leg.index),
        logs: leg.index as usize % 3,
    }
}

#[test]
fn legs_are_proven_from_the_genesis_with_what_came_of_them() {
    let (world, proof) = proof();
    let file = world.file(proof);
    let golden_path = std::path::Path::new("fixtures/executed-legs.proof.hex");
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(golden_path, hex::encode(file.encode()) + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(golden_path).unwrap();
    assert_eq!(hex::encode(file.encode()), golden.trim(), "the format of proofs of legs changed");
    let stored = ProofFile::read_file(hex::decode(golden.trim()).unwrap()).unwrap();
    assert_eq!(stored, file);
    let Verified::Execution(proven, executed) = stored.verify(&mut light()).unwrap() else { panic!("of another kind") };
    let (id, legs) = (id_of(&places()), places().iter().map(expected).collect());
    assert_eq!(proven, ProvenExecution::Bundle { id, domain: DOMAIN, effect: BundleEffect::Committed, legs });
    assert_eq!(executed.outcome(), &world.executed.outcome);
}

#[test]
fn the_legs_are_all_of_the_bundle_in_its_order() {
    let (world, id) = (World::committed(), id_of(&places()));
    let all = places();
    let swapped = vec![all[1], all[0], all[2], all[3]];
    let twice = vec![all[0], all[1], all[2], all[2], all[3]];
    let another = vec![all[0], all[1], place(1, 5), all[3]];
    for legs in [swapped, twice, another] {
        assert_eq!(world.refused(world.prove(id, legs)), ExecutionProofError::OtherLegs(id));
    }
    let mut missing = world.prove(id, all[..3].to_vec());
    // A block without a leg is refused as well, whatever its nodes are.
    assert_eq!(world.refused(missing.clone()), ExecutionProofError::Nodes(RollupId(3)));
    missing.blocks = List::new(missing.blocks[..2].to_vec()).unwrap();
    assert_eq!(world.refused(missing.clone()), ExecutionProofError::OtherLegs(id));
    missing.legs = List::default();
    missing.blocks = List::default();
    assert_eq!(world.refused(missing), ExecutionProofError::OtherLegs(id));
    let mut other_terms = world.prove(id, all.clone());
    other_terms.terms.execution.attempt += 1;
    assert_eq!(world.refused(other_terms), ExecutionProofError::OtherLegs(id));
    // And of another bundle of the height, which has no legs anywhere.
    let mut other = world.prove(id, all);
    other.effect = world.executed.prove_bundle(world.executed.bundles[0].id).unwrap();
    assert_eq!(world.refused(other.clone()), ExecutionProofError::NoLegs(other.effect.bundle.id));
    other.effect.bundle.effect = BundleEffect::Committed;
    assert_eq!(world.refused(other.clone()), ExecutionProofError::Bundle(other.effect.bundle.id));
}

#[test]
fn bundles_without_effect_have_no_legs() {
    let aborted = BundleEffect::Aborted { leg: Some(1), reason: 7, burns: true };
    for effect in [aborted, BundleEffect::Unplaced] {
        let (world, id) = (World::new(&places(), effect, None), id_of(&places()));
        assert_eq!(LegsProof::new(&world.executed, id, terms(), &world.blocks, places()), None);
        let forged = LegsProof { effect: world.executed.prove_bundle(id).unwrap(), ..proof().1 };
        assert_eq!(world.refused(forged), ExecutionProofError::NoLegs(id));
    }
}

#[test]
fn receipts_are_those_of_the_legs() {
    let (world, proof) = proof();
    // The receipts of other transactions: their nodes do not lead to those of the legs.
    let others = world.prove(id_of(&places()), vec![place(1, 5), place(2, 6), place(1, 7), place(3, 8)]);
    let mut mixed = proof.clone();
    let tries = [world.blocks[&RollupId(3)].transactions.clone(), world.blocks[&RollupId(3)].receipts.clone()];
    let of_leg = trie::prove(&tries[0], &[130].into()).1;
    let of_other = trie::prove(&tries[1], &[8, 7].into()).1;
    let nodes = of_leg.into_iter().chain(of_other).map(|node| Blob::new(node.to_vec()).unwrap()).collect();
    let mut blocks = mixed.blocks.to_vec();
    blocks[2].nodes = List::new(nodes).unwrap();
    mixed.blocks = List::new(blocks).unwrap();
    assert_eq!(world.refused(mixed), ExecutionProofError::Receipt { leg: 3 });
    // Places of other transactions with the nodes of the legs, and the other way round.
    let moved = LegsProof { legs: others.legs.clone(), ..proof.clone() };
    assert_eq!(world.refused(moved), ExecutionProofError::Transaction { leg: 0 });
    let moved = LegsProof { blocks: others.blocks, ..proof };
    assert_eq!(world.refused(moved), ExecutionProofError::Transaction { leg: 0 });
    // A leg that failed, which validators attest in this world.
    let (world, id) = (World::new(&places(), BundleEffect::Committed, Some(128)), id_of(&places()));
    assert_eq!(world.refused(world.prove(id, places())), ExecutionProofError::Failed { leg: 2 });
    // That the one before a leg failed says nothing about it.
    let world = World::new(&places(), BundleEffect::Committed, Some(129));
    assert!(world.file(world.prove(id, places())).verify(&mut light()).is_ok());
}

#[test]
fn headers_are_those_of_attested_blocks() {
    let (world, proof) = proof();
    let blocks = || proof.blocks.to_vec();
    let with = |blocks: Vec<crate::LegBlock>| LegsProof { blocks: List::new(blocks).unwrap(), ..proof.clone() };
    let mut another = blocks();
    another[0].header = another[1].header.clone();
    assert_eq!(world.refused(with(another)), ExecutionProofError::Header(RollupId(1)));
    let mut another = blocks();
    another[0].head = another[1].head.clone();
    assert_eq!(world.refused(with(another)), ExecutionProofError::Header(RollupId(2)));
    // Another rollup's block under this one's name.
    let mut another = blocks();
    another[0] = crate::LegBlock { head: another[0].head.clone(), ..another[1].clone() };
    another[0].head.head.block = another[1].head.head.block;
    assert_eq!(world.refused(with(another)), ExecutionProofError::Head(RollupId(1)));
    let mut another = blocks();
    another.swap(0, 1);
    assert_eq!(world.refused(with(another)), ExecutionProofError::BlockOrder(RollupId(1)));
    let mut another = blocks();
    another.insert(1, another[0].clone());
    assert_eq!(world.refused(with(another)), ExecutionProofError::BlockOrder(RollupId(1)));
    let mut another = blocks();
    another.pop();
    assert_eq!(world.refused(with(another)), ExecutionProofError::NoBlock { leg: 3 });
    // A node that is there for nothing, or twice.
    let with_node = |node: &[u8]| {
        let mut another = blocks();
        let node = Blob::new(node.to_vec()).unwrap();
        another[0].nodes = List::new(another[0].nodes.iter().cloned().chain([node]).collect()).unwrap();
        with(another)
    };
    for node in [&[0x80][..], &proof.blocks[0].nodes[0], &proof.blocks[1].nodes[0]] {
        assert_eq!(world.refused(with_node(node)), ExecutionProofError::Nodes(RollupId(1)));
    }
    // A real header of something that is no header.
    let mut world = World::committed();
    let mut heads = world.executed.heads.to_vec();
    heads[0].block = keccak256([0xc0]).0.into();
    world.executed.outcome.rollups = ExecutionOutcome::rollups_root(&heads);
    world.executed.heads = List::new(heads).unwrap();
    world.blocks.get_mut(&RollupId(1)).unwrap().header = vec![0xc0];
    let proof = world.prove(id_of(&places()), places());
    assert_eq!(world.refused(proof), ExecutionProofError::Header(RollupId(1)));
}

#[test]
fn no_byte_can_be_changed() {
    let (world, proof) = proof();
    let executed = {
        let file = world.file(proof.clone());
        let Verified::Execution(_, executed) = file.verify(&mut light()).unwrap() else { panic!("of another kind") };
        executed
    };
    let bytes = ExecutionClaim::Legs(proof).encode();
    for byte in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[byte] ^= 1 << (byte % 8);
        if let Ok(claim) = chorale_types::codec::decode::<ExecutionClaim>(changed) {
            let proven = claim.verify(&executed);
            assert!(proven.is_err(), "byte {byte} of {}: {proven:?}", bytes.len());
        }
    }
}

#[test]
fn a_proof_of_what_is_not_there_is_not_made() {
    let (world, id) = (World::committed(), id_of(&places()));
    let made = |legs| LegsProof::new(&world.executed, id, terms(), &world.blocks, legs);
    assert_eq!(made(vec![place(1, TRANSACTIONS)]), None);
    assert_eq!(made(vec![place(1, 0); 17]), None);
    let nobody = BundleId(tagged_hash("test/nobody", &[]));
    assert_eq!(LegsProof::new(&world.executed, nobody, terms(), &world.blocks, places()), None);
}
