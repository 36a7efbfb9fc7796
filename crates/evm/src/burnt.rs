//! Bindings of bundles that were executed: nobody can have one again, so nobody can make legs take effect twice.
//!
//! They decide what becomes of later bundles, and no block names them. So their root is part of what is attested: whoever
//! starts from a snapshot of strangers knows that it has all of them, and no others. It is kept incrementally, and what it
//! costs is bounded by the lifetime of bundles.

use crate::Trie;
use alloy_primitives::{B256, keccak256};
use chorale_types::{Digest, Height};
use std::collections::{BTreeMap, BTreeSet};

/// The bindings by the last height at which they could be ordered, and their root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Burnt {
    by_expiry: BTreeMap<Height, BTreeSet<Digest>>,
    trie: Trie,
}

impl Burnt {
    pub(crate) fn contains(&self, expiry: Height, binding: &Digest) -> bool {
        self.by_expiry.get(&expiry).is_some_and(|bindings| bindings.contains(binding))
    }

    pub(crate) fn insert(&mut self, expiry: Height, binding: Digest) {
        if self.by_expiry.entry(expiry).or_default().insert(binding) {
            self.trie.insert(key(expiry, &binding), alloy_rlp::encode(expiry.0));
        }
    }

    /// Forgets those that could be ordered up to a height at most: there is nothing to be ordered any more.
    pub(crate) fn forget_until(&mut self, height: Height) {
        while let Some(first) = self.by_expiry.first_entry()
            && *first.key() <= height
        {
            let (expiry, bindings) = first.remove_entry();
            for binding in bindings {
                self.trie.remove(key(expiry, &binding));
            }
        }
    }

    /// The root of all that are there.
    pub(crate) fn root(&mut self) -> Digest {
        self.trie.root().0.into()
    }
}

impl FromIterator<(Height, Digest)> for Burnt {
    fn from_iter<T: IntoIterator<Item = (Height, Digest)>>(bindings: T) -> Self {
        let mut burnt = Self::default();
        bindings.into_iter().for_each(|(expiry, binding)| burnt.insert(expiry, binding));
        burnt
    }
}

/// The root that an [outcome](chorale_types::ExecutionOutcome::burnt) names of bindings that nobody can have again, each
/// with the last height at which it could be ordered: that of a [`Trie`] with a key for each of them, the Keccak-256 hash of
/// the height (8 bytes) and the binding; its value is the RLP of the height.
#[must_use]
pub fn burnt_root(bindings: impl IntoIterator<Item = (Height, Digest)>) -> Digest {
    Burnt::from_iter(bindings).root()
}

fn key(expiry: Height, binding: &Digest) -> B256 {
    let mut preimage = [0; 40];
    preimage[..8].copy_from_slice(&expiry.0.to_be_bytes());
    preimage[8..].copy_from_slice(binding.as_ref());
    keccak256(preimage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chorale_types::tagged_hash;
    use proptest::prelude::*;

    fn binding(number: u64) -> Digest {
        tagged_hash("test/binding", &[&number.to_be_bytes()])
    }

    proptest! {
        #[test]
        fn the_root_is_that_of_what_is_there_however_it_came_and_went(
            steps in prop::collection::vec((0u64..40, 0u64..20, any::<bool>()), 0..60),
        ) {
            let (mut burnt, mut expected) = (Burnt::default(), BTreeSet::new());
            for (expiry, number, forgets) in steps {
                if forgets {
                    burnt.forget_until(Height(expiry));
                    expected.retain(|(kept, _)| *kept > Height(expiry));
                } else {
                    burnt.insert(Height(expiry), binding(number));
                    expected.insert((Height(expiry), binding(number)));
                }
                prop_assert_eq!(burnt.root(), burnt_root(expected.iter().copied()));
                for number in 0..20 {
                    let is_there = expected.contains(&(Height(expiry), binding(number)));
                    prop_assert_eq!(burnt.contains(Height(expiry), &binding(number)), is_there);
                }
            }
        }
    }

    #[test]
    fn another_height_or_binding_makes_another_root() {
        let root =
            |bindings: &[(u64, u64)]| burnt_root(bindings.iter().map(|(at, number)| (Height(*at), binding(*number))));
        let roots: BTreeSet<Digest> = [&[][..], &[(1, 1)], &[(2, 1)], &[(1, 2)], &[(1, 1), (2, 1)]].map(root).into();
        assert_eq!(roots.len(), 5);
    }

    /// A domain is busy for longer than bundles live: as many go as come, and nothing stays behind in the root.
    #[test]
    fn what_can_no_longer_be_ordered_is_in_the_root_no_more() {
        let (mut burnt, lifetime, each) = (Burnt::default(), 20, 10);
        for height in 0..5 * lifetime {
            for number in 0..each {
                burnt.insert(Height(height + lifetime), binding(height * each + number));
            }
            burnt.forget_until(Height(height));
        }
        let alive = (4 * lifetime..5 * lifetime).flat_map(|height| {
            (0..each).map(move |number| (Height(height + lifetime), binding(height * each + number)))
        });
        assert_eq!(burnt.root(), burnt_root(alive));
        burnt.forget_until(Height(6 * lifetime));
        assert_eq!(burnt.root(), burnt_root([]));
    }
}
