//! The proposer actor, and what consensus takes from it.

use super::{
    Config, Exclusion, Leave, Pool, Selection,
    shelf::{Shelf, Slot},
    timing::Timing,
};
use crate::{
    dispersal::{self, NotCertified, keys::assignment_of},
    ports::{ChainEvent, ChainHandle, Content as Answer, ContentSource, Position},
    runtime::Context,
};
use chorale_dispersal::{Assignment, Sealed, seal};
use chorale_types::{
    AvailabilityCertificate, BlockReference, BuilderId, ENTRY_OVERHEAD_BYTES, Epoch, EpochInfo, Height, Manifest,
    Payload, PayloadUnit, TimestampMs, View, limits::PAYLOAD_ENTRIES_MAX,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, watch};
use tracing::{debug, warn};

/// The part of a payload that is for entries that have waited too long, as a divisor.
const OVERDUE_PART: u64 = 8;

/// Bytes of a payload kept free for what is not its entries': salt, and the heads of sections of a few hundred rollups.
const LAYOUT_BYTES: u64 = 4096;

/// Bytes of a bundle's row in the directory, without the ids of its legs.
const DIRECTORY_BYTES: usize = 64;

/// The shelf, shared between the actor and consensus.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    shelf: Shelf,
    /// The view that consensus got nothing for and has not proposed in yet.
    unserved: Option<(Epoch, View)>,
    /// The last view that this node has proposed a header in.
    proposed: Option<(Epoch, View)>,
    /// How long a header may be held back for a payload that is nearly ready.
    wait_ms: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No change of the shelf can stop half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What consensus asks for the content of its headers. Answers at once.
pub struct Content {
    shared: Shared,
    waiting: watch::Receiver<usize>,
}

impl ContentSource for Content {
    fn take(&mut self, epoch: Epoch, view: View, _parent: &BlockReference) -> Answer {
        let mut state = self.shared.lock();
        let taken = state.shelf.take(epoch, view);
        state.unserved = taken.is_empty().then_some((epoch, view));
        debug!(%view, payloads = taken.len(), "is asked for what to order");
        if taken.is_empty() && state.shelf.covers(epoch, view) {
            return Answer::Soon { wait_ms: state.wait_ms };
        }
        Answer::Ready(taken)
    }

    fn proposed(&mut self, epoch: Epoch, view: View) {
        let mut state = self.shared.lock();
        state.unserved = None;
        state.proposed = Some((epoch, view));
    }

    fn pending(&self) -> bool {
        *self.waiting.borrow() > 0 || self.shared.lock().shelf.unordered() > 0
    }
}

/// What the actor tells consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// Content for a view that it got nothing for.
    Content {
        /// The view.
        view: View,
        /// What to order.
        payloads: Vec<AvailabilityCertificate>,
    },
    /// Whether something waits to be ordered.
    Pending(bool),
}

type Built = (Slot, TimestampMs, Result<AvailabilityCertificate, NotCertified>);

/// See the [module](super).
pub struct Actor<E: Context, P> {
    context: E,
    config: Config,
    builder: BuilderId,
    chain: ChainHandle,
    pool: P,
    dispersal: dispersal::Mailbox,
    revealed: watch::Receiver<Height>,
    consensus: mpsc::Sender<Update>,
    shared: Shared,
    /// The last committed height that was looked at.
    height: Height,
    pending: bool,
    timing: Timing,
    /// The view in which a payload failed: none is made before the next one, for what failed at once would again.
    failed: Option<(Epoch, View)>,
    building: FuturesUnordered<BoxFuture<'static, Built>>,
}

/// What the actor is connected to.
pub struct Connections<P> {
    /// The chain as consensus drives it.
    pub chain: ChainHandle,
    /// What waits.
    pub pool: P,
    /// Who sends chunks out.
    pub dispersal: dispersal::Mailbox,
    /// The last height whose content the pool knows.
    pub revealed: watch::Receiver<Height>,
    /// Who orders.
    pub consensus: mpsc::Sender<Update>,
    /// The id under which this node builds.
    pub builder: BuilderId,
}

