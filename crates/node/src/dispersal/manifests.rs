//! The manifests that this node knows, for everybody in it who asks what a payload carries.

use chorale_types::{BuilderId, Commitment, Epoch, Header, Manifest, View};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The manifest of a payload whose chunks this node holds.
#[derive(Clone, Debug)]
pub struct Known {
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Who built the payload.
    pub builder: BuilderId,
    /// The epoch it is sealed for.
    pub epoch: Epoch,
    /// The last view that may order it.
    pub expiry: View,
    /// Whether a committed header references it.
    pub ordered: bool,
}

/// Views before the present one whose announcements still count: their payloads may be on the way.
const ANNOUNCED_VIEWS: u64 = 3;

/// Unordered payloads whose claims count at most, the newest first: every entry is compared with each.
const CLAIMS_MAX: usize = 32;

/// For how many views after a claim that was in vain the claims of its builder do not count; twice as many each time.
const IN_VAIN_VIEWS: u64 = 64;

/// Doublings of [`IN_VAIN_VIEWS`] at most.
const IN_VAIN_DOUBLINGS_MAX: u32 = 16;

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<Commitment, Known>,
    /// By the view that the payload is made for, which one builder leads.
    announced: BTreeMap<(Epoch, View), Announced>,
    in_vain: BTreeMap<BuilderId, InVain>,
}

/// What the leader of a view says that it is about to disperse.
#[derive(Debug)]
struct Announced {
    builder: BuilderId,
    manifest: Arc<Manifest>,
    /// The payload has come.
    is_kept: bool,
}

/// What is known of a builder that claimed entries without ordering them.
#[derive(Clone, Copy, Debug)]
struct InVain {
    times: u32,
    /// Until when its claims do not count.
    until: (Epoch, View),
}

impl State {
    fn is_in_vain(&self, builder: &BuilderId, epoch: Epoch, view: View) -> bool {
        self.in_vain.get(builder).is_some_and(|it| it.until > (epoch, view))
    }

    fn note_in_vain(&mut self, builder: BuilderId, epoch: Epoch, since: View) {
        let it = self.in_vain.entry(builder).or_insert(InVain { times: 0, until: (epoch, since) });
        let views = IN_VAIN_VIEWS << it.times.min(IN_VAIN_DOUBLINGS_MAX);
        it.times = it.times.saturating_add(1);
        it.until = it.until.max((epoch, View(since.0.saturating_add(views))));
    }
}

/// All manifests known, written by the dispersal actor. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Manifests(Arc<Mutex<State>>);

impl Manifests {
    /// The manifest of a payload.
    #[must_use]
    pub fn get(&self, commitment: &Commitment) -> Option<Arc<Manifest>> {
        self.lock().known.get(commitment).map(|known| known.manifest.clone())
    }

    /// What payloads of others than `me` claim to carry that are not ordered and still can be, and what near leaders have
    /// announced, which are the leaders of views about `view`. Payloads of others, left over from their last turn, count if
    /// `far_too`: they come when their builder's turn does, late, but it saves the others from ordering the same.
    ///
    /// An announcement costs nothing, and a payload that is never put into a header not much: who claims in vain is not
    /// believed for a while, and longer each time, or it could keep entries out of all payloads. Payloads of near leaders
    /// count even so: they were spread, and may be in the next header.
    #[must_use]
    pub fn claims(
        &self,
        near: &BTreeSet<BuilderId>,
        far_too: bool,
        me: &BuilderId,
        epoch: Epoch,
        view: View,
    ) -> Vec<Arc<Manifest>> {
        let state = self.lock();
        let believed = |builder: &BuilderId| builder != me && !state.is_in_vain(builder, epoch, view);
        let counts = |builder: &BuilderId| builder != me && near.contains(builder) || far_too && believed(builder);
        let unordered = state
            .known
            .values()
            .filter(|known| !known.ordered && known.epoch == epoch && known.expiry >= view && counts(&known.builder));
        let mut unordered: Vec<&Known> = unordered.collect();
        unordered.sort_unstable_by_key(|known| std::cmp::Reverse(known.expiry));
        let mut claims: Vec<Arc<Manifest>> =
            unordered.into_iter().take(CLAIMS_MAX).map(|known| known.manifest.clone()).collect();
        let recent = state.announced.range((epoch, View(view.0.saturating_sub(ANNOUNCED_VIEWS)))..);
        for (_, announced) in recent.filter(|((of, _), it)| *of == epoch && near.contains(&it.builder)) {
            // What has been dispersed since is the same again.
            if !announced.is_kept && believed(&announced.builder) {
                claims.push(announced.manifest.clone());
            }
        }
        claims
    }

