//! Headers and certificates above the committed block, and which of them are committed.

use chorale_types::{BlockId, BlockReference, CommitProof, Header, Height, QuorumCertificate, View, codec::Shared};
use std::collections::BTreeMap;

/// A header above the committed block.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) header: Shared<Header>,
    /// Whether it has been handed out to be made durable.
    pub(crate) persisted: bool,
}

/// How a block that is to be committed is connected to the one committed last.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// By these blocks, oldest first.
    Whole(Vec<BlockId>),
    /// Not yet: this header is missing.
    Missing(BlockId, Height),
    /// Not at all.
    Conflict,
}

/// The block tree of an epoch.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The last block committed.
    pub(crate) committed: BlockReference,
    /// Nothing above this height is ever committed in the epoch.
    pub(crate) closing: Height,
    headers: BTreeMap<BlockId, Stored>,
    certificates: BTreeMap<View, QuorumCertificate>,
    /// The block being committed, while headers below it are missing.
    current: Option<CommitProof>,
    /// The highest one after it. Taking them in turn lets a node catch up with a chain that grows meanwhile.
    next: Option<CommitProof>,
}

impl Tree {
    pub(crate) const fn new(committed: BlockReference, closing: Height) -> Self {
        Self { committed, closing, headers: BTreeMap::new(), certificates: BTreeMap::new(), current: None, next: None }
    }

    pub(crate) fn header(&self, id: &BlockId) -> Option<&Shared<Header>> {
        self.headers.get(id).map(|stored| &stored.header)
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = &Header> {
        self.headers.values().map(|stored| &*stored.header)
    }

    pub(crate) fn insert(&mut self, id: BlockId, header: Shared<Header>, persisted: bool) {
        if header.height > self.committed.height {
            self.headers.entry(id).or_insert_with(|| Stored { header, persisted });
        }
    }

    /// The header, if it has not been handed out to be made durable; counts as handed out from now on.
    pub(crate) fn persist(&mut self, id: &BlockId) -> Option<Shared<Header>> {
        let stored = self.headers.get_mut(id)?;
        (!std::mem::replace(&mut stored.persisted, true)).then(|| stored.header.clone())
    }

    pub(crate) fn certificate(&self, view: View) -> Option<&QuorumCertificate> {
        self.certificates.get(&view)
    }

    /// Takes a verified certificate in. Whether it is new and above the committed block.
    pub(crate) fn certify(&mut self, certificate: &QuorumCertificate) -> bool {
        if certificate.view < self.committed.view || self.certificates.contains_key(&certificate.view) {
            return false;
        }
        self.certificates.insert(certificate.view, certificate.clone());
        true
    }

    /// The certificate of the next view in which one is known.
    pub(crate) fn certificate_after(&self, view: View) -> Option<&QuorumCertificate> {
        self.certificates.range(view.next()..).next().map(|(_, certificate)| certificate)
    }

    /// Whether it is news that a block of this height is provably committed.
    pub(crate) fn is_news(&self, height: Height) -> bool {
        let known = [&self.current, &self.next].into_iter().flatten().map(|proof| proof.block().height);
        height > known.fold(self.committed.height, Height::max)
    }

    /// A block is provably committed.
    pub(crate) fn aim(&mut self, proof: CommitProof) {
        if !self.is_news(proof.block().height) {
            return;
        }
        if self.current.is_none() {
            self.current = Some(proof);
        } else {
            self.next = Some(proof);
        }
    }

    /// The block that is being committed.
    pub(crate) const fn target(&self) -> Option<&CommitProof> {
        self.current.as_ref()
    }

    /// Turns to the next block to commit.
    pub(crate) fn drop_target(&mut self) -> Option<CommitProof> {
        let done = std::mem::replace(&mut self.current, self.next.take());
        if self.current.as_ref().is_some_and(|proof| proof.block().height <= self.committed.height) {
            self.current = None;
        }
        done
    }

    /// The parent of a block. Above the closing height the certificates are enough to know it: a reference names its
    /// parent's view, and a view has one certificate.
    pub(crate) fn parent(&self, block: &BlockReference) -> Option<BlockReference> {
        if let Some(header) = self.header(&block.id) {
            return Some(header.parent.block);
        }
        let certificate = self.certificates.get(&block.parent)?;
        (block.height > self.closing && certificate.block.height.next() == block.height).then_some(certificate.block)
    }

    /// How a block is connected to the last one committed, leaving out what is above the closing height.
    pub(crate) fn path(&self, to: BlockReference) -> Path {
        let mut at = to;
        let mut path = Vec::new();
        while at.height > self.committed.height {
            let Some(parent) = self.parent(&at) else { return Path::Missing(at.id, at.height) };
            if at.height <= self.closing {
                path.push(at.id);
            }
            at = parent;
        }
        path.reverse();
        if at.id == self.committed.id { Path::Whole(path) } else { Path::Conflict }
    }

    /// Commits a block with its header and forgets what it decides.
    pub(crate) fn commit(&mut self, id: BlockId) -> Option<Shared<Header>> {
        let header = self.headers.remove(&id)?.header;
        self.committed = BlockReference { view: header.view, parent: header.parent.view, height: header.height, id };
        Some(header)
    }

    /// Forgets headers and certificates that can no longer matter.
    pub(crate) fn prune(&mut self) {
        let (height, view) = (self.committed.height, self.committed.view);
        self.headers.retain(|_, stored| stored.header.height > height);
        while self.certificates.first_key_value().is_some_and(|(certified, _)| *certified < view) {
            self.certificates.pop_first();
        }
    }

    /// Whether something is not committed yet that an idle chain should not leave open: a payload, the closing block,
    /// or a block that is not known well enough to say.
    pub(crate) fn is_open(&self, high: &BlockReference) -> bool {
        let unknown = high.height > self.committed.height && !self.headers.contains_key(&high.id);
        unknown || high.height >= self.closing || self.headers.values().any(|stored| !stored.header.payloads.is_empty())
    }
}
