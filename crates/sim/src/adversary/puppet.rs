//! Puppets of one mind: legal messages, chosen and timed to hurt.

use super::{Adversary, Hand};
use chorale_hotstuff::To;
use chorale_types::{
    BlockReference, CommitCertificate, CommitProof, CommitVote, Entry, Header, High, Message, Proposal,
    QuorumCertificate, Reproposal, Signature, Statement, Timeout, TimeoutCertificate, TimeoutQuorum, Tip,
    ValidatorIndex, View, Vote, codec::List,
};

/// A validator without a will of its own.
#[derive(Debug)]
pub(super) struct Puppet;

impl Adversary for Puppet {
    fn send(&mut self, hand: &mut Hand<'_>, to: To, message: Message) {
        // Sometimes the mind lets it play along, so that the others get anywhere.
        if hand.random.chance(400) && !matches!(message, Message::Timeout(_)) {
            hand.send(to, message);
        }
    }

    fn receive(&mut self, hand: &mut Hand<'_>, _from: ValidatorIndex, message: &Message) -> bool {
        let eager = match message {
            Message::Timeout(_) => 300,
            Message::Proposal(_) | Message::Vote(_) => 200,
            _ => 50,
        };
        if hand.random.chance(eager) {
            self.wake(hand);
        }
        true
    }

    fn wake(&mut self, hand: &mut Hand<'_>) {
        let view = View((hand.view.0 + hand.random.below(3)).saturating_sub(1).max(1));
        match hand.random.below(10) {
            0..=2 => propose(hand, view),
            3 => vote(hand, view),
            4 => certify(hand),
            5 | 6 => time_out(hand, view),
            7 => give_up(hand, view),
            8 => commit_vote(hand),
            _ => commit(hand),
        }
    }
}

/// Every proposal that could be made in a view led by one of the coalition; some of them are sent to some.
fn propose(hand: &mut Hand<'_>, view: View) {
    let leader = hand.info.leader(view);
    if !hand.coalition.nodes.contains(&leader.as_usize()) {
        return;
    }
    let Some(before) = view.previous() else { return };
    let mut proposals = Vec::new();
    if let Some(parent) = hand.coalition.certificate(hand.info, before) {
        proposals.extend(fresh(hand, view, parent, None));
    }
    let mut certificates: Vec<TimeoutCertificate> = hand.coalition.timeout_certificates(before).to_vec();
    certificates.extend(hand.coalition.time_out(hand.info, before, hand.random));
    for certificate in certificates {
        match &certificate.high {
            High::Certified(parent) => proposals.extend(fresh(hand, view, parent.clone(), Some(certificate.quorum))),
            High::Voted(tip) => {
                let timeout = certificate.digest();
                let statement = Statement::Reproposal { view, id: tip.header.id(), timeout };
                let signature = hand.sign(leader.as_usize(), &statement);
                proposals.push(Proposal::Again(Reproposal { timeout: certificate, signature }));
            }
        }
    }
    if hand.random.chance(150) {
        // Not legal: it does not say why it extends something old.
        let old = hand.coalition.certificates_below(hand.info, before);
        if let Some(parent) = hand.random.pick(&old).cloned() {
            proposals.extend(fresh(hand, view, parent, None));
        }
    }
    for proposal in proposals {
        let message = Message::Proposal(proposal);
        hand.coalition.learn(&message);
        hand.send_to_some_as(leader.as_usize(), &message);
    }
}

fn fresh(hand: &mut Hand<'_>, view: View, parent: QuorumCertificate, entry: Option<TimeoutQuorum>) -> Option<Proposal> {
    let author = hand.info.leader(view);
    let mut timestamp = hand.now;
    timestamp.0 += hand.random.below(50);
    let header = Header {
        chain: hand.info.chain,
        epoch: hand.info.epoch,
        view,
        height: parent.block.height.next(),
        parent,
        timestamp,
        payloads: List::new(Vec::new()).ok()?,
        author,
    };
    let signature = hand.sign(author.as_usize(), &Statement::Tip { view, id: header.id() });
    Some(Proposal::Fresh(Tip { header: header.into(), entry, signature }))
}

