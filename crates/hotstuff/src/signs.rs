//! In which epochs a node may sign, and when one that lost its record may again.
//!
//! A node without its record may have signed anything in any epoch that had begun when it lost it, and its copy of the
//! chain may end epochs before. So "the next epoch" is not the one after that copy: it is the first that begins after the
//! node was started. That an epoch goes on is shown by a fresh header with a certificate of its own view: a quorum
//! voted for it as fresh, so an honest validator found its timestamp not ahead of its clock by more than `clock_drift`;
//! and that clock may be ahead of this node's by as much. If the timestamp is later than the start by more than both, the
//! header was voted for after the start, and the epoch after its own begins later still: if it is not above the closing
//! height. Headers above it are voted for also by those who have not heard that the epoch is over.

use crate::{Core, timer::after};
use chorale_types::{Epoch, QuorumCertificate, Scheme, TimestampMs};

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signs {
    /// In this epoch and later ones.
    From(Epoch),
    /// The record is lost, and nothing shows yet which epoch began later.
    Lost {
        /// The clock when the node was started.
        started: TimestampMs,
    },
}

impl Signs {
    pub(crate) fn may_in(self, epoch: Epoch) -> bool {
        matches!(self, Self::From(first) if epoch >= first)
    }

    /// The node is started.
    pub(crate) const fn start(&mut self, now: TimestampMs) {
        if let Self::Lost { started } = self {
            *started = now;
        }
    }
}

impl<S: Scheme> Core<S> {
    /// Whether a verified certificate of this epoch shows that the next one begins after this node was started.
    pub(crate) fn may_sign_again(&mut self, certificate: &QuorumCertificate) {
        let Signs::Lost { started } = self.signs else { return };
        let shows = certificate.is_fresh() && certificate.block.height <= self.rules.info.closing;
        let header = self.tree.header(&certificate.block.id).filter(|_| shows);
        if header
            .is_some_and(|header| header.timestamp > after(started, self.parameters.clock_drift_ms.saturating_mul(2)))
        {
            self.signs = Signs::From(self.rules.info.epoch.next());
        }
    }
}
