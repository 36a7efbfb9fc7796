//! An open-loop generator of transactions: what is due is submitted, whether or not what was submitted before has been
//! answered, so that a slow network shows as latency and not as a lower rate.

mod content;
pub(crate) mod executed;
mod latencies;
mod samples;
mod tally;

pub(crate) use latencies::{Latencies, Percentiles};
pub(crate) use tally::{Tally, TallyHandle};

use crate::rpc::{Endpoint, reason};
use anyhow::{Result, ensure};
use chorale_api::{BATCH_UNITS_MAX, Base64Bytes, ChoraleApiClient as _, UnitBatch};
use chorale_types::{RollupId, Unit, codec::Encode as _, limits::TRANSACTION_BYTES_MAX};
use content::Content;
use samples::Sampler;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;

/// Transactions of one request at most.
const BATCH_MAX: u64 = 1_000;
const _: () = assert!(BATCH_MAX <= BATCH_UNITS_MAX as u64);
/// How often what is due is submitted, to one node after the other.
const TICK: Duration = Duration::from_millis(10);
/// Requests that one node may have unanswered: beyond that, what is due counts as overrun, so that a network that does
/// not keep up costs the generator no memory.
const REQUESTS_IN_FLIGHT_MAX: usize = 32;

/// What to submit.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Transactions per second over all nodes.
    pub(crate) rate: u64,
    /// Bytes of a transaction.
    pub(crate) bytes: usize,
    /// The rollups, in turn.
    pub(crate) rollups: Vec<RollupId>,
    /// Random, so that no two runs submit the same.
    pub(crate) run: u64,
}

impl Plan {
    /// A plan with a random run.
    pub(crate) fn new(rate: u64, bytes: usize, rollups: Vec<RollupId>) -> Result<Self> {
        ensure!((1..=1_000_000).contains(&rate), "a load of {rate}/s; it must be 1 to 1000000 per second");
        ensure!(
            (16..=TRANSACTION_BYTES_MAX).contains(&bytes),
            "transactions of {bytes} bytes; they have 16 to {TRANSACTION_BYTES_MAX}"
        );
        ensure!(
            !rollups.is_empty(),
            "no rollup to submit for; name one with --rollup, or start a network with --rollups"
        );
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { rate, bytes, rollups, run: u64::try_from(now.as_nanos() & u128::from(u64::MAX))? })
    }
}

/// A node, with what the generator knows of it.
struct Target {
    endpoint: Endpoint,
    sampler: Sampler,
    requests: Arc<Semaphore>,
}

/// Submits by the plan, forever: drop it to stop.
pub(crate) async fn generate(plan: Plan, endpoints: Vec<Endpoint>, tally: TallyHandle) {
    let mut content = Content::new(plan.run, plan.bytes, plan.rollups);
    let target = |endpoint: Endpoint| Target {
        sampler: Sampler::start(endpoint.clone(), tally.clone()),
        requests: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
        endpoint,
    };
    let targets: Vec<Target> = endpoints.into_iter().map(target).collect();
    let mut turn = targets.iter().cycle();
    let start = Instant::now();
    let mut sent = 0u64;
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let elapsed_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut due = (plan.rate.saturating_mul(elapsed_us) / 1_000_000).saturating_sub(sent);
        while due > 0 {
            let Some(target) = turn.next() else { return };
            let count = due.min(BATCH_MAX);
            (due, sent) = (due - count, sent + count);
            let Ok(permit) = Arc::clone(&target.requests).try_acquire_owned() else {
                tally.with(|tally| tally.overrun += count);
                continue;
            };
            tally.with(|tally| tally.submitted += count);
            let batch = (0..count).map(|_| content.next_unit()).collect();
            let (endpoint, sampler, tally) = (target.endpoint.clone(), target.sampler.clone(), tally.clone());
            tokio::spawn(async move {
                submit(&endpoint, batch, &sampler, &tally).await;
                drop(permit);
            });
        }
    }
}

async fn submit(endpoint: &Endpoint, batch: Vec<Unit>, sampler: &Sampler, tally: &TallyHandle) {
    let count = batch.len() as u64;
    let sample = batch.first().map(|unit| unit.id());
    let batch = UnitBatch::new(batch).expect("no more than a batch holds");
    let units = Base64Bytes(batch.encode().to_vec());
    let submitted = Instant::now();
    match endpoint.client.submit_batch(units).await {
        Ok(answer) => {
            tally.with(|tally| {
                tally.accepted += answer.accepted;
                for rejection in &answer.rejected {
                    tally.refuse(&rejection.message, 1);
                }
                tally.latency_accepted.add(submitted.elapsed());
            });
            let refused = answer.rejected.iter().any(|rejection| rejection.position == 0);
            if let Some(id) = sample.filter(|_| !refused) {
                sampler.offer(format!("0x{}", hex::encode(id.digest())), submitted);
            }
        }
        Err(error) => tally.with(|tally| tally.refuse(&reason(&error), count)),
    }
}
