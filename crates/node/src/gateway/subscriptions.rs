//! Subscriptions to a rollup.
//!
//! Lanes are read from the store, one after the other as the subscriber takes them, so each comes once, in order, and none
//! is left out, however slow it is. Of all subscriptions of a connection one has a lane in memory at a time, which counts
//! among the node's long answers. Hints about headers come between lanes as far as the subscriber keeps up.
//!
//! Each subscription is a task of its own: half a question that nobody waits for would keep its place among those to the
//! actors.

use super::{
    Backend, Places,
    answers::{LongAnswers, keep},
    places::Place,
};
use crate::{ports::ChainEvent, watch};
use chorale_api::{ErrorCode, HeaderHint, RollupEvent};
use chorale_types::{Height, RollupId};
use jsonrpsee::core::RpcResult;
use serde_json::value::RawValue;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

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
    /// A [`RollupEvent`] as JSON.
    pub(super) event: Box<RawValue>,
    /// Of the connection, and of the node: given back when the event is written.
    _room: Option<(OwnedSemaphorePermit, Place)>,
}

/// What a subscriber is told, ending with an error if what comes next is pruned, and without one if the node stops.
pub(super) type Events = ReceiverStream<RpcResult<Told>>;

/// Who subscribes.
pub(super) struct Subscriber {
    pub(super) client: IpAddr,
    /// Of its connection: one for a lane in memory.
    pub(super) turns: Arc<Semaphore>,
    pub(super) long: LongAnswers,
}

/// Subscribes a client to a rollup from a height on.
///
/// # Errors
///
/// There is no place, no such rollup, or what is asked for is pruned.
pub(super) async fn subscribe(
    backend: &Backend,
    subscriber: Subscriber,
    rollup: u64,
    from: Height,
) -> RpcResult<Events> {
    let place = backend.subscriptions.take(subscriber.client);
    let place = place.map_err(|full| ErrorCode::Busy.with(format!("subscriptions: {full}")))?;
    let rollup = backend.known_rollup(rollup)?;
    let last = Height(from.0.saturating_sub(1));
    // What is wrong with the request is said at once.
    backend.content_after(rollup, last).await?;
    let mut subscription = Subscription {
        attested: backend.attestation.attested(),
        hints: backend.chain.events.subscribe(),
        backend: backend.clone(),
        rollup,
        last,
        subscriber,
        _place: place,
    };
    let (told, events) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = told.closed() => {}
            () = subscription.run(&told) => {}
        }
    });
    Ok(ReceiverStream::new(events))
}

struct Subscription {
    backend: Backend,
    rollup: RollupId,
    /// The height of the last lane that was told.
    last: Height,
    attested: watch::Receiver<Height>,
    hints: broadcast::Receiver<ChainEvent>,
    subscriber: Subscriber,
    _place: Place,
}

impl Subscription {
    async fn run(&mut self, told: &mpsc::Sender<RpcResult<Told>>) {
        while let Some(next) = self.next().await.transpose() {
            let is_end = next.is_err();
            if told.send(next).await.is_err() || is_end {
                return;
            }
        }
    }

    /// None if the node stops.
    async fn next(&mut self) -> RpcResult<Option<Told>> {
        loop {
            let until = *self.attested.borrow_and_update();
            let next = self.backend.content_after(self.rollup, self.last).await?;
            if let Some(next) = next.filter(|next| *next <= until) {
                return self.lane(next).await;
            }
            tokio::select! {
                changed = self.attested.changed() => if changed.is_err() { return Ok(None) },
                event = self.hints.recv() => match event {
                    Ok(event) => if let Some(event) = hint(&event) {
                        return Ok(Some(Told { event: json(&event)?, _room: None }));
                    },
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                },
            }
        }
    }

    /// The lane of the next height with content.
    async fn lane(&mut self, height: Height) -> RpcResult<Option<Told>> {
        let Ok(turn) = self.subscriber.turns.clone().acquire_owned().await else { return Ok(None) };
        let Ok(mut place) = self.subscriber.long.wait(self.subscriber.client, Duration::MAX).await else {
            return Ok(None);
        };
        let lane = self.backend.lane_at(self.rollup, height).await?;
        self.last = height;
        let event = json(&RollupEvent::Lane(lane))?;
        keep(&mut place, event.get().len());
        Ok(Some(Told { event, _room: Some((turn, place)) }))
    }
}

fn json(event: &RollupEvent) -> RpcResult<Box<RawValue>> {
    serde_json::value::to_raw_value(event)
        .map_err(|error| ErrorCode::InvalidParameter.with(format!("an event that is no JSON: {error}")))
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
