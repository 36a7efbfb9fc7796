//! Payloads: what is built decodes to the same, and everything else is malformed as a whole.

use super::samples::{built, bundle, transaction, units};
use crate::codec::Encode;
use crate::*;
use chorale_foundation::Bytes;
use proptest::prelude::*;

const SALT: [u8; 32] = [6; 32];

fn build(units: Vec<Unit>) -> (Payload, Manifest, Bytes) {
    Payload::build(units.into_iter().map(PayloadUnit::new).collect(), SALT).unwrap()
}

/// Positions in the bytes of [`built`]: version and salt, then the directory with one bundle, then two sections.
const DIRECTORY: usize = 33;
const ROW: usize = DIRECTORY + 4;
const ROW_LEGS: usize = ROW + 4 + 1 + 8 + 8;
const SECTIONS: usize = ROW_LEGS + 4 + 3 * 32;
const FIRST_SECTION: usize = SECTIONS + 4;
/// Rollup and count, then the first entry of rollup 3: leg 1 of the bundle.
const FIRST_ENTRY: usize = FIRST_SECTION + 12;

fn broken(change: impl Fn(&mut Vec<u8>)) -> MalformedPayload {
    let (_, manifest, bytes) = built();
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    Payload::decode(bytes.into(), &manifest).unwrap_err()
}

#[test]
fn what_is_built_decodes_to_the_same() {
    let (payload, manifest, bytes) = built();
    let decoded = Payload::decode(bytes.clone(), &manifest).unwrap();
    assert_eq!(decoded, payload);
    assert_eq!(decoded.encode().unwrap(), bytes);
    assert_eq!(decoded.into_units().into_iter().map(PayloadUnit::into_unit).collect::<Vec<_>>(), units());
    assert_eq!(manifest.length as usize, bytes.len());
}

#[test]
fn data_shares_the_memory_of_the_payload() {
    let (_, manifest, bytes) = built();
    let range = bytes.as_ptr_range();
    let decoded = Payload::decode(bytes, &manifest).unwrap();
    for transaction in decoded.units().iter().flat_map(PayloadUnit::transactions) {
        assert!(range.contains(&transaction.data.as_ptr()));
    }
}

#[test]
fn an_empty_payload_is_a_payload() {
    let (payload, manifest, bytes) = build(Vec::new());
    assert_eq!(bytes.len(), PAYLOAD_OVERHEAD_BYTES);
    assert_eq!(Payload::decode(bytes, &manifest).unwrap(), payload);
}

#[test]
fn overheads_are_what_builders_count_with() {
    let one = build(vec![Unit::Transaction(transaction(1, b"abc"))]).2.len();
    let two =
        build(vec![Unit::Transaction(transaction(1, b"abc")), Unit::Transaction(transaction(1, b"abcd"))]).2.len();
    assert_eq!(one, PAYLOAD_OVERHEAD_BYTES + SECTION_OVERHEAD_BYTES + ENTRY_OVERHEAD_BYTES + 3);
    assert_eq!(two, one + ENTRY_OVERHEAD_BYTES + 4);
}

#[test]
fn every_single_bit_counts() {
    let (_, manifest, bytes) = built();
    for byte in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[byte] ^= 0x10;
        assert!(Payload::decode(changed.into(), &manifest).is_err(), "byte {byte} of {} does not count", bytes.len());
    }
}

#[test]
fn truncated_and_trailing_bytes_are_malformed() {
    let (_, manifest, bytes) = built();
    for length in 0..bytes.len() {
        let malformed = Payload::decode(bytes.slice(..length), &manifest).unwrap_err();
        assert!(matches!(malformed, MalformedPayload::Encoding(_)), "{length}: {malformed}");
    }
    assert_eq!(broken(|bytes| bytes.push(0)), MalformedPayload::Encoding("bytes follow its end"));
}

#[test]
fn layout_is_as_documented() {
    let (.., bytes) = built();
    assert_eq!(bytes[0], 1);
    assert_eq!(&bytes[DIRECTORY..ROW + 4], [0, 0, 0, 1, 0, 0, 0, 1], "one bundle, at unit 1");
    assert_eq!(&bytes[SECTIONS..SECTIONS + 4], [0, 0, 0, 2]);
    assert_eq!(&bytes[FIRST_SECTION..FIRST_ENTRY], [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2], "rollup 3, two entries");
    assert_eq!(&bytes[FIRST_ENTRY..FIRST_ENTRY + 14], b"\0\0\0\x01\x02\0\0\0\x05leg 1", "unit 1, leg 1");
}

