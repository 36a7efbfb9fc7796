//! The `chorale_` namespace: bundles that execute as a whole.

use crate::{
    admission::{submit_to_some, told},
    answers,
    building::{AskedBundle, BuiltBundle},
    errors::{INVALID_PARAMETERS, NOT_FOUND, SERVER_ERROR, refused},
    record::{BundleRecord, Fate},
    server::Server,
};
use alloy_primitives::{Address, Bytes, TxHash, U64, U128};
use alloy_rpc_types_eth::TransactionReceipt;
use chorale_api::{BundleRequest, ChoraleApiClient as _, ErrorCode, ExecutionRequest, HexBytes};
use chorale_evm::{AbortReason, Block, BoundLeg, Marker, RawLeg, Terms, binding, recover, simulate};
use chorale_types::{
    AccountId, AccountSignature, Bundle, BundleId, DomainId, Execution, Height, PaidExecution, Promise, RollupId,
    Transaction,
    codec::{Blob, List},
    limits::{BUNDLE_LEGS_MAX, TRANSACTION_BYTES_MAX},
};
use jsonrpsee::{
    core::{RpcResult, async_trait, client::Error as ClientError},
    http_client::HttpClient,
    proc_macros::rpc,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// So many of the last bundles are told to who watches.
const RECENT_MAX: usize = 16;

/// A bundle, as who sends it writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SentBundle {
    /// The domain of its rollups.
    domain: u64,
    /// The signed legs, in the order in which they execute.
    legs: Vec<SentLeg>,
    /// Who pays.
    payer: Address,
    /// Wei that the payer pays at most.
    max_fee: U128,
    /// The last height of the sequencer at which it may be ordered.
    expiry: u64,
    /// Makes equal content distinct.
    #[serde(default)]
    salt: U64,
    /// Counts from 0: how often it was found unplaced before.
    #[serde(default)]
    attempt: u32,
    /// The payer's signature over the bundle's id and the chain; not needed to simulate.
    #[serde(default)]
    signature: Bytes,
}

/// One of its legs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SentLeg {
    /// The rollup.
    rollup: u64,
    /// The signed transaction (EIP-2718).
    data: Bytes,
}

/// Where the domain is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChainAnswer {
    /// The sequencers' chain.
    chain: String,
    /// The domain.
    domain: u64,
    /// The last height executed.
    height: u64,
    /// Its rollups.
    rollups: Vec<RollupAnswer>,
}

/// A rollup of the domain.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RollupAnswer {
    /// Its id.
    rollup: u64,
    /// Where this node serves it.
    url: Option<String>,
}

/// Where a bundle is, or how it ended.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct BundleStatus {
    /// A state of the sequencer, or `executed`, `aborted`, `unplaced`.
    state: String,
    /// The height at which it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    /// Why it has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The leg that failed, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<u8>,
    /// Of an aborted one: whether its legs can never take effect. If not, they were put together otherwise than they were
    /// signed, and may still be ordered as they were, until their bundle expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    burnt: Option<bool>,
    /// Whether validators attest what became of it; only if it was executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    attested: Option<bool>,
}

/// What became of one of the last bundles.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RecentBundle {
    /// The bundle.
    id: String,
    /// The rollups of its legs, in order.
    rollups: Vec<u64>,
    #[serde(flatten)]
    status: BundleStatus,
}

/// A bundle that was executed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BundleReceipt {
    #[serde(flatten)]
    status: BundleStatus,
    /// Its legs, in order.
    legs: Vec<LegReceipt>,
}

/// A leg of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LegReceipt {
    /// The rollup.
    rollup: u64,
    /// The transaction.
    transaction_hash: TxHash,
    /// Its receipt; none if the bundle has no effect.
    receipt: Option<TransactionReceipt>,
}

/// What would come of a bundle now.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Simulated {
    #[serde(flatten)]
    status: BundleStatus,
    /// Results of its legs, if all succeed.
    legs: Vec<SimulatedLeg>,
}