    /// Whether it is worth waiting for what a builder will announce for the header of `target`.
    #[must_use]
    pub fn is_awaited(&self, builder: &BuilderId, epoch: Epoch, target: View, view: View) -> bool {
        let state = self.lock();
        !state.announced.contains_key(&(epoch, target)) && !state.is_in_vain(builder, epoch, view)
    }

    /// Remembers what the leader of a view announced, the first time, and forgets what is of views long before `view`. The
    /// caller accepts near views only, so few are remembered.
    pub(super) fn announce(&self, builder: BuilderId, at: (Epoch, View), manifest: Manifest, view: View) {
        let mut state = self.lock();
        let is_kept = state.known.values().any(|known| known.builder == builder && *known.manifest == manifest);
        state.announced.entry(at).or_insert(Announced { builder, manifest: Arc::new(manifest), is_kept });
        let oldest = (at.0, View(view.0.saturating_sub(ANNOUNCED_VIEWS)));
        let recent = state.announced.split_off(&oldest);
        let over = std::mem::replace(&mut state.announced, recent);
        for ((epoch, _), announced) in over {
            if !announced.is_kept {
                state.note_in_vain(announced.builder, epoch, view);
            }
        }
    }

    pub(super) fn insert(&self, commitment: Commitment, known: Known) {
        let mut state = self.lock();
        for announced in state.announced.values_mut() {
            announced.is_kept |= announced.builder == known.builder && announced.manifest == known.manifest;
        }
        state.known.insert(commitment, known);
    }

    pub(super) fn committed(&self, header: &Header) {
        let mut state = self.lock();
        for certificate in header.payloads.iter() {
            if let Some(known) = state.known.get_mut(&certificate.commitment()) {
                known.ordered = true;
            }
        }
    }

    pub(super) fn forget(&self, commitments: &[Commitment]) {
        let mut state = self.lock();
        for commitment in commitments {
            if let Some(known) = state.known.remove(commitment).filter(|known| !known.ordered) {
                state.note_in_vain(known.builder, known.epoch, known.expiry);
            }
        }
    }

