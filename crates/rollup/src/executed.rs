//! What heights became: for validators that attest it, and as proofs for anyone.

use crate::{
    errors::{INVALID_PARAMETERS, NOT_FOUND, SERVER_ERROR, refused},
    lookup::unreadable,
    record::{BundleRecord, Fate},
    server::Server,
    trust::Untrusted,
};
use alloy_eips::eip2718::Encodable2718 as _;
use chorale_api::{ChoraleApiClient as _, EXECUTED_MAX, ExecutionProofsApiServer, ExecutorApiServer, HexBytes};
use chorale_evm::Block;
use chorale_light::{EncodedBlock, ExecutionClaim, ExecutionProof, LegPlace, LegsProof, Proof, ProofFile};
use chorale_types::{
    Attestation, BundleId, Epoch, ExecutedHeight, Height, RollupId,
    codec::{Encode as _, EncodeSize as _, decode},
};
use jsonrpsee::{
    core::{RpcResult, async_trait},
    types::ErrorObjectOwned,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How long a validator may wait for something to attest.
const WAIT_MS_MAX: u64 = 10_000;
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
        let (from, to) = (Epoch(from_epoch), attestation.epoch);
        let hand_overs =
            self.trust.hand_overs(&self.nodes, from, to).await.map_err(|untrusted| unproven(&untrusted, from, to))?;
        let proof = Proof::Execution(ExecutionProof { outcome: executed.outcome, attestation, claim });
        Ok(HexBytes(ProofFile { hand_overs, proof }.encode().to_vec()))
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
            let question = node.client.execution_attestations(domain.0, height.0.saturating_sub(1));
            let Ok(answer) = self.questions.ask(question).await? else { continue };
            let first = answer.into_iter().next().and_then(|bytes| decode::<Attestation>(bytes.0).ok());
            let same = first.filter(|it| (it.domain, it.height, it.root) == (domain, height, root));
            // Nothing leads to an epoch that a node made up; the next node may tell the truth.
            if let Some(attestation) = same
                && self.trust.check(&self.nodes, domain, &attestation).await.unwrap_or(false)
            {
                return Ok(attestation);
            }
        }
        Err(refused(NOT_FOUND, format!("height {height} is executed here, and not attested yet: ask again")))
    }
}

fn unproven(untrusted: &Untrusted, from: Epoch, to: Epoch) -> ErrorObjectOwned {
    match untrusted {
        Untrusted::Missing { epoch, .. } => {
            let message = format!("no node of the sequencer gives a hand-over of epoch {epoch} that holds: ask again");
            refused(SERVER_ERROR, message)
        }
        Untrusted::TooMany => {
            let message = format!(
                "from epoch {from} to {to} there are more hand-overs than a proof file holds; name an epoch that you know as \
                 fromEpoch, and follow chorale_handOver of a sequencer's node to it"
            );
            refused(INVALID_PARAMETERS, message)
        }
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
