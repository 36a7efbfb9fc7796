//! A follower and servers that lie to it.

use super::*;
use crate::{Attested, FollowError, LaneFollower};
use chorale_types::{Lane, LaneProof, ProofError, RegistryProof};

const ROLLUP: RollupId = RollupId(1);

/// A light client that knows all epochs, and what an honest server has.
fn world() -> (Light, Vec<Served>) {
    let served = serve(chain(), &history());
    let mut light = light();
    light.hand_over(hand_over(&served, 0)).unwrap();
    light.hand_over(hand_over(&served, 1)).unwrap();
    (light, served)
}

fn attested(light: &Light, served: &[Served], height: u64) -> Attested {
    let served = &served[usize::try_from(height - 1).unwrap()];
    light.verify(served.outcome(), &served.attestation).unwrap()
}

fn lane(served: &[Served], height: u64) -> (Lane, LaneProof) {
    let settled = &served[usize::try_from(height - 1).unwrap()].settled;
    (settled.lanes[&ROLLUP].clone(), settled.lane_tree.prove(ROLLUP).unwrap())
}

fn registry(served: &[Served], height: u64, rollup: RollupId) -> RegistryProof {
    served[usize::try_from(height - 1).unwrap()].settled.registry_tree.prove(rollup).unwrap()
}

#[test]
fn a_follower_gets_everything_once_and_knows_when_it_is_at_the_tip() {
    let (light, served) = world();
    let mut follower = LaneFollower::new(ROLLUP, Height(0));
    let mut data = String::new();
    for height in [1, 3, 4, 7] {
        let (lane, proof) = lane(&served, height);
        follower.follow(&attested(&light, &served, height), &lane, &proof).unwrap();
        for item in lane.items() {
            data += std::str::from_utf8(&item.data).unwrap();
            data += ",";
        }
    }
    assert_eq!(data, "a,b,leg 0,d,f,g,h,");
    follower.at_tip(&attested(&light, &served, 12), &registry(&served, 12, ROLLUP)).unwrap();
    assert_eq!(follower.last(), Height(7));
}

#[test]
fn a_follower_goes_on_from_its_last_height_after_a_restart() {
    let (light, served) = world();
    let mut follower = LaneFollower::new(ROLLUP, Height(4));
    let (lane, proof) = lane(&served, 7);
    follower.follow(&attested(&light, &served, 7), &lane, &proof).unwrap();
}

#[test]
fn a_follower_may_start_at_a_height_without_content() {
    let (light, served) = world();
    let tip = |height| (attested(&light, &served, height), registry(&served, height, ROLLUP));
    let mut follower = LaneFollower::new(ROLLUP, Height(5));
    let (at_five, nothing) = tip(5);
    follower.at_tip(&at_five, &nothing).unwrap();
    let (lane_seven, proof) = lane(&served, 7);
    follower.follow(&attested(&light, &served, 7), &lane_seven, &proof).unwrap();
    let (at_twelve, nothing) = tip(12);
    follower.at_tip(&at_twelve, &nothing).unwrap();
    // What is left out after the start is still noticed.
    let mut follower = LaneFollower::new(ROLLUP, Height(2));
    let skipped = FollowError::Skipped { height: Height(4), previous: Height(3), last: Height(2) };
    let (lane_four, proof) = lane(&served, 4);
    assert_eq!(follower.follow(&attested(&light, &served, 4), &lane_four, &proof), Err(skipped));
    let behind = FollowError::Behind { rollup: ROLLUP, last_content: Height(7), last: Height(2) };
    assert_eq!(follower.at_tip(&at_twelve, &nothing), Err(behind));
}

#[test]
fn a_quorum_that_denies_what_it_attested_is_told_from_a_server_that_lies() {
    let (light, served) = world();
    let mut other_history = history();
    other_history[3].clear();
    let fork = serve(chain(), &other_history);
    let mut follower = LaneFollower::new(ROLLUP, Height(0));
    for height in [1, 3, 4] {
        let (lane, proof) = lane(&served, height);
        follower.follow(&attested(&light, &served, height), &lane, &proof).unwrap();
    }
    let contradiction = |height| FollowError::Contradiction { height: Height(height), last: Height(4) };
    let (lane, proof) = lane(&fork, 7);
    assert_eq!(follower.follow(&attested(&light, &fork, 7), &lane, &proof), Err(contradiction(7)));
    assert_eq!(follower.at_tip(&attested(&light, &fork, 6), &registry(&fork, 6, ROLLUP)), Err(contradiction(6)));
    assert_eq!(follower.last(), Height(4));
}

#[test]
fn skipped_and_repeated_heights_are_noticed() {
    let (light, served) = world();
    let mut follower = LaneFollower::new(ROLLUP, Height(0));
    let mut follow = |height| {
        let (lane, proof) = lane(&served, height);
        follower.follow(&attested(&light, &served, height), &lane, &proof)
    };
    let skipped = FollowError::Skipped { height: Height(3), previous: Height(1), last: Height(0) };
    assert_eq!(follow(3), Err(skipped));
    follow(1).unwrap();
    assert_eq!(follow(1), Err(FollowError::Again { height: Height(1), last: Height(1) }));
    assert!(matches!(follow(4), Err(FollowError::Skipped { .. })));
    follow(3).unwrap();
    assert!(matches!(follow(1), Err(FollowError::Again { .. })));
}