/// What would come of a leg.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SimulatedLeg {
    gas_used: U64,
    output: Bytes,
}

/// `chorale_`.
#[rpc(server, namespace = "chorale")]
pub(crate) trait Bundles {
    /// The sequencers' chain, the domain, and its rollups.
    #[method(name = "chain")]
    fn chain(&self) -> RpcResult<ChainAnswer>;

    /// Checks what can be checked without executing, and hands the bundle to the sequencer. Answers its id when it is in the
    /// shared pool, durably.
    #[method(name = "sendBundle")]
    async fn send_bundle(&self, bundle: SentBundle) -> RpcResult<String>;

    /// What would come of the bundle after the last blocks. Nothing is sent, and no payer has to sign.
    #[method(name = "simulateBundle")]
    async fn simulate_bundle(&self, bundle: SentBundle) -> RpcResult<Simulated>;

    /// Completes the legs of a bundle with nonces, gas, fees and the binding, so that they need nothing but signatures.
    #[method(name = "buildBundle")]
    async fn build_bundle(&self, bundle: AskedBundle) -> RpcResult<BuiltBundle>;

    /// Where a bundle is.
    #[method(name = "bundleStatus")]
    async fn bundle_status(&self, id: String) -> RpcResult<BundleStatus>;

    /// What became of the last bundles, the newest first; at most 16.
    #[method(name = "recentBundles")]
    fn recent_bundles(&self) -> RpcResult<Vec<RecentBundle>>;

    /// What came of a bundle, with the receipts of its legs; null before it is executed.
    #[method(name = "bundleReceipt")]
    async fn bundle_receipt(&self, id: String) -> RpcResult<Option<BundleReceipt>>;
}

#[async_trait]
impl BundlesServer for Server {
    fn chain(&self) -> RpcResult<ChainAnswer> {
        let published = self.read();
        let answer = |rollup: &RollupId| RollupAnswer { rollup: rollup.0, url: self.urls.get(rollup).cloned() };
        Ok(ChainAnswer {
            chain: self.chain.to_string(),
            domain: published.domain.0,
            height: published.height.0,
            rollups: published.rollups.keys().map(answer).collect(),
        })
    }

    async fn send_bundle(&self, sent: SentBundle) -> RpcResult<String> {
        let server = self.clone();
        let request = self.heavy.run(move || server.checked(&sent)).await??;
        let (id, request) = request;
        let submit = |client: HttpClient| {
            let request = request.clone();
            async move { client.submit_bundle(request).await }
        };
        submit_to_some(&self.nodes, submit).await?;
        Ok(id.to_string())
    }

    async fn simulate_bundle(&self, sent: SentBundle) -> RpcResult<Simulated> {
        check_count(sent.legs.len())?;
        let chains: BTreeMap<RollupId, _> = {
            let published = self.read();
            published.rollups.iter().map(|(rollup, blocks)| (*rollup, Arc::clone(blocks.latest()))).collect()
        };
        let terms = self.terms(&sent);
        if let Some(leg) = sent.legs.iter().find(|leg| !chains.contains_key(&RollupId(leg.rollup))) {
            return Err(refused(INVALID_PARAMETERS, format!("rollup {} is none of this domain", leg.rollup)));
        }
        self.heavy
            .run(move || {
                let legs: Vec<RawLeg<'_>> = sent.legs.iter().map(|leg| (RollupId(leg.rollup), &leg.data[..])).collect();
                match simulate(&chains, &terms, &legs) {
                    Ok(done) => Simulated {
                        status: BundleStatus { state: "executed".to_owned(), ..BundleStatus::default() },
                        legs: done.into_iter().map(|(_, result)| simulated(result)).collect(),
                    },
                    Err((leg, reason)) => {
                        let status = aborted(leg, reason.to_string(), reason.burns());
                        Simulated { status, legs: Vec::new() }
                    }
                }
            })
            .await
    }

    async fn build_bundle(&self, asked: AskedBundle) -> RpcResult<BuiltBundle> {
        self.built(asked).await
    }

