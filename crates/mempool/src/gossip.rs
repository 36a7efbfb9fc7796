//! What pools tell each other: new entries at once and unasked, and from time to time what they hold, so that whoever
//! missed something can ask for it.
//!
//! Each peer has a budget of bytes and ids a second, in both directions. What comes above it is dropped and reported;
//! an honest pool sends at most half of it, so two honest pools never accuse each other.

use crate::{
    bucket::Bucket,
    config::Config,
    entry::Entry,
    message::{
        ANNOUNCE_IDS_MAX, Announce, Bodies, Identified, Incoming, MESSAGE_BYTES_MAX, Message, PUSH_UNITS_MAX, Push,
        REQUEST_IDS_MAX, Request,
    },
    output::{Misbehaviour, Output},
    pool::{Frame, Mempool, Path},
    store::Sequence,
};
use chorale_types::{TimestampMs, Unit, UnitId, ValidatorIndex, codec::List};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bytes of a message that are not bodies, with room for the tags of each body.
const HEAD_BYTES: u64 = 4096;
/// Misbehaviour by volume is reported once in this time for each peer.
const FLOOD_REPORT_MS: u64 = 1_000;

/// The state of gossip.
#[derive(Clone, Debug)]
pub(crate) struct Gossip {
    peers: BTreeMap<ValidatorIndex, Peer>,
    /// New local entries that wait to be pushed.
    outgoing: Vec<Entry>,
    outgoing_bytes: u64,
    /// Announced entries that are missing, with those who hold them.
    wanted: BTreeMap<UnitId, Wanted>,
    reconcile_at: TimestampMs,
    /// The peer that was last told what this pool holds.
    reconciled: Option<ValidatorIndex>,
}

#[derive(Clone, Debug, Default)]
struct Wanted {
    announcers: BTreeSet<ValidatorIndex>,
    asked: bool,
}

#[derive(Clone, Debug)]
struct Peer {
    bytes_in: Bucket,
    ids_in: Bucket,
    bytes_out: Bucket,
    ids_out: Bucket,
    /// Requests to it that are not answered.
    requests: BTreeMap<u64, Asked>,
    next_request: u64,
    /// Announced entries to ask it for.
    to_ask: VecDeque<UnitId>,
    /// What it was told of last.
    told: Sequence,
    flood_reported_at: Option<TimestampMs>,
}

#[derive(Clone, Debug)]
struct Asked {
    ids: Vec<UnitId>,
    deadline: TimestampMs,
}

impl Peer {
    fn new(config: &Config, now: TimestampMs) -> Self {
        let (bytes, ids) = (config.peer_bytes_per_second, config.peer_ids_per_second);
        Self {
            bytes_in: Bucket::new(bytes, 1, now),
            ids_in: Bucket::new(ids, 1, now),
            bytes_out: Bucket::new(bytes / 2, 1, now),
            ids_out: Bucket::new(ids / 2, 1, now),
            requests: BTreeMap::new(),
            next_request: 0,
            to_ask: VecDeque::new(),
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
            wanted: BTreeMap::new(),
            reconcile_at: now,
            reconciled: None,
        }
    }

    /// Announced entries whose bodies are missing.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// An entry is here, or has ended: nobody has to be asked for it.
    pub(crate) fn arrived(&mut self, id: &UnitId) {
        self.wanted.remove(id);
    }
}

