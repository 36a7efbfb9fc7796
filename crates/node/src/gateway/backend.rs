//! The methods, answered from the node's actors.

use crate::{
    attestation,
    evidence::{Proven, Register},
    mempool::{self, SubmitError},
    ports::ChainHandle,
    settlement::{self, Fate, Unavailable},
};
use chorale_api::{
    Base64Bytes, BatchAnswer, BatchRejection, BundleRequest, ChoraleApiServer, EVIDENCE_MAX, ErrorCode, EvidenceAnswer,
    HeaderAnswer, HexBytes, LaneAnswer, MempoolAnswer, NodeAnswer, RollupFigures, State, StatusAnswer,
    TransactionRequest, UnitBatch, ValidatorAnswer, ValidatorsAnswer,
};
use chorale_light::{Claim, HandOver, ProofFile};
use chorale_mempool::{Outcome as PoolOutcome, Status};
use chorale_types::{
    Atomicity, Bundle, Epoch, EpochInfo, Genesis, Height, NodeKey, RollupId, Transaction, Unit, UnitId,
    codec::{Blob, Encode, List, decode},
};
use jsonrpsee::{
    Extensions, PendingSubscriptionSink,
    core::{RpcResult, SubscriptionResult, async_trait},
};
use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use super::{Places, subscriptions, throttle::Client, timeline::Timeline};

/// How far settling may be behind committing for the node to be ready.
const SETTLING_LAG_MAX: u64 = 64;

/// Answers the methods of the API.
#[derive(Clone)]
pub struct Backend {
    /// The chain's genesis.
    pub genesis: Arc<Genesis>,
    /// This node on the mesh.
    pub me: NodeKey,
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// The shared pool.
    pub pool: mempool::Mailbox,
    /// What heights brought.
    pub settlement: settlement::Mailbox,
    /// What is attested of it.
    pub attestation: attestation::Mailbox,
    /// When heights passed their states.
    pub timeline: Timeline,
    /// Who broke the rules.
    pub evidence: Register,
    /// Bounds the subscriptions of all clients together.
    pub subscriptions: Places,
}

fn transaction(request: TransactionRequest) -> Result<Transaction, chorale_types::codec::TooLong> {
    Ok(Transaction { rollup: RollupId(request.rollup), data: Blob::new(request.data.0)? })
}

fn parse<T: FromStr>(id: &str) -> RpcResult<T>
where
    T::Err: std::fmt::Display,
{
    id.parse().map_err(|error: T::Err| ErrorCode::InvalidParameter.with(format!("id: {error}")))
}

fn unavailable(reason: Unavailable) -> jsonrpsee::types::ErrorObjectOwned {
    let code = match reason {
        Unavailable::Pruned { .. } => ErrorCode::Pruned,
        Unavailable::NotYet { .. } => ErrorCode::NotYet,
        Unavailable::UnknownRollup(_) => ErrorCode::NotFound,
        Unavailable::Stopping => ErrorCode::Stopping,
    };
    code.with(reason.to_string())
}

fn submit_error(error: &SubmitError) -> jsonrpsee::types::ErrorObjectOwned {
    let code = match error {
        SubmitError::Rejected(_) => ErrorCode::Rejected,
        SubmitError::Stopping => ErrorCode::Stopping,
        SubmitError::Busy => ErrorCode::Busy,
    };
    code.with(error.to_string())
}

fn digest_of(id: UnitId) -> String {
    format!("0x{}", hex::encode(id.digest()))
}

impl Backend {
    async fn submit(&self, unit: Unit) -> RpcResult<String> {
        let mut submitted = self.pool.submit(vec![unit]).await.map_err(|error| submit_error(&error))?;
        match submitted.pop() {
            Some(Ok(admitted)) => Ok(digest_of(admitted.id)),
            Some(Err(rejected)) => Err(ErrorCode::Rejected.with(rejected.to_string())),
            None => Err(ErrorCode::Stopping.with("the node is stopping; submit to another one")),
        }
    }

