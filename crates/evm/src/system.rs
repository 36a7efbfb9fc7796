//! The contracts that Ethereum's rules call by themselves, before and after the transactions of a block.
//!
//! Unmodified execution clients make the same calls, and refuse a block of a chain that lacks the last two.

use crate::{Account, MAILBOX, mailbox};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE, WITHDRAWAL_REQUEST_TYPE},
    eip7251::{
        CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE, CONSOLIDATION_REQUEST_TYPE,
    },
};
use alloy_primitives::{Address, Bytes, keccak256};

/// Calls before the transactions, in this order: the sequencer's block by time
/// ([EIP-4788](https://eips.ethereum.org/EIPS/eip-4788)), the parent's hash by number
/// ([EIP-2935](https://eips.ethereum.org/EIPS/eip-2935)).
pub(crate) const BEACON_ROOTS: Address = BEACON_ROOTS_ADDRESS;
pub(crate) const HISTORY: Address = HISTORY_STORAGE_ADDRESS;

/// Calls after the transactions, in this order, with the type that marks what they return
/// ([EIP-7685](https://eips.ethereum.org/EIPS/eip-7685)): withdrawals
/// ([EIP-7002](https://eips.ethereum.org/EIPS/eip-7002)) and consolidations
/// ([EIP-7251](https://eips.ethereum.org/EIPS/eip-7251)). Nobody answers such requests on a rollup; they are made so that
/// other clients find the block right.
pub(crate) const REQUESTS: [(Address, u8); 2] = [
    (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_TYPE),
    (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE),
];

/// The contracts that the genesis of every rollup has: the system's, and the mailbox.
pub(crate) fn contracts() -> [(Address, Account, Bytes); 5] {
    [
        (BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE.clone()),
        (HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE.clone()),
        (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE.clone()),
        (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE.clone()),
        (MAILBOX, mailbox::code()),
    ]
    .map(|(address, code)| (address, Account { nonce: 1, code_hash: keccak256(&code), ..Account::default() }, code))
}
