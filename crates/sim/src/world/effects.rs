//! Carrying out what a state machine wants done, one output at a time.

use super::{Event, World};
use crate::{
    content,
    disk::Write,
    oracle::{Broken, Rule, Verdict},
    story::{block, certificate},
};
use chorale_hotstuff::{Output, To};
use chorale_types::{BlockId, BlockReference, Height, Message, Proposal};

/// Headers that one answer carries at most.
const HEADERS_PER_ANSWER: usize = 16;
/// How long a node waits before it asks again for a header that nobody had.
const FETCH_AGAIN_US: u64 = 50_000;

impl World {
    /// Carries out what is in the outbox, until it waits for a sync or the node crashes.
    pub(super) fn carry_out(&mut self, slot: usize) -> Verdict {
        while self.hosts[slot].syncing == 0 {
            if self.crashes_here(slot) {
                return Ok(());
            }
            let Some(next) = self.hosts[slot].outbox.front() else { return Ok(()) };
            if !matches!(next, Output::Persist(_) | Output::PersistHeader(_)) {
                let output = self.hosts[slot].outbox.pop_front();
                output.map_or(Ok(()), |output| self.effect(slot, output))?;
                continue;
            }
            self.hosts[slot].write();
            if self.crashes_here(slot) {
                return Ok(());
            }
            if self.plan.sync > 0 {
                let life = self.hosts[slot].life;
                self.queue.at(self.queue.now() + self.plan.sync, Event::Synced { slot, life });
            } else {
                self.release(slot)?;
            }
        }
        Ok(())
    }

    /// A sync is done: carries out what waited for it.
    pub(super) fn release(&mut self, slot: usize) -> Verdict {
        self.hosts[slot].disk.sync();
        let covered = std::mem::take(&mut self.hosts[slot].syncing);
        let released: Vec<Output> = self.hosts[slot].outbox.drain(..covered).collect();
        if self.hosts[slot].is_honest() {
            for output in &released {
                if let Output::Persist(record) = output {
                    self.oracle.persisted(self.hosts[slot].node, record)?;
                }
            }
        }
        let life = self.hosts[slot].life;
        for output in released {
            if self.crashes_here(slot) || self.hosts[slot].life != life {
                return Ok(());
            }
            self.effect(slot, output)?;
        }
        Ok(())
    }

    fn effect(&mut self, slot: usize, output: Output) -> Verdict {
        let node = self.hosts[slot].node;
        let honest = self.hosts[slot].is_honest();
        let now = self.queue.now();
        match output {
            Output::Persist(_) | Output::PersistHeader(_) | Output::Proposed(_) => Ok(()),
            Output::Send { to, message } => self.send(slot, to, message),
            Output::WantContent { view, .. } => {
                self.want_content(slot, view);
                Ok(())
            }
            Output::WantHeaders { id, above, .. } => {
                let life = self.hosts[slot].life;
                self.queue.at(now, Event::Fetch { slot, life, id, above });
                Ok(())
            }
            Output::Certified(quorum) => {
                self.story.tell(now, || format!("node {node} certifies {}", certificate(&quorum)));
                if !honest {
                    return Ok(());
                }
                if let Some((proposed, _)) = self.figures.proposed.get(&quorum.block.id) {
                    self.figures.certified.push(now - proposed);
                }
                self.oracle.certified(node, &quorum)
            }
            Output::Committed { headers, proof } => {
                if honest {
                    self.oracle.committed(node, &headers, &proof)?;
                    self.grown = true;
                }
                for header in headers {
                    let id = header.id();
                    self.story.tell(now, || format!("node {node} commits {} at height {}", block(id), header.height));
                    if honest {
                        self.measure_commit(node, id);
                    }
                    self.hosts[slot].disk.write(Write::Committed(header));
                }
                Ok(())
            }
            Output::Entered(view) => {
                self.story.tell(now, || format!("node {node} enters view {view}"));
                if honest && let Some(core) = &self.hosts[slot].core {
                    self.oracle.entered(core.epoch().epoch, view);
                }
                Ok(())
            }
            Output::EpochEnded { start, farewell } => self.end_epoch(slot, start, farewell),
            Output::Behind { peer, epoch } => {
                let farewell = self.hosts[slot].disk.farewell(epoch).to_vec();
                farewell.into_iter().try_for_each(|message| self.send(slot, To::One(peer), message))
            }
            Output::Conflict { committed, proof } => {
                let conflict = || format!("node {node} committed {committed:?} and sees proof of {:?}", proof.block());
                if honest { Err(Broken { rule: Rule::OneChain, what: conflict() }) } else { Ok(()) }
            }
            Output::Evidence(evidence) => {
                self.story.tell(now, || format!("node {node} finds evidence against node {}", evidence.offender));
                if honest {
                    self.figures.evidence += 1;
                    self.oracle.evidence(node, &evidence)?;
                }
                Ok(())
            }
            Output::Misbehaviour { peer, what } => {
                self.story.tell(now, || format!("node {node} blames node {peer}: {what}"));
                if honest { self.oracle.misbehaviour(node, peer, &what) } else { Ok(()) }
            }
        }
    }

