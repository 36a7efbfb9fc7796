//! The API of a running node: as docs/rpc.md describes it, and fed with nonsense.

use crate::network::{Devnet, chorale, stdout};
use chorale_api::ErrorCode;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

const DOCUMENT: &str = include_str!("../../../../docs/rpc.md");

/// JSON-RPC's own codes, and the server's for what is too large.
const CODES_OF_THE_SERVER: [i64; 8] = [-32_700, -32_600, -32_601, -32_602, -32_603, -32_007, -32_008, -32_010];

/// One HTTP request; status and body of the answer.
fn http(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn get(address: &str, path: &str) -> (u16, String) {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"))
}

fn post(address: &str, body: &str) -> (u16, String) {
    let head = "POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\nConnection: close";
    http(address, &format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

pub(crate) fn call(address: &str, body: &str) -> Value {
    let (status, answer) = post(address, body);
    assert_eq!(status, 200, "{body}: {answer}");
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{body}: {error}: {answer}"))
}

/// Fails unless the answer is a result, or an error that is documented.
fn is_documented(request: &str, answer: &Value) {
    let Some(error) = answer.get("error") else {
        assert!(answer.get("result").is_some(), "{request}: {answer}");
        return;
    };
    let code = error["code"].as_i64().unwrap();
    let ours = ErrorCode::ALL.iter().any(|known| i64::from(known.code()) == code);
    assert!(ours || CODES_OF_THE_SERVER.contains(&code), "{request}: {answer}");
    assert!(DOCUMENT.contains(&code.to_string()), "{code} is not in docs/rpc.md: {request}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{request}: {answer}");
}

fn examples() -> Vec<&'static str> {
    DOCUMENT.lines().filter(|line| line.starts_with("{\"jsonrpc\"")).collect()
}

fn methods() -> BTreeSet<String> {
    let method =
        |example: &&str| serde_json::from_str::<Value>(example).unwrap()["method"].as_str().unwrap().to_owned();
    examples().iter().map(method).collect()
}

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn nonsense(&mut self, depth: u32) -> Value {
        let text = |random: &mut Self, len: u64| {
            let letters = ["0x", "0", "f", "z", "\"", "\\", "\u{0}", "é", "AAAA", "=", "-1", " "];
            (0..len).map(|_| letters[usize::try_from(random.next() % 12).unwrap()]).collect::<String>()
        };
        match self.next() % if depth == 0 { 9 } else { 12 } {
            0 => Value::Null,
            1 => json!(self.next().is_multiple_of(2)),
            2 => json!(self.next()),
            3 => json!(-1),
            4 => json!(1.5e300),
            5 => json!(u64::MAX),
            6 => json!(self.next() % 2_000),
            7 => json!(text(self, 8)),
            8 => json!(text(self, 400)),
            9 => json!((0..self.next() % 5).map(|_| self.nonsense(depth - 1)).collect::<Vec<_>>()),
            10 => json!({ "rollup": self.nonsense(0), "data": self.nonsense(0) }),
            _ => json!({ "legs": self.nonsense(depth - 1), "expiry": self.nonsense(0), "salt": self.nonsense(0) }),
        }
    }
}

#[test]
fn the_api_is_as_documented_and_answers_nonsense_with_documented_errors() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(folder.path(), &["--validators", "1", "--rollups", "2"]);
    let url = devnet.status()[0]["url"].as_str().unwrap().to_owned();
    let address = url.trim_start_matches("http://");

    // Every method is documented, and every example is answered.
    for example in examples() {
        let answer = call(address, example);
        is_documented(example, &answer);
        assert_ne!(answer["error"]["code"], -32_601, "{example}");
        assert_ne!(answer["error"]["code"], -32_602, "{example}: {answer}");
    }
    let source = include_str!("../../../api/src/rpc.rs");
    for line in source.lines().filter_map(|line| line.trim().strip_prefix("#[method(name = \"")) {
        let name = format!("chorale_{}", line.split('"').next().unwrap());
        assert!(methods().contains(&name), "docs/rpc.md has no example of {name}");
    }

    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    for figure in ["chorale_height_committed ", "chorale_mempool_waiting ", "# TYPE chorale_view gauge"] {
        assert!(metrics.contains(figure), "{figure}: {metrics}");
    }
    assert_eq!(get(address, "/healthz").0, 200);

    let seed = 20_261_125;
    println!("seed {seed}");
    let mut random = Random(seed);
    for method in methods() {
        for _ in 0..40 {
            let params: Vec<Value> = (0..random.next() % 4).map(|_| random.nonsense(2)).collect();
            let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
            is_documented(&request, &call(address, &request));
        }
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": random.nonsense(2) }).to_string();
        let (_, answer) = post(address, &request);
        if let Ok(answer) = serde_json::from_str(&answer) {
            is_documented(&request, &answer);
        }
    }
    for garbage in ["", "{", "[]", "null", "\u{0}\u{1}", "{\"jsonrpc\":\"2.0\",\"id\":1}", "[1,2,3]"] {
        let _ = post(address, garbage);
    }
    assert_eq!(get(address, "/healthz").0, 200, "the node lives");
    devnet.end("TERM");
}

/// Who asks for too much is told so, and in which time it may ask again; who only looks after the node is not.
#[test]
fn one_client_cannot_ask_for_more_than_its_part() {
    let folder = tempfile::tempdir().unwrap();
    let network = folder.path().join("network");
    stdout(&chorale(&["init", "--executed", "0", "--validators", "1", "--dir", network.to_str().unwrap()]));
    let config = network.join("node-0/node.toml");
    let text = fs::read_to_string(&config).unwrap();
    let default = format!("rpc_bytes_per_second = {}", 32 * 1024 * 1024);
    assert!(text.contains(&default), "{text}");
    fs::write(&config, text.replace(&default, "rpc_bytes_per_second = 1000")).unwrap();
    let devnet = Devnet::start(&network, &[]);
    let url = devnet.status()[0]["url"].as_str().unwrap().to_owned();
    let address = url.trim_start_matches("http://");

    let transaction = json!([{ "rollup": 1001, "data": format!("0x{}", "ab".repeat(5_000)) }]);
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "chorale_submitTransaction", "params": transaction });
    let refused = |answer: &Value| {
        assert_eq!(answer["error"]["code"], json!(ErrorCode::TooManyRequests.code()), "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("try again in"), "{answer}");
    };
    // The first one takes all that there is, unless the devnet's own questions took some of it.
    let _ = post(address, &request.to_string());
    for body in [request.to_string(), json!([request, request]).to_string()] {
        let (status, answer) = post(address, &body);
        assert_eq!(status, 429, "{answer}");
        refused(&serde_json::from_str(&answer).unwrap());
    }
    assert_eq!(get(address, "/healthz").0, 200);
    devnet.end("TERM");

    // Requests are counted one by one, also in a batch.
    fs::write(&config, text.replace("rpc_requests_per_second = 1000", "rpc_requests_per_second = 20")).unwrap();
    let devnet = Devnet::start(&network, &[]);
    let node = json!({ "jsonrpc": "2.0", "id": 1, "method": "chorale_header", "params": [1] });
    let batch = call(address, &json!(vec![node; 100]).to_string());
    let answers = batch.as_array().unwrap();
    refused(answers.last().unwrap());
    assert_eq!(get(address, "/healthz").0, 200);
    devnet.end("TERM");
}
