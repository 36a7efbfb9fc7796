//! What a seed decides before a run begins.

use crate::{
    adversary::Kind,
    clock::Clock,
    config::{Profile, SimConfig, Stakes, Votes},
    network::{Latency, Weather},
    queue::Micros,
    random::Random,
};
use chorale_hotstuff::Parameters;
use std::collections::{BTreeMap, BTreeSet};

const MS: Micros = 1000;

/// A run's world, drawn from its seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Weights in the first epoch; they rotate from epoch to epoch.
    pub weights: Vec<u16>,
    /// Heights of an epoch, 0 for one without end.
    pub epoch_heights: u64,
    /// What all nodes are told.
    pub parameters: Parameters,
    /// Delays and faults of the network until it becomes calm.
    pub latency: Latency,
    /// Its faults until then.
    pub weather: Weather,
    /// Delays from then on.
    pub calm_latency: Latency,
    /// When faults end.
    pub calm_at: Micros,
    /// The longest time between two partitions before that; 0 for none.
    pub partition_every: Micros,
    /// Chance, per output and in a thousand, that an honest node crashes before it.
    pub crash: u64,
    /// The longest time that a node is down.
    pub down: Micros,
    /// How long making writes durable takes; what happens meanwhile shares the next sync.
    pub sync: Micros,
    /// Validators that attack, and how.
    pub byzantine: BTreeMap<usize, Kind>,
    /// Validators that are down from the start, for good.
    pub dead: BTreeSet<usize>,
    /// Validators that lose their safety record at their first crash.
    pub forgetful: BTreeSet<usize>,
    /// Each node's clock.
    pub clocks: Vec<Clock>,
    /// Whether headers reference payloads.
    pub payloads: bool,
    /// Whether every message is encoded and decoded on its way.
    pub codec: bool,
    /// A mistake planted in all honest nodes.
    #[cfg(test)]
    pub mutation: Option<chorale_hotstuff::Mutation>,
}

impl Plan {
    /// Draws the world of a run.
    #[must_use]
    pub fn draw(config: &SimConfig) -> Self {
        let mut random = Random::new(config.seed, "plan");
        let weights = weights(config, &mut random);
        let nodes = weights.len();
        let votes = match config.votes {
            Votes::Leaders => chorale_hotstuff::Votes::Leaders,
            Votes::All => chorale_hotstuff::Votes::All,
            Votes::Drawn if random.chance(500) => chorale_hotstuff::Votes::Leaders,
            Votes::Drawn => chorale_hotstuff::Votes::All,
        };
        let calm = Self {
            weights,
            epoch_heights: 0,
            parameters: Parameters {
                votes,
                timeout_base_ms: 100,
                timeout_ms_max: 2000,
                clock_drift_ms: 500,
                idle_interval_ms: 0,
                pace_ms: 0,
                pace_bytes_per_ms: 0,
                headers_ahead_max: 256,
            },
            latency: Latency::Uniform { min: 200, max: 1000 },
            weather: Weather::default(),
            calm_latency: Latency::Uniform { min: 200, max: 1000 },
            calm_at: 0,
            partition_every: 0,
            crash: 0,
            down: 0,
            sync: 0,
            byzantine: BTreeMap::new(),
            dead: BTreeSet::new(),
            forgetful: BTreeSet::new(),
            clocks: vec![Clock::default(); nodes],
            payloads: true,
            codec: false,
            #[cfg(test)]
            mutation: None,
        };
        match config.profile {
            Profile::Lan => calm,
            Profile::Wan => calm.spread_over_the_world(),
            Profile::Crashed => calm.with_dead(&mut random),
            Profile::Faulty => calm.with_faults(&mut random),
            Profile::Adversarial => calm.with_adversaries(&mut random).with_faults(&mut random),
        }
    }

    fn spread_over_the_world(mut self) -> Self {
        self.latency = Latency::Regions;
        self.calm_latency = Latency::Regions;
        self.parameters.timeout_base_ms = 500;
        self.parameters.timeout_ms_max = 10_000;
        self
    }

    fn with_dead(mut self, random: &mut Random) -> Self {
        self.latency = Latency::Fixed(5 * MS);
        self.calm_latency = self.latency;
        self.dead = self.draw_faulty(random);
        self
    }

    fn with_adversaries(mut self, random: &mut Random) -> Self {
        // Most attacks are led by one mind; the rest are each of one kind.
        let together = random.chance(600);
        let nodes = self.draw_faulty(random);
        self.byzantine = nodes
            .into_iter()
            .map(|node| {
                let kind =
                    if together { Kind::Puppet } else { random.pick(&Kind::ALL).copied().unwrap_or(Kind::Puppet) };
                (node, kind)
            })
            .collect();
        self
    }

