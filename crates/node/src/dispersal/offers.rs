//! What a builder may send to this node before a payload is ordered. Honest ones never get it wrong.

use super::message::{Announce, Disperse};
use chorale_types::{EpochInfo, Manifest, Validator, ValidatorIndex, View};

/// How far from this node's view one may be for which something is announced.
const ANNOUNCED_VIEWS: u64 = 8;

/// What is to be done with an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announcement {
    /// It is remembered.
    Counts,
    /// It is of no use here; its sender may be ahead or behind.
    Ignored,
    /// No honest builder sends it.
    Wrong,
}

/// Whether chunks are what the validator `from` may send to `me`, or what is wrong with them.
pub(super) fn check_addressed(
    epoch: &EpochInfo,
    from: ValidatorIndex,
    me: ValidatorIndex,
    message: &Disperse,
) -> Result<(), String> {
    let Disperse { manifest, chunks, .. } = message;
    if chunks.validator != me {
        return Err(format!("sent the chunks of validator {} to validator {me}", chunks.validator));
    }
    if Some(chunks.reference.builder) != epoch.validators.get(from).map(Validator::builder) {
        return Err("sent chunks of a payload that it did not build".into());
    }
    if manifest.length != chunks.reference.length {
        let (said, is) = (manifest.length, chunks.reference.length);
        return Err(format!("sent a manifest of {said} bytes with chunks of a payload of {is}"));
    }
    if !manifest.is_possible() {
        let (entries, length) = (manifest.entries(), manifest.length);
        return Err(format!("sent a manifest of {entries} entries for a payload of {length} bytes"));
    }
    Ok(())
}

/// Only who leads one of the next views has something to announce, and others may be ahead or behind a little.
pub(super) fn check_announced(
    epoch: &EpochInfo,
    view: View,
    from: ValidatorIndex,
    announce: &Announce,
    payload_bytes_max: u32,
) -> Announcement {
    let Announce { epoch: of, target, manifest } = announce;
    if !fits(manifest, payload_bytes_max) {
        return Announcement::Wrong;
    }
    let is_near = target.0.abs_diff(view.0) <= ANNOUNCED_VIEWS;
    let counts = *of == epoch.epoch && is_near && epoch.leader(*target) == from;
    if counts { Announcement::Counts } else { Announcement::Ignored }
}

fn fits(manifest: &Manifest, payload_bytes_max: u32) -> bool {
    manifest.is_possible() && manifest.length <= payload_bytes_max
}

#[cfg(test)]
mod tests {
    use super::{ANNOUNCED_VIEWS, Announcement, check_announced};
    use crate::{dispersal::message::Announce, tests::cluster::first_epoch};
    use chorale_types::{
        Epoch, Manifest, Payload, PayloadUnit, RollupId, Transaction, Unit, ValidatorIndex, View, codec::Blob,
    };

    fn manifest() -> Manifest {
        let transaction = Transaction { rollup: RollupId(1), data: Blob::new(vec![7; 100]).unwrap() };
        Payload::build(vec![PayloadUnit::new(Unit::Transaction(transaction))], [1; 32]).unwrap().1
    }

    #[test]
    fn only_leaders_of_near_views_announce_and_only_what_can_be() {
        let epoch = first_epoch(4, 1_000);
        let view = View(100);
        let announce = |target: u64| Announce { epoch: epoch.epoch, target: View(target), manifest: manifest() };
        let check = |from: ValidatorIndex, announce: &Announce| check_announced(&epoch, view, from, announce, 4_096);
        for target in 0..200u64 {
            let leader = epoch.leader(View(target));
            let is_near = target.abs_diff(view.0) <= ANNOUNCED_VIEWS;
            let expected = if is_near { Announcement::Counts } else { Announcement::Ignored };
            assert_eq!(check(leader, &announce(target)), expected, "view {target}");
            let other = ValidatorIndex((leader.0 + 1) % 4);
            assert_eq!(check(other, &announce(target)), Announcement::Ignored, "who does not lead it");
        }
        let leader = epoch.leader(view);
        let elsewhere = Announce { epoch: Epoch(9), ..announce(view.0) };
        assert_eq!(check(leader, &elsewhere), Announcement::Ignored);
        for length in [40, 4_097] {
            let manifest = Manifest { length, ..manifest() };
            assert_eq!(
                check(leader, &Announce { manifest, ..announce(view.0) }),
                Announcement::Wrong,
                "{length} bytes"
            );
        }
    }
}
