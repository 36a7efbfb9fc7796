//! Synchronous calls between the rollups of a domain: what they are, as contracts see them.
//!
//! From inside a leg of a bundle a contract calls one of another rollup and gets its answer, through a precompiled contract
//! at [`SYNCHRONOUS_CALL`], whose interface is `contracts/ISynchronousCall.sol`. Only domains that switched it on have it
//! ([`DomainRules`](crate::DomainRules)): it has no counterpart in other execution clients.
//!
//! # Rules
//!
//! 1. *Where.* In legs of bundles that execute as a whole, and there by a plain `CALL` without value. Anything else is
//!    refused with an error that says why, and so is every call outside of a bundle.
//! 2. *Whom.* A contract of another rollup of the domain for which a later leg of the bundle is: see rule 6.
//! 3. *One level deep.* What is called cannot call on, to no rollup. So nobody is called back while he waits.
//! 4. *By whom.* The contract that is called sees an [`alias`] of the caller, and one of the leg's sender as `tx.origin`.
//!    Nobody there pays: its `tx.gasprice` is 0.
//! 5. *Undone with its frame.* If the frame that called is reverted, or one around it, nothing of the call is left.
//! 6. *Where it shows.* Between the transactions of the rollup that is called, right before the next leg of the bundle for
//!    it, which *carries* the call: the receipt of that leg begins with the call's events. Such a leg there must be, so that
//!    the rollup has a block, and its followers a transaction to look at.
//! 7. *One transaction.* All calls of a leg to a rollup are one transaction there: transient storage, addresses and slots
//!    that are warm, and what may destroy itself last from one to the next.
//!
//! # Gas
//!
//! The caller pays, with the gas of its own rollup: [`CALL_GAS`], [`WORD_GAS`] for each word of data in and out, and what is
//! executed, for which it can give 63 of 64 parts of what it has left then. What is executed counts as gas of a block of
//! the rollup where it is executed, also if it is undone. Therefore a bundle asks every rollup of its legs for as much gas
//! as those legs might use there that come before the last one for it: there is room for all of it, or the bundle is
//! unplaced. Headers know nothing of that: their gas is that of transactions.
//!
//! # Events
//!
//! Each call that is not undone leaves one on both sides, from the address of the precompiled contract: `Called` with the
//! caller's rollup, `Executed` with that of the called, followed by what the called contract emitted.
//! Both have the same number, from 0 for each leg, and no two calls of a leg have the same.

use alloy_primitives::{Address, B256, Bytes, Log, U256, address, keccak256};
use chorale_types::RollupId;

/// Where the precompiled contract for synchronous calls is, next to the [mailbox](crate::MAILBOX).
pub const SYNCHRONOUS_CALL: Address = address!("b0dd1e0000000000000000000000000000000001");

/// Gas of a call, whatever comes of it: for reaching the contract that is called, and for two events.
pub const CALL_GAS: u64 = 10_000;

/// Gas of each word of a call's input, and of what the contract answers.
pub const WORD_GAS: u64 = 3;

/// Under which address an account of a rollup calls contracts of others.
///
/// ```text
/// alias = the last 20 bytes of keccak256("chorale/alias/v1" | rollup (32) | account (20))
/// ```
///
/// Ordinary addresses are hashes of something else: of 64 bytes of a public key, of 85 bytes (`CREATE2`), or of an RLP list
/// (`CREATE`), which begins otherwise and is shorter than these 68. So nobody has a key for an alias, and nobody creates a
/// contract there, but by finding a second preimage of 160 bits; and two aliases are the same for the same account of the
/// same rollup only.
#[must_use]
pub fn alias(rollup: RollupId, account: Address) -> Address {
    let rollup = U256::from(rollup.0).to_be_bytes::<32>();
    Address::from_word(keccak256([&b"chorale/alias/v1"[..], &rollup, account.as_slice()].concat()))
}

/// What a contract asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) rollup: RollupId,
    pub(crate) target: Address,
    pub(crate) data: Bytes,
}

/// Why a call does not succeed. The caller gets it as an error of the interface, with the gas that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not in a leg of a bundle that executes as a whole.
    OutsideBundle,
    /// It is in what another rollup called.
    Nested,
    /// It is no plain `CALL` without value.
    NotPlain,
    /// The input is not what the interface says.
    Malformed,
    /// The caller's own rollup.
    OwnRollup,
    /// No later leg of the bundle is for this rollup.
    NoLaterLeg(U256),
    /// Nobody could answer.
    NoContract(U256, Address),
    /// The contract reverted, with this, or ended by an exception.
    Failed(Bytes),
}

