//! The proposer actor, and what consensus takes from it.

use super::{
    Config, Exclusion, Pool, Selection,
    lead::Lead,
    plan::{Target, targets},
    shelf::{Shelf, Slot},
};
use crate::{
    dispersal::{self, NotCertified, keys::assignment_of},
    ports::{ChainHandle, Content as Answer, ContentSource, Position},
    runtime::Context,
};
use chorale_dispersal::{Assignment, Sealed, seal};
use chorale_types::{
    AvailabilityCertificate, BlockReference, BuilderId, ENTRY_OVERHEAD_BYTES, Epoch, EpochInfo, Height, Manifest,
    Payload, PayloadUnit, TimestampMs, View, limits::PAYLOAD_ENTRIES_MAX,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{mpsc, watch};
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

    fn proposed(&mut self) {
        self.shared.lock().unserved = None;
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
    lead: Lead,
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
            lead: Lead::default(),
            building: FuturesUnordered::new(),
        };
        (actor, content)
    }

    /// Runs until the node is shut down.
    pub async fn run(mut self) {
        let mut stopped = self.context.stopped();
        let mut waiting = self.pool.waiting();
        loop {
            self.follow().await;
            self.build_ahead().await;
            self.tell_pending().await;
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                Some((slot, began, result)) = self.building.next() => self.built(slot, began, result).await,
                changed = self.chain.committed.changed() => if changed.is_err() { return },
                changed = self.chain.position.changed() => if changed.is_err() { return },
                changed = self.revealed.changed() => if changed.is_err() { return },
                changed = waiting.changed() => if changed.is_err() { return },
            }
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
        let (epoch, view) = {
            let position = self.chain.position.borrow_and_update();
            (position.epoch.epoch, position.view)
        };
        let now = self.context.now_ms();
        self.lead.entered(view, now);
        let mut state = self.shared.lock();
        state.wait_ms = self.lead.wait_ms();
        state.shelf.revealed(revealed);
        state.shelf.enter(epoch);
    }

    /// Makes payloads for the views that this node leads soon.
    async fn build_ahead(&mut self) {
        let Position { epoch, view, index, .. } = self.chain.position.borrow().clone();
        let Some(me) = index else { return };
        // Headers above the closing height are empty.
        if self.height >= epoch.closing {
            return;
        }
        let unserved = self.shared.lock().unserved == Some((epoch.epoch, view));
        // Who leads before that has begun already, or is too late.
        let from = if unserved { view } else { View(view.0 + self.lead.views_ahead(self.config.views_ahead)) };
        let manifests = self.dispersal.manifests().clone();
        let shown = |leader| {
            let builder = epoch.validators.get(leader).map(chorale_types::Validator::builder);
            builder.map_or(0, |builder| manifests.unordered_of(&builder).len())
        };
        for target in targets(&epoch, me, from, View(view.0 + self.config.views_ahead), shown) {
            let full = {
                let state = self.shared.lock();
                state.shelf.covers(epoch.epoch, target.view) || state.shelf.unordered() >= self.config.payloads_max
            };
            if !full {
                self.build(&epoch, view, target).await;
            }
        }
    }

    async fn build(&mut self, epoch: &Arc<EpochInfo>, view: View, target: Target) {
        let units = self.select(epoch, view, target).await;
        if units.is_empty() {
            return;
        }
        let expiry = View(target.view.0 + self.config.expiry_views);
        let entries = units.iter().map(PayloadUnit::id).collect();
        let slot = self.shared.lock().shelf.begin(epoch.epoch, target.view, expiry, entries);
        let (mut key, mut salt) = ([0; 32], [0; 32]);
        self.context.fill_bytes(&mut key);
        self.context.fill_bytes(&mut salt);
        let (builder, max) = (self.builder, self.config.payload_bytes_max);
        let assignment = assignment_of(epoch);
        let others = self.in_flight_before(epoch, view, target.view).len();
        debug!(%view, target = %target.view, before = target.before, others, units = units.len(), "makes a payload");
        let began = self.context.now_ms();
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
    async fn select(&mut self, epoch: &EpochInfo, view: View, target: Target) -> Vec<PayloadUnit> {
        let bytes_max = u64::from(self.config.payload_bytes_max).saturating_sub(LAYOUT_BYTES);
        let height = Height(self.height.0 + 1);
        let own = self.shared.lock().shelf.entries();
        let exclude = Arc::new(Exclusion { own, manifests: Vec::new() });
        let selection =
            Selection { bytes_max: bytes_max / OVERDUE_PART, entries_max: PAYLOAD_ENTRIES_MAX, height, exclude };
        let revealed = *self.revealed.borrow();
        let overdue = self.pool.overdue(selection.clone(), revealed).await;
        let mut units: Vec<PayloadUnit> = overdue.into_iter().map(PayloadUnit::new).collect();

        let mut own = selection.exclude.own.clone();
        own.extend(units.iter().map(PayloadUnit::id));
        let exclude = Arc::new(Exclusion { own, manifests: self.in_flight_before(epoch, view, target.view) });
        let skip = bytes_max * target.before as u64;
        let left = bytes_max - units.iter().map(bytes_of).sum::<u64>().min(bytes_max);
        let selection = Selection { bytes_max: skip + left, exclude, ..selection };
        let waiting = self.pool.select(selection).await;
        let mut before = 0;
        let left = waiting.into_iter().map(PayloadUnit::new).skip_while(|unit| {
            before += bytes_of(unit);
            before <= skip
        });
        units.extend(left);
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

    async fn built(&mut self, slot: Slot, began: TimestampMs, result: Result<AvailabilityCertificate, NotCertified>) {
        if result.is_ok() {
            let now = self.context.now_ms();
            self.lead.dispersed(began, now);
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
