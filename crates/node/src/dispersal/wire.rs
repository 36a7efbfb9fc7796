//! Messages in and out: frames, codec, and who is cut off for bytes that are none.

use super::{
    frames::{Assembler, FRAME_BYTES_MAX, Frame, split},
    message::{Acknowledge, Announce, Ask, Disperse, ManifestOf, Message, OpenedPayload, Refuse},
};
use crate::ports::Peers;
use chorale_dispersal::ValidatorChunks;
use chorale_foundation::{
    Bytes,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
};
use chorale_types::codec::{Encode, decode};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc;
use tracing::debug;

/// Sends messages to peers. Clones share the connection.
#[derive(Clone)]
pub struct Outbox<N> {
    sender: N,
    number: Arc<AtomicU64>,
}

impl<N: Sender<PublicKey = PublicKey>> Outbox<N> {
    /// Sends by `sender`.
    pub fn new(sender: N) -> Self {
        Self { sender, number: Arc::new(AtomicU64::new(0)) }
    }

    /// Sends a message, as far as the connection takes it: nothing here is retried.
    pub fn send(&mut self, to: &PublicKey, message: &Message) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        for frame in split(number, &message.encode()) {
            // Chunks are bulk: they never go before anything else on the connection.
            let sent = self.sender.send(Recipients::One(to.clone()), frame.encode(), message.is_urgent());
            if sent.is_empty() {
                debug!(%to, number, "a frame was not sent: the peer is away, or too much is queued for it");
                break;
            }
        }
    }
}

/// A message with its authenticated sender.
#[derive(Clone, Debug)]
pub struct Received<M> {
    /// Who sent it.
    pub peer: PublicKey,
    /// What.
    pub message: M,
}

/// What the dispersal actor reads.
#[derive(Clone, Debug)]
pub enum ForDispersal {
    /// See [`Disperse`].
    Disperse(Disperse),
    /// See [`Acknowledge`].
    Acknowledge(Acknowledge),
    /// See [`Refuse`].
    Refuse(Refuse),
    /// See [`Announce`].
    Announce(Announce),
}

/// What the reveal actor reads.
#[derive(Clone, Debug)]
pub enum ForReveal {
    /// Chunks of an ordered payload.
    Release(ValidatorChunks),
    /// See [`Ask`].
    Ask(Ask),
    /// See [`ManifestOf`].
    Manifest(ManifestOf),
    /// See [`OpenedPayload`].
    Opened(OpenedPayload),
}

/// Reads the channel and hands messages to the two actors that share it.
pub struct Inbox {
    peers: Peers,
    message_bytes_max: usize,
    assemblers: BTreeMap<PublicKey, Assembler>,
    dispersal: mpsc::Sender<Received<ForDispersal>>,
    reveal: mpsc::Sender<Received<ForReveal>>,
}

impl Inbox {
    /// For messages of at most `message_bytes_max` bytes.
    #[must_use]
    pub const fn new(
        peers: Peers,
        message_bytes_max: usize,
        dispersal: mpsc::Sender<Received<ForDispersal>>,
        reveal: mpsc::Sender<Received<ForReveal>>,
    ) -> Self {
        Self { peers, message_bytes_max, assemblers: BTreeMap::new(), dispersal, reveal }
    }

    /// Reads until the channel or an actor is closed.
    pub async fn run(mut self, mut receiver: impl Receiver<PublicKey = PublicKey>) {
        while let Ok((peer, bytes)) = receiver.recv().await {
            match self.read(&peer, bytes.into()) {
                Ok(Some(message)) => {
                    if self.hand_on(peer, message).is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                Err(reason) => {
                    self.assemblers.remove(&peer);
                    self.peers.block(&peer, &reason);
                }
            }
        }
    }

    fn read(&mut self, peer: &PublicKey, bytes: Bytes) -> Result<Option<Message>, String> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(format!("a frame of {} bytes, at most {FRAME_BYTES_MAX} are allowed", bytes.len()));
        }
        let frame: Frame = decode(bytes).map_err(|error| format!("not a frame: {error}"))?;
        let max = self.message_bytes_max;
        let assembler = self.assemblers.entry(peer.clone()).or_insert_with(|| Assembler::new(max));
        let Some(bytes) = assembler.add(frame).map_err(|error| error.to_string())? else { return Ok(None) };
        decode(bytes).map(Some).map_err(|error| format!("not a message about payloads: {error}"))
    }

    /// Drops the message if its actor is behind: whoever needs it sends it again, and a queue without end would only
    /// hide that this node is too slow.
    fn hand_on(&self, peer: PublicKey, message: Message) -> Result<(), Closed> {
        match message {
            Message::Disperse(it) => offer(&self.dispersal, peer, ForDispersal::Disperse(it)),
            Message::Acknowledge(it) => offer(&self.dispersal, peer, ForDispersal::Acknowledge(it)),
            Message::Refuse(it) => offer(&self.dispersal, peer, ForDispersal::Refuse(it)),
            Message::Announce(it) => offer(&self.dispersal, peer, ForDispersal::Announce(it)),
            Message::Release(it) => offer(&self.reveal, peer, ForReveal::Release(it)),
            Message::Ask(it) => offer(&self.reveal, peer, ForReveal::Ask(it)),
            Message::Manifest(it) => offer(&self.reveal, peer, ForReveal::Manifest(it)),
            Message::Opened(it) => offer(&self.reveal, peer, ForReveal::Opened(it)),
        }
    }
}

struct Closed;

fn offer<M>(to: &mpsc::Sender<Received<M>>, peer: PublicKey, message: M) -> Result<(), Closed> {
    match to.try_send(Received { peer, message }) {
        Ok(()) => Ok(()),
        Err(mpsc::error::TrySendError::Full(dropped)) => {
            debug!(peer = %dropped.peer, "dropped a message about a payload: too many are waiting");
            Ok(())
        }
        Err(mpsc::error::TrySendError::Closed(_)) => Err(Closed),
    }
}
