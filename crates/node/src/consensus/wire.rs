//! What travels on the channel of consensus: its messages, and pings that measure round trips.

use chorale_types::{Message, codec_enum};

/// A message of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one is alive at a time")]
pub enum Wire {
    /// A message of consensus.
    Consensus(Message),
    /// Asks for an answer with the same number: the sender's clock in milliseconds.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
}
codec_enum!(Wire { 0 => Consensus, 1 => Ping, 2 => Pong });
