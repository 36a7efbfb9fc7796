//! The methods, answered from the node's actors.

use crate::{
    attestation,
    evidence::{Proven, Register},
    ports::{ChainHandle, Committed},
    settlement::{self, Fate, Unavailable},
    store::{KeptPayload, PayloadReader},
    watch,
};
use chorale_api::{
    Base64Bytes, BatchAnswer, BatchRejection, BlockAnswer, BlockPayload, BundleRequest, ChoraleApiServer, DomainAnswer,
    EVIDENCE_MAX, ErrorCode, EvidenceAnswer, ExecutionRequest, HeaderAnswer, HexBytes, LaneAnswer, LaneBundles,
    LastContentAnswer, MempoolAnswer, NodeAnswer, OpenedPayload, State, StatusAnswer, TransactionRequest, UnitBatch,
    ValidatorAnswer, ValidatorsAnswer,
};
use chorale_ledger::SkipReason;
use chorale_light::{Claim, HandOver, OrderProof, Proof, ProofFile};
use chorale_types::{
    AccountId, AccountSignature, Bundle, DomainId, Epoch, EpochInfo, Execution, Genesis, Height, NodeKey,
    PaidExecution, Promise, PromiseError, RollupId, Transaction, Unit, UnitId,
    codec::{Blob, Encode, EncodeSize as _, List, decode},
};
use jsonrpsee::{
    PendingSubscriptionSink,
    core::{RpcResult, SubscriptionResult, async_trait},
    types::ErrorObjectOwned,
};
use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use super::{Places, Pool, throttle::ONLY_ALONE, timeline::Timeline};

/// Bytes of all hand-overs in a proof file.
pub(super) const HAND_OVERS_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How far settling may be behind committing for the node to be ready.
const SETTLING_LAG_MAX: u64 = 64;

/// Answers the methods of the API.
#[derive(Clone)]
pub struct Backend {
    /// The chain's genesis.
    pub genesis: Arc<Genesis>,
    /// This node on the mesh, if it is on it.
    pub me: Option<NodeKey>,
    /// The chain as consensus drives it, or as a full node follows it.
    pub chain: ChainHandle,
    /// What takes submissions.
    pub pool: Pool,
    /// What payloads opened to.
    pub payloads: PayloadReader,
    /// What heights brought.
    pub settlement: settlement::Mailbox,
    /// What is attested of it.
    pub attestation: attestation::Mailbox,
    /// What is attested of executed rollups, by domain; empty on a full node.
    pub domains: Arc<BTreeMap<DomainId, attestation::Mailbox>>,
    /// When heights passed their states.
    pub timeline: Timeline,
    /// Who broke the rules.
    pub evidence: Register,
    /// Bounds the subscriptions of all clients together.
    pub subscriptions: Places,
    /// Whether a full node has what those that it follows have.
    pub level: Option<watch::Receiver<bool>>,
}

fn transaction(request: TransactionRequest) -> Result<Transaction, chorale_types::codec::TooLong> {
    Ok(Transaction { rollup: RollupId(request.rollup), data: Blob::new(request.data.0)? })
}

/// What a request wants to be promised. Whether it can be, the pool says.
fn promise(request: ExecutionRequest) -> Result<Promise, String> {
    let payer = request.payer.0.try_into().map_err(|_| "execution.payer: an account is an address of 20 bytes")?;
    let signature = request.signature.0.try_into();
    let signature = signature.map_err(|_| "execution.signature: a signature is r, s and v in 65 bytes")?;
    let max_fee = request.max_fee.parse();
    let max_fee = max_fee.map_err(|_| "execution.maxFee: must be a number of wei in decimal digits, as text")?;
    let (domain, attempt) = (DomainId(request.domain), request.attempt);
    let execution = Execution { domain, payer: AccountId(payer), max_fee, attempt };
    Ok(Promise::Execution(PaidExecution { execution, signature: AccountSignature(signature) }))
}

