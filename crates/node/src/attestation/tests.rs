//! Four validators that settle the same heights, by hand, and attest them on a simulated network.

mod executed;
mod world;

use self::world::{DOMAIN, Puppet, VALIDATORS, World};
use super::{Message, Stopped};
use crate::settlement::tests::{EPOCH_HEIGHTS, revealed, run, single};
use chorale_types::{
    Attestation, Bls, Digest, DomainId, Epoch, Fault, Height, OutcomeVote, Scheme as _, Signature, Signers,
    ValidatorIndex, tagged_hash,
};

#[test]
fn what_everybody_settled_is_attested_everywhere() {
    run(21, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=20).await;
        for index in 0..VALIDATORS {
            world.attested(index, 20).await;
            for height in 1..=20 {
                let attestation = world.nodes[&index].mailbox.get(Height(height)).await.unwrap();
                attestation.verify(&Bls::verifier(), &world.epoch).unwrap();
                assert_eq!(attestation.root, world.root(index, height).await);
            }
        }
        assert!(world.cut_off().await.is_empty());
    });
}

#[test]
fn without_a_quorum_nothing_is_attested_and_who_comes_late_completes_it() {
    run(22, async |context| {
        let mut world = World::new(context).await;
        world.start(0).await;
        world.start(1).await;
        world.settle(1..=10).await;
        world.sleep_ms(5_000).await;
        assert_eq!(*world.nodes[&0].mailbox.attested().borrow(), Height(0));
        assert!(world.nodes[&0].mailbox.get(Height(1)).await.is_none());
        world.start(2).await;
        world.settle(1..=10).await;
        for index in 0..3 {
            world.attested(index, 10).await;
        }
        // Attested without it; it asks for what it missed.
        world.start(3).await;
        world.settle(1..=10).await;
        world.attested(3, 10).await;
    });
}

/// More than it may ask everybody for: it asks one for each, and gets all also if one of them never answers.
#[test]
fn a_node_that_was_away_for_long_gets_every_attestation_whoever_is_silent() {
    run(31, async |context| {
        let mut world = World::new(context).await;
        for index in 0..3 {
            world.start(index).await;
        }
        world.settle(1..=EPOCH_HEIGHTS).await;
        world.attested(0, EPOCH_HEIGHTS).await;
        world.crash(2).await;
        world.start(3).await;
        world.settle(1..=EPOCH_HEIGHTS).await;
        world.attested(3, EPOCH_HEIGHTS).await;
        for height in 1..=EPOCH_HEIGHTS {
            let attestation = world.nodes[&3].mailbox.get(Height(height)).await.unwrap();
            attestation.verify(&Bls::verifier(), &world.epoch).unwrap();
        }
        assert!(world.cut_off().await.is_empty());
    });
}

#[test]
fn a_restarted_validator_sends_the_same_signatures_and_never_others() {
    run(23, async |context| {
        let mut world = World::new(context).await;
        let mut witness = world.puppet(3).await;
        world.start(0).await;
        world.settle(1..=6).await;
        let before = witness.hear_vote(&world.peer(0), 6).await;
        world.crash(0).await;
        world.start(0).await;
        assert_eq!(world.nodes[&0].settlement.restart, Height(0), "no snapshot yet: all is settled again");
        world.settle(1..=6).await;
        let after = witness.hear_vote(&world.peer(0), 6).await;
        assert_eq!(before, after);
    });
}

#[test]
fn a_node_that_finds_another_root_than_it_signed_stops() {
    run(24, async |context| {
        let mut world = World::new(context).await;
        let mut witness = world.puppet(3).await;
        world.start(0).await;
        world.settle(1..=3).await;
        let signed = witness.hear_vote(&world.peer(0), 3).await;
        world.crash(0).await;
        world.start(0).await;
        world.settle(1..=2).await;
        let node = world.nodes.remove(&0).unwrap();
        node.settlement.settle(revealed(3, vec![single(1, "another history")])).await;
        let stopped = node.handle.await.unwrap().unwrap_err();
        match stopped {
            Stopped::Inconsistent { height, signed: before, .. } => {
                assert_eq!((height, before), (Height(3), signed.root));
            }
            other => panic!("{other}"),
        }
    });
}

#[test]
fn a_node_that_finds_another_root_than_a_quorum_stops_and_does_not_adopt_it() {
    run(25, async |context| {
        let mut world = World::new(context).await;
        for index in 0..VALIDATORS {
            world.start(index).await;
        }
        world.settle(1..=2).await;
        let wrong = world.nodes.remove(&3).unwrap();
        wrong.settlement.settle(revealed(3, vec![single(1, "a bit flipped")])).await;
        let ours = wrong.settlement.mailbox.outcome(Height(3)).await.unwrap().root();
        world.settle(3..=3).await;
        let theirs = world.root(0, 3).await;
        match wrong.handle.await.unwrap().unwrap_err() {
            Stopped::Diverged { height, ours: mine, attested, .. } => {
                assert_eq!((height, mine, attested), (Height(3), ours, theirs));
            }
            other => panic!("{other}"),
        }
        for index in 0..3 {
            world.attested(index, 3).await;
        }
    });
}

