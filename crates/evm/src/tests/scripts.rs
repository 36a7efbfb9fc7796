//! Programs for `contracts/test/Script.sol`, and domains whose rollups have it and can call each other.

use super::{
    heights::{DOMAIN, genesis, sequencer},
    programs::{self, word_of, words},
};
use crate::{Domain, DomainRules, RollupGenesis, SYNCHRONOUS_CALL};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use revm::bytecode::opcode::*;

/// Where it is on every rollup.
pub(super) const SCRIPT: Address = Address::repeat_byte(0xe1);
/// A second one, to be called by the first.
pub(super) const OTHER_SCRIPT: Address = Address::repeat_byte(0xe2);
const COUNTING: Address = Address::repeat_byte(0xe3);
const DESTROYING: Address = Address::repeat_byte(0xe4);
const CALLING_CODE: Address = Address::repeat_byte(0xe5);

/// How something is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whatever comes of it.
    Call = 0,
    Static = 1,
    Delegate = 2,
    WithValue = 3,
    /// By a call that has to succeed.
    Surely = 5,
}

/// What a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write(u8, u8),
    /// Adds one to a slot.
    Count(u8),
    /// Adds one to a slot of transient storage, and notes it 0x40 slots on.
    CountTransient(u8),
    /// Notes caller, origin, price and chain in slots 0xc0 to 0xc3.
    Who,
    /// Emits an event.
    Say(u8),
    /// Calls a contract of its own rollup, with all gas if that is 0.
    Call(Kind, Address, u32, Bytes),
    /// A frame of its own.
    Frame(Kind, Vec<Step>),
    /// Creates a contract that does these steps first, and later what it is told.
    Create(Vec<Step>),
    /// Does these steps and fails after them, with code that no contract can have (EIP-3541).
    CreateForbidden(Vec<Step>),
    /// Calls a contract of another rollup.
    Remote(Kind, u64, Address, u32, Bytes),
    /// The same with a script, with all gas.
    Ask(u64, Vec<Step>),
    /// The precompiled contract's code, as if it were its own.
    CallCode(Bytes),
    Destroy(Address),
    Revert,
    Invalid,
    Endless,
    Return(u32),
    RevertWith(u32),
    Give(u8),
    /// Whatever that does.
    Noise(Vec<u8>),
}

/// The slot in which calls leave a hash of what came of them.
pub(super) const ANSWER: u64 = 0xa0;

/// The input that has a script do something.
pub(super) fn script(steps: &[Step]) -> Bytes {
    steps.iter().flat_map(encode).collect::<Vec<u8>>().into()
}

