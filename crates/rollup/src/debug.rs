//! `debug_`: what a transaction does step by step, or call by call. It is executed once more for that.

use crate::{
    calls::{Asked, BlockAsked, words},
    errors::{INVALID_PARAMETERS, SERVER_ERROR, refused},
    server::Server,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, TxHash};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace, TraceResult};
use chorale_evm::{Block, Chain, Ground, InspectError, Inspected, InspectedContext};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    proc_macros::rpc,
    types::ErrorObjectOwned,
};
use revm::{
    Inspector,
    context_interface::{ContextTr as _, context::ContextError},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};
use revm_inspectors::tracing::{DebugInspector, TraceLimitBehavior, TraceLimits, TracingInspector, TransactionContext};
use serde::Deserialize;
use std::{num::NonZeroU64, sync::Arc};

/// Calls of all transactions that one answer shows.
const FRAMES_MAX: usize = 10_000;
/// Steps of one transaction; those after them are left out, as with the option `limit`.
const STEPS_MAX: NonZeroU64 = NonZeroU64::new(50_000).unwrap();
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
            let mut tracer = Tracer::new(tracing, FRAMES_MAX)?;
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
        let number = block.header.number;
        let parent = number.checked_sub(1).ok_or_else(|| refused(SERVER_ERROR, "genesis is not traceable"))?;
        let view = self.view(Some(parent.into()))?;
        self.heavy.run(move || traces(&view, &block, only, &options.unwrap_or_default())).await?
    }
}

fn traces(
    parent: &Chain,
    block: &Block,
    only: Option<usize>,
    options: &GethDebugTracingOptions,
) -> RpcResult<Vec<(TxHash, GethTrace)>> {
    let mut found = Vec::new();
    // All that is wanted, or why it cannot be had.
    let mut ended = None;
    let mut frames_left = FRAMES_MAX;
    let _ended = parent.replay(block, |index, transaction, mut ground| {
        if only.is_some_and(|only| only != index) {
            return Ok(());
        }
        let hash = *transaction.inner().tx_hash();
        let context =
            TransactionContext { block_hash: Some(block.header.hash()), tx_index: Some(index), tx_hash: Some(hash) };
        let traced = Tracer::new(options.clone(), frames_left).and_then(|mut tracer| {
            let inspected = ground.inspect(transaction, &mut tracer);
            frames_left = tracer.frames_left;
            tracer.result(inspected, &mut ground, Some(context))
        });
        match traced {
            Ok(trace) => found.push((hash, trace)),
            Err(error) => ended = Some(error),
        }
        if only.is_some() || ended.is_some() { Err(()) } else { Ok(()) }
    });
    ended.map_or(Ok(found), Err)
}

/// A tracer that takes no more memory than an answer may.
struct Tracer {
    inner: DebugInspector,
    frames_left: usize,
}

impl Tracer {
    fn new(mut options: GethDebugTracingOptions, frames_left: usize) -> RpcResult<Self> {
        // What is not a tracer's name is a program in JavaScript elsewhere.
        let unsupported = |error: &dyn std::fmt::Display| refused(INVALID_PARAMETERS, format!("tracer: {error}"));
        let steps = options.config.limit.unwrap_or_default();
        options.config.limit = Some(if steps == 0 { STEPS_MAX.get() } else { steps.min(STEPS_MAX.get()) });
        let limits =
            TraceLimits::default().set_max_recorded_bytes(Some(BYTES_MAX)).set_behavior(TraceLimitBehavior::Halt);
        let bounded = |mut tracer: TracingInspector| {
            tracer.config_mut().step_limit.get_or_insert(STEPS_MAX);
            tracer.with_limits(limits)
        };
        let inner = match DebugInspector::new(options).map_err(|error| unsupported(&error))? {
            DebugInspector::CallTracer(tracer, config) => DebugInspector::CallTracer(bounded(tracer), config),
            DebugInspector::PreStateTracer(tracer, config) => DebugInspector::PreStateTracer(bounded(tracer), config),
            DebugInspector::FlatCallTracer(tracer) => DebugInspector::FlatCallTracer(bounded(tracer)),
            DebugInspector::Default(tracer, config) => DebugInspector::Default(bounded(tracer), config),
            it @ (DebugInspector::FourByte(_) | DebugInspector::Noop(_)) => it,
            _ => {
                return Err(unsupported(
                    &"there are callTracer, flatCallTracer, prestateTracer, 4byteTracer, noopTracer",
                ));
            }
        };
        Ok(Self { inner, frames_left })
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
        match self.frames_left.checked_sub(1) {
            Some(left) => self.frames_left = left,
            None => {
                let message = format!("the trace has more than {FRAMES_MAX} calls");
                *context.error() = Err(ContextError::Custom(message));
            }
        }
    }
}

type Interpreter = revm::interpreter::Interpreter<revm::interpreter::interpreter::EthInterpreter>;

impl<'a> Inspector<InspectedContext<'a>> for Tracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut InspectedContext<'a>) {
        self.inner.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut InspectedContext<'a>) {
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