impl Request {
    /// Reads the input of `call(uint256,address,bytes)`, as compilers write it.
    pub(crate) fn decode(input: &Bytes) -> Result<Self, Refusal> {
        let parts = input.strip_prefix(&selector("call(uint256,address,bytes)")).and_then(|head| {
            let word = |index: usize| head.get(32 * index..32 * (index + 1)).map(U256::from_be_slice);
            Some((word(0)?, word(1)?, word(2)?, word(3)?))
        });
        let (rollup, target, offset, length) = parts.ok_or(Refusal::Malformed)?;
        let begin: usize = 4 + 4 * 32;
        let end = usize::try_from(length).ok().and_then(|length| begin.checked_add(length));
        let end = end.filter(|end| *end <= input.len()).ok_or(Refusal::Malformed)?;
        if offset != U256::from(96) || target.bit_len() > 160 {
            return Err(Refusal::Malformed);
        }
        // A number that is no rollup's has no leg either.
        let rollup = RollupId(u64::try_from(rollup).map_err(|_| Refusal::NoLaterLeg(rollup))?);
        let target = Address::from_word(B256::from(target));
        Ok(Self { rollup, target, data: input.slice(begin..end) })
    }

    /// What is recorded of it where it was made.
    pub(crate) fn called(&self, caller: Address, number: u64) -> Log {
        event("Called(uint256,address,address,uint256)", self.rollup, caller, self.target, number)
    }

    /// What is recorded of it where it was executed.
    pub(crate) fn executed(&self, source: RollupId, caller: Address, number: u64) -> Log {
        event("Executed(uint256,address,address,uint256)", source, caller, self.target, number)
    }
}

impl Refusal {
    /// As an error of the interface.
    pub(crate) fn encode(&self) -> Bytes {
        let error = |signature: &str, words: &[U256]| {
            let words = words.iter().flat_map(|word| word.to_be_bytes::<32>());
            selector(signature).into_iter().chain(words).collect::<Vec<u8>>().into()
        };
        match self {
            Self::OutsideBundle => error("OutsideBundle()", &[]),
            Self::Nested => error("Nested()", &[]),
            Self::NotPlain => error("NotPlain()", &[]),
            Self::Malformed => error("Malformed()", &[]),
            Self::OwnRollup => error("OwnRollup()", &[]),
            Self::NoLaterLeg(rollup) => error("NoLaterLeg(uint256)", &[*rollup]),
            Self::NoContract(rollup, target) => {
                error("NoContract(uint256,address)", &[*rollup, target.into_word().into()])
            }
            Self::Failed(output) => [&selector("Failed(bytes)")[..], &encode_bytes(output)].concat().into(),
        }
    }
}

/// Bytes as the only value that is returned, or the only argument of an error.
pub(crate) fn encode_bytes(bytes: &[u8]) -> Bytes {
    let mut encoded = Vec::with_capacity(64 + bytes.len().next_multiple_of(32));
    encoded.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    encoded.extend_from_slice(&U256::from(bytes.len()).to_be_bytes::<32>());
    encoded.extend_from_slice(bytes);
    encoded.resize(64 + bytes.len().next_multiple_of(32), 0);
    encoded.into()
}

/// Gas of so many bytes.
pub(crate) fn words_gas(bytes: usize) -> u64 {
    WORD_GAS.saturating_mul(bytes.div_ceil(32) as u64)
}

/// Whether this is what [`Request::called`] recorded of the call with this number.
pub(crate) fn is_called(log: &Log, number: u64) -> bool {
    log.address == SYNCHRONOUS_CALL && log.data.data[..] == U256::from(number).to_be_bytes::<32>()
}

fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(signature).0;
    [a, b, c, d]
}

fn event(signature: &str, rollup: RollupId, caller: Address, target: Address, number: u64) -> Log {
    let topics = vec![keccak256(signature), U256::from(rollup.0).into(), caller.into_word(), target.into_word()];
    Log::new_unchecked(SYNCHRONOUS_CALL, topics, U256::from(number).to_be_bytes::<32>().into())
}
