//! Executed rollups: their state, and the blocks that transactions make of it, with the roots and headers of Ethereum.
//!
//! Pure: what comes in is the order of transactions and where it stands in the chain, what comes out is a block. Nothing
//! here knows a disk, a clock or a network, and two nodes that are given the same make the same.
//!
//! # Derivation
//!
//! A [`Domain`] makes one block of each rollup for each height at which it has content: from the lanes and the outcome that
//! the stake attested, all verified by whoever follows. The block says where it comes from: its extra data is the height,
//! its parent beacon root the sequencer's block, which contracts read through EIP-4788.
//!
//! # Blocks
//!
//! [`RollupGenesis`] reads the genesis file of Ethereum's clients. [`BlockBuilder`] makes the next block: the rules are
//! those of Prague, with the calls to system contracts that unmodified clients make and check
//! ([EIP-4788](https://eips.ethereum.org/EIPS/eip-4788), [2935](https://eips.ethereum.org/EIPS/eip-2935),
//! [7002](https://eips.ethereum.org/EIPS/eip-7002), [7251](https://eips.ethereum.org/EIPS/eip-7251)). What Ethereum would
//! refuse a block for is skipped instead, with its reason: the order is fixed, and nobody may spoil it for others.
//!
//! Transactions are Ethereum's ([`recover`]), but for what could be repeated on other rollups: one that names no chain, and
//! a delegation for all chains. Blobs are not taken.
//!
//! # Bundles
//!
//! A bundle that is promised to execute as a whole takes effect on all rollups that it touches, or on none. Its legs are
//! ordinary transactions that are bound to it by what they sign ([`binding()`](fn@binding)), so none of them has a life of its own; they
//! talk to each other through the [mailbox](MAILBOX), and a message that is not consumed in the same bundle, or was never
//! sent, makes it abort.
//!
//! In a domain that has them ([`DomainRules`]), a leg can also call a contract of another rollup and go on with its answer:
//! [`SYNCHRONOUS_CALL`]. The rules are in the documentation of the module `synchronous`; how what was called is undone with
//! the frame that called it, in that of `remote`.
//!
//! # State
//!
//! Everything is in memory. Who owns a [`State`] writes down what changed, flat and once for each block, and builds it
//! again from that ([`State::from_parts`]).
//!
//! ## Rules of the state
//!
//! 1. *One commit for each transaction.* The EVM (revm) runs a transaction on the state, or on an overlay of it, and hands
//!    over what it touched; [`State`] takes that as a [`DatabaseCommit`](revm::DatabaseCommit). Only touched accounts
//!    count, and of their storage only slots that changed. revm tells those by their values before *the transaction*: of
//!    two that run without a commit between them, writes would be lost.
//! 2. *Removal.* An account that is touched and empty is removed (EIP-161), and so is one that destroyed itself. Whether
//!    it may (EIP-6780) is for the EVM to say. One that is created begins with empty storage. A slot that is zero is
//!    none.
//! 3. *Code* is kept by its hash, once, for as long as an account has it. The state is therefore a function of its
//!    accounts, storage and last block hashes, on every node, whatever it has been through.
//! 4. *Root.* That of Ethereum: the secure Merkle Patricia [`Trie`] of all accounts, each with the root of its storage.
//!    Only what changed since the last root is hashed.
//! 5. *Changes.* [`State::take_changes`] gives every row that differs since the last call, with its values before and
//!    after. [`State::undo`] takes them back, the last ones first, to exactly the state that was.
//! 6. *Snapshots.* A clone of a state stays what it is, with its root and proofs, whatever happens to the other. After a
//!    block it is made in constant time, and shares what did not change. It needs no lock: a node keeps the states of its
//!    last blocks for whoever asks about them, and executes the next one beside.
//!
//! # Determinism
//!
//! What can be seen is in order: by address, slot, hash or number. What the EVM hands over is a hash map; it is gone
//! through only where the order makes no difference. Rollups that no bundle of a height connects may be executed at the same
//! time: whoever derives may bring an [`Executor`] with threads, and what is derived does not depend on it.
//!
//! # Limits
//!
//! Memory grows with the state: about 0.5 KB for an account, 0.4 KB for a slot. Each snapshot that is kept adds what the
//! next block copied: 1 to 2 KB for each account or slot that it changed, and a few more where those were few. A block of
//! 30 million gas can change 6,000 slots: 128 snapshots between such blocks take more than 1 GB.
//!
//! The precompiles for BLS12-381, KZG and modular exponentiation are those in Rust, slower than their price in gas
//! assumes: a block full of the worst of them takes seconds. The gas limit of a rollup should allow for that.

mod binding;
mod block;
mod bundle;
mod burnt;
mod call;
mod chain;
mod client_genesis;
mod domain;
mod draft;
mod executor;
mod genesis;
mod ground;
mod height;
mod mailbox;
mod map;
mod overrides;
mod precompiles;
mod remote;
mod replay;
mod rollup;
mod state;
mod synchronous;
mod system;
mod transaction;
mod trie;

#[cfg(test)]
mod tests;

pub use binding::{BoundLeg, Marker, Terms, binding};
pub use block::{Block, BlockBuilder, Origin, Skipped};
pub use bundle::{AbortReason, Effect, REVERT_BYTES_MAX, RawLeg, SimulatedLeg, simulate};
pub use burnt::burnt_root;
pub use call::{Call, Called};
pub use chain::{Chain, Derived, NoEffect, OtherState, Reason};
pub use chorale_types::genesis::BlockTimes;
pub use client_genesis::client_genesis;
pub use domain::{Content, DerivedBundle, DerivedHeight, Domain, OutOfOrder};
pub use draft::{LegTransaction, UnsignedLeg, fill_gas};
pub use executor::{Executor, InTurn, Part};
pub use genesis::{GenesisError, RollupGenesis};
pub use ground::{Ground, InspectError, Inspected, InspectedContext};
pub use mailbox::{BUNDLE_SLOT, MAILBOX};
pub use overrides::{AccountOverride, BlockOverride, OverrideError, Overrides, StorageOverride};
pub use replay::{Before, Legs, Scene, replay};
pub use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
pub use rollup::{DomainRules, RollupRules};
pub use state::{Account, AccountProof, BLOCK_HASHES_MAX, Change, Changes, PartsError, SlotProof, State, UndoError};
pub use synchronous::{CALL_GAS, SYNCHRONOUS_CALL, WORD_GAS, alias};
pub use transaction::{Known, SignedTransaction, TransactionError, decode, recover, recovered_before};
pub use trie::Trie;
