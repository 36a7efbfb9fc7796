//! Nodes that commands talk to.

use crate::network::layout::Layout;
use anyhow::{Context, Result, bail};
use chorale_api::{ChoraleApiClient as _, State, StatusAnswer};
use clap::Args;
use jsonrpsee::{
    core::client::Error,
    http_client::{HttpClient, HttpClientBuilder},
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A batch of transactions as JSON, and a lane of a full payload.
const MESSAGE_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Which nodes to talk to.
#[derive(Args, Clone, Debug)]
pub(crate) struct NodesArgument {
    /// URL of a node's API, for example http://127.0.0.1:8545. May be given several times.
    #[arg(long = "node", value_name = "URL")]
    urls: Vec<String>,
    /// Folder of a network on this machine, whose nodes to talk to if no --node is given.
    #[arg(long, value_name = "FOLDER", default_value = "devnet")]
    network: PathBuf,
}

/// A node's API.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// For people: the folder of a node on this machine, else its URL.
    pub(crate) name: String,
    /// Its URL.
    pub(crate) url: String,
    /// Calls it.
    pub(crate) client: HttpClient,
}

impl Endpoint {
    /// A node at a URL. Does not connect yet.
    pub(crate) fn new(name: impl Into<String>, url: impl Into<String>) -> Result<Self> {
        let url = url.into();
        let client = HttpClientBuilder::default()
            .request_timeout(REQUEST_TIMEOUT)
            .max_request_size(MESSAGE_BYTES_MAX)
            .max_response_size(MESSAGE_BYTES_MAX)
            .build(&url)
            .with_context(|| format!("{url} is no URL of a node; write for example http://127.0.0.1:8545"))?;
        Ok(Self { name: name.into(), url, client })
    }
}

impl NodesArgument {
    /// The folder of the network on this machine, if there is one.
    pub(crate) fn layout(&self) -> Option<Layout> {
        let layout = Layout { folder: self.network.clone() };
        layout.exists().then_some(layout)
    }

    /// The nodes, at least one.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>> {
        if !self.urls.is_empty() {
            return self.urls.iter().map(|url| Endpoint::new(url, url)).collect();
        }
        let layout = self.layout().with_context(|| {
            format!(
                "there is no network in {}; start one with `chorale devnet`, or name a node with --node URL",
                self.network.display()
            )
        })?;
        layout.endpoints()
    }

    /// The first node that answers.
    pub(crate) async fn any(&self) -> Result<Endpoint> {
        let endpoints = self.endpoints()?;
        let mut last = None;
        for endpoint in endpoints {
            match endpoint.client.health().await {
                Ok(_) => return Ok(endpoint),
                Err(error) => last = Some(format!("{}: {}", endpoint.url, reason(&error))),
            }
        }
        bail!("no node answers ({}); is the network running?", last.unwrap_or_default())
    }
}

/// Why a call failed, in words for people: what the node said, if it said something.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::Call(object) => object.message().to_owned(),
        other => {
            // The outer error of a transport says only that it failed.
            let mut words = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(inner) = source {
                words = inner.to_string();
                source = inner.source();
            }
            words
        }
    }
}

/// The result of a call, with the node's words if it failed.
pub(crate) fn answered<T>(endpoint: &Endpoint, answer: Result<T, Error>) -> Result<T> {
    answer.map_err(|error| anyhow::anyhow!("{}: {}", endpoint.name, reason(&error)))
}

/// How far a transaction or bundle has come: states in the order they follow each other.
pub(crate) const fn progress(state: State) -> Option<u8> {
    match state {
        State::Pending => Some(0),
        State::Proposed => Some(1),
        State::Certified => Some(2),
        State::Committed => Some(3),
        State::Revealed => Some(4),
        State::OrderAttested => Some(5),
        State::Skipped | State::Evicted | State::Expired | State::Rejected => None,
    }
}

/// A state as the API writes it.
pub(crate) fn state_name(state: State) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether an id is of a transaction or of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Transaction,
    Bundle,
}

/// The status of one or the other.
pub(crate) async fn status(endpoint: &Endpoint, kind: Kind, id: &str) -> Result<StatusAnswer, Error> {
    match kind {
        Kind::Transaction => endpoint.client.transaction_status(id.to_owned()).await,
        Kind::Bundle => endpoint.client.bundle_status(id.to_owned()).await,
    }
}

/// Asks until the state is reached, or another one from which it never will be; at most for `timeout`.
pub(crate) async fn wait_for(
    endpoint: &Endpoint,
    kind: Kind,
    id: &str,
    state: State,
    timeout: Duration,
) -> Result<StatusAnswer> {
    let deadline = Instant::now() + timeout;
    loop {
        let answer = answered(endpoint, status(endpoint, kind, id).await)?;
        let reached = progress(answer.state).is_none_or(|reached| Some(reached) >= progress(state));
        if reached || Instant::now() >= deadline {
            return Ok(answer);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
