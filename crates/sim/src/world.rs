//! A whole network in one thread: nodes, links, time, chance, and the judge.

mod effects;
mod faults;

use crate::{
    adversary::{Coalition, Hand, Kind},
    config::SimConfig,
    epochs::{self, Epochs},
    host::Host,
    network::Network,
    oracle::{Broken, Oracle, Rule, Verdict},
    plan::Plan,
    queue::{Micros, Queue},
    random::Random,
    report::{Delays, Report, Violation},
    story::{self, Story},
    tape::Step,
    trace::Trace,
};
use chorale_hotstuff::{Input, To};
use chorale_types::{
    AvailabilityCertificate, BlockId, Header, Height, Message, View, codec::List, limits::HEADER_PAYLOADS_MAX,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// A run is stuck if it takes more events than this.
const EVENTS_MAX: u64 = 50_000_000;

/// What happens.
#[derive(Debug)]
enum Event {
    /// A node starts, for the first time or again.
    Start { slot: usize },
    /// A message arrives.
    Deliver { slot: usize, envelope: Rc<Envelope> },
    /// A deadline of the state machine is due.
    Tick { slot: usize, life: u64, at: Micros },
    /// A sync is done.
    Synced { slot: usize, life: u64 },
    /// The proposer has content.
    Content { slot: usize, life: u64, view: View, payloads: List<AvailabilityCertificate, HEADER_PAYLOADS_MAX> },
    /// A node asks somebody for headers.
    Fetch { slot: usize, life: u64, id: BlockId, above: Height },
    /// They arrive.
    Headers { slot: usize, life: u64, headers: Vec<Header> },
    /// The node learns of the next epoch.
    Epoch { slot: usize, life: u64, epoch: chorale_types::Epoch },
    /// Something to order came or went.
    Pending { slot: usize },
    /// An adversary acts of its own accord.
    Wake { slot: usize },
    /// Links break.
    Partition,
    /// Faults end.
    Calm,
}

/// A message on its way.
#[derive(Debug)]
struct Envelope {
    from: usize,
    message: Message,
    fingerprint: u64,
}

/// A network and everything around it.
#[derive(Debug)]
pub struct World {
    config: SimConfig,
    plan: Plan,
    epochs: Epochs,
    hosts: Vec<Host>,
    /// Instances of each node: two if it is twins.
    slots: Vec<Vec<usize>>,
    queue: Queue<Event>,
    network: Network,
    oracle: Oracle,
    coalition: Coalition,
    random: Random,
    trace: Trace,
    story: Story,
    calm: bool,
    /// Whether somebody committed something since the last look.
    grown: bool,
    goal: u64,
    figures: Figures,
    /// What the state machines are told, if that is to be kept.
    tape: Option<Vec<Step>>,
}

/// What is counted on the way.
#[derive(Debug, Default)]
struct Figures {
    events: u64,
    messages: u64,
    crashes: u64,
    evidence: u64,
    proposed: BTreeMap<BlockId, (Micros, usize)>,
    certified: Vec<Micros>,
    committed: Vec<Micros>,
    committed_at_leader: Vec<Micros>,
}

impl World {
    /// Draws the world of a run.
    #[must_use]
    pub fn new(config: &SimConfig) -> Self {
        Self::with_plan(config, Plan::draw(config))
    }

    /// The world of a plan made by hand.
    #[must_use]
    pub fn with_plan(config: &SimConfig, plan: Plan) -> Self {
        let nodes = plan.weights.len();
        let epochs = Epochs::new(config.seed, plan.weights.clone(), plan.epoch_heights);
        let mut hosts = Vec::new();
        let mut slots = vec![Vec::new(); nodes];
        for (node, slots) in slots.iter_mut().enumerate() {
            let kind = plan.byzantine.get(&node).copied();
            let instances = if kind == Some(Kind::Twins) { 2 } else { 1 };
            for _ in 0..instances {
                let mut host = Host::new(node, &epochs, plan.clocks[node], kind.map(Kind::adversary));
                host.dead = plan.dead.contains(&node);
                slots.push(hosts.len());
                hosts.push(host);
            }
        }
        let random = Random::new(config.seed, "world");
        let network_random = Random::new(config.seed, "network");
        let network = Network::new(hosts.len(), plan.latency, plan.weather, network_random);
        let byzantine: BTreeSet<_> = plan.byzantine.keys().map(|node| epochs::index_of(*node)).collect();
        let oracle = Oracle::new(epochs.first(), byzantine);
        let coalition = Coalition::of(plan.byzantine.keys().copied().collect());
        Self {
            config: config.clone(),
            epochs,
            slots,
            queue: Queue::new(),
            network,
            oracle,
            coalition,
            random,
            trace: Trace::new(),
            story: Story::new(config.story),
            calm: false,
            grown: false,
            goal: u64::MAX,
            figures: Figures::default(),
            tape: None,
            hosts,
            plan,
        }
    }

    /// Runs to the end and says what came of it.
    #[must_use]
    pub fn run(self) -> Report {
        self.play().0
    }

    /// Runs to the end and keeps what the state machines were told.
    pub(crate) fn record(mut self) -> (Report, Vec<Step>) {
        self.tape = Some(Vec::new());
        self.play()
    }

    fn play(mut self) -> (Report, Vec<Step>) {
        let started = crate::cpu::CpuTime::now();
        self.open();
        let verdict = self.live();
        let cpu_ms = started.elapsed_ms();
        if let Err(broken) = &verdict {
            self.story.tell(self.queue.now(), || format!("VIOLATION {broken}"));
        }
        let tape = self.tape.take().unwrap_or_default();
        (self.report(verdict.err(), cpu_ms), tape)
    }

    /// Schedules what happens by itself.
    fn open(&mut self) {
        for slot in 0..self.hosts.len() {
            if self.hosts[slot].dead {
                continue;
            }
            self.queue.at(0, Event::Start { slot });
            if !self.hosts[slot].is_honest() {
                self.queue.at(0, Event::Wake { slot });
            }
            if self.plan.parameters.idle_interval_ms > 0 {
                self.queue.at(self.random.below(200_000), Event::Pending { slot });
            }
        }
        if self.plan.partition_every > 0 {
            self.queue.at(self.random.below(self.plan.partition_every), Event::Partition);
        }
        self.queue.at(self.plan.calm_at, Event::Calm);
    }

    fn live(&mut self) -> Verdict {
        while let Some(event) = self.queue.take() {
            self.figures.events += 1;
            if self.queue.now() > self.config.duration_ms * 1000 || self.figures.events > EVENTS_MAX {
                return Err(Broken { rule: Rule::Growth, what: self.stuck() });
            }
            self.happen(event)?;
            if self.calm && std::mem::take(&mut self.grown) && self.is_done() {
                break;
            }
        }
        if !self.is_done() {
            return Err(Broken { rule: Rule::Growth, what: self.stuck() });
        }
        self.check_calm()
    }

    /// Without faults, every timeout is accounted for.
    fn check_calm(&self) -> Verdict {
        if self.plan.calm_at > 0 || !self.plan.byzantine.is_empty() {
            return Ok(());
        }
        self.oracle.check_calm(&self.plan.dead.iter().map(|node| epochs::index_of(*node)).collect())
    }

    fn is_done(&self) -> bool {
        self.correct().all(|host| self.oracle.height_of(host.node) >= self.goal)
    }

    /// Nodes that have to get along in the end.
    fn correct(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|host| host.is_honest() && !host.dead)
    }

    fn stuck(&self) -> String {
        let state: Vec<String> = self
            .correct()
            .map(|host| {
                let epoch = host.core.as_ref().map(|core| core.epoch().epoch.0);
                format!(
                    "node {} at height {} in view {} of {epoch:?}",
                    host.node,
                    self.oracle.height_of(host.node),
                    host.view()
                )
            })
            .collect();
        format!("the chain has not grown to {} in time: {}", self.goal, state.join(", "))
    }

    fn happen(&mut self, event: Event) -> Verdict {
        match event {
            Event::Start { slot } => return self.start(slot),
            Event::Deliver { slot, envelope } => return self.deliver(slot, &envelope),
            Event::Tick { slot, life, at } => {
                if self.hosts[slot].life == life && self.hosts[slot].tick == Some(at) {
                    self.hosts[slot].tick = None;
                    return self.step(slot, Input::Tick);
                }
            }
            Event::Synced { slot, life } => {
                if self.hosts[slot].life == life {
                    self.release(slot)?;
                    return self.carry_out(slot);
                }
            }
            Event::Content { slot, life, view, payloads } => {
                if self.hosts[slot].life == life {
                    return self.step(slot, Input::Content { view, payloads });
                }
            }
            Event::Fetch { slot, life, id, above } => {
                if self.hosts[slot].life == life {
                    self.fetch(slot, id, above);
                }
            }
            Event::Headers { slot, life, headers } => {
                if self.hosts[slot].life == life {
                    return self.step(slot, Input::Headers(headers));
                }
            }
            Event::Epoch { slot, life, epoch } => {
                if self.hosts[slot].life == life
                    && let Some(info) = self.epochs.get(epoch).cloned()
                {
                    self.hosts[slot].silent = false;
                    let index = Some(epochs::index_of(self.hosts[slot].node));
                    return self.step(slot, Input::Epoch { info, index });
                }
            }
            Event::Pending { slot } => {
                let pending = self.random.chance(500);
                self.queue.at(self.queue.now() + self.random.between(1, 400_000), Event::Pending { slot });
                return self.step(slot, Input::Pending(pending));
            }
            Event::Wake { slot } => {
                self.queue.at(self.queue.now() + self.random.between(1000, 60_000), Event::Wake { slot });
                return self
                    .act(slot, |adversary, hand| {
                        adversary.wake(hand);
                        true
                    })
                    .map(|_| ());
            }
            Event::Partition => self.break_links(),
            Event::Calm => return self.calm_down(),
        }
        Ok(())
    }

    fn start(&mut self, slot: usize) -> Verdict {
        let now = self.queue.now();
        let host = &mut self.hosts[slot];
        if host.core.is_some() || host.dead {
            return Ok(());
        }
        host.start(&self.epochs, &self.plan);
        let (node, tip) = (host.node, host.disk.tip());
        self.story.tell(now, || format!("node {node} starts at height {}", tip.height));
        if self.hosts[slot].is_honest() {
            self.oracle.restarted(node, tip.height);
            // What was on its way to the disk when the node crashed may have arrived.
            if let Some(record) = self.hosts[slot].disk.record() {
                self.oracle.persisted(node, record)?;
            }
        }
        for other in 0..self.slots.len() {
            if other != node {
                let rtt_ms = self.network.round_trip_ms(slot, self.slots[other][0]);
                self.tell(slot, Input::RoundTrip { to: epochs::index_of(other), rtt_ms });
            }
        }
        self.step(slot, Input::Start)
    }

    fn deliver(&mut self, slot: usize, envelope: &Rc<Envelope>) -> Verdict {
        if self.hosts[slot].core.is_none() {
            return Ok(());
        }
        self.figures.messages += 1;
        self.trace.number(self.queue.now());
        self.trace.number(slot as u64);
        self.trace.number(envelope.fingerprint);
        let from = epochs::index_of(envelope.from);
        if !self.hosts[slot].is_honest() {
            self.coalition.learn(&envelope.message);
            if !self.act(slot, |adversary, hand| adversary.receive(hand, from, &envelope.message))? {
                return Ok(());
            }
        }
        self.step(slot, Input::Message { from, message: envelope.message.clone() })
    }

    /// Gives a state machine an input, and carries out what follows.
    fn step(&mut self, slot: usize, input: Input) -> Verdict {
        self.tell(slot, input);
        self.carry_out(slot)?;
        let host = &mut self.hosts[slot];
        let due = host.core.as_ref().and_then(|core| core.deadline()).map(|deadline| host.clock.when(deadline));
        if due != host.tick {
            host.tick = due;
            if let Some(at) = due {
                let at = at.max(self.queue.now());
                host.tick = Some(at);
                self.queue.at(at, Event::Tick { slot, life: host.life, at });
            }
        }
        Ok(())
    }

    fn tell(&mut self, slot: usize, input: Input) {
        let host = &mut self.hosts[slot];
        let now = self.queue.now();
        if let Some(tape) = &mut self.tape {
            tape.push((slot, input.clone(), host.clock.read(now)));
        }
        host.step(input, now);
    }

    /// Lets an adversary act, and sends what it wants sent.
    fn act(
        &mut self,
        slot: usize,
        act: impl FnOnce(&mut dyn crate::adversary::Adversary, &mut Hand<'_>) -> bool,
    ) -> Result<bool, Broken> {
        let host = &mut self.hosts[slot];
        let (Some(adversary), Some(core)) = (&mut host.adversary, &host.core) else { return Ok(true) };
        let info = core.epoch().clone();
        let mut hand = Hand {
            node: host.node,
            info: &info,
            view: core.view(),
            now: host.clock.read(self.queue.now()),
            random: &mut self.random,
            coalition: &mut self.coalition,
            out: Vec::new(),
        };
        let heard = act(adversary.as_mut(), &mut hand);
        for (node, to, message) in hand.out {
            self.oracle.sent_by_byzantine(&message);
            let from = if node == self.hosts[slot].node { slot } else { self.slots[node][0] };
            self.transmit(from, to, message)?;
        }
        Ok(heard)
    }

    /// Puts a message on its way.
    fn transmit(&mut self, slot: usize, to: To, message: Message) -> Verdict {
        let from = self.hosts[slot].node;
        let now = self.queue.now();
        self.story.tell(now, || {
            let to = match to {
                To::All => "all".to_owned(),
                To::One(index) => format!("node {index}"),
            };
            format!("node {from} to {to}: {}", story::words(&message))
        });
        if self.plan.codec {
            crate::wire::check(&message)?;
        }
        let fingerprint = crate::wire::fingerprint(&message);
        let envelope = Rc::new(Envelope { from, message, fingerprint });
        match to {
            To::All => {
                for target in 0..self.hosts.len() {
                    if self.hosts[target].node != from {
                        self.route(slot, target, &envelope);
                    }
                }
            }
            To::One(index) => {
                for instance in 0..self.slots.get(index.as_usize()).map_or(0, Vec::len) {
                    self.route(slot, self.slots[index.as_usize()][instance], &envelope);
                }
            }
        }
        Ok(())
    }

    fn route(&mut self, from: usize, to: usize, envelope: &Rc<Envelope>) {
        for at in self.network.arrivals(from, to, self.queue.now()).into_iter().flatten() {
            self.queue.at(at, Event::Deliver { slot: to, envelope: Rc::clone(envelope) });
        }
    }

    fn report(self, broken: Option<Broken>, cpu_ms: f64) -> Report {
        let at_ms = self.queue.now() / 1000;
        let committed = self.correct().map(|host| self.oracle.height_of(host.node)).min().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "counts of messages are far below 2^52")]
        let messages_per_cpu_second = self.figures.messages as f64 * 1000.0 / cpu_ms.max(0.001);
        let votes = match self.plan.parameters.votes {
            chorale_hotstuff::Votes::Leaders => crate::config::Votes::Leaders,
            chorale_hotstuff::Votes::All => crate::config::Votes::All,
        };
        Report {
            profile: self.config.profile,
            seed: self.config.seed,
            validators: self.slots.len(),
            votes,
            trace_hash: self.trace.hash(),
            virtual_ms: at_ms,
            committed,
            views: self.oracle.views(),
            timeouts: self.oracle.timeouts(),
            certified: Delays::of(self.figures.certified),
            finalised: Delays::of(self.figures.committed),
            finalised_at_leader: Delays::of(self.figures.committed_at_leader),
            messages: self.figures.messages,
            crashes: self.figures.crashes,
            evidence: self.figures.evidence,
            cpu_ms,
            messages_per_cpu_second,
            violation: broken.map(|broken| Violation {
                rule: broken.rule,
                what: broken.what,
                at_ms,
                replay: self.config.command(),
            }),
            story: self.story.into_lines(),
        }
    }
}
