//! Up to a third of the stake attacks.

use crate::{Plan, Profile, SimConfig, World, adversary::Kind, search_with};

#[test]
fn attacks_cost_time_and_nothing_else() {
    let mut evidence = 0;
    for validators in [4, 5, 7] {
        let config = SimConfig { validators, ..SimConfig::new(Profile::Adversarial, 0) };
        let failed = search_with(0..100, &config, |report| {
            evidence += report.evidence;
            true
        });
        assert_eq!(failed.and_then(|report| report.violation), None);
    }
    assert!(evidence > 50, "only {evidence} pieces of evidence");
}

#[test]
fn no_single_kind_of_attack_stops_the_chain() {
    for kind in Kind::ALL {
        for seed in 0..6 {
            let config = SimConfig::new(Profile::Adversarial, seed);
            let mut plan = Plan::draw(&config);
            plan.byzantine.values_mut().for_each(|attack| *attack = kind);
            let report = World::with_plan(&config, plan).run();
            assert_eq!(report.violation, None, "{kind:?} wins under seed {seed}");
        }
    }
}
