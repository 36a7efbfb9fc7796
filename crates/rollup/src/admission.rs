//! What is taken from users, and on to the sequencers' shared pool.

use crate::{
    errors::{SERVER_ERROR, refused},
    pending::{PENDING_PER_SENDER_MAX, Pending},
    server::Server,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Bytes, TxHash, U256};
use chorale_api::{ChoraleApiClient as _, ErrorCode, HexBytes};
use chorale_client::Nodes;
use chorale_evm::{Marker, SignedTransaction, recover};
use chorale_types::RollupId;
use jsonrpsee::{
    core::{RpcResult, client::Error as ClientError},
    http_client::HttpClient,
};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::warn;

/// A submission goes to so many nodes.
const SUBMIT_NODES_MAX: usize = 3;
/// A replacement pays so many hundredths more than what it replaces, as in other clients.
const REPLACEMENT_BUMP_PERCENT: u128 = 10;

impl Server {
    /// Takes a transaction: answers when it is in the sequencers' pool, durably.
    pub(crate) async fn take_transaction(&self, raw: Bytes) -> RpcResult<TxHash> {
        let signed = recover(&raw, self.rollup.0).map_err(|error| refused(SERVER_ERROR, error.to_string()))?;
        let hash = *signed.inner().tx_hash();
        self.admit(&signed)?;
        let server = self.clone();
        // Whoever asked may go: what is in the pool is remembered all the same.
        let submitted = tokio::spawn(async move {
            // Before: it may be ordered sooner than a node answers.
            let replaced = server.pending_mut(|pending| pending.insert(signed));
            if let Err(error) = submit(&server.nodes, server.rollup, &raw).await {
                server.pending_mut(|pending| pending.take_back(hash, replaced));
                return Err(error);
            }
            server.taken.tell(hash);
            Ok(hash)
        });
        submitted.await.unwrap_or_else(|_| Err(refused(SERVER_ERROR, "the node is stopping")))
    }

    /// Changes what is remembered of this rollup.
    fn pending_mut<T>(&self, change: impl FnOnce(&mut Pending) -> T) -> T {
        change(self.shared.write().pending.get_mut(&self.rollup).expect("there is one for each rollup"))
    }

    /// Whether a transaction could be in the next block, as far as its sender's account tells.
    fn admit(&self, transaction: &SignedTransaction) -> RpcResult<()> {
        let refuse = |message: String| Err(refused(SERVER_ERROR, message));
        if transaction.marker() != Marker::None {
            return refuse(
                "its access list names the mailbox: legs of bundles are sent with chorale_sendBundle".into(),
            );
        }
        if !*self.level.borrow() {
            return refuse("this node is still catching up with the chain: ask again later".to_owned());
        }
        let published = self.read();
        let (blocks, pending) = (self.blocks_in(&published), &published.pending[&self.rollup]);
        let hash = *transaction.inner().tx_hash();
        if blocks.transaction(hash).is_some() || pending.get(hash).is_some() {
            return refuse("already known".to_owned());
        }
        let chain = Arc::clone(blocks.latest());
        let (sender, nonce) = (transaction.signer(), transaction.nonce());
        let account = chain.state().account(sender).copied().unwrap_or_default();
        if nonce < account.nonce {
            return refuse(format!("nonce too low: next nonce {}, tx nonce {nonce}", account.nonce));
        }
        let next = pending.next_nonce(sender, chain.state());
        if nonce > next {
            return refuse(format!(
                "nonce too high: next nonce {next}, tx nonce {nonce}; send those before it first, none is held back for them"
            ));
        }
        if let Some(replaced) = pending.at(sender, nonce) {
            let least = replaced.max_fee_per_gas() + replaced.max_fee_per_gas() * REPLACEMENT_BUMP_PERCENT / 100;
            if transaction.max_fee_per_gas() < least {
                return refuse(format!(
                    "replacement transaction underpriced: one with nonce {nonce} waits; maxFeePerGas must be {least} at \
                     least. Which of both takes effect is decided by their order"
                ));
            }
        } else if pending.count(sender) >= PENDING_PER_SENDER_MAX {
            return refuse(format!(
                "txpool is full: {PENDING_PER_SENDER_MAX} transactions of this sender wait already"
            ));
        }
        drop(published);
        if transaction.gas_limit() > chain.rules().gas_limit {
            return refuse(format!("exceeds block gas limit of {}", chain.rules().gas_limit));
        }
        let fee = u128::from(transaction.gas_limit()).saturating_mul(transaction.max_fee_per_gas());
        let cost = transaction.value().saturating_add(U256::from(fee));
        if cost > account.balance {
            let balance = account.balance;
            return refuse(format!("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}"));
        }
        let base_fee = u128::from(chain.next_base_fee());
        if transaction.max_fee_per_gas() < base_fee {
            let most = transaction.max_fee_per_gas();
            return refuse(format!(
                "max fee per gas less than block base fee: maxFeePerGas: {most}, baseFee: {base_fee}"
            ));
        }
        // What is left: too little gas to begin with, init code too long, a tip above the fee, and so on.
        chain.check(transaction).map_err(|invalid| refused(SERVER_ERROR, invalid.to_string()))
    }
}

/// Hands a rollup's transaction to several nodes.
pub(crate) async fn submit(nodes: &Nodes, rollup: RollupId, data: &[u8]) -> RpcResult<()> {
    let request = chorale_api::TransactionRequest { rollup: rollup.0, data: HexBytes(data.to_vec()) };
    let submit = |client: HttpClient| {
        let request = request.clone();
        async move { client.submit_transaction(request).await }
    };
    submit_to_some(nodes, submit).await
}

/// Hands something to several nodes at once, and answers as soon as one has taken it: one that lies, or does not answer,
/// keeps nothing from the others.
pub(crate) async fn submit_to_some<Submitting>(
    nodes: &Nodes,
    submit: impl Fn(HttpClient) -> Submitting,
) -> RpcResult<()>
where
    Submitting: Future<Output = Result<String, ClientError>> + Send + 'static,
{
    let mut submitting = JoinSet::new();
    for node in nodes.iter().take(SUBMIT_NODES_MAX) {
        let (url, answer) = (node.url.clone(), submit(node.client.clone()));
        submitting.spawn(async move { (url, answer.await) });
    }
    let mut failed = String::from("no node is left");
    while let Some(joined) = submitting.join_next().await {
        match joined {
            Ok((_, Ok(_))) => {
                submitting.detach_all();
                return Ok(());
            }
            Ok((_, Err(error))) if is_known_already(&error) => {
                submitting.detach_all();
                return Ok(());
            }
            Ok((url, Err(error))) => failed = told(&url, &error),
            Err(_) => {}
        }
    }
    Err(refused(SERVER_ERROR, format!("the sequencer does not take it: {failed}")))
}

/// Whether the pool has it: another node, or an answer that was lost, had told it.
fn is_known_already(error: &ClientError) -> bool {
    matches!(error, ClientError::Call(object)
        if object.code() == ErrorCode::Rejected.code() && object.message().ends_with("is in the pool already"))
}

/// What users are told of a node's error: not where the node is.
pub(crate) fn told(url: &str, error: &ClientError) -> String {
    warn!(%url, %error, "a node does not take a submission");
    match error {
        ClientError::Call(object) => object.message().to_owned(),
        _ => "the nodes do not answer".to_owned(),
    }
}