impl<E: Context, P: Pool> Actor<E, P> {
    /// The actor, and what to give to consensus.
    pub fn new(context: E, config: Config, connections: Connections<P>) -> (Self, Content) {
        let Connections { chain, pool, dispersal, revealed, consensus, builder } = connections;
        let shared = Shared::default();
        let content = Content { shared: shared.clone(), waiting: pool.waiting() };
        let height = *chain.committed.borrow();
        let actor = Self {
            context,
            config,
            builder,
            chain,
            pool,
            dispersal,
            revealed,
            consensus,
            shared,
            height,
            pending: false,
            timing: Timing::default(),
            failed: None,
            building: FuturesUnordered::new(),
        };
        (actor, content)
    }

    /// Runs until the node is shut down.
    pub async fn run(mut self) {
        let mut stopped = self.context.stopped();
        let mut waiting = self.pool.waiting();
        let mut events = self.chain.events.subscribe();
        loop {
            self.follow().await;
            let due_ms = self.build_ahead().await;
            self.tell_pending().await;
            let due = async {
                match due_ms {
                    Some(ms) => self.context.sleep(Duration::from_millis(ms)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = due => {}
                event = events.recv() => match event {
                    Ok(event) => self.observe(&event),
                    // Timing is a little less well known.
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                Some((slot, began, result)) = self.building.next() => self.built(slot, began, result).await,
                changed = self.chain.committed.changed() => if changed.is_err() { return },
                changed = self.chain.position.changed() => if changed.is_err() { return },
                changed = self.revealed.changed() => if changed.is_err() { return },
                changed = waiting.changed() => if changed.is_err() { return },
            }
        }
    }

    fn observe(&mut self, event: &ChainEvent) {
        let now = self.context.now_ms();
        match event {
            ChainEvent::Entered { view, .. } => self.timing.entered(*view, self.pending, now),
            ChainEvent::Proposed { tip } => self.timing.proposed(tip.header.view, self.pending, now),
            _ => {}
        }
    }

    /// Notes what became of this node's payloads.
    async fn follow(&mut self) {
        let tip = *self.chain.committed.borrow_and_update();
        while self.height < tip {
            self.height = self.height.next();
            if let Some(committed) = self.chain.headers.get(self.height).await {
                self.shared.lock().shelf.committed(&committed.header);
            }
        }
        let revealed = *self.revealed.borrow_and_update();
        let epoch = self.chain.position.borrow_and_update().epoch.epoch;
        let mut state = self.shared.lock();
        state.wait_ms = self.timing.wait_ms();
        state.shelf.revealed(revealed);
        state.shelf.enter(epoch);
    }

    /// Makes a payload if this node is on duty. Returns in how many milliseconds there will be something to do, if
    /// nothing happens before.
    async fn build_ahead(&mut self) -> Option<u64> {
        let Position { epoch, view, index, .. } = self.chain.position.borrow().clone();
        let me = index?;
        // Headers above the closing height are empty.
        if self.height >= epoch.closing || self.failed == Some((epoch.epoch, view)) {
            return None;
        }
        let now = self.context.now_ms();
        let (unserved, proposed) = {
            let state = self.shared.lock();
            (state.unserved == Some((epoch.epoch, view)), state.proposed.filter(|(of, _)| *of == epoch.epoch))
        };
        if let Some((_, proposed)) = proposed {
            self.timing.proposed(proposed, self.pending, now);
        }
        let target = if unserved {
            view
        } else {
            self.timing.duty(now, self.config.views_ahead).clamp(view, View(view.0 + self.config.views_ahead))
        };
        let full = {
            let state = self.shared.lock();
            state.shelf.covers(epoch.epoch, target) || state.shelf.unordered() >= self.config.payloads_max
        };
        if epoch.leader(target) != me || full || *self.pool.waiting().borrow() == 0 {
            return None;
        }
        // Until then more may come.
        let begin_at = self.timing.begin_at(target, now);
        if begin_at > now && !unserved {
            return Some(begin_at.0 - now.0);
        }
        self.build(&epoch, view, target).await;
        None
    }

    async fn build(&mut self, epoch: &Arc<EpochInfo>, view: View, target: View) {
        let began = self.context.now_ms();
        let units = self.select(epoch, view, target).await;
        if units.is_empty() {
            return;
        }
        let expiry = View(target.0 + self.config.expiry_views);
        let entries = units.iter().map(PayloadUnit::id).collect();
        let slot = self.shared.lock().shelf.begin(epoch.epoch, target, expiry, entries);
        let (mut key, mut salt) = ([0; 32], [0; 32]);
        self.context.fill_bytes(&mut key);
        self.context.fill_bytes(&mut salt);
        let (builder, max) = (self.builder, self.config.payload_bytes_max);
        let assignment = assignment_of(epoch);
        debug!(%view, %target, units = units.len(), "makes a payload");
        let sealing = self.context.child("seal").shared(true);
        let sealing = sealing.spawn(move |_| async move { sealed(units, salt, &key, builder, max, &assignment) });
        let (dispersal, epoch) = (self.dispersal.clone(), epoch.epoch);
        let building = async move {
            let result = match sealing.await {
                Ok(Some((sealed, manifest))) => dispersal.disperse(epoch, expiry, sealed, manifest).await,
                Ok(None) | Err(_) => Err(NotCertified::Stopped),
            };
            (slot, began, result)
        };
        self.building.push(building.boxed());
    }

    /// What goes into the payload of a view: first what is overdue, then what waits, without what others will take.
    async fn select(&mut self, epoch: &EpochInfo, view: View, target: View) -> Vec<PayloadUnit> {
        let bytes_max = u64::from(self.config.payload_bytes_max).saturating_sub(LAYOUT_BYTES);
        let height = Height(self.height.0 + 1);
        let own = self.shared.lock().shelf.entries();
        let exclude = Arc::new(Exclusion { own, manifests: Vec::new() });
        let selection = Selection {
            bytes_max: bytes_max / OVERDUE_PART,
            entries_max: PAYLOAD_ENTRIES_MAX,
            height,
            exclude,
            leave: Leave::default(),
        };
        let revealed = *self.revealed.borrow();
        let mut units = self.pool.overdue(selection.clone(), revealed).await;

        let mut own = selection.exclude.own.clone();
        own.extend(units.iter().map(PayloadUnit::id));
        let exclude = Arc::new(Exclusion { own, manifests: self.in_flight_before(epoch, view, target) });
        let left = bytes_max - units.iter().map(bytes_of).sum::<u64>().min(bytes_max);
        let leave = Leave {
            before: self.timing.begin_at(View(target.0.saturating_sub(1)), self.context.now_ms()),
            bytes: bytes_max * self.unseen_before(epoch, view, target),
        };
        units.extend(self.pool.select(Selection { bytes_max: left, exclude, leave, ..selection }).await);
        trim(&mut units, bytes_max);
        units
    }

    /// Manifests of payloads that a header before this one may order: of those who lead views until then, and no
    /// others, so that nobody keeps entries out of blocks whose turn is far away.
    fn in_flight_before(&self, epoch: &EpochInfo, view: View, target: View) -> Vec<Arc<Manifest>> {
        let leaders: BTreeSet<_> =
            (view.0.saturating_sub(self.config.views_ahead)..target.0).map(|view| epoch.leader(View(view))).collect();
        let builders = leaders.into_iter().filter_map(|leader| epoch.validators.get(leader));
        let known = builders.flat_map(|validator| self.dispersal.manifests().unordered_of(&validator.builder()));
        known.filter(|known| known.builder != self.builder).map(|known| known.manifest).collect()
    }

    /// Payloads for headers before this one that nobody has seen yet, and somebody may be making.
    fn unseen_before(&self, epoch: &EpochInfo, view: View, target: View) -> u64 {
        let mut led: BTreeMap<_, usize> = BTreeMap::new();
        for leader in (view.0..target.0).map(|view| epoch.leader(View(view))) {
            *led.entry(leader).or_default() += 1;
        }
        let manifests = self.dispersal.manifests();
        let unseen = led.into_iter().filter_map(|(leader, views)| {
            let builder = epoch.validators.get(leader)?.builder();
            let is_other = builder != self.builder;
            is_other.then(|| views.saturating_sub(manifests.unordered_of(&builder).len()))
        });
        unseen.sum::<usize>() as u64
    }

    async fn built(&mut self, slot: Slot, began: TimestampMs, result: Result<AvailabilityCertificate, NotCertified>) {
        if result.is_ok() {
            let now = self.context.now_ms();
            self.timing.dispersed(began, now);
        } else {
            let position = self.chain.position.borrow();
            self.failed = Some((position.epoch.epoch, position.view));
        }
        let content = {
            let mut state = self.shared.lock();
            match result {
                Ok(certificate) => state.shelf.certified(slot, certificate),
                Err(reason) => {
                    warn!(%reason, "a payload of this node got no certificate; its entries wait again");
                    state.shelf.failed(slot);
                }
            }
            let position = self.chain.position.borrow();
            match state.unserved {
                Some((epoch, view)) if (epoch, view) == (position.epoch.epoch, position.view) => {
                    let payloads = state.shelf.take(epoch, view);
                    if payloads.is_empty() {
                        None
                    } else {
                        state.unserved = None;
                        Some(Update::Content { view, payloads })
                    }
                }
                _ => None,
            }
        };
        if let Some(content) = content {
            // If consensus has stopped, so will this actor.
            let _ = self.consensus.send(content).await;
        }
    }

    async fn tell_pending(&mut self) {
        let waiting = *self.pool.waiting().borrow() > 0;
        let pending = waiting || self.shared.lock().shelf.unordered() > 0;
        if pending != self.pending {
            self.pending = pending;
            let _ = self.consensus.send(Update::Pending(pending)).await;
        }
    }
}

/// Bytes that a unit takes in a payload.
fn bytes_of(unit: &PayloadUnit) -> u64 {
    let data: usize = unit.transactions().iter().map(|transaction| transaction.data.len()).sum();
    let legs = unit.transactions().len();
    let directory = if matches!(unit, PayloadUnit::Bundle { .. }) { DIRECTORY_BYTES + 32 * legs } else { 0 };
    (data + legs * ENTRY_OVERHEAD_BYTES + directory) as u64
}

/// Keeps the first units, as many as fit.
fn trim(units: &mut Vec<PayloadUnit>, bytes_max: u64) {
    let mut bytes = 0;
    units.retain(|unit| {
        let more = bytes_of(unit);
        let fits = bytes + more <= bytes_max;
        if fits {
            bytes += more;
        }
        fits
    });
}

/// Lays out and seals; leaves units out until the payload is short enough.
fn sealed(
    mut units: Vec<PayloadUnit>,
    salt: [u8; 32],
    key: &[u8; 32],
    builder: BuilderId,
    bytes_max: u32,
    assignment: &Assignment,
) -> Option<(Sealed, Manifest)> {
    while !units.is_empty() {
        match Payload::build(units.clone(), salt) {
            Ok((_, manifest, bytes)) if manifest.length <= bytes_max => {
                return Some((seal(&bytes, key, builder, assignment).ok()?, manifest));
            }
            Ok(_) => debug!(units = units.len(), "the layout of a payload takes more than was kept free"),
            Err(error) => warn!(%error, units = units.len(), "units cannot be laid out as a payload"),
        }
        units.truncate(units.len() * 7 / 8);
    }
    None
}