    async fn bundle_status(&self, id: String) -> RpcResult<BundleStatus> {
        let bundle = parsed(&id)?;
        if let Some(record) = self.bundle(bundle).await? {
            return Ok(status_of(&record, self.read().attested));
        }
        let mut failed = refused(SERVER_ERROR, "no node is left");
        for node in self.nodes.iter() {
            match self.questions_of_bundles.ask(node.client.bundle_status(id.clone())).await? {
                Ok(status) => {
                    let state = serde_json::to_value(status.state).ok();
                    let state = state.and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default();
                    // It may have been ordered only to be inclusive; then nothing more comes.
                    return Ok(BundleStatus {
                        state,
                        height: status.height,
                        reason: status.reason,
                        ..BundleStatus::default()
                    });
                }
                Err(ClientError::Call(error)) if error.code() == ErrorCode::NotFound.code() => {
                    failed = refused(NOT_FOUND, error.message().to_owned());
                }
                Err(error) => failed = refused(SERVER_ERROR, told(&node.url, &error)),
            }
        }
        Err(failed)
    }

    fn recent_bundles(&self) -> RpcResult<Vec<RecentBundle>> {
        let published = self.read();
        let recent =
            published.recent.iter().rev().take(RECENT_MAX).filter_map(|id| Some((id, published.bundles.get(id)?)));
        let answer = |(id, record): (&BundleId, &BundleRecord)| RecentBundle {
            id: id.to_string(),
            rollups: record.legs.iter().map(|(rollup, _)| rollup.0).collect(),
            status: status_of(record, published.attested),
        };
        Ok(recent.map(answer).collect())
    }

    async fn bundle_receipt(&self, id: String) -> RpcResult<Option<BundleReceipt>> {
        let Some(record) = self.bundle(parsed(&id)?).await? else { return Ok(None) };
        let mut found = Vec::new();
        for (rollup, hash) in &record.legs {
            found.push(match record.fate {
                Fate::Committed => self.transaction_of(*rollup, *hash).await?,
                _ => None,
            });
        }
        let attested = self.read().attested;
        let receipt = move || {
            let leg = |((rollup, hash), found): (&(RollupId, TxHash), Option<(Arc<Block>, usize)>)| {
                let receipt = found.map(|(block, index)| answers::receipt(&block, index));
                LegReceipt { rollup: rollup.0, transaction_hash: *hash, receipt }
            };
            BundleReceipt {
                status: status_of(&record, attested),
                legs: record.legs.iter().zip(found).map(leg).collect(),
            }
        };
        self.heavy.run(receipt).await.map(Some)
    }
}

impl Server {
    fn terms(&self, sent: &SentBundle) -> Terms {
        Terms {
            chain: self.chain,
            domain: DomainId(sent.domain),
            payer: AccountId(sent.payer.into_array()),
            max_fee: sent.max_fee.to(),
            expiry: Height(sent.expiry),
            salt: sent.salt.to(),
        }
    }

