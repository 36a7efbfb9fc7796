//! `debug_`: what a transaction does step by step, or call by call. It is executed once more for that.

use crate::{
    blocks::{MadeBlock, NoState},
    calls::{Asked, BlockAsked, words},
    errors::{INVALID_PARAMETERS, SERVER_ERROR, refused},
    lookup::unreadable,
    record::Fate,
    server::Server,
    store::StoreError,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, TxHash};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult};
use chorale_evm::{Before, Block, ExecutionResult, Ground, InspectError, Inspected, InspectedContext, Legs, replay};
use chorale_types::RollupId;
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
    types::ErrorObjectOwned,
};
use revm::{
    Inspector,
    context_interface::{ContextTr as _, context::ContextError},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, interpreter_types::LoopControl as _},
};
use revm_inspectors::tracing::{DebugInspector, TraceLimitBehavior, TraceLimits, TracingInspector, TransactionContext};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// Calls of all transactions that one answer shows.
const FRAMES_MAX: usize = 10_000;
/// Words of stack that one answer shows, and for each step besides them `STEP_WORDS`.
const WORDS_MAX: usize = 1 << 20;
const STEP_WORDS: usize = 8;
/// Bytes of input and memory that are copied for one answer.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Options of `debug_traceCall`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallOptions {
    #[serde(flatten)]
    tracing: GethDebugTracingOptions,
    state_overrides: Option<StateOverride>,
    block_overrides: Option<BlockAsked>,
}

/// `debug_`.
#[rpc(server, namespace = "debug")]
pub(crate) trait Debug {
    #[method(name = "traceTransaction")]
    async fn trace_transaction(&self, hash: TxHash, options: Option<GethDebugTracingOptions>) -> RpcResult<GethTrace>;

    #[method(name = "traceCall")]
    async fn trace_call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        options: Option<CallOptions>,
    ) -> RpcResult<GethTrace>;

    #[method(name = "traceBlockByNumber")]
    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>>;

    #[method(name = "traceBlockByHash")]
    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>>;
}

#[async_trait]
impl DebugServer for Server {
    async fn trace_transaction(&self, hash: TxHash, options: Option<GethDebugTracingOptions>) -> RpcResult<GethTrace> {
        let found = self.transaction(hash).await?;
        let (block, index) = found.ok_or_else(|| refused(SERVER_ERROR, "transaction not found"))?;
        let traces = self.traces(block, Some(index), options).await?;
        let trace = traces.into_iter().next().ok_or_else(|| refused(SERVER_ERROR, "transaction not found"))?;
        Ok(trace.1)
    }

    async fn trace_call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        options: Option<CallOptions>,
    ) -> RpcResult<GethTrace> {
        let CallOptions { tracing, state_overrides, block_overrides } = options.unwrap_or_default();
        let asked = Asked { state: state_overrides, block: block_overrides };
        let trace = move |ground: &mut Ground<'_>, call| {
            let mut tracer = Tracer::new(tracing, Left::default())?;
            let inspected = ground.inspect_call(&call, &mut tracer);
            tracer.result(inspected, ground, None)
        };
        self.on_ground(request, block, asked, trace).await
    }

    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>> {
        self.trace_block(number.into(), options).await
    }

    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<TraceResult>> {
        self.trace_block(hash.into(), options).await
    }
}

impl Server {
    async fn trace_block(&self, id: BlockId, options: Option<GethDebugTracingOptions>) -> RpcResult<Vec<TraceResult>> {
        let block = self.block(id).await?;
        let block = block.ok_or_else(|| refused(SERVER_ERROR, "block not found"))?;
        let traces = self.traces(block, None, options).await?;
        Ok(traces.into_iter().map(|(hash, trace)| TraceResult::new_success(trace, Some(hash))).collect())
    }

    /// Traces of one of a block's transactions, or of all.
    async fn traces(
        &self,
        block: Arc<Block>,
        only: Option<usize>,
        options: Option<GethDebugTracingOptions>,
    ) -> RpcResult<Vec<(TxHash, GethTrace)>> {
        let again = self.again(block).await?;
        let rollup = self.rollup;
        self.heavy.run(move || traces(&again, rollup, only, &options.unwrap_or_default())).await?
    }

