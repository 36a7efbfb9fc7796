//! What heights became: for validators that attest it, and as proofs for anyone.

use crate::{
    errors::{INVALID_PARAMETERS, NOT_FOUND, SERVER_ERROR, refused},
    lookup::unreadable,
    record::{BundleRecord, Fate},
    server::Server,
};
use alloy_eips::eip2718::Encodable2718 as _;
use chorale_api::{ChoraleApiClient as _, EXECUTED_MAX, ExecutionProofsApiServer, ExecutorApiServer, HexBytes};
use chorale_evm::Block;
use chorale_light::{
    EncodedBlock, ExecutionClaim, ExecutionProof, HandOver, LegPlace, LegsProof, Light, Proof, ProofFile,
};
use chorale_types::{
    Attestation, BundleId, Epoch, ExecutedHeight, Height, RollupId,
    codec::{Encode as _, EncodeSize as _, List, decode},
};
use jsonrpsee::core::{RpcResult, async_trait};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long a validator may wait for something to attest.
const WAIT_MS_MAX: u64 = 10_000;
/// Bytes of the hand-overs that are put into one proof file at most.
const HAND_OVERS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of a proof of legs at most, so that with the hand-overs it fits into an answer.
const LEGS_BYTES_MAX: usize = 7 * 1024 * 1024;

#[async_trait]
impl ExecutorApiServer for Server {
    async fn executed(&self, after: u64, max: u32, wait_ms: u64) -> RpcResult<Vec<HexBytes>> {
        let after = Height(after);
        let wait = Duration::from_millis(wait_ms.min(WAIT_MS_MAX));
        let mut height = self.shared.height();
        // If there is nothing by then, there is nothing: that is an answer.
        let _ = tokio::time::timeout(wait, height.wait_for(|height| *height > after)).await;
        let (until, store) = (*height.borrow(), Arc::clone(&self.store));
        let max = EXECUTED_MAX.min(usize::try_from(max).unwrap_or(usize::MAX));
        let found = self.reads.run(move || store.executed_after(after, until, max)).await?;
        let found = found.map_err(|error| unreadable(&error))?;
        Ok(found.into_iter().map(|outcome| HexBytes(outcome.encode().to_vec())).collect())
    }
}

#[async_trait]
impl ExecutionProofsApiServer for Server {
    async fn prove_bundle_effect(&self, id: String, from_epoch: Option<u64>) -> RpcResult<HexBytes> {
        let id: BundleId = id.parse().map_err(|error| refused(INVALID_PARAMETERS, format!("id: {error}")))?;
        let record = self.bundle(id).await?;
        let record =
            record.ok_or_else(|| refused(NOT_FOUND, format!("bundle {id} is not executed here; see its status")))?;
        let executed = self.executed_at(record.height).await?;
        let legs = self.prove_legs(&executed, id, record).await?;
        let claim = legs.map(ExecutionClaim::Legs).or_else(|| executed.prove_bundle(id).map(ExecutionClaim::Bundle));
        let claim = claim.ok_or_else(|| refused(NOT_FOUND, format!("bundle {id} is not among those of its height")))?;
        self.prove(executed, claim, from_epoch.unwrap_or_default()).await
    }

    async fn prove_head(&self, from_epoch: Option<u64>) -> RpcResult<HexBytes> {
        let attested = self.read().attested;
        if attested == Height(0) {
            return Err(refused(NOT_FOUND, "nothing is attested of this domain yet"));
        }
        let executed = self.executed_at(attested).await?;
        let claim = executed.prove_head(self.rollup).map(ExecutionClaim::Head);
        let claim = claim.ok_or_else(|| refused(NOT_FOUND, "this rollup is not of the domain"))?;
        self.prove(executed, claim, from_epoch.unwrap_or_default()).await
    }
}

impl Server {
    async fn executed_at(&self, height: Height) -> RpcResult<ExecutedHeight> {
        let store = Arc::clone(&self.store);
        let found = self.reads.run(move || store.executed(height)).await?.map_err(|error| unreadable(&error))?;
        found.ok_or_else(|| refused(NOT_FOUND, format!("what height {height} became is not kept any more")))
    }

