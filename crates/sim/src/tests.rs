//! Tests of the network as a whole, and of the tools it is tested with.

mod adversaries;
mod calm;
mod faults;
mod judge;
mod mutants;
mod replay;
mod tools;

use crate::{Plan, Report, SimConfig, World};

/// Lines of a story that are worth reading after a failure.
const LINES: usize = 120;

/// Runs a world in which everything has to hold; if it does not, tells how it came to that.
fn holds(config: &SimConfig, plan: &Plan) -> Report {
    let report = World::with_plan(config, plan.clone()).run();
    if let Some(violation) = &report.violation {
        let told = World::with_plan(&SimConfig { story: true, ..config.clone() }, plan.clone()).run();
        let from = told.story.len().saturating_sub(LINES);
        panic!("{}\n{plan:#?}\n{violation:#?}", told.story[from..].join("\n"));
    }
    report
}
