//! What takes submissions: the shared pool, or, on a full node, nodes that have it.

use super::Upstream;
use crate::{
    mempool::{self, SubmitError},
    proposer::Pool as _,
};
use chorale_api::{
    Base64Bytes, BatchAnswer, ChoraleApiClient as _, ErrorCode, MempoolAnswer, RollupFigures, State, StatusAnswer,
    UnitBatch,
};
use chorale_mempool::{Held, Outcome, Status};
use chorale_types::{
    RollupId, Unit, UnitId,
    codec::{Encode as _, List},
};
use jsonrpsee::{core::RpcResult, types::ErrorObjectOwned};

/// Where submissions go, and whom to ask about what is not settled.
#[derive(Clone)]
pub enum Pool {
    /// This node's part of the shared pool.
    Shared(mempool::Mailbox),
    /// Other nodes.
    Upstream(Upstream),
}

/// What became of each of the units of a submission.
pub(super) type Submitted = Vec<Result<UnitId, ErrorObjectOwned>>;

fn submit_error(error: &SubmitError) -> ErrorObjectOwned {
    let code = match error {
        SubmitError::Rejected(_) => ErrorCode::Rejected,
        SubmitError::Stopping => ErrorCode::Stopping,
        SubmitError::Busy => ErrorCode::Busy,
    };
    code.with(error.to_string())
}

impl Pool {
    /// Submits units: those that are accepted are durable when this returns, here or on the node that took them.
    pub(super) async fn submit(&self, units: Vec<Unit>) -> RpcResult<Submitted> {
        match self {
            Self::Shared(pool) => {
                let submitted = pool.submit(units).await.map_err(|error| submit_error(&error))?;
                let result = |rejected: chorale_mempool::Rejected| ErrorCode::Rejected.with(rejected.to_string());
                Ok(submitted.into_iter().map(|it| it.map(|admitted| admitted.id).map_err(result)).collect())
            }
            Self::Upstream(upstream) => {
                let mut submitted: Submitted = units.iter().map(|unit| Ok(unit.id())).collect();
                let batch: UnitBatch =
                    List::new(units).map_err(|long| ErrorCode::InvalidParameter.with(long.to_string()))?;
                let batch = Base64Bytes(batch.encode().to_vec());
                let answer = upstream
                    .ask(batch.0.len(), |node| {
                        let batch = batch.clone();
                        async move { node.submit_batch(batch).await }
                    })
                    .await?;
                let BatchAnswer { rejected, .. } = answer;
                for rejection in rejected {
                    let position = usize::try_from(rejection.position).unwrap_or(usize::MAX);
                    if let Some(result) = submitted.get_mut(position) {
                        *result = Err(ErrorCode::Rejected.with(rejection.message));
                    }
                }
                Ok(submitted)
            }
        }
    }

    /// The status of what is not settled here.
    pub(super) async fn status(&self, id: UnitId) -> RpcResult<StatusAnswer> {
        match self {
            Self::Shared(pool) => {
                let status = pool.status(id).await;
                let known = status.ok_or_else(|| ErrorCode::NotFound.with(format!("this node does not know {id}")))?;
                let (status, carrier) = known;
                let answer = status_answer(status);
                Ok(StatusAnswer { height: answer.height.or(carrier.map(|carrier| carrier.height.0)), ..answer })
            }
            Self::Upstream(upstream) => {
                let answer = upstream
                    .ask(0, |node| async move {
                        let digest = format!("0x{}", hex::encode(id.digest()));
                        match id {
                            UnitId::Transaction(_) => node.transaction_status(digest).await,
                            UnitId::Bundle(_) => node.bundle_status(digest).await,
                        }
                    })
                    .await?;
                Ok(not_settled_here(answer))
            }
        }
    }

    /// The pool's figures.
    pub(super) async fn figures(&self) -> RpcResult<MempoolAnswer> {
        let pool = match self {
            Self::Shared(pool) => pool,
            Self::Upstream(upstream) => return upstream.ask(0, |node| async move { node.mempool().await }).await,
        };
        let figures = pool.figures().await.ok_or_else(|| submit_error(&SubmitError::Stopping))?;
        let rollup = |(rollup, held): (&RollupId, &Held)| RollupFigures {
            rollup: rollup.0,
            entries: held.entries,
            bytes: held.bytes,
        };
        Ok(MempoolAnswer {
            entries: figures.total.entries,
            bytes: figures.total.bytes,
            rollups: figures.rollups.iter().map(rollup).collect(),
            admitted: figures.admitted,
            rejected: figures.rejected.values().sum(),
            revealed: figures.revealed,
            skipped: figures.skipped,
            expired: figures.expired,
            evicted: figures.evicted,
        })
    }

    /// Entries that no payload in flight carries; none on a full node.
    pub(super) fn waiting(&self) -> u64 {
        match self {
            Self::Shared(pool) => *pool.waiting().borrow() as u64,
            Self::Upstream(_) => 0,
        }
    }
}

/// What another node says of something that is not settled here. Where it stands is said once this node has settled it, and
/// can prove it.
fn not_settled_here(answer: StatusAnswer) -> StatusAnswer {
    let is_ahead = matches!(answer.state, State::Revealed | State::OrderAttested | State::Skipped);
    let passed = answer.passed.iter().copied().filter(|passed| passed.state <= State::Committed).collect();
    let here = StatusAnswer { position: None, passed, ..answer };
    if is_ahead { StatusAnswer { state: State::Committed, reason: None, ..here } } else { here }
}

const fn answer_of(state: State) -> StatusAnswer {
    StatusAnswer { state, height: None, position: None, reason: None, passed: Vec::new() }
}

fn status_answer(status: Status) -> StatusAnswer {
    let answer = answer_of;
    match status {
        Status::Pending => answer(State::Pending),
        Status::Proposed => answer(State::Proposed),
        Status::Certified => answer(State::Certified),
        Status::Committed => answer(State::Committed),
        Status::Rejected { reason, .. } => StatusAnswer { reason: Some(reason.to_string()), ..answer(State::Rejected) },
        Status::Ended(ended) => {
            let (state, height) = match ended.outcome {
                Outcome::Revealed(height) => (State::Revealed, Some(height.0)),
                Outcome::Skipped(skipped) => (State::Skipped, Some(skipped.height.0)),
                Outcome::Evicted(_) => (State::Evicted, None),
                Outcome::Expired(_) => (State::Expired, None),
            };
            let reason = (state != State::Revealed).then(|| ended.outcome.to_string());
            StatusAnswer { height, reason, ..answer(state) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::not_settled_here;
    use chorale_api::{Passed, State, StatusAnswer};

    #[test]
    fn positions_are_not_repeated_before_they_are_settled_here() {
        let passed = |state| Passed { state, height: 7, view: Some(3), time_ms: 5 };
        let all = [State::Proposed, State::Certified, State::Committed, State::Revealed, State::OrderAttested];
        for state in [State::Revealed, State::OrderAttested, State::Skipped] {
            let said = StatusAnswer {
                state,
                height: Some(7),
                position: Some((0, 1)),
                reason: Some("repeated".to_owned()),
                passed: all.map(passed).to_vec(),
            };
            let here = StatusAnswer {
                state: State::Committed,
                height: Some(7),
                position: None,
                reason: None,
                passed: all[..3].iter().copied().map(passed).collect(),
            };
            assert_eq!(not_settled_here(said), here);
        }
        let rejected = StatusAnswer {
            state: State::Rejected,
            height: None,
            position: None,
            reason: Some("too large".to_owned()),
            passed: Vec::new(),
        };
        assert_eq!(not_settled_here(rejected.clone()), rejected);
    }
}
