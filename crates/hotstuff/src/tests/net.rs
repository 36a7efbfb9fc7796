//! A tiny network: cores, disks, and messages that take a fixed time.

use super::objects::{Maker, epoch};
use crate::{Config, Core, Input, Output, Parameters, Record, To, Votes, mock::MockScheme};
use chorale_types::{
    AvailabilityCertificate, BlockId, BlockReference, CommitProof, EpochInfo, Evidence, Header, Message,
    QuorumCertificate, TimestampMs, ValidatorIndex, View, codec::List,
};
use std::collections::BTreeMap;

pub(super) const DELAY_MS: u64 = 10;
pub(super) const BEGIN_MS: u64 = 1000;

pub(super) fn parameters(votes: Votes) -> Parameters {
    Parameters {
        votes,
        timeout_base_ms: 100,
        timeout_ms_max: 2000,
        clock_drift_ms: 500,
        idle_interval_ms: 0,
        pace_ms: 0,
        pace_bytes_per_ms: 0,
        headers_ahead_max: 64,
    }
}

pub(super) struct Node {
    pub(super) core: Option<Core<MockScheme>>,
    pub(super) record: Option<Record>,
    pub(super) headers: BTreeMap<BlockId, Header>,
    pub(super) chain: Vec<BlockReference>,
    /// Everything it did, and when.
    pub(super) log: Vec<(u64, Output)>,
    pub(super) content: Vec<AvailabilityCertificate>,
    pub(super) may_sign: bool,
}

enum Event {
    Message(usize, ValidatorIndex, Message),
    Input(usize, Input),
}

type Filter = Box<dyn Fn(u16, u16, &Message) -> bool>;

pub(super) struct Net {
    pub(super) epochs: Vec<EpochInfo>,
    pub(super) nodes: Vec<Node>,
    pub(super) now: u64,
    pub(super) parameters: Parameters,
    /// Heights of later epochs.
    pub(super) epoch_heights: u64,
    /// Whether a message arrives.
    pub(super) arrives: Filter,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
}

impl Net {
    pub(super) fn new(weights: &[u16], parameters: Parameters, closing: u64) -> Self {
        let nodes = weights.iter().map(|_| Node {
            core: None,
            record: None,
            headers: BTreeMap::new(),
            chain: Vec::new(),
            log: Vec::new(),
            content: Vec::new(),
            may_sign: true,
        });
        Self {
            epochs: vec![epoch(weights, closing)],
            nodes: nodes.collect(),
            now: BEGIN_MS,
            parameters,
            epoch_heights: closing,
            arrives: Box::new(|_, _, _| true),
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub(super) fn maker(&self) -> Maker {
        Maker::new(self.epochs.last().unwrap().clone())
    }

    pub(super) fn start_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.start(node));
    }

    /// Starts a node from its disk.
    pub(super) fn start(&mut self, node: usize) {
        let disk = &self.nodes[node];
        let epoch = disk.record.as_ref().map_or(0, |record| usize::try_from(record.epoch.0).unwrap());
        let info = self.epochs[epoch].clone();
        let config = Config {
            parameters: self.parameters.clone(),
            index: Some(index(node)),
            committed: disk.chain.last().copied().unwrap_or(info.start),
            may_sign: disk.may_sign,
        };
        let headers = disk.headers.values().filter(|header| header.height > config.committed.height).cloned().collect();
        let core = Core::new(config, info, MockScheme::new(index(node)), disk.record.clone(), headers);
        self.nodes[node].core = Some(core);
        self.input(node, Input::Start);
    }

    pub(super) fn stop(&mut self, node: usize) {
        self.nodes[node].core = None;
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        let Some(core) = &mut self.nodes[node].core else { return };
        let outputs = core.step(input, TimestampMs(self.now));
        for output in outputs {
            self.carry_out(node, output);
        }
    }