    /// A bundle that has a chance, and the request that submits it.
    fn checked(&self, sent: &SentBundle) -> RpcResult<(BundleId, BundleRequest)> {
        let invalid = |message: String| refused(INVALID_PARAMETERS, message);
        check_count(sent.legs.len())?;
        let terms = self.terms(sent);
        let mut known = Vec::new();
        let mut markers = Vec::new();
        for (position, leg) in sent.legs.iter().enumerate() {
            let wrong = |reason: &dyn std::fmt::Display| invalid(format!("legs[{position}]: {reason}"));
            let signed = recover(&leg.data, leg.rollup).map_err(|error| wrong(&error))?;
            let reason = AbortReason::Type(signed.inner().tx_type() as u8);
            known.push(BoundLeg::of(RollupId(leg.rollup), &signed).ok_or_else(|| wrong(&reason))?);
            markers.push(signed.marker());
        }
        let expected = binding(&terms, &known);
        if let Some(position) = markers.iter().position(|marker| *marker != Marker::Leg(expected)) {
            let reason = AbortReason::Binding;
            return Err(invalid(format!("legs[{position}]: {reason}, which is 0x{expected}")));
        }
        let signature: [u8; AccountSignature::BYTES] = sent.signature.as_ref().try_into().map_err(|_| {
            invalid(format!("signature: must be r, s and v in 65 bytes, not {} bytes", sent.signature.len()))
        })?;
        let execution =
            Execution { domain: terms.domain, payer: terms.payer, max_fee: terms.max_fee, attempt: sent.attempt };
        let promise = Promise::Execution(PaidExecution { execution, signature: AccountSignature(signature) });
        let leg = |leg: &SentLeg| {
            Some(Transaction { rollup: RollupId(leg.rollup), data: Blob::new(leg.data.to_vec()).ok()? })
        };
        let legs = sent.legs.iter().map(leg).collect::<Option<Vec<_>>>().and_then(|legs| List::new(legs).ok());
        let legs = legs.ok_or_else(|| invalid(format!("legs: each has at most {TRANSACTION_BYTES_MAX} bytes")))?;
        let bundle = Bundle { promise, legs, expiry: terms.expiry, salt: terms.salt };
        let (domain, rollups) = {
            let published = self.read();
            (published.domain, published.rollups.keys().copied().collect::<BTreeSet<RollupId>>())
        };
        let domain_of = |rollup| rollups.contains(&rollup).then_some(domain);
        let id = bundle.id();
        promise.check(self.chain, id, &bundle.legs, domain_of).map_err(|error| invalid(error.to_string()))?;
        Ok((id, request(sent, &terms)))
    }
}

/// Before anything is computed.
pub(crate) fn check_count(legs: usize) -> RpcResult<()> {
    if !(1..=BUNDLE_LEGS_MAX).contains(&legs) {
        let message = format!("legs: a bundle has 1 to {BUNDLE_LEGS_MAX}, not {legs}");
        return Err(refused(INVALID_PARAMETERS, message));
    }
    Ok(())
}

fn request(sent: &SentBundle, terms: &Terms) -> BundleRequest {
    let leg = |leg: &SentLeg| chorale_api::TransactionRequest { rollup: leg.rollup, data: HexBytes(leg.data.to_vec()) };
    BundleRequest {
        legs: sent.legs.iter().map(leg).collect(),
        expiry: terms.expiry.0,
        salt: terms.salt,
        execution: Some(ExecutionRequest {
            domain: terms.domain.0,
            payer: HexBytes(terms.payer.0.to_vec()),
            max_fee: terms.max_fee.to_string(),
            attempt: sent.attempt,
            signature: HexBytes(sent.signature.to_vec()),
        }),
    }
}

fn parsed(id: &str) -> RpcResult<BundleId> {
    id.parse().map_err(|error| refused(INVALID_PARAMETERS, format!("id: {error}")))
}

fn status_of(record: &BundleRecord, attested: Height) -> BundleStatus {
    let status = match &record.fate {
        Fate::Committed => BundleStatus { state: record.fate.name().to_owned(), ..BundleStatus::default() },
        Fate::Aborted { leg, reason, burns, .. } => aborted(*leg, reason.clone(), *burns),
        Fate::Unplaced { rollup } => BundleStatus {
            state: record.fate.name().to_owned(),
            reason: Some(format!(
                "rollup {rollup} had not enough gas left at this height; send it again as attempt + 1"
            )),
            ..BundleStatus::default()
        },
    };
    BundleStatus { height: Some(record.height.0), attested: Some(record.height <= attested), ..status }
}

fn aborted(leg: Option<u8>, reason: String, burnt: bool) -> BundleStatus {
    BundleStatus {
        state: "aborted".to_owned(),
        reason: Some(reason),
        leg,
        burnt: Some(burnt),
        ..BundleStatus::default()
    }
}

fn simulated(result: chorale_evm::ExecutionResult) -> SimulatedLeg {
    SimulatedLeg { gas_used: U64::from(result.tx_gas_used()), output: result.into_output().unwrap_or_default() }
}
