//! What a call stands on: a state with what is different for it, and a block.

use crate::{
    BlockBuilder, Call, Called, Chain, OverrideError, Overrides, SignedTransaction, State, block, overrides,
    precompiles::{Calls, Precompiles},
    remote::{LegPrecompiles, RemoteEffects, Remotes},
    transaction,
};
use alloy_primitives::{Address, U256};
use revm::{
    Context, DatabaseCommit as _, ExecuteEvm as _, InspectEvm as _, Inspector, MainBuilder as _, MainContext as _,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState},
    },
    database::CacheDB,
    handler::{MainnetContext, PrecompileProvider},
    interpreter::InterpreterResult,
};
use std::convert::Infallible;

/// What a call or a leg of a bundle stands on. Calls change nothing of it: each finds it as the first one did.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    state: CacheDB<&'a State>,
    configuration: CfgEnv,
    block: BlockEnv,
    /// Whether a call that pays nothing sees the block's base fee all the same.
    keeps_base_fee: bool,
    /// What becomes of synchronous calls in a transaction, unless it is a leg that executes in its bundle.
    calls: Calls,
}

/// What an inspector sees of the EVM.
pub type InspectedContext<'a> = MainnetContext<CacheDB<&'a State>>;

/// What an inspected transaction came to, and what it was.
#[derive(Debug)]
pub struct Inspected {
    /// What came of it, with the accounts that it touched.
    pub outcome: ResultAndState,
    /// What the EVM was told of it.
    pub transaction: TxEnv,
}

/// Why there is nothing to see of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// It could not be in a block.
    #[error("{0}")]
    Invalid(InvalidTransaction),
    /// The inspector ended it.
    #[error("{0}")]
    Ended(String),
}

impl Chain {
    /// Where a call stands that is asked about after the last block, in its environment.
    ///
    /// # Errors
    ///
    /// What is to be different cannot be.
    pub fn ground(&self, overrides: &Overrides) -> Result<Ground<'_>, OverrideError> {
        let mut state = CacheDB::new(self.state());
        overrides::apply(overrides, &mut state)?;
        let mut block = block::environment(self.head());
        overrides.block.apply(&mut block);
        let keeps_base_fee = overrides.block.base_fee.is_some();
        let (configuration, calls) = (self.rules().configuration(), self.rules().precompiles().calls());
        Ok(Ground { state, configuration, block, keeps_base_fee, calls })
    }
}

impl<'a> Ground<'a> {
    /// Where the next transaction of a block under way stands.
    pub(crate) fn on(builder: &'a BlockBuilder<'_>) -> Self {
        let (configuration, block) = builder.environment();
        let calls = builder.calls();
        Self { state: CacheDB::new(builder.state()), configuration, block, keeps_base_fee: true, calls }
    }

    /// Where a transaction of the block after the last one stands.
    pub(crate) fn after(chain: &'a Chain) -> Self {
        let mut block = block::environment(chain.head());
        block.number += U256::ONE;
        block.basefee = chain.next_base_fee();
        let (configuration, calls) = (chain.rules().configuration(), chain.rules().precompiles().calls());
        Self { state: CacheDB::new(chain.state()), configuration, block, keeps_base_fee: true, calls }
    }

    /// The same for transactions before which others are to come that are in no block yet.
    pub(crate) fn with_any_nonce(mut self) -> Self {
        self.configuration.disable_nonce_check = true;
        self
    }

    /// Executes a leg with all of Ethereum's checks, and gives what it did to other rollups as well. What comes after it,
    /// here and there, stands on what it changed, if it succeeds; otherwise nothing is different.
    ///
    /// # Panics
    ///
    /// As [`BlockBuilder::execute`].
    #[expect(clippy::panic, reason = "a broken invariant: the state cannot fail")]
    pub(crate) fn execute_leg(
        &mut self,
        signed: &SignedTransaction,
        remotes: Remotes<'_, '_>,
    ) -> Result<(ResultAndState, Vec<RemoteEffects>), InvalidTransaction> {
        let precompiles = LegPrecompiles { precompiles: Precompiles::new(self.calls), remotes };
        let mut evm = Context::mainnet()
            .with_db(&mut self.state)
            .with_cfg(self.configuration.clone())
            .with_block(self.block.clone())
            .build_mainnet()
            .with_precompiles(precompiles);
        let done = match evm.transact(transaction::environment(signed)) {
            Ok(done) => done,
            Err(EVMError::Transaction(invalid)) => return Err(invalid),
            Err(error) => panic!("the EVM failed in block {}: {error:?}", self.block.number),
        };
        let remotes = evm.precompiles.remotes;
        let mut elsewhere = Vec::new();
        if done.result.is_success() {
            // One commit for each transaction, as the state's rules say.
            self.state.commit(done.state.clone());
            // Where there are no calls, what is logged at their address is nobody's.
            if self.calls != Calls::Off {
                elsewhere = remotes.finish(done.result.logs());
            }
        }
        Ok((done, elsewhere))
    }

