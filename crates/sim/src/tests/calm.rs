//! Networks without faults: every delay and every timeout is accounted for.

use crate::{Latency, Plan, Profile, Report, SimConfig, Stakes, Votes, World, run};

const D_US: u64 = 7000;
const D_MS: f64 = 7.0;

/// A network in which every message takes exactly d.
fn fixed(votes: Votes, validators: usize) -> Report {
    let config = SimConfig { votes, validators, heights: 60, ..SimConfig::new(Profile::Lan, 5) };
    let mut plan = Plan::draw(&config);
    plan.latency = Latency::Fixed(D_US);
    plan.calm_latency = Latency::Fixed(D_US);
    let report = World::with_plan(&config, plan).run();
    assert_eq!(report.violation, None);
    report
}

#[test]
fn leaders_collect_a_block_every_2d_certified_at_3d_committed_at_5d() {
    for validators in [4, 7, 10] {
        let report = fixed(Votes::Leaders, validators);
        assert_eq!(report.timeouts, 0);
        assert_eq!((report.certified.p50_ms, report.certified.max_ms), (3.0 * D_MS, 3.0 * D_MS));
        assert_eq!((report.finalised.p50_ms, report.finalised.max_ms), (5.0 * D_MS, 5.0 * D_MS));
        // The last of 60 blocks is proposed after 59 times 2d, and committed 5d later.
        assert_eq!(report.virtual_ms, (59 * 2 + 5) * D_US / 1000);
    }
}

#[test]
fn all_vote_to_all_a_block_every_2d_certified_at_2d_committed_at_3d() {
    for validators in [4, 7, 10] {
        let report = fixed(Votes::All, validators);
        assert_eq!(report.timeouts, 0);
        assert_eq!((report.certified.p50_ms, report.certified.max_ms), (2.0 * D_MS, 2.0 * D_MS));
        assert_eq!((report.finalised.p50_ms, report.finalised.max_ms), (3.0 * D_MS, 3.0 * D_MS));
        assert_eq!(report.virtual_ms, (59 * 2 + 3) * D_US / 1000);
    }
}

#[test]
fn a_dead_leader_costs_one_timeout_and_no_block() {
    let mut timeouts = 0;
    for seed in 0..12 {
        for votes in [Votes::Leaders, Votes::All] {
            let config = SimConfig { votes, ..SimConfig::new(Profile::Crashed, seed) };
            let report = run(&config);
            assert_eq!(report.violation, None, "{report:#?}");
            // Every view that did not time out made a block, and the last few are under way.
            let made = report.views - report.timeouts;
            assert!(made >= report.committed && made <= report.committed + 8, "{report:#?}");
            timeouts += report.timeouts;
        }
    }
    assert!(timeouts > 100, "dead leaders lead, too");
}

#[test]
fn no_view_is_lost_in_the_regions_of_the_world() {
    for votes in [Votes::Leaders, Votes::All] {
        let config = SimConfig { votes, validators: 20, heights: 30, ..SimConfig::new(Profile::Wan, 2) };
        let report = run(&config);
        assert_eq!((&report.violation, report.timeouts), (&None, 0), "{report:#?}");
    }
}

#[test]
fn a_single_validator_makes_a_chain() {
    let config = SimConfig { validators: 1, heights: 20, ..SimConfig::new(Profile::Lan, 1) };
    assert_eq!(run(&config).violation, None);
}

#[test]
fn unequal_stakes_make_a_chain() {
    for stakes in [Stakes::Unequal, Stakes::Third] {
        let config = SimConfig { stakes, validators: 6, ..SimConfig::new(Profile::Lan, 9) };
        let report = run(&config);
        assert_eq!((&report.violation, report.timeouts), (&None, 0));
    }
}
