//! Messages in and out: frames, codec, and who is cut off for bytes that are none.

use super::{
    frames::{Assembler, FRAME_BYTES_MAX, Frame, split},
    message::{Acknowledge, Announce, Ask, Disperse, ManifestOf, Message, OpenedPayload, Refuse},
    waiting::{Place, Waiting},
};
use crate::ports::Peers;
use chorale_dispersal::ValidatorChunks;
use chorale_foundation::{
    Bytes,
    cryptography::ed25519::PublicKey,
    p2p::{Receiver, Recipients, Sender},
};
use chorale_types::{
    TimestampMs,
    codec::{Encode, decode},
};
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
    /// Sends by `sender`. `now` numbers the first message: peers may hold parts of messages from before a restart, and
    /// what comes after them must have higher numbers.
    pub fn new(sender: N, now: TimestampMs) -> Self {
        Self { sender, number: Arc::new(AtomicU64::new(now.0 << 16)) }
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
#[derive(Debug)]
pub struct Received<M> {
    /// Who sent it.
    pub peer: PublicKey,
    /// What.
    pub message: M,
    /// Its place among those that wait; free when this is dropped.
    pub place: Place,
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
    senders: BTreeMap<PublicKey, Peer>,
    dispersal: mpsc::UnboundedSender<Received<ForDispersal>>,
    reveal: mpsc::UnboundedSender<Received<ForReveal>>,
}

struct Peer {
    assembler: Assembler,
    waiting: Waiting,
}

impl Inbox {
    /// For messages of at most `message_bytes_max` bytes.
    #[must_use]
    pub const fn new(
        peers: Peers,
        message_bytes_max: usize,
        dispersal: mpsc::UnboundedSender<Received<ForDispersal>>,
        reveal: mpsc::UnboundedSender<Received<ForReveal>>,
    ) -> Self {
        Self { peers, message_bytes_max, senders: BTreeMap::new(), dispersal, reveal }
    }

    /// Reads until the channel or an actor is closed.
    pub async fn run(mut self, mut receiver: impl Receiver<PublicKey = PublicKey>) {
        while let Ok((peer, bytes)) = receiver.recv().await {
            match self.read(&peer, bytes.into()) {
                Ok(Some((message, place))) => {
                    if self.hand_on(peer, message, place).is_err() {
                        return;
                    }
                }
                Ok(None) => {}
                Err(reason) => {
                    // What of it waits still counts.
                    if let Some(sender) = self.senders.get_mut(&peer) {
                        sender.assembler = Assembler::new(self.message_bytes_max);
                    }
                    self.peers.block(&peer, &reason);
                }
            }
        }
    }

    /// Takes a frame. Drops the message that it completes if too many of this peer wait already: whoever needs it sends it
    /// again, and nobody takes the place of others.
    fn read(&mut self, peer: &PublicKey, bytes: Bytes) -> Result<Option<(Message, Place)>, String> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(format!("a frame of {} bytes, at most {FRAME_BYTES_MAX} are allowed", bytes.len()));
        }
        let frame: Frame = decode(bytes).map_err(|error| format!("not a frame: {error}"))?;
        let max = self.message_bytes_max;
        let new = || Peer { assembler: Assembler::new(max), waiting: Waiting::new(max) };
        let sender = self.senders.entry(peer.clone()).or_insert_with(new);
        let Some(bytes) = sender.assembler.add(frame).map_err(|error| error.to_string())? else { return Ok(None) };
        let Some(place) = sender.waiting.place(bytes.len()) else {
            debug!(%peer, "dropped a message about a payload: too many of this peer are waiting");
            return Ok(None);
        };
        let message = decode(bytes).map_err(|error| format!("not a message about payloads: {error}"))?;
        Ok(Some((message, place)))
    }

    fn hand_on(&self, peer: PublicKey, message: Message, place: Place) -> Result<(), Closed> {
        let (dispersal, reveal) = (&self.dispersal, &self.reveal);
        match message {
            Message::Disperse(it) => offer(dispersal, peer, ForDispersal::Disperse(it), place),
            Message::Acknowledge(it) => offer(dispersal, peer, ForDispersal::Acknowledge(it), place),
            Message::Refuse(it) => offer(dispersal, peer, ForDispersal::Refuse(it), place),
            Message::Announce(it) => offer(dispersal, peer, ForDispersal::Announce(it), place),
            Message::Release(it) => offer(reveal, peer, ForReveal::Release(it), place),
            Message::Ask(it) => offer(reveal, peer, ForReveal::Ask(it), place),
            Message::Manifest(it) => offer(reveal, peer, ForReveal::Manifest(it), place),
            Message::Opened(it) => offer(reveal, peer, ForReveal::Opened(it), place),
        }
    }
}

struct Closed;

fn offer<M>(to: &mpsc::UnboundedSender<Received<M>>, peer: PublicKey, message: M, place: Place) -> Result<(), Closed> {
    to.send(Received { peer, message, place }).map_err(|_| Closed)
}
