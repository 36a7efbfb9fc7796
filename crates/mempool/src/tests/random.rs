//! Random use, with everything that must always hold checked after every step.

use super::{bundle, carrier, commitment, entry, manifest, small};
use crate::{
    Announce, Config, Entry, Incoming, Mempool, Message, Outcome, Output, PeerId, Push, Reveal, SkipReason, Source,
    Standing, Status,
};
use chorale_types::{
    Height, RollupId, TimestampMs, UnitId, View,
    codec::{Encode, List},
};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
enum Step {
    Submit { peer: Option<u32>, which: u64 },
    Push { peer: u32, from: u64, count: u64 },
    Announce { peer: u32, from: u64 },
    Select { bytes: u64 },
    Manifest { payload: u64, from: u64, count: u64, view: u64 },
    Certified { payload: u64 },
    Committed { payload: u64 },
    Dropped { below: u64 },
    Revealed { payload: u64, from: u64, count: u64, skip: bool },
    Time { ms: u64 },
    Suspend { rollup: u64 },
    Peers { mask: u8 },
    EpochEnded,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let (which, payload, peer) = (0_u64..80, 0_u64..6, 0_u32..4);
    prop_oneof![
        8 => (prop::option::of(peer.clone()), which.clone()).prop_map(|(peer, which)| Step::Submit { peer, which }),
        3 => (peer.clone(), which.clone(), 1_u64..8).prop_map(|(peer, from, count)| Step::Push { peer, from, count }),
        1 => (peer, which.clone()).prop_map(|(peer, from)| Step::Announce { peer, from }),
        2 => (100_u64..2_000).prop_map(|bytes| Step::Select { bytes }),
        3 => (payload.clone(), which.clone(), 1_u64..10, 0_u64..9)
            .prop_map(|(payload, from, count, view)| Step::Manifest { payload, from, count, view }),
        2 => payload.clone().prop_map(|payload| Step::Certified { payload }),
        2 => payload.clone().prop_map(|payload| Step::Committed { payload }),
        1 => (0_u64..9).prop_map(|below| Step::Dropped { below }),
        2 => (payload, which, 0_u64..8, any::<bool>())
            .prop_map(|(payload, from, count, skip)| Step::Revealed { payload, from, count, skip }),
        2 => (0_u64..30_000).prop_map(|ms| Step::Time { ms }),
        1 => (1_u64..4).prop_map(|rollup| Step::Suspend { rollup }),
        1 => any::<u8>().prop_map(|mask| Step::Peers { mask }),
        1 => Just(Step::EpochEnded),
        1 => Just(Step::Restart),
    ]
}

/// One of 80 entries of three rollups; some are bundles, sizes differ.
fn nth(which: u64) -> Entry {
    let bytes = 60 + usize::try_from(which * 37 % 400).unwrap();
    match which % 8 {
        0 => bundle(&[(1 + which % 3, bytes), (1 + (which + 1) % 3, 60)], 5 + which % 20, which),
        _ => entry(1 + which % 3, which, bytes),
    }
}

fn some(from: u64, count: u64) -> Vec<Entry> {
    (from..(from + count).min(80)).map(nth).collect()
}

struct World {
    config: Config,
    pool: Mempool,
    now: TimestampMs,
    height: u64,
    /// What this pool said yes to.
    admitted: BTreeSet<UnitId>,
    /// What a user was told yes to.
    accepted: BTreeSet<UnitId>,
    disk: Vec<crate::Record>,
}

impl World {
    fn new() -> Self {
        let config = Config { payloads_max: 4, ..small() };
        let mut pool = super::pool(config.clone());
        pool.set_peers((0..4).map(PeerId), super::T0);
        let (admitted, accepted) = (BTreeSet::new(), BTreeSet::new());
        Self { config, pool, now: super::T0, height: 0, admitted, accepted, disk: Vec::new() }
    }

