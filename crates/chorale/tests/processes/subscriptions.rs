//! Subscriptions to a rollup over WebSocket.

use crate::{
    cluster::Cluster,
    network::{Devnet, eventually, signal},
};
use chorale_api::{ChoraleApiClient as _, ErrorCode, HeaderAnswer, LaneAnswer, RollupEvent};
use jsonrpsee::{
    core::{
        client::{ClientT as _, Error, Subscription},
        params::BatchRequestBuilder,
    },
    http_client::HttpClientBuilder,
    rpc_params,
    ws_client::WsClientBuilder,
};
use serde_json::json;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
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

/// Whoever comes too late is told so, and from where on there is something.
#[test]
fn what_is_pruned_cannot_be_subscribed_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[("retention_heights", 64), ("idle_interval_ms", 20)]);
    cluster.start_all();
    let id = cluster.submit(0, "to be forgotten");
    cluster.wait_until_attested(&id);
    cluster.wait_for(0, 300);
    Runtime::new().unwrap().block_on(async {
        let client = WsClientBuilder::default().build(cluster.url(0).replace("http", "ws")).await.unwrap();
        let refused = client.subscribe_rollup(ROLLUP, 1).await.unwrap_err();
        let Error::Call(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused.code(), ErrorCode::Pruned.code(), "{refused:?}");
        let now = cluster.heights(0).0;
        let mut subscription = client.subscribe_rollup(ROLLUP, now).await.unwrap();
        cluster.submit(1, "after it");
        assert_eq!(lanes(&mut subscription, 1).await.0.len(), 1);
    });
}