    /// An epoch begins: who builds in it announces anew.
    pub(super) fn enter(&self) {
        let mut state = self.lock();
        state.announced.clear();
        state.in_vain.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No change can stop half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{ANNOUNCED_VIEWS, IN_VAIN_VIEWS, Known, Manifests};
    use chorale_types::{
        BuilderId, Commitment, Epoch, Manifest, Payload, PayloadUnit, RollupId, Transaction, Unit, View, codec::Blob,
        tagged_hash,
    };
    use std::collections::BTreeSet;

    const EPOCH: Epoch = Epoch(1);

    fn builder(name: u8) -> BuilderId {
        BuilderId(tagged_hash("test/builder", &[&[name]]))
    }

    fn manifest(name: u8) -> Manifest {
        let transaction = Transaction { rollup: RollupId(1), data: Blob::new(vec![name]).unwrap() };
        let units = vec![PayloadUnit::new(Unit::Transaction(transaction))];
        Payload::build(units, [name; 32]).unwrap().1
    }

    fn known(name: u8, expiry: u64) -> Known {
        let manifest = manifest(name).into();
        Known { manifest, builder: builder(name), epoch: EPOCH, expiry: View(expiry), ordered: false }
    }

    fn commitment(name: u8) -> Commitment {
        Commitment(tagged_hash("test/commitment", &[&[name]]))
    }

    /// Whose payloads claim something, for this node `me` in a view with these leaders near it.
    fn claims(manifests: &Manifests, near: &[u8], me: u8, view: u64) -> Vec<u8> {
        let near: BTreeSet<BuilderId> = near.iter().copied().map(builder).collect();
        let claims = manifests.claims(&near, true, &builder(me), EPOCH, View(view));
        (0..=u8::MAX).filter(|name| claims.contains(&manifest(*name).into())).collect()
    }

    #[test]
    fn what_others_dispersed_is_claimed_until_it_expires() {
        let manifests = Manifests::default();
        (1..=3).for_each(|name| manifests.insert(commitment(name), known(name, 10 + u64::from(name))));
        assert_eq!(claims(&manifests, &[], 2, 5), [1, 3], "and this node's own is known to it");
        assert_eq!(claims(&manifests, &[], 2, 12), [3]);
        assert!(manifests.claims(&BTreeSet::new(), true, &builder(9), Epoch(2), View(1)).is_empty(), "of this epoch");
        let near = [builder(1)].into();
        let claims = manifests.claims(&near, false, &builder(2), EPOCH, View(5));
        assert_eq!(claims, [manifest(1).into()], "or of near leaders only");
    }

    #[test]
    fn what_a_near_leader_announced_is_claimed_once() {
        let manifests = Manifests::default();
        manifests.announce(builder(1), (EPOCH, View(7)), manifest(1), View(6));
        assert!(!manifests.is_awaited(&builder(1), EPOCH, View(7), View(6)));
        assert!(manifests.is_awaited(&builder(1), EPOCH, View(8), View(6)));
        assert_eq!(claims(&manifests, &[1], 2, 6), [1]);
        assert!(claims(&manifests, &[3], 2, 6).is_empty(), "its turn is far away");
        assert!(claims(&manifests, &[1], 2, 11).is_empty(), "it never came");
        manifests.insert(commitment(1), known(1, 40));
        let near = [builder(1)].into();
        assert_eq!(manifests.claims(&near, true, &builder(2), EPOCH, View(6)).len(), 1);
        manifests.enter();
        assert!(manifests.is_awaited(&builder(1), EPOCH, View(7), View(6)));
    }

    #[test]
    fn announcements_are_forgotten_when_their_views_are_over() {
        let manifests = Manifests::default();
        for view in 0..20 {
            manifests.insert(commitment(1), known(1, 40));
            manifests.announce(builder(1), (EPOCH, View(view)), manifest(1), View(view));
        }
        assert_eq!(manifests.lock().announced.len() as u64, ANNOUNCED_VIEWS + 1);
        assert!(manifests.lock().in_vain.is_empty(), "all were kept");
    }

    /// It costs nothing to announce what never comes, and would keep entries out of the payloads of others.
    #[test]
    fn who_announces_in_vain_is_not_believed_for_longer_each_time() {
        let manifests = Manifests::default();
        let mut view = 100;
        for times in 0..3 {
            manifests.announce(builder(1), (EPOCH, View(view)), manifest(1), View(view));
            assert_eq!(claims(&manifests, &[1], 9, view), [1], "believed once more");
            // The next announcement of anybody finds that nothing came.
            view += ANNOUNCED_VIEWS + 1;
            manifests.announce(builder(2), (EPOCH, View(view)), manifest(2), View(view));
            manifests.insert(commitment(2), known(2, view));
            manifests.announce(builder(1), (EPOCH, View(view + 1)), manifest(3), View(view));
            assert!(!claims(&manifests, &[1], 9, view).contains(&3));
            assert!(!manifests.is_awaited(&builder(1), EPOCH, View(view + 2), View(view)), "nobody waits for it");
            // That one is kept.
            manifests.insert(commitment(3), Known { builder: builder(1), ordered: true, ..known(3, view) });
            view += IN_VAIN_VIEWS << times;
            assert!(manifests.is_awaited(&builder(1), EPOCH, View(view + 2), View(view)));
        }
    }

    #[test]
    fn the_first_announcement_for_a_view_counts() {
        let manifests = Manifests::default();
        manifests.announce(builder(1), (EPOCH, View(7)), manifest(1), View(6));
        manifests.announce(builder(1), (EPOCH, View(7)), manifest(2), View(6));
        assert_eq!(claims(&manifests, &[1], 9, 6), [1]);
    }

    /// Whoever disperses payloads and never has them ordered could otherwise keep entries out of everybody's payloads.
    #[test]
    fn a_builder_whose_payload_ended_unordered_claims_nothing_for_a_while() {
        let manifests = Manifests::default();
        manifests.insert(commitment(1), known(1, 10));
        manifests.forget(&[commitment(1)]);
        manifests.insert(commitment(2), Known { builder: builder(1), ..known(2, 200) });
        assert!(claims(&manifests, &[], 9, 20).is_empty());
        assert_eq!(claims(&manifests, &[1], 9, 20), [2], "its turn is near");
        assert_eq!(claims(&manifests, &[], 9, 10 + IN_VAIN_VIEWS), [2], "a while is over");

        let honest = Manifests::default();
        honest.insert(commitment(1), Known { ordered: true, ..known(1, 10) });
        honest.forget(&[commitment(1)]);
        honest.insert(commitment(2), Known { builder: builder(1), ..known(2, 200) });
        assert_eq!(claims(&honest, &[], 9, 20), [2]);
    }
}