    /// What has to be executed to see a block's transactions: where legs may have called other rollups, all that its height
    /// made.
    async fn again(&self, block: Arc<Block>) -> RpcResult<Again> {
        let number = block.header.number;
        let parent = number.checked_sub(1).ok_or_else(|| refused(SERVER_ERROR, "genesis is not traceable"))?;
        let before = self.view(Some(parent.into()))?;
        if !before.rules().synchronous_calls {
            let blocks = BTreeMap::from([(self.rollup, (before, block))]);
            return Ok(Again { blocks, bundles: Vec::new() });
        }
        let height = self.view(Some(number.into()))?.height();
        let blocks = {
            let published = self.read();
            let made = published.rollups.iter().map(|(rollup, blocks)| Ok((*rollup, blocks.made_at(height)?)));
            let made: Result<Vec<_>, NoState> = made.collect();
            made.map_err(|error| refused(SERVER_ERROR, error.to_string()))?
        };
        let store = Arc::clone(&self.store);
        let read = move || {
            // They go together: if the height is still there after them, they are all of it.
            let bundles = store.bundles_of(height)?;
            Ok(store.executed(height)?.is_some().then_some(bundles))
        };
        let bundles = self.reads.run(read).await?.map_err(|error: StoreError| unreadable(&error))?;
        let pruned = || refused(SERVER_ERROR, format!("what its height {height} made of bundles is not kept any more"));
        let bundles = bundles.ok_or_else(pruned)?;
        let committed = bundles.into_iter().filter(|bundle| bundle.fate == Fate::Committed);
        Ok(Again {
            blocks: blocks.into_iter().filter_map(|(rollup, made)| Some((rollup, made?))).collect(),
            bundles: committed.map(|bundle| bundle.legs).collect(),
        })
    }
}

/// Blocks of a height, each with the chain as it was before it, and the legs of the bundles that took effect there.
struct Again {
    blocks: BTreeMap<RollupId, MadeBlock>,
    bundles: Vec<Legs>,
}

fn traces(
    again: &Again,
    rollup: RollupId,
    only: Option<usize>,
    options: &GethDebugTracingOptions,
) -> RpcResult<Vec<(TxHash, GethTrace)>> {
    let blocks = again.blocks.iter().map(|(rollup, (chain, block))| (*rollup, Before { chain, block })).collect();
    let (mut found, mut left) = (Vec::new(), Left::default());
    // All that is wanted, or why it cannot be had.
    let mut ended = None;
    let _seen_enough = replay(&blocks, &again.bundles, |mut scene| {
        if scene.rollup != rollup || only.is_some_and(|only| only != scene.index) {
            return Ok(());
        }
        let hash = *scene.transaction.inner().tx_hash();
        let block_hash = Some(blocks[&rollup].block.header.hash());
        let context = TransactionContext { block_hash, tx_index: Some(scene.index), tx_hash: Some(hash) };
        let traced = Tracer::new(options.clone(), left).and_then(|mut tracer| {
            let inspected = scene.inspect(&mut tracer);
            left = tracer.left();
            if let Ok(inspected) = &inspected {
                check(blocks[&rollup].block, scene.index, &inspected.outcome.result)?;
            }
            tracer.result(inspected, scene.ground(), Some(context))
        });
        match traced {
            Ok(trace) => found.push((hash, trace)),
            Err(error) => ended = Some(error),
        }
        if only.is_some() || ended.is_some() { Err(()) } else { Ok(()) }
    });
    ended.map_or(Ok(found), Err)
}

/// That what is shown is what happened. A wrong trace would be worse than none.
fn check(block: &Block, index: usize, result: &ExecutionResult) -> RpcResult<()> {
    let gas = |index: usize| block.receipts[index].cumulative_gas_used();
    let used = gas(index) - index.checked_sub(1).map_or(0, gas);
    if (result.tx_gas_used(), result.is_success()) == (used, block.receipts[index].status()) {
        return Ok(());
    }
    Err(refused(SERVER_ERROR, "it does not execute here as it did when the block was made: there is no trace of it"))
}

/// What an answer has room for.
#[derive(Clone, Copy)]
struct Left {
    frames: usize,
    words: usize,
    bytes: usize,
}

impl Default for Left {
    fn default() -> Self {
        Self { frames: FRAMES_MAX, words: WORDS_MAX, bytes: BYTES_MAX }
    }
}

/// A tracer that takes no more memory than an answer may.
struct Tracer {
    inner: DebugInspector,
    left: Left,
    /// Steps that are still recorded; none if the tracer records none.
    steps: u64,
}

