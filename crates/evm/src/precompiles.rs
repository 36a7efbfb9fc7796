//! The precompiled contracts: Ethereum's, and the one for [synchronous calls](crate::synchronous) where a domain has it.

use crate::synchronous::{CALL_GAS, Refusal, Request, SYNCHRONOUS_CALL, words_gas};
use alloy_primitives::{Bytes, map::AddressSet};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::hardfork::SpecId,
};

/// What becomes of synchronous calls in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// The domain has none: the address is one like others.
    Off,
    /// It is in no bundle.
    Outside,
    /// It is a call from another rollup itself.
    Nested,
}

/// The precompiled contracts of a transaction that reaches no other rollup.
#[derive(Clone, Debug)]
pub(crate) struct Precompiles {
    ethereum: EthPrecompiles,
    addresses: AddressSet,
    calls: Calls,
}

impl Precompiles {
    pub(crate) fn new(calls: Calls) -> Self {
        let ethereum = EthPrecompiles::new(SpecId::PRAGUE);
        let addresses = addresses(&ethereum, calls);
        Self { ethereum, addresses, calls }
    }

    pub(crate) const fn calls(&self) -> Calls {
        self.calls
    }

    pub(crate) const fn addresses(&self) -> &AddressSet {
        &self.addresses
    }
}

fn addresses(ethereum: &EthPrecompiles, calls: Calls) -> AddressSet {
    let mut addresses = ethereum.warm_addresses().clone();
    if calls != Calls::Off {
        addresses.insert(SYNCHRONOUS_CALL);
    }
    addresses
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        let is_new = PrecompileProvider::<C>::set_spec(&mut self.ethereum, spec);
        if is_new {
            self.addresses = addresses(&self.ethereum, self.calls);
        }
        is_new
    }

    fn run(&mut self, context: &mut C, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if inputs.bytecode_address != SYNCHRONOUS_CALL || self.calls == Calls::Off {
            return self.ethereum.run(context, inputs);
        }
        let calls = self.calls;
        Ok(Some(answer(context, inputs, |_, _, _| match calls {
            Calls::Nested => Err(Failure::Refused(Refusal::Nested)),
            Calls::Outside | Calls::Off => Err(Failure::Refused(Refusal::OutsideBundle)),
        })))
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}

/// Why a call gives no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// With a reason that the caller gets.
    Refused(Refusal),
    /// All gas is gone.
    OutOfGas,
}

/// What comes of a call to the precompiled contract: `execute` is given who asks for what, and the gas that there is for it.
pub(crate) fn answer<C: ContextTr>(
    context: &mut C,
    inputs: &CallInputs,
    execute: impl FnOnce(&mut C, &Request, &mut Gas) -> Result<Bytes, Failure>,
) -> InterpreterResult {
    let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
    let answered = begin(context, inputs, &mut gas).and_then(|request| execute(context, &request, &mut gas));
    match answered {
        Ok(output) => InterpreterResult::new(InstructionResult::Return, output, gas),
        Err(Failure::Refused(refusal)) => InterpreterResult::new(InstructionResult::Revert, refusal.encode(), gas),
        Err(Failure::OutOfGas) => {
            gas.spend_all();
            InterpreterResult::new(InstructionResult::PrecompileOOG, Bytes::new(), gas)
        }
    }
}

fn begin<C: ContextTr>(context: &mut C, inputs: &CallInputs, gas: &mut Gas) -> Result<Request, Failure> {
    let is_plain = inputs.scheme == CallScheme::Call && !inputs.is_static && !inputs.transfers_value();
    let input = inputs.input.bytes(context);
    if !gas.record_regular_cost(CALL_GAS.saturating_add(words_gas(input.len()))) {
        return Err(Failure::OutOfGas);
    }
    // By another scheme the caller would speak for somebody else; statically it could change the other rollup.
    debug_assert!(!is_plain || inputs.target_address == SYNCHRONOUS_CALL, "a plain call is to whose code it executes");
    if !is_plain {
        return Err(Failure::Refused(Refusal::NotPlain));
    }
    Request::decode(&input).map_err(Failure::Refused)
}