impl Mempool {
    /// Sets the peers to gossip with, this node not among them.
    pub fn set_peers(&mut self, peers: impl IntoIterator<Item = ValidatorIndex>, now: TimestampMs) {
        self.advance(now);
        let peers: BTreeSet<ValidatorIndex> = peers.into_iter().collect();
        self.gossip.peers.retain(|peer, _| peers.contains(peer));
        for wanted in self.gossip.wanted.values_mut() {
            wanted.announcers.retain(|peer| peers.contains(peer));
        }
        self.gossip.wanted.retain(|_, wanted| !wanted.announcers.is_empty());
        for peer in peers {
            let (config, now) = (&self.config, self.now);
            self.gossip.peers.entry(peer).or_insert_with(|| Peer::new(config, now));
        }
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
        for (&index, peer) in &mut self.gossip.peers {
            if peer.bytes_out.take(bytes + HEAD_BYTES, now) {
                to.push(index);
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
    pub fn receive(&mut self, from: ValidatorIndex, incoming: Incoming, now: TimestampMs) {
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

    fn peer(&mut self, index: ValidatorIndex) -> &mut Peer {
        self.gossip.peers.get_mut(&index).expect("looked up before")
    }

    fn misbehaviour(&mut self, peer: ValidatorIndex, what: Misbehaviour) {
        self.counters.misbehaviours += 1;
        self.output(Output::Misbehaviour { peer, what });
    }

    /// Whether the bytes are within the peer's budget; reports it if not.
    fn admit_bytes(&mut self, from: ValidatorIndex, bytes: u64) -> bool {
        let now = self.now;
        let peer = self.peer(from);
        if peer.bytes_in.take(bytes, now) {
            return true;
        }
        let per_second = peer.bytes_in.per_second();
        self.report_flood(from, Misbehaviour::BodiesFlood { bytes, per_second });
        false
    }

    fn admit_ids(&mut self, from: ValidatorIndex, ids: usize) -> bool {
        let (now, ids) = (self.now, ids as u64);
        let peer = self.peer(from);
        if peer.ids_in.take(ids, now) {
            return true;
        }
        let per_second = peer.ids_in.per_second();
        self.report_flood(from, Misbehaviour::IdsFlood { ids, per_second });
        false
    }

    fn report_flood(&mut self, from: ValidatorIndex, what: Misbehaviour) {
        let now = self.now;
        let peer = self.peer(from);
        if peer.flood_reported_at.is_none_or(|at| now.0 >= at.0 + FLOOD_REPORT_MS) {
            peer.flood_reported_at = Some(now);
            self.misbehaviour(from, what);
        }
    }

    fn receive_push(&mut self, from: ValidatorIndex, entries: Vec<Entry>, frame_bytes: u64) {
        if self.admit_bytes(from, frame_bytes) {
            for entry in entries {
                self.admit_from(from, entry, Path::Fresh, frame_bytes);
            }
        }
    }

    fn admit_from(&mut self, from: ValidatorIndex, entry: Entry, path: Path, frame_bytes: u64) {
        let (id, bytes, max) = (entry.id(), entry.bytes(), self.config.entry_bytes_max);
        if bytes > max {
            self.misbehaviour(from, Misbehaviour::OversizeEntry { id, bytes, max });
            return;
        }
        // Pools may differ in what they refuse for now (full, unknown here); the reason is counted and remembered.
        let _ = self.admit(entry, Some(from), path, Frame(frame_bytes));
    }

    fn receive_announce(&mut self, from: ValidatorIndex, ids: &[UnitId]) {
        if !self.admit_ids(from, ids.len()) {
            return;
        }
        let max = self.config.announced_entries_max;
        for id in ids {
            if self.store.get(id).is_some() || self.history.get(id).is_some() || self.seen.contains(id) {
                continue;
            }
            if self.peer(from).to_ask.len() >= max {
                self.counters.announcements_ignored += 1;
                continue;
            }
            let wanted = self.gossip.wanted.entry(*id).or_default();
            if wanted.announcers.insert(from) && !wanted.asked {
                self.peer(from).to_ask.push_back(*id);
            }
        }
    }

    fn answer(&mut self, from: ValidatorIndex, number: u64, ids: &[UnitId]) {
        if !self.admit_ids(from, ids.len()) {
            return;
        }
        let now = self.now;
        let budget = self.peer(from).bytes_out.available(now).min(MESSAGE_BYTES_MAX as u64).saturating_sub(HEAD_BYTES);
        let mut units: Vec<Option<Unit>> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            let entry = self.store.get(id).map(|slot| &slot.entry);
            bytes += entry.map_or(0, Entry::bytes);
            if bytes > budget {
                break;
            }
            units.push(entry.map(Entry::to_unit));
        }
        self.peer(from).bytes_out.take(bytes.min(budget) + HEAD_BYTES, now);
        let units = List::new(units).expect("no more than a request asks for");
        self.output(Output::Send { to: vec![from], message: Message::Bodies(Bodies { number, units }) });
    }

    fn receive_bodies(&mut self, from: ValidatorIndex, number: u64, entries: Vec<Option<Entry>>, frame_bytes: u64) {
        if !self.admit_bytes(from, frame_bytes) {
            return;
        }
        let peer = self.peer(from);
        let next = peer.next_request;
        let Some(asked) = peer.requests.remove(&number) else {
            // One that was given up may still be answered.
            if number >= next {
                self.misbehaviour(from, Misbehaviour::BodiesNotAskedFor { number, next });
            }
            return;
        };
        if entries.len() > asked.ids.len() {
            let what = Misbehaviour::TooManyBodies { number, asked: asked.ids.len(), sent: entries.len() };
            self.misbehaviour(from, what);
            return self.ask_others(from, &asked.ids);
        }
        let answered = entries.len();
        for (position, entry) in entries.into_iter().enumerate() {
            let id = asked.ids[position];
            match entry {
                Some(entry) if entry.id() == id => {
                    self.counters.fetched += 1;
                    self.gossip.arrived(&id);
                    self.admit_from(from, entry, Path::Fetched, frame_bytes);
                }
                Some(entry) => {
                    let what = Misbehaviour::WrongBody { number, asked: id, sent: entry.id() };
                    self.misbehaviour(from, what);
                    return self.ask_others(from, &asked.ids[position..]);
                }
                None => self.ask_others(from, &[id]),
            }
        }
        // The rest did not fit: the same peer has them, unless it sends nothing at all.
        let rest = &asked.ids[answered..];
        if answered == 0 {
            self.ask_others(from, rest);
        } else {
            for id in rest {
                self.ask_again(*id, from);
            }
        }
    }

    fn ask_again(&mut self, id: UnitId, from: ValidatorIndex) {
        if let Some(wanted) = self.gossip.wanted.get_mut(&id) {
            wanted.asked = false;
            self.peer(from).to_ask.push_front(id);
        }
    }

    /// This peer does not deliver: the next announcer is asked, if there is one.
    fn ask_others(&mut self, from: ValidatorIndex, ids: &[UnitId]) {
        for id in ids {
            let Some(wanted) = self.gossip.wanted.get_mut(id) else { continue };
            wanted.announcers.remove(&from);
            wanted.asked = false;
            match wanted.announcers.first().copied() {
                Some(next) => self.peer(next).to_ask.push_back(*id),
                None => {
                    self.gossip.wanted.remove(id);
                }
            }
        }
    }

    /// Asks peers for what they announced, within their budgets.
    fn ask(&mut self) {
        let now = self.now;
        let mut sends = Vec::new();
        for (&index, peer) in &mut self.gossip.peers {
            while peer.requests.len() < self.config.requests_max && !peer.to_ask.is_empty() {
                let mut ids = Vec::new();
                while ids.len() < REQUEST_IDS_MAX {
                    let Some(id) = peer.to_ask.pop_front() else { break };
                    // Meanwhile it may have come, or another peer may have been asked.
                    if let Some(wanted) = self.gossip.wanted.get_mut(&id).filter(|wanted| !wanted.asked) {
                        wanted.asked = true;
                        ids.push(id);
                    }
                }
                if ids.is_empty() {
                    break;
                }
                if !peer.ids_out.take(ids.len() as u64, now) {
                    for id in ids {
                        if let Some(wanted) = self.gossip.wanted.get_mut(&id) {
                            wanted.asked = false;
                        }
                        peer.to_ask.push_back(id);
                    }
                    break;
                }
                let number = peer.next_request;
                peer.next_request += 1;
                let deadline = TimestampMs(now.0 + self.config.request_timeout_ms);
                peer.requests.insert(number, Asked { ids: ids.clone(), deadline });
                let ids = List::new(ids).expect("counted above");
                sends.push(Output::Send { to: vec![index], message: Message::Request(Request { number, ids }) });
            }
        }
        for send in sends {
            self.output(send);
        }
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

    fn give_up_requests(&mut self) {
        let now = self.now;
        let mut late = Vec::new();
        for (&index, peer) in &mut self.gossip.peers {
            let numbers: Vec<u64> =
                peer.requests.iter().filter(|(_, asked)| asked.deadline <= now).map(|(number, _)| *number).collect();
            for number in numbers {
                late.extend(peer.requests.remove(&number).map(|asked| (index, asked.ids)));
            }
        }
        for (index, ids) in late {
            self.counters.fetch_timeouts += 1;
            self.ask_others(index, &ids);
        }
    }

    /// Tells the next peer what this pool holds, from where it left off with it.
    fn reconcile(&mut self) {
        let after = self.gossip.reconciled;
        let next = self.gossip.peers.keys().find(|peer| Some(**peer) > after).or(self.gossip.peers.keys().next());
        let Some(&next) = next else { return };
        self.gossip.reconciled = Some(next);
        let (now, age_ms) = (self.now, self.config.reconcile_age_ms);
        let peer = self.peer(next);
        let told = peer.told;
        let budget = usize::try_from(peer.ids_out.available(now)).unwrap_or(usize::MAX).min(ANNOUNCE_IDS_MAX);
        let mut ids = Vec::new();
        let mut last = None;
        for (sequence, slot) in self.store.slots_from(told) {
            if ids.len() == budget || now.0.saturating_sub(slot.arrived_at.0) < age_ms {
                last = last.or(Some(sequence));
                break;
            }
            last = Some(sequence + 1);
            if slot.origin != Some(next) {
                ids.push(slot.entry.id());
            }
        }
        // At the end it begins anew: who was away for a while gets to hear of everything again.
        let at_end = ids.is_empty();
        let peer = self.peer(next);
        peer.told = if at_end { 0 } else { last.unwrap_or(0) };
        if !at_end {
            peer.ids_out.take(ids.len() as u64, now);
            let ids = List::new(ids).expect("counted above");
            self.output(Output::Send { to: vec![next], message: Message::Announce(Announce { ids }) });
        }
    }
}