    async fn status(&self, id: UnitId) -> RpcResult<StatusAnswer> {
        let answer = |state| StatusAnswer { state, height: None, position: None, reason: None, passed: Vec::new() };
        if let Some(found) = self.settlement.find(id).await.map_err(unavailable)? {
            let place = found.place;
            let attested = self.attestation.get(place.height).await.is_some();
            let (state, reason) = match place.fate {
                Fate::Included if attested => (State::OrderAttested, None),
                Fate::Included => (State::Revealed, None),
                Fate::Skipped(reason) => (State::Skipped, Some(reason.to_string())),
            };
            let position = place.place.map(|place| (place.payload, place.unit));
            let passed = self.timeline.passed(place.height);
            return Ok(StatusAnswer { state, height: Some(place.height.0), position, reason, passed });
        }
        match self.pool.status(id).await {
            None => Err(ErrorCode::NotFound.with(format!("this node does not know {id}"))),
            Some(Status::Pending) => Ok(answer(State::Pending)),
            Some(Status::Proposed) => Ok(answer(State::Proposed)),
            Some(Status::Certified) => Ok(answer(State::Certified)),
            Some(Status::Committed) => Ok(answer(State::Committed)),
            Some(Status::Rejected { reason, .. }) => {
                Ok(StatusAnswer { reason: Some(reason.to_string()), ..answer(State::Rejected) })
            }
            Some(Status::Ended(ended)) => {
                let (state, height) = match ended.outcome {
                    PoolOutcome::Revealed(height) => (State::Revealed, Some(height.0)),
                    PoolOutcome::Skipped(skipped) => (State::Skipped, Some(skipped.height.0)),
                    PoolOutcome::Evicted(_) => (State::Evicted, None),
                    PoolOutcome::Expired(_) => (State::Expired, None),
                };
                let reason = (state != State::Revealed).then(|| ended.outcome.to_string());
                Ok(StatusAnswer { height, reason, ..answer(state) })
            }
        }
    }

    async fn prove(&self, id: UnitId) -> RpcResult<HexBytes> {
        let found = self.settlement.prove(id).await.map_err(unavailable)?;
        let proof = found.ok_or_else(|| {
            ErrorCode::NotFound.with(format!("this node has no place of {id} in the order; see its status"))
        })?;
        let height = proof.outcome.height;
        let attestation = self.attestation.get(height).await;
        let attestation =
            attestation.ok_or_else(|| ErrorCode::NotYet.with(format!("height {height} is not attested yet")))?;
        let hand_overs = self.hand_overs(proof.outcome.epoch).await?;
        let file = ProofFile { hand_overs, outcome: proof.outcome, attestation, claim: proof.claim };
        Ok(HexBytes(file.encode().to_vec()))
    }

    /// From an epoch to the next.
    async fn hand_over_from(&self, epoch: Epoch) -> RpcResult<HandOver> {
        let current = self.chain.position.borrow().epoch.epoch;
        if epoch >= current {
            return Err(ErrorCode::NotYet.with(format!("epoch {epoch} has not ended; the current one is {current}")));
        }
        let missing = || ErrorCode::Pruned.with(format!("this node has no hand-over of epoch {epoch}"));
        let closing = self.attestation.closing(epoch).await.ok_or_else(missing)?;
        let attestation::Closing { outcome, attestation } = closing;
        let start = EpochInfo::start_block(outcome.height, outcome.header);
        let next = self.genesis.epoch(epoch.next(), start).validators;
        Ok(HandOver { outcome, attestation, next })
    }

    /// The rollup of this id, if the chain has it.
    pub(super) fn known_rollup(&self, rollup: u64) -> RpcResult<RollupId> {
        let rollup = RollupId(rollup);
        let is_known = self.genesis.rollups().iter().any(|known| known.id == rollup);
        is_known.then_some(rollup).ok_or_else(|| unavailable(Unavailable::UnknownRollup(rollup)))
    }

    /// A rollup's lane at a height, or its absence.
    pub(super) async fn lane_at(&self, rollup: RollupId, height: Height) -> RpcResult<LaneAnswer> {
        let answer = self.settlement.lane(rollup, height).await.map_err(unavailable)?;
        let attestation = self.attestation.get(height).await;
        let has_content = answer.lane.is_ok();
        let claim = match answer.lane {
            Ok(lane) => Claim::Lane(lane),
            Err(absence) => Claim::Absence(absence),
        };
        Ok(LaneAnswer {
            height: height.0,
            has_content,
            outcome: HexBytes(answer.outcome.encode().to_vec()),
            attestation: attestation.map(|attestation| HexBytes(attestation.encode().to_vec())),
            claim: HexBytes(claim.encode().to_vec()),
        })
    }

