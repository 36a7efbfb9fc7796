//! Lanes: order, and what their leaves bind.

use super::samples::lanes;
use crate::codec::{Blob, Encode, decode};
use crate::*;

#[test]
fn a_lane_decodes_with_the_ids_of_its_items() {
    for lane in lanes() {
        let again: Lane = decode(lane.encode()).unwrap();
        assert_eq!(again, lane);
        for item in again.items() {
            assert_eq!(item.id, Transaction { rollup: lane.rollup(), data: item.data.clone() }.id());
        }
    }
}

#[test]
fn nothing_and_disorder_are_no_lanes() {
    assert_eq!(Lane::new(RollupId(1), Vec::new()).unwrap_err(), LaneError::Count(0));
    let lane = &lanes()[1];
    let mut swapped = lane.items().to_vec();
    swapped.swap(0, 1);
    assert_eq!(Lane::new(lane.rollup(), swapped).unwrap_err(), LaneError::Order(1));
    let doubled = vec![lane.items()[0].clone(), lane.items()[0].clone()];
    assert_eq!(Lane::new(lane.rollup(), doubled).unwrap_err(), LaneError::Order(1));
}

#[test]
fn leaves_bind_every_field() {
    let lane = &lanes()[1];
    let leaf = lane.leaf(Height(4));
    assert_eq!((leaf.items, leaf.bytes), (3, 15));
    let mut seen = vec![leaf.digest()];
    let changes: [fn(&mut LaneLeaf); 5] = [
        |leaf| leaf.rollup.0 += 1,
        |leaf| leaf.previous.0 += 1,
        |leaf| leaf.items += 1,
        |leaf| leaf.bytes += 1,
        |leaf| leaf.root = merkle_root(&[]),
    ];
    for change in changes {
        let mut changed = leaf;
        change(&mut changed);
        assert!(!seen.contains(&changed.digest()));
        seen.push(changed.digest());
    }
}

#[test]
fn items_bind_every_field() {
    let item = lanes()[1].items()[1].leaf();
    assert!(item.place.leg.is_some());
    let mut seen = vec![item.digest()];
    let changes: [fn(&mut ItemLeaf); 6] = [
        |leaf| leaf.place.payload += 1,
        |leaf| leaf.place.unit += 1,
        |leaf| leaf.place.leg = None,
        |leaf| leaf.place.leg.as_mut().unwrap().position += 1,
        |leaf| leaf.place.leg.as_mut().unwrap().bundle = BundleId(merkle_root(&[])),
        |leaf| leaf.id = TxId(merkle_root(&[])),
    ];
    for change in changes {
        let mut changed = item;
        change(&mut changed);
        assert!(!seen.contains(&changed.digest()));
        seen.push(changed.digest());
    }
}

#[test]
fn data_decides_about_the_root() {
    let lane = &lanes()[1];
    let mut bytes = lane.encode().to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let other: Lane = decode(bytes).unwrap();
    assert_ne!(other.leaf(Height(4)).root, lane.leaf(Height(4)).root);
}

#[test]
fn a_leg_beyond_every_bundle_does_not_decode() {
    let id = lanes()[1].items()[0].id;
    let data = Blob::new(b"x".to_vec()).unwrap();
    let leg = Some(Leg { position: 16, bundle: BundleId(id.0) });
    let lane = Lane::new(RollupId(1), vec![LaneItem { place: Place { payload: 0, unit: 0, leg }, id, data }]).unwrap();
    assert!(decode::<Lane>(lane.encode()).is_err());
}