fn encode(step: &Step) -> Vec<u8> {
    let sized = |head: &[u8], data: &[u8]| [head, &u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat();
    let call = |kind: Kind, to: &Address, gas: u32, input: &[u8]| {
        sized(&[&[6, kind as u8][..], to.as_slice(), &gas.to_be_bytes()].concat(), input)
    };
    match step {
        Step::Write(slot, value) => vec![1, *slot, *value],
        Step::Count(slot) => vec![2, *slot],
        Step::CountTransient(slot) => call(Kind::Delegate, &COUNTING, 0, &words(&[U256::from(*slot)])),
        Step::Who => vec![4],
        Step::Say(word) => vec![5, *word],
        Step::Call(kind, to, gas, input) => call(*kind, to, *gas, input),
        Step::Frame(kind, steps) => call(*kind, &OTHER_SCRIPT, 0, &script(steps)),
        Step::Create(steps) => sized(&[7], &creation(steps)),
        Step::CreateForbidden(steps) => sized(&[7], &creation_of(steps, &[0xef])),
        Step::Remote(kind, rollup, target, gas, input) => {
            let head = [&[8, *kind as u8][..], &rollup.to_be_bytes(), target.as_slice(), &gas.to_be_bytes()];
            sized(&head.concat(), input)
        }
        Step::Ask(rollup, steps) => encode(&Step::Remote(Kind::Call, *rollup, SCRIPT, 0, script(steps))),
        Step::CallCode(input) => call(Kind::Call, &CALLING_CODE, 0, input),
        Step::Destroy(heir) => call(Kind::Delegate, &DESTROYING, 0, &words(&[word_of(*heir)])),
        Step::Revert => vec![0x10],
        Step::Invalid => vec![0x11],
        Step::Endless => vec![0x12],
        Step::Return(bytes) => [&[0x14][..], &bytes.to_be_bytes()[1..]].concat(),
        Step::RevertWith(bytes) => [&[0x15][..], &bytes.to_be_bytes()[1..]].concat(),
        Step::Give(slot) => vec![0x16, *slot],
        Step::Noise(bytes) => bytes.clone(),
    }
}

/// Executes the code of a script as its own with what is in memory, so long.
fn delegating(length: &[u8]) -> Vec<u8> {
    [&[PUSH0, PUSH0][..], length, &[PUSH0, PUSH20], SCRIPT.as_slice(), &[GAS, DELEGATECALL]].concat()
}

/// What a contract is that [`Step::Create`] has created: a script.
fn proxy() -> Vec<u8> {
    let mut code = vec![CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY];
    code.extend([PUSH0, PUSH0, CALLDATASIZE, PUSH0, PUSH20]);
    code.extend(SCRIPT);
    code.extend([GAS, DELEGATECALL, RETURNDATASIZE, PUSH0, PUSH0, RETURNDATACOPY]);
    let end = u8::try_from(code.len() + 6).unwrap();
    code.extend([PUSH1, end, JUMPI, RETURNDATASIZE, PUSH0, REVERT, JUMPDEST, RETURNDATASIZE, PUSH0, RETURN]);
    code
}

/// Code that does these steps, and deploys a script.
fn creation(steps: &[Step]) -> Bytes {
    creation_of(steps, &proxy())
}

fn creation_of(steps: &[Step], runtime: &[u8]) -> Bytes {
    let input = script(steps);
    let push = |number: usize| [vec![PUSH2], u16::try_from(number).unwrap().to_be_bytes().to_vec()].concat();
    let build = |input_at: usize, runtime_at: usize| {
        let copy = |at: usize, length: usize| [push(length), push(at), vec![PUSH0, CODECOPY]].concat();
        let mut code = copy(input_at, input.len());
        code.extend(delegating(&push(input.len())));
        let end = u8::try_from(code.len() + 6).unwrap();
        code.extend([PUSH1, end, JUMPI, PUSH0, PUSH0, REVERT, JUMPDEST]);
        code.extend(copy(runtime_at, runtime.len()));
        code.extend([push(runtime.len()), vec![PUSH0, RETURN]].concat());
        code
    };
    let length = build(0, 0).len();
    [build(length, length + input.len()), input.to_vec(), runtime.to_vec()].concat().into()
}

/// Where [`Step::Create`] puts it.
pub(super) fn created_by(creator: Address, steps: &[Step]) -> Address {
    creator.create2(U256::from(7).to_be_bytes::<32>(), keccak256(creation(steps)))
}

/// The input of the precompiled contract.
pub(super) fn request(rollup: U256, target: Address, data: &[u8]) -> Bytes {
    let head = words(&[rollup, word_of(target), U256::from(96), U256::from(data.len())]);
    let mut input = [&keccak256("call(uint256,address,bytes)")[..4], &head, data].concat();
    input.resize(4 + (input.len() - 4).next_multiple_of(32), 0);
    input.into()
}

/// Adds one to the slot of transient storage that its input says, and notes it.
const COUNTING_CODE: &[u8] = &[
    PUSH0,
    CALLDATALOAD,
    DUP1,
    TLOAD,
    PUSH1,
    1,
    ADD, // slot, value
    DUP1,
    DUP3,
    TSTORE, // slot, value
    SWAP1,
    PUSH1,
    0x40,
    ADD,
    SSTORE,
    STOP,
];

fn calling_code() -> Bytes {
    let mut code = vec![CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, PUSH0, PUSH0, CALLDATASIZE, PUSH0, PUSH0, PUSH20];
    code.extend(SYNCHRONOUS_CALL);
    code.extend([GAS, CALLCODE, RETURNDATASIZE, PUSH0, PUSH0, RETURNDATACOPY, RETURNDATASIZE, PUSH0, RETURN]);
    code.into()
}

/// The runtime code of a compiled contract.
pub(super) fn compiled(contract: &str, part: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(format!("../../contracts/out/{contract}.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    hex::decode(json[part].as_str().unwrap()).unwrap()
}

/// A rollup with scripts.
pub(super) fn scripted(rollup: u64) -> Genesis {
    let mut genesis = genesis(rollup);
    let script = Bytes::from(compiled("Script", "runtime"));
    for (address, code) in [
        (SCRIPT, script.clone()),
        (OTHER_SCRIPT, script),
        (COUNTING, COUNTING_CODE.into()),
        (DESTROYING, programs::DESTROYING.into()),
        (CALLING_CODE, calling_code()),
    ] {
        let balance = U256::from(if address == SCRIPT { 1_000 } else { 0 });
        let account = GenesisAccount { code: Some(code), nonce: Some(1), balance, ..GenesisAccount::default() };
        genesis.alloc.insert(address, account);
    }
    genesis
}

/// A domain whose rollups can call each other.
pub(super) fn calling_domain_of(rollups: impl IntoIterator<Item = Genesis>) -> Domain {
    let rollups = rollups.into_iter().map(|genesis| RollupGenesis::new(&genesis).unwrap());
    Domain::new(sequencer(), DOMAIN, DomainRules { synchronous_calls: true, ..DomainRules::default() }, rollups)
}

/// These, with scripts.
pub(super) fn calling_domain(rollups: &[u64]) -> Domain {
    calling_domain_of(rollups.iter().map(|rollup| scripted(*rollup)))
}
