//! Many seeds of one kind of world.

use crate::{Profile, Report, SimConfig, World};
use std::ops::Range;

/// Runs one world to its end.
#[must_use]
pub fn run(config: &SimConfig) -> Report {
    World::new(config).run()
}

/// Runs the usual world of a profile for each seed, and stops at the first violation.
///
/// `progress` hears of every run; what it returns says whether to go on.
pub fn search(seeds: Range<u64>, profile: Profile, progress: impl FnMut(&Report) -> bool) -> Option<Report> {
    search_with(seeds, &SimConfig::new(profile, 0), progress)
}

/// The same for a world of any kind; its seed is replaced.
pub fn search_with(seeds: Range<u64>, config: &SimConfig, mut progress: impl FnMut(&Report) -> bool) -> Option<Report> {
    for seed in seeds {
        let report = run(&SimConfig { seed, ..config.clone() });
        let go_on = progress(&report);
        if report.violation.is_some() {
            return Some(report);
        }
        if !go_on {
            break;
        }
    }
    None
}