    /// The next height after this one at which a rollup has content.
    pub(super) async fn content_after(&self, rollup: RollupId, after: Height) -> RpcResult<Option<Height>> {
        self.settlement.next_content(rollup, after).await.map_err(unavailable)
    }

    /// From the first epoch to this one.
    async fn hand_overs<const MAX: usize>(&self, to: Epoch) -> RpcResult<List<HandOver, MAX>> {
        let mut hand_overs = Vec::new();
        for epoch in 0..to.0 {
            hand_overs.push(self.hand_over_from(Epoch(epoch)).await?);
        }
        List::new(hand_overs).map_err(|_| ErrorCode::Pruned.with("more epochs than a proof file holds"))
    }
}

#[async_trait]
impl ChoraleApiServer for Backend {
    async fn submit_transaction(&self, request: TransactionRequest) -> RpcResult<String> {
        let transaction =
            transaction(request).map_err(|long| ErrorCode::InvalidParameter.with(format!("data: {long}")))?;
        self.submit(Unit::Transaction(transaction)).await
    }

    async fn submit_batch(&self, units: Base64Bytes) -> RpcResult<BatchAnswer> {
        let batch = decode::<UnitBatch>(units.0);
        let batch = batch.map_err(|error| ErrorCode::InvalidParameter.with(format!("units: not a batch: {error}")))?;
        let submitted = self.pool.submit(batch.into_vec()).await.map_err(|error| submit_error(&error))?;
        let mut answer = BatchAnswer { accepted: 0, rejected: Vec::new() };
        for (position, result) in (0..).zip(submitted) {
            match result {
                Ok(_) => answer.accepted += 1,
                Err(rejected) => {
                    let (code, message) = (ErrorCode::Rejected.code(), rejected.to_string());
                    answer.rejected.push(BatchRejection { position, code, message });
                }
            }
        }
        Ok(answer)
    }

    async fn submit_bundle(&self, request: BundleRequest) -> RpcResult<String> {
        let invalid = |what: String| ErrorCode::InvalidParameter.with(what);
        if request.legs.is_empty() {
            return Err(invalid("legs: a bundle has at least one leg".to_owned()));
        }
        let legs = request.legs.into_iter().map(transaction).collect::<Result<Vec<_>, _>>();
        let legs = legs.and_then(List::new).map_err(|long| invalid(format!("legs: {long}")))?;
        let bundle =
            Bundle { atomicity: Atomicity::Inclusion, legs, expiry: Height(request.expiry), salt: request.salt };
        self.submit(Unit::Bundle(bundle)).await
    }

    async fn transaction_status(&self, id: String) -> RpcResult<StatusAnswer> {
        self.status(UnitId::Transaction(parse(&id)?)).await
    }

    async fn bundle_status(&self, id: String) -> RpcResult<StatusAnswer> {
        self.status(UnitId::Bundle(parse(&id)?)).await
    }

    async fn prove_transaction(&self, id: String) -> RpcResult<HexBytes> {
        self.prove(UnitId::Transaction(parse(&id)?)).await
    }

    async fn prove_bundle(&self, id: String) -> RpcResult<HexBytes> {
        self.prove(UnitId::Bundle(parse(&id)?)).await
    }

    async fn lane(&self, rollup: u64, height: u64) -> RpcResult<LaneAnswer> {
        self.lane_at(self.known_rollup(rollup)?, Height(height)).await
    }

    async fn subscribe_rollup(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
        rollup: u64,
        from_height: u64,
    ) -> SubscriptionResult {
        let client = extensions.get::<Client>().map_or(IpAddr::from(Ipv6Addr::UNSPECIFIED), |client| client.address);
        subscriptions::serve(self, pending, client, rollup, Height(from_height)).await
    }

    async fn next_content(&self, rollup: u64, after: u64) -> RpcResult<Option<u64>> {
        Ok(self.content_after(RollupId(rollup), Height(after)).await?.map(|height| height.0))
    }