#[test]
fn what_is_out_of_place_is_named() {
    let unknown_leg = |bytes: &mut Vec<u8>| bytes[FIRST_ENTRY + 4] = 4;
    assert_eq!(broken(unknown_leg), MalformedPayload::Leg { unit: 1 });
    let other_leg = |bytes: &mut Vec<u8>| bytes[FIRST_ENTRY + 4] = 1;
    assert_eq!(broken(other_leg), MalformedPayload::Leg { unit: 1 }, "leg 0 is there twice");
    let single = |bytes: &mut Vec<u8>| bytes[FIRST_ENTRY + 4] = 0;
    assert_eq!(broken(single), MalformedPayload::Unit { unit: 1 }, "a transaction in the place of a bundle");
    let other_data = |bytes: &mut Vec<u8>| bytes[FIRST_ENTRY + 9] = b'L';
    assert_eq!(broken(other_data), MalformedPayload::Leg { unit: 1 }, "not the leg that the directory names");
    let unsorted = |bytes: &mut Vec<u8>| bytes[FIRST_SECTION + 7] = 9;
    assert_eq!(broken(unsorted), MalformedPayload::Section(RollupId(7)));
    let backwards = |bytes: &mut Vec<u8>| bytes[FIRST_ENTRY + 3] = 9;
    assert_eq!(broken(backwards), MalformedPayload::Leg { unit: 9 }, "no bundle there");
    let gap = |bytes: &mut Vec<u8>| bytes[FIRST_ENTRY + 14 + 3] = 3;
    assert_eq!(broken(gap), MalformedPayload::Unit { unit: 2 }, "no unit 2");
    let version = |bytes: &mut Vec<u8>| bytes[0] = 2;
    assert_eq!(broken(version), MalformedPayload::Encoding("an unknown tag or version"));
    let salt = |bytes: &mut Vec<u8>| bytes[1] ^= 1;
    assert_eq!(broken(salt), MalformedPayload::Manifest);
}

#[test]
fn a_missing_leg_spoils_the_payload() {
    // A bundle of two legs for two rollups, from which the section of the second is cut off.
    let legs = vec![transaction(1, b"a"), transaction(2, b"b")];
    let (_, manifest, bytes) = build(vec![Unit::Bundle(bundle(1, legs))]);
    let section = SECTION_OVERHEAD_BYTES + ENTRY_OVERHEAD_BYTES + 1;
    let mut cut = bytes[..bytes.len() - section].to_vec();
    let sections = cut.len() - section - 4;
    cut[sections..sections + 4].copy_from_slice(&1u32.to_be_bytes());
    assert_eq!(Payload::decode(cut.into(), &manifest).unwrap_err(), MalformedPayload::LegMissing { unit: 0 });
}

