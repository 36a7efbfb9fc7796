//! Clients that are at fault, and what is done about it.

use super::{
    chain::{Chain, Node, SECRET, heads, write_secret},
    fake::{Fake, Inside},
};
use crate::{Kind, State};
use alloy_primitives::B256;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The file of an alarm, and its name.
async fn evidence(node: &mut Node) -> (String, Value) {
    let state = node.until("an alarm", |state| matches!(state, State::Alarm(_))).await;
    let State::Alarm(Some(path)) = state else { panic!("{state:?}") };
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
}

#[tokio::test]
async fn a_block_that_the_client_finds_invalid_is_an_alarm_with_evidence_and_ends_it() {
    let mut chain = Chain::of(5);
    let fake = Fake::start(Inside { invalid: Some(4), ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    let (name, evidence) = evidence(&mut node).await;
    let hash = chain.hash(4).to_string();
    assert_eq!(name, format!("engine-alarm-1001-4-{}.json", &hash[..10]));
    assert_eq!((&evidence["rollup"], &evidence["number"], &evidence["hash"]), (&json!(1001), &json!(4), &json!(hash)));
    assert_eq!(evidence["reason"], json!({ "kind": "invalid", "error": "it is not what I find" }));
    // The block whole, and both answers.
    assert_eq!((&evidence["method"], &evidence["client"]), (&json!("engine_newPayloadV4"), &json!("fake/1")));
    assert_eq!(evidence["params"][0]["blockHash"], json!(hash));
    assert_eq!(evidence["ours"]["stateRoot"], json!(chain.blocks[4].header.state_root));
    assert_eq!(evidence["theirs"]["latestValidHash"], json!(chain.hash(3)));
    // The driver has ended by itself, and whatever the node makes is handed to nobody.
    node.driver.await.unwrap();
    chain.next(1);
    assert!(node.heads.send(heads(6, 6, 0)).is_err());
    let inside = fake.inside();
    assert_eq!((inside.handed(), inside.head_number()), (vec![1, 2, 3, 4], 0));
}

#[tokio::test]
async fn a_client_that_names_another_hash_is_an_alarm() {
    let chain = Chain::of(3);
    let fake = Fake::start(Inside { renamed: Some(2), ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    let (_, evidence) = evidence(&mut node).await;
    assert_eq!(evidence["reason"], json!({ "kind": "otherHash", "found": B256::repeat_byte(9) }));
    assert_eq!(evidence["number"], json!(2));
}

#[tokio::test]
async fn a_client_that_says_it_is_syncing_is_handed_what_was_before() {
    let chain = Chain::of(9);
    for syncing in [1, 3] {
        let fake = Fake::start(Inside::new(&chain)).await;
        let mut node = Node::start(&Chain::of(6), &fake.url(), Kind::Ethereum);
        node.follows(6).await;
        fake.inside().syncing = syncing;
        node.make(&chain, heads(9, 9, 0));
        node.follows(9).await;
        assert_eq!(fake.inside().head, chain.hash(9));
        // Not only the last one was tried again.
        let handed = fake.inside().handed();
        assert!(handed.iter().filter(|number| **number == 6).count() > 1, "{handed:?}");
    }
}

/// It has all and says so all the same: it is asked again later, and less and less often, not without end.
#[tokio::test]
async fn a_client_that_only_ever_says_that_it_is_syncing_is_waited_for() {
    let chain = Chain::of(6);
    let fake = Fake::start(Inside { syncing: u32::MAX, ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.waits("it is syncing").await;
    fake.inside().syncing = 0;
    node.follows(6).await;
}

#[tokio::test]
async fn a_block_that_is_put_aside_is_made_the_head_and_judged_then() {
    let chain = Chain::of(4);
    let fake = Fake::start(Inside { accepted: 2, ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(4).await;
    let calls: Vec<String> = fake.inside().calls.iter().map(|(method, _)| method.clone()).collect();
    let first = calls.iter().position(|method| method == "engine_newPayloadV4").unwrap();
    let [payload, heads] = ["engine_newPayloadV4", "engine_forkchoiceUpdatedV3"];
    assert_eq!(calls[first..first + 6], [payload, heads, payload, heads, payload, payload]);
}

#[tokio::test]
async fn a_wrong_secret_is_named_and_a_right_one_taken_without_a_restart() {
    let chain = Chain::of(2);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start_with(&chain, &fake.url(), Kind::Ethereum, 0, [8; 32]);
    let words = node.waits("refuses the token").await;
    assert!(words.contains("401") && words.contains("jwt.hex") && words.contains("clock"), "{words}");
    assert!(fake.inside().calls.is_empty());
    std::fs::remove_file(node.folder.path().join("jwt.hex")).unwrap();
    node.waits("reading the secret").await;
    write_secret(node.folder.path(), SECRET);
    node.follows(2).await;
}

#[tokio::test]
async fn nothing_is_handed_to_a_client_of_another_chain() {
    let chain = Chain::of(2);
    let fake = Fake::start(Inside { chain_id: 7, ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.waits("of chain 7, and the rollup is 1001").await;
    let other = Chain::new(b"another");
    *fake.inside() = Inside::new(&other);
    let words = node.waits("block 0 is").await;
    assert!(words.contains(&other.hash(0).to_string()) && words.contains(&chain.hash(0).to_string()), "{words}");
    let calls: Vec<String> = fake.inside().calls.iter().map(|(method, _)| method.clone()).collect();
    assert!(!calls.iter().any(|method| method.contains("newPayload") || method.contains("forkchoice")), "{calls:?}");
    *fake.inside() = Inside::new(&chain);
    node.follows(2).await;
}

#[tokio::test]
async fn a_client_without_the_methods_of_prague_is_told_from_one_that_is_not_there() {
    let chain = Chain::of(2);
    let offered = Some(vec!["engine_newPayloadV2", "engine_newPayloadV3", "engine_forkchoiceUpdatedV3"]);
    let fake = Fake::start(Inside { offered, ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    let words = node.waits("does not offer engine_newPayloadV4").await;
    assert!(words.ends_with("it offers engine_newPayloadV2, engine_newPayloadV3"), "{words}");
    fake.inside().offered = Some(vec!["engine_newPayloadV4"]);
    node.waits("does not offer engine_forkchoiceUpdatedV3").await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_asked_again() {
    let chain = Chain::of(3);
    let fake = Fake::start(Inside { silent: 2, ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.waits("timeout").await;
    node.follows(3).await;
}

#[tokio::test]
async fn a_client_that_is_started_late_is_waited_for() {
    let chain = Chain::of(3);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut node = Node::start(&chain, &format!("http://{address}"), Kind::Ethereum);
    let words = node.waits("does not answer").await;
    assert!(words.contains("refused"), "{words}");
    let fake = Fake::start_at(Inside::new(&chain), address).await;
    node.follows(3).await;
    assert_eq!(fake.inside().head, chain.hash(3));
}

#[tokio::test]
async fn a_client_that_needs_what_is_deleted_is_told_so() {
    let chain = Chain::of(6);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start_with(&chain, &fake.url(), Kind::Ethereum, 4, SECRET);
    let words = node.waits("block 1, which is not kept").await;
    assert!(words.contains("retain_blocks"), "{words}");
    drop(node);
    // One that is near enough does not need it.
    let mut before = Node::start(&Chain::of(4), &fake.url(), Kind::Ethereum);
    before.follows(4).await;
    drop(before);
    let mut node = Node::start_with(&chain, &fake.url(), Kind::Ethereum, 4, SECRET);
    node.follows(6).await;
}

#[tokio::test]
async fn the_driver_ends_with_the_node() {
    let chain = Chain::of(1);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(1).await;
    drop(node.heads);
    node.driver.await.unwrap();
    // Also while it waits.
    fake.inside().chain_id = 7;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.waits("of chain 7").await;
    drop(node.heads);
    node.driver.await.unwrap();
}