    /// The legs of a bundle with what came of them; none if it had no effect, its blocks are not kept any more, or they are
    /// more than an answer holds.
    async fn prove_legs(
        &self,
        executed: &ExecutedHeight,
        id: BundleId,
        BundleRecord { fate, terms, legs, .. }: BundleRecord,
    ) -> RpcResult<Option<LegsProof>> {
        if fate != Fate::Committed {
            return Ok(None);
        }
        // All legs of a rollup are in one block: the one that it made at this height.
        let (mut blocks, mut places) = (BTreeMap::new(), Vec::new());
        for (rollup, hash) in legs {
            let Some((block, index)) = self.transaction_of(rollup, hash).await? else { return Ok(None) };
            let Ok(index) = u32::try_from(index) else { return Ok(None) };
            blocks.insert(rollup, block);
            places.push(LegPlace { rollup, index });
        }
        let executed = executed.clone();
        let prove = move || {
            let blocks: BTreeMap<RollupId, EncodedBlock> =
                blocks.into_iter().map(|(rollup, block)| (rollup, encoded(&block))).collect();
            LegsProof::new(&executed, id, terms, &blocks, places)
        };
        Ok(self.heavy.run(prove).await?.filter(|proof| proof.encode_size() <= LEGS_BYTES_MAX))
    }

    async fn prove(&self, executed: ExecutedHeight, claim: ExecutionClaim, from_epoch: u64) -> RpcResult<HexBytes> {
        let attestation = self.attestation_of(&executed).await?;
        let hand_overs = self.hand_overs(Epoch(from_epoch), attestation.epoch).await?;
        let proof = Proof::Execution(ExecutionProof { outcome: executed.outcome, attestation, claim });
        let file = ProofFile { hand_overs, proof };
        if from_epoch == 0 {
            // Hand-overs come from nodes that are not believed.
            let mut light = Light::new(self.genesis.first_epoch(), self.genesis.parameters().epoch_heights);
            let checked = file.clone();
            let verified = self.heavy.run(move || checked.verify(&mut light).map(drop)).await?;
            verified.map_err(|error| refused(SERVER_ERROR, format!("the nodes gave no proof: {error}")))?;
        }
        Ok(HexBytes(file.encode().to_vec()))
    }

    /// The attestation of a height; asked for if it was not here when later ones came.
    async fn attestation_of(&self, executed: &ExecutedHeight) -> RpcResult<Attestation> {
        let (height, root, domain) = (executed.outcome.height, executed.outcome.root(), executed.outcome.domain);
        let store = Arc::clone(&self.store);
        let kept = self.reads.run(move || store.attestation(height)).await?.map_err(|error| unreadable(&error))?;
        if let Some(attestation) = kept {
            return Ok(attestation);
        }
        for node in self.nodes.iter() {
            let Ok(answer) = node.client.execution_attestations(domain.0, height.0.saturating_sub(1)).await else {
                continue;
            };
            let first = answer.into_iter().next().and_then(|bytes| decode::<Attestation>(bytes.0).ok());
            if let Some(attestation) = first.filter(|it| (it.domain, it.height, it.root) == (domain, height, root)) {
                return Ok(attestation);
            }
        }
        Err(refused(NOT_FOUND, format!("height {height} is executed here, and not attested yet: ask again")))
    }

    async fn hand_overs<const MAX: usize>(&self, from: Epoch, to: Epoch) -> RpcResult<List<HandOver, MAX>> {
        let too_many = || {
            let message = format!(
                "from epoch {from} to {to} there are more hand-overs than a proof file holds; name an epoch that you know as \
                 fromEpoch, and follow chorale_handOver of a sequencer's node to it"
            );
            refused(INVALID_PARAMETERS, message)
        };
        if to.0.saturating_sub(from.0) > MAX as u64 {
            return Err(too_many());
        }
        let (mut hand_overs, mut bytes) = (Vec::new(), 0);
        for epoch in from.0..to.0 {
            let hand_over = self.hand_over(epoch).await?;
            bytes += hand_over.encode_size();
            if bytes > HAND_OVERS_BYTES_MAX {
                return Err(too_many());
            }
            hand_overs.push(hand_over);
        }
        List::new(hand_overs).map_err(|_| too_many())
    }

    async fn hand_over(&self, epoch: u64) -> RpcResult<HandOver> {
        for node in self.nodes.iter() {
            let Ok(answer) = node.client.hand_over(epoch).await else { continue };
            if let Ok(hand_over) = decode(answer.0) {
                return Ok(hand_over);
            }
        }
        Err(refused(SERVER_ERROR, format!("no node of the sequencer gives the hand-over of epoch {epoch}: ask again")))
    }
}

/// A block as its roots commit to it.
pub(crate) fn encoded(block: &Block) -> EncodedBlock {
    EncodedBlock {
        header: alloy_rlp::encode(block.header.inner()),
        transactions: block.transactions.iter().map(|signed| signed.inner().encoded_2718()).collect(),
        receipts: block.receipts.iter().map(|receipt| receipt.encoded_2718()).collect(),
    }
}