    async fn header(&self, height: u64) -> RpcResult<HeaderAnswer> {
        let committed = self.chain.headers.get(Height(height)).await.ok_or_else(|| {
            let last = self.chain.committed.borrow().0;
            let code = if height > last { ErrorCode::NotYet } else { ErrorCode::NotFound };
            code.with(format!("no header of height {height}; the last committed one is {last}"))
        })?;
        let header = committed.header;
        Ok(HeaderAnswer {
            height,
            id: header.id().to_string(),
            epoch: header.epoch.0,
            view: header.view.0,
            timestamp_ms: header.timestamp.0,
            author: header.author.0,
            payloads: header.payloads.iter().map(|payload| payload.commitment().to_string()).collect(),
            encoded: HexBytes(header.encode().to_vec()),
        })
    }

    async fn attestation(&self, height: u64) -> RpcResult<HexBytes> {
        let attestation = self.attestation.get(Height(height)).await;
        let attestation =
            attestation.ok_or_else(|| ErrorCode::NotYet.with(format!("this node has no attestation of {height}")))?;
        Ok(HexBytes(attestation.encode().to_vec()))
    }

    async fn validators(&self, epoch: u64) -> RpcResult<ValidatorsAnswer> {
        let info = self.chain.epoch(Epoch(epoch)).ok_or_else(|| {
            let current = self.chain.position.borrow().epoch.epoch;
            ErrorCode::NotYet.with(format!("epoch {epoch} has not begun; the current one is {current}"))
        })?;
        let validator = |validator: &chorale_types::Validator| ValidatorAnswer {
            name: self.genesis.validator_name(info.epoch, &validator.node).unwrap_or_default(),
            node: format!("0x{}", validator.node),
            key: format!("0x{}", hex::encode(validator.key.encode())),
            weight: validator.weight,
        };
        Ok(ValidatorsAnswer {
            epoch,
            closing_height: info.closing.0,
            total_weight: info.validators.total(),
            quorum: info.validators.quorum(),
            validators: info.validators.iter().map(|(_, it)| validator(it)).collect(),
        })
    }

    async fn hand_over(&self, epoch: u64) -> RpcResult<HexBytes> {
        Ok(HexBytes(self.hand_over_from(Epoch(epoch)).await?.encode().to_vec()))
    }

    async fn evidence(&self, from: u64) -> RpcResult<Vec<EvidenceAnswer>> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let answer = |proven: &Proven| EvidenceAnswer {
            node: format!("0x{}", proven.validator),
            epoch: proven.evidence.epoch.0,
            index: proven.evidence.offender.0,
            fault: format!("{:?}", proven.fault),
            encoded: HexBytes(proven.evidence.encode().to_vec()),
        };
        Ok(self.evidence.list(from, EVIDENCE_MAX).iter().map(answer).collect())
    }

    async fn mempool(&self) -> RpcResult<MempoolAnswer> {
        let figures = self.pool.figures().await.ok_or_else(|| submit_error(&SubmitError::Stopping))?;
        let rollup = |(rollup, held): (&RollupId, &chorale_mempool::Held)| RollupFigures {
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

    async fn node(&self) -> RpcResult<NodeAnswer> {
        let figures = self.pool.figures().await.ok_or_else(|| submit_error(&SubmitError::Stopping))?;
        let position = self.chain.position.borrow().clone();
        Ok(NodeAnswer {
            name: self.genesis.name(),
            chain: self.genesis.chain().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: format!("0x{}", self.me),
            index: position.index.map(|index| index.0),
            epoch: position.epoch.epoch.0,
            view: position.view.0,
            leader: position.epoch.leader(position.view).0,
            committed: self.chain.committed.borrow().0,
            settled: self.settlement.settled().borrow().0,
            attested: self.attestation.attested().borrow().0,
            units_settled: figures.revealed + figures.skipped,
            rollups: self.genesis.rollups().iter().map(|rollup| rollup.id.0).collect(),
        })
    }

    fn health(&self) -> RpcResult<String> {
        Ok("alive".to_owned())
    }

    async fn ready(&self) -> RpcResult<String> {
        let (committed, settled) = (self.chain.committed.borrow().0, self.settlement.settled().borrow().0);
        if committed == 0 || committed > settled + SETTLING_LAG_MAX {
            let message = format!("not ready: height {committed} is committed, {settled} settled");
            return Err(ErrorCode::NotYet.with(message));
        }
        Ok("ready".to_owned())
    }
}
