//! Domains of executed rollups, as the gateway shows them.

use super::{Backend, Pool};
use chorale_api::{
    ChoraleApiClient as _, DomainAnswer, EXECUTION_ATTESTATIONS_MAX, ErrorCode, HexBytes, SuspendedRollup,
};
use chorale_types::{DomainId, Height, codec::Encode as _};
use jsonrpsee::core::RpcResult;

/// What a request to hand on counts for, in bytes.
const HANDED_ON_BYTES: usize = 64;

impl Backend {
    pub(super) async fn attestations_after(&self, domain: u64, after: u64) -> RpcResult<Vec<HexBytes>> {
        let id = DomainId(domain);
        if self.genesis.domain(id).is_none() {
            return Err(ErrorCode::NotFound.with(format!("the chain has no domain {domain} of executed rollups")));
        }
        if let Some(attestations) = self.domains.get(&id) {
            let found = attestations.after(Height(after), EXECUTION_ATTESTATIONS_MAX).await;
            return Ok(found.into_iter().map(|attestation| HexBytes(attestation.encode().to_vec())).collect());
        }
        // Who asks verifies, whoever answers.
        let Pool::Upstream(upstream) = &self.pool else { return Ok(Vec::new()) };
        let ask =
            |node: jsonrpsee::http_client::HttpClient| async move { node.execution_attestations(domain, after).await };
        upstream.ask(HANDED_ON_BYTES, ask).await
    }

    pub(super) async fn all_domains(&self) -> Vec<DomainAnswer> {
        let validators = &self.chain.position.borrow().epoch.validators.clone();
        let standings = self.settlement.standings().borrow().clone();
        let mut answers = Vec::new();
        for domain in self.genesis.domains().iter().map(|domain| domain.id) {
            let attested = match self.domains.get(&domain) {
                Some(attestations) => attestations.latest().await.map(|attestation| attestation.height.0),
                None => None,
            };
            let weight = validators.total_of(domain);
            let quorum = if weight == 0 { 0 } else { validators.quorum_of(domain) };
            let rollups = self.genesis.rollups_of(domain).map(|(rollup, _)| rollup.0).collect();
            let standing = standings.iter().find(|standing| standing.domain == domain);
            let suspended = standing.into_iter().flat_map(|standing| &standing.suspended);
            let suspended = suspended.map(|(rollup, since)| SuspendedRollup { rollup: rollup.0, since: since.0 });
            answers.push(DomainAnswer {
                domain: domain.0,
                rollups,
                weight,
                quorum,
                attested,
                ordered: standing.map_or(0, |standing| standing.attested.0),
                waiting: standing.and_then(|standing| standing.waiting).map(|height| height.0),
                suspended: suspended.collect(),
            });
        }
        answers
    }
}
