//! Evidence: proof that a validator did what no honest one does, kept and passed on.
//!
//! Consensus and attestation find it; whoever punishes (a ledger, a bridge to L1) reads it from the [`Register`].
//!
//! # Rules
//!
//! - Only what proves itself is kept: both signatures hold under the validator's key of that epoch, and the statements
//!   contradict each other.
//! - One object is kept for each validator, epoch and kind of fault, and [`PER_VALIDATOR_MAX`] for each validator: who
//!   accuses himself a thousand times fills no disk and displaces nobody else's.
//! - Whom it proves guilty is cut off, and stays so for the epoch.
//! - It is durable before it is listed or passed on, so that what was seen once is there after a restart.
//! - It is sent to all when it is new. Besides, each node says one that it knows again every [`REPEAT_MS`], in turn, so
//!   that who was away or has lost its disk learns all of them. What is known costs no verification.
//! - A peer that sends what proves nothing is named and cut off. Evidence of an epoch that is not known here is ignored:
//!   it comes again.
//!
//! # Wire format
//!
//! Messages on [`channel::EVIDENCE`](crate::mesh::channel::EVIDENCE): an [`Evidence`] in the canonical codec.

mod actor;
mod register;
#[cfg(test)]
mod tests;

pub use actor::{Actor, Connections, Stopped};
pub use register::{Proven, Register};

use chorale_types::Evidence;
use tokio::sync::mpsc;
use tracing::error;

/// Objects kept of one validator: every kind of fault in nine epochs.
pub const PER_VALIDATOR_MAX: usize = 63;
/// How often something known is said again, in milliseconds.
pub const REPEAT_MS: u64 = 1_000;
/// Reports that wait for the actor.
const REPORTS_MAX: usize = 1_024;

/// By which others report what they found. Clones share it.
#[derive(Clone, Debug)]
pub struct Reporter(mpsc::Sender<Evidence>);

impl Reporter {
    /// A reporter, and where its reports arrive.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Evidence>) {
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        (Self(sender), reports)
    }

    /// Hands evidence over without waiting.
    pub fn report(&self, evidence: Evidence) {
        if self.0.try_send(evidence).is_err() {
            // The same fault is found again by others, or after a restart; the log is what is left here.
            error!(
                ?evidence,
                "a validator provably broke the rules; too many reports wait, so this one is only logged"
            );
        }
    }
}
