//! Who the pool gossips with.

use crate::dispersal::keys::node_key;
use chorale_foundation::{Bytes, codec::DecodeExt as _, cryptography::ed25519::PublicKey};
use chorale_mempool::PeerId;
use chorale_types::{EpochInfo, NodeKey};
use std::collections::{BTreeMap, BTreeSet};

/// The nodes of all epochs that this one has been in, numbered as they come: few, and the same number over epochs.
pub(super) struct Roster {
    me: NodeKey,
    numbers: BTreeMap<NodeKey, PeerId>,
    keys: Vec<PublicKey>,
    current: BTreeSet<PeerId>,
}

impl Roster {
    pub(super) const fn new(me: NodeKey) -> Self {
        Self { me, numbers: BTreeMap::new(), keys: Vec::new(), current: BTreeSet::new() }
    }

    /// The validators of this epoch are those to gossip with from now on.
    pub(super) fn enter(&mut self, epoch: &EpochInfo) -> impl Iterator<Item = PeerId> {
        let nodes = epoch.validators.iter().map(|(_, validator)| validator.node);
        let others: Vec<NodeKey> = nodes.filter(|node| *node != self.me).collect();
        self.current = others.into_iter().filter_map(|node| self.number(node)).collect();
        self.current.iter().copied()
    }

    /// A validator of this epoch by its key.
    pub(super) fn number_of(&self, key: &PublicKey) -> Option<PeerId> {
        self.numbers.get(&node_key(key)).copied().filter(|peer| self.current.contains(peer))
    }

    pub(super) fn key(&self, peer: PeerId) -> Option<&PublicKey> {
        self.keys.get(peer.0 as usize)
    }

    /// None if the key is no point of the curve: nobody can be reached by it.
    fn number(&mut self, node: NodeKey) -> Option<PeerId> {
        if let Some(number) = self.numbers.get(&node) {
            return Some(*number);
        }
        let key = PublicKey::decode(Bytes::copy_from_slice(&node.0)).ok()?;
        let number = PeerId(u32::try_from(self.keys.len()).ok()?);
        self.keys.push(key);
        self.numbers.insert(node, number);
        Some(number)
    }
}
