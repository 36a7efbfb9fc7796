//! The pool's state, admission, and how entries leave.

use crate::{
    config::{Config, ConfigError, Standing},
    entry::Entry,
    figures::Counters,
    flight::Flights,
    gossip::Gossip,
    history::{History, Ordered},
    output::Output,
    peer::PeerId,
    record::{Add, Record, Remove},
    rejected::Rejected,
    selection::Turns,
    status::{Ended, EvictReason, Outcome, ShareReclaimed, Skipped, Status},
    store::{Queue, Sequence, Slot, Stage, Store, Usage},
};
use chorale_types::{
    Height, PayloadUnit, RollupId, SystemItem, TimestampMs, UnitId, limits::BUNDLE_LIFETIME_HEIGHTS_MAX,
};
use std::collections::BTreeMap;

/// The shared pool of one node. See the [crate documentation](crate).
///
/// After every call, take what is to be done with [`Mempool::drain_outputs`].
#[derive(Clone, Debug)]
pub struct Mempool {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) history: History<Ended>,
    /// The same of what only peers brought: they must not push out what users ask for.
    pub(crate) history_of_peers: History<Ended>,
    pub(crate) refused: History<(Rejected, TimestampMs)>,
    pub(crate) ordered: Ordered,
    pub(crate) flights: Flights,
    pub(crate) gossip: Gossip,
    pub(crate) selecting: Turns,
    pub(crate) including: Turns,
    pub(crate) counters: Counters,
    /// The newest revealed height.
    pub(crate) height: Height,
    /// The latest time heard; never goes back, whatever the caller's clock does.
    pub(crate) now: TimestampMs,
    outputs: Vec<Output>,
}

/// Who hands an entry to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A user of this node. The entry is pushed to all peers.
    Local,
    /// A peer, outside of the gossip protocol. The entry counts for this peer and is not passed on.
    Peer(PeerId),
}

/// A submission that entered the pool. Tell the user once its [`Record`] is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The entry's id.
    pub id: UnitId,
    /// When it entered, from which its age counts.
    pub arrived_at: TimestampMs,
    /// The newest revealed height then, from which its waiting counts.
    pub arrival_height: Height,
}

/// How an entry reached this node, which decides whether one that ended may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Submitted anew, here or at the peer that pushed it: may come back after eviction or expiry.
    Fresh,
    /// Fetched after an announcement. Never comes back: pools whose clocks differ would otherwise hand an expired entry
    /// to each other for ever.
    Fetched,
}

/// Where an entry's bytes are: in a buffer of its own, or in a peer's message of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) u64);

impl Frame {
    pub(crate) const OWN: Self = Self(0);
}

