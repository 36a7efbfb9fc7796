//! Blocks: made transaction by transaction on a state, with Ethereum's headers.

use crate::{
    RollupRules, SignedTransaction, State,
    precompiles::{Calls, Precompiles},
    system, transaction,
};
use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Eip658Value, Header, Receipt, ReceiptEnvelope, Sealable as _, Sealed,
    Transaction as _, TxReceipt as _, proofs,
};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, U256};
use revm::{
    Context, DatabaseCommit as _, ExecuteCommitEvm as _, MainBuilder as _, MainContext as _, SystemCallCommitEvm as _,
    context::{
        BlockEnv, CfgEnv, Evm,
        result::{EVMError, ExecutionResult, InvalidTransaction},
    },
    database_interface::WrapDatabaseRef,
    handler::{EthFrame, MainnetContext, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    state::EvmState,
};

/// What a block takes from where it stands in the shared order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Chain time, in whole seconds since 1970.
    pub timestamp_s: u64,
    /// What `PREVRANDAO` is: from the sequencer's block, so whoever proposes it has some choice.
    pub prev_randao: B256,
    /// The sequencer's block, which contracts read through EIP-4788.
    pub sequencer_block: B256,
    /// The header's extra data, at most 32 bytes.
    pub extra_data: Bytes,
}

/// A block with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header with its hash.
    pub header: Sealed<Header>,
    /// The transactions that had an effect, in order.
    pub transactions: Vec<SignedTransaction>,
    /// Their receipts.
    pub receipts: Vec<ReceiptEnvelope>,
    /// What each of them, and each system call, asked of the layer below (EIP-7685).
    pub requests: Requests,
}

/// Why a transaction has no effect in a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    /// The block has not enough gas left.
    #[error("it may use {limit} gas, and the block has {left} left")]
    BlockGas {
        /// The transaction's gas limit.
        limit: u64,
        /// What is left.
        left: u64,
    },
    /// Ethereum's rules forbid it in this state: nonce, funds, fees, or its limits.
    #[error("{0}")]
    Invalid(InvalidTransaction),
}

/// The most that a header's extra data may be.
pub(crate) const EXTRA_DATA_BYTES_MAX: usize = 32;

type BlockContext<'a> = MainnetContext<WrapDatabaseRef<&'a mut State>>;
type BlockEvm<'a> =
    Evm<BlockContext<'a>, (), EthInstructions<EthInterpreter, BlockContext<'a>>, Precompiles, EthFrame<EthInterpreter>>;

/// A block under way. Dropping it leaves the state as far as it got, and nothing can begin on that but after an
/// [`undo`](State::undo) of the changes.
pub struct BlockBuilder<'a> {
    evm: BlockEvm<'a>,
    header: Header,
    transactions: Vec<SignedTransaction>,
    receipts: Vec<ReceiptEnvelope>,
    /// Gas that bundles which aborted might have used.
    gas_in_vain: u64,
    /// Gas of calls from other rollups, which no transaction of the block has used.
    gas_of_calls: u64,
}

/// A block under way that was set aside between two transactions.
pub(crate) struct PausedBlock<'a> {
    state: &'a mut State,
    configuration: CfgEnv,
    environment: BlockEnv,
    header: Header,
    transactions: Vec<SignedTransaction>,
    receipts: Vec<ReceiptEnvelope>,
    gas_in_vain: u64,
    gas_of_calls: u64,
    calls: Calls,
}

impl<'a> PausedBlock<'a> {
    /// Goes on with it.
    pub(crate) fn resume(self) -> BlockBuilder<'a> {
        let Self { state, configuration, environment, calls, .. } = self;
        let evm = evm(state, configuration, environment, Precompiles::new(calls));
        let Self { header, transactions, receipts, gas_in_vain, gas_of_calls, .. } = self;
        BlockBuilder { evm, header, transactions, receipts, gas_in_vain, gas_of_calls }
    }
}

