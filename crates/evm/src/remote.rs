//! Synchronous calls: how a leg executes something on other rollups, and how that is undone. The rules are in
//! [`synchronous`](crate::synchronous).
//!
//! # Undone with its frame
//!
//! A leg has one journal for each rollup that it calls, beside that of its own: what it does there is one transaction. The
//! EVM undoes what a frame did in its own journal when the frame is reverted, and tells nobody. But with the rest it takes
//! the frame's logs back. So each call leaves a log with a number that no other call of the leg has, at a place in the list
//! that is noted, and the call stands exactly as long as that log is there. Calls after one that is undone are undone as
//! well: their logs came later. Whoever looks at the other rollup next, the next call or the end of the leg, first takes
//! back in its journal what does not stand any more, to the checkpoint that was made before the first such call. Until
//! then nobody can see the difference.
//!
//! It is the EVM's own bookkeeping of one list that decides about both rollups, whatever made the frame end: a revert, an
//! exception, no gas, a creation that fails at last.

use crate::{
    Ground,
    precompiles::{Calls, Failure, Precompiles, answer},
    synchronous::{self, Refusal, Request, SYNCHRONOUS_CALL, alias, encode_bytes, words_gas},
};
use alloy_primitives::{Address, B256, Bytes, Log, U256, map::AddressSet};
use chorale_types::RollupId;
use revm::{
    Context, DatabaseCommit as _, MainBuilder as _, MainContext as _,
    bytecode::Bytecode,
    context::{Evm, JournalTr, TxEnv, journaled_state::JournalCheckpoint, result::EVMError},
    context_interface::{Cfg, ContextTr, LocalContextTr as _},
    database::CacheDB,
    handler::{
        EthFrame, Handler as _, MainnetContext, MainnetHandler, PrecompileProvider, instructions::EthInstructions,
    },
    interpreter::{
        CallInput, CallInputs, CallScheme, CallValue, FrameInput, Gas, InterpreterResult, SharedMemory,
        interpreter::EthInterpreter, interpreter_action::FrameInit,
    },
    primitives::hardfork::SpecId,
    state::EvmState,
};
use std::{collections::BTreeMap, convert::Infallible};

/// What a leg did to another rollup.
#[derive(Debug)]
pub(crate) struct RemoteEffects {
    pub(crate) rollup: RollupId,
    pub(crate) changes: EvmState,
    /// With those that say by whom.
    pub(crate) logs: Vec<Log>,
    /// Gas of all that was executed, undone or not.
    pub(crate) gas: u64,
}

/// The other rollups that a leg can call, and what it has done there.
pub(crate) struct Remotes<'g, 'a> {
    source: RollupId,
    /// Who signed the leg.
    sender: Address,
    untouched: BTreeMap<RollupId, &'g mut Ground<'a>>,
    sessions: BTreeMap<RollupId, Session<'g, 'a>>,
    /// Those that stand, as far as is known.
    calls: Vec<Standing>,
    /// How many there have been.
    count: u64,
}

/// A call that stands as long as its log is where it was put.
struct Standing {
    number: u64,
    log: usize,
    rollup: RollupId,
    before: JournalCheckpoint,
}

impl<'g, 'a> Remotes<'g, 'a> {
    /// For a leg of a rollup, signed by `sender`, that can reach these others.
    pub(crate) fn new(
        source: RollupId,
        sender: Address,
        others: impl IntoIterator<Item = (RollupId, &'g mut Ground<'a>)>,
    ) -> Self {
        let untouched = others.into_iter().collect();
        Self { source, sender, untouched, sessions: BTreeMap::new(), calls: Vec::new(), count: 0 }
    }

