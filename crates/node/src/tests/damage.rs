//! Disks that lose what was written, and networks that fall apart.

use super::cluster::{Cluster, identity};
use crate::{
    consensus::{pings::PONGS_PER_SECOND_MAX, wire::Wire},
    store::MARK_ITEMS,
};
use chorale_foundation::{
    cryptography::Signer as _,
    runtime::{Runner as _, deterministic::Runner},
};
use chorale_hotstuff::Votes;
use chorale_types::{Height, codec::Encode as _};

/// Asserts that node 0 does not sign in this epoch: with node 1 away nothing is committed. Node 1 is back afterwards.
async fn assert_silent(cluster: &mut Cluster) {
    cluster.crash(1).await;
    let top = cluster.top();
    cluster.sleep_ms(20_000).await;
    assert!(cluster.top().0 <= top.0 + 1, "the node without record signed");
    cluster.start(1, "disk", false).await;
}

/// Asserts that node 0 signs: with node 1 away ten more heights are committed.
async fn assert_signs(cluster: &mut Cluster) {
    cluster.crash(1).await;
    let top = cluster.top();
    cluster.until(Height(top.0 + 10)).await;
}

#[test]
fn a_node_without_its_disk_does_not_sign_in_an_epoch_that_began_before_however_many_it_catches_up_on() {
    Runner::seeded(11).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, 20, Votes::All).await;
        cluster.start_all("disk", true).await;
        cluster.until(Height(45)).await;
        cluster.crash(0).await;
        cluster.start(0, "other", false).await;
        cluster.until(Height(50)).await;
        assert_silent(&mut cluster).await;
        cluster.until(Height(64)).await;
        assert_signs(&mut cluster).await;
    });
}

#[test]
fn a_damaged_record_makes_a_node_follow_until_the_next_epoch() {
    for is_cut_off in [false, true] {
        Runner::seeded(12).start(|context| async move {
            let mut cluster = Cluster::new(context, 4, 80, Votes::All).await;
            cluster.start_all("disk", true).await;
            // Far beyond the items for which the mark may lag.
            cluster.until(Height(2 * MARK_ITEMS)).await;
            cluster.crash(0).await;
            cluster.damage("disk-0-safety", is_cut_off).await;
            cluster.start(0, "disk", false).await;
            cluster.until(Height(2 * MARK_ITEMS + 4)).await;
            assert_silent(&mut cluster).await;
            // Its second start finds no damage any more, and no record.
            cluster.crash(0).await;
            cluster.start(0, "disk", false).await;
            cluster.until(Height(2 * MARK_ITEMS + 8)).await;
            assert_silent(&mut cluster).await;
            cluster.until(Height(84)).await;
            assert_signs(&mut cluster).await;
        });
    }
}

#[test]
fn damaged_headers_are_fetched_again() {
    for is_cut_off in [false, true] {
        Runner::seeded(13).start(|context| async move {
            let mut cluster = Cluster::new(context, 4, 20, Votes::All).await;
            cluster.start_all("disk", true).await;
            cluster.until(Height(50)).await;
            cluster.crash(0).await;
            for part in ["data", "offsets-blobs"] {
                cluster.damage(&format!("disk-0-headers_{part}"), is_cut_off).await;
            }
            cluster.start(0, "disk", false).await;
            cluster.until(Height(60)).await;
            assert!(cluster.blocked().await.is_empty());
        });
    }
}

#[test]
fn a_partition_of_two_against_two_commits_nothing_and_its_end_everything() {
    for votes in [Votes::Leaders, Votes::All] {
        Runner::seeded(14).start(|context| async move {
            let mut cluster = Cluster::new(context, 4, 1_000, votes).await;
            cluster.start_all("disk", true).await;
            cluster.until(Height(10)).await;
            cluster.cut(2, true).await;
            cluster.sleep_ms(100).await;
            let top = cluster.top();
            cluster.sleep_ms(30_000).await;
            assert_eq!(cluster.top(), top, "half of the stake committed something");
            cluster.cut(2, false).await;
            cluster.until(Height(top.0 + 10)).await;
            assert!(cluster.blocked().await.is_empty());
        });
    }
}

#[test]
fn a_flood_on_the_channel_of_consensus_stops_nobody() {
    Runner::seeded(15).start(|context| async move {
        let mut cluster = Cluster::new(context, 4, 1_000, Votes::Leaders).await;
        for i in 0..3 {
            cluster.start(i, "disk", true).await;
        }
        cluster.until(Height(3)).await;
        let pongs = cluster.send_as(3, (0..20_000).map(|number| Wire::Ping(number).encode())).await;
        // Of three nodes, in a second that begins and ends within two.
        assert!((1..=3 * 2 * PONGS_PER_SECOND_MAX).contains(&u32::try_from(pongs).unwrap()), "{pongs} answers");
        let top = cluster.top();
        cluster.until(Height(top.0 + 5)).await;
        assert!(cluster.blocked().await.iter().all(|(_, blocked)| *blocked == identity(3).public_key()));
    });
}
