//! What has been verified already, so that it is not verified again. Compared by value: a hash would cost more.

use chorale_types::{BlockId, QuorumCertificate, TimeoutQuorum, Tip, View};
use std::collections::BTreeMap;

/// Variants of one view that are kept: certificates may differ by their signers, headers by equivocation.
const VARIANTS_MAX: usize = 4;
/// Views that are kept, so that the cache is bounded also while nothing commits.
const VIEWS_MAX: usize = 128;

type ByView<T> = BTreeMap<View, Vec<T>>;

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    certificates: ByView<QuorumCertificate>,
    quorums: ByView<TimeoutQuorum>,
    tips: ByView<(BlockId, Tip)>,
}

impl Verified {
    pub(crate) fn certificate(&self, certificate: &QuorumCertificate) -> bool {
        self.certificates.get(&certificate.view).is_some_and(|known| known.contains(certificate))
    }

    pub(crate) fn quorum(&self, quorum: &TimeoutQuorum) -> bool {
        self.quorums.get(&quorum.view).is_some_and(|known| known.contains(quorum))
    }

    /// The id of a verified tip's block.
    pub(crate) fn tip(&self, tip: &Tip) -> Option<BlockId> {
        let known = self.tips.get(&tip.header.view)?;
        known.iter().find(|(_, known)| known == tip).map(|(id, _)| *id)
    }

    pub(crate) fn add_certificate(&mut self, certificate: &QuorumCertificate) {
        if !self.certificate(certificate) {
            add(&mut self.certificates, certificate.view, certificate.clone());
        }
    }

    pub(crate) fn add_quorum(&mut self, quorum: &TimeoutQuorum) {
        if !self.quorum(quorum) {
            add(&mut self.quorums, quorum.view, quorum.clone());
        }
    }

    pub(crate) fn add_tip(&mut self, id: BlockId, tip: &Tip) {
        if self.tip(tip).is_none() {
            add(&mut self.tips, tip.header.view, (id, tip.clone()));
        }
    }

    /// Forgets views below this one.
    pub(crate) fn prune(&mut self, below: View) {
        fn prune<T>(views: &mut ByView<T>, below: View) {
            while views.first_key_value().is_some_and(|(view, _)| *view < below) {
                views.pop_first();
            }
        }
        prune(&mut self.certificates, below);
        prune(&mut self.quorums, below);
        prune(&mut self.tips, below);
    }
}

fn add<T>(views: &mut ByView<T>, view: View, item: T) {
    let variants = views.entry(view).or_default();
    if variants.len() >= VARIANTS_MAX {
        variants.remove(0);
    }
    variants.push(item);
    if views.len() > VIEWS_MAX {
        views.pop_first();
    }
}
