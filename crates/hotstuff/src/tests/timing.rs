//! How many message delays things take, and what crashed leaders cost.

use super::net::{DELAY_MS, Net, parameters};
use crate::Votes;
use chorale_types::View;

fn assert_delays(votes: Votes, certified: u64, committed: u64) {
    let mut net = Net::new(&[1; 4], parameters(votes), u64::MAX);
    net.start_all();
    net.run(1000);
    let proposed = net.proposed_at();
    assert!(net.height(0) >= 45, "{}", net.height(0));
    let mut last = None;
    for node in 0..4 {
        assert_eq!(net.timeouts(node), vec![]);
        let (certified_at, committed_at) = (net.certified_at(node), net.committed_at(node));
        for block in &net.nodes[node].chain {
            let at = proposed[&block.id];
            assert!(certified_at[&block.id] <= at + certified * DELAY_MS);
            assert!(committed_at[&block.id] <= at + committed * DELAY_MS);
            if node == 0 {
                assert!(last.is_none_or(|last| at == last + 2 * DELAY_MS));
                last = Some(at);
            }
        }
    }
}

#[test]
fn a_block_every_two_delays_certified_at_three_and_committed_at_five() {
    assert_delays(Votes::Leaders, 3, 5);
}

#[test]
fn with_votes_to_all_certified_at_two_and_committed_at_three() {
    assert_delays(Votes::All, 2, 3);
}

#[test]
fn a_crashed_leader_costs_one_timeout_and_no_block() {
    for votes in [Votes::Leaders, Votes::All] {
        let mut net = Net::new(&[1; 4], parameters(votes), u64::MAX);
        for node in 0..3 {
            net.start(node);
        }
        net.run(5000);
        let dead: Vec<View> = (1..net.view(0).0).map(View).filter(|view| net.epochs[0].leader(*view).0 == 3).collect();
        assert!(dead.len() > 5);
        for node in 0..3 {
            let lost: Vec<View> = net.timeouts(node).into_iter().filter(|view| *view < net.view(0)).collect();
            assert_eq!(lost, dead, "{votes:?}");
        }
        // Every header that an honest leader made is committed, but for the last ones.
        let committed = net.height(0);
        assert!(net.proposed_at().len() <= committed + 3, "{} of {}", committed, net.proposed_at().len());
    }
}

#[test]
fn a_single_validator_makes_a_chain_by_itself() {
    let mut net = Net::new(&[5], parameters(Votes::Leaders), u64::MAX);
    net.parameters.pace_ms = 10;
    net.start_all();
    net.run(1000);
    assert!(net.height(0) >= 90);
}

#[test]
fn the_pace_holds_blocks_apart() {
    let mut net = Net::new(&[1; 4], parameters(Votes::Leaders), u64::MAX);
    net.parameters.pace_ms = 50;
    net.start_all();
    net.run(2000);
    let mut sorted: Vec<u64> = net.proposed_at().into_values().collect();
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 50));
    assert!((38..=41).contains(&sorted.len()), "{}", sorted.len());
    assert_eq!(net.timeouts(0), vec![]);
}
