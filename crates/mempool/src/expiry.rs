//! What waited too long leaves, with the reason.

use crate::{
    pool::Mempool,
    status::{ExpireReason, Outcome},
    store::{Sequence, Slot},
};

/// Expires what has waited for too long or too many heights, and bundles whose last height is past. What a payload in
/// flight carries is left alone until that payload's fate is known.
pub(crate) fn sweep(pool: &mut Mempool) {
    // Arrival times and heights rise along a queue, so the first that may stay ends a queue's sweep.
    let mut expired: Vec<(Sequence, ExpireReason)> = Vec::new();
    for queue in pool.store.queues().values() {
        let pending = pool.store.slots_of(queue).filter(|(_, slot)| slot.marks.furthest().is_none());
        for (sequence, slot) in pending {
            let Some(reason) = waited_too_long(pool, slot) else { break };
            expired.push((sequence, reason));
        }
    }
    for (sequence, reason) in expired {
        pool.end(sequence, Outcome::Expired(reason));
    }
    let past: Vec<_> = pool.store.expired_bundles(pool.height).collect();
    for (last, sequence) in past {
        let slot = pool.store.slot(sequence).expect("the index holds pooled bundles");
        if slot.marks.furthest().is_none() {
            pool.end(sequence, Outcome::Expired(ExpireReason::Bundle(last)));
        }
    }
}

fn waited_too_long(pool: &Mempool, slot: &Slot) -> Option<ExpireReason> {
    let (age_ms_max, heights_max) = (pool.config.age_ms_max, pool.config.age_heights_max);
    if pool.now.0.saturating_sub(slot.arrived_at.0) > age_ms_max {
        return Some(ExpireReason::Age(age_ms_max));
    }
    if pool.height.0.saturating_sub(slot.arrival_height.0) > heights_max {
        return Some(ExpireReason::Heights(heights_max));
    }
    None
}
