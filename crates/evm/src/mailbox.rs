//! The mailbox: messages between the legs of one bundle.
//!
//! A contract without storage of its own, on every rollup, whose source is `contracts/Mailbox.sol`. It records what is
//! sent and consumed, and reverts outside of a bundle; that both match is checked here, after each leg. So unmodified
//! execution clients that are given committed legs only come to the same state, with no call to tell them anything.

use alloy_primitives::{Address, B256, Bytes, Log, U256, address, hex, keccak256};
use chorale_types::RollupId;
use std::collections::BTreeMap;

/// Where the mailbox is. In a transaction's access list it marks a leg of a bundle; nobody has a key for it.
pub const MAILBOX: Address = address!("b0dd1e0000000000000000000000000000000000");

/// The slot of the mailbox in the access list of every leg: that it is warm tells the contract that it runs in a leg
/// (EIP-2929). Nothing is ever stored in it.
pub const BUNDLE_SLOT: B256 = B256::ZERO;

/// The code of the mailbox.
///
/// # Panics
///
/// Never: the code is a constant of the build.
pub(crate) fn code() -> Bytes {
    hex::decode(include_str!("mailbox.hex").trim()).expect("compiled by ./x contracts").into()
}

/// What says that two messages are the same one. Two that are sent with the same content are two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    source: U256,
    destination: U256,
    sender: Address,
    receiver: Address,
    data: B256,
}

/// Messages of a bundle that were sent, and not yet consumed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    /// How many, and the leg that sent the last of them.
    waiting: BTreeMap<Message, (usize, u8)>,
}

/// A message was consumed that no leg before had sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsent;

impl Messages {
    /// Takes the logs of a leg that succeeded. What a leg sends, only later ones can consume.
    pub(crate) fn follow(&mut self, leg: u8, rollup: RollupId, logs: &[Log]) -> Result<(), Unsent> {
        let here = U256::from(rollup.0);
        let mut sent = Vec::new();
        for log in logs.iter().filter(|log| log.address == MAILBOX) {
            match Record::of(log) {
                Record::Sent { destination, sender, receiver, data } => {
                    sent.push(Message { source: here, destination, sender, receiver, data });
                }
                Record::Consumed { source, sender, receiver, data } => {
                    self.consume(Message { source, destination: here, sender, receiver, data })?;
                }
            }
        }
        for message in sent {
            let (count, last) = self.waiting.entry(message).or_insert((0, leg));
            (*count, *last) = (*count + 1, leg);
        }
        Ok(())
    }

    /// A leg that sent a message which nobody consumed, if there is one; of several the first.
    pub(crate) fn unread(&self) -> Option<u8> {
        self.waiting.values().map(|(_, leg)| *leg).min()
    }

    fn consume(&mut self, message: Message) -> Result<(), Unsent> {
        let (count, _) = self.waiting.get_mut(&message).ok_or(Unsent)?;
        *count -= 1;
        if *count == 0 {
            self.waiting.remove(&message);
        }
        Ok(())
    }
}

/// What the mailbox recorded, with the hash of the data.
enum Record {
    Sent { destination: U256, sender: Address, receiver: Address, data: B256 },
    Consumed { source: U256, sender: Address, receiver: Address, data: B256 },
}

impl Record {
    /// # Panics
    ///
    /// If the contract emitted something else, which its code cannot.
    fn of(log: &Log) -> Self {
        let [event, chain, sender, receiver] = log.topics() else {
            unreachable!("the mailbox emits events with three indexed fields")
        };
        let (sender, receiver) = (Address::from_word(*sender), Address::from_word(*receiver));
        let (chain, data) = (U256::from_be_bytes(chain.0), keccak256(&log.data.data));
        if *event == keccak256("Sent(uint256,address,address,bytes)") {
            Self::Sent { destination: chain, sender, receiver, data }
        } else {
            Self::Consumed { source: chain, sender, receiver, data }
        }
    }
}
