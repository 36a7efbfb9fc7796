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
    core::{RpcResult, SubscriptionResult, traits::IdProvider},
    server::RandomIntegerIdProvider,
    types::SubscriptionId,
};
use serde::Serialize;
use serde_json::Value;
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

enum Kind {
    NewHeads,
    Logs(Box<Filter>),
    /// Those that this node takes: whole, or their hashes.
    NewPendingTransactions(bool),
}

impl Kind {
    /// What a subscription of this name is, with what is said about it.
    fn named(name: &str, about: Option<Value>) -> RpcResult<Self> {
        let wrong = |message: String| refused(INVALID_PARAMETERS, message);
        let understood = |error: serde_json::Error| wrong(error.to_string());
        match name {
            "newHeads" => Ok(Self::NewHeads),
            "logs" => {
                let filter = about.map(serde_json::from_value).transpose().map_err(understood)?.unwrap_or_default();
                check_filter(&filter)?;
                Ok(Self::Logs(Box::new(filter)))
            }
            "newPendingTransactions" => {
                let full = about.map(serde_json::from_value).transpose().map_err(understood)?.unwrap_or_default();
                Ok(Self::NewPendingTransactions(full))
            }
            _ => {
                let known = "newHeads, logs and newPendingTransactions";
                Err(wrong(format!("there is no subscription {name:?}; there are {known}")))
            }
        }
    }
}

impl Server {
    pub(crate) async fn serve_subscription(
        &self,
        pending: PendingSubscriptionSink,
        name: &str,
        about: Option<Value>,
    ) -> SubscriptionResult {
        let kind = match Kind::named(name, about) {
            Ok(kind) => kind,
            Err(wrong) => {
                pending.reject(wrong).await;
                return Ok(());
            }
        };
        // Before who subscribes is told that it does: from then on nothing is missed.
        let (mut news, mut taken) = (self.shared.news(), self.taken.listen());
        let sink = pending.accept().await?;
        if let Kind::NewPendingTransactions(full) = kind {
            loop {
                let hash = tokio::select! {
                    () = sink.closed() => return Ok(()),
                    taken = taken.recv() => taken.map_err(|_| "too slow: transactions were missed; subscribe again")?,
                };
                let found = self.read().pending[&self.rollup].get(hash).map(answers::pending);
                match found.filter(|_| full) {
                    Some(transaction) => tell(&sink, &transaction).await?,
                    None if full => {}
                    None => tell(&sink, &hash).await?,
                }
            }
        }
        loop {
            let news = tokio::select! {
                () = sink.closed() => return Ok(()),
                // Who reads too slowly is cut off with an error: it can ask for what it missed.
                news = news.recv() => news.map_err(|_| "too slow: blocks were missed; subscribe again")?,
            };
            let Some(number) = news.get(&self.rollup).copied() else { continue };
            let Some(block) = self.block(number.into()).await? else { continue };
            match &kind {
                Kind::Logs(filter) => {
                    for log in matching(&block, filter) {
                        tell(&sink, &log).await?;
                    }
                }
                Kind::NewHeads | Kind::NewPendingTransactions(_) => tell(&sink, &answers::header(&block)).await?,
            }
        }
    }
}

async fn tell<T: Serialize>(sink: &SubscriptionSink, item: &T) -> SubscriptionResult {
    let message = SubscriptionMessage::from(serde_json::value::to_raw_value(item)?);
    Ok(sink.send_timeout(message, SEND_TIMEOUT).await?)
}