#[test]
fn a_false_signature_is_found_and_its_author_cut_off() {
    run(26, async |context| {
        let mut world = World::new(context).await;
        let mut liar = world.puppet(3).await;
        for index in 0..3 {
            world.start(index).await;
        }
        // It comes before the others' and completes a quorum of the wrong kind.
        world.settle(1..=1).await;
        let root = world.root(0, 1).await;
        world.attested(0, 1).await;
        let next = tagged_hash("test/no-root", &[]);
        let forged = OutcomeVote { signature: world.vote(3, 2, next).signature, ..world.vote(3, 2, root) };
        liar.say(&Message::Vote(forged));
        world.sleep_ms(100).await;
        world.settle(2..=2).await;
        for index in 0..3 {
            world.attested(index, 2).await;
        }
    });
}

#[test]
fn a_false_signature_for_the_right_root_does_not_spoil_the_quorum() {
    run(27, async |context| {
        let mut world = World::new(context).await;
        let mut liar = world.puppet(3).await;
        world.start(0).await;
        world.start(1).await;
        world.settle(1..=1).await;
        let root = world.root(0, 1).await;
        liar.say(&Message::Vote(OutcomeVote { signature: Signature([0xff; 48]), ..world.vote(3, 1, root) }));
        world.sleep_ms(500).await;
        assert!(world.nodes[&0].mailbox.get(Height(1)).await.is_none());
        let blocked = world.cut_off().await;
        assert!(blocked.contains(&(world.peer(0), world.peer(3))), "{blocked:?}");
        world.start(2).await;
        world.settle(1..=1).await;
        world.attested(0, 1).await;
        assert!(!world.cut_off().await.contains(&(world.peer(0), world.peer(1))), "the honest are not blamed");
    });
}

#[test]
fn two_roots_of_one_validator_are_evidence() {
    run(28, async |context| {
        let mut world = World::new(context).await;
        let mut liar = world.puppet(3).await;
        world.start(0).await;
        let [one, other] = [b"one", b"two"].map(|name| tagged_hash("test/root", &[name]));
        liar.say(&Message::Vote(world.vote(3, 1, one)));
        liar.say(&Message::Vote(world.vote(3, 1, other)));
        let evidence = world.nodes.get_mut(&0).unwrap().evidence.recv().await.unwrap();
        assert_eq!((evidence.offender, evidence.fault()), (ValidatorIndex(3), Some(Fault::DoubleOutcome)));
    });
}

/// Each cost two verifications and nobody was blamed, so a validator could go on for ever.
#[test]
fn who_contradicts_itself_with_a_false_signature_is_cut_off() {
    for is_false in [[true, true], [true, false], [false, true]] {
        run(32, async move |context| {
            let mut world = World::new(context).await;
            let mut liar = world.puppet(3).await;
            world.start(0).await;
            for (name, is_false) in ["one", "two"].into_iter().zip(is_false) {
                let vote = world.vote(3, 5, tagged_hash("test/root", &[name.as_bytes()]));
                let signature = if is_false { Signature([0xff; 48]) } else { vote.signature };
                liar.say(&Message::Vote(OutcomeVote { signature, ..vote }));
            }
            world.sleep_ms(200).await;
            assert_eq!(world.cut_off().await, [(world.peer(0), world.peer(3))], "{is_false:?}");
            assert!(world.nodes.get_mut(&0).unwrap().evidence.try_recv().is_err(), "{is_false:?}");
        });
    }
}

#[test]
fn strangers_bytes_and_others_signatures_are_refused() {
    let lies: [fn(&World, &mut Puppet); 4] = [
        |_, puppet| puppet.say_bytes(chorale_foundation::Bytes::from_static(b"\x09garbage")),
        |_, puppet| puppet.say_bytes(vec![0; 2_000].into()),
        |world, puppet| {
            let root = tagged_hash("test/root", &[]);
            puppet.say(&Message::Vote(world.vote(2, 1, root)));
        },
        |world, puppet| {
            let root = tagged_hash("test/root", &[]);
            let signers = Signers::of(4, (0..4).map(ValidatorIndex));
            let signature = world.vote(3, 1, root).signature;
            let (epoch, height) = (Epoch(0), Height(1));
            let domain = DomainId::ORDERING;
            puppet.say(&Message::Attestation(Attestation { domain, epoch, height, root, signers, signature }));
        },
    ];
    for (index, lie) in lies.into_iter().enumerate() {
        run(29, async move |context| {
            let mut world = World::new(context).await;
            let mut puppet = world.puppet(3).await;
            world.start(0).await;
            world.settle(1..=1).await;
            lie(&world, &mut puppet);
            world.sleep_ms(200).await;
            assert_eq!(world.cut_off().await, [(world.peer(0), world.peer(3))], "lie {index}");
        });
    }
}

#[test]
fn the_end_of_an_epoch_is_kept() {
    run(30, async |context| {
        let mut world = World::new(context).await;
        for index in 0..3 {
            world.start(index).await;
        }
        world.settle(1..=EPOCH_HEIGHTS).await;
        world.attested(0, EPOCH_HEIGHTS).await;
        let closing = world.nodes[&0].mailbox.closing(Epoch(0)).await.unwrap();
        assert_eq!(closing.outcome.height, Height(EPOCH_HEIGHTS));
        assert_eq!(closing.attestation.root, closing.outcome.root());
        assert!(closing.outcome.next_validators.is_some());
        assert!(world.nodes[&0].mailbox.closing(Epoch(1)).await.is_none());
        world.crash(0).await;
        world.start(0).await;
        assert_eq!(world.nodes[&0].mailbox.closing(Epoch(0)).await, Some(closing));
    });
}
