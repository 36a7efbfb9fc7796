//! Announcements, and the bodies that are asked for after them.
//!
//! A missing entry is asked of one announcer at a time; of the next one when that does not deliver.

use super::{HEAD_BYTES, Mempool};
use crate::{
    entry::Entry,
    message::{ANNOUNCE_IDS_MAX, Announce, Bodies, MESSAGE_BYTES_MAX, Message, REQUEST_IDS_MAX, Request},
    output::{Misbehaviour, Output},
    peer::PeerId,
    pool::Path,
};
use chorale_types::{TimestampMs, Unit, UnitId, codec::List};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What is missing and who is asked for it.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    wanted: BTreeMap<UnitId, Wanted>,
    peers: BTreeMap<PeerId, Source>,
    /// Requests are counted over all peers, beginning with the clock: so that no answer to a request from before a
    /// restart looks like one to a request that was never made.
    next_request: u64,
}

/// An announced entry whose body is missing.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// Those who hold it and were not asked yet.
    announcers: BTreeSet<PeerId>,
    asked: Option<PeerId>,
}

#[derive(Clone, Debug, Default)]
struct Source {
    /// Requests to it that are not answered.
    requests: BTreeMap<u64, Asked>,
    /// What it can be asked for; meanwhile the entry may have come, or another peer may have been asked.
    to_ask: VecDeque<UnitId>,
}

#[derive(Clone, Debug)]
struct Asked {
    ids: Vec<UnitId>,
    deadline: TimestampMs,
}

impl Fetch {
    pub(super) const fn new(now: TimestampMs) -> Self {
        Self { wanted: BTreeMap::new(), peers: BTreeMap::new(), next_request: now.0.saturating_mul(1 << 16) }
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    pub(super) fn arrived(&mut self, id: &UnitId) {
        self.wanted.remove(id);
    }

    pub(super) fn set_peers(&mut self, peers: &BTreeSet<PeerId>) {
        for wanted in self.wanted.values_mut() {
            wanted.announcers.retain(|peer| peers.contains(peer));
        }
        let gone: Vec<PeerId> = self.peers.keys().filter(|peer| !peers.contains(peer)).copied().collect();
        for peer in gone {
            let Some(source) = self.peers.remove(&peer) else { continue };
            for asked in source.requests.into_values() {
                asked.ids.iter().for_each(|id| self.ask_another(id));
            }
            // What it was to be asked for next may be in the queue of nobody else.
            for id in source.to_ask {
                if self.wanted.get(&id).is_some_and(|wanted| wanted.asked.is_none()) {
                    self.ask_another(&id);
                }
            }
        }
        self.wanted.retain(|_, wanted| wanted.asked.is_some() || !wanted.announcers.is_empty());
        for peer in peers {
            self.peers.entry(*peer).or_default();
        }
    }

    /// The peer can be asked for this. Returns false if too much of its announcements waits already.
    fn announced(&mut self, id: UnitId, by: PeerId, announced_max: usize) -> bool {
        let source = self.peers.entry(by).or_default();
        if source.to_ask.len() >= announced_max {
            return false;
        }
        let wanted = self.wanted.entry(id).or_default();
        if wanted.asked != Some(by) && wanted.announcers.insert(by) && wanted.asked.is_none() {
            source.to_ask.push_back(id);
        }
        true
    }

    /// Whoever was asked does not deliver: the next announcer is asked, if there is one.
    fn ask_another(&mut self, id: &UnitId) {
        let Some(wanted) = self.wanted.get_mut(id) else { return };
        wanted.asked = None;
        match wanted.announcers.first() {
            Some(next) => self.peers.entry(*next).or_default().to_ask.push_back(*id),
            None => drop(self.wanted.remove(id)),
        }
    }

    /// The peer has more of what it was asked for than fits one answer.
    fn ask_again(&mut self, ids: &[UnitId], of: PeerId) {
        for id in ids.iter().rev() {
            if let Some(wanted) = self.wanted.get_mut(id) {
                wanted.asked = None;
                wanted.announcers.insert(of);
                self.peers.entry(of).or_default().to_ask.push_front(*id);
            }
        }
    }

    /// The next request to a peer, for at most so many ids.
    fn next_request(&mut self, peer: PeerId, ids_max: usize, deadline: TimestampMs) -> Option<Request> {
        let source = self.peers.entry(peer).or_default();
        let mut ids = Vec::new();
        while ids.len() < ids_max {
            let Some(id) = source.to_ask.pop_front() else { break };
            if let Some(wanted) = self.wanted.get_mut(&id).filter(|wanted| wanted.asked.is_none()) {
                wanted.announcers.remove(&peer);
                wanted.asked = Some(peer);
                ids.push(id);
            }
        }
        if ids.is_empty() {
            return None;
        }
        let number = self.next_request;
        self.next_request += 1;
        source.requests.insert(number, Asked { ids: ids.clone(), deadline });
        Some(Request { number, ids: List::new(ids).expect("no more than were asked for") })
    }

    /// Takes out the requests that nobody answered in time, and asks others.
    fn give_up(&mut self, now: TimestampMs) -> u64 {
        let mut late = Vec::new();
        for source in self.peers.values_mut() {
            late.extend(source.requests.extract_if(.., |_, asked| asked.deadline <= now).map(|(_, asked)| asked));
        }
        for asked in &late {
            asked.ids.iter().for_each(|id| self.ask_another(id));
        }
        late.len() as u64
    }
}

impl Mempool {
    pub(super) fn receive_announce(&mut self, from: PeerId, ids: &[UnitId]) {
        if !self.admit_ids(from, ids.len()) {
            return;
        }
        for id in ids {
            if self.store.get(id).is_some() || self.ended(id).is_some() {
                continue;
            }
            if !self.gossip.fetch.announced(*id, from, self.config.announced_entries_max) {
                self.counters.announcements_ignored += 1;
            }
        }
    }

