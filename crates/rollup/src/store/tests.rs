//! Against a node that never stops.

pub(crate) mod story;

use super::{Restored, Store, StoreError, attested::Taken, tables};
use crate::{
    blocks::STATES_MAX,
    record::{BundleRecord, Executed},
};
use chorale_evm::{Block, BlockTimes, Chain, Content, Domain, InTurn, Known};
use chorale_types::{Attestation, BundleId, Epoch, Height, RollupId, Signature, Signers};
use proptest::prelude::*;
use redb::ReadableTable as _;
use std::{collections::BTreeMap, num::NonZeroU64, path::Path};
use story::{ROLLUPS, Story, domain};

/// A node that never stops, and all that it made.
struct Steady {
    domain: Domain,
    story: Story,
    blocks: BTreeMap<RollupId, Vec<Block>>,
    /// The chain after each block.
    views: BTreeMap<RollupId, Vec<Chain>>,
    bundles: Vec<(BundleId, BundleRecord)>,
}

impl Steady {
    fn new(seed: u64) -> Self {
        let domain = domain("ours");
        let views = domain.chains().iter().map(|(rollup, chain)| (*rollup, vec![chain.clone()])).collect();
        Self { story: Story::new(seed), blocks: BTreeMap::new(), views, bundles: Vec::new(), domain }
    }

    /// The next height, here and on a domain that is stopped now and then.
    fn next(&mut self, other: &mut Domain) -> Executed {
        let ordered = self.story.next(&self.domain);
        let derived = ordered.derive(&mut self.domain);
        let there = ordered.derive(other);
        assert_eq!(there.outcome, derived.outcome);
        assert_eq!(there.bundles, derived.bundles);
        assert_eq!(there.burnt, derived.burnt);
        self.take(Executed::new(&self.domain, derived, &ordered.lanes, &ordered.bundles));
        Executed::new(other, there, &ordered.lanes, &ordered.bundles)
    }

    fn take(&mut self, executed: Executed) {
        for (rollup, derived) in executed.derived.blocks {
            self.blocks.entry(rollup).or_default().push(derived.block);
        }
        for (rollup, chain) in executed.chains {
            self.views.entry(rollup).or_default().push(chain);
        }
        self.bundles.extend(executed.bundles);
    }

    /// That a store has all of it, and is restored to it.
    fn assert_same(&self, store: &Store) {
        let Restored { domain: restored, rollups, bundles, .. } = store.restore(&domain("ours")).unwrap();
        assert_eq!((restored.height(), restored.heads()), (self.domain.height(), self.domain.heads()));
        assert_eq!(bundles, self.bundles);
        for (id, record) in &self.bundles {
            assert_eq!(store.bundle(*id).unwrap().as_ref(), Some(record));
        }
        for (rollup, views) in &self.views {
            let last = &views[views.len().saturating_sub(STATES_MAX)..];
            assert_eq!(rollups[rollup].views.len(), last.len());
            for (view, expected) in rollups[rollup].views.iter().zip(last) {
                assert_eq!((view.head(), view.height()), (expected.head(), expected.height()));
                assert!(view.state().accounts().eq(expected.state().accounts()));
                assert!(view.state().slots().eq(expected.state().slots()));
                assert!(view.state().codes().eq(expected.state().codes()));
                assert!(view.state().block_hashes().eq(expected.state().block_hashes()));
            }
        }
        for (rollup, block) in self.blocks.iter().flat_map(|(rollup, all)| all.iter().map(move |it| (*rollup, it))) {
            let number = block.header.number;
            assert_eq!(store.block(rollup, number).unwrap().as_ref(), Some(block));
            assert_eq!(store.number_of(rollup, block.header.hash()).unwrap(), Some(number));
            for (index, transaction) in block.transactions.iter().enumerate() {
                let hash = *transaction.inner().tx_hash();
                let found = store.transaction(rollup, hash).unwrap();
                assert_eq!(found, Some((block.clone(), index)));
            }
        }
    }
}

