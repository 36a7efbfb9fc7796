//! Golden file of the safety record, which outlives the program that wrote it. A difference is a change of format. It is
//! written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-hotstuff`.

use super::objects::{Maker, epoch};
use crate::Record;
use chorale_types::{
    Entry, High, Proposal, View,
    codec::{Encode, decode},
};
use std::path::PathBuf;

fn record() -> Record {
    let maker = Maker::new(epoch(&[1; 4], 100));
    let chain = maker.chain(&maker.start(), 1, 3);
    let high = High::Certified(chain[1].1.clone());
    let tip = High::Voted(chain[2].0.clone());
    let certificate = maker.timeouts(3, &[(0, high.clone()), (1, high), (2, tip.clone())]);
    let block = chain[2].0.header.reference();
    Record {
        epoch: maker.info.epoch,
        view: View(4),
        entry: Some(Entry::TimedOut(certificate.clone())),
        high: chain[1].1.clone(),
        tip: Some(chain[2].0.clone()),
        vote: Some(maker.vote(1, 3, block)),
        timeout: Some(maker.timeout(1, 4, tip, Some(Entry::TimedOut(certificate)))),
        commit_vote: Some(maker.commit_vote(1, 2, chain[1].0.header.reference())),
        proposal: Some(Proposal::Fresh(chain[0].0.clone())),
        committed: chain[0].0.header.reference(),
    }
}

#[test]
fn the_record_is_as_it_was() {
    let path = PathBuf::from("fixtures/record.hex");
    let bytes = record().encode();
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, hex::encode(&bytes) + "\n").unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(hex::encode(&bytes), golden.trim(), "the format of the record changed");
    assert_eq!(decode::<Record>(hex::decode(golden.trim()).unwrap()).unwrap(), record());
}

#[test]
fn a_damaged_record_does_not_decode_or_differs() {
    let bytes = record().encode();
    for position in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[position] ^= 1;
        assert!(decode::<Record>(damaged).map_or(true, |other| other != record()));
        assert!(decode::<Record>(bytes.slice(..position)).is_err());
    }
}
