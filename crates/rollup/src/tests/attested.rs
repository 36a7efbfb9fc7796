//! What is executed, for validators; and what they attest, taken or evidence.

use super::network::{COUNTING, Network, Wallet};
use crate::attested::{Disagreement, check, take};
use chorale_types::{
    Attestation, DomainId, Epoch, ExecutionOutcome, Height, Signature, Signers, ValidatorIndex, codec::decode,
    tagged_hash,
};
use serde_json::{Value, json};

fn attestation(outcome: &ExecutionOutcome) -> Attestation {
    Attestation {
        domain: outcome.domain,
        epoch: Epoch(0),
        height: outcome.height,
        root: outcome.root(),
        signers: Signers::of(1, [ValidatorIndex(0)]),
        signature: Signature::NONE,
    }
}

/// A network whose first heights have content.
async fn network(heights: u64) -> Network {
    let mut network = Network::start().await;
    let wallet = Wallet::first();
    for nonce in 0..heights {
        network.order(&[wallet.call(nonce, COUNTING, [])]);
    }
    network
}

async fn executed(network: &Network, after: u64, max: u64, wait_ms: u64) -> Vec<ExecutionOutcome> {
    let answer = network.ask("chorale_executed", json!([after, max, wait_ms])).await;
    let outcome = |text: &Value| {
        let bytes = alloy_primitives::hex::decode(text.as_str().unwrap()).unwrap();
        decode::<ExecutionOutcome>(bytes).unwrap()
    };
    answer.as_array().unwrap().iter().map(outcome).collect()
}

fn heights(outcomes: &[ExecutionOutcome]) -> Vec<u64> {
    outcomes.iter().map(|outcome| outcome.height.0).collect()
}

#[tokio::test]
async fn validators_get_every_outcome_once_in_order_and_wait_for_the_next() {
    let network = network(5).await;
    assert_eq!(heights(&executed(&network, 0, 3, 0).await), [1, 2, 3]);
    let rest = executed(&network, 3, 100, 0).await;
    assert_eq!(heights(&rest), [4, 5]);
    assert_eq!(rest[1].previous, Height(4));
    for outcome in &rest {
        let here = network.server.store.executed(outcome.height).unwrap().unwrap();
        assert_eq!(here.outcome, *outcome);
        assert_eq!(ExecutionOutcome::rollups_root(&here.heads), outcome.rollups);
    }
    assert!(executed(&network, 5, 100, 1).await.is_empty());
    assert!(executed(&network, u64::MAX, 100, 0).await.is_empty());
    assert!(executed(&network, 0, 0, 0).await.is_empty());
}

#[tokio::test]
async fn what_is_attested_is_finalized_and_stays_so() {
    let network = network(3).await;
    let finalized = async || network.ask("eth_getBlockByNumber", json!(["finalized", false])).await["number"].clone();
    assert_eq!(finalized().await, "0x0");
    let data = tempfile::tempdir().unwrap();
    let attestations: Vec<Attestation> = executed(&network, 0, 2, 0).await.iter().map(attestation).collect();
    let last = take(&network.server.store, data.path(), &attestations).unwrap().unwrap();
    assert_eq!(last.outcome.height, Height(2));
    network.server.shared.finalize(&last);
    assert_eq!(finalized().await, "0x2");
    assert_eq!(network.ask("eth_getBlockByNumber", json!(["latest", false])).await["number"], "0x3");
    assert_eq!(network.server.store.last_attested().unwrap(), Some(last));
    assert_eq!(network.server.store.attestation(Height(1)).unwrap().as_ref(), Some(&attestations[0]));
    check(data.path()).unwrap();
}

#[tokio::test]
async fn a_root_that_this_node_does_not_find_is_never_adopted() {
    let network = network(3).await;
    let outcomes = executed(&network, 0, 3, 0).await;
    let other = Attestation { root: tagged_hash("test/other", &[]), ..attestation(&outcomes[1]) };
    let nothing = Attestation { height: Height(4), ..attestation(&outcomes[1]) };
    for (wrong, ours) in [(other, Some(outcomes[1].root())), (nothing, None)] {
        let data = tempfile::tempdir().unwrap();
        let batch = [attestation(&outcomes[0]), wrong.clone()];
        match take(&network.server.store, data.path(), &batch).unwrap_err() {
            Disagreement::Found { domain, height, ours: found, attested, evidence } => {
                assert_eq!((domain, height, found, attested), (DomainId(1), wrong.height, ours, wrong.root));
                let written: Value = serde_json::from_str(&std::fs::read_to_string(evidence).unwrap()).unwrap();
                assert_eq!(written["attested"]["root"], json!(wrong.root.to_string()));
                assert_eq!(written["found"]["root"], json!(ours.map(|root| root.to_string())));
            }
            other => panic!("{other}"),
        }
        assert!(matches!(check(data.path()), Err(Disagreement::Before(_))), "it is remembered");
        assert_eq!(network.server.store.last_attested().unwrap(), None, "nothing of such an answer is taken");
    }
}