fn open(folder: &Path) -> Store {
    Store::open(folder, &domain("ours"), None).unwrap()
}

/// Some heights in a folder.
fn written(folder: &Path, seed: u64, heights: usize) -> Steady {
    let (mut steady, store) = (Steady::new(seed), open(folder));
    let mut other = domain("ours");
    for _ in 0..heights {
        store.write(&[steady.next(&mut other)]).unwrap();
    }
    steady
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Each step: so many heights are executed before they are written together, and how it goes on: further, or stopped
    /// before or after they are written.
    #[test]
    fn a_node_that_stops_at_random_makes_and_has_what_one_that_never_stops_does(
        seed: u64,
        steps in prop::collection::vec((1usize..4, 0u8..4), 1..14),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut steady = Steady::new(seed);
        let mut store = open(folder.path());
        let mut going = store.restore(&domain("ours")).unwrap().domain;
        for (heights, how) in steps {
            if how == 0 {
                // What was executed and not written is forgotten, and executed again.
                let mut scratch = Steady { domain: steady.domain.clone(), ..Steady::new(seed ^ 1) };
                scratch.story = Story::after(&steady.story);
                let _ = scratch.next(&mut going);
            } else {
                let batch: Vec<Executed> = (0..heights).map(|_| steady.next(&mut going)).collect();
                store.write(&batch).unwrap();
            }
            if how < 2 {
                drop(store);
                store = open(folder.path());
                going = store.restore(&domain("ours")).unwrap().domain;
            }
        }
        steady.assert_same(&store);
        drop(store);
        steady.assert_same(&open(folder.path()));
    }
}

#[test]
fn states_of_the_last_blocks_are_there_after_a_restart_and_older_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let steady = written(folder.path(), 7, STATES_MAX + 20);
    assert!(steady.bundles.iter().any(|(_, record)| format!("{:?}", record.fate).contains("executed before")));
    steady.assert_same(&open(folder.path()));
}

/// Where blocks are by the second, it goes on from the height that closed the last one: that of a second which is still open
/// is fetched again, and makes the same.
#[test]
fn a_domain_by_the_second_goes_on_after_every_second_as_one_that_never_stops() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = domain("ours").with_blocks(BlockTimes::Second);
    let (mut steady, mut story, mut open_second) = (genesis.clone(), Story::new(11), Vec::<story::Ordered>::new());
    for _ in 0..24 {
        let ordered = story.next(&steady);
        let second = ordered.outcome.timestamp.second();
        if open_second.last().is_some_and(|last| last.outcome.timestamp.second() < second) {
            let last = open_second[open_second.len() - 1].outcome.clone();
            let closing = (last.height.0 + 1..).map(|height| story::outcome(steady.chain_id(), height));
            let closing = closing.into_iter().find(|it| it.timestamp.second() > last.timestamp.second()).unwrap();
            let contents: Vec<Content<'_>> = open_second
                .iter()
                .map(|it| Content { outcome: &it.outcome, lanes: &it.lanes, bundles: &it.bundles })
                .collect();
            let expected = steady.derive_second(&contents, &closing, &Known::default(), &InTurn).unwrap();
            let store = Store::open(folder.path(), &genesis, None).unwrap();
            let mut going = store.restore(&genesis).unwrap().domain;
            assert!(going.complete() < contents[0].outcome.height);
            let derived = going.derive_second(&contents, &closing, &Known::default(), &InTurn).unwrap();
            assert_eq!((&derived.outcome, &derived.bundles), (&expected.outcome, &expected.bundles));
            let lanes = open_second.iter().flat_map(|it| &it.lanes);
            let bundles = open_second.iter().flat_map(|it| &it.bundles);
            store.write(&[Executed::new(&going, derived, lanes, bundles)]).unwrap();
            let restored = store.restore(&genesis).unwrap().domain;
            assert_eq!((restored.height(), restored.heads()), (closing.height, steady.heads()));
            assert_eq!(restored.complete().next(), closing.height);
            open_second.clear();
        }
        open_second.push(ordered);
    }
    assert!(steady.height().0 > 24);
}

