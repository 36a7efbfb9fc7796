//! Subscriptions to a rollup over WebSocket.

use crate::network::{Devnet, signal};
use chorale_api::{ChoraleApiClient as _, ErrorCode, LaneAnswer, RollupEvent};
use jsonrpsee::{
    core::client::{Error, Subscription},
    http_client::HttpClientBuilder,
    ws_client::WsClientBuilder,
};
use tokio::runtime::Runtime;

const ROLLUP: u64 = 1_001;

/// The next lanes of a subscription, and how many hints came between them; fewer if the node goes away.
async fn lanes(subscription: &mut Subscription<RollupEvent>, count: usize) -> (Vec<LaneAnswer>, usize) {
    let (mut lanes, mut hints) = (Vec::new(), 0);
    while lanes.len() < count {
        match subscription.next().await {
            Some(Ok(RollupEvent::Lane(lane))) => lanes.push(lane),
            Some(Ok(RollupEvent::Proposed(_) | RollupEvent::Certified(_))) => hints += 1,
            Some(Err(error)) => panic!("{error}"),
            None => break,
        }
    }
    (lanes, hints)
}

/// Under a load a subscriber is told all heights with content of its rollup, each once and in order, also if its node is
/// killed and it goes on with another.
#[test]
fn a_subscriber_is_told_every_height_once_whichever_nodes_it_uses() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(folder.path(), &["--validators", "4", "--rollups", "2", "--load", "50"]);
    let urls: Vec<String> = devnet.status().iter().map(|node| node["url"].as_str().unwrap().to_owned()).collect();
    Runtime::new().unwrap().block_on(async {
        let client =
            async |node: usize| WsClientBuilder::default().build(urls[node].replace("http", "ws")).await.unwrap();
        let first = client(0).await;
        let mut subscription = first.subscribe_rollup(ROLLUP, 1).await.unwrap();
        let (mut told, hints) = lanes(&mut subscription, 5).await;
        assert!(hints > 0, "headers are proposed and certified meanwhile");

        signal("KILL", devnet.nodes()[0]);
        told.extend(lanes(&mut subscription, usize::MAX).await.0);
        let last = told.last().unwrap().height;
        let second = client(1).await;
        let mut subscription = second.subscribe_rollup(ROLLUP, last + 1).await.unwrap();
        told.extend(lanes(&mut subscription, 5).await.0);

        // What the methods say, one height after the other, is the same.
        let asked = HttpClientBuilder::default().build(&urls[2]).unwrap();
        let mut after = 0;
        for lane in &told {
            after = loop {
                // This node may be a moment behind.
                match asked.next_content(ROLLUP, after).await.unwrap() {
                    Some(next) => break next,
                    None => tokio::task::yield_now().await,
                }
            };
            assert_eq!(lane.height, after);
            let same = asked.lane(ROLLUP, after).await.unwrap();
            assert_eq!((&lane.outcome, &lane.claim), (&same.outcome, &same.claim));
            assert!(lane.attestation.is_some() && lane.has_content, "{lane:?}");
        }

        let refused = second.subscribe_rollup(9, 1).await.unwrap_err();
        let Error::Call(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused.code(), ErrorCode::NotFound.code());
    });
    devnet.wait_for_line("node-0 runs again");
    devnet.end("TERM");
}
