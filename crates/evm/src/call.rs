//! Calls that change nothing: what would come of a transaction after the last block.

use crate::{Chain, Ground, Overrides, SignedTransaction, block, transaction};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use revm::{
    Context, MainBuilder as _, MainContext as _,
    context::result::{EVMError, InvalidTransaction},
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
    /// What would come of a call in the environment of the last block, as everything is.
    ///
    /// # Errors
    ///
    /// As [`Ground::call`](crate::Ground::call).
    ///
    /// # Panics
    ///
    /// Likewise.
    pub fn call(&self, call: &Call) -> Result<Called, InvalidTransaction> {
        self.as_it_is().call(call)
    }

    /// How much gas it needs, as everything is: see [`Ground::estimate_gas`](crate::Ground::estimate_gas).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn estimate_gas(&self, call: &Call) -> Result<Result<u64, Called>, InvalidTransaction> {
        self.as_it_is().estimate_gas(call)
    }

    fn as_it_is(&self) -> Ground<'_> {
        self.ground(&Overrides::default()).expect("nothing is different")
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
}
