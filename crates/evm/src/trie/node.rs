//! Nodes: how they change, and how they are encoded.
//!
//! A node is a path that ends in a value or in a branch. An extension is no node of its own here but the path of a
//! branch, so what may follow what holds by itself. One rule is left to keep: a branch has two children or more. Only a
//! removal can break it, and then the one child that is left takes the branch's place.
//!
//! Clones of a trie share nodes. What changes is copied first, with all above it, unless nobody else has it.

use alloy_rlp::Encodable;
use alloy_trie::{
    Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode},
};
use std::sync::Arc;

pub(super) type Link = Option<Arc<Node>>;

#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From the branch above, or the root, to the end.
    path: Nibbles,
    pub(super) end: End,
    /// What stands for it in the node above: its hash, or itself if that is shorter. None once something changed. Where
    /// there is one, there is one in every node below.
    reference: Option<RlpNode>,
}

#[derive(Clone, Debug)]
pub(super) enum End {
    Value(Vec<u8>),
    Branch(Box<[Link; 16]>),
}

/// A path that goes on at a branch: to which child, and from there. None if it ends there, which no key's does: they are
/// all of one length.
pub(super) fn split(path: &Nibbles) -> Option<(usize, Nibbles)> {
    Some((path.first()?.into(), path.slice(1..)))
}

impl Node {
    pub(super) fn leaf(path: Nibbles, value: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { path, end: End::Value(value), reference: None })
    }

    /// What is left of a path at this node's end; none if it leads elsewhere.
    pub(super) fn strip(&self, path: &Nibbles) -> Option<Nibbles> {
        path.starts_with(&self.path).then(|| path.slice(self.path.len()..))
    }

    /// Sets the value at a path from here. Says whether that changed anything.
    pub(super) fn insert(&mut self, path: &Nibbles, value: Vec<u8>) -> bool {
        let changed = match (self.strip(path), &mut self.end) {
            (Some(_), End::Value(held)) => std::mem::replace(held, value) != *held,
            (Some(rest), End::Branch(children)) => match split(&rest) {
                Some((index, below)) => match &mut children[index] {
                    Some(child) => Arc::make_mut(child).insert(&below, value),
                    empty => {
                        *empty = Some(Self::leaf(below, value));
                        true
                    }
                },
                None => false,
            },
            (None, _) => {
                self.fork(path, value);
                true
            }
        };
        if changed {
            self.reference = None;
        }
        changed
    }

    /// Becomes the branch where a path parts from this node's, with what was here and a new leaf as its children.
    fn fork(&mut self, path: &Nibbles, value: Vec<u8>) {
        let common = self.path.common_prefix_length(path);
        let ends = (split(&self.path.slice(common..)), split(&path.slice(common..)));
        let (Some((old_index, old_path)), Some((new_index, new_path))) = ends else { return };
        let branch = Self { path: path.slice(..common), end: End::Branch(Box::default()), reference: None };
        let old = std::mem::replace(self, branch);
        if let End::Branch(children) = &mut self.end {
            children[old_index] = Some(Arc::new(Self { path: old_path, reference: None, ..old }));
            children[new_index] = Some(Self::leaf(new_path, value));
        }
    }

    /// Lets the only child of a branch take its place.
    fn collapse(&mut self) {
        let End::Branch(children) = &mut self.end else { return };
        let mut held = (0u8..).zip(children.iter_mut()).filter(|(_, child)| child.is_some());
        if let (Some((index, only)), None) = (held.next(), held.next())
            && let Some(child) = only.take()
        {
            let mut path = self.path;
            path.push(index);
            path.extend(&child.path);
            *self = Self { path, reference: None, ..Arc::unwrap_or_clone(child) };
        }
    }

    /// What stands for this node in the one above, if nothing has changed since that was computed.
    pub(super) const fn reference(&self) -> Option<&RlpNode> {
        self.reference.as_ref()
    }

    /// Computes the references that are missing, in this node and below it.
    pub(super) fn refresh(node: &mut Arc<Self>, buffers: &mut Buffers) {
        if node.reference.is_some() {
            return;
        }
        let node = Arc::make_mut(node);
        if let End::Branch(children) = &mut node.end {
            children.iter_mut().flatten().for_each(|child| Self::refresh(child, buffers));
        }
        node.encode(buffers);
        node.reference = Some(RlpNode::from_rlp(buffers.outermost()));
    }

    /// Writes the node's encodings into the buffers. Its children have their references.
    pub(super) fn encode(&self, buffers: &mut Buffers) {
        buffers.clear();
        match &self.end {
            End::Value(value) => LeafNodeRef::new(&self.path, value).encode(&mut buffers.innermost),
            End::Branch(children) => {
                let (mut references, mut mask) = (Vec::with_capacity(children.len()), 0);
                for (index, child) in children.iter().enumerate() {
                    if let Some(child) = child {
                        references.push(child.reference.clone().expect("references were computed"));
                        mask |= 1 << index;
                    }
                }
                BranchNodeRef::new(&references, TrieMask::new(mask)).encode(&mut buffers.innermost);
                if !self.path.is_empty() {
                    let branch = RlpNode::from_rlp(&buffers.innermost);
                    ExtensionNodeRef::new(&self.path, &branch).encode(&mut buffers.extension);
                }
            }
        }
    }
}

/// Removes the value at a path below a link. Says whether that changed anything.
pub(super) fn remove(link: &mut Link, path: &Nibbles) -> bool {
    let Some(node) = link else { return false };
    let Some(rest) = node.strip(path) else { return false };
    if matches!(node.end, End::Value(_)) {
        *link = None;
        return true;
    }
    let node = Arc::make_mut(node);
    let End::Branch(children) = &mut node.end else { return false };
    let removed = split(&rest).is_some_and(|(index, below)| remove(&mut children[index], &below));
    if removed {
        node.reference = None;
        node.collapse();
    }
    removed
}

/// The encodings of one node, in memory that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The leaf or the branch.
    innermost: Vec<u8>,
    /// The extension that leads to the branch; empty if there is none.
    extension: Vec<u8>,
}

impl Buffers {
    fn clear(&mut self) {
        self.innermost.clear();
        self.extension.clear();
    }

    pub(super) const fn has_extension(&self) -> bool {
        !self.extension.is_empty()
    }

    pub(super) fn innermost(&self) -> &[u8] {
        &self.innermost
    }

    /// What the node above refers to.
    pub(super) fn outermost(&self) -> &[u8] {
        if self.has_extension() { &self.extension } else { &self.innermost }
    }
}
