//! A client: strict in what it takes. It executes nothing, so what it finds invalid is for the test to say.

use super::chain::{Chain, SECRET};
use alloy_consensus::TxEnvelope;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, U64};
use alloy_rpc_types_engine::{ExecutionPayloadV3, ForkchoiceState};
use axum::{Router, body::Bytes as Body, extract::State as Shared, http::HeaderMap, http::StatusCode, routing::post};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// All fields of a payload of Cancun and Prague.
const PAYLOAD_FIELDS: [&str; 17] = [
    "parentHash",
    "feeRecipient",
    "stateRoot",
    "receiptsRoot",
    "logsBloom",
    "prevRandao",
    "blockNumber",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "baseFeePerGas",
    "blockHash",
    "transactions",
    "withdrawals",
    "blobGasUsed",
    "excessBlobGas",
];

/// What a client has and how it behaves.
pub(super) struct Inside {
    /// Blocks by hash: number, parent, and as `eth_getBlockByNumber` gives them.
    pub(super) blocks: BTreeMap<B256, (u64, B256, Value)>,
    pub(super) head: B256,
    pub(super) safe: B256,
    pub(super) finalized: B256,
    pub(super) chain_id: u64,
    pub(super) offered: Option<Vec<&'static str>>,
    /// Calls with these methods, in order; of `newPayload` with the number of the block.
    pub(super) calls: Vec<(String, Option<u64>)>,
    /// So many of the next `newPayload` are answered as if it were syncing.
    pub(super) syncing: u32,
    /// So many of the next `newPayload` are put aside, as on another branch: executed when told so.
    pub(super) accepted: u32,
    /// This block is found invalid.
    pub(super) invalid: Option<u64>,
    /// This block is said to have another hash.
    pub(super) renamed: Option<u64>,
    /// So many of the next calls are never answered.
    pub(super) silent: u32,
    /// The OP stack's part.
    pub(super) built: BTreeMap<String, Value>,
    pub(super) optimism: Option<super::optimism::Rules>,
}

/// The process around it.
pub(super) struct Fake {
    inside: Arc<Mutex<Inside>>,
    pub(super) address: std::net::SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(super) fn block_json(number: u64, hash: B256, header: &alloy_consensus::Header, transactions: &[B256]) -> Value {
    json!({
        "number": U64::from(number), "hash": hash, "timestamp": U64::from(header.timestamp), "mixHash": header.mix_hash,
        "extraData": header.extra_data, "transactions": transactions,
    })
}

impl Inside {
    /// One that has block 0 only.
    pub(super) fn new(chain: &Chain) -> Self {
        let header = &chain.blocks[0].header;
        let genesis = header.hash();
        let first = (0, B256::ZERO, block_json(0, genesis, header, &[]));
        Self {
            blocks: [(genesis, first)].into(),
            head: genesis,
            safe: B256::ZERO,
            finalized: B256::ZERO,
            chain_id: super::chain::ROLLUP,
            offered: Some(vec![
                "engine_newPayloadV3",
                "engine_newPayloadV4",
                "engine_forkchoiceUpdatedV3",
                "engine_getPayloadV4",
            ]),
            calls: Vec::new(),
            syncing: 0,
            accepted: 0,
            invalid: None,
            renamed: None,
            silent: 0,
            built: BTreeMap::new(),
            optimism: None,
        }
    }

    /// Its chain from a block back to block 0, or nothing if a block is missing.
    fn branch(&self, head: B256) -> Option<Vec<B256>> {
        let mut branch = vec![head];
        loop {
            let (number, parent, _) = self.blocks.get(branch.last()?)?;
            if *number == 0 {
                return Some(branch);
            }
            branch.push(*parent);
        }
    }

    /// The block of its chain with a number.
    pub(super) fn at(&self, number: u64) -> Option<&Value> {
        let branch = self.branch(self.head).unwrap();
        branch.iter().map(|hash| &self.blocks[hash]).find(|(at, ..)| *at == number).map(|(.., block)| block)
    }

    pub(super) fn head_number(&self) -> u64 {
        self.blocks[&self.head].0
    }

    pub(super) fn handed(&self) -> Vec<u64> {
        self.calls.iter().filter_map(|(_, number)| *number).collect()
    }

    fn answer(&mut self, method: &str, params: &[Value]) -> Result<Value, (i64, String)> {
        match method {
            "engine_exchangeCapabilities" => match &self.offered {
                Some(offered) => Ok(json!(offered)),
                None => Err((-32_601, "the method does not exist".to_owned())),
            },
            "eth_chainId" => Ok(json!(U64::from(self.chain_id))),
            "web3_clientVersion" => Ok(json!("fake/1")),
            "eth_getBlockByNumber" => {
                assert_eq!(params.len(), 2, "{params:?}");
                assert_eq!(params[1], json!(false));
                let number = match params[0].as_str().unwrap() {
                    "latest" => self.head_number(),
                    number => number.parse::<U64>().unwrap().to(),
                };
                Ok(self.at(number).cloned().unwrap_or_default())
            }
            "engine_newPayloadV4" => Ok(self.new_payload(params)),
            "engine_forkchoiceUpdatedV3" => self.forkchoice(params),
            "engine_getPayloadV4" => Ok(self.built.remove(params[0].as_str().unwrap()).unwrap()),
            other => panic!("{other} is called, and was not offered"),
        }
    }

