//! Networks that fall apart and come together again.

use crate::{cluster::Cluster, network::eventually};

const ALL: [usize; 4] = [0, 1, 2, 3];

/// Two validators against two order nothing; what was accepted on either side meanwhile is ordered once they are one
/// network again, and nobody ever saw another order.
#[test]
fn halves_of_a_network_order_nothing_until_they_are_whole_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(folder.path(), 4, &[("timeout_base_ms", 300), ("time_step_ms_max", 200)]);
    cluster.start_all();
    let before = cluster.submit(0, "before");
    cluster.wait_until_attested(&before);
    // A node that saw it all says when.
    let passed = cluster.passed(0, &before);
    let states: Vec<&str> = passed.iter().map(|(state, _)| state.as_str()).collect();
    assert_eq!(states, ["proposed", "certified", "committed", "revealed", "order_attested"]);
    assert!(passed.is_sorted_by_key(|(_, time)| *time), "{passed:?}");

    cluster.cut(&[0, 1], true);
    let accepted: Vec<String> = ALL.map(|node| cluster.submit(node, &format!("to {node} in the partition"))).into();
    // What was under way is over when both sides have stopped.
    let stopped = eventually("no height is committed any more", || {
        let before = ALL.map(|node| cluster.heights(node).0);
        // Each question takes a turn of the node that is asked.
        let later: Vec<_> = (0..50).map(|_| ALL.map(|node| cluster.heights(node).0)).collect();
        later.iter().all(|heights| *heights == before).then_some(before)
    });
    for (node, id) in accepted.iter().enumerate() {
        let state = cluster.state(node, id);
        assert!(["pending", "proposed", "certified"].contains(&state.as_str()), "node {node}: {state}");
    }

    cluster.cut(&[0, 1], false);
    accepted.iter().for_each(|id| cluster.wait_until_attested(id));
    let last = ALL.iter().map(|node| cluster.heights(*node).0).min().unwrap();
    assert!(last > *stopped.iter().max().unwrap());
    (1..=last).for_each(|height| drop(cluster.header(&ALL, height)));
}

/// A validator that was away for thousands of blocks catches up: every header, and every height settled.
#[test]
fn a_validator_that_was_away_for_thousands_of_blocks_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    // Every fourth view is that of the one that is away, and costs a timeout.
    let parameters = [("pace_ms", 0), ("idle_interval_ms", 1), ("timeout_base_ms", 60), ("time_step_ms_max", 50)];
    let mut cluster = Cluster::new(folder.path(), 4, &parameters);
    cluster.start_all();
    cluster.wait_until_attested(&cluster.submit(0, "before"));
    cluster.cut(&[3], true);
    let left = cluster.heights(3).0;
    let meanwhile: Vec<String> =
        (0..20).map(|number| cluster.submit(number % 3, &format!("meanwhile {number}"))).collect();
    (1..=20).for_each(|step| cluster.wait_for(0, left + 100 * step));

    cluster.cut(&[3], false);
    let behind = cluster.heights(0).1;
    cluster.wait_for(3, behind);
    meanwhile.iter().for_each(|id| cluster.wait_until_attested(id));
    (left..=behind).step_by(10).for_each(|height| drop(cluster.header(&ALL, height)));
    cluster.wait_until_attested(&cluster.submit(3, "after"));
}
