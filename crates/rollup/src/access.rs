//! `eth_createAccessList`: the accounts and slots that a call touches.

use crate::{
    calls::words,
    errors::{SERVER_ERROR, failed, refused},
};
use alloy_eips::eip2930::{AccessList, AccessListResult};
use alloy_primitives::U256;
use chorale_evm::{Call, Called, ExecutionResult, Ground, InspectError, Inspected};
use jsonrpsee::core::RpcResult;
use revm_inspectors::access_list::AccessListInspector;

/// What a call touches may depend on how much gas it has left, and that on its list: so often it is tried.
const ROUNDS_MAX: usize = 8;

/// The list with which a call touches what is in it, and nothing else.
pub(crate) fn access_list(ground: &mut Ground<'_>, mut call: Call) -> RpcResult<AccessListResult> {
    let mut rounds = 0;
    loop {
        let (list, result) = touched(ground, &call)?;
        rounds += 1;
        if list == call.access_list || rounds == ROUNDS_MAX {
            let gas_used = U256::from(result.tx_gas_used());
            return Ok(AccessListResult { access_list: call.access_list, gas_used, error: error(result) });
        }
        call.access_list = list;
    }
}

fn touched(ground: &mut Ground<'_>, call: &Call) -> RpcResult<(AccessList, ExecutionResult)> {
    let mut inspector = AccessListInspector::new(call.access_list.clone());
    match ground.inspect_call(call, &mut inspector) {
        Ok(Inspected { outcome, .. }) => Ok((inspector.into_access_list(), outcome.result)),
        Err(InspectError::Invalid(invalid)) => Err(refused(SERVER_ERROR, words(&invalid))),
        Err(InspectError::Ended(reason)) => Err(refused(SERVER_ERROR, reason)),
    }
}

/// A list is an answer also where the call fails, which is said beside it.
fn error(result: ExecutionResult) -> Option<String> {
    let called = match result {
        ExecutionResult::Success { .. } => return None,
        ExecutionResult::Revert { output, .. } => Called::Revert { output },
        ExecutionResult::Halt { reason, .. } => {
            let out_of_gas = matches!(reason, chorale_evm::HaltReason::OutOfGas(_));
            Called::Halt { reason: format!("{reason:?}"), out_of_gas }
        }
    };
    Some(failed(called).message().to_owned())
}
