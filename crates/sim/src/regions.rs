//! Round trips between ten AWS regions, as measured in the field (`data/aws-latency.json` names the source).

use crate::queue::Micros;
use serde::Deserialize;
use std::sync::OnceLock;

/// Percentiles of round trips between regions.
#[derive(Debug, Deserialize)]
pub struct Regions {
    /// Their names.
    #[serde(rename = "regions")]
    pub names: Vec<String>,
    /// Medians, in milliseconds, by source and destination.
    pub p50: Vec<Vec<f64>>,
    /// The slowest tenth starts here.
    pub p90: Vec<Vec<f64>>,
}

impl Regions {
    /// The table.
    ///
    /// # Panics
    ///
    /// Never: the file is part of the program, and a test reads it.
    #[must_use]
    pub fn aws() -> &'static Self {
        static TABLE: OnceLock<Regions> = OnceLock::new();
        TABLE.get_or_init(|| {
            serde_json::from_str(include_str!("../data/aws-latency.json"))
                .expect("the table in the program is read by a test")
        })
    }

    /// The region of a node, if nodes are spread evenly over all regions.
    #[must_use]
    pub fn of(&self, node: usize) -> usize {
        node % self.names.len()
    }

    /// Median and spread (p90 above the median) of the one-way delay between two nodes: half of the round trip.
    #[must_use]
    pub fn one_way(&self, from: usize, to: usize) -> (Micros, Micros) {
        let (from, to) = (self.of(from), self.of(to));
        let (median, slow) = (self.p50[from][to], self.p90[from][to]);
        (half(median), half(slow - median))
    }
}

/// Half of some milliseconds, in whole microseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the table holds small positive numbers")]
fn half(ms: f64) -> Micros {
    (ms.max(0.0) * 500.0) as Micros
}
