//! One chain.

use super::{Oracle, Rule, Verdict, ensure};
use chorale_types::{BlockId, BlockReference, Epoch, Header, Height, codec::Shared};
use std::collections::BTreeMap;

/// The one chain, as the fastest node has committed it, and how far each node is.
#[derive(Debug)]
pub(super) struct Chain {
    blocks: BTreeMap<Height, BlockId>,
    heights: BTreeMap<usize, Height>,
    start: Height,
    /// Blocks that the votes sent could commit, whether or not anybody knows yet.
    possible: BTreeMap<Height, BlockId>,
    /// Certified blocks of heights that are not decided yet.
    certified: BTreeMap<(Epoch, BlockReference), ()>,
}

impl Chain {
    pub(super) fn new(start: BlockReference) -> Self {
        Self {
            blocks: BTreeMap::from([(start.height, start.id)]),
            heights: BTreeMap::new(),
            start: start.height,
            possible: BTreeMap::new(),
            certified: BTreeMap::new(),
        }
    }

    pub(super) fn is_committed(&self, height: Height, id: BlockId) -> bool {
        self.blocks.get(&height) == Some(&id)
    }

    pub(super) fn height_of(&self, node: usize) -> u64 {
        self.heights.get(&node).map_or(self.start.0, |height| height.0)
    }

    pub(super) fn restarted(&mut self, node: usize, committed: Height) {
        self.heights.insert(node, committed);
    }

    /// The votes sent are enough to commit this block.
    pub(super) fn possible(&mut self, block: BlockReference) -> Verdict {
        for decided in [self.blocks.get(&block.height), self.possible.get(&block.height)] {
            ensure(decided.is_none_or(|decided| *decided == block.id), Rule::OneChain, || {
                format!("{block:?} can be committed beside {decided:?}")
            })?;
        }
        self.possible.insert(block.height, block.id);
        Ok(())
    }

    pub(super) fn committed(&mut self, node: usize, headers: &[Shared<Header>]) -> Verdict {
        for header in headers {
            let before = Height(self.height_of(node));
            ensure(header.height == before.next(), Rule::NoGap, || {
                format!("node {node} commits height {} after {before}", header.height)
            })?;
            let (id, parent) = (header.id(), header.parent.block.id);
            ensure(self.is_committed(before, parent), Rule::OneChain, || {
                format!("node {node} commits {id:?} on {parent:?}, which is not the block of height {before}")
            })?;
            let other = self.blocks.entry(header.height).or_insert(id);
            ensure(*other == id, Rule::OneChain, || {
                format!("node {node} commits {id:?} at height {}, where others committed {other:?}", header.height)
            })?;
            let possible = self.possible.get(&header.height);
            ensure(possible.is_none_or(|possible| *possible == id), Rule::OneChain, || {
                format!("node {node} commits {id:?} at height {}, where {possible:?} can be", header.height)
            })?;
            self.heights.insert(node, header.height);
        }
        Ok(())
    }

    pub(super) fn certified(&mut self, epoch: Epoch, block: BlockReference) {
        self.certified.insert((epoch, block), ());
    }
}

impl Oracle {
    /// Whether certified blocks of decided heights are the ones decided on, as far as their leaders were honest.
    pub(super) fn check_certified_kept(&mut self) -> Verdict {
        let Some((last, _)) = self.chain.blocks.last_key_value() else { return Ok(()) };
        let last = *last;
        let (decided, open) = std::mem::take(&mut self.chain.certified)
            .into_keys()
            .partition::<Vec<_>, _>(|(_, block)| block.height <= last);
        self.chain.certified = open.into_iter().map(|certified| (certified, ())).collect();
        for (epoch, block) in decided {
            // Blocks above the closing height are dropped with their epoch.
            let dropped = self.epochs.get(&epoch).is_some_and(|state| block.height > state.info.closing);
            let guilty = self.tips.get(&(epoch, block.view)).is_some_and(|headers| headers.len() > 1);
            let kept = self.chain.is_committed(block.height, block.id);
            ensure(kept || dropped || guilty, Rule::CertifiedKept, || {
                format!("{block:?} was certified and is lost, and its leader signed no other header")
            })?;
        }
        Ok(())
    }
}
