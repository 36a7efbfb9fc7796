//! From submission to attested outcome, through crashes, partitions, losses and epochs.

use super::nodes::{Nodes, link};
use chorale_foundation::runtime::{
    Runner as _,
    deterministic::{Config, Runner},
};
use chorale_mempool::Status;
use chorale_types::{
    BuilderId, Epoch, Height,
    genesis::{GenesisParameters, RevealWhen, VotesTo},
};
use rand_core::Rng as _;
use std::{collections::BTreeMap, time::Duration};

const WAYS: [(VotesTo, RevealWhen); 4] = [
    (VotesTo::All, RevealWhen::Committed),
    (VotesTo::All, RevealWhen::Certified),
    (VotesTo::Leaders, RevealWhen::Committed),
    (VotesTo::Leaders, RevealWhen::Certified),
];

fn parameters(votes: VotesTo, reveal: RevealWhen) -> GenesisParameters {
    GenesisParameters { votes, reveal, timeout_base_ms: 500, time_step_ms_max: 400, ..GenesisParameters::default() }
}

#[test]
fn what_is_submitted_anywhere_is_settled_and_attested_everywhere_alike() {
    for (votes, reveal) in WAYS {
        Runner::seeded(41).start(|context| async move {
            let mut nodes = Nodes::new(context, 4, parameters(votes, reveal), link(0)).await;
            nodes.start_all().await;
            let mut ids = Vec::new();
            for round in 0..10 {
                for i in 0..4 {
                    let first = 1_000 * round + 100 * i as u64;
                    ids.extend(nodes.submit(i, first..first + 5).await);
                }
                nodes.sleep_ms(70).await;
            }
            nodes.until_settled(&ids).await;
            let outcomes = nodes.agree().await;
            nodes.until_attested(Height(outcomes.len() as u64)).await;
            assert_eq!(nodes.cut_off().await, [], "honest nodes cut nobody off");
        });
    }
}

#[test]
fn what_is_in_flight_names_the_block_that_orders_it() {
    Runner::seeded(54).start(|context| async move {
        let mut nodes = Nodes::new(context, 4, parameters(VotesTo::Leaders, RevealWhen::Committed), link(0)).await;
        nodes.start_all().await;
        let mut seen = BTreeMap::new();
        for name in 0..20 {
            let [id] = nodes.submit(0, [name]).await[..] else { panic!("one was submitted") };
            let mut named = None;
            nodes
                .until("it is revealed", async || match nodes.handles(1).pool.status(id).await {
                    Some((Status::Ended(_), carrier)) => {
                        assert_eq!(carrier, None);
                        true
                    }
                    Some((status, carrier)) => {
                        assert_eq!(status == Status::Pending, carrier.is_none(), "{status:?}");
                        named = carrier.map(|carrier| carrier.height).or(named);
                        *seen.entry(format!("{status:?}")).or_insert(0) += 1;
                        false
                    }
                    None => false,
                })
                .await;
            let found = nodes.handles(1).settlement.find(id).await.unwrap().unwrap();
            assert_eq!(named, Some(found.place.height));
        }
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), ["Certified", "Committed", "Pending", "Proposed"]);
    });
}

#[test]
fn nothing_that_was_accepted_is_lost_when_all_lose_power() {
    for (votes, reveal) in WAYS {
        Runner::seeded(42).start(|context| async move {
            let mut nodes = Nodes::new(context, 4, parameters(votes, reveal), link(0)).await;
            nodes.start_all().await;
            let mut ids = Vec::new();
            for round in 0..4 {
                for i in 0..4 {
                    let first = 1_000 * round + 100 * i as u64;
                    ids.extend(nodes.submit(i, first..first + 5).await);
                    nodes.sleep_ms(17 * round).await;
                }
                for i in 0..4 {
                    nodes.crash(i).await;
                }
                for i in 0..4 {
                    nodes.start(i).await;
                }
            }
            nodes.until_settled(&ids).await;
            nodes.agree().await;
        });
    }
}

