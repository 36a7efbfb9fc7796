//! Calls that change nothing: what would come of a transaction after the last block.

use crate::{Chain, SignedTransaction, block, transaction};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use revm::{
    Context, ExecuteEvm as _, MainBuilder as _, MainContext as _,
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    database_interface::WrapDatabaseRef,
    handler::{EthFrame, Handler as _, MainnetHandler},
};
use std::convert::Infallible;

/// What is called, by whom. Nothing is signed, and nobody pays unless `gas_price` says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The caller; a contract may be.
    pub from: Address,
    /// The contract, or a creation.
    pub to: TxKind,
    /// Wei that go with it.
    pub value: U256,
    /// Its input, or init code.
    pub input: Bytes,
    /// Most gas that it may use.
    pub gas_limit: u64,
    /// Wei for a unit of gas; zero for a call that costs nothing, where the base fee is zero too.
    pub gas_price: u128,
    /// Accounts and slots that are touched anyway (EIP-2930).
    pub access_list: AccessList,
    /// Delegations that come first (EIP-7702).
    pub authorizations: Vec<SignedAuthorization>,
}

/// What would come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// It succeeds.
    Success {
        /// Gas that it uses, refunds taken off.
        gas_used: u64,
        /// What it returns.
        output: Bytes,
    },
    /// It reverts.
    Revert {
        /// What the contract says about it.
        output: Bytes,
    },
    /// It ends by an exception.
    Halt {
        /// Which.
        reason: String,
        /// Whether more gas might have helped.
        out_of_gas: bool,
    },
}

impl Chain {
    /// What would come of a call in the environment of the last block.
    ///
    /// # Errors
    ///
    /// Such a transaction could not be in a block: no funds for its value, too little gas to begin with, and so on.
    ///
    /// # Panics
    ///
    /// As [`BlockBuilder::execute`](crate::BlockBuilder::execute).
    #[expect(clippy::panic, reason = "a broken invariant: the state cannot fail")]
    pub fn call(&self, call: &Call) -> Result<Called, InvalidTransaction> {
        let mut configuration = self.rules().configuration();
        // A call is asked about, not sent.
        configuration.disable_nonce_check = true;
        configuration.disable_eip3607 = true;
        configuration.disable_base_fee = true;
        configuration.disable_balance_check = call.gas_price == 0 && call.value.is_zero();
        let mut environment = block::environment(self.head());
        if call.gas_price == 0 {
            environment.basefee = 0;
        }
        let transaction = self.transaction(call);
        let mut evm = Context::mainnet()
            .with_db(WrapDatabaseRef(self.state()))
            .with_cfg(configuration)
            .with_block(environment)
            .build_mainnet();
        match evm.transact_one(transaction) {
            Ok(ExecutionResult::Success { gas, output, .. }) => {
                Ok(Called::Success { gas_used: gas.tx_gas_used(), output: output.into_data() })
            }
            Ok(ExecutionResult::Revert { output, .. }) => Ok(Called::Revert { output }),
            Ok(ExecutionResult::Halt { reason, .. }) => {
                let out_of_gas = matches!(reason, revm::context::result::HaltReason::OutOfGas(_));
                Ok(Called::Halt { reason: format!("{reason:?}"), out_of_gas })
            }
            Err(EVMError::Transaction(invalid)) => Err(invalid),
            Err(error) => panic!("the EVM failed in a call after block {}: {error:?}", self.head().number),
        }
    }

    /// Whether a transaction could be in the next block, whatever else is in it, but for its nonce: it has gas enough to
    /// begin with, its sender can pay, and so on. Executes nothing.
    ///
    /// # Errors
    ///
    /// Why it could not.
    ///
    /// # Panics
    ///
    /// As [`Chain::call`].
    #[expect(clippy::panic, reason = "a broken invariant: the state cannot fail")]
    pub fn check(&self, transaction: &SignedTransaction) -> Result<(), InvalidTransaction> {
        let mut configuration = self.rules().configuration();
        configuration.disable_nonce_check = true;
        let mut block = block::environment(self.head());
        block.basefee = self.next_base_fee();
        let mut evm = Context::mainnet()
            .with_db(WrapDatabaseRef(self.state()))
            .with_cfg(configuration)
            .with_block(block)
            .with_tx(transaction::environment(transaction))
            .build_mainnet();
        let handler = MainnetHandler::<_, EVMError<Infallible>, EthFrame>::default();
        match handler.validate(&mut evm) {
            Ok(_) => Ok(()),
            Err(EVMError::Transaction(invalid)) => Err(invalid),
            Err(error) => panic!("the EVM failed in a check after block {}: {error:?}", self.head().number),
        }
    }

    fn transaction(&self, call: &Call) -> TxEnv {
        let mut transaction = TxEnv {
            // The latest type that it can be of: only the last one carries delegations.
            tx_type: if call.authorizations.is_empty() { 2 } else { 4 },
            caller: call.from,
            gas_limit: call.gas_limit,
            gas_price: call.gas_price,
            gas_priority_fee: Some(0),
            kind: call.to,
            value: call.value,
            data: call.input.clone(),
            chain_id: Some(self.rules().chain_id),
            access_list: call.access_list.clone(),
            ..TxEnv::default()
        };
        transaction.set_signed_authorization(call.authorizations.clone());
        transaction
    }

    /// The least gas limit, to a sixty-fourth or 200, with which a call succeeds. What it uses is not enough: a contract
    /// may only hand on 63 of 64 parts of its gas, and refunds come at the end.
    ///
    /// # Errors
    ///
    /// Why it fails with all the gas that it may have: the outer error as in [`Chain::call`], the inner one what came of
    /// the call.
    pub fn estimate_gas(&self, call: &Call) -> Result<Result<u64, Called>, InvalidTransaction> {
        let with = |gas_limit| self.call(&Call { gas_limit, ..call.clone() });
        let mut least = match with(call.gas_limit)? {
            Called::Success { gas_used, .. } => gas_used.saturating_sub(1),
            failed => return Ok(Err(failed)),
        };
        let mut most = call.gas_limit;
        // What it uses is enough for most calls, and a little more for nearly all: that saves the search.
        for likely in [least + 1, least.saturating_add(least / 63).saturating_add(2_300)] {
            if likely < most && matches!(with(likely), Ok(Called::Success { .. })) {
                most = likely;
            }
        }
        while most - least > (most / 64).clamp(1, 200) {
            let middle = least + (most - least) / 2;
            match with(middle) {
                Ok(Called::Success { .. }) => most = middle,
                // Too little gas even to begin counts as too little.
                Ok(_) | Err(_) => least = middle,
            }
        }
        Ok(Ok(most))
    }
}
