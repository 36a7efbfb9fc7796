//! What synchronous calls come to, found by trying out: a leg is executed from the beginning for each call that it makes,
//! with the answers up to then, and stopped there. The answer is what an ordinary transaction on the other rollup gets that
//! makes the same calls one after the other, in the callers' names. Which of them stand is known from the frames that an
//! inspector sees, not from logs.

use super::programs::{word_of, words};
use crate::{BlockBuilder, SYNCHRONOUS_CALL, SignedTransaction, State, transaction};
use alloy_primitives::{Address, Bytes, Log, TxKind, U256, keccak256, map::AddressSet};
use revm::{
    Context, InspectEvm as _, Inspector, MainBuilder as _, MainContext as _,
    bytecode::{Bytecode, opcode::*},
    context::{
        BlockEnv, CfgEnv, JournalTr as _, TxEnv,
        result::{EVMError, ExecutionResult, ResultAndState},
    },
    context_interface::{Cfg, ContextTr},
    database::CacheDB,
    handler::{EthPrecompiles, MainnetContext, PrecompileProvider},
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, Gas, InstructionResult, InterpreterResult,
    },
    primitives::hardfork::SpecId,
    state::{AccountInfo, EvmState},
};
use std::{cell::RefCell, collections::BTreeSet, convert::Infallible, rc::Rc};

/// A call to another rollup.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) rollup: u64,
    caller: Address,
    target: Address,
    data: Bytes,
    gas: u64,
    number: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) asked: Asked,
    /// Or with which error it failed.
    output: Result<Bytes, Bytes>,
    /// How many bytes came back.
    said: usize,
    pub(super) gas: u64,
    refund: i64,
}

/// A leg that was tried out with some answers.
pub(super) enum Tried {
    Invalid,
    /// It asks for another answer; of those before, these stand.
    Asks(Asked, Vec<usize>),
    Done(ResultAndState, Vec<usize>),
}

/// What is known while a leg is tried.
#[derive(Default)]
struct Shared {
    /// Which answers stand.
    standing: Vec<usize>,
    /// How many were so at the beginning of each frame under way.
    frames: Vec<usize>,
    answered: usize,
    succeeded: u64,
    asks: Option<Asked>,
}

/// The precompiled contracts, with those answers.
struct Table<'a> {
    ethereum: EthPrecompiles,
    addresses: AddressSet,
    /// The rollup of the leg and those that it can reach; none in a call from another rollup.
    leg: Option<(u64, &'a BTreeSet<u64>)>,
    answers: &'a [Answer],
    shared: Rc<RefCell<Shared>>,
}

