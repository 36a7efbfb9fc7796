//! Disks that are lost or damaged.

use crate::{cluster::Cluster, network::eventually};
use std::fs;

const VICTIM: usize = 3;
const OTHERS: [usize; 3] = [0, 1, 2];
const EPOCH_HEIGHTS: u64 = 40;

/// Whether a validator whose disk changed while it was down follows, signs nothing in the epoch in which it came back, in
/// which it may have signed before, and signs again in a later one.
fn signs_again_from_a_later_epoch(damage: impl FnOnce(&Cluster)) {
    let folder = tempfile::tempdir().unwrap();
    let parameters =
        [("epoch_heights", EPOCH_HEIGHTS), ("idle_interval_ms", 50), ("pace_ms", 20), ("clock_drift_ms", 100)];
    let mut cluster = Cluster::new(folder.path(), 4, &parameters);
    cluster.start_all();
    cluster.wait_for(VICTIM, EPOCH_HEIGHTS + 5);
    cluster.kill(VICTIM);
    damage(&cluster);
    // The others alone make blocks, with a timeout for every view of the one that is away.
    let came_back = cluster.heights(0).0;
    cluster.start(VICTIM);

    let author = |height: u64| cluster.header(&OTHERS[..1], height)["author"].as_u64().unwrap();
    let mut looked_at = came_back + 3;
    let first = eventually("it signs again", || {
        while looked_at < cluster.heights(0).0 {
            looked_at += 1;
            if author(looked_at) == VICTIM as u64 {
                return Some(looked_at);
            }
        }
        None
    });
    let epoch = |height: u64| cluster.header(&OTHERS, height)["epoch"].as_u64().unwrap();
    assert!(epoch(first) > epoch(came_back), "height {came_back}: it came back, {first}: it signed");
    cluster.wait_for(VICTIM, first);
    (1..=first).step_by(3).for_each(|height| drop(cluster.header(&[0, 1, 2, VICTIM], height)));
    cluster.wait_until_attested(&cluster.submit(VICTIM, "after"));
}

#[test]
fn a_validator_with_a_wiped_disk_follows_and_signs_again_from_a_later_epoch() {
    signs_again_from_a_later_epoch(|cluster| {
        fs::remove_dir_all(cluster.data(VICTIM)).unwrap();
        fs::create_dir(cluster.data(VICTIM)).unwrap();
    });
}

/// An older record is no record: what was signed after it is forgotten.
#[test]
fn a_validator_that_lost_the_end_of_its_safety_record_signs_again_from_a_later_epoch() {
    signs_again_from_a_later_epoch(|cluster| {
        let journal = cluster.data(VICTIM).join("storage/consensus-safety");
        let files: Vec<_> = fs::read_dir(journal).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty());
        for path in files {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
    });
}