impl Mempool {
    /// An empty pool at `height` (the newest revealed one).
    ///
    /// # Errors
    ///
    /// The configuration's limits cannot hold together.
    pub fn new(config: Config, height: Height, now: TimestampMs) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            store: Store::new(config.hash_key),
            history: History::new(config.ended_entries_max),
            history_of_peers: History::new(config.ended_entries_max),
            refused: History::new(config.refused_entries_max),
            ordered: Ordered::new(config.ordered_entries_max, config.hash_key),
            flights: Flights::default(),
            gossip: Gossip::new(now),
            selecting: Turns::default(),
            including: Turns::default(),
            counters: Counters::default(),
            height,
            now,
            outputs: Vec::new(),
            config,
        })
    }

    /// What is to be done, in order, since the last call.
    #[must_use]
    pub fn drain_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Takes one entry, or says why not. Admission puts an [`Output::Journal`] out, and for [`Source::Local`] queues
    /// the entry for all peers until [`Mempool::flush`], [`Mempool::tick`] or a full message.
    ///
    /// # Errors
    ///
    /// The reason with its numbers. That of a user's submission is remembered for [`Mempool::status`] as well.
    pub fn submit(&mut self, entry: Entry, source: Source, now: TimestampMs) -> Result<Admitted, Rejected> {
        self.advance(now);
        match source {
            Source::Local => {
                let pushed = entry.clone();
                let admitted = self.admit(entry, None, Path::Fresh, Frame::OWN)?;
                self.push(pushed);
                Ok(admitted)
            }
            Source::Peer(peer) => self.admit(entry, Some(peer), Path::Fresh, Frame::OWN),
        }
    }

    /// [`Mempool::submit`] for many, answered in their order; what is admitted is pushed at once.
    pub fn submit_batch(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
        source: Source,
        now: TimestampMs,
    ) -> Vec<Result<Admitted, Rejected>> {
        let results = entries.into_iter().map(|entry| self.submit(entry, source, now)).collect();
        self.flush(now);
        results
    }

    /// Where the entry is or how it ended; none if this node never heard of it or has forgotten since.
    pub fn status(&self, id: &UnitId) -> Option<Status> {
        if let Some(slot) = self.store.get(id) {
            return Some(status_of(slot));
        }
        if let Some(ended) = self.ended(id) {
            return Some(Status::Ended(ended));
        }
        let (reason, at) = self.refused.get(id)?;
        Some(Status::Rejected { reason: reason.clone(), at: *at })
    }

    /// How an entry that is no longer pooled ended, as far as that is remembered. That it was ordered overrules that it
    /// expired or was evicted here.
    pub(crate) fn ended(&self, id: &UnitId) -> Option<Ended> {
        let unordered = || self.history.get(id).or_else(|| self.history_of_peers.get(id)).copied();
        self.ordered.get(id).or_else(unordered)
    }

    /// When a pooled entry came.
    pub fn arrived_at(&self, id: &UnitId) -> Option<TimestampMs> {
        self.store.get(id).map(|slot| slot.arrived_at)
    }

    /// A pooled entry by its id.
    pub fn entry(&self, id: &UnitId) -> Option<&Entry> {
        self.store.get(id).map(|slot| &slot.entry)
    }

    /// The registered rollups.
    pub const fn rollups(&self) -> &BTreeMap<RollupId, Standing> {
        &self.config.rollups
    }

    /// Sets which rollups are registered. Entries that touch a rollup no longer in the set are evicted.
    pub fn set_rollups(&mut self, rollups: BTreeMap<RollupId, Standing>, now: TimestampMs) {
        self.advance(now);
        self.config.rollups = rollups;
        let rollups = &self.config.rollups;
        let gone: Vec<(Sequence, RollupId)> = self
            .store
            .slots_from(0)
            .filter_map(|(sequence, slot)| {
                let gone = slot.entry.rollups().find(|rollup| !rollups.contains_key(rollup))?;
                Some((sequence, gone))
            })
            .collect();
        for (sequence, rollup) in gone {
            self.end(sequence, Outcome::Evicted(EvictReason::RollupRemoved(rollup)));
        }
    }

    /// Takes time's word, except backwards.
    pub(crate) fn advance(&mut self, now: TimestampMs) {
        self.now = self.now.max(now);
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Whether changes of status come out from now on.
    pub fn set_status_events(&mut self, wanted: bool) {
        self.config.status_events = wanted;
    }

    pub(crate) fn status_event(&mut self, id: UnitId, status: Status) {
        if self.config.status_events {
            self.outputs.push(Output::Status { id, status });
        }
    }

    pub(crate) fn admit(
        &mut self,
        entry: Entry,
        origin: Option<PeerId>,
        path: Path,
        frame: Frame,
    ) -> Result<Admitted, Rejected> {
        let checked = self.check(&entry, origin, path).and_then(|()| self.make_room(&entry));
        if let Err(rejected) = checked {
            self.reject(entry.id(), &rejected, origin);
            return Err(rejected);
        }
        let entry = if entry.bytes() * 2 < frame.0 { entry.detached() } else { entry };
        let admitted = Admitted { id: entry.id(), arrived_at: self.now, arrival_height: self.height };
        self.history.remove(&admitted.id);
        self.history_of_peers.remove(&admitted.id);
        self.refused.remove(&admitted.id);
        self.gossip.arrived(&admitted.id);
        self.counters.admitted += 1;
        if self.journals(origin) {
            self.output(Output::Journal(Record::Add(Add {
                arrived_at: admitted.arrived_at,
                arrival_height: admitted.arrival_height,
                unit: entry.to_unit(),
            })));
        }
        let sequence = self.insert(entry, origin, admitted.arrived_at, admitted.arrival_height);
        self.mark_from_flights(sequence);
        let status = self.store.slot(sequence).map(status_of).expect("just inserted");
        self.status_event(admitted.id, status);
        Ok(admitted)
    }

    /// Whether what comes from there is written down.
    pub(crate) fn journals(&self, origin: Option<PeerId>) -> bool {
        origin.is_none() || self.config.journal_peers
    }

    pub(crate) fn insert(
        &mut self,
        entry: Entry,
        origin: Option<PeerId>,
        arrived_at: TimestampMs,
        arrival_height: Height,
    ) -> Sequence {
        self.store.insert(Slot {
            entry,
            arrived_at,
            arrival_height,
            origin,
            marks: Default::default(),
            betrayed: false,
        })
    }

    /// The rules that need no room to be made.
    fn check(&self, entry: &Entry, origin: Option<PeerId>, path: Path) -> Result<(), Rejected> {
        let id = entry.id();
        if entry.bytes() > self.config.entry_bytes_max {
            return Err(Rejected::TooLarge { id, bytes: entry.bytes(), max: self.config.entry_bytes_max });
        }
        if self.store.get(&id).is_some() {
            return Err(Rejected::AlreadyPooled { id });
        }
        if let Some(Ended { outcome, .. }) = self.ended(&id) {
            let ordered_lately = match outcome {
                Outcome::Revealed(height) | Outcome::Skipped(Skipped { height, .. }) => {
                    height.0.saturating_add(self.refused_heights(entry, origin)) >= self.height.0
                }
                Outcome::Evicted(_) | Outcome::Expired(_) => false,
            };
            if ordered_lately || path == Path::Fetched {
                return Err(Rejected::AlreadyEnded { id, outcome });
            }
        }
        for rollup in entry.rollups() {
            match self.config.rollups.get(&rollup) {
                Some(Standing::Active) => {}
                Some(Standing::Suspended) => return Err(Rejected::RollupSuspended { rollup }),
                None => return Err(Rejected::RollupUnknown { rollup }),
            }
        }
        if let Some(expiry) = entry.expiry().filter(|expiry| *expiry <= self.height) {
            return Err(Rejected::BundleExpired { id, expiry, height: self.height });
        }
        let expiry_max = Height(self.height.0.saturating_add(BUNDLE_LIFETIME_HEIGHTS_MAX));
        if let Some(expiry) = entry.expiry().filter(|expiry| *expiry > expiry_max) {
            return Err(Rejected::BundleExpiryTooFar { id, expiry, expiry_max });
        }
        if let Some(peer) = origin {
            self.check_peer_share(peer, entry.bytes())?;
        }
        // Last, as they take longest.
        self.check_system(entry)?;
        self.check_promise(entry)
    }

    /// For how many heights what was ordered is refused.
    fn refused_heights(&self, entry: &Entry, origin: Option<PeerId>) -> u64 {
        let is_of_nonces = matches!(entry.unit(), PayloadUnit::Transaction { transaction, .. }
            if self.config.nonces.contains(&transaction.rollup));
        if origin.is_none() && is_of_nonces { self.config.repeat_heights } else { self.config.reorder_heights }
    }

    /// Of what is for the chain itself only an owner's word comes by the pool.
    fn check_system(&self, entry: &Entry) -> Result<(), Rejected> {
        if entry.rollups().all(|rollup| rollup != RollupId::SYSTEM) {
            return Ok(());
        }
        let refused = |problem| Err(Rejected::System { id: entry.id(), problem });
        let PayloadUnit::Transaction { transaction, .. } = entry.unit() else {
            return refused("no bundle has legs for it");
        };
        match SystemItem::read(&transaction.data) {
            Err(_) => refused("its data is no item that the chain knows"),
            Ok(SystemItem::Attestation(_)) => refused("leaders put attestations into blocks by themselves"),
            Ok(SystemItem::Resume(resume)) => {
                if self.config.rollups.get(&resume.rollup) != Some(&Standing::Suspended) {
                    return refused("the rollup is not suspended");
                }
                let owner = self.config.owners.get(&resume.rollup);
                if owner.is_none() || resume.signer(self.config.chain).as_ref() != owner {
                    return refused("it is not signed by the rollup's owner");
                }
                Ok(())
            }
        }
    }

    pub(crate) fn check_promise(&self, entry: &Entry) -> Result<(), Rejected> {
        let PayloadUnit::Bundle { id, bundle, .. } = entry.unit() else { return Ok(()) };
        let domain_of = |rollup| self.config.domains.get(&rollup).copied();
        let checked = bundle.promise.check(self.config.chain, *id, &bundle.legs, domain_of);
        checked.map_err(|error| Rejected::BundlePromise { id: entry.id(), error })
    }

    fn check_peer_share(&self, peer: PeerId, more_bytes: u64) -> Result<(), Rejected> {
        let Usage { bytes, entries } = self.store.usage_of_peer(peer);
        let (bytes_max, entries_max) = (self.config.peer_bytes_max, self.config.peer_entries_max);
        if bytes + more_bytes > bytes_max || entries + 1 > entries_max {
            return Err(Rejected::PeerShareFull { peer, bytes, entries, bytes_max, entries_max });
        }
        Ok(())
    }

    /// What every registered rollup is guaranteed.
    pub(crate) fn share(&self) -> Usage {
        let rollups = (self.config.rollups.len() as u64).max(1);
        Usage { bytes: self.config.bytes_max / rollups, entries: self.config.entries_max / rollups }
    }

    /// Shares are lent out while unused and taken back on demand: a rollup within its share always gets in, at the cost
    /// of the rollup that is furthest above its own; a rollup above its share only gets what is free.
    fn make_room(&mut self, entry: &Entry) -> Result<(), Rejected> {
        let (rollup, bytes) = (entry.home(), entry.bytes());
        let (share, used, total) = (self.share(), self.store.usage_of_rollup(rollup), self.store.total());
        let within = used.bytes + bytes <= share.bytes && used.entries < share.entries;
        loop {
            let now = self.store.total();
            let bytes_short = now.bytes + bytes > self.config.bytes_max;
            let entries_short = now.entries + 1 > self.config.entries_max;
            if !bytes_short && !entries_short {
                return Ok(());
            }
            if !within {
                return Err(Rejected::RollupShareFull {
                    rollup,
                    bytes: used.bytes,
                    entries: used.entries,
                    share_bytes: share.bytes,
                    share_entries: share.entries,
                    pool_bytes: total.bytes,
                    pool_entries: total.entries,
                });
            }
            self.reclaim(rollup, share, bytes_short);
        }
    }

    /// Evicts the newest entry of the rollup that holds most: the one that would be ordered last.
    fn reclaim(&mut self, claimant: RollupId, share: Usage, bytes_short: bool) {
        let held = |queue: &Queue| if bytes_short { queue.usage.bytes } else { queue.usage.entries };
        let (&rollup, queue) = self
            .store
            .queues()
            .iter()
            .filter(|(rollup, _)| **rollup != claimant)
            .max_by_key(|(_, queue)| held(queue))
            .expect("a full pool in which one rollup is within its share holds entries of another");
        let allowed = if bytes_short { share.bytes } else { share.entries };
        assert!(held(queue) > allowed, "if no other rollup were above its share, the pool would not be full");
        // Those in flight go last: they are about to leave anyway.
        let newest = self.store.newest_of(queue).expect("a queue is not empty");
        let Usage { bytes, entries } = queue.usage;
        let reason =
            ShareReclaimed { rollup, bytes, entries, share_bytes: share.bytes, share_entries: share.entries, claimant };
        self.end(newest, Outcome::Evicted(EvictReason::ShareReclaimed(reason)));
    }

    fn reject(&mut self, id: UnitId, rejected: &Rejected, origin: Option<PeerId>) {
        self.counters.rejected[rejected.index()] += 1;
        // Of peers' entries no reason is kept: a peer that floods would push out those that users ask for.
        if origin.is_none() && !rejected.is_known() {
            self.refused.insert(id, (rejected.clone(), self.now));
        }
    }

    /// Takes a pooled entry out, for good.
    pub(crate) fn end(&mut self, sequence: Sequence, outcome: Outcome) {
        let slot = self.store.remove(sequence).expect("only pooled entries end here");
        self.record_end(slot.entry.id(), outcome, slot.origin, true);
    }

    pub(crate) fn remember(&mut self, id: UnitId, ended: Ended, origin: Option<PeerId>) {
        match ended.outcome {
            Outcome::Revealed(height) => self.ordered.insert(&id, height, None, ended.at),
            Outcome::Skipped(Skipped { height, reason }) => {
                self.ordered.insert(&id, height, Some(reason), ended.at);
            }
            Outcome::Evicted(_) | Outcome::Expired(_) if origin.is_none() => self.history.insert(id, ended),
            Outcome::Evicted(_) | Outcome::Expired(_) => self.history_of_peers.insert(id, ended),
        }
    }

    /// Remembers, journals and reports how an entry ended.
    pub(crate) fn record_end(&mut self, id: UnitId, outcome: Outcome, origin: Option<PeerId>, was_pooled: bool) {
        let ended = Ended { outcome, at: self.now };
        self.counters.ended(&outcome);
        self.remember(id, ended, origin);
        self.refused.remove(&id);
        self.gossip.arrived(&id);
        if self.journals(origin) && was_pooled {
            self.output(Output::Journal(Record::Remove(Remove { id, ended })));
        }
        self.status_event(id, Status::Ended(ended));
    }
}

pub(crate) fn status_of(slot: &Slot) -> Status {
    match slot.marks.furthest() {
        None => Status::Pending,
        Some(Stage::Proposed) => Status::Proposed,
        Some(Stage::Certified) => Status::Certified,
        Some(Stage::Committed) => Status::Committed,
    }
}
