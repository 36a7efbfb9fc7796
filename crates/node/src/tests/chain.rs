//! What has to hold of a chain whose nodes crash, restart, and lose disks.

use super::cluster::{Cluster, identity};
use crate::consensus::wire::Wire;
use chorale_foundation::{
    Bytes,
    cryptography::{Hasher as _, Sha256, Signer as _},
    runtime::{Runner as _, deterministic::Runner},
};
use chorale_hotstuff::Votes;
use chorale_types::{
    BlockId, BlockReference, Epoch, EpochInfo, Fault, Height, Message, Statement, ValidatorIndex, ValidatorSet, View,
    Vote, codec::Encode as _,
};
use std::sync::Arc;

const LONG: u64 = 100_000;

#[test]
fn four_validators_commit_the_same_headers() {
    for votes in [Votes::Leaders, Votes::All] {
        Runner::seeded(1).start(|context| async move {
            let mut cluster = Cluster::new(context, 4, LONG, votes).await;
            cluster.start_all("disk", true).await;
            cluster.until(Height(50)).await;
            assert!(cluster.blocked().await.is_empty(), "honest nodes cut nobody off");
        });
    }
}

#[test]
fn a_node_that_was_away_catches_up_and_votes_again() {
    Runner::seeded(2).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, LONG, Votes::All).await;
        cluster.start_all("disk", true).await;
        cluster.until(Height(10)).await;
        cluster.crash(0).await;
        // Three of four are a quorum: it goes on without it, one leader in four missing.
        cluster.until(Height(30)).await;
        cluster.start(0, "disk", false).await;
        cluster.until(Height(40)).await;
        // Without another one, nothing is committed unless the first votes.
        cluster.crash(1).await;
        let top = cluster.top();
        cluster.until(Height(top.0 + 10)).await;
    });
}

#[test]
fn all_go_on_after_all_lost_power() {
    Runner::seeded(3).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, LONG, Votes::All).await;
        cluster.start_all("disk", true).await;
        cluster.until(Height(20)).await;
        let before = cluster.chain(0).headers.get(Height(20)).await.unwrap();
        for i in 0..4 {
            cluster.crash(i).await;
        }
        cluster.start_all("disk", false).await;
        cluster.until(Height(40)).await;
        assert_eq!(cluster.chain(0).headers.get(Height(20)).await.unwrap().header, before.header);
    });
}

#[test]
fn nodes_that_stop_before_their_first_vote_are_not_taken_for_nodes_that_lost_their_record() {
    Runner::seeded(4).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, LONG, Votes::All).await;
        for i in 0..4 {
            cluster.start(i, "disk", true).await;
            cluster.crash(i).await;
        }
        cluster.start_all("disk", false).await;
        cluster.until(Height(10)).await;
    });
}

#[test]
fn a_node_without_its_disk_follows_and_signs_again_from_the_next_epoch_on() {
    Runner::seeded(5).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, 30, Votes::All).await;
        cluster.start_all("disk", true).await;
        cluster.until(Height(10)).await;
        cluster.crash(0).await;
        cluster.start(0, "other", false).await;
        cluster.until(Height(15)).await;
        // One of the three that may sign is gone: nothing is committed in this epoch.
        cluster.crash(1).await;
        let top = cluster.top();
        cluster.sleep_ms(20_000).await;
        assert!(cluster.top().0 <= top.0 + 1, "the node without record signed in its epoch");
        cluster.start(1, "disk", false).await;
        cluster.until(Height(35)).await;
        cluster.crash(1).await;
        cluster.until(Height(50)).await;
    });
}

#[test]
fn epochs_follow_each_other_and_who_missed_some_catches_up() {
    Runner::seeded(6).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, 10, Votes::Leaders).await;
        cluster.start_all("disk", true).await;
        cluster.until(Height(12)).await;
        cluster.crash(3).await;
        cluster.until(Height(45)).await;
        cluster.start(3, "disk", false).await;
        cluster.until(Height(55)).await;
        assert!(cluster.chain(3).position.borrow().epoch.epoch >= Epoch(5));
    });
}

#[test]
fn who_sends_garbage_is_cut_off_and_the_others_go_on() {
    Runner::seeded(7).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, LONG, Votes::Leaders).await;
        for i in 0..3 {
            cluster.start(i, "disk", true).await;
        }
        cluster.send_as(3, [Bytes::from_static(b"no message of consensus")]).await;
        let offender = identity(3).public_key();
        let blocked = cluster.blocked().await;
        for i in 0..3 {
            assert!(blocked.contains(&(identity(i).public_key(), offender.clone())), "node {i} goes on listening");
        }
        cluster.until(Height(10)).await;
    });
}

#[test]
fn who_votes_twice_is_proven_guilty_by_every_node_that_sees_it() {
    Runner::seeded(9).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, LONG, Votes::Leaders).await;
        for i in 0..3 {
            cluster.start(i, "disk", true).await;
        }
        let view = View(4);
        let votes = [b"one", b"two"].map(|name| {
            let id = BlockId(Sha256::hash(&[name]));
            let block = BlockReference { view, parent: View(3), height: Height(4), id };
            let signature = cluster.sign_as(3, &Statement::Vote { view, block });
            let vote = Vote { epoch: Epoch(0), view, block, author: ValidatorIndex(3), signature };
            Wire::Consensus(Message::Vote(vote)).encode()
        });
        cluster.send_as(3, votes).await;
        for i in 0..3 {
            let evidence = cluster.evidence(i).await;
            assert_eq!((evidence.offender, evidence.fault()), (ValidatorIndex(3), Some(Fault::DoubleVote)));
        }
        cluster.until(Height(10)).await;
    });
}

#[test]
fn who_left_the_set_is_shown_the_end_of_its_last_epoch() {
    Runner::seeded(10).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, 10, Votes::All).await;
        // The second epoch has the first three validators.
        let same = cluster.epochs.clone();
        cluster.epochs = Arc::new(move |epoch, start| {
            let info = same(epoch, start)?;
            let staying = info.validators.iter().take(3).map(|(_, validator)| validator.clone()).collect();
            Some(EpochInfo { validators: ValidatorSet::new(staying).unwrap(), ..info })
        });
        cluster.start_all("disk", true).await;
        cluster.until(Height(5)).await;
        cluster.crash(3).await;
        cluster.until(Height(15)).await;
        cluster.start(3, "disk", false).await;
        cluster.until_one(3, Height(10)).await;
        cluster.agree(Height(10)).await;
        let position = cluster.chain(3).position.borrow().clone();
        assert_eq!((position.epoch.epoch, position.index), (Epoch(1), None));
    });
}

#[test]
fn the_end_of_an_epoch_is_shown_also_by_nodes_that_were_restarted_since() {
    Runner::seeded(8).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, 10, Votes::All).await;
        cluster.start_all("disk", true).await;
        cluster.until(Height(5)).await;
        cluster.crash(3).await;
        cluster.until(Height(25)).await;
        for i in 0..3 {
            cluster.crash(i).await;
        }
        cluster.start_all("disk", false).await;
        cluster.until(Height(35)).await;
    });
}
