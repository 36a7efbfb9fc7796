//! What is attested of executed rollups: heights with content only, by those who opted in.

use super::*;
use crate::attestation::Computed;

fn executed(name: &str) -> Digest {
    tagged_hash("test/executed", &[name.as_bytes()])
}

impl World {
    /// The executor of a node has computed these heights.
    async fn execute(&self, index: u16, heights: &[u64], name: &str) {
        let epoch = |height: &u64| Epoch((height - 1) / EPOCH_HEIGHTS);
        let computed = |height: &u64| Computed { height: Height(*height), epoch: epoch(height), root: executed(name) };
        let executor = self.nodes[&index].executor.as_ref().unwrap();
        executor.send(heights.iter().map(computed).collect()).await.unwrap();
    }

    async fn executed_and_attested(&self, index: u16, height: u64) -> Attestation {
        let domain = &self.nodes[&index].domain;
        let mut attested = domain.attested();
        tokio::select! {
            reached = attested.wait_for(|attested| attested.0 >= height) => reached.unwrap(),
            () = self.sleep_ms(60_000) => panic!("height {height} is not attested on node {index}"),
        }
        domain.get(Height(height)).await.unwrap()
    }
}

#[test]
fn heights_with_content_are_attested_also_on_nodes_that_execute_nothing() {
    run(41, async |context| {
        let mut world = World::new(context).await;
        for index in 0..3 {
            world.start(index).await;
        }
        world.start_with(3, false).await;
        world.settle(1..=20).await;
        for index in 0..3 {
            world.execute(index, &[3, 7], "a").await;
            world.execute(index, &[20], "a").await;
        }
        for index in 0..VALIDATORS {
            let attestation = world.executed_and_attested(index, 20).await;
            attestation.verify(&Bls::verifier(), &world.epoch).unwrap();
            assert_eq!((attestation.domain, attestation.root), (DOMAIN, executed("a")));
            let domain = &world.nodes[&index].domain;
            let heights: Vec<u64> = domain.after(Height(3), 9).await.iter().map(|it| it.height.0).collect();
            assert_eq!(heights, [7, 20], "node {index}");
            assert_eq!(domain.latest().await, Some(attestation));
            assert!(domain.get(Height(4)).await.is_none(), "no content, no attestation");
            // Ordering has attestations of its own.
            world.attested(index, 20).await;
            assert_eq!(world.nodes[&index].mailbox.get(Height(7)).await.unwrap().domain, DomainId::ORDERING);
        }
        assert!(world.cut_off().await.is_empty());
    });
}

#[test]
fn what_was_signed_before_a_crash_is_signed_no_other_way_after_it() {
    run(42, async |context| {
        let mut world = World::new(context).await;
        world.start(0).await;
        world.settle(1..=5).await;
        let mut puppet = world.puppet(3).await;
        world.execute(0, &[5], "a").await;
        let vote = puppet.hear_vote_on(DOMAIN, &world.peer(0), 5).await;
        world.crash(0).await;
        world.start(0).await;
        world.execute(0, &[5], "b").await;
        let node = world.nodes.remove(&0).unwrap();
        match node.domain_handle.await.unwrap() {
            Err(Stopped::Inconsistent { domain, signed, now, .. }) => {
                assert_eq!((domain, signed, now), (DOMAIN, vote.root, executed("b")));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_executor_that_disagrees_stops_its_domain_and_nothing_else() {
    run(43, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=5).await;
        world.execute(0, &[5], "other").await;
        for index in 1..VALIDATORS {
            world.execute(index, &[5], "a").await;
        }
        world.executed_and_attested(1, 5).await;
        let node = world.nodes.get_mut(&0).unwrap();
        match (&mut node.domain_handle).await.unwrap() {
            Err(Stopped::Diverged { domain, height, ours, attested }) => {
                assert_eq!((domain, height), (DOMAIN, Height(5)));
                assert_eq!((ours, attested), (executed("other"), executed("a")));
            }
            other => panic!("{other:?}"),
        }
        world.settle(6..=10).await;
        world.attested(0, 10).await;
    });
}

#[test]
fn who_did_not_opt_in_is_cut_off_for_signing() {
    run(44, async |context| {
        let mut world = World::with_members(context, 3).await;
        let mut puppet = world.puppet(3).await;
        world.start(0).await;
        world.settle(1..=1).await;
        puppet.say(&Message::Vote(world.vote_on(DOMAIN, 3, 1, executed("a"))));
        world.sleep_ms(200).await;
        assert_eq!(world.cut_off().await, [(world.peer(0), world.peer(3))]);
    });
}

#[test]
fn a_validator_that_signs_two_outcomes_of_a_domain_is_evidence() {
    run(45, async |context| {
        let mut world = World::new(context).await;
        let mut puppet = world.puppet(3).await;
        world.start_with(0, false).await;
        world.settle(1..=5).await;
        for name in ["a", "b"] {
            puppet.say(&Message::Vote(world.vote_on(DOMAIN, 3, 5, executed(name))));
        }
        let evidence = world.nodes.get_mut(&0).unwrap().evidence.recv().await.unwrap();
        assert_eq!(evidence.proves(&Bls::verifier(), &world.epoch), Some(Fault::DoubleOutcome));
    });
}

/// It may be late: a quorum has attested what it has not computed yet.
#[test]
fn an_executor_that_computes_something_else_later_stops_its_domain_as_well() {
    run(46, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=5).await;
        for index in 1..VALIDATORS {
            world.execute(index, &[5], "a").await;
        }
        let served = world.executed_and_attested(0, 5).await;
        assert_eq!(served.root, executed("a"), "it serves what a quorum attests, whatever its executor does");
        world.execute(0, &[5], "other").await;
        let node = world.nodes.get_mut(&0).unwrap();
        let ended = (&mut node.domain_handle).await.unwrap();
        assert!(matches!(ended, Err(Stopped::Diverged { domain: DOMAIN, .. })), "{ended:?}");
    });
}

/// A height whose signers are gone must not keep later ones from being ordered.
#[test]
fn a_height_that_nobody_attests_holds_up_no_later_one() {
    run(47, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=9).await;
        world.execute(0, &[3], "a").await;
        world.execute(1, &[3], "a").await;
        for index in 0..VALIDATORS {
            world.execute(index, &[7], "a").await;
        }
        for index in 0..VALIDATORS {
            assert_eq!(world.executed_and_attested(index, 7).await.height, Height(7));
            assert!(world.nodes[&index].domain.get(Height(3)).await.is_none());
        }
    });
}