    /// What calls from another rollup stand on.
    pub(crate) fn parts(&mut self) -> (&mut CacheDB<&'a State>, CfgEnv, BlockEnv) {
        (&mut self.state, self.configuration.clone(), self.block.clone())
    }

    /// What an account owns.
    #[must_use]
    pub fn balance(&self, address: Address) -> U256 {
        match self.state.cache.accounts.get(&address) {
            Some(account) => account.info.balance,
            None => self.state.db.account(address).map_or(U256::ZERO, |account| account.balance),
        }
    }

    /// The next nonce of an account.
    #[must_use]
    pub fn nonce(&self, address: Address) -> u64 {
        match self.state.cache.accounts.get(&address) {
            Some(account) => account.info.nonce,
            None => self.state.db.account(address).map_or(0, |account| account.nonce),
        }
    }

    /// The block.
    #[must_use]
    pub const fn block(&self) -> &BlockEnv {
        &self.block
    }

    /// The state, with what is different.
    pub const fn state_mut(&mut self) -> &mut CacheDB<&'a State> {
        &mut self.state
    }

    /// What would come of a call.
    ///
    /// # Errors
    ///
    /// Such a transaction could not be in a block: no funds for its value, too little gas to begin with, and so on.
    ///
    /// # Panics
    ///
    /// As [`BlockBuilder::execute`].
    #[expect(clippy::panic, reason = "a broken invariant: the state cannot fail")]
    pub fn call(&mut self, call: &Call) -> Result<Called, InvalidTransaction> {
        let (configuration, block) = self.environment_of(call);
        let transaction = self.transaction_of(call);
        let precompiles = Precompiles::new(self.calls);
        let evm = Context::mainnet().with_db(&mut self.state).with_cfg(configuration).with_block(block);
        match evm.build_mainnet().with_precompiles(precompiles).transact_one(transaction) {
            Ok(ExecutionResult::Success { gas, output, .. }) => {
                Ok(Called::Success { gas_used: gas.tx_gas_used(), output: output.into_data() })
            }
            Ok(ExecutionResult::Revert { output, .. }) => Ok(Called::Revert { output }),
            Ok(ExecutionResult::Halt { reason, .. }) => {
                let out_of_gas = matches!(reason, HaltReason::OutOfGas(_));
                Ok(Called::Halt { reason: format!("{reason:?}"), out_of_gas })
            }
            Err(EVMError::Transaction(invalid)) => Err(invalid),
            Err(error) => panic!("the EVM failed in a call in block {}: {error:?}", self.block.number),
        }
    }

    /// A call, seen by an inspector.
    ///
    /// # Errors
    ///
    /// As [`Ground::call`], and what the inspector says.
    ///
    /// # Panics
    ///
    /// As [`BlockBuilder::execute`].
    pub fn inspect_call<I>(&mut self, call: &Call, inspector: &mut I) -> Result<Inspected, InspectError>
    where
        I: Inspector<InspectedContext<'a>>,
    {
        let (configuration, block) = self.environment_of(call);
        let transaction = self.transaction_of(call);
        self.run((configuration, block, Precompiles::new(self.calls)), transaction, inspector)
    }

    /// A transaction, seen by an inspector.
    ///
    /// # Errors
    ///
    /// As [`Ground::inspect_call`].
    ///
    /// # Panics
    ///
    /// As [`BlockBuilder::execute`].
    pub fn inspect<I>(&mut self, signed: &SignedTransaction, inspector: &mut I) -> Result<Inspected, InspectError>
    where
        I: Inspector<InspectedContext<'a>>,
    {
        let (configuration, block) = (self.configuration.clone(), self.block.clone());
        let precompiles = Precompiles::new(self.calls);
        self.run((configuration, block, precompiles), transaction::environment(signed), inspector)
    }

    /// A leg of a bundle, seen by an inspector. Nothing that it calls elsewhere is different after it.
    pub(crate) fn inspect_leg<I>(
        &mut self,
        signed: &SignedTransaction,
        remotes: Remotes<'_, '_>,
        inspector: &mut I,
    ) -> Result<Inspected, InspectError>
    where
        I: Inspector<InspectedContext<'a>>,
    {
        let (configuration, block) = (self.configuration.clone(), self.block.clone());
        let precompiles = LegPrecompiles { precompiles: Precompiles::new(self.calls), remotes };
        self.run((configuration, block, precompiles), transaction::environment(signed), inspector)
    }

    #[expect(clippy::panic, reason = "a broken invariant: the state cannot fail")]
    fn run<I, P>(
        &mut self,
        (configuration, block, precompiles): (CfgEnv, BlockEnv, P),
        transaction: TxEnv,
        inspector: &mut I,
    ) -> Result<Inspected, InspectError>
    where
        I: Inspector<InspectedContext<'a>>,
        P: PrecompileProvider<InspectedContext<'a>, Output = InterpreterResult>,
    {
        // The context owns the state while it runs: inspectors are for contexts without a lifetime of their own.
        let empty = CacheDB::new(self.state.db);
        let state = std::mem::replace(&mut self.state, empty);
        let mut evm = Context::mainnet()
            .with_db(state)
            .with_cfg(configuration)
            .with_block(block)
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(precompiles);
        let outcome: Result<ResultAndState, EVMError<Infallible>> = evm.inspect_tx(transaction.clone());
        self.state = evm.ctx.journaled_state.database;
        match outcome {
            Ok(outcome) => Ok(Inspected { outcome, transaction }),
            Err(EVMError::Transaction(invalid)) => Err(InspectError::Invalid(invalid)),
            Err(EVMError::Custom(reason)) => Err(InspectError::Ended(reason)),
            Err(error) => panic!("the EVM failed under inspection in block {}: {error:?}", self.block.number),
        }
    }

    /// A call is asked about, not sent.
    fn environment_of(&self, call: &Call) -> (CfgEnv, BlockEnv) {
        let (mut configuration, mut block) = (self.configuration.clone(), self.block.clone());
        configuration.disable_nonce_check = true;
        configuration.disable_eip3607 = true;
        configuration.disable_base_fee = true;
        configuration.disable_balance_check = call.gas_price == 0 && call.value.is_zero();
        if call.gas_price == 0 && !self.keeps_base_fee {
            block.basefee = 0;
        }
        (configuration, block)
    }

    fn transaction_of(&self, call: &Call) -> TxEnv {
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
            nonce: self.nonce(call.from),
            chain_id: Some(self.configuration.chain_id),
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
    /// Why it fails with all the gas that it may have: the outer error as in [`Ground::call`], the inner one what came of
    /// the call.
    pub fn estimate_gas(&mut self, call: &Call) -> Result<Result<u64, Called>, InvalidTransaction> {
        let mut with = |gas_limit| self.call(&Call { gas_limit, ..call.clone() });
        let gas_used = match with(call.gas_limit)? {
            Called::Success { gas_used, .. } => gas_used,
            failed => return Ok(Err(failed)),
        };
        // Too little gas even to begin counts as too little.
        let succeeds = |gas_limit| matches!(with(gas_limit), Ok(Called::Success { .. }));
        Ok(Ok(least_gas(gas_used, call.gas_limit, succeeds)))
    }
}

/// The least gas limit, to a sixty-fourth or 200, with which something succeeds that uses `gas_used` of `limit`.
pub(crate) fn least_gas(gas_used: u64, limit: u64, mut succeeds: impl FnMut(u64) -> bool) -> u64 {
    let (mut least, mut most) = (gas_used.saturating_sub(1), limit);
    // What it uses is enough for most calls, and a little more for nearly all: that saves the search.
    for likely in [least + 1, least.saturating_add(least / 63).saturating_add(2_300)] {
        if likely < most && succeeds(likely) {
            most = likely;
        }
    }
    while most - least > (most / 64).clamp(1, 200) {
        let middle = least + (most - least) / 2;
        if succeeds(middle) {
            most = middle;
        } else {
            least = middle;
        }
    }
    most
}