impl Tracer {
    fn new(options: GethDebugTracingOptions, left: Left) -> RpcResult<Self> {
        // What is not a tracer's name is a program in JavaScript elsewhere.
        let unsupported = |error: &dyn std::fmt::Display| refused(INVALID_PARAMETERS, format!("tracer: {error}"));
        let limits =
            TraceLimits::default().set_max_recorded_bytes(Some(left.bytes)).set_behavior(TraceLimitBehavior::Halt);
        let bounded = |tracer: TracingInspector| tracer.with_limits(limits);
        let limit = options.config.limit.filter(|limit| *limit != 0).unwrap_or(u64::MAX);
        let mut steps = 0;
        let inner = match DebugInspector::new(options).map_err(|error| unsupported(&error))? {
            DebugInspector::CallTracer(tracer, config) => DebugInspector::CallTracer(bounded(tracer), config),
            DebugInspector::PreStateTracer(tracer, config) => DebugInspector::PreStateTracer(bounded(tracer), config),
            DebugInspector::FlatCallTracer(tracer) => DebugInspector::FlatCallTracer(bounded(tracer)),
            DebugInspector::Default(tracer, config) => {
                steps = limit;
                DebugInspector::Default(bounded(tracer), config)
            }
            it @ (DebugInspector::FourByte(_) | DebugInspector::Noop(_)) => it,
            _ => {
                let known = "callTracer, flatCallTracer, prestateTracer, 4byteTracer, noopTracer";
                return Err(unsupported(&format_args!("there are {known}")));
            }
        };
        Ok(Self { inner, left, steps })
    }

    /// What there is room for after this one.
    fn left(&self) -> Left {
        let recorded = match &self.inner {
            DebugInspector::CallTracer(tracer, _)
            | DebugInspector::PreStateTracer(tracer, _)
            | DebugInspector::FlatCallTracer(tracer)
            | DebugInspector::Default(tracer, _) => tracer.recorded_bytes(),
            _ => 0,
        };
        Left { bytes: self.left.bytes.saturating_sub(recorded), ..self.left }
    }

    fn result(
        &mut self,
        inspected: Result<Inspected, InspectError>,
        ground: &mut Ground<'_>,
        context: Option<TransactionContext>,
    ) -> RpcResult<GethTrace> {
        let Inspected { outcome, transaction } = inspected.map_err(|error| match error {
            InspectError::Invalid(invalid) => refused(SERVER_ERROR, words(&invalid)),
            InspectError::Ended(reason) => refused(SERVER_ERROR, reason),
        })?;
        let block = ground.block().clone();
        let result = self.inner.get_result(context, &transaction, &block, &outcome, ground.state_mut());
        result.map_err(|error| -> ErrorObjectOwned { refused(SERVER_ERROR, error.to_string()) })
    }

    /// Counts a call; one too many ends the transaction.
    fn count(&mut self, context: &mut InspectedContext<'_>) {
        match self.left.frames.checked_sub(1) {
            Some(left) => self.left.frames = left,
            None => end(context, format!("the trace has more than {FRAMES_MAX} calls")),
        }
    }
}

/// Ends the transaction when the call under way does.
fn end(context: &mut InspectedContext<'_>, why: String) {
    *context.error() = Err(ContextError::Custom(why));
}

type Interpreter = revm::interpreter::Interpreter<revm::interpreter::interpreter::EthInterpreter>;

impl<'a> Inspector<InspectedContext<'a>> for Tracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut InspectedContext<'a>) {
        self.inner.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut InspectedContext<'a>) {
        if self.steps > 0 {
            self.steps -= 1;
            match self.left.words.checked_sub(STEP_WORDS + interpreter.stack.len()) {
                Some(left) => self.left.words = left,
                None => {
                    end(context, "the trace has too many steps: ask for less of it with the option limit".to_owned());
                    interpreter.bytecode.reset_action();
                    interpreter.halt_fatal();
                    return;
                }
            }
        }
        self.inner.step(interpreter, context);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut InspectedContext<'a>) {
        self.inner.step_end(interpreter, context);
    }

    fn log(&mut self, context: &mut InspectedContext<'a>, log: alloy_primitives::Log) {
        self.inner.log(context, log);
    }

    fn log_full(
        &mut self,
        interpreter: &mut Interpreter,
        context: &mut InspectedContext<'a>,
        log: alloy_primitives::Log,
    ) {
        self.inner.log_full(interpreter, context, log);
    }

    fn call(&mut self, context: &mut InspectedContext<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.count(context);
        self.inner.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut InspectedContext<'a>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut InspectedContext<'a>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.count(context);
        self.inner.create(context, inputs)
    }

    fn create_end(&mut self, context: &mut InspectedContext<'a>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.inner.create_end(context, inputs, outcome);
    }

    fn selfdestruct(
        &mut self,
        contract: alloy_primitives::Address,
        target: alloy_primitives::Address,
        value: alloy_primitives::U256,
    ) {
        Inspector::<InspectedContext<'a>>::selfdestruct(&mut self.inner, contract, target, value);
    }
}
