//! Nothing sent is ahead of the disk, and the disk never goes back.

use super::{Rule, Verdict, ensure};
use crate::disk::Disk;
use chorale_hotstuff::Record;
use chorale_types::{Epoch, High, Message, Proposal, View};

/// How far a node's record has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    view: (Epoch, View),
    high: (Epoch, View),
}

impl Progress {
    /// Judges the next record.
    pub(super) fn check(&mut self, node: usize, record: &Record) -> Verdict {
        let view = (record.epoch, record.view);
        ensure(view >= self.view, Rule::Monotonicity, || {
            format!("the record of node {node} goes back from {:?} to {view:?}", self.view)
        })?;
        let high = (record.epoch, record.high.view);
        ensure(high >= self.high, Rule::Monotonicity, || {
            format!("the highest certificate of node {node} goes back from {:?} to {high:?}", self.high)
        })?;
        self.view = view;
        self.high = high;
        Ok(())
    }
}

/// Judges a message against the disk of its sender.
pub(super) fn check_sent(node: usize, disk: &Disk, message: &Message) -> Verdict {
    // Several steps may share one sync, so the record may be ahead of the message.
    let none = (Epoch(0), View(0));
    let (remembered, exact) = match (message, disk.record()) {
        (Message::Vote(vote), Some(record)) => {
            let last = record.vote.map_or((record.epoch, View(0)), |last| (last.epoch, last.view));
            (last, record.vote == Some(*vote) || last > (vote.epoch, vote.view))
        }
        (Message::CommitVote(vote), Some(record)) => {
            let last = record.commit_vote.map_or((record.epoch, View(0)), |last| (last.epoch, last.view));
            let above = record.epoch > vote.epoch || (record.high.view >= vote.view && record.view > vote.view);
            (last, above && (record.commit_vote == Some(*vote) || last > (vote.epoch, vote.view)))
        }
        (Message::Timeout(timeout), Some(record)) => {
            let last = record.timeout.as_ref().map_or((record.epoch, View(0)), |last| (last.epoch, last.view));
            (last, record.timeout.as_ref() == Some(timeout) || last > (timeout.epoch, timeout.view))
        }
        (Message::Proposal(proposal), Some(record)) => {
            let last = record.proposal.as_ref().map_or((record.epoch, View(0)), |last| (last.epoch(), last.view()));
            (last, record.proposal.as_ref() == Some(proposal) || last > (proposal.epoch(), proposal.view()))
        }
        (Message::Vote(_) | Message::CommitVote(_) | Message::Timeout(_) | Message::Proposal(_), None) => (none, false),
        _ => return Ok(()),
    };
    ensure(exact, Rule::Durability, || {
        format!("node {node} sends {} but its disk only remembers {remembered:?}", crate::story::words(message))
    })?;
    let held = match message {
        Message::Vote(vote) => Some(vote.block.id),
        Message::Timeout(timeout) => match &timeout.high {
            High::Voted(tip) => Some(tip.header.id()),
            High::Certified(_) => None,
        },
        Message::Proposal(Proposal::Again(_)) | Message::Proposal(Proposal::Fresh(_)) => None,
        _ => None,
    };
    let superseded = |id| {
        disk.record().is_some_and(|record| match message {
            // A header that lost to a committed one need not be kept.
            Message::Vote(vote) => {
                record.epoch > vote.epoch || disk.tip().height >= vote.block.height && disk.tip().id != id
            }
            _ => true,
        })
    };
    ensure(held.is_none_or(|id| disk.header(&id).is_some() || superseded(id)), Rule::Durability, || {
        format!("node {node} sends {} without the header on its disk", crate::story::words(message))
    })
}