impl<'a> Table<'a> {
    fn new(leg: Option<(u64, &'a BTreeSet<u64>)>, answers: &'a [Answer], shared: &Rc<RefCell<Shared>>) -> Self {
        let ethereum = EthPrecompiles::new(SpecId::PRAGUE);
        let mut addresses = ethereum.warm_addresses().clone();
        addresses.insert(SYNCHRONOUS_CALL);
        Self { ethereum, addresses, leg, answers, shared: Rc::clone(shared) }
    }
}

fn error(signature: &str, arguments: &[U256]) -> Bytes {
    [&keccak256(signature)[..4], &words(arguments)].concat().into()
}

fn encoded(bytes: &[u8]) -> Vec<u8> {
    let mut encoded = words(&[U256::from(32), U256::from(bytes.len())]).to_vec();
    encoded.extend(bytes);
    encoded.resize(encoded.len().div_ceil(32) * 32, 0);
    encoded
}

fn event(name: &str, rollup: u64, asked: &Asked) -> Log {
    let topics = vec![
        keccak256(format!("{name}(uint256,address,address,uint256)")),
        U256::from(rollup).into(),
        asked.caller.into_word(),
        asked.target.into_word(),
    ];
    Log::new_unchecked(SYNCHRONOUS_CALL, topics, words(&[U256::from(asked.number)]))
}

fn alias(rollup: u64, account: Address) -> Address {
    let bytes = [b"chorale/alias/v1".to_vec(), words(&[U256::from(rollup)]).to_vec(), account.to_vec()].concat();
    Address::from_slice(&keccak256(bytes)[12..])
}

impl<C: ContextTr<Cfg: Cfg<Spec = SpecId>>> PrecompileProvider<C> for Table<'_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: SpecId) -> bool {
        false
    }

    fn run(&mut self, context: &mut C, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if inputs.bytecode_address != SYNCHRONOUS_CALL {
            return self.ethereum.run(context, inputs);
        }
        let input = inputs.input.bytes(context);
        let mut gas = Gas::new(inputs.gas_limit);
        let no_gas = || Ok(Some(InterpreterResult::new_oog(inputs.gas_limit, 0)));
        if !gas.record_regular_cost(10_000 + 3 * input.len().div_ceil(32) as u64) {
            return no_gas();
        }
        let revert = |output, gas| Ok(Some(InterpreterResult::new(InstructionResult::Revert, output, gas)));
        if inputs.scheme != CallScheme::Call || inputs.is_static || inputs.value.get() != U256::ZERO {
            return revert(error("NotPlain()", &[]), gas);
        }
        // Scripts and tests write this input as compilers do, or it is too short.
        if input.len() < 132 || input[..4] != keccak256("call(uint256,address,bytes)")[..4] {
            return revert(error("Malformed()", &[]), gas);
        }
        let word = |index: usize| U256::from_be_slice(&input[4 + 32 * index..36 + 32 * index]);
        let (rollup, target, length): (u64, Address, usize) =
            (word(0).to(), Address::from_word(word(1).into()), word(3).to());
        let Some((own, reachable)) = self.leg else { return revert(error("Nested()", &[]), gas) };
        if rollup == own {
            return revert(error("OwnRollup()", &[]), gas);
        }
        if !reachable.contains(&rollup) {
            return revert(error("NoLaterLeg(uint256)", &[U256::from(rollup)]), gas);
        }
        let mut shared = self.shared.borrow_mut();
        let most = gas.remaining() - gas.remaining() / 64;
        let data = input.slice(132..132 + length);
        let asked = Asked { rollup, caller: inputs.caller, target, data, gas: most, number: shared.succeeded };
        let Some(answer) = self.answers.get(shared.answered) else {
            shared.asks = Some(asked);
            return Err("a question".to_owned());
        };
        shared.answered += 1;
        assert_eq!((answer.asked.gas, answer.asked.number), (most, asked.number), "not the same question again");
        assert!(gas.record_regular_cost(answer.gas));
        if !gas.record_regular_cost(3 * answer.said.div_ceil(32) as u64) {
            return no_gas();
        }
        match &answer.output {
            Err(output) => revert(output.clone(), gas),
            Ok(output) => {
                gas.record_refund(answer.refund);
                let index = shared.answered - 1;
                shared.standing.push(index);
                shared.succeeded += 1;
                context.journal_mut().log(event("Called", rollup, &asked));
                Ok(Some(InterpreterResult::new(InstructionResult::Return, encoded(output).into(), gas)))
            }
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}

/// Sees which frames end well.
struct Frames(Rc<RefCell<Shared>>);

impl Frames {
    fn begin(&self) {
        let mut shared = self.0.borrow_mut();
        let standing = shared.standing.len();
        shared.frames.push(standing);
    }

    fn end(&self, is_ok: bool) {
        let mut shared = self.0.borrow_mut();
        let before = shared.frames.pop().unwrap();
        if !is_ok {
            shared.standing.truncate(before);
        }
    }
}

impl<C> Inspector<C> for Frames {
    fn call(&mut self, _: &mut C, _: &mut CallInputs) -> Option<CallOutcome> {
        self.begin();
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.end(outcome.result.result.is_ok());
    }

    fn create(&mut self, _: &mut C, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.begin();
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(outcome.result.result.is_ok());
    }
}

fn context(state: CacheDB<&State>, cfg: CfgEnv, block: BlockEnv) -> MainnetContext<CacheDB<&State>> {
    Context::mainnet().with_db(state).with_cfg(cfg).with_block(block)
}

/// Tries a leg of a rollup as the next transaction of a block.
pub(super) fn try_leg(
    builder: &BlockBuilder<'_>,
    rollup: u64,
    leg: &SignedTransaction,
    reachable: &BTreeSet<u64>,
    answers: &[Answer],
) -> Tried {
    let shared = Rc::new(RefCell::new(Shared::default()));
    let (cfg, block) = builder.environment();
    let mut evm = context(CacheDB::new(builder.state()), cfg, block)
        .build_mainnet_with_inspector(Frames(Rc::clone(&shared)))
        .with_precompiles(Table::new(Some((rollup, reachable)), answers, &shared));
    let done: Result<ResultAndState, EVMError<Infallible>> = evm.inspect_tx(transaction::environment(leg));
    let shared = shared.take();
    match done {
        Ok(done) => Tried::Done(done, shared.standing),
        Err(EVMError::Transaction(_)) => Tried::Invalid,
        Err(EVMError::Custom(_)) => Tried::Asks(shared.asks.unwrap(), shared.standing),
        Err(error) => panic!("{error:?}"),
    }
}

/// Calls that a leg of another rollup makes, as one transaction.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) source: u64,
    pub(super) sender: Address,
    pub(super) calls: Vec<Asked>,
}

/// Who makes the calls of a transaction that stands for a leg of another rollup.
const DRIVER: Address = Address::repeat_byte(0xdd);