#[test]
fn a_transaction_that_is_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let steady = written(folder.path(), 3, 5);
    let store = open(folder.path());
    let transaction = store.database.begin_write().unwrap();
    transaction.open_table(tables::ACCOUNTS).unwrap().insert((ROLLUPS[0], &[1; 20]), &[1; 72]).unwrap();
    transaction.open_table(tables::HEADERS).unwrap().remove((ROLLUPS[0], 1)).unwrap();
    drop(transaction);
    drop(store);
    steady.assert_same(&open(folder.path()));
}

#[test]
fn the_data_of_another_chain_or_format_or_of_a_process_that_runs_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let said = |genesis: &str| Store::open(folder.path(), &domain(genesis), None).unwrap_err().to_string();
    assert!(said("ours").contains("in use by another process"), "{}", said("ours"));
    drop(store);
    let other = said("theirs");
    for words in
        ["rollups.redb", &domain("ours").chain_id().to_string(), &domain("theirs").chain_id().to_string(), "--data"]
    {
        assert!(other.contains(words), "{words}: {other}");
    }
    let store = open(folder.path());
    let transaction = store.database.begin_write().unwrap();
    transaction.open_table(tables::META).unwrap().insert(super::FORMAT_ROW, 9u32.to_be_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(store);
    assert!(said("ours").contains(&format!("format 9, and this program reads {}", super::FORMAT)), "{}", said("ours"));
}

#[test]
fn a_damaged_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 5, 6);
    let store = open(folder.path());
    let transaction = store.database.begin_write().unwrap();
    {
        let mut bodies = transaction.open_table(tables::BODIES).unwrap();
        let mut row = bodies.get((ROLLUPS[0], 1)).unwrap().unwrap().value().to_vec();
        row[3] ^= 1;
        bodies.insert((ROLLUPS[0], 1), row.as_slice()).unwrap();
        let mut slots = transaction.open_table(tables::SLOTS).unwrap();
        let ((rollup, address, slot), value) = {
            let (key, value) = slots.first().unwrap().unwrap();
            let (rollup, address, slot) = key.value();
            ((rollup, *address, *slot), *value.value())
        };
        slots.insert((rollup, &address, &slot), &value.map(|byte| byte ^ 1)).unwrap();
    }
    transaction.commit().unwrap();
    let body = store.block(RollupId(ROLLUPS[0]), 1).unwrap_err().to_string();
    assert!(body.contains("rollups.redb is damaged: block 1 of rollup 1001"), "{body}");
    assert!(body.contains("Move it away"), "{body}");
    let state = store.restore(&domain("ours")).unwrap_err().to_string();
    assert!(state.contains("rollups.redb is damaged"), "{state}");
}

/// Whatever byte of the file is damaged: what is read is right, or an error.
#[test]
fn a_damaged_byte_is_an_error_or_makes_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let steady = written(folder.path(), 11, 8);
    let file = folder.path().join(super::FILE);
    let bytes = std::fs::read(&file).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|index| bytes[*index] != 0).collect();
    let (mut told, mut silent) = (0, 0);
    for step in 0..60 {
        let mut damaged = bytes.clone();
        damaged[used[(step * 7_919 + 13) % used.len()]] ^= 1 << (step % 8);
        std::fs::write(&file, &damaged).unwrap();
        let reads = || {
            let store = Store::open(folder.path(), &domain("ours"), None)?;
            let restored = store.restore(&domain("ours"))?;
            assert_eq!(restored.domain.heads(), steady.domain.heads());
            for (rollup, blocks) in &steady.blocks {
                for block in blocks {
                    let found = store.block(*rollup, block.header.number)?;
                    assert!(found.is_none_or(|found| found == *block));
                }
            }
            Ok::<_, StoreError>(())
        };
        match reads() {
            Ok(()) => silent += 1,
            Err(_) => told += 1,
        }
    }
    assert!(told > 0, "{silent} of 60 made no difference");
}