    fn send(&mut self, slot: usize, to: To, message: Message) -> Verdict {
        let host = &self.hosts[slot];
        if !host.is_honest() {
            return self
                .act(slot, |adversary, hand| {
                    adversary.send(hand, to, message);
                    true
                })
                .map(|_| ());
        }
        self.oracle.sent(host.node, &host.disk, host.silent, &message)?;
        if let Message::Proposal(Proposal::Fresh(tip)) = &message {
            let (id, now) = (tip.header.id(), self.queue.now());
            self.figures.proposed.entry(id).or_insert((now, host.node));
        }
        self.transmit(slot, to, message)
    }

    fn want_content(&mut self, slot: usize, view: chorale_types::View) {
        let host = &self.hosts[slot];
        let Some(core) = &host.core else { return };
        let payloads = if self.plan.payloads {
            content::payloads(core.epoch(), view, &mut self.random)
        } else {
            content::nothing()
        };
        let delay = if self.plan.calm_at > 0 && self.random.chance(200) { self.random.below(20_000) } else { 0 };
        let event = Event::Content { slot, life: host.life, view, payloads };
        self.queue.at(self.queue.now() + delay, event);
    }

    /// Asks around until somebody has the header; the answer takes a round trip.
    pub(super) fn fetch(&mut self, slot: usize, id: BlockId, above: Height) {
        let (now, life) = (self.queue.now(), self.hosts[slot].life);
        let mut others: Vec<usize> = (0..self.hosts.len()).collect();
        self.random.shuffle(&mut others);
        for other in others {
            let host = &self.hosts[other];
            let headers =
                if host.core.is_some() { host.disk.ancestry(id, above, HEADERS_PER_ANSWER) } else { Vec::new() };
            if !headers.is_empty() {
                let round_trip = 1000 * self.network.round_trip_ms(slot, other);
                self.queue.at(now + round_trip, Event::Headers { slot, life, headers });
                return;
            }
        }
        self.queue.at(now + FETCH_AGAIN_US, Event::Fetch { slot, life, id, above });
    }

    fn end_epoch(&mut self, slot: usize, start: BlockReference, farewell: Vec<Message>) -> Verdict {
        let host = &mut self.hosts[slot];
        let Some(ended) = host.core.as_ref().map(|core| core.epoch().epoch) else { return Ok(()) };
        host.disk.keep_farewell(ended, farewell);
        let (node, life, honest) = (host.node, host.life, host.is_honest());
        let next = self.epochs.after(ended, start);
        self.story.tell(self.queue.now(), || format!("node {node} ends epoch {ended} with height {}", start.height));
        if honest {
            self.oracle.epoch_ended(node, ended, &next)?;
        }
        self.queue.at(self.queue.now(), Event::Epoch { slot, life, epoch: next.epoch });
        Ok(())
    }

    fn measure_commit(&mut self, node: usize, id: BlockId) {
        if let Some((proposed, leader)) = self.figures.proposed.get(&id) {
            let delay = self.queue.now() - proposed;
            self.figures.committed.push(delay);
            if *leader == node {
                self.figures.committed_at_leader.push(delay);
            }
        }
    }
}