    /// Executes a call by an account of the leg's rollup, whose journal is given. A failed one leaves nothing.
    fn call(
        &mut self,
        journal: &mut impl JournalTr,
        caller: Address,
        request: &Request,
        gas: &mut Gas,
    ) -> Result<Bytes, Failure> {
        if request.rollup == self.source {
            return Err(Failure::Refused(Refusal::OwnRollup));
        }
        self.settle(journal.logs());
        let (source, number) = (self.source, self.count);
        let session = self.session(request.rollup)?;
        let before = session.checkpoint();
        session.log(request.executed(source, caller, number));
        match session.execute(alias(source, caller), request, gas) {
            Ok(output) => {
                session.commit();
                self.count += 1;
                self.calls.push(Standing { number, log: journal.logs().len(), rollup: request.rollup, before });
                journal.log(request.called(caller, number));
                Ok(encode_bytes(&output))
            }
            Err(failure) => {
                session.revert(before);
                Err(failure)
            }
        }
    }

    fn session(&mut self, rollup: RollupId) -> Result<&mut Session<'g, 'a>, Failure> {
        if let Some(ground) = self.untouched.remove(&rollup) {
            self.sessions.insert(rollup, Session::open(ground, alias(self.source, self.sender)));
        }
        self.sessions.get_mut(&rollup).ok_or(Failure::Refused(Refusal::NoLaterLeg(U256::from(rollup.0))))
    }

    /// Takes back what was undone, as the leg's logs up to now say.
    fn settle(&mut self, logs: &[Log]) {
        let stands = |call: &Standing| logs.get(call.log).is_some_and(|log| synchronous::is_called(log, call.number));
        while let Some(call) = self.calls.pop_if(|call| !stands(call)) {
            self.sessions.get_mut(&call.rollup).expect("it was called").revert(call.before);
        }
    }

    /// Ends the leg, which succeeded with these logs: later legs see what it did.
    ///
    /// # Panics
    ///
    /// If the logs are not those of the calls that stand, which would be a mistake here or in the EVM.
    pub(crate) fn finish(mut self, logs: &[Log]) -> Vec<RemoteEffects> {
        self.settle(logs);
        let recorded = logs.iter().filter(|log| log.address == SYNCHRONOUS_CALL).count();
        assert_eq!(recorded, self.calls.len(), "calls to other rollups that are recorded, and that stand");
        self.sessions.into_iter().map(|(rollup, session)| session.finish(rollup)).collect()
    }
}

/// The precompiled contracts of a leg.
pub(crate) struct LegPrecompiles<'g, 'a> {
    pub(crate) precompiles: Precompiles,
    pub(crate) remotes: Remotes<'g, 'a>,
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for LegPrecompiles<'_, '_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<C>::set_spec(&mut self.precompiles, spec)
    }

    fn run(&mut self, context: &mut C, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if inputs.bytecode_address != SYNCHRONOUS_CALL || self.precompiles.calls() == Calls::Off {
            return self.precompiles.run(context, inputs);
        }
        let remotes = &mut self.remotes;
        Ok(Some(answer(context, inputs, |context, request, gas| {
            remotes.call(context.journal_mut(), inputs.caller, request, gas)
        })))
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.precompiles.addresses()
    }
}

type RemoteContext<'g, 'a> = MainnetContext<&'g mut CacheDB<&'a crate::State>>;
type RemoteEvm<'g, 'a> = Evm<
    RemoteContext<'g, 'a>,
    (),
    EthInstructions<EthInterpreter, RemoteContext<'g, 'a>>,
    Precompiles,
    EthFrame<EthInterpreter>,
>;

/// What a leg does on one other rollup: one transaction, call by call.
struct Session<'g, 'a> {
    evm: RemoteEvm<'g, 'a>,
    gas: u64,
}

impl<'g, 'a> Session<'g, 'a> {
    fn open(ground: &'g mut Ground<'a>, origin: Address) -> Self {
        let (state, configuration, block) = ground.parts();
        let chain_id = Some(configuration.chain_id);
        let precompiles = Precompiles::new(Calls::Nested);
        let mut context = Context::mainnet().with_db(state).with_cfg(configuration).with_block(block);
        let journal = &mut context.journaled_state;
        // Warm from the beginning, as in any transaction (EIP-2929, EIP-3651).
        journal.warm_precompiles(precompiles.addresses());
        journal.warm_coinbase_account(context.block.beneficiary);
        infallible(journal.load_account(origin).map(|_| ()));
        let context = context.with_tx(TxEnv { caller: origin, gas_price: 0, chain_id, ..TxEnv::default() });
        Self { evm: context.build_mainnet().with_precompiles(precompiles), gas: 0 }
    }

