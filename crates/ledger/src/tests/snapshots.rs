//! Snapshots: what goes on from one is what would have been.

use super::*;
use crate::{RestoreError, Snapshot};
use chorale_types::codec::{Encode, decode};

/// A ledger with something in every part of its state, and its last outcome.
fn lived() -> (Ledger, Settled) {
    let mut ledger = Ledger::new(config());
    settle(&mut ledger, vec![single(1, "a"), bundle(40, vec![transaction(2, "x")])]);
    idle_until(&mut ledger, 7);
    settle(&mut ledger, vec![single(3, "b")]);
    let settled = settle(&mut ledger, vec![single(1, "c"), bundle(12, vec![transaction(2, "y")])]);
    (ledger, settled)
}

fn through_bytes(snapshot: &Snapshot) -> Snapshot {
    decode(snapshot.encode()).unwrap()
}

#[test]
fn a_restored_ledger_goes_on_as_if_nothing_had_been() {
    let (mut ledger, _) = lived();
    let mut restored = Ledger::restore(config(), through_bytes(&ledger.snapshot())).unwrap();
    assert_eq!(restored, ledger);
    for height in 10..60 {
        let units = || {
            let name = (height % 7).to_string();
            vec![single(1, &name), bundle(40, vec![transaction(2, "x")]), single(4, &name)]
        };
        let (one, other) = (settle(&mut ledger, units()), settle(&mut restored, units()));
        assert_eq!(one.outcome, other.outcome);
        assert_eq!(one.skipped, other.skipped);
    }
    assert_eq!(restored, ledger);
}

/// A difference is a change of format. Written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-ledger`.
#[test]
fn snapshots_are_as_they_were() {
    let (ledger, _) = lived();
    let bytes = ledger.snapshot().encode();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let path = std::path::PathBuf::from("fixtures/snapshot.hex");
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap(), "the format of snapshots changed");
}

#[test]
fn a_strangers_snapshot_has_to_be_the_attested_state() {
    let (ledger, settled) = lived();
    let outcome = &settled.outcome;
    let snapshot = through_bytes(&ledger.snapshot());
    assert_eq!(Ledger::restore_attested(config(), snapshot.clone(), outcome).unwrap(), ledger);
    let bytes = snapshot.encode();
    let mut refused = 0;
    for byte in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[byte] ^= 1;
        if let Ok(changed) = decode::<Snapshot>(changed) {
            let error = Ledger::restore_attested(config(), changed, outcome).unwrap_err();
            assert!(!matches!(error, RestoreError::Rollups(_)) || byte < 80, "{byte}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 100, "most changes decode: {refused}");
}

#[test]
fn a_snapshot_of_another_genesis_is_refused() {
    let (ledger, settled) = lived();
    let mut other = config();
    other.rollups.insert(RollupId(5), RollupRules::default());
    let snapshot = ledger.snapshot();
    assert_eq!(Ledger::restore(other, snapshot.clone()).unwrap_err(), RestoreError::Rollups(Height(9)));
    let other = Config { chain: ChainId(tagged_hash("test", &[b"other"])), ..config() };
    let error = Ledger::restore_attested(other, snapshot, &settled.outcome).unwrap_err();
    assert_eq!(error, RestoreError::Outcome(Height(9)));
}

/// A node writes the transactions of each height once: one that is lost must not go unnoticed.
#[test]
fn a_snapshot_that_misses_transactions_is_refused() {
    let (ledger, _) = lived();
    let snapshot = ledger.snapshot();
    let heights: Vec<u64> =
        config().remembered(Height(9)).filter(|height| ledger.transactions_of(Height(*height)).is_some()).collect();
    assert_eq!(heights, [8, 9]);
    let fewer = snapshot.transactions[1..].to_vec();
    let fewer = Snapshot { transactions: List::new(fewer).unwrap(), ..snapshot };
    assert!(matches!(Ledger::restore(config(), fewer), Err(RestoreError::Digest { .. })));
}

#[test]
fn what_is_forgotten_takes_no_room() {
    let (mut ledger, _) = lived();
    let mut empty = Ledger::new(config());
    idle_until(&mut ledger, 50);
    idle_until(&mut empty, 50);
    assert_eq!(ledger.window, empty.window);
    assert_eq!(ledger.references, empty.references);
}

#[test]
fn the_digest_binds_what_decides_about_later_heights() {
    let run = |units: Vec<Unit>| {
        let mut ledger = Ledger::new(config());
        settle(&mut ledger, units).outcome.ledger
    };
    let roots = [
        run(vec![]),
        run(vec![single(1, "a")]),
        run(vec![single(2, "a")]),
        run(vec![bundle(9, vec![transaction(1, "a")])]),
        run(vec![bundle(8, vec![transaction(1, "a")])]),
    ];
    for (position, root) in roots.iter().enumerate() {
        assert!(!roots[..position].contains(root), "{position}");
    }
    assert_eq!(run(vec![]), run(vec![single(4, "a")]), "a rollup with nonces leaves nothing to remember");
}
