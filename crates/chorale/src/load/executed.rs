//! Load that rollups execute: signed payments between many accounts, and bundles of two legs, submitted open-loop through
//! the sequencer's nodes like other load.
//!
//! All of it is signed before the first is sent, on all processors: signing takes longer than anything that is measured.
//! What one account sends goes through one node, in the order of its nonces, and there are so many accounts that each waits
//! for long before it sends again: a transaction whose turn comes before that of an earlier nonce has no effect, and none after
//! it either.

pub(crate) mod accounts;
mod domain;
mod funding;
mod lag;
pub(crate) mod units;
mod watch;

pub(crate) use domain::{Domain, Rollup};
pub(crate) use funding::fund;
pub(crate) use lag::{Lag, LagHandle, watch_lag};
pub(crate) use units::Prepared;
pub(crate) use watch::{Executed, Watched, watch};

use super::{BATCH_MAX, REQUESTS_IN_FLIGHT_MAX, TICK, TallyHandle};
use crate::rpc::{Endpoint, reason};
use chorale_api::{Base64Bytes, ChoraleApiClient as _, UnitBatch};
use chorale_types::codec::Encode as _;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};
use tokio::sync::Semaphore;
use units::SignedUnit;

/// A node, with what goes through it.
struct Target {
    endpoint: Endpoint,
    units: VecDeque<SignedUnit>,
    requests: Arc<Semaphore>,
}

/// Submits what was prepared, `rate` units per second over all nodes; ends when all of it is sent, and answered.
pub(crate) async fn generate(
    prepared: Prepared,
    rate: u64,
    endpoints: Vec<Endpoint>,
    tally: TallyHandle,
    watched: Watched,
) {
    let target =
        |(endpoint, units)| Target { endpoint, units, requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)) };
    let mut targets: Vec<Target> = endpoints.into_iter().zip(prepared.by_node).map(target).collect();
    let (start, mut sent, mut turn) = (Instant::now(), 0u64, 0usize);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while targets.iter().any(|target| !target.units.is_empty()) {
        ticks.tick().await;
        let elapsed_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut due = (rate.saturating_mul(elapsed_us) / 1_000_000).saturating_sub(sent);
        while due > 0 {
            turn = (turn + 1) % targets.len();
            let target = &mut targets[turn];
            let count = due.min(BATCH_MAX);
            (due, sent) = (due - count, sent + count);
            let Ok(permit) = Arc::clone(&target.requests).try_acquire_owned() else {
                // They stay, and are sent later: without them the accounts' next ones would be of no use.
                tally.with(|tally| tally.overrun += count);
                continue;
            };
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(target.units.len());
            let batch: Vec<SignedUnit> = target.units.drain(..count).collect();
            if batch.is_empty() {
                continue;
            }
            tally.with(|tally| tally.submitted += batch.len() as u64);
            let (endpoint, tally, watched) = (target.endpoint.clone(), tally.clone(), watched.clone());
            tokio::spawn(async move {
                submit(&endpoint, batch, &tally, &watched).await;
                drop(permit);
            });
        }
    }
    for target in targets {
        let _ = target.requests.acquire_many(u32::try_from(REQUESTS_IN_FLIGHT_MAX).unwrap_or(u32::MAX)).await;
    }
}

async fn submit(endpoint: &Endpoint, batch: Vec<SignedUnit>, tally: &TallyHandle, watched: &Watched) {
    let submitted = Instant::now();
    let hashes: Vec<Vec<_>> = batch.iter().map(|unit| unit.hashes.clone()).collect();
    // Before they are sent: a block may be there before the answer is.
    watched.sent(hashes.iter().flatten().copied(), submitted);
    let units = batch.into_iter().map(|unit| unit.unit).collect::<Vec<_>>();
    let units = UnitBatch::new(units).expect("no more than a batch holds");
    match endpoint.client.submit_batch(Base64Bytes(units.encode().to_vec())).await {
        Ok(answer) => {
            let mut refused = BTreeMap::new();
            for rejection in &answer.rejected {
                *refused.entry(rejection.message.clone()).or_insert(0) += 1;
                let position = usize::try_from(rejection.position).unwrap_or(usize::MAX);
                watched.refused(hashes.get(position).into_iter().flatten());
            }
            tally.with(|tally| {
                tally.accepted += answer.accepted;
                refused.iter().for_each(|(message, count)| tally.refuse(message, *count));
                tally.latency_accepted.add(submitted.elapsed());
            });
        }
        Err(error) => {
            watched.refused(hashes.iter().flatten());
            tally.with(|tally| tally.refuse(&reason(&error), hashes.len() as u64));
        }
    }
}
