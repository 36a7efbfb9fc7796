//! `eth_sendRawTransactionSync` ([EIP-7966](https://eips.ethereum.org/EIPS/eip-7966)): sends, and waits for the receipt.

use crate::{answers, errors::TIMED_OUT, server::Server};
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::TransactionReceipt;
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};
use std::time::Duration;
use tokio::{sync::broadcast::error::RecvError, time::Instant};

/// How long is waited if nothing else is said.
const DEFAULT_WAIT: Duration = Duration::from_secs(20);
/// How long is waited at most.
const WAIT_MAX: Duration = Duration::from_mins(1);

impl Server {
    /// Takes a transaction, and answers with its receipt. After the timeout, in milliseconds, with an error that has its
    /// hash.
    pub(crate) async fn take_and_wait(&self, raw: Bytes, timeout: Option<U64>) -> RpcResult<TransactionReceipt> {
        let wait = match timeout.map(|timeout| timeout.to::<u64>()) {
            None | Some(0) => DEFAULT_WAIT,
            Some(timeout) => Duration::from_millis(timeout).min(WAIT_MAX),
        };
        let end = Instant::now() + wait;
        let mut news = self.shared.news();
        let hash = self.take_transaction(raw).await?;
        loop {
            if let Some((block, index)) = self.blocks_in(&self.read()).transaction(hash) {
                return Ok(answers::receipt(&block, index));
            }
            match tokio::time::timeout_at(end, news.recv()).await {
                Ok(Ok(_)) => {}
                // What was missed may be in a block that is not in memory any more.
                Ok(Err(RecvError::Lagged(_))) => {
                    if let Some((block, index)) = self.transaction(hash).await? {
                        return Ok(answers::receipt(&block, index));
                    }
                }
                Ok(Err(RecvError::Closed)) | Err(_) => {
                    let message = format!(
                        "the transaction was added to the pool but was not processed in {}ms",
                        wait.as_millis()
                    );
                    return Err(ErrorObjectOwned::owned(TIMED_OUT, message, Some(hash)));
                }
            }
        }
    }
}
