//! What pools tell each other: new entries at once and unasked, and from time to time what they hold, so that whoever
//! missed something can ask for it ([`fetch`]).
//!
//! Each peer has a budget of bytes and ids a second, in both directions. What comes above it is dropped and reported;
//! an honest pool sends at most half of it, so two honest pools never accuse each other.

mod fetch;

use crate::{
    bucket::Bucket,
    config::{BURST_IN_S, Config},
    entry::Entry,
    message::{Identified, Incoming, MESSAGE_BYTES_MAX, Message, PUSH_UNITS_MAX, Push},
    output::{Misbehaviour, Output},
    peer::PeerId,
    pool::{Frame, Mempool, Path},
    store::Sequence,
};
use chorale_types::{TimestampMs, UnitId, codec::List};
use fetch::Fetch;
use std::collections::{BTreeMap, BTreeSet};

/// What a message with bodies is charged on top of these when it is sent: all that is not in a body.
const HEAD_BYTES: u64 = 4096;
/// What it is charged on top of its frame when it arrives, below what its sender charged: small messages cost too.
const FRAME_BYTES: u64 = 512;
/// Misbehaviour by volume is reported once in this time for each peer.
const FLOOD_REPORT_MS: u64 = 1_000;
/// Rounds of announcements until every peer was told.
const ROUNDS_PER_CYCLE: usize = 8;

/// The state of gossip.
#[derive(Clone, Debug)]
pub(crate) struct Gossip {
    peers: BTreeMap<PeerId, Peer>,
    /// New local entries that wait to be pushed.
    outgoing: Vec<Entry>,
    outgoing_bytes: u64,
    fetch: Fetch,
    reconcile_at: TimestampMs,
    /// The peer that was last told what this pool holds.
    reconciled: Option<PeerId>,
}

#[derive(Clone, Debug)]
struct Peer {
    bytes_in: Bucket,
    ids_in: Bucket,
    bytes_out: Bucket,
    ids_out: Bucket,
    /// The first entry that it was not told of in this cycle.
    told: Sequence,
    flood_reported_at: Option<TimestampMs>,
}

impl Peer {
    fn new(config: &Config, now: TimestampMs) -> Self {
        let (bytes, ids) = (config.peer_bytes_per_second, config.peer_ids_per_second);
        Self {
            bytes_in: Bucket::new(bytes, BURST_IN_S, now),
            ids_in: Bucket::new(ids, BURST_IN_S, now),
            bytes_out: Bucket::new(bytes / 2, 1, now),
            ids_out: Bucket::new(ids / 2, 1, now),
            told: 0,
            flood_reported_at: None,
        }
    }
}

impl Gossip {
    pub(crate) const fn new(now: TimestampMs) -> Self {
        Self {
            peers: BTreeMap::new(),
            outgoing: Vec::new(),
            outgoing_bytes: 0,
            fetch: Fetch::new(now),
            reconcile_at: now,
            reconciled: None,
        }
    }

    /// Announced entries whose bodies are missing.
    pub(crate) fn wanted(&self) -> usize {
        self.fetch.wanted()
    }

    /// An entry is here, or has ended: nobody has to be asked for it.
    pub(crate) fn arrived(&mut self, id: &UnitId) {
        self.fetch.arrived(id);
    }
}

impl Mempool {
    /// Sets the peers to gossip with, this node not among them.
    pub fn set_peers(&mut self, peers: impl IntoIterator<Item = PeerId>, now: TimestampMs) {
        self.advance(now);
        let peers: BTreeSet<PeerId> = peers.into_iter().collect();
        self.gossip.peers.retain(|peer, _| peers.contains(peer));
        self.gossip.fetch.set_peers(&peers);
        for peer in peers {
            let (config, now) = (&self.config, self.now);
            self.gossip.peers.entry(peer).or_insert_with(|| Peer::new(config, now));
        }
        self.ask();
    }

    /// Queues a new local entry for all peers.
    pub(crate) fn push(&mut self, entry: Entry) {
        if self.gossip.outgoing_bytes + entry.bytes() > MESSAGE_BYTES_MAX as u64 - HEAD_BYTES
            || self.gossip.outgoing.len() == PUSH_UNITS_MAX
        {
            self.send_push();
        }
        self.gossip.outgoing_bytes += entry.bytes();
        self.gossip.outgoing.push(entry);
    }

    /// Sends what is queued for peers.
    pub fn flush(&mut self, now: TimestampMs) {
        self.advance(now);
        self.send_push();
    }