    /// Asks peers for what they announced, within their budgets.
    pub(super) fn ask(&mut self) {
        if self.gossip.fetch.wanted.is_empty() {
            return;
        }
        let now = self.now;
        let deadline = TimestampMs(now.0 + self.config.request_timeout_ms);
        let mut sends = Vec::new();
        for (&id, peer) in &mut self.gossip.peers {
            let fetch = &mut self.gossip.fetch;
            while fetch.peers.get(&id).is_some_and(|source| source.requests.len() < self.config.requests_max) {
                let budget = usize::try_from(peer.ids_out.available(now)).unwrap_or(usize::MAX);
                let Some(request) = fetch.next_request(id, budget.min(REQUEST_IDS_MAX), deadline) else { break };
                peer.ids_out.take(request.ids.len() as u64, now);
                sends.push(Output::Send { to: vec![id], message: Message::Request(request) });
            }
        }
        sends.into_iter().for_each(|send| self.output(send));
    }

    /// Answers a request with as many bodies as fit a message and the budget. Without a budget it stays unanswered, and
    /// the peer asks another.
    pub(super) fn answer(&mut self, from: PeerId, number: u64, ids: &[UnitId]) {
        if !self.admit_ids(from, ids.len()) {
            return;
        }
        let now = self.now;
        let available = self.peer(from).bytes_out.available(now).min(MESSAGE_BYTES_MAX as u64);
        let Some(budget) = available.checked_sub(HEAD_BYTES) else { return };
        let mut units: Vec<Option<Unit>> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            let entry = self.entry(id);
            let more = entry.map_or(0, Entry::bytes);
            if bytes + more > budget {
                break;
            }
            bytes += more;
            units.push(entry.map(Entry::to_unit));
        }
        self.peer(from).bytes_out.take(bytes + HEAD_BYTES, now);
        let units = List::new(units).expect("no more than a request asks for");
        self.output(Output::Send { to: vec![from], message: Message::Bodies(Bodies { number, units }) });
    }

    pub(super) fn receive_bodies(&mut self, from: PeerId, number: u64, entries: Vec<Option<Entry>>, frame_bytes: u64) {
        if !self.admit_bytes(from, frame_bytes) {
            return;
        }
        let fetch = &mut self.gossip.fetch;
        let Some(Asked { ids, .. }) = fetch.peers.entry(from).or_default().requests.remove(&number) else {
            // One that was given up may still be answered.
            let next = fetch.next_request;
            if number >= next {
                self.misbehaviour(from, Misbehaviour::BodiesNotAskedFor { number, next });
            }
            return;
        };
        let sent = entries.len();
        if sent > ids.len() {
            ids.iter().for_each(|id| fetch.ask_another(id));
            return self.misbehaviour(from, Misbehaviour::TooManyBodies { number, asked: ids.len(), sent });
        }
        for (position, (&id, entry)) in ids.iter().zip(entries).enumerate() {
            match entry {
                // A wrong signature is not bound by the id: it is not the body that was announced, either.
                Some(entry) if entry.id() == id && self.check_promise(&entry).is_ok() => {
                    self.counters.fetched += 1;
                    self.gossip.arrived(&id);
                    self.admit_from(from, entry, Path::Fetched, frame_bytes);
                }
                Some(entry) => {
                    ids[position..].iter().for_each(|id| self.gossip.fetch.ask_another(id));
                    let what = Misbehaviour::WrongBody { number, asked: id, sent: entry.id() };
                    return self.misbehaviour(from, what);
                }
                None => self.gossip.fetch.ask_another(&id),
            }
        }
        // The rest did not fit: the same peer has them, unless it sends nothing at all.
        let rest = &ids[sent..];
        if sent == 0 {
            rest.iter().for_each(|id| self.gossip.fetch.ask_another(id));
        } else {
            self.gossip.fetch.ask_again(rest, from);
        }
    }

    pub(super) fn give_up_requests(&mut self) {
        self.counters.fetch_timeouts += self.gossip.fetch.give_up(self.now);
    }

    /// Tells a peer what this pool holds, from where it left off with it.
    pub(super) fn announce(&mut self, to: PeerId) {
        let (now, age_ms) = (self.now, self.config.reconcile_age_ms);
        let peer = self.peer(to);
        let mut told = peer.told;
        let budget = usize::try_from(peer.ids_out.available(now)).unwrap_or(usize::MAX).min(ANNOUNCE_IDS_MAX);
        let mut ids = Vec::new();
        let mut at_end = true;
        for (sequence, slot) in self.store.slots_from(told) {
            if now.0.saturating_sub(slot.arrived_at.0) < age_ms {
                break;
            }
            if ids.len() == budget {
                at_end = false;
                break;
            }
            told = sequence + 1;
            if slot.origin != Some(to) {
                ids.push(slot.entry.id());
            }
        }
        let peer = self.peer(to);
        // At the end begin anew, so that who was away for a while hears of everything again.
        peer.told = if at_end { 0 } else { told };
        if ids.is_empty() {
            return;
        }
        peer.ids_out.take(ids.len() as u64, now);
        let ids = List::new(ids).expect("no more than an announcement holds");
        self.output(Output::Send { to: vec![to], message: Message::Announce(Announce { ids }) });
    }
}
