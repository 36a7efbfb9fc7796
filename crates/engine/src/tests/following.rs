//! Clients without faults, wherever they are.

use super::{
    chain::{Chain, Node, heads},
    fake::{Fake, Inside},
};
use crate::Kind;
use alloy_primitives::B256;

#[tokio::test]
async fn a_client_is_handed_every_block_once_in_order_and_its_heads() {
    let mut chain = Chain::of(5);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(5).await;
    {
        let inside = fake.inside();
        assert_eq!(inside.handed(), [1, 2, 3, 4, 5]);
        assert_eq!((inside.head, inside.safe, inside.finalized), (chain.hash(5), chain.hash(5), B256::ZERO));
        assert_eq!(inside.calls[0].0, "engine_exchangeCapabilities");
    }
    chain.next(1);
    chain.next(2);
    node.make(&chain, heads(7, 6, 5));
    node.follows(7).await;
    let inside = fake.inside();
    assert_eq!(inside.handed(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((inside.head, inside.safe, inside.finalized), (chain.hash(7), chain.hash(6), chain.hash(5)));
}

/// Heads move without a block, when what was executed is attested.
#[tokio::test]
async fn heads_are_told_when_they_move() {
    let chain = Chain::of(3);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(3).await;
    node.make(&chain, heads(3, 3, 2));
    while fake.inside().finalized != chain.hash(2) {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.inside().handed(), [1, 2, 3]);
}

#[tokio::test]
async fn a_client_that_has_some_of_it_is_handed_the_rest() {
    let chain = Chain::of(70);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut part = Node::start(&Chain::of(40), &fake.url(), Kind::Ethereum);
    part.follows(40).await;
    drop(part.heads);
    part.driver.await.unwrap();
    fake.inside().calls.clear();
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(70).await;
    let inside = fake.inside();
    assert_eq!(inside.handed(), (41..=70).collect::<Vec<u64>>());
    // One that catches up is told heads on the way: it may keep in memory what is behind none.
    let told = inside.calls.iter().filter(|(method, _)| method == "engine_forkchoiceUpdatedV3").count();
    assert!(told >= 2, "{told}");
}

/// It was started anew, without its data, and says so only by what it lacks.
#[tokio::test]
async fn a_client_that_lost_everything_is_handed_all_of_it_again() {
    let mut chain = Chain::of(6);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(6).await;
    *fake.inside() = Inside::new(&chain);
    // Nothing new is there to be handed over: it is seen by looking.
    while fake.inside().head != chain.hash(6) {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.inside().handed(), [1, 2, 3, 4, 5, 6]);
    *fake.inside() = Inside::new(&chain);
    chain.next(1);
    node.make(&chain, heads(7, 7, 0));
    node.follows(7).await;
    assert_eq!(fake.inside().head, chain.hash(7));
}

/// The node has begun anew, with an empty folder.
#[tokio::test]
async fn a_client_that_is_ahead_is_led_back() {
    let chain = Chain::of(9);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(9).await;
    drop(node);
    fake.inside().calls.clear();
    let mut node = Node::start(&Chain::of(4), &fake.url(), Kind::Ethereum);
    node.follows(4).await;
    {
        let inside = fake.inside();
        assert_eq!((inside.head, inside.handed()), (chain.hash(4), vec![]));
    }
    node.make(&chain, heads(9, 9, 0));
    node.follows(9).await;
    assert_eq!(fake.inside().head, chain.hash(9));
}

#[tokio::test]
async fn a_client_on_another_branch_is_led_to_ours_from_where_they_part() {
    let mut other = Chain::of(3);
    for _ in 0..8 {
        other.next(5);
    }
    let chain = Chain::of(9);
    let fake = Fake::start(Inside::new(&chain)).await;
    let mut strange = Node::start(&other, &fake.url(), Kind::Ethereum);
    strange.follows(11).await;
    drop(strange.heads);
    strange.driver.await.unwrap();
    fake.inside().calls.clear();
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(9).await;
    assert_eq!(fake.inside().head, chain.hash(9));
    assert_eq!(fake.inside().handed(), [4, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_client_that_does_not_say_what_it_offers_is_driven_all_the_same() {
    let chain = Chain::of(2);
    let fake = Fake::start(Inside { offered: None, ..Inside::new(&chain) }).await;
    let mut node = Node::start(&chain, &fake.url(), Kind::Ethereum);
    node.follows(2).await;
    assert_eq!(fake.inside().head, chain.hash(2));
}
