//! The rollups that execute the load, as their node serves them.

use crate::rpc::{Endpoint, answered};
use anyhow::{Context as _, Result, ensure};
use chorale_types::{ChainId, Digest, DomainId, RollupId};
use jsonrpsee::{core::client::ClientT as _, rpc_params};
use serde::Deserialize;

/// A rollup.
#[derive(Clone, Debug)]
pub(crate) struct Rollup {
    /// Its id, which is its chain id.
    pub(crate) id: RollupId,
    /// Its JSON-RPC.
    pub(crate) endpoint: Endpoint,
}

/// A domain of rollups.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    /// The sequencers' chain.
    pub(crate) chain: ChainId,
    /// Which domain.
    pub(crate) id: DomainId,
    /// The last height executed.
    pub(crate) height: u64,
    /// Its rollups, at least one.
    pub(crate) rollups: Vec<Rollup>,
}

/// What `chorale_chain` answers.
#[derive(Clone, Debug, Deserialize)]
struct ChainAnswer {
    chain: String,
    domain: u64,
    height: u64,
    rollups: Vec<RollupAnswer>,
}

#[derive(Clone, Debug, Deserialize)]
struct RollupAnswer {
    rollup: u64,
    url: Option<String>,
}

async fn ask(endpoint: &Endpoint) -> Result<ChainAnswer> {
    answered(endpoint, endpoint.client.request("chorale_chain", rpc_params![]).await)
}

/// The last height that the node of a rollup has executed.
pub(crate) async fn executed_height(endpoint: &Endpoint) -> Result<u64> {
    Ok(ask(endpoint).await?.height)
}

impl Domain {
    /// The domain of a rollup.
    ///
    /// # Errors
    ///
    /// Its node does not answer, or does not say where the others are.
    pub(crate) async fn of(rollup: &Endpoint) -> Result<Self> {
        let ChainAnswer { chain, domain, height, rollups } = ask(rollup).await?;
        let mut digest = [0; 32];
        hex::decode_to_slice(chain.trim_start_matches("0x"), &mut digest)
            .with_context(|| format!("{}: the chain is {chain}, and should be 32 bytes", rollup.url))?;
        let rollups = rollups.into_iter().map(|RollupAnswer { rollup: id, url }| {
            let url = url.with_context(|| format!("{} does not say where rollup {id} is served", rollup.url))?;
            Ok(Rollup { id: RollupId(id), endpoint: Endpoint::new(format!("rollup {id}"), url)? })
        });
        let rollups: Vec<Rollup> = rollups.collect::<Result<_>>()?;
        ensure!(!rollups.is_empty(), "{} names no rollup", rollup.url);
        Ok(Self { chain: ChainId(Digest::from(digest)), id: DomainId(domain), height, rollups })
    }
}
