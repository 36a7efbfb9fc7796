//! What browsers are told, and operators' tools.

use super::network::Network;
use crate::figures::{EngineStates, Told, pages};
use chorale_engine::State;
use chorale_types::RollupId;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

/// The pages of a node with an execution client in this state.
fn pages_of(network: &Network, is_level: bool, engine: State) -> chorale_api::Pages {
    pages_since(network, is_level, engine, Instant::now())
}

/// The same, where it heard of the chain at another time.
fn pages_since(network: &Network, is_level: bool, engine: State, alive: Instant) -> chorale_api::Pages {
    let engines = EngineStates::from([(RollupId(1001), watch::channel(engine).1)]);
    let (shared, level) = (Arc::clone(&network.server.shared), watch::channel(is_level).1);
    pages(Told { shared, level, alive: watch::channel(alive).1, engines })
}

/// Sends a request as it is and returns the answer, in small letters.
async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The server closes it: every request says so.
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(60), read).await.unwrap().unwrap();
    answer.to_lowercase()
}

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS / HTTP/1.1\nHost: rollup\nOrigin: {origin}\nAccess-Control-Request-Method: POST\n\
         Access-Control-Request-Headers: content-type\nConnection: close\n\n"
    )
}

fn question(origin: &str) -> String {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let length = body.len();
    format!(
        "POST / HTTP/1.1\nHost: rollup\nOrigin: {origin}\nContent-Type: application/json\nContent-Length: {length}\n\
         Connection: close\n\n{body}"
    )
}

fn socket(origin: &str) -> String {
    format!(
        "GET / HTTP/1.1\nHost: rollup\nOrigin: {origin}\nUpgrade: websocket\nConnection: upgrade, close\n\
         Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
    )
}

#[tokio::test]
async fn pages_of_allowed_origins_may_use_it() {
    let network = Network::start().await;
    for (cors, allowed, told) in
        [("*", "https://any.example", "*"), ("https://a.example", "https://a.example", "https://a.example")]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let pages = pages_of(&network, true, State::default());
        let _server = crate::run::serve(listener, address, &network.server, &[cors.to_owned()], &pages).unwrap();
        let says = format!("access-control-allow-origin: {told}\r\n");
        let before = ask(address, &preflight(allowed)).await;
        assert!(before.starts_with("http/1.1 204") && before.contains(&says), "{before}");
        assert!(before.contains("access-control-allow-methods: post\r\n"), "{before}");
        assert!(before.contains("access-control-allow-headers: content-type\r\n"), "{before}");
        let answer = ask(address, &question(allowed)).await;
        assert!(answer.contains(&says) && answer.contains(r#""result":"0x3e9""#), "{answer}");
        if cors != "*" {
            let before = ask(address, &preflight("https://other.example")).await;
            assert!(!before.contains("access-control-allow"), "{before}");
            let answer = ask(address, &question("https://other.example")).await;
            assert!(!answer.contains("access-control-allow"), "{answer}");
            let refused = ask(address, &socket("https://other.example")).await;
            assert!(refused.starts_with("http/1.1 403"), "{refused}");
        }
    }
}

#[tokio::test]
async fn operators_tools_are_told_how_the_node_is() {
    let mut network = Network::start().await;
    let wallet = super::network::Wallet::first();
    network.order(&[wallet.call(0, wallet.address(), vec![]), wallet.call(1, wallet.address(), vec![])]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let pages = pages_of(&network, false, State::Following(1));
    let _server = crate::run::serve(listener, address, &network.server, &[], &pages).unwrap();
    let get =
        async |path: &str| ask(address, &format!("GET {path} HTTP/1.1\nHost: rollup\nConnection: close\n\n")).await;
    let figures = get("/metrics").await;
    assert!(figures.contains("content-type: text/plain; version=0.0.4"), "{figures}");
    for figure in [
        "\nchorale_rollup_height 1\n",
        "\nchorale_rollup_ready 0\n",
        "\nchorale_rollup_block{rollup=\"1001\"} 1\n",
        "\nchorale_rollup_transactions_total{rollup=\"1001\"} 2\n",
        "\nchorale_rollup_gas_total{rollup=\"1001\"} 42000\n",
        "\nchorale_rollup_engine_block{rollup=\"1001\"} 1\n",
        "\nchorale_rollup_engine_alarm{rollup=\"1001\"} 0\n",
    ] {
        assert!(figures.contains(figure), "{figure}: {figures}");
    }
    assert!(get("/healthz").await.starts_with("http/1.1 200"));
    let behind = get("/readyz").await;
    assert!(behind.starts_with("http/1.1 503") && behind.contains("executed to height 1"), "{behind}");
    let level = pages_of(&network, true, State::Alarm(None));
    assert_eq!(level("/readyz").unwrap().status, 200);
    assert!(level("/metrics").unwrap().text.contains("chorale_rollup_engine_alarm{rollup=\"1001\"} 1\n"));
    assert!(level("/").is_none());
    let long_ago = Instant::now().checked_sub(Duration::from_secs(31)).unwrap();
    let silent = pages_since(&network, true, State::Following(1), long_ago);
    assert_eq!(silent("/readyz").unwrap().status, 503);
}