/// Makes each of the driver's calls one of somebody else.
struct Disguise<'a> {
    group: &'a Group,
    block_gas: u64,
    depth: usize,
    made: usize,
    last: Option<(Result<Bytes, Bytes>, usize, u64, i64)>,
    is_nobody: bool,
}

impl<'a> Inspector<MainnetContext<CacheDB<&'a State>>> for Disguise<'_> {
    fn call(
        &mut self,
        context: &mut MainnetContext<CacheDB<&'a State>>,
        inputs: &mut CallInputs,
    ) -> Option<CallOutcome> {
        self.depth += 1;
        context.block.gas_limit = self.block_gas;
        if self.depth == 2 {
            let asked = &self.group.calls[self.made];
            self.made += 1;
            assert_eq!(inputs.gas_limit, asked.gas);
            inputs.caller = alias(self.group.source, asked.caller);
            context.journal_mut().load_account(inputs.caller).unwrap();
            context.journal_mut().log(event("Executed", self.group.source, asked));
            self.is_nobody = inputs.known_bytecode.1.is_empty();
        }
        None
    }

    fn call_end(&mut self, _: &mut MainnetContext<CacheDB<&'a State>>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.depth -= 1;
        if self.depth == 1 {
            let (result, output) = (outcome.result.result, outcome.result.output.clone());
            let left = if result.is_ok_or_revert() { outcome.result.gas.remaining() } else { 0 };
            let asked = &self.group.calls[self.made - 1];
            self.last = Some(if self.is_nobody {
                let arguments = [U256::from(asked.rollup), word_of(asked.target)];
                (Err(error("NoContract(uint256,address)", &arguments)), 0, 0, 0)
            } else if result.is_ok() {
                let said = output.len();
                (Ok(output), said, inputs.gas_limit - left, outcome.result.gas.refunded())
            } else {
                let failed = [&error("Failed(bytes)", &[])[..], &encoded(&output)].concat();
                (Err(failed.into()), output.len(), inputs.gas_limit - left, 0)
            });
        }
    }

    fn create(&mut self, _: &mut MainnetContext<CacheDB<&'a State>>, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.depth += 1;
        None
    }

    fn create_end(&mut self, _: &mut MainnetContext<CacheDB<&'a State>>, _: &CreateInputs, _: &mut CreateOutcome) {
        self.depth -= 1;
    }
}

/// Makes the calls of a group in a block under way: what changes, what is emitted, and the last answer.
pub(super) fn make(builder: &BlockBuilder<'_>, group: &Group) -> (EvmState, Vec<Log>, Answer) {
    let mut code = vec![CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY];
    let mut input = Vec::new();
    for Asked { target, data, gas, .. } in &group.calls {
        let push = |number: usize| [vec![PUSH8], (number as u64).to_be_bytes().to_vec()].concat();
        code.extend([PUSH0, PUSH0]);
        code.extend([push(data.len()), push(input.len()), vec![PUSH0, PUSH20], target.to_vec()].concat());
        code.extend([push(usize::try_from(*gas).unwrap()), vec![CALL, POP]].concat());
        input.extend_from_slice(data);
    }
    let mut state = CacheDB::new(builder.state());
    let code = Bytecode::new_raw(code.into());
    state.insert_account_info(
        DRIVER,
        AccountInfo { code_hash: code.hash_slow(), code: Some(code), ..Default::default() },
    );
    let (mut cfg, mut block) = builder.environment();
    (cfg.disable_base_fee, cfg.disable_balance_check, cfg.disable_nonce_check) = (true, true, true);
    // Of which contracts know nothing: the driver needs more gas than a block has.
    let block_gas = std::mem::replace(&mut block.gas_limit, u64::MAX);
    let origin = alias(group.source, group.sender);
    let transaction = TxEnv {
        caller: origin,
        gas_price: 0,
        gas_limit: 1 << 40,
        kind: TxKind::Call(DRIVER),
        data: input.into(),
        chain_id: Some(cfg.chain_id),
        ..TxEnv::default()
    };
    let mut disguise = Disguise { group, block_gas, depth: 0, made: 0, last: None, is_nobody: false };
    let shared = Rc::default();
    let mut evm = context(state, cfg, block).build_mainnet_with_inspector(&mut disguise).with_precompiles(Table::new(
        None,
        &[],
        &shared,
    ));
    let done: Result<ResultAndState, EVMError<Infallible>> = evm.inspect_tx(transaction);
    let ResultAndState { result, mut state } = done.unwrap();
    let ExecutionResult::Success { logs, .. } = result else { panic!("{result:?}") };
    // Neither the transaction nor its sender is there in truth.
    state.remove(&DRIVER);
    state.remove(&origin);
    let (output, said, gas, refund) = disguise.last.unwrap();
    (state, logs, Answer { asked: group.calls.last().unwrap().clone(), output, said, gas, refund })
}
