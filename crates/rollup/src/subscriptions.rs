//! `eth_subscribe`.

use crate::{
    answers,
    errors::{INVALID_PARAMETERS, refused},
    logs::{check_filter, matching},
    server::Server,
};
use alloy_rpc_types_eth::Filter;
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionMessage, SubscriptionSink,
    core::{SubscriptionResult, traits::IdProvider},
    server::RandomIntegerIdProvider,
    types::SubscriptionId,
};
use serde::Serialize;
use std::time::Duration;

/// Who does not read for so long is cut off.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Names subscriptions in hexadecimal digits, as Ethereum's clients expect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        match RandomIntegerIdProvider.next_id() {
            SubscriptionId::Num(number) => SubscriptionId::Str(format!("{number:#x}").into()),
            text @ SubscriptionId::Str(_) => text,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    NewHeads,
    Logs,
}

impl Server {
    pub(crate) async fn serve_subscription(
        &self,
        pending: PendingSubscriptionSink,
        kind: &str,
        filter: Option<Filter>,
    ) -> SubscriptionResult {
        let filter = filter.unwrap_or_default();
        let kind = match kind {
            "newHeads" => Kind::NewHeads,
            "logs" => Kind::Logs,
            _ => {
                let message = format!("there is no subscription {kind:?}; there are newHeads and logs");
                pending.reject(refused(INVALID_PARAMETERS, message)).await;
                return Ok(());
            }
        };
        if let Err(too_long) = check_filter(&filter) {
            pending.reject(too_long).await;
            return Ok(());
        }
        let mut news = self.shared.news();
        let sink = pending.accept().await?;
        loop {
            let news = tokio::select! {
                () = sink.closed() => return Ok(()),
                // Who reads too slowly is cut off with an error: it can ask for what it missed.
                news = news.recv() => news.map_err(|_| "too slow: blocks were missed; subscribe again")?,
            };
            let Some(number) = news.get(&self.rollup).copied() else { continue };
            let Some(block) = self.block(number.into()).await? else { continue };
            match kind {
                Kind::NewHeads => tell(&sink, &answers::header(&block)).await?,
                Kind::Logs => {
                    for log in matching(&block, &filter) {
                        tell(&sink, &log).await?;
                    }
                }
            }
        }
    }
}

async fn tell<T: Serialize>(sink: &SubscriptionSink, item: &T) -> SubscriptionResult {
    let message = SubscriptionMessage::from(serde_json::value::to_raw_value(item)?);
    Ok(sink.send_timeout(message, SEND_TIMEOUT).await?)
}
