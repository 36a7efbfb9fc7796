//! `txpool_`: what this node took and is in no block yet. The pool itself is the sequencers'.
//!
//! Nothing is ever queued here: what would have to wait for another transaction is not taken.

use crate::{answers, server::Server};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use alloy_rpc_types_eth::Transaction;
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many transactions wait.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    pending: U64,
    queued: U64,
}

/// Transactions by their nonces, in decimal digits.
type ByNonce = BTreeMap<String, Transaction>;

/// Those that wait.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Waiting<T> {
    pending: T,
    queued: T,
}

/// `txpool_`.
#[rpc(server, namespace = "txpool")]
pub(crate) trait TxPool {
    #[method(name = "status")]
    fn status(&self) -> RpcResult<Status>;

    /// By sender.
    #[method(name = "content")]
    async fn content(&self) -> RpcResult<Waiting<BTreeMap<Address, ByNonce>>>;

    /// Of one sender.
    #[method(name = "contentFrom")]
    fn content_from(&self, sender: Address) -> RpcResult<Waiting<ByNonce>>;
}

#[async_trait]
impl TxPoolServer for Server {
    fn status(&self) -> RpcResult<Status> {
        let pending = self.read().pending[&self.rollup].len();
        Ok(Status { pending: U64::from(pending), queued: U64::ZERO })
    }

    async fn content(&self) -> RpcResult<Waiting<BTreeMap<Address, ByNonce>>> {
        let server = self.clone();
        let collect = move || {
            // Clones share the transactions' data.
            let all: Vec<_> = server.read().pending[&server.rollup].iter().cloned().collect();
            let mut pending: BTreeMap<Address, ByNonce> = BTreeMap::new();
            for signed in &all {
                let (nonce, answer) = (signed.nonce(), answers::pending(signed));
                pending.entry(signed.signer()).or_default().insert(nonce.to_string(), answer);
            }
            Waiting { pending, ..Waiting::default() }
        };
        self.heavy.run(collect).await
    }

    fn content_from(&self, sender: Address) -> RpcResult<Waiting<ByNonce>> {
        let published = self.read();
        let of_sender = published.pending[&self.rollup].of(sender);
        let pending = of_sender.map(|(nonce, signed)| (nonce.to_string(), answers::pending(signed))).collect();
        Ok(Waiting { pending, ..Waiting::default() })
    }
}
