//! Subscriptions to a rollup.
//!
//! Lanes are read from the store, one after the other as the subscriber takes them, so each comes once, in order, and none
//! is left out, however slow it is. Of all subscriptions of a connection one has a lane in memory at a time. Hints about
//! headers come between lanes as far as the subscriber keeps up.

use super::{Backend, Places, places::Place};
use crate::{ports::ChainEvent, watch};
use chorale_api::{ErrorCode, HeaderHint, RollupEvent};
use chorale_types::{Height, RollupId};
use futures::{
    StreamExt as _,
    stream::{BoxStream, unfold},
};
use jsonrpsee::core::RpcResult;
use std::{net::IpAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

/// Subscriptions of all clients together.
const SUBSCRIPTIONS_MAX: usize = 512;
/// Subscriptions of one client.
const SUBSCRIPTIONS_OF_CLIENT_MAX: usize = 128;

/// Room for the subscriptions of a node.
#[must_use]
pub fn places() -> Places {
    Places::new(SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_OF_CLIENT_MAX)
}

/// Something that a subscriber is told.
pub(super) struct Told {
    pub(super) event: RollupEvent,
    /// Of the connection: given back when the event is written.
    _turn: Option<OwnedSemaphorePermit>,
}

/// What a subscriber is told, ending with an error if what comes next is pruned, and without one if the node stops.
pub(super) type Events = BoxStream<'static, RpcResult<Told>>;

/// Subscribes a client to a rollup from a height on. `turns`: of its connection, one for a lane in memory.
///
/// # Errors
///
/// There is no place, no such rollup, or what is asked for is pruned.
pub(super) async fn subscribe(
    backend: &Backend,
    client: IpAddr,
    turns: Arc<Semaphore>,
    rollup: u64,
    from: Height,
) -> RpcResult<Events> {
    let place = backend.subscriptions.take(client);
    let place = place.map_err(|full| ErrorCode::Busy.with(format!("subscriptions: {full}")))?;
    let rollup = backend.known_rollup(rollup)?;
    let last = Height(from.0.saturating_sub(1));
    // What is wrong with the request is said at once.
    backend.content_after(rollup, last).await?;
    let subscription = Subscription {
        attested: backend.attestation.attested(),
        hints: backend.chain.events.subscribe(),
        backend: backend.clone(),
        rollup,
        last,
        turns,
        _place: place,
    };
    let told = unfold(Some(subscription), |subscription| async {
        let mut subscription = subscription?;
        match subscription.next().await.transpose()? {
            Ok(told) => Some((Ok(told), Some(subscription))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(told.boxed())
}

struct Subscription {
    backend: Backend,
    rollup: RollupId,
    /// The height of the last lane that was told.
    last: Height,
    attested: watch::Receiver<Height>,
    hints: broadcast::Receiver<ChainEvent>,
    turns: Arc<Semaphore>,
    _place: Place,
}

impl Subscription {
    /// None if the node stops.
    async fn next(&mut self) -> RpcResult<Option<Told>> {
        loop {
            let until = *self.attested.borrow_and_update();
            let next = self.backend.content_after(self.rollup, self.last).await?;
            if let Some(next) = next.filter(|next| *next <= until) {
                let Ok(turn) = self.turns.clone().acquire_owned().await else { return Ok(None) };
                let lane = self.backend.lane_at(self.rollup, next).await?;
                self.last = next;
                return Ok(Some(Told { event: RollupEvent::Lane(lane), _turn: Some(turn) }));
            }
            tokio::select! {
                changed = self.attested.changed() => if changed.is_err() { return Ok(None) },
                event = self.hints.recv() => match event {
                    Ok(event) => if let Some(event) = hint(&event) {
                        return Ok(Some(Told { event, _turn: None }));
                    },
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                },
            }
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
