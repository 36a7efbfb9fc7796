//! Golden files of what goes over the wire and to disk, and bytes that are neither. A difference is a change of format.
//! They are written anew only by `UPDATE_FIXTURES=1 cargo test -p chorale-mempool`.

use super::{at, bundle, entry};
use crate::{
    Add, Announce, Bodies, Ended, EvictReason, ExpireReason, Incoming, MESSAGE_BYTES_MAX, Message, MessageError,
    Outcome, Push, Record, Remove, Request, ShareReclaimed, SkipReason, Skipped,
};
use chorale_foundation::Bytes;
use chorale_types::{
    Height, RollupId,
    codec::{Encode, List, decode},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::path::PathBuf;

fn messages() -> Vec<Message> {
    let (one, two) = (entry(1, 1, 40), bundle(&[(1, 10), (2, 12)], 77, 5));
    vec![
        Message::Push(Push { units: List::new(vec![one.to_unit(), two.to_unit()]).unwrap() }),
        Message::Announce(Announce { ids: List::new(vec![one.id(), two.id()]).unwrap() }),
        Message::Request(Request { number: 9, ids: List::new(vec![two.id()]).unwrap() }),
        Message::Bodies(Bodies { number: 9, units: List::new(vec![Some(two.to_unit()), None]).unwrap() }),
    ]
}

fn records() -> Vec<Record> {
    let (one, height) = (entry(1, 1, 40), Height(3));
    let reclaimed = ShareReclaimed {
        rollup: RollupId(1),
        bytes: 2,
        entries: 3,
        share_bytes: 4,
        share_entries: 5,
        claimant: RollupId(6),
    };
    let outcomes = [
        Outcome::Revealed(height),
        Outcome::Evicted(EvictReason::RollupRemoved(RollupId(1))),
        Outcome::Evicted(EvictReason::ShareReclaimed(reclaimed)),
        Outcome::Evicted(EvictReason::PoolShrunk(8)),
        Outcome::Expired(ExpireReason::Age(1)),
        Outcome::Expired(ExpireReason::Heights(2)),
        Outcome::Expired(ExpireReason::Bundle(height)),
        Outcome::Skipped(Skipped { height, reason: SkipReason::Duplicate }),
        Outcome::Skipped(Skipped { height, reason: SkipReason::Void }),
        Outcome::Skipped(Skipped { height, reason: SkipReason::Invalid }),
    ];
    let add = Record::Add(Add { arrived_at: at(1), arrival_height: height, unit: one.to_unit() });
    let remove =
        |outcome: &Outcome| Record::Remove(Remove { id: one.id(), ended: Ended { outcome: *outcome, at: at(2) } });
    [add].into_iter().chain(outcomes.iter().map(remove)).collect()
}

fn golden(name: &str, lines: &[Bytes]) {
    let path = PathBuf::from("fixtures").join(name);
    let hex = |bytes: &Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    let text: String = lines.iter().map(hex).collect();
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap(), "the format of {name} changed");
}

#[test]
fn messages_are_as_they_were() {
    let encoded: Vec<Bytes> = messages().iter().map(Encode::encode).collect();
    golden("messages.hex", &encoded);
    for (bytes, message) in encoded.into_iter().zip(messages()) {
        assert_eq!(decode::<Message>(bytes.clone()).unwrap(), message);
        Incoming::decode(bytes).unwrap();
    }
}

#[test]
fn records_are_as_they_were() {
    let encoded: Vec<Bytes> = records().iter().map(Encode::encode).collect();
    golden("records.hex", &encoded);
    for (bytes, record) in encoded.into_iter().zip(records()) {
        assert_eq!(decode::<Record>(bytes).unwrap(), record);
    }
}

#[test]
fn a_message_above_the_limit_is_refused_unread() {
    let bytes = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    assert!(matches!(Incoming::decode(bytes), Err(MessageError::Oversize { bytes }) if bytes == MESSAGE_BYTES_MAX + 1));
}

proptest! {
    #[test]
    fn garbage_is_refused_without_harm(bytes in vec(any::<u8>(), 0..400), tag in 0_u8..6) {
        let mut tagged = vec![tag];
        tagged.extend(&bytes);
        for bytes in [bytes, tagged] {
            let _ = Incoming::decode(Bytes::from(bytes.clone()));
            if let Ok(record) = decode::<Record>(bytes.clone()) {
                prop_assert_eq!(record.encode(), bytes);
            }
        }
    }

    #[test]
    fn damaged_messages_are_refused_or_other_messages(which in 0_usize..4, at in any::<Index>(), value: u8) {
        let mut bytes = messages()[which].encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(message) = decode::<Message>(bytes.clone()) {
            prop_assert_eq!(message.encode(), bytes.clone(), "one encoding for each message");
        }
        let _ = Incoming::decode(Bytes::from(bytes.clone()));
        prop_assert!(Incoming::decode(Bytes::from(bytes[..at].to_vec())).is_err(), "truncated");
    }
}