    fn new_payload(&mut self, params: &[Value]) -> Value {
        let [payload, blobs, beacon_root, requests] = params else { panic!("{} parameters", params.len()) };
        assert_eq!(*blobs, json!([]), "there are no blobs");
        let status = |status: &str, valid: Option<B256>, error: Option<&str>| json!({ "status": status, "latestValidHash": valid, "validationError": error });
        if self.optimism.is_some() {
            return self.keep_built(payload, beacon_root, requests);
        }
        let fields: BTreeSet<&str> = payload.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, PAYLOAD_FIELDS.into(), "the fields of a payload");
        let typed: ExecutionPayloadV3 = serde_json::from_value(payload.clone()).unwrap();
        let mut block = typed.try_into_block::<TxEnvelope>().unwrap();
        block.header.parent_beacon_block_root = Some(serde_json::from_value(beacon_root.clone()).unwrap());
        let requests: Requests = serde_json::from_value(requests.clone()).unwrap();
        block.header.requests_hash = Some(requests.requests_hash());
        let (header, hash) = (&block.header, block.header.hash_slow());
        let said: B256 = serde_json::from_value(payload["blockHash"].clone()).unwrap();
        if said != hash {
            return status("INVALID", None, Some("the hash is not that of the fields"));
        }
        let Some((parent_number, _, parent)) = self.blocks.get(&header.parent_hash) else {
            return status("SYNCING", None, None);
        };
        assert_eq!(header.number, parent_number + 1);
        let parent_time: U64 = serde_json::from_value(parent["timestamp"].clone()).unwrap();
        if self.invalid == Some(header.number) || U64::from(header.timestamp) <= parent_time {
            return status("INVALID", Some(header.parent_hash), Some("it is not what I find"));
        }
        if take_one(&mut self.syncing) {
            return status("SYNCING", None, None);
        }
        let hashes: Vec<B256> = block.body.transactions.iter().map(|it| *it.tx_hash()).collect();
        let made = block_json(header.number, hash, header, &hashes);
        self.blocks.insert(hash, (header.number, header.parent_hash, made));
        if take_one(&mut self.accepted) {
            return status("ACCEPTED", None, None);
        }
        let renamed = self.renamed == Some(header.number);
        status("VALID", Some(if renamed { B256::repeat_byte(9) } else { hash }), None)
    }

    fn forkchoice(&mut self, params: &[Value]) -> Result<Value, (i64, String)> {
        let [state, attributes] = params else { panic!("{} parameters", params.len()) };
        assert_eq!(state.as_object().map(Map::len), Some(3), "{state}");
        let state: ForkchoiceState = serde_json::from_value(state.clone()).unwrap();
        let Some(branch) = self.branch(state.head_block_hash) else {
            return Ok(json!({ "payloadStatus": { "status": "SYNCING", "latestValidHash": null }, "payloadId": null }));
        };
        for hash in [state.safe_block_hash, state.finalized_block_hash] {
            if !hash.is_zero() && !branch.contains(&hash) {
                return Err((-38_002, format!("{hash} is not before the head")));
            }
        }
        self.head = state.head_block_hash;
        self.safe = state.safe_block_hash;
        self.finalized = state.finalized_block_hash;
        let id = if attributes.is_null() { None } else { Some(self.build(attributes)) };
        let status = json!({ "status": "VALID", "latestValidHash": self.head, "validationError": null });
        Ok(json!({ "payloadStatus": status, "payloadId": id }))
    }
}

fn take_one(count: &mut u32) -> bool {
    let any = *count > 0;
    *count -= u32::from(any);
    any
}

/// Checks a token as a client does, by itself.
fn is_let_in(headers: &HeaderMap) -> bool {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{token}") };
    let decoded = |part| -> Vec<u8> { URL_SAFE_NO_PAD.decode(part).unwrap() };
    assert_eq!(serde_json::from_slice::<Value>(&decoded(header)).unwrap(), json!({ "alg": "HS256", "typ": "JWT" }));
    let claims_json: Value = serde_json::from_slice(&decoded(claims)).unwrap();
    assert_eq!(claims_json.as_object().map(Map::len), Some(1));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(format!("{header}.{claims}").as_bytes());
    mac.verify_slice(&decoded(signature)).is_ok() && claims_json["iat"].as_u64().unwrap().abs_diff(now) < 60
}

async fn answer(Shared(inside): Shared<Arc<Mutex<Inside>>>, headers: HeaderMap, body: Body) -> (StatusCode, String) {
    if !is_let_in(&headers) {
        return (StatusCode::UNAUTHORIZED, "stale or wrong".to_owned());
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let method = request["method"].as_str().unwrap();
    let params = request["params"].as_array().cloned().unwrap_or_default();
    let answered = {
        let mut inside = inside.lock().unwrap();
        if take_one(&mut inside.silent) {
            None
        } else {
            let number = params.first().and_then(|payload| payload["blockNumber"].as_str());
            let number = number.map(|number| number.parse::<U64>().unwrap().to());
            inside.calls.push((method.to_owned(), number));
            Some(inside.answer(method, &params))
        }
    };
    let answer = match answered {
        None => std::future::pending().await,
        Some(Ok(result)) => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
        Some(Err((code, message))) => {
            json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": code, "message": message } })
        }
    };
    (StatusCode::OK, answer.to_string())
}

impl Fake {
    pub(super) async fn start(inside: Inside) -> Self {
        Self::start_at(inside, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(super) async fn start_at(inside: Inside, address: std::net::SocketAddr) -> Self {
        let inside = Arc::new(Mutex::new(inside));
        // After a restart the port may be taken for a moment yet.
        let listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}"),
            }
            tokio::task::yield_now().await;
        };
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&inside));
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inside, address, server }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }
}
