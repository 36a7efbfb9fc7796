//! The network: when, how often and whether a message arrives.

use crate::{queue::Micros, random::Random, regions::Regions};

/// How long messages take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always the same: makes delays countable.
    Fixed(Micros),
    /// Anything in between, for each message anew.
    Uniform {
        /// At least.
        min: Micros,
        /// At most.
        max: Micros,
    },
    /// By the regions of sender and receiver: half of the measured median round trip, give or take the distance from
    /// median to p90.
    Regions,
}

/// What goes wrong, in messages of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Lost.
    pub loss: u64,
    /// Delivered twice.
    pub duplication: u64,
    /// Late by up to `late_us_max`.
    pub late: u64,
    /// How late.
    pub late_us_max: Micros,
    /// Whether a message may overtake an earlier one of its link.
    pub reordering: bool,
}

/// Whether a link, by source and destination, is to be cut.
type Cut = Box<dyn Fn(&mut Random, usize, usize) -> bool>;

/// The links between all nodes.
#[derive(Debug)]
pub struct Network {
    nodes: usize,
    latency: Latency,
    weather: Weather,
    /// Links that lose everything, by source and destination: a partition may be asymmetric.
    cut: Vec<bool>,
    /// When the last message of a link arrives.
    last: Vec<Micros>,
    random: Random,
}

impl Network {
    /// A network of whole links.
    #[must_use]
    pub fn new(nodes: usize, latency: Latency, weather: Weather, random: Random) -> Self {
        Self { nodes, latency, weather, cut: vec![false; nodes * nodes], last: vec![0; nodes * nodes], random }
    }

    /// Changes the weather.
    pub const fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Changes the delays.
    pub const fn set_latency(&mut self, latency: Latency) {
        self.latency = latency;
    }

    /// Mends all links.
    pub fn heal(&mut self) {
        self.cut.fill(false);
    }

    /// Cuts or mends one direction of one link.
    pub fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        self.cut[from * self.nodes + to] = cut;
    }

    /// Draws a partition: two halves, one deaf or mute node, or some links in one direction. Says what it did.
    pub fn partition(&mut self) -> String {
        self.heal();
        let nodes = self.nodes;
        let node = self.random.index(nodes);
        let (what, cut): (String, Cut) = match self.random.below(5) {
            0 => (format!("node {node} hears nothing"), Box::new(move |_, _, to| to == node)),
            1 => (format!("node {node} is not heard"), Box::new(move |_, from, _| from == node)),
            2 => (format!("node {node} is alone"), Box::new(move |_, from, to| (from == node) != (to == node))),
            3 => {
                let side: Vec<bool> = (0..nodes).map(|_| self.random.chance(500)).collect();
                let names: Vec<usize> = (0..nodes).filter(|&node| side[node]).collect();
                (
                    format!("nodes {names:?} and the others are apart"),
                    Box::new(move |_, from, to| side[from] != side[to]),
                )
            }
            _ => ("some links lose everything in one direction".into(), Box::new(|random, _, _| random.chance(350))),
        };
        for from in 0..nodes {
            for to in 0..nodes {
                let lost = cut(&mut self.random, from, to);
                self.set_cut(from, to, lost);
            }
        }
        what
    }

    /// When a message that is sent now arrives; twice if it is duplicated, never if it is lost.
    pub fn arrivals(&mut self, from: usize, to: usize, now: Micros) -> [Option<Micros>; 2] {
        let link = from * self.nodes + to;
        if self.cut[link] || self.random.chance(self.weather.loss) {
            return [None, None];
        }
        let first = self.arrival(from, to, link, now);
        let second = self.random.chance(self.weather.duplication).then(|| self.arrival(from, to, link, now));
        [Some(first), second]
    }

    fn arrival(&mut self, from: usize, to: usize, link: usize, now: Micros) -> Micros {
        let delay = match self.latency {
            Latency::Fixed(delay) => delay,
            Latency::Uniform { min, max } => self.random.between(min, max),
            Latency::Regions => {
                let (median, spread) = Regions::aws().one_way(from, to);
                let spread = spread.min(median);
                median - spread + self.random.below(2 * spread + 1)
            }
        };
        let late = if self.random.chance(self.weather.late) { self.random.below(self.weather.late_us_max) } else { 0 };
        let arrival = now + delay + late;
        if self.weather.reordering {
            return arrival;
        }
        self.last[link] = self.last[link].max(arrival);
        self.last[link]
    }

    /// The usual round trip between two nodes, in whole milliseconds, at least one.
    #[must_use]
    pub fn round_trip_ms(&self, from: usize, to: usize) -> u64 {
        let one_way = match self.latency {
            Latency::Fixed(delay) => delay,
            Latency::Uniform { min, max } => min.midpoint(max),
            Latency::Regions => Regions::aws().one_way(from, to).0,
        };
        (2 * one_way).div_ceil(1000).max(1)
    }
}