/// Settlement is durable before it is signed: what a stop falls between must be attested all the same.
#[test]
fn what_was_settled_before_all_stopped_is_attested_after_it() {
    for n in [1, 4] {
        Runner::seeded(55).start(|context| async move {
            // Snapshots every 32 heights.
            let parameters =
                GenesisParameters { retention_heights: 64, ..parameters(VotesTo::All, RevealWhen::Committed) };
            let mut nodes = Nodes::new(context, n, parameters, link(0)).await;
            nodes.start_all().await;
            for round in 1..=3 {
                let top = Height(33 * round);
                let mut name = 1_000 * round;
                while nodes.settled(0) < top {
                    nodes.submit(0, [name]).await;
                    name += 1;
                    nodes.sleep_ms(50).await;
                }
                let settled = nodes.settled(0);
                for i in 0..n {
                    nodes.crash(i).await;
                }
                for i in 0..n {
                    nodes.start(i).await;
                }
                nodes.until_height(settled).await;
                for height in settled.0.saturating_sub(40).max(1)..=settled.0 {
                    nodes.until_attested(Height(height)).await;
                }
            }
        });
    }
}

#[test]
fn nodes_that_crash_at_any_moment_under_load_come_back_to_the_same_order() {
    for seed in 43..46 {
        Runner::seeded(seed).start(|mut context| async move {
            let draw = |context: &mut chorale_foundation::runtime::deterministic::Context, below: u32| {
                u64::from(context.next_u32() % below)
            };
            let (votes, reveal) = WAYS[usize::try_from(draw(&mut context, 4)).unwrap()];
            let parameters = GenesisParameters { epoch_heights: 40, ..parameters(votes, reveal) };
            let mut nodes =
                Nodes::new(chorale_foundation::runtime::Supervisor::child(&context, "nodes"), 4, parameters, link(0))
                    .await;
            nodes.start_all().await;
            let (mut ids, mut name) = (Vec::new(), 0);
            for _ in 0..12 {
                let victim = usize::try_from(draw(&mut context, 4)).unwrap();
                for step in 0..6 {
                    let to = usize::try_from(draw(&mut context, 4)).unwrap();
                    if step < 3 || to != victim {
                        ids.extend(nodes.submit(to, name..name + 3).await);
                        name += 3;
                    }
                    if step == 2 {
                        nodes.crash(victim).await;
                    }
                    nodes.sleep_ms(draw(&mut context, 200)).await;
                }
                nodes.start(victim).await;
            }
            nodes.until_settled(&ids).await;
            nodes.agree().await;
        });
    }
}

#[test]
fn a_payload_whose_builder_died_is_opened_all_the_same() {
    for (votes, reveal) in WAYS {
        Runner::seeded(47).start(|context| async move {
            let mut nodes = Nodes::new(context, 4, parameters(votes, reveal), link(0)).await;
            nodes.start_all().await;
            let builder = BuilderId::of_validator(&super::cluster::secret(0).public());
            let mut at = Height(0);
            let mut name = 0;
            // Until the others have committed something of its, and before any of them can have settled it.
            while at == Height(0) {
                nodes.submit(0, name..name + 5).await;
                name += 5;
                nodes.sleep_ms(5).await;
                let tip = nodes.committed(1);
                if let Some(committed) = nodes.handles(1).chain.headers.get(tip).await
                    && committed.header.payloads.iter().any(|certificate| certificate.builder() == builder)
                    && nodes.settled(1) < tip
                {
                    at = tip;
                }
            }
            nodes.crash(0).await;
            nodes.until_height(at.next()).await;
            nodes.agree().await;
        });
    }
}

#[test]
fn who_was_away_for_long_settles_what_it_missed() {
    Runner::seeded(48).start(|context| async move {
        let parameters = GenesisParameters { epoch_heights: 50, ..parameters(VotesTo::All, RevealWhen::Committed) };
        let mut nodes = Nodes::new(context, 4, parameters, link(0)).await;
        nodes.start_all().await;
        nodes.submit(0, 0..5).await;
        nodes.until_height(Height(3)).await;
        nodes.crash(3).await;
        let mut name = 100;
        // Chunks are kept for 32 heights: what is older has to be asked for opened.
        while nodes.settled(0) < Height(120) {
            nodes.submit(usize::try_from(name % 3).unwrap(), name..name + 2).await;
            name += 2;
            nodes.sleep_ms(60).await;
        }
        let top = nodes.settled(0);
        nodes.start(3).await;
        nodes.until_height(top).await;
        nodes.agree().await;
        // And it is one of the three that are needed again.
        nodes.crash(1).await;
        let ids = nodes.submit(3, 10_000..10_005).await;
        nodes.until_settled(&ids).await;
    });
}

