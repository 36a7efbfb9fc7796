//! A seed is a run.

use crate::{Profile, SimConfig, run};

#[test]
fn one_seed_is_one_run() {
    for profile in [Profile::Lan, Profile::Faulty, Profile::Adversarial] {
        for seed in 0..6 {
            let config = SimConfig { heights: 5, ..SimConfig::new(profile, seed) };
            let (one, other) = (run(&config), run(&config));
            assert_eq!(one.trace_hash, other.trace_hash, "{}", config.command());
            assert_eq!(
                (one.committed, one.messages, one.virtual_ms),
                (other.committed, other.messages, other.virtual_ms)
            );
        }
    }
}

#[test]
fn other_seeds_are_other_runs() {
    let hash = |seed| run(&SimConfig { heights: 5, ..SimConfig::new(Profile::Faulty, seed) }).trace_hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn telling_the_story_does_not_change_it() {
    let config = SimConfig { heights: 5, ..SimConfig::new(Profile::Adversarial, 3) };
    let hash = run(&config).trace_hash;
    let told = run(&SimConfig { story: true, ..config });
    assert_eq!(told.trace_hash, hash);
    for part in ["enters view", "proposal of view", "commits"] {
        assert!(told.story.iter().any(|line| line.contains(part)), "nothing {part} in {:#?}", told.story);
    }
}

#[test]
fn a_report_survives_json() {
    let report = run(&SimConfig { heights: 3, ..SimConfig::new(Profile::Lan, 1) });
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<crate::Report>(&text).unwrap(), report);
}
