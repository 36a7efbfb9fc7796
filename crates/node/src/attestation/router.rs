//! Messages about outcomes, handed to the actors of their domains.

use super::message::Message;
use crate::ports::Peers;
use chorale_foundation::{Bytes, cryptography::ed25519::PublicKey, p2p::Receiver};
use chorale_types::{DomainId, codec::decode};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Bytes of the largest message.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Messages that wait for the actor of a domain. What is above is lost, as on a network: what matters is asked for again.
const WAITING_MAX: usize = 1_024;

/// Messages of a domain, with who sent them.
pub type Messages = mpsc::Receiver<(PublicKey, Message)>;

/// Reads [`channel::ATTEST`](crate::mesh::channel::ATTEST). A domain that does not keep up loses its own messages only.
pub struct Router<R> {
    receiver: R,
    peers: Peers,
    domains: BTreeMap<DomainId, mpsc::Sender<(PublicKey, Message)>>,
}

impl<R: Receiver<PublicKey = PublicKey>> Router<R> {
    /// Reads this channel.
    #[must_use]
    pub const fn new(receiver: R, peers: Peers) -> Self {
        Self { receiver, peers, domains: BTreeMap::new() }
    }

    /// The messages of a domain of the chain. What is about others, nobody sends who has the same genesis.
    pub fn domain(&mut self, domain: DomainId) -> Messages {
        let (sender, messages) = mpsc::channel(WAITING_MAX);
        self.domains.insert(domain, sender);
        messages
    }

    /// Runs until the channel is closed.
    pub async fn run(mut self) {
        while let Ok((peer, bytes)) = self.receiver.recv().await {
            if let Err(reason) = self.route(&peer, bytes.into()) {
                self.peers.block(&peer, reason);
            }
        }
    }

    fn route(&self, peer: &PublicKey, bytes: Bytes) -> Result<(), &'static str> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err("sent too long a message about outcomes");
        }
        let message: Message = decode(bytes).map_err(|_| "sent bytes that are no message about outcomes")?;
        let domain = self.domains.get(&message.domain());
        let domain = domain.ok_or("sent a message about outcomes of a domain that the chain does not have")?;
        // Full, or the actor has stopped, which says why itself.
        let _ = domain.try_send((peer.clone(), message));
        Ok(())
    }
}