fn evm(state: &mut State, configuration: CfgEnv, environment: BlockEnv, precompiles: Precompiles) -> BlockEvm<'_> {
    Context::mainnet()
        .with_db(WrapDatabaseRef(state))
        .with_cfg(configuration)
        .with_block(environment)
        .build_mainnet()
        .with_precompiles(precompiles)
}

impl<'a> BlockBuilder<'a> {
    /// Begins the block after `parent` on the state that `parent` left.
    ///
    /// # Panics
    ///
    /// If the state is not the one that `parent` left, the time is before that of `parent`, or there is too much extra data:
    /// what came of it would be no block of any chain. And if a system contract misbehaves, which only a wrong genesis can
    /// cause.
    #[must_use]
    pub fn begin(rules: &RollupRules, parent: &Sealed<Header>, origin: Origin, state: &'a mut State) -> Self {
        assert_eq!(state.root(), parent.state_root, "block {} begins on the state of another block", parent.number + 1);
        assert!(origin.timestamp_s >= parent.timestamp, "block {} is older than its parent", parent.number + 1);
        assert!(origin.extra_data.len() <= EXTRA_DATA_BYTES_MAX, "{} bytes of extra data", origin.extra_data.len());
        let header = Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: rules.fee_recipient,
            number: parent.number + 1,
            gas_limit: rules.gas_limit,
            timestamp: origin.timestamp_s,
            extra_data: origin.extra_data,
            mix_hash: origin.prev_randao,
            base_fee_per_gas: Some(rules.next_base_fee(parent)),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(origin.sequencer_block),
            ..Header::default()
        };
        state.push_block_hash(parent.number, parent.hash());
        let evm = evm(state, rules.configuration(), environment(&header), rules.precompiles());
        let (transactions, receipts) = (Vec::new(), Vec::new());
        let mut builder = Self { evm, header, transactions, receipts, gas_in_vain: 0, gas_of_calls: 0 };
        builder.call_system(system::BEACON_ROOTS, origin.sequencer_block.into());
        builder.call_system(system::HISTORY, parent.hash().into());
        builder
    }

    /// Sets the block aside, to go on with it on another thread: the EVM itself is bound to the one that made it. Between two
    /// transactions it holds nothing that is not made anew.
    pub(crate) fn pause(self) -> PausedBlock<'a> {
        let (configuration, environment) = self.environment();
        let calls = self.calls();
        let Self { evm, header, transactions, receipts, gas_in_vain, gas_of_calls } = self;
        let WrapDatabaseRef(state) = evm.ctx.journaled_state.database;
        PausedBlock {
            state,
            configuration,
            environment,
            header,
            transactions,
            receipts,
            gas_in_vain,
            gas_of_calls,
            calls,
        }
    }

    /// Gas that transactions of the block may still use.
    #[must_use]
    pub const fn gas_left(&self) -> u64 {
        self.header.gas_limit - self.header.gas_used - self.gas_of_calls
    }

    /// Gas that bundles may still ask for. Those that abort use none of the block's, but whoever executes them works all the
    /// same: at most as much as for another block.
    pub(crate) fn bundle_gas_left(&self) -> u64 {
        self.gas_left().min(self.header.gas_limit - self.gas_in_vain)
    }

    /// Counts what a bundle that aborted might have used.
    pub(crate) fn spend_in_vain(&mut self, gas: u64) {
        self.gas_in_vain += gas;
    }

    /// Gas of the whole block.
    pub(crate) const fn gas_limit(&self) -> u64 {
        self.header.gas_limit
    }

    /// The state as it is now.
    pub(crate) const fn state(&self) -> &State {
        self.evm.ctx.journaled_state.database.0
    }

    /// What the EVM is told of rules and block.
    pub(crate) fn environment(&self) -> (CfgEnv, BlockEnv) {
        (self.evm.ctx.cfg.clone(), self.evm.ctx.block.clone())
    }

    /// What came of the transactions up to here.
    pub(crate) fn receipts(&self) -> &[ReceiptEnvelope] {
        &self.receipts
    }

    /// What becomes of synchronous calls in the next transaction.
    pub(crate) const fn calls(&self) -> Calls {
        self.evm.precompiles.calls()
    }

    /// Takes in what calls from a leg on another rollup did to an overlay of this very state. What they emitted comes with
    /// the next leg of the bundle for this rollup.
    pub(crate) fn take_calls(&mut self, changes: EvmState, gas: u64) {
        self.gas_of_calls += gas;
        self.evm.ctx.journaled_state.database.0.commit(changes);
    }

    /// Takes a transaction in that was executed on an overlay of this very state and succeeded, with what was emitted in
    /// calls before it that it carries.
    pub(crate) fn include_staged(
        &mut self,
        transaction: SignedTransaction,
        result: ExecutionResult,
        changes: EvmState,
        carried: Vec<Log>,
    ) -> &ReceiptEnvelope {
        self.evm.ctx.journaled_state.database.0.commit(changes);
        self.include(transaction, result, carried)
    }

    /// Executes a transaction as the next of the block. One that fails (reverts, or runs out of gas) has its place in the
    /// block all the same; one that is skipped has no effect at all.
    ///
    /// # Errors
    ///
    /// Why it is skipped.
    ///
    /// # Panics
    ///
    /// If the EVM fails by itself: nothing that anyone sends may do that, and going on would be to leave the chain.
    #[expect(clippy::panic, reason = "a broken invariant, see above")]
    pub fn execute(&mut self, transaction: SignedTransaction) -> Result<&ReceiptEnvelope, Skipped> {
        let (limit, left) = (transaction.gas_limit(), self.gas_left());
        if limit > left {
            return Err(Skipped::BlockGas { limit, left });
        }
        match self.evm.transact_commit(transaction::environment(&transaction)) {
            Ok(result) => Ok(self.include(transaction, result, Vec::new())),
            Err(EVMError::Transaction(invalid)) => Err(Skipped::Invalid(invalid)),
            Err(error) => panic!("the EVM failed in block {}: {error:?}", self.header.number),
        }
    }

    fn include(
        &mut self,
        transaction: SignedTransaction,
        result: ExecutionResult,
        mut logs: Vec<Log>,
    ) -> &ReceiptEnvelope {
        self.header.gas_used += result.tx_gas_used();
        let is_success = result.is_success();
        logs.extend(result.into_logs());
        let receipt =
            Receipt { status: Eip658Value::Eip658(is_success), cumulative_gas_used: self.header.gas_used, logs };
        self.receipts.push(ReceiptEnvelope::from_typed(transaction.tx_type(), receipt));
        self.transactions.push(transaction);
        self.receipts.last().expect("pushed above")
    }

    /// Ends the block.
    ///
    /// # Panics
    ///
    /// As [`BlockBuilder::begin`].
    #[must_use]
    pub fn finish(mut self) -> Block {
        let mut requests = Requests::default();
        for (contract, kind) in system::REQUESTS {
            requests.push_request_with_type(kind, self.call_system(contract, Bytes::new()));
        }
        let Self { evm, mut header, transactions, receipts, .. } = self;
        let WrapDatabaseRef(state) = evm.ctx.journaled_state.database;
        let included: Vec<_> = transactions.iter().map(|transaction| transaction.inner()).collect();
        header.state_root = state.root();
        header.transactions_root = proofs::calculate_transaction_root(&included);
        header.receipts_root = proofs::calculate_receipt_root(&receipts);
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |all, receipt| all | receipt.bloom());
        header.requests_hash = Some(requests.requests_hash());
        Block { header: header.seal_slow(), transactions, receipts, requests }
    }

    /// Calls a contract in the system's name, outside of all gas.
    #[expect(clippy::panic, reason = "a broken invariant: the genesis has these contracts, and nobody can change them")]
    fn call_system(&mut self, contract: Address, data: Bytes) -> Bytes {
        match self.evm.system_call_commit(contract, data) {
            Ok(ExecutionResult::Success { output, .. }) => output.into_data(),
            other => panic!("the system contract {contract} of this rollup's genesis failed: {other:?}"),
        }
    }
}

pub(crate) fn environment(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.expect("set when the block began"),
        prevrandao: Some(header.mix_hash),
        ..BlockEnv::default()
    }
}
