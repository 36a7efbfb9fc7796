//! Nodes that a full node asks.

use chorale_api::ErrorCode;
use jsonrpsee::{
    core::{RpcResult, client::Error},
    http_client::{HttpClient, HttpClientBuilder},
};
use std::{future::Future, sync::Arc, time::Duration};
use tracing::debug;

/// How long a node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one answer at most: the largest block, with payloads in base64.
const RESPONSE_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// A URL that is none.
#[derive(Debug, thiserror::Error)]
#[error("follow: {url} is no URL of a node: {reason}; write for example http://127.0.0.1:8545")]
pub struct UrlError {
    /// What was given.
    url: String,
    /// What is wrong with it.
    reason: String,
}

/// The API of some nodes, asked one after the other. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<[(String, HttpClient)]>);

impl Upstream {
    /// Nodes at these URLs. Connects to none yet.
    ///
    /// # Errors
    ///
    /// The first URL that is none.
    pub fn new(urls: &[String]) -> Result<Self, UrlError> {
        let node = |url: &String| {
            let client = HttpClientBuilder::default()
                .request_timeout(ANSWER_TIMEOUT)
                .max_response_size(RESPONSE_BYTES_MAX)
                .build(url)
                .map_err(|error| UrlError { url: url.clone(), reason: error.to_string() })?;
            Ok((url.clone(), client))
        };
        Ok(Self(urls.iter().map(node).collect::<Result<_, _>>()?))
    }

    /// The nodes, by URL.
    #[must_use]
    pub fn nodes(&self) -> &[(String, HttpClient)] {
        &self.0
    }

    /// The answer of the first node that has one. That something is not allowed is an answer as well; what else a node
    /// refuses, another may have.
    pub(super) async fn ask<T, F>(&self, call: impl Fn(HttpClient) -> F) -> RpcResult<T>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut refused = None;
        for (url, node) in self.0.iter() {
            match call(node.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(Error::Call(error)) => match ErrorCode::ALL.into_iter().find(|code| code.code() == error.code()) {
                    Some(code @ (ErrorCode::InvalidParameter | ErrorCode::Rejected)) => {
                        return Err(code.with(error.message()));
                    }
                    Some(code) => refused = Some(code.with(error.message())),
                    None => {
                        debug!(%url, %error, "a node that this one follows answers with an error that is none of ours")
                    }
                },
                Err(error) => debug!(%url, %error, "a node that this one follows does not answer"),
            }
        }
        Err(refused.unwrap_or_else(|| {
            ErrorCode::Busy.with("none of the nodes that this full node follows answers; try again, or another node")
        }))
    }
}