    fn with_faults(mut self, random: &mut Random) -> Self {
        let max = *random.pick(&[2, 10, 30, 100]).unwrap_or(&10) * MS;
        let level = |random: &mut Random, max: u64| if random.chance(500) { random.below(max + 1) } else { 0 };
        self.latency = if random.chance(300) { Latency::Fixed(max) } else { Latency::Uniform { min: max / 20, max } };
        self.calm_latency = Latency::Uniform { min: MS, max: 10 * MS };
        self.weather = Weather {
            loss: level(random, 300),
            duplication: level(random, 100),
            late: level(random, 200),
            late_us_max: 500 * MS,
            reordering: random.chance(500),
        };
        self.calm_at = random.between(500, 4000) * MS;
        self.partition_every = if random.chance(500) { random.between(50, 1000) * MS } else { 0 };
        self.crash = level(random, 30);
        self.down = random.between(1, 1500) * MS;
        self.sync = if random.chance(300) { random.between(0, 20) * MS } else { 0 };
        self.parameters.timeout_base_ms = random.between(30, 120);
        self.parameters.timeout_ms_max = random.between(300, 1500);
        self.parameters.headers_ahead_max = *random.pick(&[4, 16, 256]).unwrap_or(&256);
        self.parameters.idle_interval_ms = if random.chance(200) { 150 } else { 0 };
        self.parameters.pace_ms = if random.chance(200) { 20 } else { 0 };
        self.epoch_heights = if random.chance(400) { random.between(2, 12) } else { 0 };
        self.payloads = random.chance(500);
        self.codec = random.chance(250);
        if random.chance(300) {
            self.forgetful = self.draw_faulty(random);
            self.forgetful.retain(|node| !self.byzantine.contains_key(node));
            if !self.fits(&self.byzantine.keys().chain(&self.forgetful).copied().collect()) {
                self.forgetful.clear();
            }
        }
        for clock in &mut self.clocks {
            *clock = Clock { offset_us: signed(random, 100_000), drift_ppm: signed(random, 200) };
        }
        self
    }

    /// As many validators as may fail, or fewer.
    fn draw_faulty(&self, random: &mut Random) -> BTreeSet<usize> {
        let mut order: Vec<usize> = (0..self.weights.len()).collect();
        random.shuffle(&mut order);
        let mut faulty = BTreeSet::new();
        for node in order {
            faulty.insert(node);
            if !self.fits(&faulty) {
                faulty.remove(&node);
            }
        }
        faulty
    }

    /// Whether the others keep a quorum, in every epoch.
    fn fits(&self, faulty: &BTreeSet<usize>) -> bool {
        let count = self.weights.len();
        let total: u64 = self.weights.iter().map(|weight| u64::from(*weight)).sum();
        let quorum = 2 * total / 3 + 1;
        let turns = if self.epoch_heights == 0 && self.weights.iter().all(|weight| *weight == self.weights[0]) {
            1
        } else {
            count
        };
        (0..turns).all(|turn| {
            let weight: u64 = faulty.iter().map(|node| u64::from(self.weights[(node + turn) % count])).sum();
            total - weight >= quorum
        })
    }
}

/// Weights by the distribution asked for. Their sum stays below 1024.
fn weights(config: &SimConfig, random: &mut Random) -> Vec<u16> {
    let nodes = config.validators.clamp(1, 1000);
    let share = u16::try_from(1000 / nodes).unwrap_or(1).clamp(1, 10);
    let stakes = match config.stakes {
        Stakes::Drawn => {
            *random.pick(&[Stakes::Equal, Stakes::Unequal, Stakes::Unequal, Stakes::Third]).unwrap_or(&Stakes::Equal)
        }
        stakes => stakes,
    };
    match stakes {
        Stakes::Drawn | Stakes::Equal => vec![1; nodes],
        Stakes::Unequal => {
            (0..nodes).map(|_| u16::try_from(random.between(1, u64::from(share))).unwrap_or(1)).collect()
        }
        Stakes::Third => {
            // The largest w with w <= S - Q, where S = others + w.
            let share = u16::try_from(660 / nodes).unwrap_or(1).clamp(1, 10);
            let others = usize::from(share) * (nodes - 1);
            let third = u16::try_from(others.saturating_sub(1) / 2).unwrap_or(1).max(1);
            let mut weights = vec![share; nodes];
            weights[random.index(nodes)] = third;
            weights
        }
    }
}

fn signed(random: &mut Random, max: i64) -> i64 {
    let span = u64::try_from(2 * max).unwrap_or_default();
    i64::try_from(random.between(0, span)).unwrap_or_default() - max
}
