//! Messages as bytes.

use crate::{
    oracle::{Broken, Rule, Verdict},
    trace::Trace,
};
use chorale_types::{
    CommitProof, Entry, High, Message, Proposal,
    codec::{Encode, decode},
};

/// Whether a message arrives as what it was sent as.
pub(crate) fn check(message: &Message) -> Verdict {
    let arrived = decode::<Message>(message.encode());
    if arrived.as_ref().is_ok_and(|arrived| arrived == message) {
        return Ok(());
    }
    Err(Broken { rule: Rule::Codec, what: format!("sent {message:?}, arrived {arrived:?}") })
}

/// Tells messages apart, without encoding them: signatures are over everything else.
pub(crate) fn fingerprint(message: &Message) -> u64 {
    let mut trace = Trace::new();
    match message {
        Message::Proposal(proposal) => {
            trace.number(1);
            trace.number(proposal.view().0);
            match proposal {
                Proposal::Fresh(tip) => trace.bytes(&tip.signature.0),
                Proposal::Again(again) => trace.bytes(&again.signature.0),
            }
        }
        Message::Vote(vote) => {
            trace.number(2);
            trace.number(vote.view.0);
            trace.bytes(&vote.signature.0);
        }
        Message::CommitVote(vote) => {
            trace.number(3);
            trace.number(vote.view.0);
            trace.bytes(&vote.signature.0);
        }
        Message::Timeout(timeout) => {
            trace.number(4);
            trace.number(timeout.view.0);
            trace.bytes(&timeout.signature.0);
            if let High::Certified(certificate) = &timeout.high {
                trace.bytes(&certificate.signature.0);
            }
        }
        Message::Entry(Entry::Certified(certificate)) => {
            trace.number(5);
            trace.number(certificate.view.0);
            trace.bytes(&certificate.signature.0);
        }
        Message::Entry(Entry::TimedOut(certificate)) => {
            trace.number(6);
            trace.number(certificate.quorum.view.0);
            certificate.quorum.groups.iter().for_each(|group| trace.bytes(&group.signature.0));
        }
        Message::Commit(CommitProof::Pair(pair)) => {
            trace.number(7);
            trace.bytes(&pair.block.signature.0);
            trace.bytes(&pair.child.signature.0);
        }
        Message::Commit(CommitProof::Direct(direct)) => {
            trace.number(8);
            trace.bytes(&direct.signature.0);
        }
        Message::Nudge(nudge) => {
            trace.number(9);
            trace.number(nudge.view.0);
        }
    }
    trace.hash()
}