    fn checkpoint(&mut self) -> JournalCheckpoint {
        self.evm.ctx.journaled_state.checkpoint()
    }

    fn commit(&mut self) {
        self.evm.ctx.journaled_state.checkpoint_commit();
    }

    /// To what was before a call, whether that is under way or over.
    fn revert(&mut self, before: JournalCheckpoint) {
        self.evm.ctx.journaled_state.checkpoint_revert(before);
    }

    fn log(&mut self, log: Log) {
        self.evm.ctx.journaled_state.log(log);
    }

    fn execute(&mut self, caller: Address, request: &Request, gas: &mut Gas) -> Result<Bytes, Failure> {
        let known_bytecode = self.code(request.target);
        let known_bytecode = known_bytecode.ok_or_else(|| {
            // Nobody there: in Ethereum the call would succeed, but here the caller cannot find out before.
            Failure::Refused(Refusal::NoContract(U256::from(request.rollup.0), request.target))
        })?;
        infallible(self.evm.ctx.journaled_state.load_account(caller).map(|_| ()));
        let limit = gas.remaining() - gas.remaining() / 64;
        let done = self.run(CallInputs {
            input: CallInput::Bytes(request.data.clone()),
            return_memory_offset: 0..0,
            gas_limit: limit,
            reservoir: 0,
            bytecode_address: request.target,
            known_bytecode,
            target_address: request.target,
            caller,
            value: CallValue::Transfer(U256::ZERO),
            scheme: CallScheme::Call,
            is_static: false,
            charged_new_account_state_gas: false,
        });
        let left = if done.result.is_ok_or_revert() { done.gas.remaining() } else { 0 };
        let spent = limit - left;
        self.gas += spent;
        assert!(gas.record_regular_cost(spent), "a call used more gas than it was given");
        if !gas.record_regular_cost(words_gas(done.output.len())) {
            return Err(Failure::OutOfGas);
        }
        if !done.result.is_ok() {
            return Err(Failure::Refused(Refusal::Failed(done.output)));
        }
        gas.record_refund(done.gas.refunded());
        Ok(done.output)
    }

    /// The code that executes at an address, if there is any (EIP-7702).
    fn code(&mut self, target: Address) -> Option<(B256, Bytecode)> {
        let journal = &mut self.evm.ctx.journaled_state;
        let mut code = |address| {
            let account = infallible(journal.load_account_with_code(address));
            (account.info.code_hash(), account.info.code.clone().unwrap_or_default())
        };
        let own = code(target);
        if own.1.is_empty() {
            return None;
        }
        Some(own.1.eip7702_address().map_or(own, code))
    }

    #[expect(clippy::panic, reason = "a broken invariant: the state cannot fail")]
    fn run(&mut self, inputs: CallInputs) -> InterpreterResult {
        let memory = SharedMemory::new_with_buffer(self.evm.ctx.local.shared_memory_buffer.clone());
        let frame = FrameInit { depth: 0, memory, frame_input: FrameInput::Call(Box::new(inputs)) };
        let mut handler = MainnetHandler::<_, EVMError<Infallible>, _>::default();
        let done = handler.run_exec_loop(&mut self.evm, frame);
        self.evm.ctx.local.clear();
        self.evm.frame_stack.clear();
        match done {
            Ok(done) => done.into_interpreter_result(),
            Err(error) => panic!("the EVM failed in a call from another rollup: {error:?}"),
        }
    }

    fn finish(mut self, rollup: RollupId) -> RemoteEffects {
        let journal = &mut self.evm.ctx.journaled_state;
        let logs = journal.take_logs();
        journal.commit_tx();
        let changes = journal.finalize();
        // One commit for each transaction, as the state's rules say.
        journal.database.commit(changes.clone());
        RemoteEffects { rollup, changes, logs, gas: self.gas }
    }
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
