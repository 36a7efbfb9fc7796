//! Nodes that a full node asks.

use chorale_api::ErrorCode;
use chorale_client::{Node, Nodes};
use jsonrpsee::{
    core::{RpcResult, client::Error},
    http_client::HttpClient,
};
use std::{future::Future, sync::Arc};
use tracing::debug;

/// The API of some nodes, asked one after the other. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<[Node]>);

impl Upstream {
    /// These nodes.
    #[must_use]
    pub fn new(nodes: &Nodes) -> Self {
        Self(nodes.iter().cloned().collect())
    }

    /// The answer of the first node that has one. That something is not allowed is an answer as well; what else a node
    /// refuses, another may have.
    pub(super) async fn ask<T, F>(&self, call: impl Fn(HttpClient) -> F) -> RpcResult<T>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut refused = None;
        for Node { url, client } in self.0.iter() {
            match call(client.clone()).await {
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
