//! Some of the submitted transactions are followed through their states, by asking the node that accepted them.

use super::TallyHandle;
use crate::rpc::{Endpoint, progress, state_name};
use chorale_api::{State, StatusAnswer};
use jsonrpsee::{
    core::{
        client::{ClientT as _, Error},
        params::BatchRequestBuilder,
    },
    rpc_params,
};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often a node is asked for all of its samples, in one request: the error of a latency.
const ASK_INTERVAL: Duration = Duration::from_millis(5);
/// Samples of one node at a time.
const SAMPLES_MAX: usize = 4;
/// After this long a sample counts as lost.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(60);

/// Where to offer a sample.
#[derive(Clone, Debug)]
pub(crate) struct Sampler(mpsc::Sender<Sample>);

#[derive(Debug)]
struct Sample {
    id: String,
    submitted: Instant,
    reached: u8,
}

impl Sampler {
    /// Starts asking a node; ends when the last sampler is dropped.
    pub(crate) fn start(endpoint: Endpoint, tally: TallyHandle) -> Self {
        let (samples, offered) = mpsc::channel(1);
        tokio::spawn(follow(endpoint, offered, tally));
        Self(samples)
    }

    /// Follows this one too, if there is room.
    pub(crate) fn offer(&self, id: String, submitted: Instant) {
        let _ = self.0.try_send(Sample { id, submitted, reached: 0 });
    }
}

async fn follow(endpoint: Endpoint, mut offered: mpsc::Receiver<Sample>, tally: TallyHandle) {
    let mut samples: Vec<Sample> = Vec::new();
    loop {
        if samples.is_empty() {
            match offered.recv().await {
                Some(sample) => samples.push(sample),
                None => return,
            }
        }
        if samples.len() < SAMPLES_MAX
            && let Ok(sample) = offered.try_recv()
        {
            samples.push(sample);
        }
        // A node that does not answer now may do so later: a sample's age decides.
        if let Ok(answers) = ask(&endpoint, &samples).await {
            let now = Instant::now();
            for (sample, answer) in samples.iter_mut().zip(answers) {
                if let Some(answer) = answer {
                    advance(sample, &answer, now, &tally);
                }
            }
        }
        samples.retain(|sample| {
            let late = sample.submitted.elapsed() > SAMPLE_AGE_MAX && sample.reached < DONE;
            if late {
                tally.with(|tally| tally.lose(&format!("not attested after {} s", SAMPLE_AGE_MAX.as_secs())));
            }
            !late && sample.reached < DONE
        });
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

/// Beyond all states.
const DONE: u8 = u8::MAX;

fn advance(sample: &mut Sample, answer: &StatusAnswer, now: Instant, tally: &TallyHandle) {
    let latency = now.duration_since(sample.submitted);
    let Some(reached) = progress(answer.state) else {
        sample.reached = DONE;
        let reason = answer.reason.as_deref().unwrap_or_default();
        return tally.with(|tally| tally.lose(&format!("{} {reason}", state_name(answer.state))));
    };
    tally.with(|tally| {
        let steps = [
            (State::Certified, &mut tally.latency_certified),
            (State::Committed, &mut tally.latency_committed),
            (State::Revealed, &mut tally.latency_revealed),
            (State::OrderAttested, &mut tally.latency_attested),
        ];
        for (state, latencies) in steps {
            let step = progress(state).unwrap_or(DONE);
            if sample.reached < step && step <= reached {
                latencies.add(latency);
            }
        }
    });
    sample.reached = sample.reached.max(reached);
    if answer.state == State::OrderAttested {
        sample.reached = DONE;
    }
}

async fn ask(endpoint: &Endpoint, samples: &[Sample]) -> Result<Vec<Option<StatusAnswer>>, Error> {
    let mut batch = BatchRequestBuilder::new();
    for sample in samples {
        batch
            .insert("chorale_transactionStatus", rpc_params![&sample.id])
            .map_err(|error| Error::Custom(error.to_string()))?;
    }
    let answers = endpoint.client.batch_request::<StatusAnswer>(batch).await?;
    Ok(answers.into_iter().map(Result::ok).collect())
}