/// A frame of text from a client, RFC 6455 section 5.2.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    // The mask is all zeros.
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// A WebSocket answers what HTTP answers, and what is no call gets an error.
#[test]
fn calls_batches_and_mistakes_are_answered_over_a_websocket() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    cluster.start_all();
    cluster.wait_for(0, 1);
    Runtime::new().unwrap().block_on(async {
        let client = WsClientBuilder::default().build(cluster.url(0).replace("http", "ws")).await.unwrap();
        assert_eq!(client.header(1).await.unwrap().height, 1);
        let Error::Call(error) = client.header(u64::MAX).await.unwrap_err() else { panic!("no answer") };
        assert_eq!(error.code(), ErrorCode::NotYet.code(), "{error}");
        let mut batch = BatchRequestBuilder::new();
        for height in [1, u64::MAX, 1] {
            batch.insert("chorale_header", rpc_params![height]).unwrap();
        }
        let answers = client.batch_request::<HeaderAnswer>(batch).await.unwrap();
        let heights: Vec<Option<u64>> = answers.into_iter().map(|header| Some(header.ok()?.height)).collect();
        assert_eq!(heights, [Some(1), None, Some(1)]);

        let mut subscriptions = Vec::new();
        for _ in 0..32 {
            subscriptions.push(client.subscribe_rollup(ROLLUP, 1).await.unwrap());
        }
        let Error::Call(error) = client.subscribe_rollup(ROLLUP, 1).await.unwrap_err() else { panic!("no answer") };
        assert_eq!(error.code(), ErrorCode::Busy.code(), "{error}");
        subscriptions.pop().unwrap().unsubscribe().await.unwrap();
        assert!(client.subscribe_rollup(ROLLUP, 1).await.is_ok());
    });
    let mut socket = socket(&cluster);
    let mut answers = String::new();
    for (message, answer) in [
        ("no JSON", "-32700"),
        ("[1]", "-32600"),
        // An identifier that is no number.
        (r#"{"jsonrpc":"2.0","id":1e999,"method":"chorale_unsubscribeRollup","params":[5]}"#, r#""code":-32700"#),
        (r#"{"jsonrpc":"2.0","id":"z","method":"chorale_subscribeRollup","params":[1001]}"#, "-32602"),
        (r#"{"jsonrpc":"2.0","id":"x","method":"chorale_nothing"}"#, "-32601"),
        (r#"{"jsonrpc":"2.0","id":"y","method":"chorale_unsubscribeRollup","params":[5]}"#, r#""result":false"#),
        (r#"[{"jsonrpc":"2.0","id":3,"method":"chorale_subscribeRollup","params":[1001,1]}]"#, "of its own"),
    ] {
        socket.write_all(&frame(message)).unwrap();
        while !answers.contains(answer) {
            let mut bytes = [0; 1024];
            let length = socket.read(&mut bytes).unwrap();
            assert!(length > 0, "hung up on after {message}: {answers}");
            answers.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }
}

/// Nothing that is too long is read, or left unanswered.
#[test]
fn what_is_too_long_is_answered_before_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    cluster.start(0);
    // The head of a frame of 2 MiB and one byte, RFC 6455 section 5.2.
    let mut head = vec![0x81, 0x80 | 127];
    head.extend((2 * 1024 * 1024 + 1_u64).to_be_bytes());
    head.extend([0; 4]);
    let mut over_websocket = socket(&cluster);
    over_websocket.write_all(&head).unwrap();
    let mut over_http = TcpStream::connect(cluster.url(0).replace("http://", "")).unwrap();
    let request = "POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nConnection: close\r\n\
                   Content-Length: 1000000000000000\r\n\r\n";
    over_http.write_all(request.as_bytes()).unwrap();
    for mut stream in [over_websocket, over_http] {
        let mut answer = Vec::new();
        // Up to the end of the connection, however that ends.
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("-32007"), "{answer}");
    }
}

/// A WebSocket without a client that reads what comes.
fn socket(cluster: &Cluster) -> TcpStream {
    let mut socket = TcpStream::connect(cluster.url(0).replace("http://", "")).unwrap();
    let upgrade = "GET / HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).unwrap();
    socket
}

/// Who asks for many blocks and reads no answer neither fills the node's memory nor keeps its places for ever.
#[test]
fn who_asks_and_does_not_read_is_hung_up_on_and_fills_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    cluster.start_all();
    let large = "x".repeat(100_000);
    let ids: Vec<String> = (0..10).map(|number| cluster.submit(0, &format!("{number} {large}"))).collect();
    ids.iter().for_each(|id| cluster.wait_until_attested(id));
    let status = cluster.ask(0, "chorale_transactionStatus", &json!([ids[0]]));
    let height = json!([status["result"]["height"]]);
    let ask = json!({ "jsonrpc": "2.0", "id": 1, "method": "chorale_block", "params": height });

    let mut deaf = socket(&cluster);
    // As many as one client may ask for after a silence: their answers are 800 MB at least.
    for _ in 0..4_000 {
        if deaf.write_all(&frame(&ask.to_string())).is_err() {
            break;
        }
    }
    eventually("nobody listens to it any more", || deaf.write_all(&frame("[]")).err());
    let memory = cluster.memory_max(0);
    assert!(memory < 300 << 20, "{memory} bytes");
    // The places are free again.
    let block = cluster.ask(0, "chorale_block", &height);
    assert!(block["result"]["payloads"].as_array().is_some_and(|payloads| !payloads.is_empty()), "{block}");
}

#[test]
fn who_subscribes_and_does_not_read_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[]);
    cluster.start_all();
    let mut deaf = socket(&cluster);
    for id in 0..8 {
        let ask = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"chorale_subscribeRollup","params":[{ROLLUP},1]}}"#);
        deaf.write_all(&frame(&ask)).unwrap();
    }
    // In hexadecimal, eight times: more than what sockets hold.
    let large = "x".repeat(100_000);
    for round in 0..40 {
        let id = cluster.submit(0, &format!("{round} {large}"));
        cluster.wait_until_attested(&id);
    }
    Runtime::new().unwrap().block_on(async {
        let client = WsClientBuilder::default().build(cluster.url(0).replace("http", "ws")).await.unwrap();
        let mut subscription = client.subscribe_rollup(ROLLUP, 1).await.unwrap();
        let (told, _) = lanes(&mut subscription, 40).await;
        assert_eq!(told.len(), 40, "somebody who reads is told everything meanwhile");
    });
    drop(deaf);
}
