//! Subscriptions to a rollup.
//!
//! Lanes are read from the store, one after the other as the subscriber takes them, so each comes once, in order, and none
//! is left out, however slow it is; and what waits for it in memory is bounded by a few messages. Hints about headers come
//! between them as far as there is room.

use super::{Backend, Places};
use crate::ports::ChainEvent;
use chorale_api::{ErrorCode, HeaderHint, RollupEvent};
use chorale_types::{Height, RollupId};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionSink,
    core::{RpcResult, SubscriptionResult, server::SubscriptionMessage},
};
use std::net::IpAddr;
use tokio::sync::broadcast;

/// Subscriptions of all clients together.
const SUBSCRIPTIONS_MAX: usize = 512;
/// Subscriptions of one client.
const SUBSCRIPTIONS_OF_CLIENT_MAX: usize = 128;

/// Room for the subscriptions of a node.
#[must_use]
pub fn places() -> Places {
    Places::new(SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_OF_CLIENT_MAX)
}

/// Tells a subscriber about a rollup until it goes, or what comes next is pruned.
pub(super) async fn serve(
    backend: &Backend,
    pending: PendingSubscriptionSink,
    client: IpAddr,
    rollup: u64,
    from: Height,
) -> SubscriptionResult {
    let _place = match backend.subscriptions.take(client) {
        Ok(place) => place,
        Err(full) => {
            pending.reject(ErrorCode::Busy.with(format!("subscriptions: {full}"))).await;
            return Ok(());
        }
    };
    let last = Height(from.0.saturating_sub(1));
    // What is wrong with the request is said at once.
    let first = async { backend.content_after(backend.known_rollup(rollup)?, last).await }.await;
    if let Err(error) = first {
        pending.reject(error).await;
        return Ok(());
    }
    let sink = pending.accept().await?;
    let closed = sink.clone();
    tokio::select! {
        () = closed.closed() => Ok(()),
        ended = tell(backend, sink, RollupId(rollup), last) => Ok(ended.map_err(|error| error.to_string())?),
    }
}

async fn tell(backend: &Backend, mut sink: SubscriptionSink, rollup: RollupId, mut last: Height) -> RpcResult<()> {
    let mut attested = backend.attestation.attested();
    let mut events = backend.chain.events.subscribe();
    loop {
        let until = *attested.borrow_and_update();
        while let Some(next) = backend.content_after(rollup, last).await?.filter(|next| *next <= until) {
            let lane = RollupEvent::Lane(backend.lane_at(rollup, next).await?);
            if sink.send(message(&lane)?).await.is_err() {
                return Ok(());
            }
            last = next;
        }
        tokio::select! {
            changed = attested.changed() => if changed.is_err() { return Ok(()) },
            event = events.recv() => match event {
                Ok(event) => if let Some(hint) = hint(&event) {
                    // There may be no room: it is a hint.
                    let _ = sink.try_send(message(&hint)?);
                },
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
        }
    }
}

fn hint(event: &ChainEvent) -> Option<RollupEvent> {
    match event {
        ChainEvent::Proposed { tip } => {
            let (height, view, id) = (tip.header.height.0, tip.header.view.0, tip.header.id().to_string());
            Some(RollupEvent::Proposed(HeaderHint { height, view, id }))
        }
        ChainEvent::Certified { certificate } => {
            let (height, view, id) = (certificate.block.height.0, certificate.view.0, certificate.block.id.to_string());
            Some(RollupEvent::Certified(HeaderHint { height, view, id }))
        }
        _ => None,
    }
}

fn message(event: &RollupEvent) -> RpcResult<SubscriptionMessage> {
    let raw = serde_json::value::to_raw_value(event);
    let raw = raw.map_err(|error| ErrorCode::InvalidParameter.with(format!("an event that is no JSON: {error}")))?;
    Ok(raw.into())
}