#[test]
fn old_blocks_are_deleted_with_all_that_leads_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut steady = Steady::new(2);
    let store = Store::open(folder.path(), &domain("ours"), NonZeroU64::new(3)).unwrap();
    let mut other = domain("ours");
    for _ in 0..12 {
        store.write(&[steady.next(&mut other)]).unwrap();
    }
    for (rollup, blocks) in &steady.blocks {
        let head = blocks.len() as u64;
        assert_eq!(store.first_block(*rollup).unwrap(), Some(head - 2));
        assert!(store.block(*rollup, 0).unwrap().is_some());
        for block in blocks {
            let (number, is_kept) = (block.header.number, block.header.number + 3 > head);
            assert_eq!(store.block(*rollup, number).unwrap().as_ref(), Some(block).filter(|_| is_kept));
            assert_eq!(store.number_of(*rollup, block.header.hash()).unwrap(), Some(number).filter(|_| is_kept));
            for transaction in &block.transactions {
                let found = store.transaction(*rollup, *transaction.inner().tx_hash()).unwrap();
                assert_eq!(found.is_some(), is_kept);
            }
        }
    }
    let kept = store.executed_after(Height(0), Height(u64::MAX), 100).unwrap();
    let first = kept[0].height;
    assert_eq!(kept.len(), 3);
    let (old, last): (Vec<_>, Vec<_>) = steady.bundles.iter().cloned().partition(|(_, record)| record.height < first);
    assert!(!old.is_empty() && !last.is_empty());
    assert!(old.iter().all(|(id, _)| store.bundle(*id).unwrap().is_none()), "bundles go with their heights");
    assert_eq!(store.last_bundles(1_000).unwrap(), last);
    drop(store);
    // Less memory of the past, and all else as before.
    let restored = open(folder.path()).restore(&domain("ours")).unwrap();
    assert_eq!(restored.domain.heads(), steady.domain.heads());
}

/// Executing is faster than comparing, and validators may attest late: what was let go uncompared was taken for something
/// that this node had not found.
#[test]
fn what_is_not_attested_yet_is_kept_to_be_compared() {
    let folder = tempfile::tempdir().unwrap();
    let retain = NonZeroU64::new(2);
    let heights = |store: &Store| {
        let all = store.executed_after(Height(0), Height(u64::MAX), 100).unwrap();
        all.into_iter().map(|outcome| outcome.height).collect::<Vec<Height>>()
    };
    let attest = |store: &Store, height: Height| {
        let outcome = store.executed(height).unwrap().unwrap().outcome;
        let (domain, root, epoch) = (outcome.domain, outcome.root(), Epoch(0));
        let (signers, signature) = (Signers::none(1), Signature::NONE);
        let taken = store.take_attested(&[Attestation { domain, epoch, height, root, signers, signature }]).unwrap();
        assert!(matches!(taken, Taken::Agreed(Some(executed)) if executed.outcome.height == height));
    };
    let store = Store::open(folder.path(), &domain("ours"), retain).unwrap().with_attestations(true);
    let (mut steady, mut other) = (Steady::new(11), domain("ours"));
    let mut write = |store: &Store| {
        let executed = steady.next(&mut other);
        let height = executed.height();
        store.write(&[executed]).unwrap();
        height
    };
    let written: Vec<Height> = (0..6).map(|_| write(&store)).collect();
    assert_eq!(heights(&store), written);
    attest(&store, written[4]);
    let last = write(&store);
    assert_eq!(heights(&store), [written[4], written[5], last], "and the last attestation stays");
    assert_eq!(store.last_attested().unwrap().unwrap().outcome.height, written[4]);
    // Of a domain that nobody attests only so many are kept.
    let store = store.with_attestations(false);
    let next = write(&store);
    assert_eq!(heights(&store), [last, next]);
}
