//! Nodes that a full node asks.

use super::limits::{Allowance, Limits};
use chorale_api::ErrorCode;
use chorale_client::{Node, Nodes};
use jsonrpsee::{
    core::{RpcResult, client::Error},
    http_client::HttpClient,
};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tracing::debug;

/// The API of some nodes, asked one after the other. Clones share the connections.
///
/// Those nodes answer a full node as much as any client. So what its own clients may have asked of them is bounded, to half
/// of what it lets one client ask for: the rest is for what it asks itself, or they could keep it from following.
#[derive(Clone, Debug)]
pub struct Upstream {
    nodes: Arc<[Node]>,
    handed_on: Arc<Mutex<Allowance>>,
    start: Instant,
}

impl Upstream {
    /// These nodes, asked by a full node with these limits.
    #[must_use]
    pub fn new(nodes: &Nodes, limits: Limits) -> Self {
        // No limit is 0, and half of it is none either.
        let half = Limits { requests: limits.requests.div_ceil(2), bytes: limits.bytes.div_ceil(2) };
        let handed_on = Arc::new(Mutex::new(Allowance::new(half, 0)));
        Self { nodes: nodes.iter().cloned().collect(), handed_on, start: Instant::now() }
    }

    /// The answer of the first node that has one, to a call of so many bytes. That something is not allowed is an answer as well; what else a node
    /// refuses, another may have.
    pub(super) async fn ask<T, F>(&self, bytes: usize, call: impl Fn(HttpClient) -> F) -> RpcResult<T>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let now_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let allowed = self.handed_on.lock().unwrap_or_else(PoisonError::into_inner).ask(1, bytes as u64, now_ms);
        allowed.map_err(|wait_ms| {
            let message = format!(
                "this full node hands on no more at present; try again in {wait_ms} ms, or ask one of the nodes it follows"
            );
            ErrorCode::TooManyRequests.with(message)
        })?;
        let mut refused = None;
        for Node { url, client } in self.nodes.iter() {
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

#[cfg(test)]
mod tests {
    use super::Upstream;
    use crate::gateway::Limits;
    use chorale_api::{ChoraleApiClient as _, ErrorCode};
    use chorale_client::Nodes;
    use std::time::Duration;

    #[tokio::test]
    async fn what_is_handed_on_leaves_half_of_the_allowance() {
        // Nobody listens there.
        let nodes = Nodes::new(["http://127.0.0.1:1".to_owned()], Duration::from_secs(5)).unwrap();
        for (limits, bytes, expected) in [
            (Limits { requests: 2, bytes: 0 }, 0, ErrorCode::TooManyRequests),
            (Limits { requests: 0, bytes: 2_000 }, 1_000, ErrorCode::TooManyRequests),
            (Limits { requests: 0, bytes: 0 }, 1_000, ErrorCode::Busy),
        ] {
            let upstream = Upstream::new(&nodes, limits);
            let mut codes = Vec::new();
            for _ in 0..12 {
                let error = upstream.ask(bytes, |node| async move { node.mempool().await }).await.unwrap_err();
                codes.push(error.code());
            }
            assert_eq!(codes[..4], [ErrorCode::Busy.code(); 4], "{limits:?}: a burst is handed on");
            assert_eq!(codes.last(), Some(&expected.code()), "{limits:?}");
        }
    }
}
