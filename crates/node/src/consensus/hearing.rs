//! What peers say.

use super::{actor::Actor, pings::believed_rtt_ms, wire::Wire};
use crate::runtime::Context;
use chorale_foundation::{
    Bytes,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
};
use chorale_hotstuff::{Input, Output};
use chorale_types::{Message, NodeKey, Scheme, ValidatorIndex, codec::decode};
use futures::FutureExt as _;

/// Messages that are taken in one turn, with one sync for all that they promise.
const BATCH_MAX: usize = 64;

impl<E, S, N, R> Actor<E, S, N, R>
where
    E: Context,
    S: Scheme,
    N: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    /// Takes a message, and what else is here already.
    pub(super) fn receive_batch(&mut self, peer: &PublicKey, bytes: Bytes) -> Vec<Output> {
        let mut outputs = self.receive(peer, bytes);
        for _ in 1..BATCH_MAX {
            let Some(Ok((peer, bytes))) = self.receiver.recv().now_or_never() else { break };
            outputs.extend(self.receive(&peer, bytes.into()));
        }
        outputs
    }

    fn receive(&mut self, peer: &PublicKey, bytes: Bytes) -> Vec<Output> {
        let wire = match decode::<Wire>(bytes) {
            Ok(wire) => wire,
            Err(error) => {
                self.peers.block(peer, &format!("sent bytes that are no message of consensus: {error}"));
                return Vec::new();
            }
        };
        let Some(from) = self.keys.iter().position(|key| key.as_ref() == Some(peer)) else {
            if let Wire::Consensus(message) = &wire {
                self.hear_outsider(peer, message);
            }
            return Vec::new();
        };
        let from = ValidatorIndex(u16::try_from(from).expect("a set holds at most 1024"));
        match wire {
            Wire::Consensus(message) => self.step(Input::Message { from, message }),
            Wire::Ping(at) => {
                if self.pongs.allow(from, self.now()) {
                    self.send(Recipients::One(peer.clone()), &Wire::Pong(at));
                }
                Vec::new()
            }
            Wire::Pong(at) => match believed_rtt_ms(at, self.now()) {
                Some(rtt_ms) => self.step(Input::RoundTrip { to: from, rtt_ms }),
                None => Vec::new(),
            },
        }
    }

    /// Peers of the epoch before stay connected. One that left the set with it and speaks in it still has missed its end.
    fn hear_outsider(&mut self, peer: &PublicKey, message: &Message) {
        let epoch = message.epoch();
        // Farewells are not answered, or two nodes would exchange them for ever.
        if epoch >= self.epoch.epoch || matches!(message, Message::Entry(_) | Message::Commit(_)) {
            return;
        }
        let is = |node: &NodeKey| node.0[..] == *peer.as_ref();
        let was_in_it =
            self.known.get(epoch).is_some_and(|info| info.validators.iter().any(|(_, validator)| is(&validator.node)));
        if was_in_it {
            self.stragglers.note(peer, epoch);
        }
    }
}
