//! What drives the state machine. Every step also gets the node's clock, in milliseconds.

use chorale_types::{
    AvailabilityCertificate, EpochInfo, Header, Message, ValidatorIndex, View, codec::List, limits::HEADER_PAYLOADS_MAX,
};

/// An input of [`Core::step`](crate::Core::step).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few are alive at a time")]
pub enum Input {
    /// First input of all: enter the view of the record, resend what it holds, set the timer.
    Start,
    /// A message that the mesh authenticated as this validator's.
    Message {
        /// Who sent it.
        from: ValidatorIndex,
        /// What it sent.
        message: Message,
    },
    /// Time has passed: what [`Core::deadline`](crate::Core::deadline) named is due.
    Tick,
    /// Answers [`Output::WantContent`](crate::Output::WantContent), at once or later in the view. While the proposal is
    /// held because nothing was there, more content may follow and is proposed at once.
    Content {
        /// The view asked for; other views are ignored.
        view: View,
        /// What to order, checked by the proposer: certificates of this epoch that have not expired.
        payloads: List<AvailabilityCertificate, HEADER_PAYLOADS_MAX>,
    },
    /// Whether this node has something to order that is not ordered yet. Ends idling.
    Pending(bool),
    /// The timer of the view should allow for this: the round trip to a validator, in milliseconds.
    RoundTrip {
        /// To whom.
        to: ValidatorIndex,
        /// How long.
        rtt_ms: u64,
    },
    /// Answers [`Output::WantHeaders`](crate::Output::WantHeaders): untrusted headers, in any order.
    Headers(Vec<Header>),
    /// Answers [`Output::EpochEnded`](crate::Output::EpochEnded): the next epoch, with this node's place in it.
    Epoch {
        /// The epoch.
        info: EpochInfo,
        /// This node's place in it; none if it only follows.
        index: Option<ValidatorIndex>,
    },
}