    fn later(&mut self, delay: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), event);
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        self.nodes[node].log.push((self.now, output.clone()));
        match output {
            Output::Persist(record) => self.nodes[node].record = Some(*record),
            Output::PersistHeader(header) => {
                self.nodes[node].headers.insert(header.id(), header.unshared());
            }
            Output::Send { to: To::All, message } => {
                for other in (0..self.nodes.len()).filter(|other| *other != node) {
                    self.send(node, other, message.clone());
                }
            }
            Output::Send { to: To::One(other), message } => self.send(node, other.as_usize(), message),
            Output::WantContent { view, .. } => {
                let payloads = List::new(std::mem::take(&mut self.nodes[node].content)).unwrap();
                self.later(0, Event::Input(node, Input::Content { view, payloads }));
            }
            Output::WantHeaders { id, above, .. } => {
                let mut found = Vec::new();
                let mut next = id;
                while let Some(header) = self.nodes.iter().find_map(|node| node.headers.get(&next))
                    && header.height > above
                {
                    next = header.parent.block.id;
                    found.push(header.clone());
                }
                self.later(2 * DELAY_MS, Event::Input(node, Input::Headers(found)));
            }
            Output::Committed { headers, .. } => {
                for header in headers {
                    let reference = header.reference();
                    self.nodes[node].headers.retain(|id, other| other.height != header.height || *id == reference.id);
                    self.nodes[node].chain.push(reference);
                }
            }
            Output::EpochEnded { start, .. } => {
                let ended = self.nodes[node].core.as_ref().unwrap().epoch().epoch;
                let next = usize::try_from(ended.0 + 1).unwrap();
                if self.epochs.len() == next {
                    let mut info = self.epochs[next - 1].clone();
                    info.epoch = ended.next();
                    info.closing.0 = start.height.0 + self.epoch_heights;
                    info.start = start;
                    self.epochs.push(info);
                }
                let info = self.epochs[next].clone();
                assert_eq!(info.start, start, "all agree on the closing block");
                self.later(0, Event::Input(node, Input::Epoch { info, index: Some(index(node)) }));
            }
            _ => {}
        }
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        if (self.arrives)(index(from).0, index(to).0, &message) {
            self.later(DELAY_MS, Event::Message(to, index(from), message));
        }
    }

    /// Runs for a while.
    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let tick = (0..self.nodes.len())
                .filter_map(|node| Some((self.nodes[node].core.as_ref()?.deadline()?.0.max(self.now), node)))
                .min();
            match (event, tick) {
                (Some(at), tick) if at <= end && tick.is_none_or(|(due, _)| at <= due) => {
                    self.now = at;
                    match self.queue.pop_first().unwrap().1 {
                        Event::Message(to, from, message) => self.input(to, Input::Message { from, message }),
                        Event::Input(to, input) => self.input(to, input),
                    }
                }
                (_, Some((due, node))) if due <= end => {
                    self.now = due;
                    self.input(node, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = end;
        self.check();
    }

    /// All chains are prefixes of one, and nobody was accused of anything.
    pub(super) fn check(&self) {
        let longest = self.nodes.iter().map(|node| &node.chain).max_by_key(|chain| chain.len()).unwrap();
        for node in &self.nodes {
            assert_eq!(node.chain, longest[..node.chain.len()]);
            for (at, output) in &node.log {
                match output {
                    Output::Evidence(_) | Output::Misbehaviour { .. } | Output::Conflict { .. } => {
                        panic!("at {at}: {output:?}")
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn height(&self, node: usize) -> usize {
        self.nodes[node].chain.len()
    }

    pub(super) fn view(&self, node: usize) -> View {
        self.nodes[node].core.as_ref().unwrap().view()
    }

    /// What a node sent.
    pub(super) fn sent(&self, node: usize) -> impl Iterator<Item = (u64, &Message)> {
        self.nodes[node].log.iter().filter_map(|(at, output)| match output {
            Output::Send { message, .. } => Some((*at, message)),
            _ => None,
        })
    }

    pub(super) fn timeouts(&self, node: usize) -> Vec<View> {
        let mut views: Vec<View> = self
            .sent(node)
            .filter_map(|(_, message)| match message {
                Message::Timeout(timeout) => Some(timeout.view),
                _ => None,
            })
            .collect();
        views.dedup();
        views
    }

    pub(super) fn committed_at(&self, node: usize) -> BTreeMap<BlockId, u64> {
        let mut times = BTreeMap::new();
        for (at, output) in &self.nodes[node].log {
            if let Output::Committed { headers, .. } = output {
                times.extend(headers.iter().map(|header| (header.id(), *at)));
            }
        }
        times
    }

    pub(super) fn certified_at(&self, node: usize) -> BTreeMap<BlockId, u64> {
        let certified = |(at, output): &(u64, Output)| match output {
            Output::Certified(certificate) => Some((certificate.block.id, *at)),
            _ => None,
        };
        self.nodes[node].log.iter().filter_map(certified).collect()
    }

    /// When each header was proposed by its leader.
    pub(super) fn proposed_at(&self) -> BTreeMap<BlockId, u64> {
        let mut times = BTreeMap::new();
        for node in &self.nodes {
            for (at, output) in &node.log {
                if let Output::Proposed(tip) = output {
                    let time = times.entry(tip.header.id()).or_insert(*at);
                    *time = (*time).min(*at);
                }
            }
        }
        times
    }
}

pub(super) fn index(node: usize) -> ValidatorIndex {
    ValidatorIndex(u16::try_from(node).unwrap())
}

/// One core under a test's thumb.
pub(super) struct Bench {
    pub(super) maker: Maker,
    pub(super) core: Core<MockScheme>,
    pub(super) now: u64,
    pub(super) out: Vec<Output>,
}

impl Bench {
    pub(super) fn new(index: u16, votes: Votes) -> Self {
        Self::with(index, parameters(votes), epoch(&[1; 4], u64::MAX), None, Vec::new(), true)
    }

    pub(super) fn with(
        index: u16,
        parameters: Parameters,
        info: EpochInfo,
        record: Option<Record>,
        headers: Vec<Header>,
        may_sign: bool,
    ) -> Self {
        let committed = record.as_ref().map_or(info.start, |record| record.committed);
        let index = ValidatorIndex(index);
        let config = Config { parameters, index: Some(index), committed, may_sign };
        let core = Core::new(config, info.clone(), MockScheme::new(index), record, headers);
        Self { maker: Maker::new(info), core, now: BEGIN_MS, out: Vec::new() }
    }

    pub(super) fn started(mut self) -> Self {
        self.step(Input::Start);
        self
    }

    pub(super) fn step(&mut self, input: Input) -> &[Output] {
        self.out = self.core.step(input, TimestampMs(self.now));
        &self.out
    }

    pub(super) fn hear(&mut self, from: u16, message: Message) -> &[Output] {
        self.step(Input::Message { from: ValidatorIndex(from), message })
    }

    /// Lets the timer fire.
    pub(super) fn tick(&mut self) -> &[Output] {
        self.now = self.core.deadline().unwrap().0;
        self.step(Input::Tick)
    }

    pub(super) fn sent(&self) -> Vec<&Message> {
        self.out
            .iter()
            .filter_map(|output| if let Output::Send { message, .. } = output { Some(message) } else { None })
            .collect()
    }

    pub(super) fn record(&self) -> Option<Record> {
        self.out.iter().rev().find_map(|output| match output {
            Output::Persist(record) => Some(Record::clone(record)),
            _ => None,
        })
    }

    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let evidence = |output: &Output| if let Output::Evidence(evidence) = output { Some(**evidence) } else { None };
        self.out.iter().filter_map(evidence).collect()
    }

    pub(super) fn blamed(&self) -> Vec<u16> {
        let blamed = |output: &Output| if let Output::Misbehaviour { peer, .. } = output { Some(peer.0) } else { None };
        self.out.iter().filter_map(blamed).collect()
    }

    pub(super) fn certified(&self) -> Vec<QuorumCertificate> {
        let of = |output: &Output| {
            if let Output::Certified(certificate) = output { Some(certificate.clone()) } else { None }
        };
        self.out.iter().filter_map(of).collect()
    }

    pub(super) fn committed(&self) -> Vec<BlockReference> {
        let of = |output: &Output| match output {
            Output::Committed { headers, .. } => headers.iter().map(|header| header.reference()).collect(),
            _ => Vec::new(),
        };
        self.out.iter().flat_map(of).collect()
    }

    pub(super) fn proof(&self) -> Option<CommitProof> {
        self.out.iter().find_map(|output| match output {
            Output::Committed { proof, .. } => Some(proof.clone()),
            _ => None,
        })
    }
}