/// Validators may offer what they attested long ago: it is not kept, and would only be looked at again and again.
#[test]
fn what_lies_before_all_that_is_kept_is_not_taken() {
    run(48, async |context| {
        let mut world = World::new(context).await;
        world.retention_heights = 10;
        let mut puppet = world.puppet(3).await;
        world.start(0).await;
        world.settle(1..=50).await;
        world.execute(0, &[50], "a").await;
        puppet.hear_vote_on(DOMAIN, &world.peer(0), 50).await;
        let mut events = world.nodes[&0].domain.events();
        for height in [20, 39, 45] {
            let votes: Vec<OutcomeVote> =
                (1..4).map(|index| world.vote_on(DOMAIN, index, height, executed("a"))).collect();
            let signatures: Vec<Signature> = votes.iter().map(|vote| vote.signature).collect();
            puppet.say(&Message::Attestation(Attestation {
                domain: DOMAIN,
                epoch: Epoch(0),
                height: Height(height),
                root: executed("a"),
                signers: Signers::of(4, (1..4).map(ValidatorIndex)),
                signature: Bls::verifier().aggregate(&signatures).unwrap(),
            }));
        }
        let crate::attestation::Event::Attested(first) = events.recv().await.unwrap();
        assert_eq!(first.height, Height(45));
        assert!(world.cut_off().await.is_empty());
    });
}

/// Who attests a height is fixed by the epoch that it is in, also for those that are executed when the next one has begun.
#[test]
fn each_height_is_attested_by_the_validators_of_its_epoch() {
    run(49, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=EPOCH_HEIGHTS + 5).await;
        let heights = [EPOCH_HEIGHTS - 1, EPOCH_HEIGHTS, EPOCH_HEIGHTS + 1, EPOCH_HEIGHTS + 5];
        for index in 0..VALIDATORS {
            world.execute(index, &heights, "a").await;
        }
        for index in 0..VALIDATORS {
            world.executed_and_attested(index, EPOCH_HEIGHTS + 5).await;
            for height in heights {
                let attestation = world.nodes[&index].domain.get(Height(height)).await.unwrap();
                let info = if height <= EPOCH_HEIGHTS { &world.epoch } else { &world.next };
                assert_eq!(attestation.epoch, info.epoch, "height {height}");
                attestation.verify(&Bls::verifier(), info).unwrap();
            }
            let last = world.executed_and_attested(index, EPOCH_HEIGHTS + 5).await;
            let signers: Vec<ValidatorIndex> = last.signers.iter().collect();
            assert_eq!(signers, [0, 1, 2].map(ValidatorIndex), "who left the domain signs nothing of it");
        }
        assert!(world.cut_off().await.is_empty());
    });
}

/// A domain that is suspended goes on with nothing else than the attestation that the order waits for, however old it is.
#[test]
fn what_the_order_waits_for_is_attested_and_kept_however_old_it_is() {
    for is_waited_for in [true, false] {
        run(50, async move |context| {
            let mut world = World::new(context).await;
            (world.retention_heights, world.is_waited_for) = (10, is_waited_for);
            for index in 0..VALIDATORS {
                world.start(index).await;
            }
            // Content of the first height is never attested in the order here; that of later ones is left out for it.
            world.settle(1..=EPOCH_HEIGHTS).await;
            for index in 0..VALIDATORS {
                world.execute(index, &[1], "a").await;
                world.execute(index, &[EPOCH_HEIGHTS], "a").await;
            }
            for index in 0..VALIDATORS {
                world.executed_and_attested(index, EPOCH_HEIGHTS).await;
                let is_kept = world.nodes[&index].domain.get(Height(1)).await.is_some();
                assert_eq!(is_kept, is_waited_for, "node {index}");
            }
        });
    }
}
