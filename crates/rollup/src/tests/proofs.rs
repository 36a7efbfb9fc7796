//! Proofs of bundles with their legs, checked by whoever knows nothing but the genesis.

use super::network::{COUNTING, LOGGING, Network, ROLLUP, Wallet, attester, hash_of, sequencer_genesis, validator};
use crate::{attested::take, executed::encoded};
use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, Sealable as _, SignableTransaction as _, TxEip1559, TxEip2930,
    TxEnvelope, TxLegacy, proofs,
};
use alloy_eips::{eip2718::Encodable2718 as _, eip7685::Requests};
use alloy_primitives::{Address, Bytes, Log, Signature, U256, hex, keccak256};
use chorale_client::Nodes;
use chorale_evm::{Block, DomainRules, SignedTransaction, recovered_before};
use chorale_light::{
    ExecutionClaim, LegPlace, LegTerms, LegsProof, Light, Proof, ProofFile, ProvenExecution, ProvenLeg, Verified,
};
use chorale_types::{
    AccountId, Atomicity, Attestation, Bls, BundleEffect, BundleId, ConsensusSecret, DomainId, Epoch, ExecutedBundle,
    ExecutedHeight, Execution, ExecutionOutcome, Height, RollupHead, RollupId, Scheme as _, Signers, Transaction, TxId,
    ValidatorIndex, bundle_id,
    codec::{Blob, List},
    tagged_hash,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const OTHER: u64 = 1002;

fn attestation(outcome: &ExecutionOutcome) -> Attestation {
    let signature = Bls::signer(validator()).sign(outcome.chain, Epoch(0), &outcome.statement());
    Attestation {
        domain: outcome.domain,
        epoch: Epoch(0),
        height: outcome.height,
        root: outcome.root(),
        signers: Signers::of(1, [ValidatorIndex(0)]),
        signature: Bls::verifier().aggregate(&[signature]).unwrap(),
    }
}

impl Network {
    /// The validator attests the last height.
    fn attest(&self) {
        let height = self.server.read().height;
        let attestation = attestation(&self.server.store.executed(height).unwrap().unwrap().outcome);
        let data = tempfile::tempdir().unwrap();
        let last = take(&self.server.store, data.path(), &[attestation]).unwrap().unwrap();
        self.server.shared.finalize(&last);
    }

    fn last_bundle(&self) -> BundleId {
        *self.server.read().recent.back().unwrap()
    }

    async fn proven(&self, id: BundleId) -> (ProofFile, ProvenExecution) {
        let answer = self.ask("chorale_proveBundleEffect", json!([id.to_string()])).await;
        let file = ProofFile::read_file(hex::decode(answer.as_str().unwrap()).unwrap()).unwrap();
        let mut light = self.light();
        match file.verify(&mut light).unwrap() {
            Verified::Execution(proven, _) => (file, proven),
            other @ Verified::Order(..) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_proof_of_a_bundle_has_all_its_legs() {
    let (mut network, wallet) = (Network::start_in(DomainRules::default(), &[ROLLUP, OTHER]).await, Wallet::first());
    network.order(&[wallet.call(0, COUNTING, [])]);
    let legs = [(OTHER, LOGGING, Bytes::from(vec![1, 2])), (ROLLUP, COUNTING, Bytes::new())];
    let signed = network.order_bundle(&wallet, &legs);
    let id = network.last_bundle();
    let (code, _) = network.fails("chorale_proveBundleEffect", json!([id.to_string()])).await;
    assert_eq!(code, -32053, "it is not attested yet");
    network.attest();
    // What is proven is what the receipts say.
    let receipt = network.ask("chorale_bundleReceipt", json!([id.to_string()])).await;
    let number = |value: &Value| u64::from_str_radix(&value.as_str().unwrap()[2..], 16).unwrap();
    let leg = |(leg, data): (&Value, &Vec<u8>)| {
        let receipt = &leg["receipt"];
        assert_eq!(receipt["transactionHash"], json!(hash_of(data)));
        ProvenLeg {
            rollup: RollupId(leg["rollup"].as_u64().unwrap()),
            block: number(&receipt["blockNumber"]),
            transaction: hash_of(data).0.into(),
            gas_used: number(&receipt["gasUsed"]),
            logs: receipt["logs"].as_array().unwrap().len(),
        }
    };
    let legs: Vec<ProvenLeg> = receipt["legs"].as_array().unwrap().iter().zip(&signed).map(leg).collect();
    let of = |legs: &[ProvenLeg]| legs.iter().map(|leg| (leg.rollup.0, leg.block, leg.logs)).collect::<Vec<_>>();
    assert_eq!(of(&legs), [(OTHER, 1, 1), (ROLLUP, 2, 0)]);
    let domain = network.server.read().domain;
    let expected = ProvenExecution::Bundle { id, domain, effect: BundleEffect::Committed, legs };
    assert_eq!(network.proven(id).await.1, expected);
    // It stays so when more is on top, and is there in the store alone.
    for nonce in 2..140 {
        network.order(&[wallet.call(nonce, COUNTING, [])]);
    }
    assert_eq!(network.proven(id).await.1, expected);
}

/// An epoch that nobody leads to, and a signature of somebody else.
#[tokio::test]
async fn a_node_that_makes_up_an_attestation_does_not_keep_anyone_from_the_true_one() {
    let (mut network, wallet) = (Network::start_in(DomainRules::default(), &[ROLLUP, OTHER]).await, Wallet::first());
    let legs = [(OTHER, LOGGING, Bytes::from(vec![1, 2])), (ROLLUP, COUNTING, Bytes::new())];
    network.order_bundle(&wallet, &legs);
    let height = network.server.read().height;
    let attested = attestation(&network.server.store.executed(height).unwrap().unwrap().outcome);
    let far = Attestation { epoch: Epoch(9), ..attested.clone() };
    let mut stranger = attested.clone();
    stranger.signature = {
        let outcome = &network.server.store.executed(height).unwrap().unwrap().outcome;
        let signer = Bls::signer(ConsensusSecret::from_seed([2; 32]));
        let signature = signer.sign(outcome.chain, Epoch(0), &outcome.statement());
        Bls::verifier().aggregate(&[signature]).unwrap()
    };
    let mut nodes = Vec::new();
    for given in [&far, &stranger, &attested] {
        nodes.push(attester(given).await);
    }
    let urls = nodes.iter().map(|(url, _)| url.clone());
    network.server.nodes = Nodes::new(urls, Duration::from_secs(10)).unwrap();
    let (file, _) = network.proven(network.last_bundle()).await;
    let Proof::Execution(proof) = file.proof else { panic!("a proof of something else") };
    assert_eq!(proof.attestation, attested);
}

/// A block with so many transactions of all types; those that are no legs may have failed.
fn block(seed: u64, count: usize, legs: &BTreeSet<usize>) -> Block {
    let bytes = |salt: u64, index: usize| keccak256([seed, salt, index as u64].map(u64::to_be_bytes).concat());
    let signature = Signature::new(U256::MAX, U256::MAX >> 1, false);
    let signed = |index: usize| {
        let any = bytes(0, index);
        let (nonce, input) = (index as u64, Bytes::from(any[..usize::from(any[1] % 32)].to_vec()));
        let chain_id = ROLLUP;
        let transaction: TxEnvelope = match any[0] % 3 {
            0 => {
                TxLegacy { chain_id: Some(chain_id), nonce, input, ..TxLegacy::default() }.into_signed(signature).into()
            }
            1 => TxEip2930 { chain_id, nonce, input, ..TxEip2930::default() }.into_signed(signature).into(),
            _ => TxEip1559 { chain_id, nonce, input, ..TxEip1559::default() }.into_signed(signature).into(),
        };
        recovered_before(&transaction.encoded_2718(), ROLLUP, Address::ZERO).unwrap()
    };
    let transactions: Vec<SignedTransaction> = (0..count).map(signed).collect();
    let mut gas = 0;
    let receipts: Vec<ReceiptEnvelope> = (0..count)
        .map(|index| {
            let any = bytes(1, index);
            gas += 21_000 + u64::from(any[0]);
            let log = || Log::new_unchecked(Address::repeat_byte(any[1]), vec![any], Bytes::from(any[..9].to_vec()));
            let status = Eip658Value::Eip658(legs.contains(&index) || any[2] % 2 == 0);
            let logs = (0..any[3] % 4).map(|_| log()).collect();
            let receipt = Receipt { status, cumulative_gas_used: gas, logs };
            ReceiptEnvelope::from_typed(transactions[index].inner().tx_type(), receipt)
        })
        .collect();
    let included: Vec<_> = transactions.iter().map(|signed| signed.inner()).collect();
    let header = Header {
        number: seed,
        transactions_root: proofs::calculate_transaction_root(&included),
        receipts_root: proofs::calculate_receipt_root(&receipts),
        ..Header::default()
    };
    Block { header: header.seal_slow(), transactions, receipts, requests: Requests::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Keys of the tries are in another order from the 128th transaction on.
    #[test]
    fn legs_are_proven_wherever_they_are(
        seed in 0..u64::MAX,
        count in prop_oneof![1..300usize, 126..131usize],
        picks in proptest::collection::vec(any::<usize>(), 1..16),
    ) {
        let indices: BTreeSet<usize> = picks.iter().map(|pick| pick % count).collect();
        let block = block(seed, count, &indices);
        let genesis = sequencer_genesis(&[ROLLUP]);
        let place = |index: &usize| LegPlace { rollup: RollupId(ROLLUP), index: u32::try_from(*index).unwrap() };
        let leg = |index: &usize| {
            let data = block.transactions[*index].inner().encoded_2718();
            Transaction { rollup: RollupId(ROLLUP), data: Blob::new(data).unwrap() }.id()
        };
        let execution = Execution { domain: DomainId(1), payer: AccountId([7; 20]), max_fee: 1, attempt: 0 };
        let terms = LegTerms { execution, expiry: Height(9), salt: seed };
        let ids: Vec<TxId> = indices.iter().map(leg).collect();
        let id = bundle_id(Atomicity::Execution(execution), terms.expiry, seed, &ids);
        let heads = vec![RollupHead {
            rollup: RollupId(ROLLUP),
            number: seed,
            block: block.header.hash().0.into(),
            state: block.header.state_root.0.into(),
        }];
        let bundles = vec![ExecutedBundle { id, effect: BundleEffect::Committed }];
        let outcome = ExecutionOutcome {
            chain: genesis.chain(),
            domain: DomainId(1),
            height: Height(1),
            previous: Height(0),
            order: tagged_hash("test/nothing", &[]),
            rollups: ExecutionOutcome::rollups_root(&heads),
            bundles: ExecutionOutcome::bundles_root(&bundles),
            burnt: tagged_hash("test/nothing", &[]),
        };
        let light = Light::new(genesis.first_epoch(), genesis.parameters().epoch_heights);
        let attested = light.verify_execution(&outcome, &attestation(&outcome)).unwrap();
        let executed = ExecutedHeight { outcome, heads: List::new(heads).unwrap(), bundles: List::new(bundles).unwrap() };
        let blocks = [(RollupId(ROLLUP), encoded(&block))].into();
        let proof = LegsProof::new(&executed, id, terms, &blocks, indices.iter().map(place).collect()).unwrap();
        let proven = ExecutionClaim::Legs(proof).verify(&attested).unwrap();
        let gas = |index: usize| block.receipts[index].cumulative_gas_used();
        let expected = |index: &usize| ProvenLeg {
            rollup: RollupId(ROLLUP),
            block: seed,
            transaction: block.transactions[*index].inner().tx_hash().0.into(),
            gas_used: gas(*index) - index.checked_sub(1).map_or(0, gas),
            logs: block.receipts[*index].logs().len(),
        };
        let legs = indices.iter().map(expected).collect();
        let expected = ProvenExecution::Bundle { id, domain: DomainId(1), effect: BundleEffect::Committed, legs };
        prop_assert_eq!(proven, expected);
    }
}
