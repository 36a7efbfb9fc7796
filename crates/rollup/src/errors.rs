//! Error codes: Ethereum's, and those of JSON-RPC.

use crate::reverts;
use alloy_primitives::hex;
use chorale_evm::Called;
use jsonrpsee::types::ErrorObjectOwned;

/// A call that reverted.
pub(crate) const REVERTED: i32 = 3;
/// A transaction that was sent is in no block yet (EIP-7966).
pub(crate) const TIMED_OUT: i32 = 4;
/// A parameter that cannot be.
pub(crate) const INVALID_PARAMETERS: i32 = -32602;
/// Everything else.
pub(crate) const SERVER_ERROR: i32 = -32000;
/// What is asked for is not there.
pub(crate) const NOT_FOUND: i32 = -32053;
/// Blocks that are not kept any longer, as other clients say it.
pub(crate) const PRUNED: i32 = 4444;
/// More is asked than this node can answer now (EIP-1474).
pub(crate) const LIMIT_EXCEEDED: i32 = -32005;

pub(crate) fn refused(code: i32, message: impl Into<String>) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, message.into(), None::<()>)
}

/// The error of a call that fails.
pub(crate) fn failed(called: Called) -> ErrorObjectOwned {
    match called {
        Called::Success { .. } => refused(SERVER_ERROR, "it succeeds"),
        Called::Revert { output } => {
            let reason = reverts::reason(&output).map(|reason| format!(": {reason}")).unwrap_or_default();
            ErrorObjectOwned::owned(REVERTED, format!("execution reverted{reason}"), Some(hex::encode_prefixed(output)))
        }
        Called::Halt { out_of_gas: true, .. } => refused(SERVER_ERROR, "out of gas"),
        Called::Halt { reason, .. } => refused(SERVER_ERROR, format!("execution failed: {reason}")),
    }
}
