//! Watches the executed rollups through their node.

use super::layout::Layout;
use crate::table::Table;
use anyhow::{Context as _, Result};
use chorale_rollup::RollupConfig;
use jsonrpsee::{
    core::client::ClientT as _,
    http_client::{HttpClient, HttpClientBuilder},
    rpc_params,
};
use serde::Deserialize;
use std::time::Duration;

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Bundles that are shown.
const BUNDLES_SHOWN: usize = 5;

/// A rollup as its node serves it.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// Where.
    pub(crate) url: String,
    client: HttpClient,
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct RecentBundle {
    id: String,
    rollups: Vec<u64>,
    state: String,
    height: Option<u64>,
    reason: Option<String>,
}

/// The rollups at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct RollupsFrame {
    /// Chain id and number of the last block, by rollup; none of those that do not answer.
    pub(crate) blocks: Vec<Option<(u64, u64)>>,
    /// The last bundles, the newest first.
    pub(crate) bundles: Vec<RecentBundle>,
}

/// The executed rollups of a network; none if it has none.
pub(crate) fn served(layout: &Layout) -> Result<Vec<Served>> {
    if !layout.has_rollups() {
        return Ok(Vec::new());
    }
    let config = RollupConfig::read(&layout.rollup_config())?;
    let served = config.rollups.iter().map(|rollup| {
        let url = format!("http://{}", rollup.listen);
        let client = HttpClientBuilder::default().request_timeout(ASK_TIMEOUT).build(&url);
        Ok(Served { client: client.with_context(|| format!("{url} is no URL"))?, url })
    });
    served.collect()
}

/// Asks all of them.
pub(crate) async fn look(served: &[Served]) -> RollupsFrame {
    let mut frame = RollupsFrame::default();
    for rollup in served {
        frame.blocks.push(rollup.block().await);
    }
    if let Some(first) = served.first() {
        frame.bundles = first.client.request("chorale_recentBundles", rpc_params![]).await.unwrap_or_default();
    }
    frame
}

impl Served {
    async fn block(&self) -> Option<(u64, u64)> {
        let chain: String = self.client.request("eth_chainId", rpc_params![]).await.ok()?;
        let block: String = self.client.request("eth_blockNumber", rpc_params![]).await.ok()?;
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        Some((number(&chain)?, number(&block)?))
    }
}

/// The lines of the live view.
pub(crate) fn draw(served: &[Served], frame: &RollupsFrame) -> String {
    if served.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["executed", "json-rpc", "block"]);
    for (rollup, block) in served.iter().zip(&frame.blocks) {
        let (chain, block) = match block {
            Some((chain, block)) => (chain.to_string(), block.to_string()),
            None => ("-".to_owned(), "does not answer yet".to_owned()),
        };
        table.row([chain, rollup.url.clone(), block]);
    }
    let mut text = format!("\n{table}");
    if !frame.bundles.is_empty() {
        let mut table = Table::new(&["bundle", "rollups", "height", "outcome"]);
        for bundle in frame.bundles.iter().take(BUNDLES_SHOWN) {
            let rollups: Vec<String> = bundle.rollups.iter().map(u64::to_string).collect();
            let outcome = match &bundle.reason {
                Some(reason) => format!("{}: {reason}", bundle.state),
                None => bundle.state.clone(),
            };
            let height = bundle.height.map_or_else(String::new, |height| height.to_string());
            let id = bundle.id.get(..14).unwrap_or(&bundle.id).to_owned();
            table.row([id, rollups.join(", "), height, outcome]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}
