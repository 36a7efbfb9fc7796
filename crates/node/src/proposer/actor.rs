//! The proposer actor, and what consensus takes from it.

use super::{
    Config, DueAttestations, Exclusion, Leave, Pool, Selection,
    shelf::{Shelf, Slot},
    timing::Timing,
};
use crate::{
    dispersal::{self, NotCertified, keys::assignment_of},
    ports::{ChainEvent, ChainHandle, Content as Answer, ContentSource, Position},
    reveal::OwnPayloads,
    runtime::Context,
    watch,
};
use chorale_dispersal::{Opened, seal};
use chorale_foundation::Bytes;
use chorale_types::{
    AvailabilityCertificate, BlockReference, BuilderId, ENTRY_OVERHEAD_BYTES, Epoch, EpochInfo, Height, Manifest,
    Payload, PayloadUnit, Promise, TimestampMs, Validator, View,
    limits::{PAYLOAD_ENTRIES_MAX, PAYLOAD_PROMISES_MAX},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tracing::{debug, warn};

/// The part of a payload that is for entries that have waited too long, as a divisor.
const OVERDUE_PART: u64 = 8;

/// Bytes of a payload kept free for what is not its entries': salt, and the heads of sections of a few hundred rollups.
const LAYOUT_BYTES: u64 = 4096;

/// Where more entries than this wait, a leader on duty waits a moment for those before it to say what they take: what is
/// ordered twice costs everybody more than the moment.
const MUCH_WAITING: usize = 128;

/// How often it looks whether they have.
const LOOK_AGAIN_MS: u64 = 3;

/// Bytes of a bundle's row in the directory at most, without the ids of its legs.
const DIRECTORY_BYTES: usize = 160;

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
    /// And for any payload, where much waits.
    hold_ms: u64,
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
        if taken.is_empty() {
            // An empty header orders nothing, and costs as much as any.
            let is_much = *self.waiting.borrow() > MUCH_WAITING;
            if is_much || state.shelf.covers(epoch, view) {
                return Answer::Soon { wait_ms: if is_much { state.hold_ms } else { state.wait_ms } };
            }
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
    own: OwnPayloads,
    revealed: watch::Receiver<Height>,
    consensus: mpsc::Sender<Update>,
    shared: Shared,
    /// The last committed height that was looked at.
    height: Height,
    pending: bool,
    timing: Timing,
    system: DueAttestations,
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
    /// What has to be ordered for the chain itself.
    pub system: DueAttestations,
    /// Who sends chunks out.
    pub dispersal: dispersal::Mailbox,
    /// Who opens payloads is told what this node's own are.
    pub own: OwnPayloads,
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
        let Connections { chain, pool, system, dispersal, own, revealed, consensus, builder } = connections;
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
            own,
            revealed,
            consensus,
            shared,
            height,
            pending: false,
            timing: Timing::default(),
            system,
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
                self.own.committed((committed.header.epoch, committed.header.view));
            }
        }
        let revealed = *self.revealed.borrow_and_update();
        let epoch = self.chain.position.borrow_and_update().epoch.epoch;
        let mut state = self.shared.lock();
        state.wait_ms = self.timing.wait_ms();
        state.hold_ms = self.timing.hold_ms(self.config.hold_ms_max);
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
            self.release(epoch.epoch, view).await;
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
        if epoch.leader(target) != me || full {
            return None;
        }
        if *self.pool.waiting().borrow() == 0 && !self.system.is_due(*self.revealed.borrow()) {
            return None;
        }
        // Until then more may come.
        let begin_at = self.timing.begin_at(target, now);
        if begin_at > now && !unserved {
            return Some(begin_at.0 - now.0);
        }
        if self.is_much_waiting()
            && now.0 < self.timing.patient_until(begin_at).0
            && self.unseen_before(&epoch, view, target) > 0
        {
            return Some(LOOK_AGAIN_MS);
        }
        self.build(&epoch, view, target).await;
        None
    }

    async fn build(&mut self, epoch: &Arc<EpochInfo>, view: View, target: View) {
        let began = self.context.now_ms();
        let units = self.select(epoch, view, target).await;
        if units.is_empty() {
            self.release(epoch.epoch, target).await;
            return;
        }
        {
            let position = self.chain.position.borrow();
            if position.epoch.epoch != epoch.epoch || position.view > target {
                debug!(%target, view = %position.view, "selecting took so long that the payload would miss its header");
                return;
            }
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
        let (dispersal, own, epoch) = (self.dispersal.clone(), self.own.clone(), epoch.epoch);
        let sealing = {
            let dispersal = dispersal.clone();
            self.context.child("seal").shared(true).spawn(move |_| async move {
                let (manifest, payload) = lay_out(units, salt, max)?;
                // Sealing and spreading takes about a view: until then others could not know.
                dispersal.announce(epoch, target, manifest.clone()).await;
                let sealed = seal(&payload, &key, builder, expiry, &assignment).ok()?;
                Some((sealed, manifest, payload))
            })
        };
        let building = async move {
            let result = match sealing.await {
                Ok(Some((sealed, manifest, payload))) => {
                    own.insert(sealed.commitment(), manifest.clone(), Opened { payload, key }, (epoch, expiry));
                    dispersal.disperse(epoch, sealed, manifest).await
                }
                Ok(None) | Err(_) => Err(NotCertified::Stopped),
            };
            (slot, began, result)
        };
        self.building.push(building.boxed());
    }

    /// Nothing is left for the header of this view: if it is held back for a payload, it need not be any more.
    async fn release(&mut self, epoch: Epoch, view: View) {
        let is_held = self.shared.lock().unserved.take_if(|unserved| *unserved == (epoch, view)).is_some();
        if is_held {
            // If consensus has stopped, so will this actor.
            let _ = self.consensus.send(Update::Content { view, payloads: Vec::new() }).await;
        }
    }

    /// What goes into the payload of a view: first what is overdue, then what waits, without what others will take.
    async fn select(&mut self, epoch: &EpochInfo, view: View, target: View) -> Vec<PayloadUnit> {
        let bytes_max = u64::from(self.config.payload_bytes_max).saturating_sub(LAYOUT_BYTES);
        let own = self.shared.lock().shelf.entries();
        let leave = Leave {
            before: self.timing.begin_at(View(target.0.saturating_sub(1)), self.context.now_ms()),
            bytes: bytes_max * self.unseen_before(epoch, view, target),
        };
        let selection = Selection {
            bytes_max,
            overdue_bytes_max: bytes_max / OVERDUE_PART,
            revealed: *self.revealed.borrow(),
            entries_max: PAYLOAD_ENTRIES_MAX,
            height: Height(self.height.0 + 1),
            exclude: Arc::new(Exclusion {
                own,
                manifests: self.in_flight_before(epoch, view, target),
                overdue_too: self.is_much_waiting(),
            }),
            leave,
        };
        let revealed = selection.revealed;
        let mut units = self.system.take(revealed).await;
        units.extend(self.pool.select(selection).await);
        trim(&mut units, bytes_max);
        units
    }

    /// Whether so much waits that repeats would cost more than waiting. Where little does, a repeat costs nothing, and an
    /// entry that waits for a payload that missed its header costs its sender a turn.
    fn is_much_waiting(&self) -> bool {
        *self.pool.waiting().borrow() > MUCH_WAITING
    }

    /// What is on its way before this payload, as far as it is known.
    fn in_flight_before(&self, epoch: &EpochInfo, view: View, target: View) -> Vec<Arc<Manifest>> {
        let from = view.0.saturating_sub(self.config.views_ahead);
        let leaders: BTreeSet<_> = (from..target.0).map(|view| epoch.leader(View(view))).collect();
        let near =
            leaders.into_iter().filter_map(|leader| epoch.validators.get(leader)).map(Validator::builder).collect();
        self.dispersal.manifests().claims(&near, self.is_much_waiting(), &self.builder, epoch.epoch, view)
    }

    /// Payloads for headers before this one that nobody has heard of yet, and somebody may be making.
    fn unseen_before(&self, epoch: &EpochInfo, view: View, target: View) -> u64 {
        let manifests = self.dispersal.manifests();
        let is_unseen = |of: &View| {
            let builder = epoch.validators.get(epoch.leader(*of)).map(Validator::builder);
            builder.is_some_and(|it| it != self.builder && manifests.is_awaited(&it, epoch.epoch, *of, view))
        };
        let first = self.timing.next_view().unwrap_or(target);
        (first.0..target.0).map(View).filter(is_unseen).count() as u64
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
    let (mut bytes, mut promises) = (0, 0);
    units.retain(|unit| {
        let more = bytes_of(unit);
        let promised = usize::from(is_promised(unit));
        let fits = bytes + more <= bytes_max && promises + promised <= PAYLOAD_PROMISES_MAX;
        if fits {
            bytes += more;
            promises += promised;
        }
        fits
    });
}

/// Whether it is a bundle that executes as a whole.
fn is_promised(unit: &PayloadUnit) -> bool {
    matches!(unit, PayloadUnit::Bundle { bundle, .. } if bundle.promise != Promise::Inclusion)
}

/// Lays a payload out; leaves units out until it is short enough.
fn lay_out(mut units: Vec<PayloadUnit>, salt: [u8; 32], bytes_max: u32) -> Option<(Manifest, Bytes)> {
    while !units.is_empty() {
        match Payload::build(units.clone(), salt) {
            Ok((_, manifest, bytes)) if manifest.length <= bytes_max => {
                return Some((manifest, bytes));
            }
            Ok(_) => debug!(units = units.len(), "the layout of a payload takes more than was kept free"),
            Err(error) => warn!(%error, units = units.len(), "units cannot be laid out as a payload"),
        }
        units.truncate(units.len() * 7 / 8);
    }
    None
}
