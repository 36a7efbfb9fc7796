//! For which views this node makes payloads, and how much of the pool it leaves to the leaders before it.

use chorale_types::{EpochInfo, ValidatorIndex, View};
use std::collections::BTreeMap;

/// A view to make a payload for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The view.
    pub view: View,
    /// Leaders between now and then who have not shown a payload yet. They will take the oldest entries of the pool,
    /// which is the same on all nodes; taking those too would order everything twice.
    pub before: usize,
}

/// The views from `from` to `last` that `me` leads. `shown` says how many payloads that are not ordered yet a leader has
/// dispersed, as far as this node knows their manifests.
pub fn targets(
    epoch: &EpochInfo,
    me: ValidatorIndex,
    from: View,
    last: View,
    shown: impl Fn(ValidatorIndex) -> usize,
) -> Vec<Target> {
    let mut before = 0;
    let mut led: BTreeMap<ValidatorIndex, usize> = BTreeMap::new();
    let mut targets = Vec::new();
    for view in (from.0..=last.0).map(View) {
        let leader = epoch.leader(view);
        if leader == me {
            targets.push(Target { view, before });
            continue;
        }
        let views = led.entry(leader).or_default();
        *views += 1;
        before += usize::from(*views > shown(leader));
    }
    targets
}