fn parse<T: FromStr>(id: &str) -> RpcResult<T>
where
    T::Err: std::fmt::Display,
{
    id.parse().map_err(|error: T::Err| ErrorCode::InvalidParameter.with(format!("id: {error}")))
}

fn unavailable(reason: Unavailable) -> ErrorObjectOwned {
    let code = match reason {
        Unavailable::Pruned { .. } => ErrorCode::Pruned,
        Unavailable::NotYet { .. } => ErrorCode::NotYet,
        Unavailable::UnknownRollup(_) => ErrorCode::NotFound,
        Unavailable::Stopping => ErrorCode::Stopping,
    };
    code.with(reason.to_string())
}

fn digest_of(id: UnitId) -> String {
    format!("0x{}", hex::encode(id.digest()))
}

impl Backend {
    async fn submit(&self, unit: Unit) -> RpcResult<String> {
        match self.pool.submit(vec![unit]).await?.pop() {
            Some(Ok(id)) => Ok(digest_of(id)),
            Some(Err(rejected)) => Err(rejected),
            None => Err(ErrorCode::Stopping.with("the node is stopping; submit to another one")),
        }
    }

    async fn status(&self, id: UnitId) -> RpcResult<StatusAnswer> {
        let found = self.settlement.find(id).await.map_err(unavailable)?;
        // Somebody ordered it with a signature that is not the payer's; the true one may wait in the pool all the same.
        let forged = |found: &settlement::Found| {
            matches!(found.place.fate, Fate::Skipped(SkipReason::Promise(PromiseError::Signature { .. })))
        };
        if found.as_ref().is_some_and(forged)
            && let Ok(waiting) = self.pool.status(id).await
        {
            return Ok(waiting);
        }
        if let Some(found) = found {
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
        let answer = self.pool.status(id).await?;
        let Some(height) = answer.height.filter(|_| answer.passed.is_empty()) else { return Ok(answer) };
        // Of the block that carries it, as its payload's manifest says.
        let passed = self.timeline.passed(Height(height)).into_iter().filter(|passed| passed.state <= answer.state);
        Ok(StatusAnswer { passed: passed.collect(), ..answer })
    }

    async fn prove(&self, id: UnitId, from_epoch: Epoch) -> RpcResult<HexBytes> {
        let found = self.settlement.prove(id).await.map_err(unavailable)?;
        let proof = found.ok_or_else(|| {
            ErrorCode::NotFound.with(format!("this node has no place of {id} in the order; see its status"))
        })?;
        let height = proof.outcome.height;
        let attestation = self.attestation.get(height).await;
        let attestation =
            attestation.ok_or_else(|| ErrorCode::NotYet.with(format!("height {height} is not attested yet")))?;
        let hand_overs = self.hand_overs(from_epoch, proof.outcome.epoch).await?;
        let proof = OrderProof { outcome: proof.outcome, attestation, claim: proof.claim };
        let file = ProofFile { hand_overs, proof: Proof::Order(proof) };
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
        let stay = self.chain.epoch(epoch).is_some_and(|info| info.validators == next);
        Ok(HandOver { outcome, attestation, next: (!stay).then_some(next) })
    }

    /// The rollup of this id, if the chain has it.
    pub(super) fn known_rollup(&self, rollup: u64) -> RpcResult<RollupId> {
        let rollup = RollupId(rollup);
        let is_system = rollup == RollupId::SYSTEM && self.settlement.has_system_lane();
        let is_known = is_system || self.genesis.rollups().iter().any(|known| known.id == rollup);
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
        let bundles: LaneBundles = List::new(answer.bundles).expect("each has an item in the lane");
        Ok(LaneAnswer {
            height: height.0,
            has_content,
            outcome: HexBytes(answer.outcome.encode().to_vec()),
            attestation: attestation.map(|attestation| HexBytes(attestation.encode().to_vec())),
            claim: HexBytes(claim.encode().to_vec()),
            bundles: HexBytes(bundles.encode().to_vec()),
        })
    }

    /// The next height after this one at which a rollup has content.
    pub(super) async fn content_after(&self, rollup: RollupId, after: Height) -> RpcResult<Option<Height>> {
        self.settlement.next_content(rollup, after).await.map_err(unavailable)
    }

    /// From an epoch that the verifier knows to another one.
    async fn hand_overs<const MAX: usize>(&self, from: Epoch, to: Epoch) -> RpcResult<List<HandOver, MAX>> {
        let too_many = || {
            let message = format!(
                "from epoch {from} to {to} there are more hand-overs than a proof file holds; name an epoch that you know as \
                 fromEpoch, and follow chorale_handOver to it"
            );
            ErrorCode::InvalidParameter.with(message)
        };
        if to.0.saturating_sub(from.0) > MAX as u64 {
            return Err(too_many());
        }
        let mut hand_overs = Vec::new();
        let mut bytes = 0;
        for epoch in from.0..to.0 {
            let hand_over = self.hand_over_from(Epoch(epoch)).await?;
            bytes += hand_over.encode_size();
            if bytes > HAND_OVERS_BYTES_MAX {
                return Err(too_many());
            }
            hand_overs.push(hand_over);
        }
        List::new(hand_overs).map_err(|_| too_many())
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
        let submitted = self.pool.submit(batch.into_vec()).await?;
        let mut answer = BatchAnswer { accepted: 0, rejected: Vec::new() };
        for (position, result) in (0..).zip(submitted) {
            match result {
                Ok(_) => answer.accepted += 1,
                Err(rejected) => {
                    let (code, message) = (rejected.code(), rejected.message().to_owned());
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
        let promise = request.execution.map_or(Ok(Promise::Inclusion), promise).map_err(invalid)?;
        let bundle = Bundle { promise, legs, expiry: Height(request.expiry), salt: request.salt };
        self.submit(Unit::Bundle(bundle)).await
    }

    async fn transaction_status(&self, id: String) -> RpcResult<StatusAnswer> {
        self.status(UnitId::Transaction(parse(&id)?)).await
    }

    async fn bundle_status(&self, id: String) -> RpcResult<StatusAnswer> {
        self.status(UnitId::Bundle(parse(&id)?)).await
    }

    async fn prove_transaction(&self, id: String, from_epoch: Option<u64>) -> RpcResult<HexBytes> {
        self.prove(UnitId::Transaction(parse(&id)?), Epoch(from_epoch.unwrap_or_default())).await
    }

    async fn prove_bundle(&self, id: String, from_epoch: Option<u64>) -> RpcResult<HexBytes> {
        self.prove(UnitId::Bundle(parse(&id)?), Epoch(from_epoch.unwrap_or_default())).await
    }

    async fn lane(&self, rollup: u64, height: u64) -> RpcResult<LaneAnswer> {
        self.lane_at(self.known_rollup(rollup)?, Height(height)).await
    }

    /// Subscriptions are the WebSocket's; the throttle lets none come here.
    async fn subscribe_rollup(&self, pending: PendingSubscriptionSink, _: u64, _: u64) -> SubscriptionResult {
        pending.reject(ErrorCode::InvalidParameter.with(ONLY_ALONE)).await;
        Ok(())
    }

    async fn next_content(&self, rollup: u64, after: u64) -> RpcResult<Option<u64>> {
        Ok(self.content_after(RollupId(rollup), Height(after)).await?.map(|height| height.0))
    }

    async fn last_content(&self, rollup: u64) -> RpcResult<LastContentAnswer> {
        let rollup = self.known_rollup(rollup)?;
        // As of the newest height that is both attested and settled here.
        let height = (*self.attestation.attested().borrow()).min(*self.settlement.settled().borrow());
        let settlement::RegistryAnswer { outcome, proof } = self.settlement.registry(rollup, height).map_err(|_| {
            // It is not kept for heights before the node was started, or if attesting is far behind.
            ErrorCode::NotYet.with(format!("this node has no registry of height {height} yet; ask again later"))
        })?;
        let not_yet = || ErrorCode::NotYet.with(format!("height {height} is not attested yet"));
        let attestation = self.attestation.get(height).await.ok_or_else(not_yet)?;
        Ok(LastContentAnswer {
            height: height.0,
            last: proof.leaf.last.0,
            outcome: HexBytes(outcome.encode().to_vec()),
            attestation: HexBytes(attestation.encode().to_vec()),
            claim: HexBytes(Claim::Registry(proof).encode().to_vec()),
        })
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

    async fn block(&self, height: u64) -> RpcResult<BlockAnswer> {
        let height = Height(height);
        let outcome = self.settlement.outcome(height).await.map_err(unavailable)?;
        let pruned = || ErrorCode::Pruned.with(format!("this node has no block of height {height} any more"));
        let Committed { header, proof } = self.chain.headers.get(height).await.ok_or_else(pruned)?;
        let mut payloads = Vec::new();
        for certificate in header.payloads.iter() {
            let kept = self.payloads.get(&certificate.into()).await.map_err(|error| {
                tracing::error!(%height, %error, "reading a payload");
                ErrorObjectOwned::from(jsonrpsee::types::ErrorCode::InternalError)
            })?;
            let KeptPayload { manifest, opened } = kept.ok_or_else(pruned)?;
            let opened = opened.ok().map(|opened| OpenedPayload {
                key: HexBytes(opened.key.to_vec()),
                payload: Base64Bytes(opened.payload.to_vec()),
            });
            payloads.push(BlockPayload { manifest: HexBytes(manifest.encode().to_vec()), opened });
        }
        let encoded = |bytes: chorale_foundation::Bytes| HexBytes(bytes.to_vec());
        Ok(BlockAnswer {
            height: height.0,
            header: encoded(header.encode()),
            commit_proof: proof.map(|proof| encoded(proof.encode())),
            outcome: encoded(outcome.encode()),
            attestation: self.attestation.get(height).await.map(|attestation| encoded(attestation.encode())),
            payloads,
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
            domains: validator.domains.iter().map(|domain| domain.0).collect(),
        };
        Ok(ValidatorsAnswer {
            epoch,
            closing_height: info.closing.0,
            total_weight: info.validators.total(),
            quorum: info.validators.quorum(),
            validators: info.validators.iter().map(|(_, it)| validator(it)).collect(),
        })
    }

    async fn execution_attestations(&self, domain: u64, after: u64) -> RpcResult<Vec<HexBytes>> {
        self.attestations_after(domain, after).await
    }

    async fn domains(&self) -> RpcResult<Vec<DomainAnswer>> {
        Ok(self.all_domains().await)
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
        self.pool.figures().await
    }

    async fn node(&self) -> RpcResult<NodeAnswer> {
        let position = self.chain.position.borrow().clone();
        Ok(NodeAnswer {
            name: self.genesis.name(),
            chain: self.genesis.chain().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.me.map(|me| format!("0x{me}")),
            index: position.index.map(|index| index.0),
            epoch: position.epoch.epoch.0,
            view: position.view.0,
            leader: position.epoch.leader(position.view).0,
            committed: self.chain.committed.borrow().0,
            settled: self.settlement.settled().borrow().0,
            attested: self.attestation.attested().borrow().0,
            units_settled: self.settlement.units_settled(),
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
        if self.level.as_ref().is_some_and(|level| !*level.borrow()) {
            let message =
                format!("not ready: at height {settled}, behind the nodes that this one follows, or they are silent");
            return Err(ErrorCode::NotYet.with(message));
        }
        Ok("ready".to_owned())
    }
}
