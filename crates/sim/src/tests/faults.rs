//! Honest validators in a world that fails.

use crate::{Profile, SimConfig, search_with};

#[test]
fn faults_cost_time_and_nothing_else() {
    let (mut crashes, mut timeouts) = (0, 0);
    for validators in [4, 5, 7] {
        let config = SimConfig { validators, ..SimConfig::new(Profile::Faulty, 0) };
        let failed = search_with(0..80, &config, |report| {
            crashes += report.crashes;
            timeouts += report.timeouts;
            true
        });
        assert_eq!(failed.and_then(|report| report.violation), None);
    }
    assert!(crashes > 1000 && timeouts > 1000, "{crashes} crashes and {timeouts} timeouts are too few to learn from");
}
