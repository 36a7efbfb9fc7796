//! Honest validators in a world that fails.

use super::holds;
use crate::{Plan, Profile, SimConfig};

#[test]
fn faults_cost_time_and_nothing_else() {
    let (mut crashes, mut timeouts) = (0, 0);
    for validators in [4, 5, 7] {
        for seed in 0..80 {
            let config = SimConfig { validators, ..SimConfig::new(Profile::Faulty, seed) };
            let report = holds(&config, &Plan::draw(&config));
            crashes += report.crashes;
            timeouts += report.timeouts;
        }
    }
    assert!(crashes > 1000 && timeouts > 1000, "{crashes} crashes and {timeouts} timeouts are too few to learn from");
}
