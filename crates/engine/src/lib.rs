//! Hands the blocks of a rollup to an unmodified execution client, over Ethereum's
//! [Engine API](https://github.com/ethereum/execution-apis/tree/main/src/engine).
//!
//! The node executes every block itself. A client beside it executes the same blocks again, with code that has nothing in
//! common with the node's, and serves them with whatever it has: traces, indexes, tools. If it finds another root, one of
//! the two is wrong: that is an [alarm](Alarm), written to a file with all that is needed to look into it.
//!
//! # Rules
//!
//! 1. *Only clients of this chain.* Nothing is handed over before chain id and block 0 are the rollup's.
//! 2. *Where the client is, is asked, not remembered.* At every start, and whenever it says that it lacks something, the last
//!    block that both have is looked for, and what comes after it is handed over from the store. So a client may be started
//!    late, again, or empty.
//! 3. *Its head is the node's.* One that is ahead, or on another branch, is told the node's head, as far as it follows.
//! 4. *No queue.* A client that is slow makes the driver slow, and nothing else: it reads each block when its turn comes.
//! 5. *An alarm ends it.* Nothing is handed over any more until the node is started again; the node itself goes on.
//! 6. Everything else passes: what does not answer, refuses the token or is still starting is tried again, less and less
//!    often. What is wrong is logged when it changes.
//!
//! # Two kinds of client
//!
//! Those of [Ethereum](Kind::Ethereum) are handed whole blocks (`engine_newPayload`), and answer whether they find the same.
//! Those of the [OP stack](Kind::OpStack) have other rules for what a block is, and make their own of the transactions that
//! had an effect, in their order, without a pool of theirs.
//!
//! # Limits
//!
//! Blocks are those of Prague: a client has to offer `engine_newPayloadV4` and `engine_forkchoiceUpdatedV3`. With
//! `retain_blocks` a client that is further behind than that cannot catch up. Synchronous calls between rollups have no
//! counterpart in any client, so a domain that has them cannot be followed by one.

mod alarm;
mod client;
mod deposit;
mod driver;
mod handing;
mod optimism;
mod payload;
mod token;
mod trouble;

#[cfg(test)]
mod tests;

pub use alarm::{Alarm, Reason};
pub use driver::{Blocks, Config, Heads, Kind, Pace, State, drive};
pub use token::SecretError;
pub use trouble::Trouble;
