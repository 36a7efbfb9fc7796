//! Questions for the next blocks, asked while the one before is settled.
//!
//! With one question at a time a full node would take a block each round trip, and over a long distance never be level with
//! a chain that is faster.

use crate::runtime::Context;
use chorale_api::{BlockAnswer, ChoraleApiClient as _};
use chorale_client::Node;
use chorale_foundation::runtime::Handle;
use chorale_types::Height;
use jsonrpsee::core::client::Error as CallError;
use std::collections::BTreeMap;

/// Blocks that are asked for at a time at most. Each may have several megabytes.
const AHEAD_MAX: u64 = 4;

/// What a node says about a block.
pub(super) type Said = Result<BlockAnswer, CallError>;

/// Questions to one node that are open.
pub(super) struct Ahead<E> {
    context: E,
    url: String,
    open: BTreeMap<Height, Handle<Said>>,
    /// Blocks had in a row without waiting for the chain.
    row: u64,
}

impl<E: Context> Ahead<E> {
    pub(super) const fn new(context: E) -> Self {
        Self { context, url: String::new(), open: BTreeMap::new(), row: 0 }
    }

    /// What a node says about a block. The next ones are asked for at once, the more the longer this node has been behind.
    pub(super) async fn ask(&mut self, node: &Node, height: Height) -> Said {
        if self.url != node.url {
            self.forget();
            self.url.clone_from(&node.url);
        }
        self.open = self.open.split_off(&height);
        let is_old = self.open.contains_key(&height);
        for height in (height.0..=height.0 + self.row.min(AHEAD_MAX - 1)).map(Height) {
            let client = node.client.clone();
            let ask = || self.context.child("ahead").spawn(move |_| async move { client.block(height.0).await });
            self.open.entry(height).or_insert_with(ask);
        }
        let Some(answer) = self.open.remove(&height) else { return Err(CallError::RequestTimeout) };
        // A task ends without an answer when the node is shut down.
        let said = answer.await.unwrap_or(Err(CallError::RequestTimeout));
        // What was asked ahead may be there since.
        let is_there = matches!(&said, Ok(block) if block.attestation.is_some());
        if is_old && !is_there { node.client.block(height.0).await } else { said }
    }

    /// A block was there at once.
    pub(super) const fn had(&mut self) {
        self.row += 1;
    }

    /// How many blocks in a row were there at once.
    pub(super) const fn row(&self) -> u64 {
        self.row
    }

    /// The chain is not further, or the node has no answer: what was asked besides is asked again.
    pub(super) fn forget(&mut self) {
        self.row = 0;
        for (_, answer) in std::mem::take(&mut self.open) {
            answer.abort();
        }
    }
}
