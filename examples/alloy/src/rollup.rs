//! A rollup that an application talks to.

use crate::bundle::{Bundle, SignedLeg};
use alloy_network::EthereumWallet;
use alloy_primitives::{B256, TxHash};
use alloy_provider::{DynProvider, Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

/// How long a step may take at most.
pub const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// States that a bundle does not leave any more.
const FINAL: [&str; 7] = ["executed", "aborted", "unplaced", "skipped", "expired", "evicted", "rejected"];
/// Errors of a node that has not heard of a bundle yet: NotFound and NotYet.
const UNKNOWN_YET: [i64; 2] = [-32053, -32055];

/// A rollup with whoever signs for the application.
#[derive(Clone, Debug)]
pub struct Rollup {
    /// What it is called in what the examples print.
    pub name: &'static str,
    /// Where it is.
    pub url: String,
    /// Its chain id.
    pub id: u64,
    /// alloy's own, which signs by itself what is sent for the accounts that it was given.
    pub provider: DynProvider,
}

/// The chain that a rollup's node follows.
#[derive(Clone, Debug, Deserialize)]
pub struct ChainStatus {
    /// Its id.
    pub chain: B256,
    /// The domain of the rollups.
    pub domain: u64,
    /// The last height that was executed.
    pub height: u64,
    /// The rollups of the domain.
    pub rollups: Vec<Served>,
}

/// A rollup of the domain.
#[derive(Clone, Debug, Deserialize)]
pub struct Served {
    /// Its chain id.
    pub rollup: u64,
}

/// What a node knows of a bundle.
#[derive(Clone, Debug, Deserialize)]
pub struct BundleStatus {
    /// Where it stands.
    pub state: String,
    /// The height at which it was ordered.
    pub height: Option<u64>,
    /// Why it has no effect.
    pub reason: Option<String>,
    /// The leg whose doing that is.
    pub leg: Option<u8>,
}

impl Rollup {
    /// Connects to the JSON-RPC at a URL.
    ///
    /// # Errors
    ///
    /// No rollup answers there.
    pub async fn connect(name: &'static str, url: &str, signers: &[PrivateKeySigner]) -> Result<Self> {
        let mut wallet = EthereumWallet::default();
        for signer in signers {
            wallet.register_signer(signer.clone());
        }
        let parsed = url.parse().map_err(|error| anyhow!("{url} is no URL: {error}"))?;
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(parsed).erased();
        provider.client().set_poll_interval(POLL_INTERVAL);
        let id = provider.get_chain_id().await.with_context(|| format!("no rollup answers at {url}"))?;
        Ok(Self { name, url: url.to_owned(), id, provider })
    }

    /// The chain that its node follows.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn chain_status(&self) -> Result<ChainStatus> {
        Ok(self.provider.raw_request("chorale_chain".into(), ()).await?)
    }

    /// Sends a bundle.
    ///
    /// # Errors
    ///
    /// The node refuses it, or names it otherwise.
    pub async fn send_bundle(&self, bundle: &Bundle) -> Result<()> {
        let id: B256 = self.provider.raw_request("chorale_sendBundle".into(), [bundle.to_json()]).await?;
        ensure!(id == bundle.id, "the node says that the bundle {} is {id}", bundle.id);
        Ok(())
    }

    /// Waits until a bundle is in one of its last states; `told` hears of every change.
    ///
    /// # Errors
    ///
    /// The node does not answer, or it takes too long.
    pub async fn wait_for_bundle(&self, id: B256, mut told: impl FnMut(&BundleStatus)) -> Result<BundleStatus> {
        let deadline = Instant::now() + TIMEOUT;
        let mut state = "unknown to the node".to_owned();
        loop {
            let answer = self.provider.raw_request::<_, BundleStatus>("chorale_bundleStatus".into(), [id]).await;
            match answer {
                Ok(status) => {
                    if status.state != state {
                        told(&status);
                        state.clone_from(&status.state);
                    }
                    if FINAL.contains(&state.as_str()) {
                        return Ok(status);
                    }
                }
                Err(error) if error.as_error_resp().is_some_and(|said| UNKNOWN_YET.contains(&said.code)) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() >= deadline {
                bail!("after {} s the bundle {id} is still {state}", TIMEOUT.as_secs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The receipt of a transaction that is in a block, if it is.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn receipt(&self, hash: TxHash) -> Result<Option<TransactionReceipt>> {
        Ok(self.provider.get_transaction_receipt(hash).await?)
    }
}

/// The receipts of legs, each on its rollup: all or none.
///
/// # Errors
///
/// A node does not answer.
pub async fn receipts(rollups: [&Rollup; 2], legs: &[SignedLeg]) -> Result<Vec<Option<TransactionReceipt>>> {
    let of_leg = legs.iter().map(|leg| {
        let rollup = rollups.into_iter().find(|rollup| rollup.id == leg.rollup);
        async move { rollup.context("a leg for another rollup")?.receipt(leg.hash).await }
    });
    futures::future::try_join_all(of_leg).await
}