#[test]
fn more_entries_than_a_manifest_names_are_malformed() {
    // Two sections, each within its own bound.
    let count = limits::PAYLOAD_ENTRIES_MAX / 2 + 1;
    let mut bytes = vec![1];
    bytes.extend_from_slice(&SALT);
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2]);
    for rollup in [1u64, 2] {
        bytes.extend_from_slice(&rollup.to_be_bytes());
        bytes.extend_from_slice(&(count as u32).to_be_bytes());
        for index in 0..count as u32 {
            bytes.extend_from_slice(&(2 * index + rollup as u32 - 1).to_be_bytes());
            bytes.extend_from_slice(&[0; 5]);
        }
    }
    let malformed = Payload::decode(bytes.into(), &built().1).unwrap_err();
    assert_eq!(malformed, MalformedPayload::Encoding("more entries than every payload"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let large = vec![0; limits::TRANSACTION_BYTES_MAX];
    let count = limits::PAYLOAD_BYTES_MAX / limits::TRANSACTION_BYTES_MAX;
    let units: Vec<PayloadUnit> =
        (0..count).map(|_| PayloadUnit::new(Unit::Transaction(transaction(1, &large)))).collect();
    assert!(matches!(Payload::build(units, SALT), Err(PayloadTooLarge::Bytes(_))));
    let unit = PayloadUnit::new(Unit::Transaction(transaction(1, b"")));
    let units = vec![unit; limits::PAYLOAD_ENTRIES_MAX + 1];
    assert_eq!(Payload::build(units, SALT).unwrap_err(), PayloadTooLarge::Entries(limits::PAYLOAD_ENTRIES_MAX + 1));
}

#[test]
fn manifests_say_what_is_in_and_nothing_of_the_order() {
    let (payload, manifest, _) = built();
    for id in payload.units().iter().flat_map(PayloadUnit::transaction_ids) {
        assert!(manifest.contains(id));
    }
    assert!(!manifest.contains(&transaction(7, b"other").id()));
    assert!(units().iter().all(|unit| manifest.carries(unit)));
    assert_eq!(manifest.entries(), 5);
    assert_eq!(manifest.rollup(RollupId(7)).map(|row| (row.entries, row.bytes)), Some((3, 15)));
    assert_eq!(manifest.rollup(RollupId(8)), None);
    // Five entries take more than that, whatever is in them.
    assert!(!Manifest { length: 41 + 5 * 9 - 1, ..manifest.clone() }.is_possible());
    let mut reversed = units();
    reversed.reverse();
    let (_, other, _) = build(reversed);
    assert_eq!(other.short_ids, manifest.short_ids);
    assert_ne!(other.payload_root, manifest.payload_root);
}

#[test]
fn a_root_cannot_be_guessed_without_the_salt() {
    let placed: Vec<PayloadUnit> = units().into_iter().map(PayloadUnit::new).collect();
    let (_, one, _) = Payload::build(placed.clone(), [1; 32]).unwrap();
    let (_, other, _) = Payload::build(placed, [2; 32]).unwrap();
    assert_ne!(one.payload_root, other.payload_root);
    assert_ne!(one.salt, other.salt);
    assert!(one.short_ids.iter().all(|id| !other.short_ids.contains(id)));
}

#[test]
fn equal_transactions_may_stand_more_than_once() {
    let unit = Unit::Transaction(transaction(1, b"again"));
    let (payload, manifest, bytes) = build(vec![unit.clone(), unit]);
    assert_eq!(Payload::decode(bytes, &manifest).unwrap(), payload);
    assert_eq!(manifest.short_ids[0], manifest.short_ids[1]);
}

fn any_transaction() -> impl Strategy<Value = Transaction> {
    (0u64..5, proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(rollup, data)| transaction(rollup, &data))
}

fn any_unit() -> impl Strategy<Value = Unit> {
    prop_oneof![
        any_transaction().prop_map(Unit::Transaction),
        (any::<u64>(), proptest::collection::vec(any_transaction(), 1..=16))
            .prop_map(|(salt, legs)| Unit::Bundle(bundle(salt, legs))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_units_survive(units in proptest::collection::vec(any_unit(), 0..20)) {
        let (payload, manifest, bytes) = build(units.clone());
        let decoded = Payload::decode(bytes.clone(), &manifest).unwrap();
        prop_assert_eq!(&decoded, &payload);
        prop_assert_eq!(decoded.encode().unwrap(), bytes);
        let back: Vec<Unit> = decoded.into_units().into_iter().map(PayloadUnit::into_unit).collect();
        prop_assert_eq!(back, units);
        let again: Manifest = codec::decode(manifest.encode()).unwrap();
        prop_assert_eq!(again.digest(), manifest.digest());
        prop_assert!(manifest.is_possible());
    }

    #[test]
    fn damage_never_panics_and_never_passes(
        units in proptest::collection::vec(any_unit(), 1..8),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (_, manifest, bytes) = build(units);
        let mut changed = bytes.to_vec();
        for (index, byte) in damage {
            let at = index.index(changed.len());
            changed[at] = byte;
        }
        let passes = Payload::decode(Bytes::from(changed.clone()), &manifest).is_ok();
        prop_assert_eq!(passes, changed == bytes.as_ref());
    }

    #[test]
    fn garbage_is_no_payload(garbage in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut garbage = garbage;
        if let Some(version) = garbage.first_mut() {
            *version = 1;
        }
        prop_assert!(Payload::decode(garbage.into(), &built().1).is_err());
    }
}
