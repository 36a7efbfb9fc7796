//! The methods of an execution client that are used, and its answers.

use crate::{
    token::{Bearer, Secret, WithToken},
    trouble::Trouble,
};
use alloy_primitives::{B64, B256, Bytes, U64};
use alloy_rpc_types_engine::ForkchoiceState;
use jsonrpsee::{
    core::{client::ClientT as _, middleware::layer::RpcLogger, traits::ToRpcParams},
    http_client::{HttpClient, HttpClientBuilder, RpcService, transport::HttpBackend},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json as object, value::RawValue};
use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) const NEW_PAYLOAD_V3: &str = "engine_newPayloadV3";
pub(crate) const NEW_PAYLOAD_V4: &str = "engine_newPayloadV4";
pub(crate) const FORKCHOICE_V3: &str = "engine_forkchoiceUpdatedV3";
pub(crate) const GET_PAYLOAD_V3: &str = "engine_getPayloadV3";
pub(crate) const GET_PAYLOAD_V4: &str = "engine_getPayloadV4";
pub(crate) const GET_PAYLOAD_V5: &str = "engine_getPayloadV5";
const CLIENT_VERSION: &str = "engine_getClientVersionV1";
/// What may be called here: the client is told, as it tells what it offers.
const METHODS: [&str; 7] =
    [NEW_PAYLOAD_V3, NEW_PAYLOAD_V4, FORKCHOICE_V3, GET_PAYLOAD_V3, GET_PAYLOAD_V4, GET_PAYLOAD_V5, CLIENT_VERSION];
/// Of its name, what is kept.
const NAME_CHARACTERS_MAX: usize = 100;

/// The largest block in hexadecimal, and what is around it.
const BYTES_MAX: u32 = 64 * 1024 * 1024;
/// `METHOD_NOT_FOUND` of JSON-RPC.
const METHOD_NOT_FOUND: i32 = -32_601;

type Transport = RpcLogger<RpcService<WithToken<HttpBackend>>>;

/// A client that is driven.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    rpc: HttpClient<Transport>,
    secret: PathBuf,
    /// What it says it offers; none if it does not say.
    offered: Option<BTreeSet<String>>,
}

/// What the client makes of a payload, or of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Verdict {
    /// It found the same.
    Valid,
    /// It found something else.
    Invalid,
    /// Its hash is not that of its fields: older clients say it like this.
    InvalidBlockHash,
    /// It lacks what was before.
    Syncing,
    /// It has what was before and has not executed it: it is not on the branch of its head.
    Accepted,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PayloadStatus {
    pub(crate) status: Verdict,
    #[serde(default)]
    pub(crate) latest_valid_hash: Option<B256>,
    #[serde(default)]
    pub(crate) validation_error: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Updated {
    pub(crate) payload_status: PayloadStatus,
    #[serde(default)]
    pub(crate) payload_id: Option<B64>,
}

/// Of a block of the client, what is looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientBlock {
    pub(crate) number: U64,
    pub(crate) hash: B256,
    pub(crate) timestamp: U64,
    pub(crate) mix_hash: B256,
    pub(crate) extra_data: Bytes,
    /// Hashes.
    pub(crate) transactions: Vec<B256>,
}

/// Who a client is.
#[derive(Clone, Debug, Deserialize)]
struct Version {
    name: String,
    version: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// An answer, as it was and as it is understood.
#[derive(Clone, Debug)]
pub(crate) struct Answered<T> {
    pub(crate) raw: Value,
    pub(crate) answer: T,
}

/// Parameters that are JSON already: a block is turned into it once, for the call and for what may have to be shown of it.
struct Params<'a>(&'a [Value]);

impl ToRpcParams for Params<'_> {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        serde_json::value::to_raw_value(self.0).map(Some)
    }
}