    fn send_push(&mut self) {
        let entries = std::mem::take(&mut self.gossip.outgoing);
        let bytes = std::mem::take(&mut self.gossip.outgoing_bytes);
        if entries.is_empty() {
            return;
        }
        let (mut to, now) = (Vec::new(), self.now);
        for (&id, peer) in &mut self.gossip.peers {
            if peer.bytes_out.take(bytes + HEAD_BYTES, now) {
                to.push(id);
            } else {
                self.counters.pushes_withheld += 1;
            }
        }
        if to.is_empty() {
            return;
        }
        let units = List::new(entries.iter().map(Entry::to_unit).collect()).expect("no more than a push holds");
        self.output(Output::Send { to, message: Message::Push(Push { units }) });
    }

    /// Takes a peer's message.
    pub fn receive(&mut self, from: PeerId, incoming: Incoming, now: TimestampMs) {
        self.advance(now);
        if !self.gossip.peers.contains_key(&from) {
            return;
        }
        match incoming.0 {
            Identified::Push { entries, frame_bytes } => self.receive_push(from, entries, frame_bytes),
            Identified::Announce(ids) => self.receive_announce(from, &ids),
            Identified::Request { number, ids } => self.answer(from, number, &ids),
            Identified::Bodies { number, entries, frame_bytes } => {
                self.receive_bodies(from, number, entries, frame_bytes);
            }
        }
        self.ask();
    }

    /// What is due by time: requests that were not answered, announcements, and what has waited too long.
    pub fn tick(&mut self, now: TimestampMs) {
        self.advance(now);
        self.send_push();
        self.give_up_requests();
        if self.now >= self.gossip.reconcile_at {
            self.gossip.reconcile_at = TimestampMs(self.now.0 + self.config.reconcile_interval_ms);
            self.reconcile();
            crate::expiry::sweep(self);
        }
        self.ask();
    }

    /// Tells the next few peers what this pool holds.
    fn reconcile(&mut self) {
        for _ in 0..self.gossip.peers.len().div_ceil(ROUNDS_PER_CYCLE) {
            let after = self.gossip.reconciled;
            let peers = &self.gossip.peers;
            let next = peers.keys().find(|peer| Some(**peer) > after).or_else(|| peers.keys().next());
            let Some(&next) = next else { return };
            self.gossip.reconciled = Some(next);
            self.announce(next);
        }
    }

    fn receive_push(&mut self, from: PeerId, entries: Vec<Entry>, frame_bytes: u64) {
        if self.admit_bytes(from, frame_bytes) {
            for entry in entries {
                self.admit_from(from, entry, Path::Fresh, frame_bytes);
            }
        }
    }

    fn admit_from(&mut self, from: PeerId, entry: Entry, path: Path, frame_bytes: u64) {
        let (id, bytes, max) = (entry.id(), entry.bytes(), self.config.entry_bytes_max);
        if bytes > max {
            self.misbehaviour(from, Misbehaviour::OversizeEntry { id, bytes, max });
            return;
        }
        // Pools may differ in what they refuse for now (full, unknown here); it is counted.
        let _ = self.admit(entry, Some(from), path, Frame(frame_bytes));
    }

    fn peer(&mut self, id: PeerId) -> &mut Peer {
        self.gossip.peers.get_mut(&id).expect("looked up before")
    }

    fn misbehaviour(&mut self, peer: PeerId, what: Misbehaviour) {
        self.counters.misbehaviours += 1;
        self.output(Output::Misbehaviour { peer, what });
    }

    /// Whether a message with bodies is within the peer's budget; reports it if not.
    fn admit_bytes(&mut self, from: PeerId, bytes: u64) -> bool {
        let now = self.now;
        let peer = self.peer(from);
        if peer.bytes_in.take(bytes + FRAME_BYTES, now) {
            return true;
        }
        let per_second = peer.bytes_in.per_second();
        self.report_flood(from, Misbehaviour::BodiesFlood { bytes, per_second });
        false
    }

    fn admit_ids(&mut self, from: PeerId, ids: usize) -> bool {
        let (now, ids) = (self.now, ids as u64);
        let peer = self.peer(from);
        if peer.ids_in.take(ids.max(1), now) {
            return true;
        }
        let per_second = peer.ids_in.per_second();
        self.report_flood(from, Misbehaviour::IdsFlood { ids, per_second });
        false
    }

    fn report_flood(&mut self, from: PeerId, what: Misbehaviour) {
        let now = self.now;
        let peer = self.peer(from);
        if peer.flood_reported_at.is_none_or(|at| now.0 >= at.0 + FLOOD_REPORT_MS) {
            peer.flood_reported_at = Some(now);
            self.misbehaviour(from, what);
        }
    }
}