/// Votes of all puppets for any block that can be voted for in a view.
fn vote(hand: &mut Hand<'_>, view: View) {
    let tips: Vec<BlockReference> =
        hand.coalition.tips().map(|tip| tip.header.reference()).filter(|block| block.view <= view).collect();
    let Some(block) = hand.random.pick(&tips).copied() else { return };
    let view = if hand.random.chance(600) { block.view } else { view };
    for node in hand.coalition.nodes.clone() {
        let author = crate::epochs::index_of(node);
        let mut vote = Vote { epoch: hand.info.epoch, view, block, author, signature: Signature::NONE };
        vote.signature = hand.sign(node, &vote.statement());
        hand.send_to_some_as(node, &Message::Vote(vote));
    }
}

/// A certificate that the others could not or did not make.
fn certify(hand: &mut Hand<'_>) {
    let voted = hand.coalition.voted();
    let recent = voted.len().saturating_sub(6);
    let Some((view, block)) = hand.random.pick(&voted[recent..]).copied() else { return };
    if let Some(certificate) = hand.coalition.certify(hand.info, view, block) {
        hand.coalition.learn_certificate(&certificate);
        if hand.random.chance(600) {
            hand.send_to_some(&Message::Entry(Entry::Certified(certificate)));
        }
    }
}

/// Timeouts of the puppets that report anything they may report.
fn time_out(hand: &mut Hand<'_>, view: View) {
    let Some(before) = view.previous() else { return };
    let mut highs: Vec<High> =
        hand.coalition.certificates_below(hand.info, view).into_iter().map(High::Certified).collect();
    highs.extend(hand.coalition.tips().filter(|tip| tip.header.view <= view).cloned().map(High::Voted));
    let mut entries: Vec<Entry> =
        hand.coalition.timeout_certificates(before).iter().cloned().map(Entry::TimedOut).collect();
    entries.extend(hand.coalition.certificate(hand.info, before).map(Entry::Certified));
    for node in hand.coalition.nodes.clone() {
        let (Some(high), entry) = (hand.random.pick(&highs).cloned(), hand.random.pick(&entries).cloned()) else {
            return;
        };
        let author = crate::epochs::index_of(node);
        let entry = match &high {
            High::Certified(certificate) if certificate.view == before => None,
            _ if view == View(1) => None,
            _ => entry,
        };
        let mut timeout = Timeout { epoch: hand.info.epoch, view, high, author, signature: Signature::NONE, entry };
        timeout.signature = hand.sign(node, &timeout.statement());
        hand.send_to_some_as(node, &Message::Timeout(timeout));
    }
}

/// A timeout certificate that knows as little as it may.
fn give_up(hand: &mut Hand<'_>, view: View) {
    if let Some(certificate) = hand.coalition.time_out(hand.info, view, hand.random) {
        hand.coalition.learn_timeouts(&certificate);
        hand.send_to_some(&Message::Entry(Entry::TimedOut(certificate)));
    }
}

fn any_certificate(hand: &mut Hand<'_>) -> Option<QuorumCertificate> {
    let certificates = hand.coalition.certificates_below(hand.info, View(u64::MAX));
    let recent = certificates.len().saturating_sub(3);
    hand.random.pick(&certificates[recent..]).filter(|certificate| certificate.view > View(0)).cloned()
}

fn commit_vote(hand: &mut Hand<'_>) {
    let Some(QuorumCertificate { view, block, .. }) = any_certificate(hand) else { return };
    for node in hand.coalition.nodes.clone() {
        let author = crate::epochs::index_of(node);
        let mut vote = CommitVote { epoch: hand.info.epoch, view, block, author, signature: Signature::NONE };
        vote.signature = hand.sign(node, &vote.statement());
        hand.send_to_some_as(node, &Message::CommitVote(vote));
    }
}

/// A commit certificate shown to some.
fn commit(hand: &mut Hand<'_>) {
    let Some(QuorumCertificate { view, block, .. }) = any_certificate(hand) else { return };
    if let Some((signers, signature)) = hand.coalition.commit(hand.info, view, block) {
        let epoch = hand.info.epoch;
        let proof = CommitProof::Direct(CommitCertificate { epoch, view, block, signers, signature });
        hand.send_to_some(&Message::Commit(proof));
    }
}
