//! Mistakes planted in the state machine: the judge has to notice each of them, and nothing in the correct one.

use crate::{Plan, Profile, Report, SimConfig, World};
use chorale_hotstuff::Mutation;

/// Seeds that a mistake may survive. The correct state machine survives all of them: see `adversaries`.
const SEEDS_MAX: u64 = 100;

fn run(seed: u64, mutation: Option<Mutation>) -> Report {
    let config = SimConfig::new(Profile::Adversarial, seed);
    let mut plan = Plan::draw(&config);
    plan.mutation = mutation;
    World::with_plan(&config, plan).run()
}

fn killed_by(mutation: Mutation) -> Option<Report> {
    (0..SEEDS_MAX).map(|seed| run(seed, Some(mutation))).find(|report| report.violation.is_some())
}

#[test]
fn every_mistake_is_noticed() {
    let mut survivors = Vec::new();
    for mutation in Mutation::ALL {
        match killed_by(mutation) {
            Some(Report { seed, violation: Some(violation), .. }) => {
                println!("{mutation:?}: seed {seed}: {:?}: {}", violation.rule, violation.what)
            }
            _ => survivors.push(mutation),
        }
    }
    assert_eq!(survivors, [], "mistakes that nobody noticed");
}