    fn apply(&mut self, step: Step) {
        let (pool, now) = (&mut self.pool, self.now);
        match step {
            Step::Submit { peer, which } => {
                let source = peer.map_or(Source::Local, |peer| Source::Peer(PeerId(peer)));
                if let Ok(admitted) = pool.submit(nth(which), source, now) {
                    if peer.is_none() {
                        self.accepted.insert(admitted.id);
                    }
                }
            }
            Step::Push { peer, from, count } => {
                let units = some(from, count).iter().map(Entry::to_unit).collect();
                let message = Message::Push(Push { units: List::new(units).unwrap() });
                pool.receive(PeerId(peer), Incoming::decode(message.encode()).unwrap(), now);
            }
            Step::Announce { peer, from } => {
                let ids = some(from, 10).iter().map(Entry::id).collect();
                let message = Message::Announce(Announce { ids: List::new(ids).unwrap() });
                pool.receive(PeerId(peer), Incoming::decode(message.encode()).unwrap(), now);
            }
            Step::Select { bytes } => {
                let picked = pool.select(bytes, 10, Height(self.height + 1), |_| false);
                assert!(picked.len() <= 10 && picked.iter().map(Entry::bytes).sum::<u64>() <= bytes);
                assert!(picked.iter().all(|entry| pool.status(&entry.id()) == Some(Status::Pending)));
                let overdue =
                    pool.overdue(bytes, 10, Height(self.height), Height(self.height + 1), |_| false, |_| false);
                assert!(overdue.len() <= 10 && overdue.iter().map(Entry::bytes).sum::<u64>() <= bytes);
            }
            Step::Manifest { payload, from, count, view } => {
                pool.manifest_seen(commitment(payload), &manifest(&some(from, count)), carrier(view), now);
            }
            Step::Certified { payload } => drop(pool.certified(&commitment(payload), now)),
            Step::Committed { payload } => drop(pool.committed(&commitment(payload), now)),
            Step::Dropped { below } => pool.manifests_dropped_below(View(below), now),
            Step::Revealed { payload, from, count, skip } => {
                self.height += 1;
                let ids: Vec<UnitId> = some(from, count).iter().map(Entry::id).collect();
                let skipped: Vec<_> = ids.iter().map(|id| (*id, SkipReason::Duplicate)).collect();
                let (included, skipped) = if skip { (&[][..], &skipped[..]) } else { (&ids[..], &[][..]) };
                let (height, payloads) = (Height(self.height), [commitment(payload)]);
                pool.revealed(&Reveal { height, payloads: &payloads, included, skipped }, now);
                for id in &ids {
                    assert!(matches!(pool.status(id), Some(Status::Ended(_))), "the order is the last word");
                }
            }
            Step::Time { ms } => {
                self.now = TimestampMs(now.0 + ms);
                pool.tick(self.now);
            }
            Step::Suspend { rollup } => {
                let standing = self.config.rollups.get_mut(&RollupId(rollup)).unwrap();
                *standing = if *standing == Standing::Active { Standing::Suspended } else { Standing::Active };
                pool.set_rollups(self.config.rollups.clone(), now);
            }
            Step::Peers { mask } => pool.set_peers((0..4).filter(|bit| mask >> bit & 1 == 1).map(PeerId), now),
            Step::EpochEnded => pool.epoch_ended(now),
            Step::Restart => {
                let mut next = Mempool::new(self.config.clone(), Height(self.height), now).unwrap();
                next.restore(self.disk.clone(), now);
                next.set_peers((0..4).map(PeerId), now);
                *pool = next;
                // What peers sent is theirs to remember.
                self.admitted = self.accepted.clone();
            }
        }
    }

    fn check(&mut self) {
        for output in self.pool.drain_outputs() {
            match output {
                Output::Journal(record) => self.disk.push(record),
                Output::Status { id, status: Status::Pending } => drop(self.admitted.insert(id)),
                Output::Status { .. } => {}
                Output::Send { to, .. } => assert!(!to.is_empty()),
                Output::Misbehaviour { peer, what } => panic!("{peer} did nothing wrong: {what}"),
            }
        }
        let (pool, config) = (&self.pool, &self.config);
        pool.store.check();
        let figures = pool.figures();
        assert!(figures.total.bytes <= config.bytes_max && figures.total.entries <= config.entries_max);
        for held in figures.peers.values() {
            assert!(held.bytes <= config.peer_bytes_max && held.entries <= config.peer_entries_max);
        }
        assert!(figures.payloads_in_flight <= config.payloads_max);
        assert!(figures.remembered <= config.ended_entries_max + config.ordered_entries_max);
        for id in &self.admitted {
            let status = pool.status(id);
            assert!(!matches!(status, None | Some(Status::Rejected { .. })), "{id} was dropped silently: {status:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_lost_or_above_its_bound(steps in vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
            world.check();
        }
    }

    /// A rollup within its share gets in, whatever the others have sent before.
    #[test]
    fn a_rollup_within_its_share_is_never_refused(
        before in vec((1_u64..3, 60_usize..600), 0..120),
        own in vec(60_usize..200, 1..10),
    ) {
        let mut pool = super::pool(small());
        for (number, (rollup, bytes)) in (0..).zip(before) {
            let _ = pool.submit(entry(rollup, number, bytes), Source::Local, super::T0);
        }
        let mut used = 0;
        for (number, bytes) in (1_000..).zip(own) {
            used += bytes;
            if used <= 1_000 {
                let new = entry(3, number, bytes);
                prop_assert!(pool.submit(new.clone(), Source::Local, super::T0).is_ok());
                prop_assert_eq!(pool.status(&new.id()), Some(Status::Pending));
            }
        }
        pool.store.check();
    }

    /// What was ordered stays ordered through evictions, expiry, repeats and new submissions.
    #[test]
    fn revealed_is_final(steps in vec(step(), 1..60), which in 0_u64..80) {
        let mut world = World::new();
        let id = nth(which).id();
        world.pool.revealed(
            &Reveal { height: Height(1), payloads: &[], included: &[id], skipped: &[] }, super::T0,
        );
        world.height = 1;
        for step in steps {
            if matches!(step, Step::Restart | Step::Revealed { skip: false, .. }) {
                continue;
            }
            world.apply(step);
            let Some(Status::Ended(ended)) = world.pool.status(&id) else { panic!("it ended") };
            prop_assert_eq!(ended.outcome, Outcome::Revealed(Height(1)));
        }
    }
}