impl Client {
    /// Connects to none yet.
    pub(crate) fn new(url: &str, secret: &Path, timeout: Duration) -> Result<Self, Trouble> {
        let bearer = Bearer(Secret::read(secret)?);
        let rpc = HttpClientBuilder::default()
            .request_timeout(timeout)
            .max_request_size(BYTES_MAX)
            .max_response_size(BYTES_MAX)
            .set_http_middleware(tower::ServiceBuilder::new().layer(bearer))
            .build(url)
            .map_err(|error| Trouble::Url { url: url.to_owned(), reason: error.to_string() })?;
        Ok(Self { rpc, secret: secret.to_owned(), offered: None })
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Answered<T>, Trouble> {
        let raw: Value =
            self.rpc.request(method, Params(params)).await.map_err(|error| Trouble::of(method, &self.secret, error))?;
        match T::deserialize(&raw) {
            Ok(answer) => Ok(Answered { raw, answer }),
            Err(error) => Err(Trouble::Answer { method, reason: error.to_string() }),
        }
    }

    /// Asks what it offers. Not all clients answer; then it is found out by calling.
    pub(crate) async fn exchange_capabilities(&mut self) -> Result<(), Trouble> {
        let asked = self.call("engine_exchangeCapabilities", &[json(&METHODS)]).await;
        self.offered = match asked {
            Ok(Answered { answer, .. }) => Some(answer),
            Err(Trouble::Refused { code: METHOD_NOT_FOUND, .. }) => None,
            Err(trouble) => return Err(trouble),
        };
        Ok(())
    }

    pub(crate) fn offers(&self, method: &str) -> bool {
        self.offered.as_ref().is_none_or(|offered| offered.contains(method))
    }

    /// That it offers a method.
    pub(crate) fn require(&self, method: &'static str) -> Result<(), Trouble> {
        if self.offers(method) {
            return Ok(());
        }
        let kind = method.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let offered: Vec<&str> =
            self.offered.iter().flatten().map(String::as_str).filter(|it| it.starts_with(kind)).collect();
        let offered = if offered.is_empty() { "none of its kind".to_owned() } else { offered.join(", ") };
        Err(Trouble::Method { method, offered })
    }

    /// Its name and version, if it tells.
    pub(crate) async fn version(&self) -> String {
        let told = if self.offered.is_some() && self.offers(CLIENT_VERSION) {
            let own = object!({
                "code": "CH", "name": "Chorale", "version": env!("CARGO_PKG_VERSION"), "commit": "0x00000000",
            });
            let asked = self.call::<Vec<Version>>(CLIENT_VERSION, &[own]).await.ok();
            asked.and_then(|asked| Some(asked.answer.first()?.to_string()))
        } else {
            self.call::<String>("web3_clientVersion", &[]).await.ok().map(|asked| asked.answer)
        };
        told.map_or_else(|| "unnamed".to_owned(), |told| told.chars().take(NAME_CHARACTERS_MAX).collect())
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, Trouble> {
        Ok(self.call::<U64>("eth_chainId", &[]).await?.answer.to())
    }

    /// A block by `latest` or its number.
    pub(crate) async fn block(&self, tag: &str) -> Result<Option<ClientBlock>, Trouble> {
        Ok(self.call("eth_getBlockByNumber", &[tag.into(), false.into()]).await?.answer)
    }

    pub(crate) async fn block_at(&self, number: u64) -> Result<Option<ClientBlock>, Trouble> {
        self.block(&format!("{number:#x}")).await
    }

    pub(crate) async fn latest(&self) -> Result<ClientBlock, Trouble> {
        let reason = "it has no latest block".to_owned();
        self.block("latest").await?.ok_or(Trouble::Answer { method: "eth_getBlockByNumber", reason })
    }

    /// Tells it its heads, with what it shall make a block of, if something.
    pub(crate) async fn forkchoice(
        &self,
        state: &ForkchoiceState,
        attributes: Option<Value>,
    ) -> Result<Answered<Updated>, Trouble> {
        self.call(FORKCHOICE_V3, &[json(state), attributes.unwrap_or_default()]).await
    }
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("what is told to clients is JSON")
}
