//! Rule 8: an idle chain keeps a slow heartbeat and wakes at once.

use super::net::{DELAY_MS, Net, parameters};
use crate::{Input, Votes};

const IDLE_MS: u64 = 1000;

fn idle() -> Net {
    let mut net = Net::new(&[1; 4], parameters(Votes::Leaders), u64::MAX);
    net.parameters.idle_interval_ms = IDLE_MS;
    net.start_all();
    net.run(5000);
    net
}

#[test]
fn nothing_pending_means_one_empty_block_per_interval_and_no_timeout() {
    let net = idle();
    let proposed = net.proposed_at().len();
    assert!((4..=6).contains(&proposed), "{proposed}");
    (0..4).for_each(|node| assert_eq!(net.timeouts(node), vec![]));
}

#[test]
fn whoever_has_something_pending_wakes_the_leader_and_a_payload_is_committed_without_waiting() {
    let mut net = idle();
    let asleep = net.view(0).0;
    let leader = net.maker().leader(asleep);
    let next = net.maker().leader(asleep + 1);
    let who = (0..4).find(|node| *node != leader).unwrap();
    let began = net.now;
    let content = net.maker().payload(next, 1);
    net.nodes[usize::from(next)].content = vec![content];
    net.input(usize::from(who), Input::Pending(true));
    net.run(20 * DELAY_MS);
    net.input(usize::from(who), Input::Pending(false));
    let header = net.nodes[0].headers.values().find(|header| !header.payloads.is_empty()).unwrap().clone();
    let committed = net.committed_at(0)[&header.id()];
    assert!(committed < began + 12 * DELAY_MS, "after {} ms", committed - began);
    net.run(3000);
    (0..4).for_each(|node| assert_eq!(net.timeouts(node), vec![]));
}

#[test]
fn a_crashed_leader_of_an_idle_chain_costs_the_interval_and_not_more() {
    let mut net = idle();
    let leader = usize::from(net.maker().leader(net.view(0).0));
    let before = net.view(0);
    net.stop(leader);
    net.run(IDLE_MS + 200);
    let other = (0..4).find(|node| *node != leader).unwrap();
    assert!(net.view(other) > before);
}
