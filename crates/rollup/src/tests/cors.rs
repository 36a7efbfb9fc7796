//! What browsers are told.

use super::network::Network;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Sends a request as it is and returns the answer, in small letters.
async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The server closes it: every request says so.
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(std::time::Duration::from_secs(60), read).await.unwrap().unwrap();
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
        let _server = crate::run::serve(listener, address, &network.server, &[cors.to_owned()]).unwrap();
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
