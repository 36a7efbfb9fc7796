//! Contracts for tests, as code: each does one thing that the rules of blocks and state have to get right.

use crate::MAILBOX;
use alloy_primitives::{Address, Bytes, U256};
use revm::bytecode::opcode::*;

/// Writes the second word of its input to the slot that the first names.
pub(super) const STORE: &[u8] = &[PUSH1, 32, CALLDATALOAD, PUSH0, CALLDATALOAD, SSTORE, STOP];

/// Logs its input, with its caller and the block's number.
pub(super) const LOG: &[u8] =
    &[CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, NUMBER, CALLER, CALLDATASIZE, PUSH0, LOG2, STOP];

/// Writes a slot, and reverts with its input.
pub(super) const REVERTING: &[u8] =
    &[CALLER, PUSH0, SSTORE, CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY, CALLDATASIZE, PUSH0, REVERT];

/// Destroys itself in favour of the address in its input.
pub(super) const DESTROYING: &[u8] = &[PUSH0, CALLDATALOAD, SELFDESTRUCT];

/// Creates what its input says (CREATE2), and notes the address.
pub(super) const CREATING: &[u8] = &[
    CALLDATASIZE,
    PUSH0,
    PUSH0,
    CALLDATACOPY, // the input as init code
    NUMBER,
    CALLDATASIZE,
    PUSH0,
    CALLVALUE,
    CREATE2,
    PUSH0,
    SSTORE,
    STOP,
];

/// Calls the address in the first word of its input with the rest of it and its value; notes whether that succeeded, and
/// how much came back.
pub(super) const CALLING: &[u8] = &[
    PUSH1,
    32,
    CALLDATASIZE,
    SUB,
    PUSH1,
    32,
    PUSH0,
    CALLDATACOPY, // the rest of the input
    PUSH0,
    PUSH0,
    PUSH1,
    32,
    CALLDATASIZE,
    SUB,
    PUSH0,
    CALLVALUE,
    PUSH0,
    CALLDATALOAD,
    GAS,
    CALL,
    PUSH1,
    1,
    SSTORE,
    RETURNDATASIZE,
    PUSH1,
    2,
    SSTORE,
    STOP,
];

/// Notes what it sees of the block.
pub(super) const LOOKING: &[u8] = &[
    PREVRANDAO_,
    PUSH1,
    0,
    SSTORE,
    TIMESTAMP,
    PUSH1,
    1,
    SSTORE,
    BASEFEE,
    PUSH1,
    2,
    SSTORE,
    CHAINID,
    PUSH1,
    3,
    SSTORE,
    COINBASE,
    PUSH1,
    4,
    SSTORE,
    GASLIMIT,
    PUSH1,
    5,
    SSTORE,
    BLOBBASEFEE,
    PUSH1,
    6,
    SSTORE,
    PUSH1,
    1,
    NUMBER,
    SUB,
    BLOCKHASH,
    PUSH1,
    7,
    SSTORE,
    PUSH1,
    3,
    NUMBER,
    SUB,
    BLOCKHASH,
    PUSH1,
    8,
    SSTORE,
    SELFBALANCE,
    PUSH1,
    9,
    SSTORE,
    CALLER,
    BALANCE,
    PUSH1,
    10,
    SSTORE,
    STOP,
];
const PREVRANDAO_: u8 = DIFFICULTY;

/// Uses transient storage and copies in memory.
pub(super) const TRANSIENT: &[u8] = &[
    PUSH0,
    CALLDATALOAD,
    PUSH1,
    5,
    TSTORE,
    PUSH1,
    5,
    TLOAD,
    PUSH0,
    MSTORE,
    PUSH1,
    32,
    PUSH0,
    PUSH1,
    64,
    MCOPY,
    PUSH1,
    64,
    MLOAD,
    PUSH0,
    SSTORE,
    STOP,
];

/// Never ends.
pub(super) const ENDLESS: &[u8] = &[JUMPDEST, PUSH0, JUMP];

/// Returns half a megabyte of zeros.
pub(super) const TALKATIVE: &[u8] = &[PUSH3, 8, 0, 0, PUSH0, RETURN];