#[test]
fn a_node_with_a_wiped_disk_settles_the_same_and_signs_from_the_next_epoch_on() {
    Runner::seeded(49).start(|context| async move {
        let parameters = GenesisParameters { epoch_heights: 30, ..parameters(VotesTo::All, RevealWhen::Committed) };
        let mut nodes = Nodes::new(context, 4, parameters, link(0)).await;
        nodes.start_all().await;
        let ids = nodes.submit(1, 0..20).await;
        nodes.until_settled(&ids).await;
        nodes.crash(0).await;
        nodes.start_with(0, "another", false).await;
        nodes.until_settled(&ids).await;
        nodes.until_height(Height(40)).await;
        nodes.agree().await;
        nodes.crash(1).await;
        let ids = nodes.submit(0, 100..120).await;
        nodes.until_settled(&ids).await;
    });
}

#[test]
fn halves_of_a_network_order_nothing_and_go_on_together() {
    Runner::seeded(50).start(|context| async move {
        let mut nodes = Nodes::new(context, 4, parameters(VotesTo::All, RevealWhen::Committed), link(0)).await;
        nodes.start_all().await;
        let mut ids = nodes.submit(0, 0..5).await;
        nodes.until_settled(&ids).await;
        nodes.cut(2, true).await;
        nodes.sleep_ms(500).await;
        let before: Vec<Height> = (0..4).map(|i| nodes.committed(i)).collect();
        for i in 0..4 {
            let first = 100 * (1 + i as u64);
            ids.extend(nodes.submit(i, first..first + 5).await);
        }
        nodes.sleep_ms(30_000).await;
        let after: Vec<Height> = (0..4).map(|i| nodes.committed(i)).collect();
        assert_eq!(before, after, "neither half is a quorum");
        nodes.cut(2, false).await;
        nodes.until_settled(&ids).await;
        nodes.agree().await;
    });
}

#[test]
fn a_network_that_loses_messages_settles_everything() {
    for lost in [2, 10] {
        for (votes, reveal) in WAYS {
            Runner::seeded(51).start(|context| async move {
                let mut nodes = Nodes::new(context, 4, parameters(votes, reveal), link(lost)).await;
                nodes.start_all().await;
                let mut ids = Vec::new();
                for name in 0..40 {
                    ids.extend(nodes.submit(usize::try_from(name % 4).unwrap(), [name]).await);
                    nodes.sleep_ms(50).await;
                }
                nodes.until_settled(&ids).await;
                nodes.agree().await;
                assert_eq!(nodes.cut_off().await, [], "a lost message is nobody's fault");
            });
        }
    }
}

#[test]
fn payloads_are_ordered_from_the_first_heights_of_every_epoch_on() {
    Runner::seeded(52).start(|context| async move {
        let parameters = GenesisParameters { epoch_heights: 20, ..parameters(VotesTo::All, RevealWhen::Committed) };
        let mut nodes = Nodes::new(context, 4, parameters, link(0)).await;
        nodes.start_all().await;
        let (mut ids, mut name) = (Vec::new(), 0);
        while nodes.settled(0) < Height(85) {
            ids.extend(nodes.submit(usize::try_from(name % 4).unwrap(), name..name + 2).await);
            name += 2;
            nodes.sleep_ms(20).await;
        }
        nodes.until_settled(&ids).await;
        nodes.agree().await;
        for epoch in 1..4 {
            let mut first = None;
            for height in (20 * epoch + 1..20 * (epoch + 1)).map(Height) {
                let header = nodes.handles(0).chain.headers.get(height).await.unwrap().header;
                assert_eq!(header.epoch, Epoch(epoch));
                if !header.payloads.is_empty() {
                    first = first.or(Some(height));
                }
            }
            assert!(first.is_some_and(|first| first.0 <= 20 * epoch + 4), "epoch {epoch}: first payload at {first:?}");
        }
    });
}

#[test]
fn one_seed_replays_a_whole_network() {
    let run = || {
        let runner = Runner::new(Config::new().with_seed(53).with_timeout(Some(Duration::from_secs(3_600))));
        runner.start(|context| async move {
            let auditor = context.auditor().clone();
            let mut nodes = Nodes::new(context, 4, parameters(VotesTo::All, RevealWhen::Committed), link(2)).await;
            nodes.start_all().await;
            let ids = nodes.submit(0, 0..10).await;
            nodes.crash(2).await;
            nodes.until_settled(&ids).await;
            (auditor.state(), nodes.agree().await)
        })
    };
    assert_eq!(run(), run());
}
