//! Up to a third of the stake attacks.

use super::holds;
use crate::{Plan, Profile, SimConfig, adversary::Kind};

#[test]
fn attacks_cost_time_and_nothing_else() {
    let mut evidence = 0;
    for validators in [4, 5, 7] {
        for seed in 0..100 {
            let config = SimConfig { validators, ..SimConfig::new(Profile::Adversarial, seed) };
            evidence += holds(&config, &Plan::draw(&config)).evidence;
        }
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
            holds(&config, &plan);
        }
    }
}
