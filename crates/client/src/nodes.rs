//! The nodes to ask, in turn.

use jsonrpsee::http_client::{HttpClient, HttpClientBuilder};
use std::time::Duration;
use tracing::warn;

/// Bytes of one answer at most: the largest lane in hexadecimal, or the largest block.
const RESPONSE_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// A URL that is none.
#[derive(Debug, thiserror::Error)]
#[error("{url} is no URL of a node: {reason}; write for example http://127.0.0.1:8545")]
pub struct UrlError {
    /// What was given.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A node's API.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its URL.
    pub url: String,
    /// Calls it.
    pub client: HttpClient,
}

/// A node that said something false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its URL.
    pub url: String,
    /// What it did.
    pub reason: String,
}

/// Nodes that are asked in turn.
#[derive(Clone, Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    turn: usize,
    dropped: Vec<Dropped>,
}

impl Nodes {
    /// Nodes at these URLs. Connects to none yet.
    ///
    /// # Errors
    ///
    /// The first URL that is none.
    pub fn new(urls: impl IntoIterator<Item = String>, timeout: Duration) -> Result<Self, UrlError> {
        let node = |url: String| {
            let client = HttpClientBuilder::default()
                .request_timeout(timeout)
                .max_response_size(RESPONSE_BYTES_MAX)
                .build(&url)
                .map_err(|error| UrlError { url: url.clone(), reason: error.to_string() })?;
            Ok(Node { url, client })
        };
        let nodes = urls.into_iter().map(node).collect::<Result<_, _>>()?;
        Ok(Self { nodes, turn: 0, dropped: Vec::new() })
    }

    /// The node whose turn it is; none if all were dropped.
    #[must_use]
    pub fn current(&self) -> Option<&Node> {
        self.nodes.get(self.turn)
    }

    /// Those that are left.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// Those that were dropped, and why.
    #[must_use]
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Goes on to the next node.
    pub fn next_turn(&mut self) {
        self.turn = (self.turn + 1) % self.nodes.len().max(1);
    }

    /// Takes the node whose turn it is out; none if there is none.
    pub fn remove_current(&mut self) -> Option<Node> {
        (self.turn < self.nodes.len()).then(|| self.nodes.remove(self.turn))
    }

    /// The current node said something false: it is not asked again.
    pub fn drop_current(&mut self, reason: String) {
        let Some(Node { url, .. }) = self.remove_current() else { return };
        warn!(%url, %reason, "a node said something false and is not asked again");
        self.dropped.push(Dropped { url, reason });
        self.turn %= self.nodes.len().max(1);
    }
}
