//! Pools over links that lose, delay and reorder hold the same in the end, and never accuse each other.

use super::{at, bundle, entry, pool, roomy};
use crate::{Entry, Incoming, Mempool, Output, PeerId, Source};
use chorale_types::{TimestampMs, UnitId, codec::Encode};
use proptest::{collection::vec, prelude::*};
use std::collections::BTreeMap;

/// Pools that exchange messages; the random numbers say which are lost and how late the others are.
struct Network {
    pools: Vec<Mempool>,
    flying: BTreeMap<(u64, u64), (PeerId, usize, Incoming)>,
    sent: u64,
    fates: Vec<(u8, u16)>,
    loss_percent: u8,
    accusations: Vec<Output>,
}

impl Network {
    fn new(pools: u32, fates: Vec<(u8, u16)>, loss_percent: u8) -> Self {
        let mut all = Vec::new();
        for me in 0..pools {
            let mut one = pool(roomy());
            one.set_peers((0..pools).filter(|other| *other != me).map(PeerId), at(0));
            all.push(one);
        }
        Self { pools: all, flying: BTreeMap::new(), sent: 0, fates, loss_percent, accusations: Vec::new() }
    }

    fn carry_out(&mut self, me: usize, ms: u64) {
        for output in self.pools[me].drain_outputs() {
            match output {
                Output::Send { to, message } => {
                    for to in to {
                        self.sent += 1;
                        let (loss, delay) = self.fates[usize::try_from(self.sent).unwrap() % self.fates.len()];
                        if loss % 100 >= self.loss_percent {
                            let message = Incoming::decode(message.encode()).unwrap();
                            let me = PeerId(u32::try_from(me).unwrap());
                            let key = (ms + 1 + u64::from(delay % 300), self.sent);
                            self.flying.insert(key, (me, to.0 as usize, message));
                        }
                    }
                }
                accusation @ Output::Misbehaviour { .. } => self.accusations.push(accusation),
                Output::Journal(_) | Output::Status { .. } => {}
            }
        }
    }

    fn run(&mut self, from_ms: u64, to_ms: u64) {
        for ms in (from_ms..to_ms).step_by(10) {
            while let Some(first) = self.flying.first_entry().filter(|first| first.key().0 <= ms) {
                let (from, to, message) = first.remove();
                self.pools[to].receive(from, message, at(ms));
                self.carry_out(to, ms);
            }
            for me in 0..self.pools.len() {
                self.pools[me].tick(at(ms));
                self.carry_out(me, ms);
            }
        }
    }

    fn content(&self, me: usize) -> Vec<UnitId> {
        let mut ids: Vec<UnitId> = self.pools[me].store.slots_from(0).map(|(_, slot)| slot.entry.id()).collect();
        ids.sort();
        ids
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pools_converge_over_links_that_lose_a_third(
        fates in vec(any::<(u8, u16)>(), 200),
        submissions in vec((0_usize..3, 1_u64..4, 60_usize..2_000, 0_u64..5_000), 1..150),
    ) {
        let mut network = Network::new(3, fates, 33);
        let mut submissions: Vec<_> = (0..).zip(submissions).collect();
        submissions.sort_by_key(|(_, submission)| submission.3);
        let mut now = 0;
        let mut all = Vec::new();
        for (number, (me, rollup, bytes, ms)) in submissions {
            let ms = ms / 10 * 10;
            network.run(now, ms);
            now = ms;
            let new: Entry = if number % 10 == 0 {
                bundle(&[(rollup, bytes), (1, 60)], 1_000, number)
            } else {
                entry(rollup, number, bytes)
            };
            all.push(new.id());
            network.pools[me].submit(new, Source::Local, TimestampMs(at(0).0 + ms)).unwrap();
        }
        network.run(now, now + 100_000);
        all.sort();
        for me in 0..3 {
            prop_assert_eq!(&network.content(me), &all, "pool {}", me);
            network.pools[me].store.check();
        }
        prop_assert!(network.accusations.is_empty(), "{:?}", network.accusations);
    }
}

#[test]
fn a_pool_that_was_away_is_told_of_everything() {
    let mut network = Network::new(3, vec![(99, 5)], 0);
    // The third hears nothing.
    network.pools[2].set_peers([], at(0));
    let all: Vec<Entry> = (0..500).map(|number| entry(1, number, 200)).collect();
    network.pools[0].submit_batch(all, Source::Local, at(0));
    network.carry_out(0, 0);
    network.run(0, 5_000);
    assert_eq!(network.content(1).len(), 500);
    assert!(network.content(2).is_empty());
    network.pools[2].set_peers([0, 1].map(PeerId), at(5_000));
    network.run(5_000, 25_000);
    assert_eq!(network.content(2).len(), 500);
    assert_eq!(network.pools[2].figures().fetched, 500, "each is asked for once");
    assert!(network.accusations.is_empty());
}