#[test]
fn what_a_server_leaves_out_adds_moves_or_changes_is_noticed() {
    let (light, served) = world();
    let (true_lane, proof) = lane(&served, 7);
    let mut follower = LaneFollower::new(ROLLUP, Height(4));
    let attested = attested(&light, &served, 7);
    let mut lie = |name: &str, change: &dyn Fn(&mut Vec<chorale_types::LaneItem>)| {
        let mut items = true_lane.items().to_vec();
        change(&mut items);
        let lane = Lane::new(ROLLUP, items).unwrap();
        let refused = FollowError::Proof { height: Height(7), error: ProofError::Items(ROLLUP) };
        assert_eq!(follower.follow(&attested, &lane, &proof), Err(refused), "{name}");
    };
    lie("the last item is missing", &|items| drop(items.pop()));
    lie("the first item is missing", &|items| drop(items.remove(0)));
    lie("an item is added", &|items| {
        let mut item = items[0].clone();
        item.place.unit = 99;
        items.push(item);
    });
    lie("two items have changed places", &|items| {
        let (first, second) = (items[0].place, items[1].place);
        items.swap(0, 1);
        (items[0].place, items[1].place) = (first, second);
    });
    lie("an item has other data", &|items| {
        let other = transaction(1, "other");
        (items[1].id, items[1].data) = (other.id(), other.data);
    });
    lie("an item is said to be of the other payload", &|items| items[2].place.payload = 1);
    assert_eq!(follower.last(), Height(4), "no lie moves it");
    follower.follow(&attested, &true_lane, &proof).unwrap();
}

#[test]
fn an_unordered_lane_does_not_even_exist() {
    let (_, served) = world();
    let mut items = lane(&served, 7).0.items().to_vec();
    items.reverse();
    assert!(Lane::new(ROLLUP, items).is_err());
}

#[test]
fn lanes_of_other_heights_rollups_and_outcomes_are_noticed() {
    let (light, served) = world();
    let mut follower = LaneFollower::new(ROLLUP, Height(0));
    let (first, first_proof) = lane(&served, 1);
    // The right lane, proven against the outcome of another height.
    let error = follower.follow(&attested(&light, &served, 3), &first, &first_proof).unwrap_err();
    assert_eq!(error, FollowError::Proof { height: Height(3), error: ProofError::Lane(ROLLUP) });
    // Another rollup's lane, truly proven.
    let other = RollupId(2);
    let settled = &served[2].settled;
    let (foreign, foreign_proof) = (&settled.lanes[&other], settled.lane_tree.prove(other).unwrap());
    let wrong = FollowError::Rollup { expected: ROLLUP, actual: other };
    let at = attested(&light, &served, 3);
    assert_eq!(follower.follow(&at, foreign, &foreign_proof), Err(wrong));
    assert_eq!(follower.follow(&at, foreign, &lane(&served, 3).1), Err(wrong));
    // A claimed history: the proof says that nothing was skipped, with a changed leaf.
    let (third, mut third_proof) = lane(&served, 3);
    third_proof.leaf.previous = Height(0);
    let error = follower.follow(&at, &third, &third_proof).unwrap_err();
    assert_eq!(error, FollowError::Proof { height: Height(3), error: ProofError::Lane(ROLLUP) });
}

#[test]
fn a_server_that_says_that_this_is_all_is_found_out() {
    let (light, served) = world();
    let follower = LaneFollower::new(ROLLUP, Height(4));
    let tip = attested(&light, &served, 12);
    let behind = FollowError::Behind { rollup: ROLLUP, last_content: Height(7), last: Height(4) };
    assert_eq!(follower.at_tip(&tip, &registry(&served, 12, ROLLUP)), Err(behind));
    // The registry of an older height, under the newer outcome.
    let error = follower.at_tip(&tip, &registry(&served, 5, ROLLUP)).unwrap_err();
    assert_eq!(error, FollowError::Proof { height: Height(12), error: ProofError::Registry(ROLLUP) });
    // The row of a rollup that has nothing.
    let foreign = registry(&served, 12, RollupId(3));
    assert!(matches!(follower.at_tip(&tip, &foreign), Err(FollowError::Rollup { .. })));
    let mut renamed = foreign;
    renamed.leaf.rollup = ROLLUP;
    assert!(matches!(follower.at_tip(&tip, &renamed), Err(FollowError::Proof { .. })));
    // An old tip, truly attested, at which there was nothing more yet: true, and it says so.
    follower.at_tip(&attested(&light, &served, 5), &registry(&served, 5, ROLLUP)).unwrap();
    let older =
        LaneFollower::new(ROLLUP, Height(7)).at_tip(&attested(&light, &served, 5), &registry(&served, 5, ROLLUP));
    assert_eq!(older, Err(FollowError::OldTip { tip: Height(5), last: Height(7) }));
}