/// Creates what its input says (CREATE2), always with the same salt, and reverts if that fails.
pub(super) const CREATING_SURELY: &[u8] = &[
    CALLDATASIZE,
    PUSH0,
    PUSH0,
    CALLDATACOPY,
    PUSH0,
    CALLDATASIZE,
    PUSH0,
    PUSH0,
    CREATE2,
    PUSH1,
    15,
    JUMPI,
    PUSH0,
    PUSH0,
    REVERT,
    JUMPDEST, // 15
    STOP,
];

/// Writes the second word of its input to slot 0 if the first one is what is there, and reverts if not.
pub(super) const SWAPPING: &[u8] = &[
    PUSH0,
    CALLDATALOAD,
    PUSH0,
    SLOAD,
    EQ,
    PUSH1,
    11,
    JUMPI,
    PUSH0,
    PUSH0,
    REVERT,
    JUMPDEST, // 11
    PUSH1,
    32,
    CALLDATALOAD,
    PUSH0,
    SSTORE,
    STOP,
];

/// Calls the mailbox with its input, so often, and reverts with what that said if it fails.
pub(super) fn mailing(times: usize) -> Bytes {
    let mut code = vec![CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY];
    for _ in 0..times {
        calling_mailbox(&mut code, &[PUSH0, PUSH0, CALLDATASIZE, PUSH0, PUSH0], CALL);
    }
    code.push(STOP);
    code.into()
}

/// Calls the mailbox with its input, and reverts afterwards.
pub(super) fn mailing_in_vain() -> Bytes {
    let mut code = mailing(1).to_vec();
    code.pop();
    code.extend([PUSH0, PUSH0, REVERT]);
    code.into()
}

/// Executes the mailbox's code as its own, with its input.
pub(super) fn mailing_for_others() -> Bytes {
    let mut code = vec![CALLDATASIZE, PUSH0, PUSH0, CALLDATACOPY];
    calling_mailbox(&mut code, &[PUSH0, PUSH0, CALLDATASIZE, PUSH0], DELEGATECALL);
    code.push(STOP);
    code.into()
}

/// Creation code that calls the mailbox with each of these, one after the other, and reverts if one fails.
pub(super) fn creation_mailing(inputs: &[Bytes]) -> Bytes {
    // Each piece has the same length, whatever its numbers are: where the inputs begin is known.
    let piece = |at: usize, input: &Bytes| {
        let [at, length] = [at, input.len()].map(|number| u16::try_from(number).unwrap().to_be_bytes());
        let mut code = vec![PUSH2, length[0], length[1], PUSH2, at[0], at[1], PUSH0, CODECOPY];
        code.extend([PUSH0, PUSH0, PUSH2, length[0], length[1], PUSH0, PUSH0, PUSH20]);
        code.extend(MAILBOX);
        // To the JUMPDEST if it succeeded, which is six bytes after PC.
        code.extend([GAS, CALL, PC, PUSH1, 6, ADD, JUMPI, INVALID, JUMPDEST]);
        code
    };
    let length = inputs.len() * piece(0, &Bytes::new()).len() + 1;
    let mut code = Vec::new();
    let mut at = length;
    for input in inputs {
        code.extend(piece(at, input));
        at += input.len();
    }
    code.push(STOP);
    inputs.iter().fold(code, |code, input| [&code[..], input].concat()).into()
}

fn calling_mailbox(code: &mut Vec<u8>, arguments: &[u8], call: u8) {
    code.extend(arguments);
    code.push(PUSH20);
    code.extend(MAILBOX);
    code.extend([GAS, call]);
    let end = u8::try_from(code.len() + 10).unwrap();
    code.extend([PUSH1, end, JUMPI]);
    code.extend([RETURNDATASIZE, PUSH0, PUSH0, RETURNDATACOPY, RETURNDATASIZE, PUSH0, REVERT, JUMPDEST]);
}

/// Code that deploys `runtime`.
pub(super) fn deploying(runtime: &[u8]) -> Bytes {
    let [high, low] = u16::try_from(runtime.len()).unwrap().to_be_bytes();
    let prefix = [PUSH2, high, low, DUP1, PUSH1, 10, PUSH0, CODECOPY, PUSH0, RETURN];
    [&prefix[..], runtime].concat().into()
}

pub(super) fn words(words: &[U256]) -> Bytes {
    words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect::<Vec<u8>>().into()
}

pub(super) fn word_of(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}
